"""Reference vectors: what somebody else's tool says a network gives, and what we make of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sqwire.compiler.errors import CompileError
from sqwire.compiler.exact import Arbiter, Undecided
from sqwire.compiler.graph import Graph

__all__ = ["Comparison", "Rounding", "Vectors", "compare", "load_vectors"]

Int = NDArray[np.int64]

# More differences than this are not the rounding of a float reference.
_MOST_SHARE, _MOST_VALUES = 0.1, 100


@dataclass(frozen=True)
class Vectors:
    """Frames as the ONNX graph takes them, ``x``, and gives them, ``y``."""

    x: NDArray[Any]
    y: NDArray[Any]


@dataclass(frozen=True)
class Rounding:
    """A value that float32 arithmetic put on the other side of a rounding boundary.

    ``index`` is that in the ONNX output's frame; ``reference`` the value in the vectors, ``exact``
    the real number, which our integer stands for.
    """

    frame: int
    index: tuple[int, ...]
    reference: float
    exact: float

    def __str__(self) -> str:
        where = ", ".join(map(str, self.index))
        return f"frame {self.frame}, [{where}]: {self.reference:.9g}, exactly {self.exact:.9g}"


@dataclass(frozen=True)
class Comparison:
    """How many values of the vectors were compared, and how they differ from the integer graph.

    ``difference`` names the first integer that is wrong; it is empty if none is.
    """

    values: int
    roundings: tuple[Rounding, ...] = ()
    difference: str = ""


def load_vectors(file: Path) -> Vectors:
    """What a ``.npz`` with ``x`` and ``y`` holds.

    Raises
    ------
    ValueError
        If it is not such a file, or ``x`` and ``y`` do not hold as many frames, one at least.
    """
    try:
        with np.load(file, allow_pickle=False) as loaded:
            x, y = loaded["x"], loaded["y"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(
            f"Vectors {file}: it must be a .npz with x and y, and is not ({error})"
        ) from error
    counts = [len(array) if array.ndim else 0 for array in (x, y)]
    if counts[0] != counts[1] or not counts[0]:
        raise ValueError(
            f"Vectors {file}: x and y must be as many frames, one at least, "
            f"not {counts[0]} and {counts[1]}"
        )
    return Vectors(x, y)


def compare(
    graph: Graph,
    model: Path | bytes,
    vectors: Vectors,
    codes: Int,
    progress: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Compare ``codes``, the graph's output for ``vectors.x``, with ``vectors.y``.

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
    name = graph.nodes[-1].name
    tensor, output = graph.tensors[name], graph.output
    same = output.matches(codes, vectors.y, tensor)
    flat = np.broadcast_to(output.positions(tensor), same.shape[1:])
    wrong = np.flatnonzero(~same.all(axis=(1, 2, 3)))
    roundings: list[Rounding] = []
    if not wrong.size:
        return Comparison(same.size)
    share = 1 - same.mean()
    if share > _MOST_SHARE and (~same).sum() > _MOST_VALUES:
        doubt = f"; {share:.0%} of all values: are the vectors of this network?"
        return Comparison(same.size, (), _first(graph, vectors, codes, same) + doubt)
    doubt = ""
    try:
        arbiter = Arbiter(model)
        for frame in wrong.tolist():
            progress(f"compute frame {frame} exactly, where the vectors differ")
            # A tail such as softmax reads all channels of a position.
            places = np.unique(flat[~same[frame].all(axis=-1)])
            indices = np.stack(np.unravel_index(places, output.shape), axis=-1).tolist()
            values = arbiter.explain(
                vectors.x[frame], arbiter.model.outputs[0].name, [tuple(i) for i in indices]
            )
            exact = vectors.y[frame].astype(np.float64)
            exact.reshape(-1)[places] = [float(value) for value in values]
            truth = output.matches(codes[frame : frame + 1], exact[None], tensor)[0]
            if not truth.all():
                same[frame] |= truth
                break
            for place in np.unique(flat[~same[frame]]):
                index = tuple(int(k) for k in np.unravel_index(int(place), output.shape))
                reference = float(vectors.y[frame][index])
                roundings.append(Rounding(frame, index, reference, float(exact[index])))
            same[frame] = True
    except (CompileError, Undecided) as error:
        doubt = f"; not computed exactly: {error}"
    difference = _first(graph, vectors, codes, same)
    return Comparison(same.size, tuple(roundings), difference and difference + doubt)


def _first(graph: Graph, vectors: Vectors, codes: Int, same: NDArray[np.bool_]) -> str:
    """The first value that is not ``same``, in words; nothing if there is none."""
    if same.all():
        return ""
    name = graph.nodes[-1].name
    tensor, output = graph.tensors[name], graph.output
    frame, row, column, channel = (int(k) for k in np.argwhere(~same)[0])
    if output.tail:
        place = np.broadcast_to(output.positions(tensor), same.shape[1:])[row, column, channel]
        value = vectors.y[frame].reshape(-1)[place]
        want = f"must give {value:.9g} behind {output.tail}"
    else:
        y = vectors.y[frame : frame + 1]
        want = f"must be {output.codes(y, tensor)[0, row, column, channel]}"
    count = int((~same).sum())
    return (
        f'Layer "{name}", frame {frame}, row {row}, column {column}, channel {channel}: '
        f"{codes[frame, row, column, channel]}, {want}"
        + (f" ({count} integers differ in all)" if count > 1 else "")
    )
