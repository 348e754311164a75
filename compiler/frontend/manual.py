"""``python -m sqwire.compiler.frontend.manual`` writes docs/operators.md, from the handlers."""

from __future__ import annotations

import inspect
import sys

from .handlers import CHANNELS_LAST, DOMAINS, FOLDS, THEMES, Handler

__all__ = ["document"]

_HEAD = """\
# Operators

What the compiler makes of each operator of a QONNX graph. This page is written from the table in
`compiler/frontend/handlers` (`python -m sqwire.compiler.frontend.manual > docs/operators.md`); a
test keeps it current. `sqwire inspect MODEL.onnx` shows what becomes of one network.

Between two quantizers a graph computes with real numbers. Where these are a function of one
integer (scales, biases, batch norms, activation functions), the compiler evaluates the whole
chain exactly on every reachable code and keeps integer thresholds: such an operator is *part of
the function* and costs nothing by itself. Movement costs nothing until somebody computes with the
result.

The meaning of a graph is its real-number function with the roundings it names. Float32 is not
part of it: where a reference computed in float32 differs because a sum fell on the other side of a
rounding boundary, exact arithmetic decides (`sqwire.compiler.exact`).

Domains: {domains}.
In `qonnx.custom_op.channels_last` there are {last}.
"""

_TAIL = """
## Constant folding

On constants these are computed at once, integers as ONNX does and everything else in fractions
and square roots: {folds}.

## Inputs and outputs

An input of the network is quantized by the graph's first quantizer; the host does that, with the
graph's own arithmetic before it (any rising or falling function) and its own rounding. An input
without a quantizer must hold integers by its type (UINT8, INT8, UINT16, INT16, BOOL) or by its
QONNX annotation (such as UINT4 or BIPOLAR). The batch axis comes first; frames are taken one by
one.

An output behind a quantizer is its codes. Without one the accumulator is delivered at full width,
and its scale and offset a channel are applied by the host. Softmax, LogSoftmax, Relu, Sigmoid and
Tanh may follow, also on the host.
"""


def document() -> str:
    """The page as Markdown."""
    domains = ", ".join(f"`{name}`" for name in DOMAINS if name and not DOMAINS[name])
    last = ", ".join(CHANNELS_LAST)
    parts = [_HEAD.format(domains=f"the default one, {domains}", last=last)]
    for theme, handlers in THEMES.items():
        parts.append(f"\n## {theme}\n\n| operator | becomes | notes |\n|---|---|---|\n")
        rows: dict[tuple[str, str], list[str]] = {}
        for name, handler in handlers.items():
            rows.setdefault(_described(handler), []).append(name)
        parts += [f"| {', '.join(names)} | {a} | {b} |\n" for (a, b), names in rows.items()]
    movers = set(THEMES["Movement"]) - {"Resize", "Upsample"}
    folds = ", ".join(sorted(FOLDS.keys() | {"Constant"} | movers))
    parts.append(_TAIL.format(folds=folds))
    return "".join(parts)


def _described(handler: Handler) -> tuple[str, str]:
    """The first paragraph of a handler's docstring, and the rest."""
    first, _, rest = (inspect.getdoc(handler) or "").partition("\n\n")
    return " ".join(first.split()).rstrip("."), " ".join(rest.split())


if __name__ == "__main__":
    sys.stdout.write(document())
