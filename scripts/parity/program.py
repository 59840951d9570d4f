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
LOSS = 32  # units of the largest element (or of 1) that PyTorch itself may lose
FLOOR = 1e-3  # a smaller largest element counts as this: gradients that are 0 but for rounding
EPSILON = {"f32": 2.0**-23, "f16": 2.0**-10, "bf16": 2.0**-7, "f64": 2.0**-52}
SATURATING = ("tanh", "sigmoid", "softmax", "attention", "cross_entropy_rows")  # their derivative is a difference of numbers near 1
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


def run(case, number, names, noise=None, exact=False, native=False, bases=None):
    """Values and gradients in float64 (native: in the dtypes of the case): two
    dictionaries. noise perturbs the weights, all results and, unless the case is
    exact, the inputs. bases stand in for the case's own."""
    if bases is None:
        bases = [inputs.base(s, word_seed(number, k)) for k, s in enumerate(case["in"])]
    bases = [(b if native else wide(b)).detach().clone() for b in bases]
    views = []
    for s, b in zip(case["in"], bases):
        if s.get("grad"):
            b.requires_grad_(True)
        v = inputs.view(s, b)
        views.append(noise(v) if noise and not exact else v)
    values = execute(case["code"], views, noise)
    loss = None
    for place, i in enumerate(case["out"]):
        v = values[i]
        if not v.requires_grad:
            continue
        w = wide(inputs.base(weight(v, names[i]), word_seed(number, WEIGHTS + place)))
        if noise:
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


def differences(clean, changed):
    """The largest finite difference of each result."""
    out = {}
    for kind, a, b in (("value", clean[0], changed[0]), ("grad", clean[1], changed[1])):
        for k in a:
            if a[k].dtype.is_floating_point:
                d = (a[k] - wide(b[k])).abs()
                d = d[d.isfinite()]
                out[kind, k] = d.max().item() if d.numel() else 0.0
    return out


def losses(case, number, names, generator):
    """What PyTorch itself loses in the dtypes of the case, in their units, by
    result: the most of three runs with inputs moved by a thousandth or more. For
    f64 this is measured in f32."""
    case = dict(case, **{"in": [dict(s, dtype="f32" if s["dtype"] == "f64" else s["dtype"]) for s in case["in"]]})
    names = ["f32" if n == "f64" else n for n in names]
    worst = {}
    for _ in range(3):
        bases = []
        for k, s in enumerate(case["in"]):
            b = inputs.base(s, word_seed(number, k))
            if b.dtype.is_floating_point:
                b = (b * (1 + (1e-3 if s["dtype"] == "f32" else 1e-2) * (2 * torch.rand(b.shape, generator=generator) - 1))).to(b.dtype)
            bases.append(b)
        clean = run(case, number, names, bases=bases)
        ops.WIDE = False
        try:
            changed = run(case, number, names, bases=bases, native=True)
        except (RuntimeError, NotImplementedError):
            return worst
        finally:
            ops.WIDE = True
        for (kind, k), d in differences(clean, changed).items():
            d /= EPSILON[names[k] if kind == "value" else case["in"][k]["dtype"]]
            worst[kind, k] = max(worst.get((kind, k), 0.0), d)
    return worst


def weight(v, dtype):
    return {"gen": "uniform", "lo": -1.0, "hi": 1.0, "shape": list(v.shape), "dtype": dtype}


def steady(case, number, names, clean, rough, generator):
    """Rejects a case in half precision whose rounding may flip a decision (a sign,
    the larger of two): moved by two units, it changes by more than in proportion."""
    half = [s["dtype"] for s in case["in"] if s["dtype"] in ("f16", "bf16")]
    if not half:
        return
    h = 2 * max(EPSILON[d] for d in half)
    for _ in range(8):
        for (kind, k), d in differences(clean, run(case, number, names, perturbed(generator, h))).items():
            t = (clean[0] if kind == "value" else clean[1])[k]
            finite = t[t.isfinite()].abs()
            if d / h > 4 * rough[kind, k] + 4 * max(finite.max().item() if finite.numel() else 0.0, FLOOR):
                raise Rejected(f"{kind} {k}: rounding flips a decision")


def expected(case, number, limit):
    """The results of a case: a list of (kind, index, dtype, tensor, noise). noise
    is the conditioning of the case: the largest change of an element when
    intermediate results, weights and (unless all ops are exact) inputs move by
    one unit, or what PyTorch itself loses in these dtypes, whichever is more. A
    change of more than limit times the largest element is Rejected, and so is a
    loss of PyTorch's of more than LOSS times that (or LOSS)."""
    try:
        names = dtypes(case, number)
        clean = run(case, number, names)
        for k, s in enumerate(case["in"]):
            if s.get("grad") and k not in clean[1]:
                del s["grad"]
        exact = all(step["op"] in ops.EXACT for step in case["code"])
        generator = torch.Generator().manual_seed(number)
        rough = {}
        for _ in range(3):
            for k, d in differences(clean, run(case, number, names, perturbed(generator, H), exact)).items():
                rough[k] = max(rough.get(k, 0.0), d / H)
        if not exact:
            steady(case, number, names, clean, rough, generator)
        lost = losses(case, number, names, generator)
    except (RuntimeError, IndexError, ValueError) as e:
        raise Rejected(f"{type(e).__name__}: {e}") from e
    results = []
    for kind, i, dtype, t in [("value", i, names[i], clean[0][i]) for i in case["out"]] + [("grad", k, case["in"][k]["dtype"], g) for k, g in clean[1].items()]:
        noise = 0.0
        if t.dtype.is_floating_point and t.numel():
            finite = t[t.isfinite()].abs()
            largest = finite.max().item() if finite.numel() else 0.0
            noise = rough.get((kind, i), 0.0)
            if noise > limit * max(largest, FLOOR):
                raise Rejected(f"{kind} {i}: conditioning {noise:.3g} for a largest element of {largest:.3g}")
            if kind == "grad" and any(step["op"] in SATURATING for step in case["code"]):
                noise = max(noise, 0.5)
            loss = lost.get((kind, i), 0.0)
            if loss > LOSS * max(largest, 1.0):
                raise Rejected(f"{kind} {i}: PyTorch itself loses {loss:.3g} units of a largest element of {largest:.3g}")
            noise = max(noise, loss)
            if dtype == "f64" and any(s["dtype"] == "f32" for s in case["in"]):
                # computed from f32: its unit is that of f32
                noise = (noise + 4 * largest) * EPSILON["f32"] / EPSILON["f64"]
        results.append((kind, i, dtype, t, noise))
    return results
