"""Writes the fixtures of this folder with the libraries that define the formats.

    pip install numpy safetensors gguf
    python generate.py
"""
import json

import gguf
import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(7)


def arrays():
    out = {}
    for d in ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "u2", "u4"]:
        out[d] = (rng.normal(size=(3, 4)) * 20).astype(d)
    out["u8"] = rng.integers(0, 1 << 40, size=(5,)).astype("u8")
    out["bool"] = rng.integers(0, 2, size=(2, 3)).astype(bool)
    out["scalar"] = np.float32(2.5)
    out["empty"] = np.zeros((0, 3), "f4")
    return out


a = arrays()
np.savez_compressed("numpy.npz", **a)
np.savez("numpy_order.npz", fortran=np.asfortranarray(a["f4"]), big=a["f4"].astype(">f4"), cube=np.asfortranarray(rng.normal(size=(2, 3, 4)).astype("f4")))
np.save("object.npy", np.array([{"a": 1}], dtype=object))
save_file({k: np.array(v, order="C") for k, v in a.items()}, "official.safetensors", metadata={"format": "pt"})

# What each file must read as: values as float64, by name.
expected = {"numpy.npz": {}, "numpy_order.npz": {}, "official.safetensors": {}, "ggml.gguf": {}}


def expect(file, name, v):
    v = np.asarray(v)
    expected[file][name] = {"shape": list(v.shape), "values": v.astype("f8").ravel().tolist()}


for k, v in a.items():
    expect("numpy.npz", k, v)
    expect("official.safetensors", k, v)
for k, v in np.load("numpy_order.npz").items():
    expect("numpy_order.npz", k, v)

w = gguf.GGUFWriter("ggml.gguf", "llama")
w.add_uint32("answer", 42)
w.add_array("list", [1, 2, 3])
w.add_string("text", "grüße")
x = rng.normal(size=(2, 256)).astype("f4")
T = gguf.GGMLQuantizationType
for name in ["F32", "F16", "BF16", "Q8_0", "Q4_0"]:
    q = gguf.quants.quantize(x, T[name])
    w.add_tensor(name, q, raw_dtype=T[name])
    expect("ggml.gguf", name, gguf.quants.dequantize(q, T[name]))
for name, size in [("Q4_K", 144), ("Q6_K", 210)]:
    q = rng.integers(0, 256, size=(2, size)).astype("u1")
    # The scales of a block are f16: arbitrary bytes might be NaN.
    at = [0, 2] if name == "Q4_K" else [208]
    for i in at:
        q[:, i : i + 2] = np.array([0.01, -0.02], "f2").view("u1").reshape(2, 2)
    w.add_tensor(name, q, raw_dtype=T[name])
    expect("ggml.gguf", name, gguf.quants.dequantize(q, T[name]))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()

with open("expected.json", "w") as f:
    json.dump(expected, f)
