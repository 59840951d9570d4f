"""Steps of optimisers: parameters and gradients go in, the parameters after each
step count. Where PyTorch has the optimiser it is PyTorch's; Lion, Adafactor
(without its relative step, as the library has it) and Muon (in float64, where
PyTorch's computes in bf16) are written out from their papers."""
import math
import random

import torch

import calls
import inputs
import program


def lion(ps, o):
    m = [torch.zeros_like(p) for p in ps]

    def step(t, gs):
        for p, g, s in zip(ps, gs, m):
            u = (o["beta1"] * s + (1 - o["beta1"]) * g).sign() + o["decay"] * p
            p -= o["lr"] * u
            s.mul_(o["beta2"]).add_(g, alpha=1 - o["beta2"])
    return step


def adafactor(ps, o):
    state = [(torch.zeros(p.shape[:-1], dtype=p.dtype), torch.zeros(p.shape[:-2] + p.shape[-1:], dtype=p.dtype)) if p.dim() > 1 else (torch.zeros_like(p),) for p in ps]

    def step(t, gs):
        beta = 1 - t ** -0.8
        for p, g, s in zip(ps, gs, state):
            square = g.square() + 1e-30
            if p.dim() > 1:
                s[0].mul_(beta).add_(square.mean(-1), alpha=1 - beta)
                s[1].mul_(beta).add_(square.mean(-2), alpha=1 - beta)
                v = s[0].unsqueeze(-1) * s[1].unsqueeze(-2) / s[0].mean(-1, keepdim=True).unsqueeze(-1)
            else:
                s[0].mul_(beta).add_(square, alpha=1 - beta)
                v = s[0]
            u = g / v.sqrt()
            u = u / max(1.0, u.square().mean().sqrt().item())
            p -= o["lr"] * u + o["lr"] * o["decay"] * p
    return step


def muon(ps, o):
    rest = [p for p in ps if p.dim() != 2]
    adam = torch.optim.AdamW(rest, lr=1e-3, weight_decay=0.01) if rest else None
    buffers = [torch.zeros_like(p) for p in ps]

    def orthogonal(x):
        a, b, c = 3.4445, -4.7750, 2.0315
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            g = x @ x.T
            x = a * x + (b * g + c * g @ g) @ x
        return x.T if tall else x

    def step(t, gs):
        for p, g, v in zip(ps, gs, buffers):
            if p.dim() == 2:
                v.mul_(0.95).add_(g)
                u = orthogonal(g + 0.95 * v) * math.sqrt(max(1, p.shape[0] / p.shape[1]))
                p -= o["lr"] * u + o["lr"] * o["decay"] * p
            else:
                p.grad = g
        if adam:
            adam.step()
    return step


def builtin(make):
    def optimizer(ps, o):
        opt = make(ps, o)

        def step(t, gs):
            for p, g in zip(ps, gs):
                p.grad = g
            if "schedule" in o:
                for group in opt.param_groups:
                    group["lr"] = rate(o["schedule"], t)
            opt.step()
        return step
    return optimizer


def rate(s, t):
    """The learning rate of step t: linear warm-up, then torch's CosineAnnealingLR or
    LinearLR with T_max = total_iters = steps - warmup - 1."""
    if t <= s["warmup"]:
        return s["lr"] * t / s["warmup"]
    x = (t - s["warmup"] - 1) / (s["steps"] - s["warmup"] - 1)
    if s["kind"] == "cosine":
        return s["min"] + (s["lr"] - s["min"]) * (1 + math.cos(math.pi * x)) / 2
    return s["lr"] + (s["min"] - s["lr"]) * x


OPTIMIZERS = {
    "adamw": builtin(lambda ps, o: torch.optim.AdamW(ps, lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["eps"], weight_decay=o["decay"])),
    "adam": builtin(lambda ps, o: torch.optim.Adam(ps, lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["eps"])),
    "sgd": builtin(lambda ps, o: torch.optim.SGD(ps, lr=o["lr"], momentum=o["momentum"], nesterov=o["nesterov"], weight_decay=o["decay"])),
    "lion": lion,
    "adafactor": adafactor,
    "muon": muon,
}


def options(rng, name):
    o = {"name": name, "lr": rng.choice([0.1, 0.01, 0.003]), "steps": rng.randint(1, 6), "decay": rng.choice([0.0, 0.01, 0.1])}
    if name in ("adamw", "adam", "lion"):
        o.update(beta1=rng.choice([0.9, 0.8]), beta2=rng.choice([0.999, 0.95]))
    if name in ("adamw", "adam"):
        o["eps"] = rng.choice([1e-8, 1e-6])
    if name == "adam":
        o["decay"] = 0.0
    if name == "sgd":
        o["momentum"] = rng.choice([0.0, 0.9])
        o["nesterov"] = bool(o["momentum"]) and rng.random() < 0.5
    if name in ("adamw", "sgd", "adam"):
        if rng.random() < 0.3:
            o["clip"] = rng.choice([0.5, 2.0])
        if rng.random() < 0.3:
            o["schedule"] = {"kind": rng.choice(["cosine", "linear"]), "lr": o["lr"], "min": o["lr"] / 10, "warmup": rng.randint(1, 3), "steps": 8}
    return o


def case(rng, name):
    """A case: parameter k is input k; its gradient at step t (from 0) is input
    count*(t+1) + k."""
    o = options(rng, name)
    shapes = [calls.solid(rng, 0 if name != "adafactor" else 1, 2, 150) for _ in range(rng.randint(1, 3))]
    half = name in ("adamw", "sgd") and rng.random() < 0.15
    dtype = rng.choice(["bf16", "f16"]) if half else rng.choice(["f32", "f32", "f32", "f64"])
    if half:
        o["steps"] = 1  # each step would round the parameters again
    o["count"] = len(shapes)
    ins = [calls.tensor(rng, s, dtype, dense=True, grad=False) for s in shapes]
    for _ in range(o["steps"]):
        ins += [calls.tensor(rng, s, dtype, "away", dense=True, grad=False, lo=0.05, hi=1.0) for s in shapes]
    return {"kind": "call", "in": ins, "code": [], "out": [], "train": o}


@torch.no_grad()
def train(case, number, noise=None):
    o, n = case["train"], case["train"]["count"]
    tensors = [program.wide(inputs.base(s, program.word_seed(number, k))) for k, s in enumerate(case["in"])]
    if noise:
        tensors = [noise(t) for t in tensors]
    ps, gs = tensors[:n], tensors[n:]
    step = OPTIMIZERS[o["name"]](ps, o)
    for t in range(o["steps"]):
        now = gs[n * t:n * (t + 1)]
        if "clip" in o:
            norm = torch.stack([g.square().sum() for g in now]).sum().sqrt()
            now = [g * torch.clamp(o["clip"] / (norm + 1e-6), max=1.0) for g in now]
        step(t + 1, now)
        if noise:
            for p in ps:
                p.copy_(noise(p))
    return ps


def make(seed, number, count):
    rng = random.Random(f"{seed} training")
    for i in range(count):
        c = case(rng, list(OPTIMIZERS)[i % len(OPTIMIZERS)])
        clean = train(c, number)
        generator = torch.Generator().manual_seed(number)
        changed = [train(c, number, program.perturbed(generator, program.H)) for _ in range(3)]
        results = []
        for k, p in enumerate(clean):
            noise = max([(p - other[k]).abs().max().item() / program.H for other in changed])
            results.append(("param", k, c["in"][k]["dtype"], p, noise))
        yield c, results
        number += 1
