"""The works of bench-peers in NumPy: the shortest idiomatic form of each."""
import numpy as np


def version():
    return np.__version__


def works():
    rng = np.random.default_rng(1)

    def rand(*shape, scale=1.0):
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    two = np.float32(2)
    x3, w = rand(4, 16, 512), rand(512, 512, scale=0.02)
    a, b = rand(512, 8, scale=0.02), rand(8, 512, scale=0.02)
    x = x3.reshape(64, 512)
    gain, residual = rand(512), rand(64, 512)
    big = rand(1024, 1024), rand(1024, 1024), np.empty((1024, 1024), np.float32)
    row, matrix = rand(1, 2048), rand(2048, 2048)
    column = np.ascontiguousarray(row[0])
    p, q, r = rand(32768), rand(32768), rand(32768)
    half = np.float32(0.5)

    def softmax():
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def rmsnorm_residual():
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-5)) * gain + residual

    return {
        "lora_fwd_4x16x512_r8": {"numpy": lambda: x3 @ w + (x3 @ a) @ b * two},
        "lora_fwd_64x512_r8": {"numpy": lambda: x @ w + (x @ a) @ b * two},
        "lora_train_512x64_r8": {"numpy": train_step(rand)},
        "gemm_1024": {"numpy": lambda: np.matmul(big[0], big[1], out=big[2])},
        "softmax_64x512": {"numpy": softmax},
        "rmsnorm_residual_64x512": {"numpy": rmsnorm_residual},
        "chain6_32k": {"numpy": lambda: 1 / (1 + np.exp(-((p * q + r) * half))) * p - q},
        "adamw_96x8x768": {"numpy": adamw(rand)},
        "gemv_2048": {"row": lambda: row @ matrix, "column": lambda: matrix @ column},
    }


def adamw_update(params, grads, m, v, step):
    lr, b1, b2, eps, decay = map(np.float32, (1e-3, 0.9, 0.999, 1e-8, 0.01))
    for p, g, mi, vi in zip(params, grads, m, v):
        mi *= b1
        mi += (1 - b1) * g
        vi *= b2
        vi += (1 - b2) * g * g
        p *= 1 - lr * decay
        mhat = mi / np.float32(1 - 0.9**step)
        p -= lr * mhat / (np.sqrt(vi / np.float32(1 - 0.999**step)) + eps)


def train_step(rand):
    """Forward, MSE, backward by hand and AdamW of a LoRA 512x512, 64 rows."""
    w, x, t = rand(512, 512, scale=0.02), rand(64, 512), rand(64, 512)
    params = [rand(512, 8, scale=0.02), rand(8, 512, scale=0.02)]
    m, v = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    count, scale = [0], np.float32(2)

    def step():
        a, b = params
        xa = x @ a
        d = x @ w + xa @ b * scale - t
        (d * d).mean()
        dy = d * np.float32(2 / d.size)
        db = (xa.T @ dy) * scale
        da = x.T @ ((dy @ b.T) * scale)
        count[0] += 1
        adamw_update(params, (da, db), m, v, count[0])

    return step


def adamw(rand):
    params = [rand(8, 768) for _ in range(96)]
    grads = [rand(8, 768) for _ in range(96)]
    m, v = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    count = [0]

    def step():
        count[0] += 1
        adamw_update(params, grads, m, v, count[0])

    return step
