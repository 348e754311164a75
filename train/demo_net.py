"""The network of the demo: small, residual, for 8x8 digits."""

from __future__ import annotations

from .layers import Add, Conv2d, Input, Linear, MaxPool2d
from .network import Network
from .quantizer import ActQuantizer, Clip
from .squantizer import SQuantizer

__all__ = ["demo_net"]


def demo_net(method: SQuantizer, channels: tuple[int, int] = (8, 16)) -> Network:
    """Two convolutions (the second with stride 2), a residual one, max pool, fully connected.

    ======== =============================== ==================
    layer    what                            output
    ======== =============================== ==================
    input    integers 0..16                  1 x 8 x 8
    conv1    3x3, padding 1                  channels[0] x 8 x 8
    conv2    3x3, padding 1, stride 2        channels[1] x 4 x 4
    conv3    3x3, padding 1, no ReLU         channels[1] x 4 x 4
    add1     conv3 + conv2, ReLU             channels[1] x 4 x 4
    pool1    largest of 2x2                  channels[1] x 2 x 2
    fc       all to 10                       10
    ======== =============================== ==================
    """
    narrow, wide = channels
    bits = method.act_bits
    shared = Clip()
    return Network(
        {
            "input": (Input((1, 8, 8), 5), ()),
            "conv1": (Conv2d(1, narrow, method, ActQuantizer(bits, Clip())), ("input",)),
            "conv2": (
                Conv2d(narrow, wide, method, ActQuantizer(bits, shared), stride=2),
                ("conv1",),
            ),
            "conv3": (
                Conv2d(wide, wide, method, ActQuantizer(bits, shared, signed=True)),
                ("conv2",),
            ),
            "add1": (Add(ActQuantizer(bits, shared)), ("conv3", "conv2")),
            "pool1": (MaxPool2d(2), ("add1",)),
            "fc": (Linear(4 * wide, 10, method), ("pool1",)),
        }
    )
