"""The ops of the suite in PyTorch, by the name that cases use.

Every function takes the list of operands and the arguments of the call, and
returns the list of results. They are run on the exact dtypes, to learn the
dtype of the results, and on float64 in place of every float, for the values.
"""
import math

import torch
import torch.nn.functional as F

from inputs import FLOATS, TORCH

WIDE = True  # floats are float64: see run in program.py


def is_float(t):
    return t.dtype.is_floating_point


def fl(t):
    """t, or t as floats where integers stand for f32."""
    if is_float(t):
        return t
    return t.to(torch.float64 if WIDE else torch.float32)


def axes(t, args):
    """The axes of a reduction, all if none is named."""
    a = args.get("axes")
    return list(range(t.dim())) if not a else [i % t.dim() for i in a]


def natural(index, size):
    """Indices with the negative ones counted from the front."""
    index = index.to(torch.int64)
    return torch.where(index < 0, index + size, index)


def resolve(shape, args):
    """For each place of At: the list of numbers it selects."""
    picked = []
    for size, p in zip(shape, args["places"]):
        if p["kind"] == "int":
            picked.append([p["at"] % size])
        elif p["kind"] == "all":
            picked.append(list(range(size)))
        else:
            picked.append(list(range(size))[slice(p["start"], p["stop"], p["step"])])
    for size in shape[len(args["places"]):]:
        picked.append(list(range(size)))
    dropped = [i for i, p in enumerate(args["places"]) if p["kind"] == "int"]
    return picked, dropped


def at(x, args):
    picked, dropped = resolve(x.shape, args)
    for axis, numbers in enumerate(picked):
        x = x.index_select(axis, torch.tensor(numbers, dtype=torch.int64))
    return x[tuple(0 if i in dropped else slice(None) for i in range(x.dim()))] if dropped else x


def set_at(x, v, args):
    picked, dropped = resolve(x.shape, args)
    grids = torch.meshgrid(*[torch.tensor(n, dtype=torch.int64) for n in picked], indexing="ij")
    shape = [len(n) for i, n in enumerate(picked) if i not in dropped]
    v = v.to(x.dtype).expand(shape).reshape([len(n) for n in picked])
    return x.index_put(tuple(grids), v)


def take(x, index, axis):
    axis %= x.dim()
    flat = natural(index, x.shape[axis]).reshape(-1)
    return x.index_select(axis, flat).reshape(x.shape[:axis] + index.shape + x.shape[axis + 1:])


def at_tensor(x, index, args):
    return x[(slice(None),) * args["axis"] + (natural(index, x.shape[args["axis"]]),)]


def prod(x, a):
    for axis in sorted(a, reverse=True):
        x = x.prod(axis)
    return x


def logical(f, x, a):
    x = x != 0
    for axis in sorted(a, reverse=True):
        x = f(x, axis)
    return x


def pad(x, args):
    margins, n = args["margins"], len(args["margins"]) // 2
    flat = []
    for i in reversed(range(n)):
        flat += margins[2 * i:2 * i + 2]
    return F.pad(x, flat, value=args["value"])


def box(x, starts, size):
    starts = [max(0, min(int(s), d - n)) for s, d, n in zip(starts.tolist(), x.shape, size)]
    return tuple(slice(s, s + n) for s, n in zip(starts, size))


def dynamic_update(x, update, starts):
    y = x.clone()
    y[box(x, starts, update.shape)] = update.to(x.dtype)
    return y


def attention(ins, args):
    q, k, v = ins[:3]
    t, s = q.shape[2], k.shape[2]
    mask = ins[3] if len(ins) > 3 else None
    if args.get("causal"):
        causal = torch.ones(t, s, dtype=torch.bool).tril(s - t)
        if mask is None:
            mask = causal
        elif mask.dtype == torch.bool:
            mask = mask & causal
        else:
            mask = mask.masked_fill(~causal, -math.inf)
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=args.get("scale"), enable_gqa=q.shape[1] != k.shape[1])


