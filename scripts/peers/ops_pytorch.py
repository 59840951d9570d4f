"""The single operations of bench-ops in PyTorch, by the names of internal/suites/opworks.go."""
import torch
import torch.nn.functional as F


def works(rand):
    n = 1024
    x, y, row = rand(n, n), rand(n, n), rand(n)
    logits, table = rand(256, 1000), rand(4096, n)
    positive, mask = x.abs(), x > 0
    half, brain, double = x.half(), x.bfloat16(), rand(256, 256).double()
    ints, small = torch.randint(0, 100, (n, n), dtype=torch.int32), torch.randint(0, 200, (n, n), dtype=torch.uint8)
    indices, labels = torch.randint(0, n, (4096,)), torch.randint(0, 1000, (256,))
    along = torch.randint(0, n, (n, n))
    a256, b256, a512, b512, items = rand(256, 256), rand(256, 256), rand(512, 512), rand(512, 512), rand(64, 64, 64)
    image, kernel, line, taps = rand(8, 16, 64, 64), rand(32, 16, 3, 3), rand(8, 16, n), rand(32, 16, 5)
    q, k, v = rand(2, 8, 512, 64), rand(2, 8, 512, 64), rand(2, 8, 512, 64)
    matrix = rand(128, 128)
    system = matrix @ matrix.t() + 10 * torch.eye(128)

    ops = {
        "exp": lambda: x.exp(),
        "log": lambda: positive.log(),
        "tanh": lambda: x.tanh(),
        "sigmoid": lambda: x.sigmoid(),
        "gelu": lambda: F.gelu(x),
        "sin": lambda: x.sin(),
        "pow": lambda: positive.pow(2.5),
        "add": lambda: x + y,
        "add_row": lambda: x + row,
        "add_column": lambda: x + row[:, None],
        "div": lambda: x / y,
        "where": lambda: torch.where(mask, x, y),
        "clip": lambda: x.clamp(-1, 1),
        "floor": lambda: x.floor(),
        "greater": lambda: x > y,
        "add_bf16": lambda: brain + brain,
        "add_f16": lambda: half + half,
        "mul_i32": lambda: ints * ints,
        "cast_bf16": lambda: x.bfloat16(),
        "cast_f64": lambda: x.double(),
        "cast_i32": lambda: x.int(),
        "cast_from_u8": lambda: small.float(),
        "uniform": lambda: torch.rand(n, n),
        "normal": lambda: torch.randn(n, n),
        "add_1024": lambda: row + row,
        "sum": lambda: x.sum(),
        "sum_rows": lambda: x.sum(1),
        "sum_columns": lambda: x.sum(0),
        "max": lambda: x.amax(),
        "max_rows": lambda: x.amax(1),
        "max_columns": lambda: x.amax(0),
        "var": lambda: x.var(correction=0),
        "var_rows": lambda: x.var(1, correction=0),
        "var_columns": lambda: x.var(0, correction=0),
        "sum_i32": lambda: ints.sum(),
        "sum_i32_rows": lambda: ints.sum(1),
        "sum_i32_columns": lambda: ints.sum(0),
        "any": lambda: mask.any(),
        "any_rows": lambda: mask.any(1),
        "any_columns": lambda: mask.any(0),
        "prod_rows": lambda: x.prod(1),
        "argmax_rows": lambda: x.argmax(1),
        "argmax_columns": lambda: x.argmax(0),
        "cumsum_rows": lambda: x.cumsum(1),
        "cumsum_columns": lambda: x.cumsum(0),
        "norm": lambda: x.norm(),
        "softmax_rows": lambda: logits.softmax(1),
        "softmax_columns": lambda: logits.softmax(0),
        "log_sum_exp": lambda: logits.logsumexp(1),
        "layer_norm": lambda: F.layer_norm(x, (n,), row, row),
        "cross_entropy": lambda: F.cross_entropy(logits, labels),
        "sort_rows": lambda: logits.sort(1)[0],
        "argsort_rows": lambda: logits.argsort(1),
        "top_10": lambda: logits.topk(10, 1)[0],
        "transpose": lambda: x.t().contiguous(),
        "flip": lambda: x.flip(1),
        "concat_rows": lambda: torch.cat([x, y], 0),
        "concat_columns": lambda: torch.cat([x, y], 1),
        "every_second": lambda: x[:, ::2].contiguous(),
        "pad": lambda: F.pad(x, (1, 1, 1, 1)),
        "tril": lambda: x.tril(),
        "take_rows": lambda: table[indices],
        "take_along": lambda: x.gather(1, along),
        "scatter_add_rows": lambda: torch.zeros(n, n).index_add_(0, indices[:n], x),
        "matmul_256": lambda: a256 @ b256,
        "matmul_512": lambda: a512 @ b512,
        "matmul_64_items": lambda: items @ items,
        "matmul_f64_256": lambda: double @ double,
        "matmul_column": lambda: x @ row,
        "conv2d": lambda: F.conv2d(image, kernel, padding=1),
        "conv2d_stride_2": lambda: F.conv2d(image, kernel, stride=2),
        "conv1d": lambda: F.conv1d(line, taps, padding=2),
        "attention": lambda: F.scaled_dot_product_attention(q, k, v),
        "attention_causal": lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        "qr_128": lambda: torch.linalg.qr(matrix)[1],
        "svd_128": lambda: torch.linalg.svd(matrix)[1],
        "solve_128": lambda: torch.linalg.solve(system, matrix),
    }
    gradients = {
        "softmax": (logits, lambda p: p.softmax(1).square()),
        "layer_norm": (x, lambda p: F.layer_norm(p, (n,), row, row)),
        "cross_entropy": (logits, lambda p: F.cross_entropy(p, labels)),
        "take_rows": (table, lambda p: p[indices].square()),
        "conv2d_kernel": (kernel, lambda p: F.conv2d(image, p, padding=1).square()),
        "conv2d_image": (image, lambda p: F.conv2d(p, kernel, padding=1).square()),
        "attention": (q, lambda p: F.scaled_dot_product_attention(p, k, v)),
    }

    def without_gradient(f):
        def run():
            with torch.no_grad():
                return f()

        return {"eager": run}

    def gradient(at, f):
        p = at.clone().requires_grad_()
        return {"eager": lambda: torch.autograd.grad(f(p).sum(), p)}

    found = {"op_" + name: without_gradient(f) for name, f in ops.items()}
    found.update({"op_grad_" + name: gradient(*g) for name, g in gradients.items()})
    return found
