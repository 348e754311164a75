"""The network in training: a user's module, compressed as it learns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from .layers import Input, Linear, real
from .method import Method, Weights
from .quantizer import ActQuantizer

if TYPE_CHECKING:
    from .frozen import Frozen

__all__ = ["QAT", "Site"]


class Site(NamedTuple):
    """A layer and the names of those that it reads."""

    layer: nn.Module
    inputs: tuple[str, ...]


class QAT(nn.Module):
    """What :func:`sqwire.train.prepare` makes of a module; trains in any loop.

    ::

        for x, y in loader:
            loss = qat.loss(criterion(qat(x), y))
            opt.zero_grad(); loss.backward(); opt.step(); qat.step()

    ``loss`` adds what the method wants, ``step`` counts and lets the method act; it needs the
    gradients, so they are cleared after it. All state is in ``state_dict``, so a checkpoint of
    that and of the optimiser continues bit for bit on a CPU. Gradients may be accumulated over
    several backward passes, and ``qat`` wrapped in DistributedDataParallel with
    ``find_unused_parameters`` (call ``loss`` and ``step`` of the module inside, and wrap it again
    where ``step`` gives True).
    """

    counter: Tensor

    def __init__(
        self,
        sites: Mapping[str, Site],
        outputs: tuple[str, ...],
        method: Method,
        steps_per_epoch: int,
    ):
        super().__init__()
        # A ModuleDict takes no dots in names.
        self.layers = nn.ModuleDict({_key(name): site.layer for name, site in sites.items()})
        self.sites = {name: site.inputs for name, site in sites.items()}
        self.outputs = outputs
        self.method = method
        self.steps_per_epoch = steps_per_epoch
        self.register_buffer("counter", torch.zeros((), dtype=torch.int64))
        self.steps = 0
        self.register_load_state_dict_post_hook(_loaded)  # type: ignore[no-untyped-call]
        self._refresh()

    def forward(self, x: Tensor) -> Any:
        values: dict[str, Any] = {}
        # Codes are exact in float32 only, so mixed precision is switched off for them.
        with torch.autocast(x.device.type, enabled=False):
            for name, inputs in self.sites.items():
                layer = self.layers[_key(name)]
                values[name] = layer(*(values[i] for i in inputs)) if inputs else layer(x.float())
        found = tuple(real(values[name]) for name in self.outputs)
        return found[0] if len(found) == 1 else found

    def loss(self, task: Tensor) -> Tensor:
        """The task's loss with the method's penalty.

        Raises
        ------
        ValueError
            If it is not finite: the training diverged, and the weights are as before the step.
        """
        penalty = self.method.penalty(self)
        total = task if penalty is None else task + penalty
        if not math.isfinite(value := float(total.detach())):
            raise ValueError(
                f"Training: loss must be finite, not {value} in step {self.steps + 1}; "
                "lower the learning rate"
            )
        return total

    def step(self) -> bool:
        """Count an optimiser's step and let the method act.

        True where the method changed weights by itself, so that the optimiser should forget its
        momentum (``opt.state.clear()``).
        """
        self.counter += 1
        self.steps += 1
        fresh = self.method.advance(self)
        self.quantize(self.quantizing)
        return fresh

    @property
    def epoch(self) -> float:
        """Epochs done."""
        return self.steps / self.steps_per_epoch

    @property
    def per_step(self) -> float:
        """Epochs a step takes."""
        return 1 / self.steps_per_epoch

    @property
    def settled(self) -> bool:
        """Whether sparsity and widths are final, so that this network may be kept as the best."""
        return self.method.settled(self.epoch)

    @property
    def quantizing(self) -> bool:
        """Whether the network computes with codes now."""
        return self.method.quantizing(self.epoch)

    def weights(self) -> Iterator[tuple[str, Weights]]:
        """Weight tensors with the names of their layers; shared ones once."""
        seen = set()
        for name in self.sites:
            layer = self.layers[_key(name)]
            if isinstance(layer, Linear) and layer.weights not in seen:
                seen.add(layer.weights)
                yield name, layer.weights

    def layer(self, name: str) -> nn.Module:
        """The layer of that name."""
        return self.layers[_key(name)]

    def zeros(self) -> float:
        """Share of zeros among the codes of all weights now."""
        with torch.no_grad():
            codes = [weights().codes for _, weights in self.weights()]
        return 1 - sum(int(c.count_nonzero()) for c in codes) / sum(c.numel() for c in codes)

    def first_pass(self, example: Tensor) -> None:
        """Run ``example`` once without learning from it: checks shapes, sets clip levels."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                found = self(example)
        except RuntimeError as error:
            line = " ".join(str(error).split())[:200]
            raise ValueError(f"prepare: the example must fit the network ({line})") from error
        finally:
            self.train(training)
        if not all(bool(y.isfinite().all()) for y in (found if type(found) is tuple else (found,))):
            raise ValueError(
                "prepare: what the network makes of the example must be finite, and holds inf or "
                "nan; look at its weights"
            )

    def freeze(self, **facts: Any) -> Frozen:
        """The network as integers; ``facts`` about the training go to the card.

        Raises as :func:`sqwire.train.freeze`.
        """
        from .freeze import freeze

        return freeze(self, facts)

    def quantize(self, enabled: bool) -> None:
        """Compute with codes from now on, or in plain float."""
        for module in self.modules():
            if isinstance(module, ActQuantizer | Weights | Input):
                module.enabled = enabled

    def _refresh(self) -> None:
        """Python's view of what the buffers say."""
        self.steps = int(self.counter)
        for module in self.modules():
            if isinstance(module, ActQuantizer):
                module.pending = not bool(module.calibrated)
            if isinstance(module, Weights):
                module.sync()
        self.quantize(self.quantizing)


def _loaded(module: nn.Module, _: object) -> None:
    assert isinstance(module, QAT)
    module._refresh()


def _key(name: str) -> str:
    return name.replace(".", "/")