def rope(ins, args):
    x = ins[0]
    t, d = x.shape[-2], x.shape[-1]
    dims = args.get("dims") or d
    wide = x.to(torch.float64)
    offset = args.get("offset", 0)
    frequencies = ins[1].to(torch.float64) if len(ins) > 1 else args.get("base", 10000.0) ** (-torch.arange(0, dims, 2, dtype=torch.float64) / dims)
    angle = (torch.arange(t, dtype=torch.float64) + offset)[:, None] * args.get("scale", 1.0) * frequencies
    c, s = angle.cos(), angle.sin()
    turned, rest = wide[..., :dims], wide[..., dims:]
    if args.get("interleaved"):
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)
    else:
        a, b = turned.chunk(2, -1)
        turned = torch.cat([a * c - b * s, a * s + b * c], -1)
    return torch.cat([turned, rest], -1).to(x.dtype)


def conv(f, ins, args):
    bias = ins[2] if len(ins) > 2 else None
    n = ins[0].dim() - 2
    get = lambda key, default: tuple(args.get(key, [default] * n)[:n])
    return f(ins[0], ins[1], bias, stride=get("stride", 1), padding=get("pad", 0), dilation=get("dilation", 1), groups=args.get("groups", 1))


def qr(x):
    q, r = torch.linalg.qr(x)
    sign = torch.diagonal(r, dim1=-2, dim2=-1).detach().sign()
    sign = torch.where(sign == 0, 1, sign)
    return [q * sign.unsqueeze(-2), r * sign.unsqueeze(-1)]


def svd(x, k):
    """Singular values, and the best approximation of rank k: what signs do not change."""
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    return [s, u[..., :, :k] @ (s[..., :k, None] * vh[..., :k, :])]


def targets(t, args):
    """Class indices with every ignored one as PyTorch's -100."""
    t = t.to(torch.int64)
    for i in args.get("ignore", []):
        t = torch.where(t == i, -100, t)
    return t


def cross_entropy(ins, args, reduction):
    x, t = fl(ins[0]), targets(ins[1], args)
    y = F.cross_entropy(x.reshape(-1, x.shape[-1]), t.reshape(-1), ignore_index=-100, label_smoothing=args.get("smoothing", 0.0), reduction=reduction)
    return y.reshape(t.shape) if reduction == "none" else y


def clip(x, args):
    return torch.clamp(x, args.get("lo"), args.get("hi"))


def clip_norm(ins, limit):
    norm = torch.stack([x.square().sum() for x in ins]).sum().sqrt()
    scale = torch.clamp(limit / (norm + 1e-6), max=1.0)
    return [x * scale for x in ins] + [norm]


def cast(x, to):
    if WIDE and to in FLOATS:
        return x.to(TORCH[to]).to(torch.float64)
    if to == "bool":
        return x != 0
    return x.to(TORCH[to])


def matmul(a, b):
    dtype = torch.promote_types(a.dtype, b.dtype)
    if not is_float(a) and not is_float(b):
        dtype = torch.int64
    return a.to(dtype) @ b.to(dtype)


def together(ins):
    dtype = ins[0].dtype
    for x in ins[1:]:
        dtype = torch.promote_types(dtype, x.dtype)
    return [x.to(dtype) for x in ins]


def scalar(args):
    return args["int"] if "int" in args else args["float"]


def pair(f):
    """Tensors of different dtypes are promoted alike; PyTorch on its own lets those
    without axes take the dtype of the other."""
    def run(ins, args):
        if len(ins) == 2:
            return [f(*together(ins))]
        return [f(ins[0], scalar(args))]
    return run


def number(f):
    """f for operands that torch wants as tensors."""
    def run(a, b):
        if not torch.is_tensor(b):
            a, b = together([a, torch.tensor(b, dtype=torch.result_type(a, b))])
        a, b = together([a, b])
        return f(a, b)
    return run


