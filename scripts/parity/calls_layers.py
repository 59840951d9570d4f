"""Random calls of single ops: contractions, rows, losses, sources, layers; and
large operands."""
from calls import axis_of, call, calls, distinct, float_type, index, partner, RANGE, shape, solid, some_axes, some_places, tensor
from inputs import FLOATS
from ops import TWO

# Contractions.


@calls(150, "matmul")
def matmul(rng, name):
    m, k, n = (rng.choice([1, 1, 2, 3, 5, 8, 16, 17, 31, 33]) for _ in range(3))
    if rng.random() < 0.1:
        m, k, n = (rng.choice([48, 63, 64, 65, 96, 130]) for _ in range(3))
    if rng.random() < 0.03:
        k = 0
    dtype = float_type(rng)
    a, b = [m, k], [k, n]
    batch = solid(rng, 0, 2, 6) if m * k * n < 5000 else []
    if batch and rng.random() < 0.8:
        a = [d if rng.random() < 0.75 else 1 for d in batch] + a
        b = partner(rng, batch)[-len(batch):] + b
    if rng.random() < 0.08:
        a = [k]
    if rng.random() < 0.08:
        b = [k]
    other = dtype if rng.random() < 0.9 else "f32"
    return call(name, [tensor(rng, a, dtype), tensor(rng, b, other)])


