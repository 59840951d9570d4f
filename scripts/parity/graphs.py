"""Random graphs of 5 to 20 ops over several inputs, with shared and repeated
subexpressions."""
import math
import random

import torch

import calls
import inputs
import ops
import program

MODES = ["", "", "", "checkpoint", "compile", "eager"]

UNARY = ["tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "relu", "sin", "cos", "erf", "neg", "square", "abs", "exp", "expm1", "softmax", "log_softmax", "cumsum", "flip", "t",
         "flatten", "contiguous", "named", "sign", "floor", "detach", "tril"]
AXES = ["sum", "mean", "max", "min", "var", "norm", "logsumexp", "std"]
BINARY = ["add", "sub", "mul", "maximum", "minimum"]


class Builder:
    """A graph under construction, with the value of everything in float64."""

    def __init__(self, rng, number, dtype):
        self.rng, self.number, self.dtype = rng, number, dtype
        self.case = {"kind": "graph", "in": [], "code": [], "out": []}
        self.values, self.uses = [], []

    def input(self, shape, **more):
        """A new input; all come before the steps, so this only works at first."""
        spec = calls.tensor(self.rng, list(shape), self.dtype, lo=-1.5, hi=1.5, **more)
        k = len(self.case["in"])
        self.case["in"].append(spec)
        self.values.append(program.wide(inputs.view(spec, inputs.base(spec, program.word_seed(self.number, k)))))
        self.uses.append(0)
        return k

    def step(self, op, ins, **args):
        """Appends a step if its results are of use; no operand may be None."""
        if None in ins:
            return False
        step = {"op": op, "in": ins, **args}
        try:
            results = ops.OPS[op]([self.values[i] for i in ins], step)
        except (RuntimeError, IndexError):
            return False
        for r in results:
            if r.numel() == 0 or r.numel() > 3000 or not r.isfinite().all() or r.dtype.is_floating_point and r.abs().max() > 30:
                return False
        self.case["code"].append(step)
        for i in ins:
            self.uses[i] += 1
        self.values += results
        self.uses += [0] * len(results)
        return True

    def pick(self, fits=lambda v: True):
        """A float value, later ones more often; None if none fits."""
        all = [i for i, v in enumerate(self.values) if v.dtype.is_floating_point and fits(v)]
        if not all:
            return None
        if self.rng.random() < 0.5:
            fresh = [i for i in all if not self.uses[i]]
            all = fresh or all
        return self.rng.choice(all[-6:] if self.rng.random() < 0.6 else all)

    def grow(self):
        """Tries to append one random step."""
        rng = self.rng
        kind = rng.choice(["unary"] * 5 + ["binary"] * 6 + ["scalar"] * 2 + ["axes"] * 2 + ["matmul"] * 3 + ["norm", "where", "shape", "shape", "join", "at", "take", "again", "divide", "clip", "cast",
                                                                                  "attention", "loss"])
        x = self.pick()
        s = list(self.values[x].shape)
        if kind == "unary":
            op = rng.choice(UNARY)
            if op in ("softmax", "log_softmax", "cumsum"):
                return bool(s) and self.step(op, [x], axis=rng.randrange(len(s)))
            if op in ("t", "tril") and len(s) < 2:
                return False
            return self.step(op, [x], **({"k": 0} if op == "tril" else {}))
        if kind == "binary":
            y = self.pick(lambda v: fits(self.values[x].shape, v.shape))
            return self.step(rng.choice(BINARY), [x, y])
        if kind == "divide":
            y = self.pick(lambda v: fits(self.values[x].shape, v.shape))
            n = len(self.values)
            return self.step("square", [y]) and self.step("add", [n], float=0.5) and self.step("div", [x, n + 1])
        if kind == "scalar":
            return self.step(rng.choice(["add", "mul", "sub", "maximum"]), [x], float=rng.choice([0.5, -1.25, 2.0, 0.1]))
        if kind == "axes" and s:
            op = rng.choice(AXES)
            n = len(self.values)
            axes = sorted(rng.sample(range(len(s)), rng.randint(1, len(s))))
            if not self.step(op, [x], axes=axes):
                return False
            return rng.random() < 0.5 or self.step("reshape", [n], shape=[1 if i in axes else d for i, d in enumerate(s)]) and self.step("sub", [x, n + 1])
        if kind == "matmul" and s:
            y = self.pick(lambda v: v.dim() >= 1 and v.shape[max(0, v.dim() - 2)] == s[-1] and v.dim() + len(s) < 7)
            return self.step("matmul", [x, y])
        if kind == "norm" and s and s[-1] > 2:
            if rng.random() < 0.5:
                return self.step("rms_norm", [x], eps=1e-3)
            w = self.pick(lambda v: list(v.shape) == s[-1:])
            return self.step("layer_norm", [x] if w is None else [x, w], eps=1e-3)
        if kind == "where":
            y = self.pick(lambda v: fits(self.values[x].shape, v.shape))
            n = len(self.values)
            return self.step(rng.choice(["lt", "gt"]), [x], float=0.0625) and self.step("where", [n, x, y])
        if kind == "shape" and s:
            which = rng.randrange(5)
            if which == 0:
                axes = list(range(len(s)))
                rng.shuffle(axes)
                return self.step("transpose", [x], axes=axes)
            if which == 1:
                return self.step("reshape", [x], shape=[-1, s[-1]] if len(s) != 2 else [s[1], s[0]])
            if which == 2:
                return self.step("pad", [x], margins=[rng.randint(0, 1), rng.randint(0, 2)], value=0.0)
            if which == 3:
                return self.step("unsqueeze", [x], axes=[rng.randrange(len(s) + 1)])
            return self.step("repeat", [x], shape=[rng.choice([1, 2]) for _ in s])
        if kind == "join" and s:
            axis = rng.randrange(len(s))
            y = self.pick(lambda v: v.dim() == len(s) and all(a == b for i, (a, b) in enumerate(zip(v.shape, s)) if i != axis))
            return self.step("concat", [x, y], axis=axis)
        if kind == "at" and s:
            return self.step("at", [x], places=calls.some_places(rng, s))
        if kind == "take" and s:
            index = [i for i, v in enumerate(self.values) if v.dtype == torch.int64 and i < len(self.case["in"]) and self.case["in"][i].get("limit", 99) <= s[0]]
            return bool(index) and self.step("take", [x, rng.choice(index)], axis=0)
        if kind == "again" and self.case["code"]:
            step = dict(rng.choice(self.case["code"]))  # the same once more: found equal, computed once
            return self.step(step.pop("op"), step.pop("in"), **step)
        if kind == "clip":
            return self.step("clip", [x], lo=-0.8, hi=rng.choice([0.9, 1.7]))
        if kind == "cast" and self.dtype == "f32":
            n = len(self.values)
            return self.step("cast", [x], to="f64") and self.step("tanh", [n]) and self.step("cast", [n + 1], to="f32")
        if kind == "attention" and len(s) == 2 and s[0] <= 9:
            n = len(self.values)
            return self.step("reshape", [x], shape=[1, 1] + s) and self.step("attention", [n, n, n], causal=rng.random() < 0.5) and self.step("reshape", [n + 1], shape=s)
        if kind == "loss" and len(s) == 2:
            index = [i for i, v in enumerate(self.values) if v.dtype == torch.int64 and list(v.shape) == s[:1] and self.case["in"][i]["limit"] <= s[1]]
            return bool(index) and self.step("cross_entropy_rows", [x, rng.choice(index)])
        return False


