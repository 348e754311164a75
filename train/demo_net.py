"""The network of the demo: small, residual, for 8x8 digits."""

from __future__ import annotations

from .layers import Add, Conv2d, Input, Linear, MaxPool2d
from .network import Network
from .quantizer import ActQuantizer, Clip
from .squantizer import SQuantizer

__all__ = ["demo_net"]


def demo_net(method: SQuantizer, channels: tuple[int, int]) -> Network:
    """Three convolutions with a residual add, max pool, fully connected.

    ======  ==============================  =================
    layer   what                            output
    ======  ==============================  =================
    input   integers 0..16, 5 bits          1 x 8 x 8
    conv1   3x3, padding 1                  channels[0] x 8 x 8
    conv2   3x3, padding 1, stride 2        channels[1] x 4 x 4
    conv3   3x3, padding 1, without ReLU    channels[1] x 4 x 4
    add1    conv3 + conv2, ReLU             channels[1] x 4 x 4
    pool1   largest of 2x2                  channels[1] x 2 x 2
    fc      all to 10                       10
    ======  ==============================  =================

    Raises
    ------
    ValueError
        If ``method.sigma_of`` names a layer that has no weights here.
    """
    narrow, wide = channels
    bits = method.act_bits
    residual = Clip()  # conv2 and conv3 are added, so they share a scale; the sum keeps it
    conv1 = Conv2d(1, narrow, method.layer("conv1"), ActQuantizer(bits, Clip()))
    conv2 = Conv2d(narrow, wide, method.layer("conv2"), ActQuantizer(bits, residual), stride=2)
    conv3 = Conv2d(wide, wide, method.layer("conv3"), ActQuantizer(bits, residual, signed=True))
    network = Network(
        {
            "input": (Input((1, 8, 8), 5), ()),
            "conv1": (conv1, ("input",)),
            "conv2": (conv2, ("conv1",)),
            "conv3": (conv3, ("conv2",)),
            "add1": (Add(ActQuantizer(bits, residual)), ("conv3", "conv2")),
            "pool1": (MaxPool2d(2), ("add1",)),
            "fc": (Linear(4 * wide, 10, method.layer("fc")), ("pool1",)),
        }
    )
    known = [name for name, _ in network.weights()]
    unknown = [name for name in method.sigma_of if name not in known]
    if unknown:
        raise ValueError(
            f"SQuantizer: sigma_of must name layers with weights ({', '.join(known)}), "
            f'not "{unknown[0]}"'
        )
    return network
