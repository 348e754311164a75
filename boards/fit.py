"""The link and the clock that fit a board and a network."""

from __future__ import annotations

from sqwire.compiler.build import Build
from sqwire.compiler.choose import Target
from sqwire.compiler.cost import Cost
from sqwire.compiler.graph import Graph
from sqwire.compiler.ops import Tensor
from sqwire.hw.axis import Port
from sqwire.hw.ranges import Range

from .board import Board
from .families import FAMILIES
from .link.codec import RESULT_HEAD_BYTES
from .link.link import Link, credits_for
from .link.payloads import Format, Identity
from .top import Top

__all__ = [
    "Formats", "formats_of", "formats_of_ports", "parts_for", "room_for", "target_for", "top_for",
]  # fmt: skip

Formats = tuple[tuple[Format, ...], tuple[Format, ...]]
"""Of each input of a network, and of each output."""

# Shares of LUTs and flip-flops, and of block RAMs, which are counted exactly, that a plan may use;
# and the share that may be in use with the link.
_FULL, _FULL_RAM, _FULL_DEVICE = 0.8, 0.98, 0.9
_PARTS = Cost(200, 150)
"""What a link takes more where frames or results travel in parts, and for each further output."""


def room_for(board: Board, graph: Graph | None = None) -> Cost:
    """What a network may take of the device: placement and routing need room, the link a part.

    How much memory the link has for frames is known where ``graph`` is, if it takes them.
    """
    have, link = board.resources, FAMILIES[board.family].link
    if graph is not None:
        inputs = tuple(_raw(input.tensor) for input in graph.inputs)
        outputs = tuple(_raw(graph.tensors[output.node]) for output in graph.outputs)
        if _has_room(inputs, board):
            link = _link_cost(board, (inputs, outputs))
    return Cost(
        min(_FULL * have.lut4, _FULL_DEVICE * have.lut4 - link.luts),
        min(_FULL * have.ff, _FULL_DEVICE * have.ff - link.ffs),
        have.dsp,
        min(int(_FULL_RAM * have.bram), have.bram - link.brams),
    )


def _raw(tensor: Tensor) -> Format:
    low, high = min(r.lo for r in tensor.ranges), max(r.hi for r in tensor.ranges)
    return Format(*tensor.shape, Range(low, high).bits, low < 0)


def _has_room(inputs: tuple[Format, ...], board: Board) -> bool:
    """Whether the board's memory takes the frames: of several inputs two whole ones of each."""
    kept = sum(1 + frame.frame_bytes(packed=False) for frame in inputs)
    return len(inputs) == 1 or kept <= board.ring_bytes // 2


def _link_cost(board: Board, formats: Formats) -> Cost:
    """What the link takes with the frames of a network, however they come to its ports."""
    inputs, outputs = parts_for(formats, board)
    credits = credits_for(inputs, board.ring_bytes, board.most_credits)
    # A block RAM has two to the power of so many bytes; the line has one of its own.
    block = 1 << (board.resources.bram_bits // 8).bit_length() - 1
    rings = [credits * (1 + frame.message_bytes(packed=False)) for frame in inputs]
    cut = inputs[0].is_cut or outputs[0].is_cut
    if cut:
        head = RESULT_HEAD_BYTES * outputs[0].is_cut
        rings += [frame.message_bytes(packed=False) + head for frame in outputs]
    brams = 1 + sum(-(-size // block) for size in rings)
    base = FAMILIES[board.family].link
    luts, ffs = base.luts, base.ffs
    for frame in outputs if cut else ():
        word = 8 * frame.lane_bytes * frame.channels  # of a transfer, at most: it is held
        luts, ffs = luts + _PARTS.luts + word, ffs + _PARTS.ffs + word
    return Cost(luts, ffs, base.dsps, max(base.brams, brams))


def target_for(
    board: Board, interval_cycles: int | None = None, graph: Graph | None = None
) -> Target:
    """What a plan for the board is for, the fastest circuit without an interval."""
    room, fabric = room_for(board, graph), FAMILIES[board.family].fabric(board)
    return Target(interval_cycles, room, fabric=fabric)


def formats_of(build: Build) -> Formats:
    """The frames that go into a build's network, and those that come out."""
    graph = build.graph
    given = [input.tensor for input in graph.inputs]
    delivered = [graph.tensors[output.node] for output in graph.outputs]
    return (
        tuple(Format.of(p, t.shape) for p, t in zip(build.inputs, given, strict=True)),
        tuple(Format.of(p, t.shape) for p, t in zip(build.outputs, delivered, strict=True)),
    )


def formats_of_ports(inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Formats:
    """The same for a network of which only the ports are known: frames one position high."""
    into, out = (
        tuple(Format.of(port, (1, port.frame, port.beat.lanes)) for port in ports)
        for ports in (inputs, outputs)
    )
    return into, out


def parts_for(formats: Formats, board: Board) -> Formats:
    """The frames and results of a network as they travel: in parts where two whole ones would
    not fit into the board's memory for frames that wait.

    Results of several outputs always are in parts, which may come in any order. Of several inputs
    frames never are: a network may want any part of any input next, so all of them must be there.

    Raises
    ------
    ValueError
        If those of several inputs have no room.
    """
    inputs, outputs = formats
    if not _has_room(inputs, board):
        most = board.ring_bytes // 2 - len(inputs)
        raise ValueError(
            f"Link: frames of {len(inputs)} inputs must have at most {most} bytes together on "
            f"{board.name}, not {sum(frame.frame_bytes(packed=False) for frame in inputs)}; "
            "give the network one input with all channels"
        )
    most_bytes = board.ring_bytes // 2 - 1
    if len(inputs) == 1:
        inputs = (inputs[0].cut(most_bytes),)
    if len(outputs) == 1:
        return inputs, (outputs[0].cut(most_bytes),)
    return inputs, tuple(frame.in_parts for frame in outputs)


def top_for(
    board: Board,
    formats: Formats,
    design_sha256: str,
    *,
    clock_hz: int | None = None,
    baud: int | None = None,
    timeout_bits: int | None = None,
) -> Top:
    """The top level of a board for a network, at the board's own clock and rate if None.

    A message that is begun and not continued for 10 to 20 ms is given up.

    Raises
    ------
    ValueError
        If the PLL cannot make the clock, or the clock not the rate, or a frame is too long.
    """
    clock_hz = board.clock_hz if clock_hz is None else clock_hz
    inputs, outputs = parts_for(formats, board)
    identity = Identity(
        credits_for(inputs, board.ring_bytes, board.most_credits),
        clock_hz,
        board.baud if baud is None else baud,
        bytes.fromhex(design_sha256)[:8],
        inputs,
        outputs,
    )
    button = board.pins.get("button")
    return Top(
        Link(identity, timeout_bits or (clock_hz // 100).bit_length()),
        None if clock_hz == board.oscillator_hz else FAMILIES[board.family].pll(board, clock_hz),
        lit_low=board.lit_low,
        button=button is not None,
        pressed_low=button is not None and button.invert,
    )