def sign(x):
    """torch.sign, but NaN of NaN, as NumPy has it; PyTorch has 0."""
    return torch.where(torch.isnan(x), x, x.sign())


def divide(a, b):
    if not is_float(a) and (not torch.is_tensor(b) or not is_float(b)):
        a = fl(a)
    return a / b


def boolean(x):
    return x if x.dtype == torch.bool else x != 0


ONE = {
    "neg": torch.neg, "abs": torch.abs, "sign": sign, "square": torch.square, "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc,
    "sqrt": lambda x: fl(x).sqrt(), "rsqrt": lambda x: fl(x).rsqrt(), "reciprocal": lambda x: fl(x).reciprocal(),
    "exp": lambda x: fl(x).exp(), "expm1": lambda x: fl(x).expm1(), "log": lambda x: fl(x).log(), "log1p": lambda x: fl(x).log1p(),
    "sin": lambda x: fl(x).sin(), "cos": lambda x: fl(x).cos(), "tanh": lambda x: fl(x).tanh(), "erf": lambda x: fl(x).erf(), "erfinv": lambda x: fl(x).erfinv(),
    "sigmoid": lambda x: fl(x).sigmoid(), "relu": torch.relu, "gelu": lambda x: F.gelu(fl(x)), "gelu_tanh": lambda x: F.gelu(fl(x), approximate="tanh"),
    "silu": lambda x: F.silu(fl(x)), "is_nan": torch.isnan, "is_inf": torch.isinf, "is_finite": torch.isfinite, "not": lambda x: ~boolean(x),
    "t": lambda x: x.transpose(-1, -2), "flatten": lambda x: x.reshape(-1), "contiguous": lambda x: x.contiguous(), "named": lambda x: x, "detach": lambda x: x.detach(),
}

TWO = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": divide, "pow": torch.pow, "mod": torch.remainder,
    "maximum": number(torch.maximum), "minimum": number(torch.minimum),
    "eq": torch.eq, "ne": torch.ne, "lt": torch.lt, "le": torch.le, "gt": torch.gt, "ge": torch.ge,
    "and": lambda a, b: boolean(a) & boolean(b), "or": lambda a, b: boolean(a) | boolean(b),
}

OPS = {name: (lambda f: lambda ins, args: [f(ins[0])])(f) for name, f in ONE.items()}
OPS.update({name: pair(f) for name, f in TWO.items()})


def op(name):
    def register(f):
        OPS[name] = lambda ins, args: (lambda y: list(y) if isinstance(y, (list, tuple)) else [y])(f(ins, args))
        return f
    return register


# Reductions.
op("sum")(lambda i, a: i[0].sum(axes(i[0], a)) if i[0].dim() else i[0].sum())
op("mean")(lambda i, a: fl(i[0]).mean(axes(i[0], a)))
op("max")(lambda i, a: i[0].amax(axes(i[0], a)))
op("min")(lambda i, a: i[0].amin(axes(i[0], a)))
op("prod")(lambda i, a: prod(i[0], axes(i[0], a)) if i[0].dim() else i[0].prod())
op("any")(lambda i, a: logical(torch.any, i[0], axes(i[0], a)))
op("all")(lambda i, a: logical(torch.all, i[0], axes(i[0], a)))
op("var")(lambda i, a: fl(i[0]).var(axes(i[0], a), correction=0))
op("std")(lambda i, a: fl(i[0]).std(axes(i[0], a), correction=0))
op("norm")(lambda i, a: torch.linalg.vector_norm(fl(i[0]), dim=axes(i[0], a)))
op("logsumexp")(lambda i, a: torch.logsumexp(fl(i[0]), axes(i[0], a)))
op("argmax")(lambda i, a: i[0].argmax(a.get("axis")))
op("argmin")(lambda i, a: i[0].argmin(a.get("axis")))
op("cumsum")(lambda i, a: i[0].cumsum(a["axis"]))
op("sort")(lambda i, a: i[0].sort(dim=a.get("axis", -1), stable=True)[0])
op("argsort")(lambda i, a: i[0].argsort(dim=a.get("axis", -1), stable=True))
op("topk")(lambda i, a: list(i[0].topk(a["k"], a.get("axis", -1))))

