"""A network as named layers, each saying which others it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from .coded import Coded
from .layers import Weights
from .quantizer import ActQuantizer

__all__ = ["Network"]


class Network(nn.Module):
    """Named layers in the order in which they run; the first is the input, the last the output.

    ``layers`` maps a name to a layer and the names of those it reads. The network computes
    sparse and quantized, or in plain float, see :meth:`quantize`.

    Raises
    ------
    ValueError
        If a layer reads one that does not come before it.
    """

    def __init__(self, layers: Mapping[str, tuple[nn.Module, tuple[str, ...]]]):
        super().__init__()
        self.layers = nn.ModuleDict()
        self.inputs: dict[str, tuple[str, ...]] = {}
        for name, (layer, inputs) in layers.items():
            for other in inputs:
                if other not in self.layers:
                    raise ValueError(
                        f'Layer "{name}": its inputs must come before it, and "{other}" does not; '
                        "put the layers in the order in which they run"
                    )
            self.layers[name] = layer
            self.inputs[name] = inputs

    def forward(self, x: Tensor) -> Tensor:
        values: dict[str, Coded] = {}
        for name, layer in self.layers.items():
            inputs = self.inputs[name]
            values[name] = layer(*(values[i] for i in inputs)) if inputs else layer(x)
        return values[name].value

    def quantize(self, enabled: bool) -> None:
        """Sparsify and quantize from now on, or compute in plain float."""
        for module in self.modules():
            if isinstance(module, ActQuantizer | Weights):
                module.enabled = enabled

    def weights(self) -> Iterator[tuple[str, Weights]]:
        """The weights of the layers that have any, with the layers' names."""
        for name, layer in self.layers.items():
            weights = getattr(layer, "weights", None)
            if isinstance(weights, Weights):
                yield name, weights
