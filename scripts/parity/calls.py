"""Random calls of single ops: one function per op or group of like ops makes
the case of one call from a random.Random."""
import math

from inputs import FLOATS
from ops import TWO

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


# Elementwise.

RANGE = {"sqrt": (0.05, 6.0), "rsqrt": (0.1, 6.0), "log": (0.05, 8.0), "log1p": (-0.7, 6.0), "exp": (-6.0, 4.0), "expm1": (-3.0, 3.0), "sin": (-9.0, 9.0), "cos": (-9.0, 9.0),
         "erf": (-3.0, 3.0), "tanh": (-4.0, 4.0), "sigmoid": (-9.0, 9.0), "gelu": (-5.0, 5.0), "gelu_tanh": (-5.0, 5.0), "silu": (-8.0, 8.0)}


@calls(22, "sqrt", "rsqrt", "log", "log1p", "exp", "expm1", "sin", "cos", "erf", "tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "reciprocal")
def transcendental(rng, name):
    s = shape(rng)
    if rng.random() < 0.1 and name not in ("sqrt", "rsqrt", "log", "reciprocal", "log1p"):
        return call(name, [tensor(rng, s, rng.choice(["i32", "i64"]), "int", lo=-3, hi=4)])
    if name == "reciprocal":
        return call(name, [tensor(rng, s, float_type(rng), "away", lo=0.3, hi=3.0)])
    lo, hi = RANGE[name]
    return call(name, [tensor(rng, s, float_type(rng), lo=lo, hi=hi)])


@calls(16, "neg", "abs", "sign", "square", "relu", "floor", "ceil", "round")
def stepwise(rng, name):
    dtype = float_type(rng)
    if rng.random() < 0.2:
        dtype = rng.choice(["i32", "i64"])
    return call(name, [tensor(rng, shape(rng), dtype, "away" if dtype in FLOATS else None, **({"lo": 0.05, "hi": 5.0} if dtype in FLOATS else {}))])


@calls(6, "is_nan", "is_inf", "exp.special", "log.special", "tanh.special", "sigmoid.special", "relu.special", "abs.special", "neg.special", "sqrt.special", "floor.special",
       "sin.special", "erf.special", "gelu.special", "silu.special", "log1p.special", "expm1.special", "reciprocal.special", "square.special", "sign.special", "round.special")
def special(rng, name):
    return call(name.removesuffix(".special"), [tensor(rng, solid(rng, 1, 2, 150), float_type(rng), "special")])


@calls(7, "add.special", "sub.special", "mul.special", "div.special", "maximum.special", "minimum.special", "eq.special", "lt.special", "ge.special", "ne.special")
def special_pair(rng, name):
    s, dtype = solid(rng, 1, 2, 50), float_type(rng)
    return call(name.removesuffix(".special"), [tensor(rng, s, dtype, "special"), tensor(rng, partner(rng, s), dtype, "special")])


@calls(8, "sum.special", "max.special", "min.special", "softmax.special", "any.special", "all.special", "prod.special", "sort.special", "argmax.special")
def special_reduction(rng, name):
    name = name.removesuffix(".special")
    s = [rng.randint(2, 6), rng.randint(3, 9)]
    x = tensor(rng, s, float_type(rng), "special", dense=True)
    if name == "argmax":  # one NaN at most decides; PyTorch promises no order of equals
        x = tensor(rng, s, "f32", "distinct", dense=True, step=1.0)
    if name in ("softmax", "sort", "argmax"):
        return call(name, [x], axis=axis_of(rng, s))
    return call(name, [x], axes=some_axes(rng, s))


@calls(6, "not")
def negation(rng, name):
    return call(name, [tensor(rng, shape(rng), rng.choice(["bool", "i32", "u8"]))])


def operands(rng, dtypes, first=None, second=None):
    """Two broadcast operands."""
    a, b = dtypes
    s = shape(rng)
    second = second if second is not None else first
    t = partner(rng, s)
    if rng.random() < 0.2:
        s, t = t, s
    return [tensor(rng, s, a, **(first or {})), tensor(rng, t, b, **(second or {}))]


def two_types(rng):
    if rng.random() < 0.65:
        d = float_type(rng)
        return d, d
    return rng.choice([("f32", "f16"), ("bf16", "f32"), ("f16", "bf16"), ("f32", "i64"), ("i32", "f32"), ("f16", "i32"), ("i64", "bf16"), ("f64", "f32"), ("i32", "i32"),
                       ("i64", "i64"), ("i32", "i64"), ("u8", "u8"), ("u8", "i32"), ("bool", "f32"), ("f32", "bool"), ("bool", "i64")])


@calls(40, "add", "sub", "mul")
def arithmetic(rng, name):
    if rng.random() < 0.2:
        dtype = number_type(rng)
        if dtype == "u8" or rng.random() < 0.5:
            return call(name, [tensor(rng, shape(rng), dtype)], int=rng.randint(1, 5))
        return call(name, [tensor(rng, shape(rng), dtype)], float=rng.choice([0.5, -1.75, 2.25, 0.125]))
    d = two_types(rng)
    if name == "sub" and "bool" in d:
        d = ("f32", "f32")
    return call(name, operands(rng, d))


@calls(36, "div")
def division(rng, name):
    d = two_types(rng)
    if rng.random() < 0.2:
        return call(name, [tensor(rng, shape(rng), number_type(rng))], float=rng.choice([0.5, -1.75, 3.0]))
    ins = operands(rng, d)
    dtype = ins[1]["dtype"]
    if dtype in FLOATS:
        ins[1].update(gen="away", lo=0.3, hi=3.0)
    elif dtype == "bool":
        ins[1].update(gen="const", value=1)
    else:
        ins[1].update(gen="int", lo=1, hi=9)
    return call(name, ins)


@calls(36, "pow")
def power(rng, name):
    s = shape(rng)
    if rng.random() < 0.3:
        x = tensor(rng, s, float_type(rng), "away", lo=0.2, hi=2.0)
        return call(name, [x], int=rng.choice([2, 3, 4, -1, 1, 0]))
    if rng.random() < 0.2:
        return call(name, [tensor(rng, s, float_type(rng), lo=0.2, hi=3.0)], float=rng.choice([0.5, 1.5, -0.5, 2.5]))
    if rng.random() < 0.2:
        d = rng.choice(["i32", "i64"])
        return call(name, [tensor(rng, s, d, "int", lo=-5, hi=6), tensor(rng, partner(rng, s), d, "int", lo=0, hi=5)])
    d = float_type(rng)
    return call(name, operands(rng, (d, d), {"lo": 0.2, "hi": 3.0}, {"lo": -2.0, "hi": 2.5}))


@calls(20, "mod")
def remainder(rng, name):
    if rng.random() < 0.4:
        d = rng.choice(["i32", "i64"])
        return call(name, operands(rng, (d, d), {}, {"gen": "int", "lo": 1, "hi": 9}))
    d = float_type(rng, wide=True)
    if rng.random() < 0.3:
        return call(name, [tensor(rng, shape(rng), d)], float=rng.choice([0.75, -1.3]))
    return call(name, operands(rng, (d, d), {}, {"gen": "away", "lo": 0.5, "hi": 2.0}))


@calls(18, "maximum", "minimum")
def extremes(rng, name):
    if rng.random() < 0.25:
        return call(name, [tensor(rng, shape(rng), float_type(rng))], float=0.3125)
    if rng.random() < 0.3:
        d = rng.choice(["i32", "i64", "u8"])
        return call(name, operands(rng, (d, d)))
    d = float_type(rng, wide=True)
    return call(name, operands(rng, (d, d)))


@calls(10, "eq", "ne", "lt", "le", "gt", "ge")
def comparison(rng, name):
    d = rng.choice([("i32", "i32"), ("u8", "u8"), ("f32", "f32"), ("f16", "f16"), ("bf16", "bf16"), ("f64", "f64"), ("i64", "i32"), ("f32", "i64")])
    if rng.random() < 0.25:
        return call(name, [tensor(rng, shape(rng), rng.choice(["i32", "i64", "f32"]), "int", lo=-3, hi=4, grad=False)], int=1)
    small = {"gen": "int", "lo": 0, "hi": 4, "grad": False}
    return call(name, operands(rng, d, small, small))


@calls(8, "and", "or")
def logic(rng, name):
    return call(name, operands(rng, rng.choice([("bool", "bool"), ("bool", "i32"), ("u8", "bool")])))


@calls(30, "where")
def where(rng, name):
    s, d = shape(rng), rng.choice(["f32", "f32", "f16", "bf16", "f64", "i32", "i64", "bool", "u8"])
    c = tensor(rng, partner(rng, s), "bool")
    if d in ("f32", "f16", "i64") and rng.random() < 0.3:
        return call(name, [c, tensor(rng, s, d)], int=2)
    return call(name, [c, tensor(rng, s, d), tensor(rng, partner(rng, s), d)])


@calls(24, "clip")
def clip(rng, name):
    lo, hi = sorted([rng.choice([-2.5, -1.3, -0.4, 0.1]), rng.choice([0.2, 0.9, 2.1])])
    which = rng.randrange(3)
    return call(name, [tensor(rng, shape(rng), float_type(rng))], lo=None if which == 1 else lo, hi=None if which == 2 else hi)


@calls(8, "clip_tensor")
def clip_tensor(rng, name):
    s = solid(rng, 1, 3)
    return call(name, [tensor(rng, s), tensor(rng, partner(rng, s)[-len(s):], "f32", lo=-2.0, hi=-0.1), tensor(rng, s, "f32", lo=0.1, hi=2.0)])


@calls(30, "cast")
def cast(rng, name):
    a = rng.choice(["f32", "f16", "bf16", "f64", "i32", "i64", "u8", "bool"])
    b = rng.choice(["f32", "f16", "bf16", "f64", "i32", "i64", "u8", "bool"])
    more = {"lo": 0.0, "hi": 9.0} if b == "u8" and a in FLOATS else {"gen": "int", "lo": 0, "hi": 100} if b == "u8" and a in ("i32", "i64") else {}
    return call(name, [tensor(rng, shape(rng), a, **more)], to=b)


@calls(3, "named", "contiguous", "detach")
def identity(rng, name):
    return call(name, [tensor(rng, shape(rng), float_type(rng))])


# Reductions.

@calls(40, "sum", "mean")
def total(rng, name):
    s = shape(rng, 0, 4, 2000)
    if rng.random() < 0.2:
        return call(name, [tensor(rng, solid(rng, 0, 3), rng.choice(["i32", "i64", "u8", "bool"]))], axes=None)
    if name == "mean" and 0 in s:
        s = [d or 1 for d in s]
    return call(name, [tensor(rng, s, float_type(rng))], axes=some_axes(rng, s))


@calls(24, "max", "min")
def best(rng, name):
    dtype = number_type(rng)
    s = few(rng, dtype, 0)
    return call(name, [distinct(rng, s, dtype)], axes=some_axes(rng, s))


@calls(22, "prod")
def product(rng, name):
    s = solid(rng, 0, 3, 60)
    if rng.random() < 0.2:
        return call(name, [tensor(rng, s[:1], rng.choice(["i32", "i64"]), "int", lo=1, hi=4)], axes=None)
    return call(name, [tensor(rng, s, float_type(rng), "away", lo=0.6, hi=1.6)], axes=some_axes(rng, s))


@calls(8, "any", "all")
def quantifier(rng, name):
    s = solid(rng, 0, 3)
    return call(name, [tensor(rng, s, rng.choice(["bool", "i32", "f32"]), "bool", p=0.2 if name == "any" else 0.85, grad=False)], axes=some_axes(rng, s))


@calls(26, "var", "std", "norm", "logsumexp")
def moment(rng, name):
    s = solid(rng, 1, 4)
    axes = some_axes(rng, s)
    if name == "std" and math.prod(s[a] for a in axes or range(len(s))) == 1:
        axes, s = None, s + [3]  # the root has no slope at 0
    x = tensor(rng, s, float_type(rng), "away" if name == "norm" else None, **({"lo": 0.2, "hi": 3.0} if name == "norm" else {}))
    if name == "var" and x.get("layout") == "expanded":
        del x["layout"]  # equal elements: nothing but squares of rounding errors
    return call(name, [x], axes=axes)


@calls(14, "argmax", "argmin")
def place(rng, name):
    dtype = rng.choice(["f32", "f64", "f16", "bf16", "i32", "i64"])
    s = few(rng, dtype)
    return call(name, [distinct(rng, s, dtype)], axis=None if rng.random() < 0.3 else axis_of(rng, s))


@calls(26, "cumsum")
def scan(rng, name):
    s = solid(rng, 1, 4)
    return call(name, [tensor(rng, s, number_type(rng))], axis=axis_of(rng, s))


@calls(24, "sort")
def ordered(rng, name):
    dtype = number_type(rng)
    s = few(rng, dtype)
    return call(name, [distinct(rng, s, dtype)], axis=axis_of(rng, s))


@calls(12, "argsort")
def order(rng, name):
    s = solid(rng, 1, 3)
    return call(name, [tensor(rng, s, rng.choice(["i32", "f32"]), "int", lo=0, hi=6, grad=False)], axis=axis_of(rng, s))


@calls(24, "topk")
def top(rng, name):
    dtype = rng.choice(["f32", "f64", "f16", "bf16", "i32", "i64"])
    s = few(rng, dtype)
    axis = axis_of(rng, s)
    return call(name, [distinct(rng, s, dtype)], axis=axis, k=rng.randint(1, s[axis]), results=2)


# Shapes.

def anything(rng):
    return rng.choice(["f32", "f32", "f32", "f16", "bf16", "f64", "i32", "i64", "u8", "bool"])


@calls(20, "reshape")
def reshape(rng, name):
    s = solid(rng, 1, 4)
    n = math.prod(s)
    target = []
    while n > 1 and len(target) < 3:
        d = rng.choice([k for k in range(1, n + 1) if n % k == 0])
        target.append(d)
        n //= d
    target.append(n)
    rng.shuffle(target)
    if rng.random() < 0.4:
        target[rng.randrange(len(target))] = -1
    return call(name, [tensor(rng, s, anything(rng))], shape=target)


@calls(20, "transpose")
def transpose(rng, name):
    s = shape(rng, 1, 4)
    axes = list(range(len(s)))
    rng.shuffle(axes)
    return call(name, [tensor(rng, s, anything(rng))], axes=None if rng.random() < 0.2 else [a - len(s) if rng.random() < 0.3 else a for a in axes])


@calls(6, "t", "flatten")
def plain_view(rng, name):
    return call(name, [tensor(rng, shape(rng, 2, 4), anything(rng))])


@calls(10, "squeeze")
def squeeze(rng, name):
    s = solid(rng, 1, 2)
    axis = rng.randint(0, len(s))
    s = s[:axis] + [1] + s[axis:]
    return call(name, [tensor(rng, s, anything(rng))], axes=None if rng.random() < 0.3 else [axis])


@calls(10, "unsqueeze")
def unsqueeze(rng, name):
    s = shape(rng, 0, 3)
    return call(name, [tensor(rng, s, anything(rng))], axes=[rng.randint(-len(s) - 1, len(s))])


@calls(16, "expand")
def expand(rng, name):
    s = solid(rng, 1, 3, 80)
    grown = [rng.choice([2, 3, 5]) if d == 1 else rng.choice([d, -1]) for d in s]
    return call(name, [tensor(rng, s, anything(rng))], shape=([rng.choice([1, 2, 3])] if rng.random() < 0.4 else []) + grown)


@calls(16, "repeat")
def repeat(rng, name):
    s = shape(rng, 1, 3, 80)
    return call(name, [tensor(rng, s, anything(rng))], shape=([2] if rng.random() < 0.3 else []) + [rng.randint(1, 3) for _ in s])


@calls(12, "flip")
def flip(rng, name):
    s = shape(rng, 1, 4)
    return call(name, [tensor(rng, s, anything(rng))], axes=some_axes(rng, s))


@calls(24, "pad")
def pad(rng, name):
    s = shape(rng, 1, 4, 300)
    n = rng.randint(1, len(s))
    dtype = rng.choice(["f32", "f32", "f16", "bf16", "f64", "i32", "i64"])
    return call(name, [tensor(rng, s, dtype)], margins=[rng.randint(0, 3) for _ in range(2 * n)], value=float(rng.choice([0, 0, 1, -2])))


@calls(14, "split")
def split(rng, name):
    s = solid(rng, 1, 3)
    axis = axis_of(rng, s)
    sizes, rest = [], s[axis]
    while rest:
        sizes.append(rng.randint(1, rest))
        rest -= sizes[-1]
    if len(sizes) > 6:
        sizes = [s[axis]]
    return call(name, [tensor(rng, s, anything(rng))], axis=axis, sizes=sizes, results=len(sizes))


@calls(10, "chunk")
def chunk(rng, name):
    s = solid(rng, 1, 3)
    axis = axis_of(rng, s)
    k = rng.randint(1, 5)
    each = -(-s[axis] // k)
    return call(name, [tensor(rng, s, anything(rng))], axis=axis, k=k, results=-(-s[axis] // each))


@calls(26, "concat")
def concat(rng, name):
    s = solid(rng, 1, 3, 150)
    axis = axis_of(rng, s)
    types = rng.choice([["f32"], ["f32"], ["f16"], ["bf16"], ["f64"], ["i64"], ["bool"], ["f32", "f16"], ["i32", "f32"]])
    ins = []
    for _ in range(rng.randint(2, 4)):
        t = list(s)
        t[axis] = rng.choice([0, 1, 2, 3, 5])
        ins.append(tensor(rng, t, rng.choice(types)))
    return call(name, ins, axis=axis)


@calls(14, "stack")
def stack(rng, name):
    s = shape(rng, 0, 3, 150)
    d = anything(rng)
    return call(name, [tensor(rng, s, d) for _ in range(rng.randint(1, 4))], axis=rng.randint(-len(s) - 1, len(s)))


@calls(12, "tril", "triu")
def triangle(rng, name):
    return call(name, [tensor(rng, shape(rng, 2, 4), rng.choice(["f32", "f16", "bf16", "f64", "i64"]))], k=rng.randint(-3, 3))


# Indexing.

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


@calls(60, "at")
def at(rng, name):
    s = solid(rng, 1, 4)
    return call(name, [tensor(rng, s, anything(rng))], places=some_places(rng, s))


@calls(30, "set_at")
def set_at(rng, name):
    s = solid(rng, 1, 3)
    places = some_places(rng, s)
    d = rng.choice(["f32", "f32", "f16", "bf16", "f64", "i32"])
    from ops import resolve
    picked, dropped = resolve(s, {"places": places})
    value = [len(n) for i, n in enumerate(picked) if i not in dropped]
    value = [v if rng.random() < 0.7 else 1 for v in value]
    return call(name, [tensor(rng, s, d), tensor(rng, value, d)], places=places)


def index(rng, s, limit, **more):
    return tensor(rng, s, rng.choice(["i64", "i64", "i32"]), "negint", lo=0, hi=limit, limit=limit, **more)


@calls(10, "at_tensor")
def at_tensor(rng, name):
    s = solid(rng, 1, 3)
    axis = rng.randrange(len(s))
    return call(name, [tensor(rng, s, float_type(rng)), index(rng, solid(rng, 1, 2, 20), s[axis])], axis=axis)


@calls(30, "take")
def take(rng, name):
    s = solid(rng, 1, 3)
    axis = axis_of(rng, s)
    return call(name, [tensor(rng, s, anything(rng)), index(rng, shape(rng, 0, 2, 20), s[axis])], axis=axis)


@calls(24, "take_along")
def take_along(rng, name):
    s = solid(rng, 1, 3)
    axis = axis_of(rng, s)
    t = list(s)
    t[axis] = rng.choice([1, 2, 5, s[axis]])
    return call(name, [tensor(rng, s, anything(rng)), index(rng, t, s[axis])], axis=axis)


@calls(20, "gather")
def gather(rng, name):
    s = solid(rng, 1, 3)
    axis = rng.randrange(len(s))
    t = [rng.randint(1, d) for d in s]
    t[axis] = rng.choice([1, 3, 6])
    return call(name, [tensor(rng, s, anything(rng)), index(rng, t, s[axis])], axis=axis)


@calls(24, "scatter")
def scatter(rng, name):
    s = solid(rng, 1, 3)
    axis = axis_of(rng, s)
    t = list(s)
    t[axis] = rng.randint(1, s[axis])
    d = rng.choice(["f32", "f32", "f16", "bf16", "f64", "i64", "bool"])
    i = {"gen": "unique", "shape": t, "dtype": rng.choice(["i64", "i32"]), "axis": axis % len(s), "limit": s[axis]}
    if rng.random() < 0.5:
        i["neg"] = True
    return call(name, [tensor(rng, s, d), i, tensor(rng, t, d)], axis=axis)


@calls(24, "scatter_add")
def scatter_add(rng, name):
    s = solid(rng, 1, 3)
    axis = axis_of(rng, s)
    t = list(s)
    t[axis] = rng.choice([1, 4, 9])
    d = rng.choice(["f32", "f32", "f64", "f16", "bf16", "i64", "i32"])
    return call(name, [tensor(rng, s, d), index(rng, t, s[axis]), tensor(rng, t, d)], axis=axis)


@calls(12, "dynamic_slice")
def dynamic_slice(rng, name):
    s = solid(rng, 1, 3)
    return call(name, [tensor(rng, s, anything(rng)), tensor(rng, [len(s)], "i64", "int", dense=True, lo=-2, hi=9)], shape=[rng.randint(1, d) for d in s])


@calls(12, "dynamic_update_slice")
def dynamic_update_slice(rng, name):
    s = solid(rng, 1, 3)
    d = rng.choice(["f32", "f16", "bf16", "f64", "i32"])
    return call(name, [tensor(rng, s, d), tensor(rng, [rng.randint(1, n) for n in s], d), tensor(rng, [len(s)], "i64", "int", dense=True, lo=-2, hi=9)])


@calls(20, "embedding")
def embedding(rng, name):
    words, width = rng.choice([3, 7, 20]), rng.choice([1, 4, 9, 16])
    return call(name, [tensor(rng, [words, width], float_type(rng)), index(rng, shape(rng, 0, 2, 30), words)])


# Contractions.

@calls(150, "matmul")
def matmul(rng, name):
    m, k, n = (rng.choice([1, 1, 2, 3, 5, 8, 16, 17, 31, 33]) for _ in range(3))
    if rng.random() < 0.1:
        m, k, n = (rng.choice([48, 63, 64, 65, 96, 130]) for _ in range(3))
    if rng.random() < 0.03:
        k = 0
    dtype = float_type(rng)
    a, b = [m, k], [k, n]
    batch = solid(rng, 0, 2, 6) if m * k * n < 5000 else []
    if batch and rng.random() < 0.8:
        a = [d if rng.random() < 0.75 else 1 for d in batch] + a
        b = partner(rng, batch)[-len(batch):] + b
    if rng.random() < 0.08:
        a = [k]
    if rng.random() < 0.08:
        b = [k]
    other = dtype if rng.random() < 0.9 else "f32"
    return call(name, [tensor(rng, a, dtype), tensor(rng, b, other)])


EINSUM = ["ij,jk->ik", "ij,kj->ik", "bij,bjk->bik", "ij->ji", "ij->", "ij->j", "ii->i", "ii->", "i,j->ij", "i,i->", "ij,ij->", "ij,ij->i", "bhqd,bhkd->bhqk", "bhqk,bhkd->bqhd",
          "...ij,...jk->...ik", "...i->...", "i...,i...->...", "ij,jk", "ba", "ab,bc,cd->ad", "ab,bc,a->c", "abc,cd->abd", "abc,bd->adc", "b...,b...->b...", "ij,j->i", "aab->b", "abc->cab",
          "a,b,c->abc", "ij,ik,jk->i", "nc,nd->cd"]


@calls(60, "einsum")
def einsum(rng, name):
    spec = rng.choice(EINSUM)
    sizes = {}
    dots = solid(rng, 0, 2, 6)
    ins = []
    dtype = float_type(rng)
    for term in spec.split("->")[0].split(","):
        s = []
        for c in term.replace("...", "."):
            s += dots if c == "." else [sizes.setdefault(c, rng.choice([1, 2, 3, 4, 5, 7]))]
        ins.append(tensor(rng, s, dtype))
    return call(name, ins, spec=spec)


def convolution(rng, name, n):
    groups = rng.choice([1, 1, 1, 2, 3])
    cin, cout = groups * rng.choice([1, 2, 3]), groups * rng.choice([1, 2, 4])
    kernel = [rng.choice([1, 2, 3, 4]) for _ in range(n)]
    dilation = [rng.choice([1, 1, 2]) for _ in range(n)]
    padding = [rng.choice([0, 1, 2]) for _ in range(n)]
    stride = [rng.choice([1, 1, 2, 3]) for _ in range(n)]
    size = [max((k - 1) * d + 1 - 2 * p, 1) + rng.choice([0, 1, 2, 4, 5]) for k, d, p in zip(kernel, dilation, padding)]
    dtype = float_type(rng)
    ins = [tensor(rng, [rng.choice([1, 2])] + [cin] + size, dtype), tensor(rng, [cout, cin // groups] + kernel, dtype)]
    if rng.random() < 0.5:
        ins.append(tensor(rng, [cout], dtype))
    return call(name, ins, stride=stride, pad=padding, dilation=dilation, groups=groups)


@calls(45, "conv1d")
def conv1d(rng, name):
    return convolution(rng, name, 1)


@calls(60, "conv2d")
def conv2d(rng, name):
    return convolution(rng, name, 2)


@calls(80, "attention")
def attention(rng, name):
    kv = rng.choice([1, 2])
    heads = kv * rng.choice([1, 1, 2, 3])
    t, s = rng.choice([1, 2, 3, 5, 8]), rng.choice([1, 3, 4, 7, 9])
    causal = rng.random() < 0.5
    if causal:
        s = max(s, t)
    d, dv, b = rng.choice([1, 2, 4, 8]), rng.choice([2, 3, 8]), rng.choice([1, 2])
    dtype = float_type(rng)
    ins = [tensor(rng, [b, heads, t, d], dtype), tensor(rng, [b, kv, s, d], dtype), tensor(rng, [b, kv, s, dv], dtype)]
    if rng.random() < 0.4:
        m = rng.choice([[b, heads, t, s], [1, 1, t, s], [t, s], [b, 1, t, s]])
        if rng.random() < 0.4 and not causal:
            ins.append(tensor(rng, m, "bool", "bool", p=0.8, dense=True))
        else:
            ins.append(tensor(rng, m, dtype, grad=rng.random() < 0.6))
    return call(name, ins, causal=causal or None, scale=rng.choice([None, None, 0.5]))


@calls(30, "linear")
def linear(rng, name):
    i, o = rng.choice([1, 3, 8, 17, 32]), rng.choice([1, 2, 7, 16, 33])
    dtype = float_type(rng)
    ins = [tensor(rng, solid(rng, 0, 2, 12) + [i], dtype), tensor(rng, [o, i], dtype)]
    if rng.random() < 0.7:
        ins.append(tensor(rng, [o], dtype))
    return call(name, ins)


@calls(16, "solve")
def solve(rng, name):
    n, dtype = rng.choice([1, 2, 3, 5]), float_type(rng, wide=True)
    batch = solid(rng, 0, 1, 3)
    ins = [tensor(rng, batch + [n, n], dtype, dense=True), tensor(rng, batch + [n, rng.choice([1, 2, 4])], dtype, dense=True)]
    return call(name, ins)


@calls(16, "qr")
def qr(rng, name):
    n = rng.choice([1, 2, 3, 4])
    m = n + rng.choice([0, 0, 1, 3])
    return call(name, [tensor(rng, solid(rng, 0, 1, 3) + [m, n], float_type(rng, wide=True), dense=True)], results=2)


@calls(16, "svd")
def svd(rng, name):
    m, n = rng.choice([1, 2, 3, 5]), rng.choice([1, 2, 3, 4])
    return call(name, [tensor(rng, solid(rng, 0, 1, 3) + [m, n], float_type(rng, wide=True), dense=True)], k=rng.randint(1, min(m, n)), results=2)


# Rows.

@calls(36, "softmax", "log_softmax")
def softmax(rng, name):
    s = solid(rng, 1, 4, 1200)
    if rng.random() < 0.15:
        s = [rng.choice([1, 3]), rng.choice([65, 257, 300])]
    lo, hi = rng.choice([(-3.0, 3.0), (-20.0, 20.0), (-1.0, 1.0)])
    return call(name, [tensor(rng, s, float_type(rng), lo=lo, hi=hi)], axis=axis_of(rng, s))


@calls(36, "rms_norm", "layer_norm")
def norm(rng, name):
    s = solid(rng, 1, 3, 900)
    s[-1] = rng.choice([2, 3, 5, 8, 17, 32, 65])
    dtype = float_type(rng)
    ins = [tensor(rng, s, dtype)]
    if rng.random() < 0.7:
        ins.append(tensor(rng, [s[-1]], dtype))
        if name == "layer_norm" and rng.random() < 0.8:
            ins.append(tensor(rng, [s[-1]], dtype))
    return call(name, ins, eps=rng.choice([1e-5, 1e-6, 1e-3]))


@calls(36, "rope")
def rope(rng, name):
    d = rng.choice([2, 4, 8, 16])
    dims = None if rng.random() < 0.6 else rng.choice([k for k in (2, 4, 8, 16) if k <= d])
    ins = [tensor(rng, solid(rng, 0, 2, 6) + [rng.choice([1, 3, 7]), d], float_type(rng))]
    if rng.random() < 0.2:
        ins.append(tensor(rng, [(dims or d) // 2], "f32", lo=0.01, hi=1.0, grad=False))
    return call(name, ins, dims=dims, base=rng.choice([None, 500.0, 1e6]) if len(ins) == 1 else None, offset=rng.choice([None, 3, 100]),
                scale=rng.choice([None, 0.5]), interleaved=True if rng.random() < 0.4 else None)


# Losses.

@calls(36, "cross_entropy_rows", "cross_entropy")
def cross_entropy(rng, name):
    classes = rng.choice([2, 3, 7, 17, 40, 130])
    s = solid(rng, 0 if name == "cross_entropy_rows" else 1, 2, 20)
    ignore = rng.choice([None, None, [0], [1]])
    t = {"gen": "int", "shape": s, "dtype": rng.choice(["i64", "i64", "i32"]), "lo": 0, "hi": classes}
    if rng.random() < 0.2:
        t.update(lo=-100, hi=-99)
        if name == "cross_entropy":  # nothing left: the mean would be NaN
            t.update(lo=0, hi=1)
            ignore = None
    return call(name, [tensor(rng, s + [classes], float_type(rng)), t], ignore=ignore, smoothing=rng.choice([None, None, 0.1, 0.3]))


@calls(16, "mse", "l1", "huber", "bce_with_logits")
def distance(rng, name):
    s, d = solid(rng, 1, 3), float_type(rng)
    target = tensor(rng, s, d, lo=0.0, hi=1.0, grad=False) if name == "bce_with_logits" else tensor(rng, s, d)
    return call(name, [tensor(rng, s, d), target], float=rng.choice([0.5, 1.0, 2.0]) if name == "huber" else None)


@calls(12, "nll")
def nll(rng, name):
    s, classes = solid(rng, 1, 2, 20), rng.choice([2, 5, 11])
    return call(name, [tensor(rng, s + [classes], float_type(rng), lo=-5.0, hi=-0.1), {"gen": "int", "shape": s, "dtype": "i64", "lo": 0, "hi": classes}])


@calls(12, "kl_div")
def kl_div(rng, name):
    s, d = solid(rng, 1, 3, 300), float_type(rng, wide=True)
    return call(name, [tensor(rng, s, d, lo=-5.0, hi=-0.1), tensor(rng, s, d, lo=0.05, hi=1.0)])


@calls(12, "cosine_similarity")
def cosine(rng, name):
    s, d = solid(rng, 1, 3, 300), float_type(rng)
    s[-1] = max(s[-1], 3)
    return call(name, [tensor(rng, s, d), tensor(rng, s, d)])


@calls(12, "triplet")
def triplet(rng, name):
    s, d = solid(rng, 2, 2, 200), float_type(rng, wide=True)
    s[-1] = max(s[-1], 3)
    return call(name, [tensor(rng, s, d), tensor(rng, s, d), tensor(rng, s, d)], float=rng.choice([0.5, 1.0]))


@calls(10, "clip_norm")
def clip_norm(rng, name):
    ins = [tensor(rng, solid(rng, 0, 3, 100), "f32") for _ in range(rng.randint(1, 4))]
    return call(name, ins, float=rng.choice([0.5, 1.0, 1000.0]), results=len(ins) + 1)


# Sources.

@calls(5, "arange", "linspace", "eye", "full", "zeros", "ones", "of", "ints")
def source(rng, name):
    if name == "arange":
        start, step = rng.randint(-5, 5), rng.choice([1, 2, 3, -1, -2])
        return call(name, [], sizes=[start, start + step * rng.randint(0, 9) + rng.choice([0, 1 if step > 0 else -1]) * (abs(step) > 1), step])
    if name == "linspace":
        return call(name, [], lo=-1.5, hi=rng.choice([0.25, 2.0, 7.0]), k=rng.randint(2, 12))
    if name == "eye":
        return call(name, [], sizes=[rng.randint(1, 5), rng.randint(1, 5)])
    if name == "full":
        return call(name, [], shape=shape(rng), **rng.choice([{"int": 7}, {"float": 0.375}]))
    if name == "of":
        return call(name, [], floats=[rng.randint(-64, 64) / 16 for _ in range(rng.randint(0, 9))])
    if name == "ints":
        return call(name, [], sizes=[rng.randint(-99, 99) for _ in range(rng.randint(0, 9))])
    return call(name, [], shape=shape(rng))


# Layers.

@calls(60, "lora")
def lora(rng, name):
    r, i, o = rng.choice([1, 2, 4, 8]), rng.choice([8, 9, 16, 33]), rng.choice([8, 12, 31])
    d = float_type(rng, wide=True)
    dora = rng.random() < 0.4
    ins = [tensor(rng, solid(rng, 1, 2, 20) + [i], d), tensor(rng, [o, i], d, lo=-1.0, hi=1.0, dense=True, grad=False),
           tensor(rng, [r, i], d, lo=-0.5, hi=0.5, dense=True), tensor(rng, [o, r], d, lo=-0.5, hi=0.5, dense=True)]
    if dora:
        ins.append(tensor(rng, [o], d, lo=0.5, hi=2.0, dense=True))
    if rng.random() < 0.4:
        ins.append(tensor(rng, [o], d, dense=True, grad=False))
    return call(name, ins, alpha=rng.choice([4.0, 8.0, 16.0]), rslora=True if rng.random() < 0.3 else None, dora=True if dora else None, results=2)


# Large operands: blocked, vectorised and parallel kernels, with rests.

@calls(8, "matmul.large")
def large_matmul(rng, name):
    m, k, n = rng.choice([(1, 700, 300), (300, 257, 1), (129, 200, 65), (200, 131, 190), (64, 512, 64), (8, 64, 1000), (63, 33, 511)])
    d = rng.choice(["f32", "f32", "f32", "f64", "f16", "bf16"])
    return call("matmul", [tensor(rng, [m, k], d), tensor(rng, [k, n], d)])


@calls(6, "add.large", "mul.large", "exp.large", "tanh.large", "gelu.large", "sigmoid.large", "sin.large", "log.large", "erf.large", "silu.large", "div.large", "maximum.large", "pow.large")
def large_elementwise(rng, name):
    name = name.removesuffix(".large")
    s, d = rng.choice([[20011], [130, 151], [7, 33, 65]]), float_type(rng)
    lo, hi = RANGE.get(name, (0.2, 3.0))
    ins = [tensor(rng, s, d, lo=lo, hi=hi)]
    if name in TWO:
        ins.append(tensor(rng, rng.choice([s, s[-1:]]), d, lo=lo, hi=hi))
    return call(name, ins)


@calls(6, "sum.large", "mean.large", "max.large", "var.large", "norm.large", "logsumexp.large", "softmax.large", "log_softmax.large", "rms_norm.large", "layer_norm.large", "cumsum.large")
def large_rows(rng, name):
    name = name.removesuffix(".large")
    s, d = rng.choice([[64, 512], [3, 5001], [2100, 9], [17, 31, 40]]), float_type(rng)
    x = distinct(rng, s, "f32") if name == "max" else tensor(rng, s, d)
    if name in ("softmax", "log_softmax", "cumsum"):
        return call(name, [x], axis=axis_of(rng, s))
    if name in ("rms_norm", "layer_norm"):
        return call(name, [x] + [tensor(rng, s[-1:], d) for _ in range(2 if name == "layer_norm" else 1)], eps=1e-5)
    return call(name, [x], axes=some_axes(rng, s))


@calls(6, "sort.large", "topk.large", "argmax.large", "take.large", "scatter_add.large", "transpose.large", "concat.large", "at.large", "embedding.large")
def large_index(rng, name):
    name = name.removesuffix(".large")
    s = rng.choice([[5, 3001], [900, 13], [33, 65, 7]])
    axis = axis_of(rng, s)
    if name in ("sort", "topk", "argmax"):
        return call(name, [distinct(rng, s, "f32")], axis=axis, k=min(9, s[axis]) if name == "topk" else None, results=2 if name == "topk" else 1)
    x = tensor(rng, s, float_type(rng))
    if name in ("take", "scatter_add"):
        t = list(s)
        t[axis] = 50
        ins = [x, index(rng, [50], s[axis])] if name == "take" else [x, index(rng, t, s[axis]), tensor(rng, t, x["dtype"])]
        return call(name, ins, axis=axis)
    if name == "embedding":
        return call(name, [tensor(rng, [500, 65], float_type(rng)), index(rng, [7, 40], 500)])
    if name == "transpose":
        return call(name, [x], axes=rng.sample(range(len(s)), len(s)))
    if name == "at":
        return call(name, [x], places=some_places(rng, s))
    return call(name, [x, tensor(rng, s, x["dtype"])], axis=axis)


@calls(8, "attention.large", "conv1d.large", "conv2d.large", "cross_entropy.large", "lora.large", "rope.large", "linear.large")
def large_layers(rng, name):
    name = name.removesuffix(".large")
    d = float_type(rng)
    if name == "attention":
        t, s = rng.choice([(1, 300), (70, 70), (65, 130), (33, 200)])
        width = rng.choice([16, 64, 80])
        ins = [tensor(rng, [1, 4, t, width], d), tensor(rng, [1, 2, s, width], d), tensor(rng, [1, 2, s, width], d)]
        return call(name, ins, causal=True if rng.random() < 0.6 else None)
    if name == "conv1d":
        return call(name, [tensor(rng, [3, 16, 101], d), tensor(rng, [24, 16, 5], d), tensor(rng, [24], d)], stride=[2], pad=[3], dilation=[2], groups=1)
    if name == "conv2d":
        groups = rng.choice([1, 2, 16])
        return call(name, [tensor(rng, [2, 16, 21, 19], d), tensor(rng, [32, 16 // groups, 3, 3], d)], stride=[rng.choice([1, 2])] * 2, pad=[1, 1], dilation=[1, 1], groups=groups)
    if name == "cross_entropy":
        return call(name, [tensor(rng, [50, 1003], d), {"gen": "int", "shape": [50], "dtype": "i64", "lo": 0, "hi": 1003}], smoothing=rng.choice([None, 0.1]))
    if name == "rope":
        return call(name, [tensor(rng, [2, 3, 65, 64], d)], interleaved=True if rng.random() < 0.5 else None)
    if name == "linear":
        return call(name, [tensor(rng, [3, 40, 65], d), tensor(rng, [129, 65], d), tensor(rng, [129], d)])
    d = "f32"
    ins = [tensor(rng, [rng.choice([64, 512]), 128], d), tensor(rng, [96, 128], d, lo=-1.0, hi=1.0, dense=True, grad=False),
           tensor(rng, [8, 128], d, lo=-0.5, hi=0.5, dense=True), tensor(rng, [96, 8], d, lo=-0.5, hi=0.5, dense=True)]
    return call(name, ins, alpha=16.0, results=2)


# Sums of halves that f16 cannot hold, of which the result is small.

@calls(5, "mean.half", "var.half", "std.half", "norm.half", "logsumexp.half", "cross_entropy.half")
def half_sums(rng, name):
    name = name.removesuffix(".half")
    d = rng.choice(["f16", "f16", "bf16"])
    if name == "cross_entropy":
        return call(name, [tensor(rng, [4003, 5], d, lo=-30.0, hi=30.0), {"gen": "int", "shape": [4003], "dtype": "i64", "lo": 0, "hi": 5}])
    s = rng.choice([[2100, 9], [9, 2100], [3, 700, 5]])
    lo, hi = {"mean": (100.0, 200.0), "norm": (50.0, 200.0)}.get(name, (-9.0, 9.0))
    return call(name, [tensor(rng, s, d, lo=lo, hi=hi)], axes=rng.choice([None, [0], [1], [0, 1]]))