# Shapes.
op("reshape")(lambda i, a: i[0].reshape(a["shape"]))
op("transpose")(lambda i, a: i[0].permute(*(a.get("axes") or reversed(range(i[0].dim())))))
op("squeeze")(lambda i, a: i[0].squeeze(tuple(a["axes"])) if a.get("axes") else i[0].squeeze())
op("unsqueeze")(lambda i, a: i[0].unsqueeze(a["axes"][0]))
op("expand")(lambda i, a: i[0].expand(*a["shape"]))
op("repeat")(lambda i, a: i[0].repeat(*a["shape"]))
op("flip")(lambda i, a: i[0].flip(axes(i[0], a)))
op("pad")(lambda i, a: pad(i[0], a))
op("split")(lambda i, a: i[0].split(a["sizes"], a["axis"]))
op("chunk")(lambda i, a: i[0].chunk(a["k"], a["axis"]))
op("concat")(lambda i, a: torch.cat(together(i), a["axis"]))
op("stack")(lambda i, a: torch.stack(together(i), a["axis"]))
op("tril")(lambda i, a: i[0].tril(a["k"]))
op("triu")(lambda i, a: i[0].triu(a["k"]))
op("cast")(lambda i, a: cast(i[0], a["to"]))

# Indexing.
op("at")(lambda i, a: at(i[0], a))
op("at_tensor")(lambda i, a: at_tensor(i[0], i[1], a))
op("set_at")(lambda i, a: set_at(i[0], i[1], a))
op("take")(lambda i, a: take(i[0], i[1], a["axis"]))
op("take_along")(lambda i, a: torch.take_along_dim(i[0], natural(i[1], i[0].shape[a["axis"]]), a["axis"]))
op("gather")(lambda i, a: i[0].gather(a["axis"], natural(i[1], i[0].shape[a["axis"]])))
op("scatter")(lambda i, a: i[0].scatter(a["axis"], natural(i[1], i[0].shape[a["axis"]]), i[2].to(i[0].dtype)))
op("scatter_add")(lambda i, a: i[0].scatter_add(a["axis"], natural(i[1], i[0].shape[a["axis"]]), i[2].to(i[0].dtype)))
op("dynamic_slice")(lambda i, a: i[0][box(i[0], i[1], a["shape"])])
op("dynamic_update_slice")(lambda i, a: dynamic_update(i[0], i[1], i[2]))
op("where")(lambda i, a: torch.where(i[0], *(together(i[1:]) if len(i) > 2 else (i[1], scalar(a)))))
op("clip")(lambda i, a: clip(i[0], a))
op("clip_tensor")(lambda i, a: torch.clamp(i[0], i[1], i[2]))

# Contractions.
op("matmul")(lambda i, a: matmul(i[0], i[1]))
op("einsum")(lambda i, a: torch.einsum(a["spec"], *together(i)))
op("conv1d")(lambda i, a: conv(F.conv1d, i, a))
op("conv2d")(lambda i, a: conv(F.conv2d, i, a))
op("attention")(attention)
op("linear")(lambda i, a: F.linear(i[0], i[1], i[2] if len(i) > 2 else None))
op("qr")(lambda i, a: qr(i[0]))
op("svd")(lambda i, a: svd(i[0], a["k"]))
op("solve")(lambda i, a: torch.linalg.solve(i[0], i[1]))

