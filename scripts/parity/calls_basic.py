"""Random calls of single ops: elementwise, reductions, shapes, indexing."""
import math

from calls import axis_of, call, calls, distinct, few, float_type, index, number_type, partner, RANGE, shape, solid, some_axes, some_places, tensor
from inputs import FLOATS
from ops import resolve

# Elementwise.


@calls(22, "sqrt", "rsqrt", "log", "log1p", "exp", "expm1", "sin", "cos", "erf", "tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "reciprocal", "erfinv")
def transcendental(rng, name):
    s = shape(rng)
    if rng.random() < 0.1 and name not in ("sqrt", "rsqrt", "log", "reciprocal", "log1p"):
        return call(name, [tensor(rng, s, rng.choice(["i32", "i64"]), "int", lo=-3, hi=4)])
    if name == "reciprocal":
        return call(name, [tensor(rng, s, float_type(rng), "away", lo=0.3, hi=3.0)])
    lo, hi = RANGE[name]
    return call(name, [tensor(rng, s, float_type(rng), lo=lo, hi=hi)])


@calls(16, "neg", "abs", "sign", "square", "relu", "floor", "ceil", "round", "trunc")
def stepwise(rng, name):
    dtype = float_type(rng)
    if rng.random() < 0.2:
        dtype = rng.choice(["i32", "i64"])
    return call(name, [tensor(rng, shape(rng), dtype, "away" if dtype in FLOATS else None, **({"lo": 0.05, "hi": 5.0} if dtype in FLOATS else {}))])


@calls(6, "is_nan", "is_inf", "is_finite", "trunc.special", "erfinv.special", "exp.special", "log.special", "tanh.special", "sigmoid.special", "relu.special", "abs.special", "neg.special", "sqrt.special", "floor.special",
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


@calls(60, "at")
def at(rng, name):
    s = solid(rng, 1, 4)
    return call(name, [tensor(rng, s, anything(rng))], places=some_places(rng, s))


@calls(30, "set_at")
def set_at(rng, name):
    s = solid(rng, 1, 3)
    places = some_places(rng, s)
    d = rng.choice(["f32", "f32", "f16", "bf16", "f64", "i32"])
    picked, dropped = resolve(s, {"places": places})
    value = [len(n) for i, n in enumerate(picked) if i not in dropped]
    value = [v if rng.random() < 0.7 else 1 for v in value]
    return call(name, [tensor(rng, s, d), tensor(rng, value, d)], places=places)


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
