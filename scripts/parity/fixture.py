"""The fixture file: one gzip stream of

    8 bytes   "PARITY1\\n"
    4 bytes   length of the index, little-endian
    index     JSON: {"torch", "seed", "tolerance", "cases": [...]}
    data      the expected numbers, in the order of the index

A case carries its program (see program.py) and "want": for each result
{"kind": "value" or "grad" or "param", "of": value or input, "dtype", "shape",
"noise"}. The numbers of a result are stored as "store" says: f f32, d f64,
i int32, q int64, b uint8. A result with more than DENSE elements stores SAMPLES
of them, at the places words(seed, SAMPLES) mod n, then their "largest"
magnitude and a "sum" with signs (bit 0 of words(seed, n) set: minus) in the
index, which any wrong element changes; the seed is that of input
RESULTS + (number of the result) of the case.
"""
import gzip
import json
import math

import numpy as np

import inputs
from program import word_seed

DENSE, SAMPLES = 160, 96
RESULTS = 48

# What rounding may do: "units" of the distance from 1 to the next number, per
# dtype, of an element (or of an eighth of the largest one), times "ops" where an
# op has more to round; plus "noise" such distances for each unit that the result
# moves when its inputs do (the "noise" of each result). In f64 the expected
# numbers are no better than ours. Sums of n signed elements may differ by sqrt(n)
# times the largest tolerance.
TOLERANCE = {
    "units": {"f32": 16, "f64": 16, "f16": 2, "bf16": 2},
    "noise": {"f32": 4, "f64": 12, "f16": 4, "bf16": 4},
    "ops": {"rope": 8},
}


def encode(t, dtype):
    if dtype == "f64":
        return "d", t.numpy().astype("<f8")
    if dtype in inputs.FLOATS:
        with np.errstate(over="ignore"):
            return "f", t.numpy().astype("<f4")
    a = t.numpy()
    if dtype in ("bool", "u8"):
        return "b", a.astype("u1")
    if a.size == 0 or np.abs(a).max() < 2**31:
        return "i", a.astype("<i4")
    return "q", a.astype("<i8")


def tidy(v):
    return float(f"{v:.3g}")


class Writer:
    def __init__(self, torch_version, seed):
        self.index = {"torch": torch_version, "seed": seed, "tolerance": TOLERANCE, "cases": []}
        self.data = []

    def number(self):
        return len(self.index["cases"])

    def add(self, case, results):
        number = self.number()
        case = dict(case)
        case["want"] = []
        for place, (kind, of, dtype, t, noise) in enumerate(results):
            entry = {"kind": kind, "of": of, "dtype": dtype, "shape": list(t.shape)}
            if noise:
                entry["noise"] = tidy(noise)
            entry["store"], flat = encode(t.detach().reshape(-1), dtype)
            if flat.size > DENSE:
                seed = word_seed(number, RESULTS + place)
                wide = t.detach().reshape(-1).numpy().astype(np.float64)
                if not np.isfinite(wide).all():
                    raise ValueError("a large result has NaN or Inf")
                sign = np.where(inputs.words(seed, flat.size) & np.uint64(1), -1.0, 1.0)
                entry["largest"] = tidy(np.abs(wide).max())
                entry["sum"] = math.fsum(wide * sign)
                flat = flat[(inputs.words(seed, SAMPLES) % np.uint64(flat.size)).astype(np.int64)]
            case["want"].append(entry)
            self.data.append(flat.tobytes())
        self.index["cases"].append(case)

    def save(self, path):
        text = json.dumps(self.index, separators=(",", ":")).encode()
        with open(path, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", compresslevel=9, mtime=0, filename="") as z:
            z.write(b"PARITY1\n" + len(text).to_bytes(4, "little") + text + b"".join(self.data))
