"""Functions of one number between an accumulator and a quantizer."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqwire.compiler import frontend
from sqwire.compiler.errors import CompileError
from sqwire.compiler.frontend.functions import Affine, Both, Function, Unary
from sqwire.compiler.frontend.rational import Root, bounds, divide, gcd, multiply, root
from sqwire.compiler.frontend.rounding import Counting, Rounding
from sqwire.compiler.frontend.staircase import code_of, constants, staircases
from sqwire.hw.ranges import Range

seeds = st.integers(0, 999)

PLAIN = [
    "Abs", "Ceil", "Celu", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "LeakyRelu", "Neg",
    "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Tanh", "ThresholdedRelu",
]  # fmt: skip
NEW = {"HardSwish": 14, "Mish": 18, "Gelu": 20}


@pytest.mark.parametrize("kind", PLAIN + list(NEW))
@given(seed=seeds, bits=st.integers(2, 8))
def test_activation_functions(net, same, kind, seed, bits):
    n = net(seed, opset=NEW.get(kind, 13))
    same(n.model(n.quant(n.op(kind, n.acc()), bits, 0.1)), rounding=0.1)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("LeakyRelu", {"alpha": -0.3}),
        ("LeakyRelu", {"alpha": 1.7}),
        ("Elu", {"alpha": 0.3}),
        ("Celu", {"alpha": 0.3}),
        ("Selu", {"alpha": 0.7, "gamma": 1.3}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
        ("ThresholdedRelu", {"alpha": 0.25}),
        ("ThresholdedRelu", {"alpha": -0.5}),
    ],
)
def test_activation_functions_with_attributes(net, same, kind, attributes):
    for seed in range(3):
        n = net(seed)
        same(n.model(n.quant(n.op(kind, n.acc(), **attributes), 6, 0.1)))


@given(seed=seeds)
def test_batch_normalization_with_its_square_root(net, same, seed):
    n = net(seed)
    gain = n.rng.normal(0, 1, 4)
    gain[seed % 4] = 0
    y = n.op(
        "BatchNormalization", n.acc(gains=False), gain, n.rng.normal(0, 0.5, 4),
        n.rng.normal(0, 1, 4), n.rng.uniform(0.01, 3, 4), epsilon=1e-3,
    )  # fmt: skip
    same(n.model(n.quant(n.op("Relu", y), 4, 0.2, signed=0)))


def test_batch_normalization_of_features(net, same):
    n = net(1)
    y = n.acc((6,), 5)
    parameters = [n.rng.uniform(0.1, 2, 5) for _ in range(4)]
    same(n.model(n.quant(n.op("BatchNormalization", y, *parameters), 4, 0.2)))


def test_a_batch_normalization_whose_mean_is_met_is_decided_at_the_tie(net, same):
    # acc - mean is 0 at acc = 3: there the irrational gain vanishes and beta lies on a tie.
    n = net(2)
    x = n.quant(n.input((1,)), 4, 1.0, signed=0)
    y = n.op("MatMul", x, n.quant(n.constant([[1.0]]), 2, 1.0))
    y = n.op("BatchNormalization", y, [1.0], [0.5], [3.0], [2.0])
    same(n.model(n.quant(y, 4, 1.0)), np.arange(16, dtype=np.float32).reshape(-1, 1))


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("shape", [(), (1, 4, 1, 1), (4, 1, 1)])
def test_constants_in_either_position(net, same, kind, first, shape):
    if kind == "Div" and first:
        return
    n = net(3)
    constant = n.rng.normal(0, 2, shape)
    y = n.acc()
    y = n.op(kind, n.constant(constant), y) if first else n.op(kind, y, constant)
    same(n.model(n.quant(y, 5, 0.2)))


@pytest.mark.parametrize("opset", [9, 13])
def test_clip(net, same, opset):
    n = net(4, opset=opset)
    y = n.acc()
    y = n.op("Clip", y, min=-0.3, max=1.7) if opset < 11 else n.op("Clip", y, -0.3, 1.7)
    y = n.quant(y, 5, 0.125)
    y = n.op("Clip", y, max=0.5) if opset < 11 else n.op("Clip", y, None, 0.5)
    same(n.model(n.op("Conv", y, n.weight((2, 4, 1, 1)))))


@pytest.mark.parametrize("shape", [(4, 1, 1), (1,)])
def test_prelu_slopes_of_both_signs(net, same, shape):
    n = net(5)
    slope = n.rng.normal(0, 1, shape)
    same(n.model(n.quant(n.op("PRelu", n.acc(), slope), 5, 0.1)))


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0, 0.5])
def test_powers(net, same, exponent):
    n = net(6)
    y = n.op("Relu", n.acc()) if exponent == 0.5 else n.acc()
    same(n.model(n.quant(n.op("Pow", y, exponent), 6, 0.1)))


def test_square_root_logarithm_and_the_larger_and_smaller_of_two(net, same):
    n = net(7)
    y = n.op("Max", n.acc(), 0.1)
    y = n.op("Add", n.op("Sqrt", y), 0.01)
    same(n.model(n.quant(n.op("Min", n.op("Log", y), [0.3]), 6, 0.05)), rounding=0.1)


@given(seed=seeds)
def test_a_function_and_its_argument_multiplied(net, same, seed):
    # x * sigmoid(x), as exporters write it.
    n = net(seed)
    x = n.acc()
    same(n.model(n.quant(n.op("Mul", x, n.op("Sigmoid", x)), 5, 0.1)))


@given(seed=seeds)
def test_a_function_and_its_argument_added(net, same, seed):
    n = net(seed)
    x = n.quant(n.acc(), 4, 0.3)
    y = n.op("Add", n.op("Mul", x, 0.5), n.op("Sub", 1.0, n.op("Tanh", x)))
    same(n.model(n.quant(y, 5, 0.1)))


def test_hard_swish_as_exporters_write_it(net, same):
    n = net(8)
    x = n.acc()
    gate = n.op("Clip", n.op("Add", x, 3.0), 0.0, 6.0)
    same(n.model(n.quant(n.op("Div", n.op("Mul", x, gate), 6.0), 5, 0.1)))


@pytest.mark.parametrize("kind", ["Relu", "Abs", "Neg", "Clip", "LeakyRelu"])
def test_functions_of_codes_that_nobody_quantizes_again(net, same, kind):
    # Their values lie on a grid, so a table gives exact codes.
    n = net(9)
    x = n.quant(n.acc(), 4, 0.25)
    y = n.op(kind, x, -0.5, 0.75) if kind == "Clip" else n.op(kind, x)
    if kind == "LeakyRelu":
        y = n.op(kind, x, alpha=0.125)
    same(n.model(n.op("Conv", y, n.weight((2, 4, 1, 1)))))


def test_a_function_without_a_grid_needs_a_quantizer(net):
    n = net(10)
    y = n.op("Tanh", n.quant(n.acc(), 4, 0.3))
    y = n.op("Conv", y, n.weight((2, 4, 1, 1)), name="conv")
    with pytest.raises(CompileError, match='"conv".*put a Quant before it'):
        frontend.import_qonnx(n.model(y))


def test_constants_are_folded_exactly(net, same):
    n = net(11)
    deviation = n.op("Pow", [3.7], 0.5)
    offset = n.op("Neg", n.op("Div", n.op("Add", [1.0], [0.3]), [3.0]))
    y = n.op("Div", n.acc(), deviation)
    y = n.op("Add", n.op("Mul", y, n.op("Sqrt", [2.0])), offset)
    same(n.model(n.quant(y, 6, 0.1)))


@pytest.mark.parametrize("kind", ["Erf", "Exp", "Log", "Sqrt"])
def test_arguments_outside_a_function_are_refused(net, kind):
    n = net(12)
    y = n.op("Mul", n.acc(gains=False), 1e9)
    y = n.quant(n.op(kind, y), 4, 0.3, name="q")
    if kind == "Erf":
        frontend.import_qonnx(n.model(y))  # it saturates
    else:
        with pytest.raises(CompileError, match='"q" .*(exponential|logarithm|square root)'):
            frontend.import_qonnx(n.model(y))


ONE = (Fraction(1),)
ZERO = (Fraction(0),)


def rounding(scale, lo, hi, mode="ROUND"):
    value = Affine((scale,), ZERO)
    return Rounding((scale,), ZERO, (lo,), (hi,), (0,), value, mode)


def test_a_staircase_is_exact_at_ties():
    half = Function((Affine((Fraction(1, 2),), ZERO),))
    (got,) = staircases(half, [Range(-9, 9)], rounding(Fraction(1), -3, 3))
    assert got(np.arange(-9, 10)).tolist() == [
        min(max(round(Fraction(x, 2)), -3), 3) for x in range(-9, 10)
    ]


@pytest.mark.parametrize(("sign", "want"), [(1, 2**29 + 1), (-1, 2**29)])
def test_a_staircase_is_exact_a_hair_beside_a_tie(sign, want):
    # The offset is far below what float64 sees beside 2**30, and decides the rounding.
    step = Affine((Fraction(1, 2),), (sign * Fraction(1, 2**60),))
    quantizer, x = rounding(Fraction(1), 0, 2**31), 2**30 + 1
    (got,) = staircases(Function((step,)), [Range(x, x)], quantizer)
    assert got(np.array([x])).tolist() == [want]


@given(seed=seeds)
def test_bisection_and_table_agree_with_fractions(seed):
    rng = np.random.default_rng(seed)
    draw = lambda: Fraction(float(np.float32(rng.normal())))  # noqa: E731
    step = Affine(tuple(draw() for _ in range(3)), tuple(draw() for _ in range(3)))
    functions = [
        Function((step, Unary("AtLeast", (ZERO,)))),
        Function((step, Unary("Leaky", ((Fraction(-1, 3),),)))),
        Function((step, Both("mul", (), ()))),
    ]
    for function in functions:
        for bits in (2, 6):
            quantizer = rounding(Fraction(float(np.float32(rng.uniform(0.1, 9)))), 0, 2**bits - 1)
            got = staircases(function, [Range(-300, 200)] * 3, quantizer)
            for c in range(3):
                want = [code_of(function, quantizer, Fraction(x), c) for x in range(-300, 201)]
                assert got[c](np.arange(-300, 201)).tolist() == want


def test_an_irrational_value_that_is_a_tie_all_the_same_is_rounded_as_one():
    # sigmoid(x) + sigmoid(-x) is 1 for every x, which no number of bits can show.
    turned = (Affine((Fraction(-1),), ZERO), Unary("Sigmoid"))
    function = Function((Both("add", (Unary("Sigmoid"),), turned),))
    assert code_of(function, rounding(Fraction(2, 3), 0, 9), Fraction(1, 3), 0) == 2
    assert code_of(function, rounding(Fraction(2, 5), 0, 9), Fraction(1, 3), 0) == 2


def test_counting_thresholds_is_exact_where_they_are_met():
    quantizer = Counting(((Fraction(1, 3), Fraction(2, 3)),), -1, Affine(ONE, ZERO))
    third = Function((Affine((Fraction(1, 3),), ZERO),))
    (got,) = staircases(third, [Range(-1, 3)], quantizer)
    assert got(np.arange(-1, 4)).tolist() == [-1, -1, 0, 1, 1]


def test_constants_are_rounded_half_to_even_and_clipped():
    x = np.array([[0.5, 1.5], [-2.5, 99]], np.float32)
    codes = constants(x, np.zeros((2, 2), np.int64), rounding(Fraction(1), -7, 7))
    assert codes.tolist() == [[0, 2], [-2, 7]]


def test_square_roots_are_exact_or_enclosed():
    assert root(Fraction(3), Fraction(4, 9)) == 2
    two = root(Fraction(1), Fraction(2))
    assert isinstance(two, Root) and multiply(two, two) == 2
    assert divide(Fraction(2), two) == two
    lo, hi = bounds(two, 200)
    assert lo**2 < 2 < hi**2 and hi - lo < Fraction(1, 2**190)
    lo, hi = bounds(multiply(Fraction(-1), two), 64)
    assert lo < hi < 0


def test_the_largest_common_divisor_of_fractions():
    assert gcd([Fraction(1, 2), Fraction(-3, 4), Fraction(0)]) == Fraction(1, 4)
    assert gcd([Fraction(0)]) == 0
