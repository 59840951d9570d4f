"""Inputs of the parity cases, from a counter-based generator.

An input is described by a small dictionary and never stored: this module and
internal/devicetest/parity/inputs.go make the same numbers from it, bit by bit.

Element i (row-major) of input k of case c takes the 64-bit word

    z = mix(mix(64*c + k + 1) + (i+1) * 0x9E3779B97F4A7C15)

where mix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014), and
u = (z >> 11) * 2**-53. "gen" says what becomes of it:

    uniform   lo + (hi-lo)*u
    away      the same, negative if bit 0 of z is set: not near 0 if lo > 0
    int       lo + (z>>11) mod (hi-lo)
    bool      1 if u < p
    distinct  the elements ranked by z: (rank - (n-1)/2)*step, all different
    unique    along "axis", the first elements of a permutation of 0 ... limit-1
              (the candidates of a line ranked by their words); with "neg", those
              whose bit 0 is set count from the end
    negint    lo + ..., as int, negative (minus "limit") where bit 0 of z is set
    special   one of SPECIAL, by z>>11
    const     value
    ramp      value*(i+1), the same for every seed

Floats are rounded to f32 and then to the dtype (f64: not at all).

"layout" says how the elements lie in memory: the tensor is a view of a base
(whose shape base_shape gives), and gradients are those of the base.
"""
import numpy as np
import torch

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SPECIAL = [0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 0.5, -2.5, 3.0, -1e-3, 1e4, -1e4, 88.0, -60.0, 1e-4]

FLOATS = ("f32", "f16", "bf16", "f64")
TORCH = {
    "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64,
    "i32": torch.int32, "i64": torch.int64, "u8": torch.uint8, "bool": torch.bool,
}
NAMES = {v: k for k, v in TORCH.items()}


def mix(z):
    z = np.asarray(z, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def words(seed, n):
    with np.errstate(over="ignore"):
        return mix(mix(np.uint64(seed + 1)) + np.arange(1, n + 1, dtype=np.uint64) * GOLDEN)


def unit(z):
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def base_shape(spec):
    shape, layout = list(spec["shape"]), spec.get("layout", "")
    if layout == "transposed":
        return shape[::-1]
    if layout == "sliced":
        return [2 * d + 1 for d in shape]
    if layout == "expanded":
        return [1] + shape[1:]
    return shape


def numbers(spec, seed):
    """The elements of the base as float64."""
    shape = base_shape(spec)
    n = int(np.prod(shape, dtype=np.int64))
    gen = spec["gen"]
    if gen == "const":
        return np.full(n, float(spec["value"])).reshape(shape)
    if gen == "ramp":
        return (np.arange(1, n + 1) * float(spec["value"])).reshape(shape)
    if gen == "unique":
        return unique(spec, seed, shape)
    z = words(seed, n)
    u = unit(z)
    if gen == "uniform":
        v = spec["lo"] + (spec["hi"] - spec["lo"]) * u
    elif gen == "away":
        v = spec["lo"] + (spec["hi"] - spec["lo"]) * u
        v = np.where(z & np.uint64(1), -v, v)
    elif gen in ("int", "negint"):
        v = spec["lo"] + ((z >> np.uint64(11)) % np.uint64(spec["hi"] - spec["lo"])).astype(np.float64)
        if gen == "negint":
            v = np.where(z & np.uint64(1), v - spec["limit"], v)
    elif gen == "bool":
        v = (u < spec.get("p", 0.5)).astype(np.float64)
    elif gen == "distinct":
        rank = np.empty(n)
        rank[np.argsort(z, kind="stable")] = np.arange(n)
        v = (rank - (n - 1) / 2) * spec["step"]
    elif gen == "special":
        v = np.array(SPECIAL)[((z >> np.uint64(11)) % np.uint64(len(SPECIAL))).astype(np.int64)]
    else:
        raise ValueError(gen)
    return v.reshape(shape)


def unique(spec, seed, shape):
    axis, limit = spec["axis"], spec["limit"]
    out = np.zeros(shape)
    lines = np.moveaxis(out, axis, -1)
    d = shape[axis]
    n_lines = int(np.prod(shape, dtype=np.int64)) // d if d else 0
    z = words(seed, n_lines * limit).reshape(n_lines, limit)
    for line, place in enumerate(np.ndindex(*lines.shape[:-1])):
        order = np.argsort(z[line], kind="stable")[:d].astype(np.float64)
        if spec.get("neg"):
            order = np.where(z[line][:d] & np.uint64(1), order - limit, order)
        lines[place] = order
    return out


def base(spec, seed):
    """The base as a tensor of the dtype that the case names."""
    v = numbers(spec, seed)
    dtype = spec["dtype"]
    if dtype == "f64" or dtype not in FLOATS:
        return torch.tensor(v).to(TORCH[dtype])
    with np.errstate(over="ignore"):
        return torch.tensor(v.astype(np.float32)).to(TORCH[dtype])


def view(spec, t):
    """The tensor of the case, as a view of its base."""
    layout = spec.get("layout", "")
    if layout == "transposed":
        return t.permute(*reversed(range(t.dim())))
    if layout == "sliced":
        for axis in range(t.dim()):
            t = t.narrow(axis, 1, 2 * spec["shape"][axis]).unflatten(axis, (spec["shape"][axis], 2)).select(axis + 1, 0)
        return t.flip(-1)
    if layout == "expanded":
        return t.expand(*spec["shape"])
    return t
