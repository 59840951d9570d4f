"""The works of bench-peers in MLX on its CPU back end, each evaluated at once."""
from importlib.metadata import version as package_version

import mlx.core as mx

mx.set_default_device(mx.cpu)


def version():
    return package_version("mlx")


def forms(function, *args):
    compiled = mx.compile(function)
    return {"eager": lambda: mx.eval(function(*args)), "compile": lambda: mx.eval(compiled(*args))}


def works():
    mx.random.seed(1)

    def rand(*shape, scale=1.0):
        v = mx.random.normal(shape) * scale
        mx.eval(v)
        return v

    x3, w = rand(4, 16, 512), rand(512, 512, scale=0.02)
    a, b = rand(512, 8, scale=0.02), rand(8, 512, scale=0.02)
    x = mx.reshape(x3, (64, 512))
    gain, residual = rand(512), rand(64, 512)
    m1, m2 = rand(1024, 1024), rand(1024, 1024)
    row, matrix = rand(1, 2048), rand(2048, 2048)
    p, q, r = rand(32768), rand(32768), rand(32768)

    def lora(x, w, a, b):
        return x @ w + (x @ a) @ b * 2.0

    return {
        "lora_fwd_4x16x512_r8": forms(lora, x3, w, a, b),
        "lora_fwd_64x512_r8": forms(lora, x, w, a, b),
        "gemm_1024": forms(lambda u, v: u @ v, m1, m2),
        "softmax_64x512": forms(lambda z: mx.softmax(z, axis=-1), x),
        "rmsnorm_residual_64x512": forms(lambda z, g, s: mx.fast.rms_norm(z, g, 1e-5) + s, x, gain, residual),
        "chain6_32k": forms(lambda u, v, s: mx.sigmoid((u * v + s) * 0.5) * u - v, p, q, r),
        "gemv_2048": forms(lambda u, v: u @ v, row, matrix),
    }
