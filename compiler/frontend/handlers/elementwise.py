"""Functions of one number: constants applied to an activation, and activation functions.

None of them makes a circuit; the quantizer that follows evaluates the whole chain exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ...errors import CompileError
from ..context import Call, float32
from ..functions import Affine, Both, Step, Unary
from ..rational import divide, exact, multiply, root
from ..values import Real, Value, channelwise
from . import sums

__all__ = [
    "add", "batch_normalization", "binary", "celu", "clip", "div", "elu", "gelu", "hard_sigmoid",
    "hard_swish", "leaky_relu", "maximum", "minimum", "mish", "mul", "neg", "power", "prelu",
    "relu", "selu", "sub", "swish", "thresholded_relu", "total", "unary",
]  # fmt: skip

_ONE, _ZERO = (Fraction(1),), (Fraction(0),)
_MINUS = Affine((Fraction(-1),), _ZERO)


def unary(*kinds: str) -> Callable[[Call], Value]:
    """A handler for an operator that is a chain of elementary functions without parameters."""

    def handler(call: Call) -> Value:
        """Part of the function."""
        return _then(call, *map(Unary, kinds))

    return handler


def _then(call: Call, *steps: Step) -> Value:
    """Input 0, after some steps."""
    return call.real().then(*steps)


def _constant(value: Any) -> tuple[Any, ...]:
    return (value,)


def _at_least(value: Any) -> Unary:
    return Unary("AtLeast", (_constant(value),))


def _at_most(value: Any) -> Unary:
    return Unary("AtMost", (_constant(value),))


def _scaled(gain: Any, offset: Any = Fraction(0)) -> Affine:
    return Affine(_constant(gain), _constant(offset))


def binary(call: Call) -> tuple[Real, tuple[Any, ...], int]:
    """The activation of an operator with one constant, the constant a channel, and its place."""
    if len(call.inputs) != 2:
        raise CompileError(f"there must be two inputs, not {len(call.inputs)}")
    which = call.activation()
    real = call.real(which)
    return real, call.per_channel(real, 1 - which), 1 - which


def add(call: Call) -> Value:
    """With a constant part of the function; of two activations an Add.

    Scales in a ratio of small integers become factors. Others wait for the quantizer, which finds
    small factors that give every pair of codes its exact result, or refuses with both scales.
    """
    if sums.both_computed(call):
        return sums.add(call, call.real(0), call.real(1))
    real, constant, _ = binary(call)
    return real.then(Affine(_ONE, constant))


def total(call: Call) -> Value:
    """As Add, of any number of inputs."""
    result = call.value(0)
    for k in range(1, len(call.inputs)):
        name = call.name if k + 1 == len(call.inputs) else f"{call.name}.{k}"
        result = add(replace(call, name=name, inputs=(result, call.value(k))))
    return result if len(call.inputs) > 1 and result is not None else call.real()


def sub(call: Call) -> Value:
    """As Add."""
    if sums.both_computed(call):
        return sums.add(call, call.real(0), call.real(1).then(_MINUS))
    real, constant, where = binary(call)
    if where == 0:
        return real.then(_MINUS, Affine(_ONE, constant))
    return real.then(Affine(_ONE, tuple(multiply(Fraction(-1), c) for c in constant)))


def mul(call: Call) -> Value:
    """With a constant part of the function.

    Two activations only where both come from the same codes, as in x * sigmoid(x).
    """
    if sums.both_computed(call):
        left, right = call.real(0), call.real(1)
        if not sums.same_codes(left, right):
            raise CompileError(
                "one factor must be a constant or a function of the other, not another activation; "
                "there is no circuit for products of activations"
            )
        return sums.combined("mul", left, right)
    real, constant, _ = binary(call)
    return real.then(Affine(constant, _ZERO))


def div(call: Call) -> Value:
    """Part of the function.

    The divisor must be constant.
    """
    real, constant, where = binary(call)
    if where == 0:
        raise CompileError("the divisor must be a constant, not an activation")
    return real.then(Affine(tuple(divide(Fraction(1), c) for c in constant), _ZERO))


def neg(call: Call) -> Value:
    """Part of the function."""
    return _then(call, _MINUS)


def power(call: Call) -> Value:
    """Part of the function.

    The exponent must be 1, 2, 3, 4 or 0.5.
    """
    real, exponent = call.real(), call.scalar(1)
    if exponent == Fraction(1, 2):
        return real.then(Unary("Sqrt"))
    if exponent not in (1, 2, 3, 4):
        raise CompileError(f"the exponent must be 1, 2, 3, 4 or 0.5, not {float(exponent):g}")
    steps: tuple[Step, ...] = ()
    for _ in range(int(float(exponent)) - 1):
        steps = (Both("mul", (), steps),)
    return real.then(*steps)


def batch_normalization(call: Call) -> Value:
    """Part of the function, with the exact square root of the variance.

    Refused: training_mode.
    """
    real = call.real()
    if call.integer("training_mode", 0) or call.outputs > 1:
        raise CompileError("training_mode must be 0; export the network for inference")
    lifted = [call.constant(k).reshape(-1, *[1] * (len(real.shape) - 2)) for k in range(1, 5)]
    gain, bias, mean, variance = (
        tuple(exact(channelwise(real.layout, array)).tolist()) for array in lifted
    )
    epsilon = call.number("epsilon", 1e-5)
    power = [v + epsilon for v in variance]
    if min(power) <= 0:
        raise CompileError(f"the variance must be positive, not {float(min(power)):g}")
    count = max(len(gain), len(power))
    gains = tuple(
        divide(gain[k % len(gain)], root(Fraction(1), power[k % len(power)])) for k in range(count)
    )
    centre = Affine(_ONE, tuple(-m for m in mean))
    return real.then(centre, Affine(gains, _ZERO), Affine(_ONE, bias))


def relu(call: Call) -> Value:
    """Part of the function."""
    return _then(call, _at_least(Fraction(0)))


def leaky_relu(call: Call) -> Value:
    """Part of the function."""
    return _then(call, Unary("Leaky", (_constant(call.number("alpha", 0.01)),)))


def prelu(call: Call) -> Value:
    """Part of the function.

    One slope, or one a channel.
    """
    real = call.real()
    return real.then(Unary("Leaky", (call.per_channel(real, 1),)))


def thresholded_relu(call: Call) -> Value:
    """Part of the function."""
    return _then(call, Unary("Above", (_constant(call.number("alpha", 1.0)),)))


def clip(call: Call) -> Value:
    """Part of the function."""
    real = call.real()
    for place, name, make in ((1, "min", _at_least), (2, "max", _at_most)):
        if call.has(place):
            real = real.then(make(call.scalar(place)))
        elif name in call.attributes:
            real = real.then(make(call.number(name)))
    return real


def maximum(call: Call) -> Value:
    """Part of the function.

    The other input must be a constant.
    """
    real, constant, _ = binary(call)
    return real.then(Unary("AtLeast", (constant,)))


def minimum(call: Call) -> Value:
    """Part of the function.

    The other input must be a constant.
    """
    real, constant, _ = binary(call)
    return real.then(Unary("AtMost", (constant,)))


def hard_sigmoid(call: Call) -> Value:
    """Part of the function."""
    alpha, beta = call.number("alpha", 0.2), call.number("beta", 0.5)
    return _then(call, _scaled(alpha, beta), _at_least(Fraction(0)), _at_most(Fraction(1)))


def hard_swish(call: Call) -> Value:
    """Part of the function."""
    gate = (_scaled(Fraction(1, 6), Fraction(1, 2)), _at_least(Fraction(0)), _at_most(Fraction(1)))
    return _then(call, Both("mul", (), gate))


def swish(call: Call) -> Value:
    """Part of the function."""
    gate = (_scaled(call.number("alpha", 1.0)), Unary("Sigmoid"))
    return _then(call, Both("mul", (), gate))


def gelu(call: Call) -> Value:
    """Part of the function.

    Refused: the tanh approximation.
    """
    call.text("approximate", "none", "none")
    half = root(Fraction(1), Fraction(1, 2))
    gate = (_scaled(half), Unary("Erf"), _scaled(Fraction(1, 2), Fraction(1, 2)))
    return _then(call, Both("mul", (), gate))


def mish(call: Call) -> Value:
    """Part of the function."""
    return _then(call, Both("mul", (), (Unary("Softplus"), Unary("Tanh"))))


def elu(call: Call) -> Value:
    """Part of the function."""
    return _then(call, Unary("Elu", (_constant(call.number("alpha", 1.0)),)))


def celu(call: Call) -> Value:
    """Part of the function."""
    alpha = call.number("alpha", 1.0)
    if alpha <= 0:
        raise CompileError(f"alpha must be positive, not {float(alpha):g}")
    return _then(call, Unary("Celu", (_constant(alpha),)))


def selu(call: Call) -> Value:
    """Part of the function."""
    alpha = call.number("alpha", float32(1.67326319217681884765625))
    gamma = call.number("gamma", float32(1.05070102214813232421875))
    return _then(call, Unary("Elu", (_constant(alpha),)), _scaled(gamma))
