"""The operators of the integer graph: what each makes of its tensors, and of which hardware.

An operator is a frozen description without sizes; given the tensors it works on, ``infer`` says
what comes out and ``lower`` gives the chain of hardware operators (:mod:`sqwire.hw`) that does it.
The arithmetic lives there and nowhere else: running the graph runs the ``compute`` of that chain.
"""

from .movement import Concat, DepthToSpace, Dilate, Flatten, Pad, Resize, Select
from .pointwise import Add, ArgMax, Staircase
from .tensor import Chain, Op, Tensor
from .vision import (
    Alternate,
    Bilinear,
    Candidates,
    Consistency,
    CostVolume,
    Every,
    Median,
    SubpixelArgMax,
)
from .windows import Linear, MaxPool, SumPool, beside

__all__ = [
    "Add",
    "Alternate",
    "ArgMax",
    "Bilinear",
    "Candidates",
    "Chain",
    "Concat",
    "Consistency",
    "CostVolume",
    "DepthToSpace",
    "Dilate",
    "Every",
    "Flatten",
    "Linear",
    "MaxPool",
    "Median",
    "Op",
    "Pad",
    "Resize",
    "Select",
    "Staircase",
    "SubpixelArgMax",
    "SumPool",
    "Tensor",
    "beside",
]
