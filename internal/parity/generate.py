"""Writes testdata/parity.jsonl.gz: random calls of PyTorch ops, and random small
graphs of them with gradients, with what PyTorch computes for each.

    pip install torch numpy
    python generate.py testdata/parity.jsonl.gz

One JSON object a line: {"in": [tensor], "steps": [{"op", "in", "attrs"}],
"out": [tensor], "grads": [tensor or null]}. Operands are numbered: the inputs
first, then the results of the steps (an op with several results counts as
several). "out" are the results of the last step; with "grads", the gradients of
sum(out[0] * weight) for each input, where weight counts 0.5, 0.75, 1, 1.25, 0.5 …
"""
import base64
import gzip
import json
import random
import sys

import torch
import torch.nn.functional as F

rng = random.Random(20)
torch.manual_seed(20)
torch.set_num_threads(1)

D = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16,
     "i32": torch.int32, "i64": torch.int64, "u8": torch.uint8, "bool": torch.bool}
N = {v: k for k, v in D.items()}
FLOATS = ["f32"] * 6 + ["f64", "f16", "bf16"]
WIDE = ["f32", "f32", "f32", "f64"]
NUMBERS = FLOATS + ["i32", "i64", "u8"]


def encode(t):
    """Tensor -> {"d": dtype, "s": shape, "v": values in base64}."""
    t = t.detach().contiguous()
    raw = t.view(torch.uint8) if t.dim() else t.reshape(1).view(torch.uint8)
    return {"d": N[t.dtype], "s": list(t.shape), "v": base64.b64encode(raw.numpy().tobytes()).decode()}


def shape(lo=0, hi=3, least=1, most=6):
    return [rng.randint(least, most) for _ in range(rng.randint(lo, hi))]


