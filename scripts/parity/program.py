"""Cases as small programs, and what PyTorch makes of them.

A case is a dictionary:

    {"kind": "call" or "graph", "in": [input, ...], "code": [step, ...], "out": [value, ...]}

Values are numbered: first the inputs, then the results of each step in order.
A step is {"op": name, "in": [values], ...arguments}. "out" lists the values
that are compared. Inputs with "grad" are differentiated: the loss is the sum,
over the float values of "out", of the elements times random weights (input
WEIGHTS + k of the case, uniform in -1 ... 1, in the value's dtype).
"""
import torch

import inputs
import ops

WEIGHTS = 32  # inputs of a case from this number on are the weights of its outputs
H = 1e-6  # relative perturbation that measures conditioning


class Rejected(Exception):
    """The case is of no use: PyTorch refuses it, or it is too ill-conditioned."""


def word_seed(case, k):
    return 64 * case + k


def execute(code, values, noise=None):
    values = list(values)
    for step in code:
        results = ops.OPS[step["op"]]([values[i] for i in step["in"]], step)
        if noise and step["op"] not in ops.EXACT:
            results = [noise(r) for r in results]
        values += results
    return values


def dtypes(case, number):
    """The dtypes of all values, as PyTorch promotes them. Where it has no kernel
    for a half type on the CPU, f32 stands in for it."""
    ops.WIDE = False
    try:
        with torch.no_grad():
            leaves = [inputs.view(s, inputs.base(s, word_seed(number, k))) for k, s in enumerate(case["in"])]
            try:
                return [inputs.NAMES[v.dtype] for v in execute(case["code"], leaves)]
            except (RuntimeError, NotImplementedError):
                half = {s["dtype"] for s in case["in"]} & {"f16", "bf16"}
                if len(half) != 1:
                    raise
                name = half.pop()
                leaves = [v.to(torch.float32) if v.dtype == inputs.TORCH[name] else v for v in leaves]
                return [name if v.dtype == torch.float32 else inputs.NAMES[v.dtype] for v in execute(case["code"], leaves)]
    except (RuntimeError, NotImplementedError, IndexError) as e:
        raise Rejected(str(e)) from e
    finally:
        ops.WIDE = True


def wide(t):
    return t.to(torch.float64) if t.dtype.is_floating_point else t


def perturbed(generator, h):
    """A function that moves each element of a tensor by up to one part in 1/h."""
    def noise(t):
        if not t.dtype.is_floating_point:
            return t
        return t * (1 + h * (2 * torch.rand(t.shape, generator=generator, dtype=torch.float64) - 1))
    return noise


def run(case, number, names, noise=None, inputs_too=True):
    """Values and gradients in float64: two dictionaries."""
    bases, views = [], []
    for k, s in enumerate(case["in"]):
        b = wide(inputs.base(s, word_seed(number, k)))
        if s.get("grad"):
            b.requires_grad_(True)
        v = inputs.view(s, b)
        bases.append(b)
        views.append(noise(v) if noise and inputs_too else v)
    values = execute(case["code"], views, noise)
    loss = None
    for place, i in enumerate(case["out"]):
        v = values[i]
        if not v.requires_grad:
            continue
        w = wide(inputs.base(weight(v, names[i]), word_seed(number, WEIGHTS + place)))
        if noise and inputs_too:
            w = noise(w)
        part = (v * w).sum()
        loss = part if loss is None else loss + part
    gradients = {}
    leaves = [(k, b) for k, b in enumerate(bases) if b.requires_grad]
    if loss is not None and leaves:
        for (k, _), g in zip(leaves, torch.autograd.grad(loss, [b for _, b in leaves], allow_unused=True)):
            if g is not None:
                gradients[k] = g
    return {i: values[i].detach() for i in case["out"]}, gradients


def weight(v, dtype):
    return {"gen": "uniform", "lo": -1.0, "hi": 1.0, "shape": list(v.shape), "dtype": dtype}


def expected(case, number, limit):
    """The results of a case: a list of (kind, index, dtype, tensor, noise), where
    noise is the largest change of an element when all inputs and intermediate
    results move by one unit: the conditioning of the case. More than limit times
    the largest element is Rejected."""
    try:
        names = dtypes(case, number)
        values, gradients = run(case, number, names)
        for k, s in enumerate(case["in"]):
            if s.get("grad") and k not in gradients:
                del s["grad"]
        rough = {}
        exact = all(step["op"] in ops.EXACT for step in case["code"])
        generator = torch.Generator().manual_seed(number)
        for _ in range(0 if exact else 3):
            moved = run(case, number, names, perturbed(generator, H))
            for kind, clean, changed in (("value", values, moved[0]), ("grad", gradients, moved[1])):
                for k in clean:
                    d = (wide(clean[k]) - wide(changed[k])).abs()
                    d = d[d.isfinite()]
                    rough[kind, k] = max(rough.get((kind, k), 0.0), (d.max().item() if d.numel() else 0.0) / H)
    except (RuntimeError, IndexError, ValueError) as e:
        raise Rejected(f"{type(e).__name__}: {e}") from e
    results = [("value", i, names[i], values[i], rough.get(("value", i), 0.0)) for i in case["out"]]
    results += [("grad", k, case["in"][k]["dtype"], g, rough.get(("grad", k), 0.0)) for k, g in gradients.items()]
    for kind, i, dtype, t, r in results:
        if t.dtype.is_floating_point and t.numel():
            finite = t[t.isfinite()].abs()
            if finite.numel() and r > limit * max(finite.max().item(), 1e-30) and r > 1e-12 and not (kind == "grad" and finite.max().item() < 1e-9):
                raise Rejected(f"{kind} {i}: conditioning {r:.3g} for a largest element of {finite.max().item():.3g}")
    return results
