"""Reference vectors: what somebody else's tool says a network gives, and what we make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sqwire.compiler.errors import CompileError
from sqwire.compiler.exact import Arbiter, Undecided
from sqwire.compiler.graph import Graph
from sqwire.compiler.host import Output
from sqwire.compiler.ops import Tensor
from sqwire.hw.ports import names

__all__ = ["Comparison", "Rounding", "Vectors", "compare", "load_vectors"]

Int = NDArray[np.int64]

# More differences than this are not the rounding of a float reference.
_MOST_SHARE, _MOST_VALUES = 0.1, 100


@dataclass(frozen=True)
class Vectors:
    """Frames as the ONNX graph takes them, ``x``, and gives them, ``y``: one array for each input
    and each output, in the order of the graph."""

    x: tuple[NDArray[Any], ...]
    y: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Rounding:
    """A value that float32 arithmetic put on the other side of a rounding boundary.

    ``index`` is that in the frame of the ONNX output ``output``; ``reference`` the value in the
    vectors, ``exact`` the real number, which our integer stands for.
    """

    output: str
    frame: int
    index: tuple[int, ...]
    reference: float
    exact: float

    def __str__(self) -> str:
        where = ", ".join(map(str, self.index))
        return (
            f'output "{self.output}", frame {self.frame}, [{where}]: {self.reference:.9g}, '
            f"exactly {self.exact:.9g}"
        )


@dataclass(frozen=True)
class Comparison:
    """How many values of the vectors were compared, and how they differ from the integer graph.

    ``difference`` names the first integer that is wrong; it is empty if none is.
    """

    values: int
    roundings: tuple[Rounding, ...] = ()
    difference: str = ""


def load_vectors(file: Path, graph: Graph) -> Vectors:
    """What a ``.npz`` with ``x`` and ``y`` holds.

    Where there are several inputs they are ``x0``, ``x1``, ..., in the order of ``graph``, and
    several outputs are ``y0``, ``y1``, ...

    Raises
    ------
    ValueError
        If it is not such a file, or its arrays do not hold as many frames, one at least.
    """
    wanted = (*names("x", len(graph.inputs)), *names("y", len(graph.outputs)))
    asked = f"{', '.join(wanted[:-1])} and {wanted[-1]}"
    try:
        with np.load(file, allow_pickle=False) as loaded:
            arrays = [loaded[name] for name in wanted]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(
            f"Vectors {file}: it must be a .npz with {asked}, and is not ({error})"
        ) from error
    counts = [len(array) if array.ndim else 0 for array in arrays]
    if len(set(counts)) != 1 or not counts[0]:
        raise ValueError(
            f"Vectors {file}: {asked} must be as many frames, one at least, "
            f"not {', '.join(map(str, counts[:-1]))} and {counts[-1]}"
        )
    count = len(graph.inputs)
    return Vectors(tuple(arrays[:count]), tuple(arrays[count:]))


def compare(
    graph: Graph,
    model: Path | bytes,
    vectors: Vectors,
    codes: tuple[Int, ...],
    progress: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Compare ``codes``, the graph's outputs for ``vectors.x``, with ``vectors.y``.

    The meaning of a network is its real-number function with the roundings it names; references
    are computed in float32. Where the two differ, the values are computed from ``model`` in exact
    arithmetic, by code that shares nothing with the frontend, up to the first one that
    this does not confirm to be ours. Where a tenth of all values differ (and more than a hundred),
    the vectors are not of this network, and nothing is computed.

    Raises
    ------
    ValueError
        If the vectors do not fit the network.
    """
    arbiter = cache(lambda: Arbiter(model))
    parts = [
        _compare(graph, output, arbiter, vectors.x, y, own, progress)
        for output, y, own in zip(graph.outputs, vectors.y, codes, strict=True)
    ]
    return Comparison(
        sum(part.values for part in parts),
        tuple(rounding for part in parts for rounding in part.roundings),
        next((part.difference for part in parts if part.difference), ""),
    )


def _compare(
    graph: Graph,
    output: Output,
    arbiter: Callable[[], Arbiter],
    x: tuple[NDArray[Any], ...],
    y: NDArray[Any],
    codes: Int,
    progress: Callable[[str], None],
) -> Comparison:
    """The same for one output."""
    tensor = graph.tensors[output.node]
    same = output.matches(codes, y, tensor)
    flat = np.broadcast_to(output.positions(tensor), same.shape[1:])
    wrong = np.flatnonzero(~same.all(axis=(1, 2, 3)))
    roundings: list[Rounding] = []
    if not wrong.size:
        return Comparison(same.size)
    share = 1 - same.mean()
    if share > _MOST_SHARE and (~same).sum() > _MOST_VALUES:
        doubt = f"; {share:.0%} of all values: are the vectors of this network?"
        return Comparison(same.size, (), _first(output, tensor, y, codes, same) + doubt)
    doubt = ""
    try:
        judge = arbiter()
        for frame in wrong.tolist():
            progress(f"compute frame {frame} exactly, where the vectors differ")
            # A tail such as softmax reads all channels of a position.
            places = np.unique(flat[~same[frame].all(axis=-1)])
            indices = np.stack(np.unravel_index(places, output.shape), axis=-1).tolist()
            given = {i.name: own[frame] for i, own in zip(graph.inputs, x, strict=True)}
            values = judge.explain(given, output.name, [tuple(i) for i in indices])
            exact = y[frame].astype(np.float64)
            exact.reshape(-1)[places] = [float(value) for value in values]
            truth = output.matches(codes[frame : frame + 1], exact[None], tensor)[0]
            if not truth.all():
                same[frame] |= truth
                break
            for place in np.unique(flat[~same[frame]]):
                index = tuple(int(k) for k in np.unravel_index(int(place), output.shape))
                reference, truly = float(y[frame][index]), float(exact[index])
                roundings.append(Rounding(output.name, frame, index, reference, truly))
            same[frame] = True
    except (CompileError, Undecided) as error:
        doubt = f"; not computed exactly: {error}"
    difference = _first(output, tensor, y, codes, same)
    return Comparison(same.size, tuple(roundings), difference and difference + doubt)


def _first(
    output: Output, tensor: Tensor, y: NDArray[Any], codes: Int, same: NDArray[np.bool_]
) -> str:
    """The first value that is not ``same``, in words; nothing if there is none."""
    if same.all():
        return ""
    frame, row, column, channel = (int(k) for k in np.argwhere(~same)[0])
    if output.tail:
        place = np.broadcast_to(output.positions(tensor), same.shape[1:])[row, column, channel]
        value = y[frame].reshape(-1)[place]
        want = f"must give {value:.9g} behind {output.tail}"
    else:
        own = output.codes(y[frame : frame + 1], tensor)
        want = f"must be {own[0, row, column, channel]}"
    count = int((~same).sum())
    return (
        f'Layer "{output.node}", frame {frame}, row {row}, column {column}, channel {channel}: '
        f"{codes[frame, row, column, channel]}, {want}"
        + (f" ({count} integers differ in all)" if count > 1 else "")
    )