@calls(12, "matmul.int")
def integer_matmul(rng, name):
    m, k, n = (rng.choice([1, 2, 3, 7, 16, 33]) for _ in range(3))
    a, b = ([2, m, k], [k, n]) if rng.random() < 0.4 else ([m, k], [3, k, n]) if rng.random() < 0.4 else ([m, k], [k, n])
    one, other = rng.choice([("i64", "i64"), ("i32", "i32"), ("i32", "i64"), ("u8", "u8"), ("u8", "i32")])
    large = {"i64": 1 << 40, "i32": 1 << 20, "u8": 255}
    return call("matmul", [tensor(rng, a, d, "int", lo=0 if d == "u8" else -large[d], hi=large[d] // (1 if d != "i64" or one != other else 1 << 20)) for a, d in ((a, one), (b, other))])


EINSUM = ["ij,jk->ik", "ij,kj->ik", "bij,bjk->bik", "ij->ji", "ij->", "ij->j", "ii->i", "ii->", "i,j->ij", "i,i->", "ij,ij->", "ij,ij->i", "bhqd,bhkd->bhqk", "bhqk,bhkd->bqhd",
          "...ij,...jk->...ik", "...i->...", "i...,i...->...", "ij,jk", "ba", "ab,bc,cd->ad", "ab,bc,a->c", "abc,cd->abd", "abc,bd->adc", "b...,b...->b...", "ij,j->i", "aab->b", "abc->cab",
          "a,b,c->abc", "ij,ik,jk->i", "nc,nd->cd"]


@calls(60, "einsum")
def einsum(rng, name):
    spec = rng.choice(EINSUM)
    sizes = {}
    dots = solid(rng, 0, 2, 6)
    ins = []
    dtype = float_type(rng)
    for term in spec.split("->")[0].split(","):
        s = []
        for c in term.replace("...", "."):
            s += dots if c == "." else [sizes.setdefault(c, rng.choice([1, 2, 3, 4, 5, 7]))]
        ins.append(tensor(rng, s, dtype))
    return call(name, ins, spec=spec)


def convolution(rng, name, n):
    groups = rng.choice([1, 1, 1, 2, 3])
    cin, cout = groups * rng.choice([1, 2, 3]), groups * rng.choice([1, 2, 4])
    kernel = [rng.choice([1, 2, 3, 4]) for _ in range(n)]
    dilation = [rng.choice([1, 1, 2]) for _ in range(n)]
    padding = [rng.choice([0, 1, 2]) for _ in range(n)]
    stride = [rng.choice([1, 1, 2, 3]) for _ in range(n)]
    size = [max((k - 1) * d + 1 - 2 * p, 1) + rng.choice([0, 1, 2, 4, 5]) for k, d, p in zip(kernel, dilation, padding)]
    dtype = float_type(rng)
    ins = [tensor(rng, [rng.choice([1, 2])] + [cin] + size, dtype), tensor(rng, [cout, cin // groups] + kernel, dtype)]
    if rng.random() < 0.5:
        ins.append(tensor(rng, [cout], dtype))
    return call(name, ins, stride=stride, pad=padding, dilation=dilation, groups=groups)


@calls(45, "conv1d")
def conv1d(rng, name):
    return convolution(rng, name, 1)


@calls(60, "conv2d")
def conv2d(rng, name):
    return convolution(rng, name, 2)


@calls(80, "attention")
def attention(rng, name):
    kv = rng.choice([1, 2])
    heads = kv * rng.choice([1, 1, 2, 3])
    t, s = rng.choice([1, 2, 3, 5, 8]), rng.choice([1, 3, 4, 7, 9])
    causal = rng.random() < 0.5
    if causal:
        s = max(s, t)
    d, dv, b = rng.choice([1, 2, 4, 8]), rng.choice([2, 3, 8]), rng.choice([1, 2])
    dtype = float_type(rng)
    ins = [tensor(rng, [b, heads, t, d], dtype), tensor(rng, [b, kv, s, d], dtype), tensor(rng, [b, kv, s, dv], dtype)]
    if rng.random() < 0.4:
        m = rng.choice([[b, heads, t, s], [1, 1, t, s], [t, s], [b, 1, t, s]])
        if rng.random() < 0.4 and not causal:
            ins.append(tensor(rng, m, "bool", "bool", p=0.8, dense=True))
        else:
            ins.append(tensor(rng, m, dtype, grad=rng.random() < 0.6))
    return call(name, ins, causal=causal or None, scale=rng.choice([None, None, 0.5]))


@calls(30, "linear")
def linear(rng, name):
    i, o = rng.choice([1, 3, 8, 17, 32]), rng.choice([1, 2, 7, 16, 33])
    dtype = float_type(rng)
    ins = [tensor(rng, solid(rng, 0, 2, 12) + [i], dtype), tensor(rng, [o, i], dtype)]
    if rng.random() < 0.7:
        ins.append(tensor(rng, [o], dtype))
    return call(name, ins)


@calls(16, "solve")
def solve(rng, name):
    n, dtype = rng.choice([1, 2, 3, 5]), float_type(rng, wide=True)
    batch = solid(rng, 0, 1, 3)
    ins = [tensor(rng, batch + [n, n], dtype, dense=True), tensor(rng, batch + [n, rng.choice([1, 2, 4])], dtype, dense=True)]
    return call(name, ins)


@calls(16, "qr")
def qr(rng, name):
    n = rng.choice([1, 2, 3, 4])
    m = n + rng.choice([0, 0, 1, 3])
    return call(name, [tensor(rng, solid(rng, 0, 1, 3) + [m, n], float_type(rng, wide=True), dense=True)], results=2)


@calls(16, "svd")
def svd(rng, name):
    m, n = rng.choice([1, 2, 3, 5]), rng.choice([1, 2, 3, 4])
    return call(name, [tensor(rng, solid(rng, 0, 1, 3) + [m, n], float_type(rng, wide=True), dense=True)], k=rng.randint(1, min(m, n)), results=2)


# Rows.

@calls(36, "softmax", "log_softmax")
def softmax(rng, name):
    s = solid(rng, 1, 4, 1200)
    if rng.random() < 0.15:
        s = [rng.choice([1, 3]), rng.choice([65, 257, 300])]
    lo, hi = rng.choice([(-3.0, 3.0), (-20.0, 20.0), (-1.0, 1.0)])
    return call(name, [tensor(rng, s, float_type(rng), lo=lo, hi=hi)], axis=axis_of(rng, s))


@calls(36, "rms_norm", "layer_norm")
def norm(rng, name):
    s = solid(rng, 1, 3, 900)
    s[-1] = rng.choice([2, 3, 5, 8, 17, 32, 65])
    dtype = float_type(rng)
    ins = [tensor(rng, s, dtype)]
    if rng.random() < 0.7:
        ins.append(tensor(rng, [s[-1]], dtype))
        if name == "layer_norm" and rng.random() < 0.8:
            ins.append(tensor(rng, [s[-1]], dtype))
    return call(name, ins, eps=rng.choice([1e-5, 1e-6, 1e-3]))


@calls(36, "rope")
def rope(rng, name):
    d = rng.choice([2, 4, 8, 16])
    dims = None if rng.random() < 0.6 else rng.choice([k for k in (2, 4, 8, 16) if k <= d])
    ins = [tensor(rng, solid(rng, 0, 2, 6) + [rng.choice([1, 3, 7]), d], float_type(rng))]
    if rng.random() < 0.2:
        ins.append(tensor(rng, [(dims or d) // 2], "f32", lo=0.01, hi=1.0, grad=False))
    return call(name, ins, dims=dims, base=rng.choice([None, 500.0, 1e6]) if len(ins) == 1 else None, offset=rng.choice([None, 3, 100]),
                scale=rng.choice([None, 0.5]), interleaved=True if rng.random() < 0.4 else None)


# Losses.

@calls(36, "cross_entropy_rows", "cross_entropy")
def cross_entropy(rng, name):
    classes = rng.choice([2, 3, 7, 17, 40, 130])
    s = solid(rng, 0 if name == "cross_entropy_rows" else 1, 2, 20)
    ignore = rng.choice([None, None, [0], [1]])
    t = {"gen": "int", "shape": s, "dtype": rng.choice(["i64", "i64", "i32"]), "lo": 0, "hi": classes}
    if rng.random() < 0.2:
        t.update(lo=-100, hi=-99)
        if name == "cross_entropy":  # nothing left: the mean would be NaN
            t.update(lo=0, hi=1)
            ignore = None
    return call(name, [tensor(rng, s + [classes], float_type(rng)), t], ignore=ignore, smoothing=rng.choice([None, None, 0.1, 0.3]))


@calls(16, "mse", "l1", "huber", "bce_with_logits")
def distance(rng, name):
    s, d = solid(rng, 1, 3), float_type(rng)
    target = tensor(rng, s, d, lo=0.0, hi=1.0, grad=False) if name == "bce_with_logits" else tensor(rng, s, d)
    return call(name, [tensor(rng, s, d), target], float=rng.choice([0.5, 1.0, 2.0]) if name == "huber" else None)


@calls(12, "nll")
def nll(rng, name):
    s, classes = solid(rng, 1, 2, 20), rng.choice([2, 5, 11])
    return call(name, [tensor(rng, s + [classes], float_type(rng), lo=-5.0, hi=-0.1), {"gen": "int", "shape": s, "dtype": "i64", "lo": 0, "hi": classes}])


@calls(12, "kl_div")
def kl_div(rng, name):
    s, d = solid(rng, 1, 3, 300), float_type(rng, wide=True)
    return call(name, [tensor(rng, s, d, lo=-5.0, hi=-0.1), tensor(rng, s, d, lo=0.05, hi=1.0)])


@calls(12, "cosine_similarity")
def cosine(rng, name):
    s, d = solid(rng, 1, 3, 300), float_type(rng)
    s[-1] = max(s[-1], 3)
    return call(name, [tensor(rng, s, d), tensor(rng, s, d)])


@calls(12, "triplet")
def triplet(rng, name):
    s, d = solid(rng, 2, 2, 200), float_type(rng, wide=True)
    s[-1] = max(s[-1], 3)
    return call(name, [tensor(rng, s, d), tensor(rng, s, d), tensor(rng, s, d)], float=rng.choice([0.5, 1.0]))


@calls(10, "clip_norm")
def clip_norm(rng, name):
    ins = [tensor(rng, solid(rng, 0, 3, 100), "f32") for _ in range(rng.randint(1, 4))]
    return call(name, ins, float=rng.choice([0.5, 1.0, 1000.0]), results=len(ins) + 1)


# Sources.

@calls(5, "arange", "linspace", "eye", "full", "zeros", "ones", "of", "ints")
def source(rng, name):
    if name == "arange":
        start, step = rng.randint(-5, 5), rng.choice([1, 2, 3, -1, -2])
        return call(name, [], sizes=[start, start + step * rng.randint(0, 9) + rng.choice([0, 1 if step > 0 else -1]) * (abs(step) > 1), step])
    if name == "linspace":
        return call(name, [], lo=-1.5, hi=rng.choice([0.25, 2.0, 7.0]), k=rng.randint(2, 12))
    if name == "eye":
        return call(name, [], sizes=[rng.randint(1, 5), rng.randint(1, 5)])
    if name == "full":
        return call(name, [], shape=shape(rng), **rng.choice([{"int": 7}, {"float": 0.375}]))
    if name == "of":
        return call(name, [], floats=[rng.randint(-64, 64) / 16 for _ in range(rng.randint(0, 9))])
    if name == "ints":
        return call(name, [], sizes=[rng.randint(-99, 99) for _ in range(rng.randint(0, 9))])
    return call(name, [], shape=shape(rng))


# Layers.

@calls(60, "lora")
def lora(rng, name):
    r, i, o = rng.choice([1, 2, 4, 8]), rng.choice([8, 9, 16, 33]), rng.choice([8, 12, 31])
    d = float_type(rng, wide=True)
    dora = rng.random() < 0.4
    ins = [tensor(rng, solid(rng, 1, 2, 20) + [i], d), tensor(rng, [o, i], d, lo=-1.0, hi=1.0, dense=True, grad=False),
           tensor(rng, [r, i], d, lo=-0.5, hi=0.5, dense=True), tensor(rng, [o, r], d, lo=-0.5, hi=0.5, dense=True)]
    if dora:
        ins.append(tensor(rng, [o], d, lo=0.5, hi=2.0, dense=True))
    if rng.random() < 0.4:
        ins.append(tensor(rng, [o], d, dense=True, grad=False))
    return call(name, ins, alpha=rng.choice([4.0, 8.0, 16.0]), rslora=True if rng.random() < 0.3 else None, dora=True if dora else None, results=2)


# Large operands: blocked, vectorised and parallel kernels, with rests.

@calls(8, "matmul.large")
def large_matmul(rng, name):
    m, k, n = rng.choice([(1, 700, 300), (300, 257, 1), (129, 200, 65), (200, 131, 190), (64, 512, 64), (8, 64, 1000), (63, 33, 511)])
    d = rng.choice(["f32", "f32", "f32", "f64", "f16", "bf16"])
    return call("matmul", [tensor(rng, [m, k], d), tensor(rng, [k, n], d)])


@calls(6, "add.large", "mul.large", "exp.large", "tanh.large", "gelu.large", "sigmoid.large", "sin.large", "log.large", "erf.large", "silu.large", "div.large", "maximum.large", "pow.large")
def large_elementwise(rng, name):
    name = name.removesuffix(".large")
    s, d = rng.choice([[20011], [130, 151], [7, 33, 65]]), float_type(rng)
    lo, hi = RANGE.get(name, (0.2, 3.0))
    ins = [tensor(rng, s, d, lo=lo, hi=hi)]
    if name in TWO:
        ins.append(tensor(rng, rng.choice([s, s[-1:]]), d, lo=lo, hi=hi))
    return call(name, ins)


@calls(6, "sum.large", "mean.large", "max.large", "var.large", "norm.large", "logsumexp.large", "softmax.large", "log_softmax.large", "rms_norm.large", "layer_norm.large", "cumsum.large")
def large_rows(rng, name):
    name = name.removesuffix(".large")
    s, d = rng.choice([[64, 512], [3, 5001], [2100, 9], [17, 31, 40]]), float_type(rng)
    x = distinct(rng, s, "f32") if name == "max" else tensor(rng, s, d)
    if name in ("softmax", "log_softmax", "cumsum"):
        return call(name, [x], axis=axis_of(rng, s))
    if name in ("rms_norm", "layer_norm"):
        return call(name, [x] + [tensor(rng, s[-1:], d) for _ in range(2 if name == "layer_norm" else 1)], eps=1e-5)
    return call(name, [x], axes=some_axes(rng, s))


@calls(6, "sort.large", "topk.large", "argmax.large", "take.large", "scatter_add.large", "transpose.large", "concat.large", "at.large", "embedding.large")
def large_index(rng, name):
    name = name.removesuffix(".large")
    s = rng.choice([[5, 3001], [900, 13], [33, 65, 7]])
    axis = axis_of(rng, s)
    if name in ("sort", "topk", "argmax"):
        return call(name, [distinct(rng, s, "f32")], axis=axis, k=min(9, s[axis]) if name == "topk" else None, results=2 if name == "topk" else 1)
    x = tensor(rng, s, float_type(rng))
    if name in ("take", "scatter_add"):
        t = list(s)
        t[axis] = 50
        ins = [x, index(rng, [50], s[axis])] if name == "take" else [x, index(rng, t, s[axis]), tensor(rng, t, x["dtype"])]
        return call(name, ins, axis=axis)
    if name == "embedding":
        return call(name, [tensor(rng, [500, 65], float_type(rng)), index(rng, [7, 40], 500)])
    if name == "transpose":
        return call(name, [x], axes=rng.sample(range(len(s)), len(s)))
    if name == "at":
        return call(name, [x], places=some_places(rng, s))
    return call(name, [x, tensor(rng, s, x["dtype"])], axis=axis)


@calls(8, "attention.large", "conv1d.large", "conv2d.large", "cross_entropy.large", "lora.large", "rope.large", "linear.large")
def large_layers(rng, name):
    name = name.removesuffix(".large")
    d = float_type(rng)
    if name == "attention":
        t, s = rng.choice([(1, 300), (70, 70), (65, 130), (33, 200)])
        width = rng.choice([16, 64, 80])
        ins = [tensor(rng, [1, 4, t, width], d), tensor(rng, [1, 2, s, width], d), tensor(rng, [1, 2, s, width], d)]
        return call(name, ins, causal=True if rng.random() < 0.6 else None)
    if name == "conv1d":
        return call(name, [tensor(rng, [3, 16, 101], d), tensor(rng, [24, 16, 5], d), tensor(rng, [24], d)], stride=[2], pad=[3], dilation=[2], groups=1)
    if name == "conv2d":
        groups = rng.choice([1, 2, 16])
        return call(name, [tensor(rng, [2, 16, 21, 19], d), tensor(rng, [32, 16 // groups, 3, 3], d)], stride=[rng.choice([1, 2])] * 2, pad=[1, 1], dilation=[1, 1], groups=groups)
    if name == "cross_entropy":
        return call(name, [tensor(rng, [50, 1003], d), {"gen": "int", "shape": [50], "dtype": "i64", "lo": 0, "hi": 1003}], smoothing=rng.choice([None, 0.1]))
    if name == "rope":
        return call(name, [tensor(rng, [2, 3, 65, 64], d)], interleaved=True if rng.random() < 0.5 else None)
    if name == "linear":
        return call(name, [tensor(rng, [3, 40, 65], d), tensor(rng, [129, 65], d), tensor(rng, [129], d)])
    d = "f32"
    ins = [tensor(rng, [rng.choice([64, 512]), 128], d), tensor(rng, [96, 128], d, lo=-1.0, hi=1.0, dense=True, grad=False),
           tensor(rng, [8, 128], d, lo=-0.5, hi=0.5, dense=True), tensor(rng, [96, 8], d, lo=-0.5, hi=0.5, dense=True)]
    return call(name, ins, alpha=16.0, results=2)


# Sums over leading and middle axes: columns are folded, in strips and in parts.

@calls(6, "sum.columns", "max.columns", "min.columns", "prod.columns", "mean.columns")
def column_reduction(rng, name):
    name = name.removesuffix(".columns")
    d = rng.choice(["f32", "f32", "f32", "f64", "f16", "bf16"])
    s, axes = rng.choice([([3001, 3], [0]), ([700, 131], [0]), ([130, 1100], [0]), ([9, 301, 37], [1]), ([5, 200, 7, 11], [1, 3]), ([300, 4, 50], [0, 2]), ([20000, 2], [0])])
    lo, hi = (0.97, 1.03) if name == "prod" else (-3.0, 3.0)
    if name == "prod":
        s, axes = [101, 45], [0]
    return call(name, [tensor(rng, s, d, lo=lo, hi=hi)], axes=axes)


# Numbers beside halves that the half type cannot hold; the result it can.

@calls(10, "add.half", "sub.half", "mul.half", "div.half")
def half_scalar(rng, name):
    name = name.removesuffix(".half")
    d = rng.choice(["f16", "f16", "bf16"])
    s = shape(rng, 1, 3)
    if name == "mul":
        return call(name, [tensor(rng, s, d, "away", lo=0.05, hi=0.3, grad=False)], float=rng.choice([70000.0, 1e5, -90000.5]))
    if name == "div":
        return call(name, [tensor(rng, s, d, "away", lo=0.001, hi=0.01, grad=False)], float=rng.choice([1e-6, 3e-7, -1.3e-6]))
    return call(name, [tensor(rng, s, d)], float=rng.choice([0.1, 0.3, 1000.7, -3.0001]))


# Sums of halves that f16 cannot hold, of which the result is small.

@calls(5, "mean.half", "var.half", "std.half", "norm.half", "logsumexp.half", "cross_entropy.half")
def half_sums(rng, name):
    name = name.removesuffix(".half")
    d = rng.choice(["f16", "f16", "bf16"])
    if name == "cross_entropy":
        return call(name, [tensor(rng, [4003, 5], d, lo=-30.0, hi=30.0), {"gen": "int", "shape": [4003], "dtype": "i64", "lo": 0, "hi": 5}])
    s = rng.choice([[2100, 9], [9, 2100], [3, 700, 5]])
    lo, hi = {"mean": (100.0, 200.0), "norm": (50.0, 200.0)}.get(name, (-9.0, 9.0))
    return call(name, [tensor(rng, s, d, lo=lo, hi=hi)], axes=rng.choice([None, [0], [1], [0, 1]]))
