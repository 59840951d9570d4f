"""Writes optimizers.json: parameters after each of five steps of torch.optim.

    pip install torch
    python generate.py
"""
import json

import torch

torch.manual_seed(3)
SHAPES = {"a": [3, 4], "b": [5]}
start = {k: torch.randn(s) for k, s in SHAPES.items()}
grads = [{k: torch.randn(s) for k, s in SHAPES.items()} for _ in range(5)]
flat = lambda d: {k: v.detach().flatten().tolist() for k, v in d.items()}

runs = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adamw_custom": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd_nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adamw_clipped": lambda p: torch.optim.AdamW(p, lr=0.01),
}
out = {"shapes": SHAPES, "start": flat(start), "grads": [flat(g) for g in grads], "runs": {}}
for name, make in runs.items():
    params = {k: v.clone().requires_grad_() for k, v in start.items()}
    opt = make(list(params.values()))
    steps = []
    for g in grads:
        for k, p in params.items():
            p.grad = g[k].clone()
        if name.endswith("clipped"):
            torch.nn.utils.clip_grad_norm_(list(params.values()), 0.5)
        opt.step()
        steps.append(flat(params))
    out["runs"][name] = steps
json.dump(out, open("optimizers.json", "w"))
