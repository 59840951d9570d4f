"""What the random cases are made of: shapes, layouts, dtypes, inputs, and CALLS,
the table of functions that make the call of an op from a random.Random. The rows
stand in calls_basic.py and calls_layers.py."""
import math

from inputs import FLOATS

LAYOUTS = ["", "", "", "transposed", "sliced", "expanded"]
SIZES = [1, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 33]

CALLS = {}  # op -> (number of calls, function)


def calls(count, *names):
    def register(f):
        for name in names:
            CALLS[name] = (count, lambda rng, name=name: f(rng, name))
        return f
    return register


# Parts of cases.

def float_type(rng, wide=False):
    if wide:
        return rng.choice(["f32", "f32", "f32", "f64"])
    return rng.choice(["f32"] * 6 + ["f64", "f16", "f16", "bf16", "bf16"])


def number_type(rng):
    return rng.choice(["f32", "f32", "f64", "f16", "bf16", "i32", "i64", "u8"])


def shape(rng, low=0, high=4, limit=600, zero=0.03):
    """A random shape with low ... high axes and at most limit elements."""
    while True:
        s = [rng.choice(SIZES) for _ in range(rng.randint(low, high))]
        if s and rng.random() < zero:
            s[rng.randrange(len(s))] = 0
        if math.prod(s) <= limit:
            return s


def solid(rng, low=1, high=4, limit=600):
    return shape(rng, low, high, limit, zero=0)


def layout(rng, s):
    name = rng.choice(LAYOUTS)
    if name == "transposed" and len(s) < 2 or name and not s or 0 in s or name == "expanded" and s[0] == 1:
        return ""
    return name


def tensor(rng, s, dtype="f32", gen=None, dense=False, grad=True, **more):
    """An input with random values: by default -3 ... 3."""
    spec = {"gen": gen or "uniform", "shape": s, "dtype": dtype}
    if not gen or gen == "uniform":
        spec.update(lo=-3.0, hi=3.0)
    if dtype in ("i32", "i64") and not gen:
        spec.update(gen="int", lo=-20, hi=21)
    elif dtype == "u8" and not gen:
        spec.update(gen="int", lo=0, hi=12)
    elif dtype == "bool" and not gen:
        spec = {"gen": "bool", "shape": s, "dtype": dtype}
    spec.update(more)
    if dtype in FLOATS and grad and gen != "special":
        spec["grad"] = True
    if not dense:
        name = layout(rng, s)
        if name:
            spec["layout"] = name
    return spec


def distinct(rng, s, dtype):
    """All elements different, also in half precision, and exact."""
    dense = math.prod(s) > 120  # views of larger bases would need more numbers
    step = {"f32": 0.0625 if math.prod(s) < 1000 else 2.0**-10, "f64": 0.0625, "f16": 0.0625, "bf16": 1.0}.get(dtype, 2)
    if dtype == "u8":
        return tensor(rng, s, dtype)
    x = tensor(rng, s, dtype, "distinct", dense=True, step=step)
    if not dense:
        x["layout"] = rng.choice(["", "transposed" if len(s) > 1 else ""])
        if not x["layout"]:
            del x["layout"]
    return x


def few(rng, dtype, low=1, high=3):
    """A shape that distinct can fill in this dtype."""
    return solid(rng, low, high, 200 if dtype == "bf16" else 500)


def call(name, ins, **args):
    n = args.pop("results", 1)
    step = {"op": name, "in": list(range(len(ins))), **{k: v for k, v in args.items() if v is not None}}
    return {"kind": "call", "in": ins, "code": [step], "out": [len(ins) + i for i in range(n)]}


def some_axes(rng, s):
    if not s or rng.random() < 0.25:
        return None
    return sorted((a - len(s) if rng.random() < 0.4 else a) for a in rng.sample(range(len(s)), rng.randint(1, len(s))))


def axis_of(rng, s):
    a = rng.randrange(len(s))
    return a - len(s) if rng.random() < 0.4 else a


def partner(rng, s):
    """A shape that broadcasts with s."""
    out = [d if rng.random() < 0.7 else 1 for d in s]
    out = out[rng.randint(0, len(out)):] if rng.random() < 0.35 else out
    if rng.random() < 0.15:
        out = [rng.choice([2, 3])] + [1] * (len(s) - len(out)) + out
    return out


def some_places(rng, s):
    out = []
    for d in s[:rng.randint(1, len(s))]:
        kind = rng.choice(["int", "all", "range", "range", "range"])
        if kind == "int":
            out.append({"kind": "int", "at": rng.randrange(-d, d)})
        elif kind == "all":
            out.append({"kind": "all"})
        else:
            step = rng.choice([1, 1, 1, 2, 3, -1, -1, -2, -3])
            out.append({"kind": "range", "start": rng.randint(-d - 1, d + 1), "stop": rng.randint(-d - 2, d + 1), "step": step})
    return out


def index(rng, s, limit, **more):
    return tensor(rng, s, rng.choice(["i64", "i64", "i32"]), "negint", lo=0, hi=limit, limit=limit, **more)


# Where the functions are defined and interesting.
RANGE = {"sqrt": (0.05, 6.0), "rsqrt": (0.1, 6.0), "log": (0.05, 8.0), "log1p": (-0.7, 6.0), "exp": (-6.0, 4.0), "expm1": (-3.0, 3.0), "sin": (-9.0, 9.0), "cos": (-9.0, 9.0),
         "erf": (-3.0, 3.0), "erfinv": (-0.97, 0.97), "tanh": (-4.0, 4.0), "sigmoid": (-9.0, 9.0), "gelu": (-5.0, 5.0), "gelu_tanh": (-5.0, 5.0), "silu": (-8.0, 8.0)}