def tensor(s, dtype, kind="normal"):
    """Values are multiples of 1/16 (so that they pack well and fit every dtype)."""
    n = 1
    for d in s:
        n *= d
    if dtype == "bool":
        v = [rng.randint(0, 1) for _ in range(n)]
    elif kind == "positive":
        v = [rng.randint(2, 40) / 16 for _ in range(n)] if dtype in FLOATS else [rng.randint(1, 5) for _ in range(n)]
    elif kind == "distinct":
        v = list(range(-(n // 2), n - n // 2))
        rng.shuffle(v)
        v = [x / 16 for x in v] if dtype in FLOATS else ([abs(x) for x in v] if dtype == "u8" else v)
    elif dtype in FLOATS:
        v = [(rng.randint(-48, 48) or 5) / 16 for _ in range(n)]
    else:
        v = [rng.randint(0 if dtype == "u8" else -9, 9) for _ in range(n)]
    return torch.tensor(v, dtype=D[dtype]).reshape(s)


def indices(s, limit):
    n = 1
    for d in s:
        n *= d
    return torch.tensor([rng.randrange(limit) for _ in range(n)], dtype=torch.int64).reshape(s)


def broadcastable(s):
    """A shape that broadcasts with s."""
    t = [1 if rng.random() < 0.3 else d for d in s]
    return t[rng.randint(0, len(t)):] if rng.random() < 0.4 else t


def axis_of(s):
    a = rng.randrange(len(s))
    return a - len(s) if rng.random() < 0.5 else a


def axes_of(s):
    return rng.sample(range(len(s)), rng.randint(1, len(s))) if s and rng.random() < 0.7 else []


# Ops: name -> function of tensors and attributes.
OPS = {}




UNARY = {"Neg": torch.neg, "Abs": torch.abs, "Sign": torch.sign, "Sqrt": torch.sqrt, "Rsqrt": torch.rsqrt, "Square": torch.square,
         "Reciprocal": torch.reciprocal, "Exp": torch.exp, "Expm1": torch.expm1, "Log": torch.log, "Log1p": torch.log1p, "Sin": torch.sin,
         "Cos": torch.cos, "Tanh": torch.tanh, "Erf": torch.erf, "Sigmoid": torch.sigmoid, "Relu": torch.relu, "Gelu": F.gelu,
         "GeluTanh": lambda x: F.gelu(x, approximate="tanh"), "Silu": F.silu, "Floor": torch.floor, "Ceil": torch.ceil, "Round": torch.round,
         "IsNaN": torch.isnan, "IsInf": torch.isinf, "Not": torch.logical_not}
BINARY = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div, "Pow": torch.pow, "Mod": torch.remainder,
          "Maximum": torch.maximum, "Minimum": torch.minimum, "Eq": torch.eq, "Ne": torch.ne, "Lt": torch.lt, "Le": torch.le,
          "Gt": torch.gt, "Ge": torch.ge, "And": torch.logical_and, "Or": torch.logical_or}
FLOAT_ONLY = {"Gelu", "GeluTanh", "Silu"}
for n, f in UNARY.items():
    OPS[n] = lambda t, a, f=f: f(t[0])
for n, f in BINARY.items():
    OPS[n] = lambda t, a, f=f: f(t[0], a["scalar"] if "scalar" in a else t[1])

OPS["Where"] = lambda t, a: torch.where(t[0], t[1], t[2])
OPS["Clip"] = lambda t, a: torch.clamp(t[0], a["lo"], a["hi"])
OPS["Cast"] = lambda t, a: t[0].to(D[a["dtype"]])
OPS["Sum"] = lambda t, a: t[0].sum(a["axes"]) if a["axes"] else t[0].sum()
OPS["Mean"] = lambda t, a: t[0].mean(a["axes"]) if a["axes"] else t[0].mean()
OPS["Max"] = lambda t, a: t[0].amax(a["axes"])
OPS["Min"] = lambda t, a: t[0].amin(a["axes"])
OPS["Var"] = lambda t, a: t[0].var(a["axes"] or None, correction=0)
OPS["Std"] = lambda t, a: t[0].std(a["axes"] or None, correction=0)
OPS["Prod"] = lambda t, a: t[0].prod(a["axis"])
OPS["Any"] = lambda t, a: t[0].any(a["axis"])
OPS["All"] = lambda t, a: t[0].all(a["axis"])
OPS["ArgMax"] = lambda t, a: t[0].argmax(a["axis"])
OPS["ArgMin"] = lambda t, a: t[0].argmin(a["axis"])
OPS["LogSumExp"] = lambda t, a: t[0].logsumexp(a["axes"] or list(range(t[0].dim())))
OPS["Norm"] = lambda t, a: torch.linalg.vector_norm(t[0], dim=a["axes"] or None)
OPS["CumSum"] = lambda t, a: t[0].cumsum(a["axis"])
OPS["Sort"] = lambda t, a: t[0].sort(dim=a["axis"], stable=True)[0]
OPS["ArgSort"] = lambda t, a: t[0].argsort(dim=a["axis"], stable=True)
OPS["TopK"] = lambda t, a: tuple(t[0].topk(a["k"], a["axis"]))
OPS["Softmax"] = lambda t, a: t[0].softmax(a["axis"])
OPS["LogSoftmax"] = lambda t, a: t[0].log_softmax(a["axis"])
OPS["MatMul"] = lambda t, a: t[0] @ t[1]
OPS["T"] = lambda t, a: t[0].mT
OPS["Transpose"] = lambda t, a: t[0].permute(a["axes"])
OPS["Reshape"] = lambda t, a: t[0].reshape(a["shape"])
OPS["Flatten"] = lambda t, a: t[0].flatten()
OPS["Squeeze"] = lambda t, a: t[0].squeeze()
OPS["Unsqueeze"] = lambda t, a: t[0].unsqueeze(a["axis"])
OPS["Expand"] = lambda t, a: t[0].expand(a["shape"])
OPS["Repeat"] = lambda t, a: t[0].repeat(a["counts"])
OPS["Flip"] = lambda t, a: t[0].flip(a["axes"])
OPS["Pad"] = lambda t, a: F.pad(t[0], [m for pair in reversed(list(zip(a["margins"][::2], a["margins"][1::2]))) for m in pair], value=a["value"])
OPS["Split"] = lambda t, a: t[0].split(a["sizes"], a["axis"])
OPS["Chunk"] = lambda t, a: t[0].chunk(a["count"], a["axis"])
OPS["At"] = lambda t, a: t[0][tuple(p if isinstance(p, int) else slice(*p) for p in a["places"])]
OPS["Concat"] = lambda t, a: torch.cat(t, a["axis"])
OPS["Stack"] = lambda t, a: torch.stack(t, a["axis"])
OPS["Take"] = lambda t, a: torch.index_select(t[0], a["axis"], t[1])
OPS["Gather"] = lambda t, a: torch.gather(t[0], a["axis"], t[1])
OPS["Scatter"] = lambda t, a: torch.scatter(t[0], a["axis"], t[1], t[2])
OPS["ScatterAdd"] = lambda t, a: torch.scatter_add(t[0], a["axis"], t[1], t[2])
OPS["Tril"] = lambda t, a: t[0].tril(a["k"])
OPS["Triu"] = lambda t, a: t[0].triu(a["k"])
OPS["Solve"] = lambda t, a: torch.linalg.solve(t[0], t[1])
OPS["SingularValues"] = lambda t, a: torch.linalg.svdvals(t[0])
OPS["Conv1d"] = lambda t, a: F.conv1d(t[0], t[1], t[2] if len(t) > 2 else None, a["stride"], a["pad"], a["dilation"], a["groups"])
OPS["Conv2d"] = lambda t, a: F.conv2d(t[0], t[1], t[2] if len(t) > 2 else None, a["stride"], a["pad"], a["dilation"], a["groups"])
OPS["RMSNorm"] = lambda t, a: F.rms_norm(t[0], t[0].shape[-1:], t[1] if len(t) > 1 else None, a["eps"])
OPS["LayerNorm"] = lambda t, a: F.layer_norm(t[0], t[0].shape[-1:], t[1] if len(t) > 1 else None, t[2] if len(t) > 2 else None, a["eps"])
OPS["Attention"] = lambda t, a: F.scaled_dot_product_attention(t[0], t[1], t[2], t[3] if len(t) > 3 else None, is_causal=a["causal"], enable_gqa=True)
OPS["CrossEntropy"] = lambda t, a: F.cross_entropy(t[0], t[1], ignore_index=a["ignore"], label_smoothing=a["smoothing"])
OPS["MSE"] = lambda t, a: F.mse_loss(t[0], t[1])
OPS["L1"] = lambda t, a: F.l1_loss(t[0], t[1])
OPS["Huber"] = lambda t, a: F.huber_loss(t[0], t[1], delta=a["delta"])
OPS["BCEWithLogits"] = lambda t, a: F.binary_cross_entropy_with_logits(t[0], t[1])
OPS["KLDiv"] = lambda t, a: F.kl_div(t[0], t[1], reduction="sum") / max(1, t[0][..., 0].numel())
OPS["Einsum"] = lambda t, a: torch.einsum(a["spec"], *t)


def call():
    """One random call: (op, input tensors, attributes)."""
    name = rng.choice(list(OPS))
    dt = rng.choice(FLOATS)
    if name in UNARY:
        kind = "positive" if name in ("Sqrt", "Rsqrt", "Log", "Log1p", "Reciprocal") else "normal"
        if name not in FLOAT_ONLY and rng.random() < 0.25:
            dt = rng.choice(["i32", "i64", "u8"])
            if name == "Neg":
                dt = "i64"
        return name, [tensor(shape(), dt, kind)], {}
    if name in BINARY:
        s = shape()
        dt = rng.choice(NUMBERS)
        other = dt if rng.random() < 0.6 else rng.choice(NUMBERS)
        if name in ("Div", "Mod"):
            a, b = tensor(s, dt), tensor(broadcastable(s), other, "positive")
        elif name == "Pow":
            dt = rng.choice(FLOATS)
            a, b = tensor(s, dt, "positive"), tensor(broadcastable(s), dt)
        else:
            a, b = tensor(s, dt), tensor(broadcastable(s), other)
        if a.dtype != b.dtype and (a.dim() == 0 or b.dim() == 0):
            # PyTorch promotes tensors without axes like numbers; for us a tensor is a tensor.
            b = b.to(a.dtype)
        if rng.random() < 0.2 and name not in ("Maximum", "Minimum", "And", "Or"):
            v = rng.choice([2, 3, 0.5, 1.5]) if name in ("Div", "Mod", "Pow") else rng.choice([2, 0.5, 3, 1.5])
            return name, [a], {"scalar": v}
        if rng.random() < 0.5 and name not in ("Div", "Mod", "Pow"):
            a, b = b, a
        return name, [a, b], {}
    s1 = shape(1)
    x = tensor(s1, dt)
    if name == "Where":
        return name, [tensor(broadcastable(s1), "bool"), x, tensor(broadcastable(s1), dt)], {}
    if name == "Clip":
        return name, [x], {"lo": -0.5, "hi": 1.25}
    if name == "Cast":
        return name, [tensor(s1, rng.choice(NUMBERS + ["bool"]))], {"dtype": rng.choice(["f32", "f64", "f16", "bf16", "i32", "i64", "bool"])}
    if name in ("Sum", "Mean", "Max", "Min", "Var", "Std", "LogSumExp", "Norm"):
        if name == "Sum" and rng.random() < 0.3:
            x = tensor(s1, rng.choice(["i32", "i64", "u8", "bool"]))
        if name in ("Max", "Min") and rng.random() < 0.3:
            x = tensor(s1, rng.choice(["i32", "i64", "u8"]))
        return name, [x], {"axes": axes_of(s1)}
    if name in ("Prod", "CumSum"):
        if rng.random() < 0.2:
            x = tensor(s1, rng.choice(["i64"]))
        return name, [x], {"axis": axis_of(s1)}
    if name in ("Any", "All"):
        return name, [tensor(s1, rng.choice(["bool", "bool", "f32"]))], {"axis": axis_of(s1)}
    if name in ("ArgMax", "ArgMin", "Sort", "ArgSort"):
        return name, [tensor(s1, rng.choice(NUMBERS), "distinct")], {"axis": axis_of(s1)}
    if name == "TopK":
        a = axis_of(s1)
        return name, [tensor(s1, dt, "distinct")], {"axis": a, "k": rng.randint(1, s1[a])}
    if name in ("Softmax", "LogSoftmax"):
        return name, [x], {"axis": axis_of(s1)}
    if name == "MatMul":
        m, k, n = (rng.randint(1, 7) for _ in range(3))
        a, b = [m, k], [k, n]
        r = rng.random()
        if r < 0.15:
            a = [k]
        elif r < 0.3:
            b = [k]
        elif r < 0.6:
            batch = shape(1, 2, 1, 3)
            a = batch + a
            if rng.random() < 0.5:
                b = broadcastable(batch) + b
        return name, [tensor(a, dt), tensor(b, dt)], {}
    if name in ("T", "Tril", "Triu"):
        s2 = shape(2, 4)
        return name, [tensor(s2, rng.choice(NUMBERS))], {} if name == "T" else {"k": rng.randint(-2, 2)}
    if name == "Transpose":
        p = list(range(len(s1)))
        rng.shuffle(p)
        return name, [x], {"axes": p}
    if name == "Reshape":
        n = x.numel()
        d = rng.choice([d for d in range(1, n + 1) if n % d == 0])
        return name, [x], {"shape": rng.choice([[d, n // d], [-1, d], [n // d, 1, d], [-1]])}
    if name in ("Flatten", "Squeeze"):
        s = [1 if rng.random() < 0.4 else d for d in s1]
        return name, [tensor(s, dt)], {}
    if name == "Unsqueeze":
        return name, [x], {"axis": rng.randint(-len(s1) - 1, len(s1))}
    if name == "Expand":
        s = [1 if rng.random() < 0.5 else d for d in s1]
        return name, [tensor(s, dt)], {"shape": ([2] if rng.random() < 0.4 else []) + [rng.randint(1, 4) if d == 1 else -1 for d in s]}
    if name == "Repeat":
        return name, [x], {"counts": ([2] if rng.random() < 0.3 else []) + [rng.randint(1, 3) for _ in s1]}
    if name == "Flip":
        return name, [x], {"axes": rng.sample(range(len(s1)), rng.randint(1, len(s1)))}
    if name == "Pad":
        return name, [x], {"margins": [rng.randint(0, 2) for _ in range(2 * rng.randint(1, len(s1)))], "value": rng.choice([0, 1.5])}
    if name == "Split":
        a = axis_of(s1)
        k = rng.randint(0, s1[a])
        return name, [x], {"axis": a, "sizes": [k, s1[a] - k]}
    if name == "Chunk":
        return name, [x], {"axis": axis_of(s1), "count": rng.randint(1, 4)}
    if name == "At":
        places = []
        for d in s1[: rng.randint(1, len(s1))]:
            r = rng.random()
            if r < 0.35:
                places.append(rng.randint(-d, d - 1))
            elif r < 0.5:
                places.append([None, None, 1])
            else:
                places.append([rng.randint(-d, d), rng.randint(-d, d + 1), rng.randint(1, 3)])
        return name, [tensor(s1, rng.choice(NUMBERS))], {"places": places}
    if name == "Concat":
        a = axis_of(s1)
        parts = []
        for _ in range(rng.randint(1, 3)):
            s = list(s1)
            s[a] = rng.randint(0, 4)
            parts.append(tensor(s, dt if rng.random() < 0.8 else "f32"))
        return name, parts, {"axis": a}
    if name == "Stack":
        return name, [tensor(s1, dt) for _ in range(rng.randint(1, 3))], {"axis": rng.randint(-len(s1) - 1, len(s1))}
    if name == "Take":
        a = axis_of(s1)
        return name, [x, indices([rng.randint(1, 6)], s1[a])], {"axis": a}
    if name == "Gather":
        a = axis_of(s1)
        s = [rng.randint(1, d) for d in s1]
        s[a] = rng.randint(1, 6)
        return name, [x, indices(s, s1[a])], {"axis": a}
    if name in ("Scatter", "ScatterAdd"):
        a = rng.randrange(len(s1))
        s = list(s1)
        if name == "Scatter":  # no place twice: which one wins is not defined
            s[a] = rng.randint(1, s1[a])
            lines = [torch.tensor(rng.sample(range(s1[a]), s[a])) for _ in range(x.numel() // s1[a])]
            moved = s[:a] + s[a + 1:] + [s[a]]
            idx = torch.stack(lines).reshape(moved).movedim(-1, a).contiguous()
        else:
            s[a] = rng.randint(1, 6)
            idx = indices(s, s1[a])
        return name, [x, idx, tensor(s, dt)], {"axis": a}
    if name == "Solve":
        n, m = rng.randint(1, 4), rng.randint(1, 3)
        dt = rng.choice(WIDE)
        batch = shape(0, 1, 1, 2)
        return name, [tensor(batch + [n, n], dt) + 8 * torch.eye(n, dtype=D[dt]), tensor(batch + [n, m], dt)], {}
    if name == "SingularValues":
        return name, [tensor(shape(0, 1, 1, 2) + [rng.randint(1, 4), rng.randint(1, 4)], rng.choice(WIDE))], {}
    if name in ("Conv1d", "Conv2d"):
        rank = 1 if name == "Conv1d" else 2
        g = rng.choice([1, 1, 2])
        i, o = g * rng.randint(1, 2), g * rng.randint(1, 2)
        dt = rng.choice(WIDE)
        pairs = lambda lo, hi: [rng.randint(lo, hi) for _ in range(rank)]
        x = tensor([rng.randint(1, 2), i] + [rng.randint(5, 7) for _ in range(rank)], dt)
        t = [x, tensor([o, i // g] + pairs(1, 3), dt)]
        if rng.random() < 0.5:
            t.append(tensor([o], dt))
        return name, t, {"stride": pairs(1, 2), "pad": pairs(0, 2), "dilation": pairs(1, 2), "groups": g}
    if name in ("RMSNorm", "LayerNorm"):
        t = [tensor(s1[:-1] + [s1[-1] + 1], dt)]
        if rng.random() < 0.7:
            t.append(tensor(t[0].shape[-1:], dt))
            if name == "LayerNorm" and rng.random() < 0.7:
                t.append(tensor(t[0].shape[-1:], dt))
        return name, t, {"eps": 1e-3}
    if name == "Attention":
        b, h, n, d = rng.randint(1, 2), rng.choice([1, 2, 4]), rng.randint(1, 6), rng.randint(1, 6)
        hk = rng.choice([k for k in (1, 2, 4) if h % k == 0])
        causal = rng.random() < 0.4
        s = n if causal else rng.randint(1, 6)
        dt = rng.choice(WIDE)
        t = [tensor([b, h, n, d], dt), tensor([b, hk, s, d], dt), tensor([b, hk, s, d], dt)]
        if not causal and rng.random() < 0.5:
            if rng.random() < 0.5:
                m = tensor([n, s], "bool")
                m[:, 0] = True
                t.append(m)
            else:
                t.append(tensor([b, 1, n, s], dt))
        return name, t, {"causal": causal}
    if name == "CrossEntropy":
        rows, c = rng.randint(2, 5), rng.randint(2, 6)
        ignore = rng.choice([-100, 1])
        t = indices([rows], c)
        t[0] = 0
        dt = rng.choice(WIDE)
        return name, [tensor([rows, c], dt), t], {"ignore": ignore, "smoothing": rng.choice([0.0, 0.1])}
    if name in ("MSE", "L1", "Huber", "BCEWithLogits", "KLDiv"):
        dt = rng.choice(WIDE)
        y = tensor(s1, dt)
        if name in ("BCEWithLogits", "KLDiv"):
            y = torch.rand(s1, dtype=D[dt]).mul(16).round().div(16)
        return name, [tensor(s1, dt), y], {"delta": 0.75} if name == "Huber" else {}
    if name == "Einsum":
        spec, letters = rng.choice([("ij,jk->ik", ["ij", "jk"]), ("bij,bkj->bik", ["bij", "bkj"]), ("ij->ji", ["ij"]), ("ii->i", ["ii"]), ("ii", ["ii"]),
                                    ("ij,ij->", ["ij", "ij"]), ("i,j->ij", ["i", "j"]), ("bhqd,bhkd->bhqk", ["bhqd", "bhkd"]), ("ij,jk,kl->il", ["ij", "jk", "kl"]),
                                    ("ijk->j", ["ijk"]), ("ij,j", ["ij", "j"]), ("...ij,jk->...ik", ["xij", "jk"]), ("abc,cd->dab", ["abc", "cd"])])
        size = {l: rng.randint(1, 4) for l in "abcdhijklqbx"}
        return name, [tensor([size[l] for l in w], rng.choice(["f32", "f64"]) if len(letters) == 1 else "f32") for w in letters], {"spec": spec}
    raise KeyError(name)


def weight(y):
    """0.5, 0.75, 1, 1.25, 0.5, …"""
    n = y.numel()
    return (torch.arange(n) % 4 * 0.25 + 0.5).to(y.dtype).reshape(y.shape)


def run(inputs, steps, gradients):
    leaves = [t.clone().requires_grad_(gradients and t.is_floating_point()) for t in inputs]
    values = list(leaves)
    out = ()
    for s in steps:
        y = OPS[s["op"]]([values[i] for i in s["in"]], s["attrs"])
        out = y if isinstance(y, (tuple, list)) else (y,)
        values.extend(out)
    record = {"in": [encode(t) for t in inputs], "steps": steps, "out": [encode(t) for t in out]}
    if gradients:
        wanted = [t for t in leaves if t.requires_grad]
        if not out[0].requires_grad:
            return None
        gs = iter(torch.autograd.grad((out[0] * weight(out[0])).sum(), wanted, allow_unused=True))
        record["grads"] = [None if not t.requires_grad else (lambda g: None if g is None else encode(g))(next(gs)) for t in leaves]
    return record


SMOOTH = ["Neg", "Square", "Exp", "Sin", "Cos", "Tanh", "Erf", "Sigmoid", "Gelu", "GeluTanh", "Silu", "Relu", "Softmax", "LogSoftmax", "Sum", "Mean", "Var",
          "LogSumExp", "CumSum", "T", "Flatten", "Unsqueeze", "Flip", "Add", "Sub", "Mul", "Maximum", "Where", "MatMul", "Concat", "Stack", "RMSNorm", "LayerNorm",
          "Sort", "Max", "Norm", "Repeat", "Tril", "Add", "Mul", "MatMul"]


def graph():
    """A random graph of f32 or f64 ops that are differentiable."""
    dt = rng.choice(["f32", "f32", "f64"])
    n = rng.randint(2, 5)
    inputs = [tensor([n, n], dt), tensor([n, n], dt), tensor([n], dt)]
    shapes = [list(t.shape) for t in inputs]
    steps, values = [], [t for t in inputs]
    for _ in range(rng.randint(3, 12)):
        name = rng.choice(SMOOTH)
        i = rng.choice(range(max(0, len(values) - 4), len(values)))
        x = values[i]
        if not x.is_floating_point() or x.numel() > 200:
            i, x = 0, values[0]
        ins, attrs = [i], {}
        s = list(x.shape)
        if name in ("Add", "Sub", "Mul", "Maximum", "Where", "Concat", "Stack"):
            same = [j for j, v in enumerate(values) if list(v.shape) == s and v.is_floating_point()]
            ins = [i, rng.choice(same)]
            if name == "Where":
                inputs_mask = [i, rng.choice(same)]
                steps.append({"op": "Gt", "in": [i], "attrs": {"scalar": 0.1}})
                values.append(x > 0.1)
                ins = [len(values) - 1] + inputs_mask
            if name in ("Concat", "Stack"):
                if not s:
                    continue
                attrs = {"axis": rng.randrange(len(s))}
        elif name == "MatMul":
            fits = [j for j, v in enumerate(values) if len(v.shape) >= 1 and len(s) >= 1 and v.is_floating_point() and v.shape[max(-2, -v.dim())] == s[-1] and v.dim() <= 2 and len(s) <= 2]
            if not fits:
                continue
            ins = [i, rng.choice(fits)]
        elif name in ("Softmax", "LogSoftmax", "CumSum", "Sort"):
            if not s:
                continue
            attrs = {"axis": rng.randrange(len(s))}
        elif name in ("Sum", "Mean", "Var", "LogSumExp", "Max", "Norm"):
            if not s:
                continue
            attrs = {"axes": [rng.randrange(len(s))]}
        elif name in ("T", "Tril"):
            if len(s) < 2:
                continue
            attrs = {"k": 1} if name == "Tril" else {}
        elif name == "Unsqueeze":
            attrs = {"axis": 0}
        elif name == "Flip":
            if not s:
                continue
            attrs = {"axes": [0]}
        elif name == "Repeat":
            if not s or len(s) > 2:
                continue
            attrs = {"counts": [2] + [1] * (len(s) - 1)}
        elif name in ("RMSNorm", "LayerNorm"):
            if not s or s[-1] < 2:
                continue
            attrs = {"eps": 1e-3}
        y = OPS[name]([values[j] for j in ins], attrs)
        if y.dim() > 4 or not torch.isfinite(y).all() or y.abs().max() > 1e3:
            continue
        steps.append({"op": name, "in": ins, "attrs": attrs})
        values.append(y)
    if not steps:
        return None
    # Everything that is left over joins the loss through the last value.
    last = values[-1]
    if not last.is_floating_point():
        return None
    r = run(inputs, steps, True)
    if r is None or any(g is not None and not torch.isfinite(decode(g)).all() for g in r["grads"]):
        return None
    return r


def decode(e):
    return torch.frombuffer(bytearray(base64.b64decode(e["v"])), dtype=D[e["d"]]) if e["v"] else torch.zeros(0)


def main(path):
    calls, graphs, refused = 0, 0, 0
    with gzip.GzipFile(path, "wb", mtime=0) as f:
        f.write((json.dumps({"torch": torch.__version__}) + "\n").encode())
        while calls < 2600:
            name, t, attrs = call()
            try:
                differentiable = name not in ("Sign", "Floor", "Ceil", "Round") and all(x.dtype in (torch.float32, torch.float64, torch.int64, torch.bool) for x in t)
                steps = [{"op": name, "in": list(range(len(t))), "attrs": attrs}]
                r = run(t, steps, False)
                if differentiable and rng.random() < 0.5:
                    g = run(t, steps, True)
                    if g is not None and all(e is None or torch.isfinite(decode(e)).all() for e in g["grads"]):
                        r = g
            except (RuntimeError, NotImplementedError) as e:
                refused += 1
                continue
            if r["out"] and all(len(o["v"]) < 4000 for o in r["out"]):
                r["kind"] = "call"
                f.write((json.dumps(r, separators=(",", ":")) + "\n").encode())
                calls += 1
        while graphs < 400:
            r = graph()
            if r is not None:
                r["kind"] = "graph"
                f.write((json.dumps(r, separators=(",", ":")) + "\n").encode())
                graphs += 1
    print(f"{calls} calls, {graphs} graphs; PyTorch refused {refused} calls that were left out")


if __name__ == "__main__":
    main(sys.argv[1])