# Rows.
op("softmax")(lambda i, a: fl(i[0]).softmax(a.get("axis", -1)))
op("log_softmax")(lambda i, a: fl(i[0]).log_softmax(a.get("axis", -1)))
op("rms_norm")(lambda i, a: F.rms_norm(i[0], i[0].shape[-1:], i[1] if len(i) > 1 else None, eps=a["eps"]))
op("layer_norm")(lambda i, a: F.layer_norm(i[0], i[0].shape[-1:], i[1] if len(i) > 1 else None, i[2] if len(i) > 2 else None, eps=a["eps"]))
op("rope")(rope)
op("embedding")(lambda i, a: F.embedding(natural(i[1], i[0].shape[0]), i[0]))

# Losses.
op("cross_entropy_rows")(lambda i, a: cross_entropy(i, a, "none"))
op("cross_entropy")(lambda i, a: cross_entropy(i, a, "mean"))
op("mse")(lambda i, a: F.mse_loss(i[0], i[1]))
op("l1")(lambda i, a: F.l1_loss(i[0], i[1]))
op("huber")(lambda i, a: F.huber_loss(i[0], i[1], delta=a["float"]))
op("bce_with_logits")(lambda i, a: F.binary_cross_entropy_with_logits(i[0], i[1]))
op("nll")(lambda i, a: F.nll_loss(i[0].reshape(-1, i[0].shape[-1]), i[1].reshape(-1).to(torch.int64)))
op("kl_div")(lambda i, a: F.kl_div(i[0], i[1], reduction="sum") / max(1, i[0].numel() // i[0].shape[-1]))
op("cosine_similarity")(lambda i, a: F.cosine_similarity(i[0], i[1], dim=-1))
op("triplet")(lambda i, a: F.triplet_margin_loss(i[0], i[1], i[2], margin=a["float"], eps=0.0))
op("clip_norm")(lambda i, a: clip_norm(i, a["float"]))

# Sources.
def created(t):
    return t.to(torch.float64) if WIDE and is_float(t) else t


op("arange")(lambda i, a: torch.arange(*a["sizes"]))
op("linspace")(lambda i, a: created(torch.linspace(a["lo"], a["hi"], a["k"], dtype=torch.float64).to(torch.float64 if WIDE else torch.float32)))
op("eye")(lambda i, a: created(torch.eye(*a["sizes"])))
op("full")(lambda i, a: created(torch.full(a["shape"], scalar(a))))
op("zeros")(lambda i, a: created(torch.zeros(a["shape"])))
op("ones")(lambda i, a: created(torch.ones(a["shape"])))
op("of")(lambda i, a: created(torch.tensor(a["floats"], dtype=torch.float32)))
op("ints")(lambda i, a: torch.tensor(a["sizes"], dtype=torch.int64))


def lora(ins, args):
    """y = x W^T + s (x A^T) B^T, and DoRA's m/|W + s B A| of the rows: PEFT's layers."""
    ins = list(ins)
    x, w, a, b = ins[:4]
    rest = ins[4:]
    r = a.shape[0]
    s = args["alpha"] / (math.sqrt(r) if args.get("rslora") else r)
    y = F.linear(x, w) + F.linear(F.linear(x, a), b) * s
    merged = w + s * (b @ a)
    if args.get("dora"):
        m = rest.pop(0)
        norm = torch.linalg.vector_norm(merged, dim=1).detach()
        y = y * (m / norm)
        merged = merged * (m / norm)[:, None]
    if rest:
        y = y + rest[0]
    return [y, merged]


op("lora")(lora)

# Ops whose result is a copy or an exact choice of inputs: no rounding, nothing
# to be ill-conditioned.
EXACT = set("""neg abs sign relu floor ceil round trunc is_nan is_inf is_finite not t flatten contiguous named detach maximum minimum eq ne lt le gt ge and or
max min any all argmax argmin sort argsort topk reshape transpose squeeze unsqueeze expand repeat flip pad split chunk concat stack tril triu cast
at at_tensor set_at take take_along gather scatter dynamic_slice dynamic_update_slice where clip clip_tensor embedding mod
arange eye full zeros ones of ints""".split())
