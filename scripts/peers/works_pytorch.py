"""The works of bench-peers in PyTorch: eager, torch.compile and the fused optimiser."""
import os

import torch
import torch.nn.functional as F

import ops_pytorch

torch.set_num_threads(os.cpu_count())


def version():
    return torch.__version__


def forms(function, *args):
    """Eager and compiled form of a function, both without gradients."""
    compiled = torch.compile(function)

    def run(f):
        def call():
            with torch.no_grad():
                return f(*args)

        return call

    return {"eager": run(function), "compile": run(compiled)}


def works():
    g = torch.Generator().manual_seed(1)

    def rand(*shape, scale=1.0):
        return torch.randn(*shape, generator=g) * scale

    x3, w = rand(4, 16, 512), rand(512, 512, scale=0.02)
    a, b = rand(512, 8, scale=0.02), rand(8, 512, scale=0.02)
    x = x3.reshape(64, 512)
    gain, residual = rand(512), rand(64, 512)
    big = rand(1024, 1024), rand(1024, 1024), torch.empty(1024, 1024)
    row, matrix = rand(1, 2048), rand(2048, 2048)
    transposed = matrix.t().contiguous()
    p, q, r = rand(32768), rand(32768), rand(32768)

    def lora(x, w, a, b):
        return x @ w + (x @ a) @ b * 2.0

    def lora_addmm(x, w, a, b):
        return torch.addmm(torch.mm(x, w), torch.mm(x, a), b, alpha=2.0)

    def rmsnorm_residual(x, gain, residual):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * gain + residual

    def rms_norm_residual(x, gain, residual):
        return F.rms_norm(x, (512,), gain, 1e-5) + residual

    def chain(a, b, c):
        return torch.sigmoid((a * b + c) * 0.5) * a - b

    def addmm():
        with torch.no_grad():
            return lora_addmm(x, w, a, b)

    def builtin_norm():
        with torch.no_grad():
            return rms_norm_residual(x, gain, residual)

    def gemm():
        with torch.no_grad():
            return torch.mm(big[0], big[1], out=big[2])

    return {
        **ops_pytorch.works(rand),
        "lora_fwd_4x16x512_r8": forms(lora, x3, w, a, b),
        "lora_fwd_64x512_r8": {**forms(lora, x, w, a, b), "addmm": addmm},
        "lora_train_512x64_r8": train_steps(rand),
        "gemm_1024": {"eager": gemm},
        "softmax_64x512": forms(lambda z: torch.softmax(z, -1), x),
        "rmsnorm_residual_64x512": {**forms(rmsnorm_residual, x, gain, residual), "rms_norm": builtin_norm},
        "chain6_32k": forms(chain, p, q, r),
        "adamw_96x8x768": optimisers(rand),
        "gemv_2048": {**forms(lambda m: row @ m, matrix), "transposed": lambda: F.linear(row, transposed)},
    }


def train_steps(rand):
    def make(compiled, fused):
        w, x, t = rand(512, 512, scale=0.02), rand(64, 512), rand(64, 512)
        a = rand(512, 8, scale=0.02).requires_grad_()
        b = rand(8, 512, scale=0.02).requires_grad_()
        optimiser = torch.optim.AdamW([a, b], lr=1e-3, fused=fused)

        def loss_of(x, w, a, b, t):
            return F.mse_loss(x @ w + (x @ a) @ b * 2.0, t)

        loss = torch.compile(loss_of) if compiled else loss_of

        def step():
            optimiser.zero_grad(set_to_none=True)
            loss(x, w, a, b, t).backward()
            optimiser.step()

        return step

    return {"eager": make(False, False), "fused": make(False, True), "compile": make(True, True)}


def optimisers(rand):
    def make(**options):
        params = [rand(8, 768).requires_grad_() for _ in range(96)]
        for p in params:
            p.grad = rand(8, 768)
        return torch.optim.AdamW(params, lr=1e-3, **options).step

    return {"default": make(), "foreach": make(foreach=True), "fused": make(fused=True)}
