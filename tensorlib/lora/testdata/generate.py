"""Writes peft.json: results, gradients and merged weights of PEFT's LoRA layers.

    pip install torch peft
    python generate.py
"""
import json

import peft
import torch

torch.manual_seed(11)
torch.set_default_dtype(torch.float64)
IN, OUT, BATCH = 8, 6, 5

CONFIGS = {
    "lora": dict(r=3, lora_alpha=7),
    "rslora": dict(r=4, lora_alpha=3, use_rslora=True),
    "dora": dict(r=2, lora_alpha=5, use_dora=True),
    "dora rslora": dict(r=3, lora_alpha=2, use_dora=True, use_rslora=True),
}


def flat(t):
    return [round(v, 12) for v in t.detach().double().flatten().tolist()]


out = {"in": IN, "out": OUT, "batch": BATCH, "cases": {}}
for name, config in CONFIGS.items():
    model = torch.nn.Sequential()
    model.add_module("linear", torch.nn.Linear(IN, OUT))
    weight, bias = model.linear.weight.detach().clone(), model.linear.bias.detach().clone()
    model = peft.get_peft_model(model, peft.LoraConfig(target_modules=["linear"], **config)).double()
    layer = model.base_model.model.linear
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b.copy_(torch.randn_like(b))
    trained = {"a": a, "b": b}
    if config.get("use_dora"):
        m = layer.lora_magnitude_vector["default"].weight
        with torch.no_grad():
            m.mul_(1 + 0.3 * torch.randn_like(m))
        trained["m"] = m
    x, g = torch.randn(BATCH, IN, requires_grad=True), torch.randn(BATCH, OUT)
    y = model(x)
    (y * g).sum().backward()
    case = {"r": config["r"], "alpha": config["lora_alpha"], "rslora": config.get("use_rslora", False), "dora": config.get("use_dora", False),
            "weight": flat(weight), "bias": flat(bias), "x": flat(x), "g": flat(g), "y": flat(y), "dx": flat(x.grad)}
    for key, p in trained.items():
        case[key], case["d" + key] = flat(p), flat(p.grad)
    case["merged"] = flat(model.merge_and_unload().linear.weight)
    out["cases"][name] = case
json.dump(out, open("peft.json", "w"))
