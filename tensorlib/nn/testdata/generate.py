"""Writes optimizers.json: parameters after each of five steps of torch.optim, and
of Lion, which PyTorch lacks, as its paper gives it.

    pip install torch
    python generate.py
"""
import inspect
import json

import torch
import torch.optim._muon as muon

# PyTorch iterates in bfloat16; float32 tells apart what is wrong from what is rounded.
exec(inspect.getsource(muon._zeropower_via_newtonschulz).replace("torch.bfloat16", "torch.float32"), vars(muon))


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. 2023."""

    def __init__(self, params, lr, beta1, beta2, decay):
        super().__init__(params, dict(lr=lr, beta1=beta1, beta2=beta2, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = group["beta1"] * m + (1 - group["beta1"]) * p.grad
                p -= group["lr"] * (torch.sign(c) + group["decay"] * p)
                m.copy_(group["beta2"] * m + (1 - group["beta2"]) * p.grad)


class MuonAndAdamW:
    """Muon for matrices, AdamW for the rest."""

    def __init__(self, params):
        self.muon = torch.optim.Muon([p for p in params if p.dim() == 2], lr=0.02, weight_decay=0.3)
        self.adamw = torch.optim.AdamW([p for p in params if p.dim() != 2], lr=0.01)

    def step(self):
        self.muon.step()
        self.adamw.step()


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
    "lion": lambda p: Lion(p, 0.01, 0.9, 0.99, 0.2),
    # eps2 = 10 switches the scaling by the parameter's norm off and multiplies the rate.
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.002, eps=(1e-15, 10.0), weight_decay=0.1),
    "muon": MuonAndAdamW,
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
