"""The one table that maps operators to handlers; the manual and the errors are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..context import Call
from ..values import Value
from . import (
    candidates,
    elementwise,
    integers,
    linear,
    matching,
    movement,
    pooling,
    quantizers,
    resize,
    tails,
)  # fmt: skip
from .constants import FOLDS, constant

__all__ = [
    "CHANNELS_LAST", "DOMAINS", "FOLDS", "HANDLERS", "POINTWISE", "THEMES", "Handler",
]  # fmt: skip

Handler = Callable[[Call], Value | tuple[Value, ...]]

DOMAINS: Mapping[str, str] = {
    "": "",
    "ai.onnx": "",
    "finn.custom_op.general": "",
    "onnx.brevitas": "",
    "qonnx": "",
    "qonnx.custom_op.general": "",
    "qonnx.custom_op.channels_last": "channels last",
    "sqwire": "",
}
"""The domains whose operators are known, old names of QONNX's included, and how tensors lie."""

THEMES: Mapping[str, Mapping[str, Handler]] = {
    "Quantizers": {
        "Quant": quantizers.int_quant,
        "IntQuant": quantizers.int_quant,
        "BipolarQuant": quantizers.bipolar_quant,
        "Trunc": quantizers.trunc,
        "MultiThreshold": quantizers.multi_threshold,
        "QuantizeLinear": integers.quantize_linear,
        "DequantizeLinear": integers.dequantize_linear,
        "Cast": integers.cast,
    },
    "Sums of products with constants": {
        "Conv": linear.conv,
        "ConvTranspose": linear.conv_transpose,
        "Gemm": linear.gemm,
        "MatMul": linear.matmul,
        "ConvInteger": integers.conv_integer,
        "MatMulInteger": integers.matmul_integer,
        "QLinearConv": integers.qlinear_conv,
        "QLinearMatMul": integers.qlinear_matmul,
    },
    "Functions of one number": {
        "Abs": elementwise.unary("Abs"),
        "Add": elementwise.add,
        "BatchNormalization": elementwise.batch_normalization,
        "Ceil": elementwise.unary("Ceil"),
        "Celu": elementwise.celu,
        "Clip": elementwise.clip,
        "Div": elementwise.div,
        "Elu": elementwise.elu,
        "Erf": elementwise.unary("Erf"),
        "Exp": elementwise.unary("Exp"),
        "Floor": elementwise.unary("Floor"),
        "Gelu": elementwise.gelu,
        "HardSigmoid": elementwise.hard_sigmoid,
        "HardSwish": elementwise.hard_swish,
        "LeakyRelu": elementwise.leaky_relu,
        "Log": elementwise.unary("Log"),
        "Max": elementwise.maximum,
        "Min": elementwise.minimum,
        "Mish": elementwise.mish,
        "Mul": elementwise.mul,
        "Neg": elementwise.neg,
        "PRelu": elementwise.prelu,
        "Pow": elementwise.power,
        "Relu": elementwise.relu,
        "Round": elementwise.unary("Round"),
        "Selu": elementwise.selu,
        "Sigmoid": elementwise.unary("Sigmoid"),
        "Sign": elementwise.unary("Sign"),
        "Softplus": elementwise.unary("Softplus"),
        "Softsign": elementwise.unary("Softsign"),
        "Sqrt": elementwise.unary("Sqrt"),
        "Sub": elementwise.sub,
        "Sum": elementwise.total,
        "Swish": elementwise.swish,
        "Tanh": elementwise.unary("Tanh"),
        "ThresholdedRelu": elementwise.thresholded_relu,
    },
    "Pools": {
        "AveragePool": pooling.average_pool,
        "GlobalAveragePool": pooling.global_average_pool,
        "GlobalMaxPool": pooling.global_max_pool,
        "MaxPool": pooling.max_pool,
        "MaxPoolNHWC": pooling.max_pool,
        "QuantAvgPool2d": pooling.quant_avg_pool,
        "ReduceMax": pooling.reduce_max,
        "ReduceMean": pooling.reduce_mean,
        "ReduceSum": pooling.reduce_sum,
    },
    "Two pictures": {
        "Consistency": matching.consistency,
        "CostVolume": matching.cost_volume,
        "Median": matching.median,
        "SubpixelArgMax": matching.subpixel_arg_max,
    },
    "Movement": {
        "Concat": movement.concat,
        "DepthToSpace": movement.depth_to_space,
        "Dropout": movement.dropout,
        "Expand": movement.expand,
        "Flatten": movement.flatten,
        "Gather": movement.gather,
        "Identity": movement.identity,
        "Pad": movement.pad,
        "Reshape": movement.reshape,
        "Resize": resize.resize,
        "Shape": movement.shape,
        "Slice": movement.slice_,
        "SpaceToDepth": movement.space_to_depth,
        "Split": movement.split,
        "Squeeze": movement.squeeze,
        "Tile": movement.tile,
        "Transpose": movement.transpose,
        "Unsqueeze": movement.unsqueeze,
        "Upsample": resize.resize,
    },
    "Tails": {
        "ArgMax": tails.arg_max,
        "Candidates": candidates.candidates,
        "LogSoftmax": tails.softmax("LogSoftmax"),
        "Softmax": tails.softmax("Softmax"),
        "TopK": tails.top_k,
    },
    "Constants": {
        "Constant": constant,
    },
}
"""The operators the compiler knows, by theme."""

HANDLERS: Mapping[str, Handler] = {k: v for theme in THEMES.values() for k, v in theme.items()}
"""The same, by name."""

CHANNELS_LAST = ("Conv", "MaxPool", "MaxPoolNHWC", "BatchNormalization")
"""Operators that may be asked for on tensors with channels last."""

POINTWISE = frozenset(
    kind
    for kind, handler in HANDLERS.items()
    if handler.__module__.endswith((".elementwise", ".quantizers", ".integers"))
    and not kind.endswith(("Conv", "MatMul", "Integer"))
) | {"Identity", "Dropout"}
"""Operators that work on each element alone, wherever it lies."""