def fits(a, b):
    try:
        shape = torch.broadcast_shapes(a, b)
    except RuntimeError:
        return False
    return math.prod(shape) <= 1500


def graph(rng, number):
    dtype = rng.choice(["f32"] * 7 + ["f64", "f16", "bf16"])
    b = Builder(rng, number, dtype)
    t, d, e = rng.choice([1, 3, 4, 8]), rng.choice([2, 5, 8, 16]), rng.choice([3, 8, 17])
    shapes = [[t, d], [d, e], [d], [t, d], [e, d], [t, 1], [], [2, t, d], [1, d], [t, e], [e]]
    for s in [[t, d]] + rng.sample(shapes, rng.randint(1, 4)):
        b.input(s)
    if rng.random() < 0.5:
        index = {"gen": "int", "lo": 0, "hi": min(t, d), "limit": min(t, d), "shape": [t], "dtype": "i64"}
        k = len(b.case["in"])
        b.case["in"].append(index)
        b.values.append(inputs.base(index, program.word_seed(number, k)))
        b.uses.append(0)
    steps = rng.randint(5, 20)
    while len(b.case["code"]) < steps:
        b.grow()
    b.case["out"] = [i for i, n in enumerate(b.uses) if n == 0 and i >= len(b.case["in"])]
    # What nothing uses is compared; of many values the last ones.
    b.case["out"] = [i for i in b.case["out"]][-8:]
    mode = rng.choice(MODES)
    if mode and not (mode == "checkpoint" and (len(b.case["out"]) != 1 or not b.values[b.case["out"][0]].dtype.is_floating_point)):
        b.case["mode"] = mode
    return b.case


def make(seed, number, count, reject):
    """Graphs until count are accepted: pairs of a case and its results."""
    rng = random.Random(f"{seed} graphs")
    made = 0
    while made < count:
        case = graph(rng, number)
        if len(case["code"]) > 20:
            continue
        try:
            results = program.expected(case, number, 300)
        except program.Rejected as e:
            reject(str(e))
            continue
        if sum(kind == "grad" for kind, *_ in results) == 0:
            continue
        yield case, results
        made += 1
        number += 1
