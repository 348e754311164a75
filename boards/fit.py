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

__all__ = ["formats_of", "formats_of_ports", "parts_for", "room_for", "target_for", "top_for"]

# Shares of LUTs and flip-flops, and of block RAMs, which are counted exactly, that a plan may use;
# and the share that may be in use with the link.
_FULL, _FULL_RAM, _FULL_DEVICE = 0.8, 0.98, 0.9
_PARTS = Cost(200, 150)
"""What a link takes more where frames or results travel in parts."""


def room_for(board: Board, graph: Graph | None = None) -> Cost:
    """What a network may take of the device: placement and routing need room, the link a part.

    How much memory the link has for frames is known where ``graph`` is.
    """
    have, link = board.resources, FAMILIES[board.family].link
    if graph is not None and len(graph.inputs) == len(graph.outputs) == 1:
        link = _link_cost(board, graph)
    return Cost(
        min(_FULL * have.lut4, _FULL_DEVICE * have.lut4 - link.luts),
        min(_FULL * have.ff, _FULL_DEVICE * have.ff - link.ffs),
        have.dsp,
        min(int(_FULL_RAM * have.bram), have.bram - link.brams),
    )


def _raw(tensor: Tensor) -> Format:
    low, high = min(r.lo for r in tensor.ranges), max(r.hi for r in tensor.ranges)
    return Format(*tensor.shape, Range(low, high).bits, low < 0)


def _link_cost(board: Board, graph: Graph) -> Cost:
    """What the link takes with the frames of a network, however they come to its ports."""
    into, out = parts_for((_raw(graph.input.tensor), _raw(graph.tensors[graph.output.node])), board)
    credits = credits_for(into, board.ring_bytes, board.most_credits)
    # A block RAM has two to the power of so many bytes; the line has one of its own.
    block = 1 << (board.resources.bram_bits // 8).bit_length() - 1
    rings = [credits * (1 + into.message_bytes(packed=False))]
    cut = into.is_cut or out.is_cut
    if cut:
        rings.append(out.message_bytes(packed=False) + RESULT_HEAD_BYTES * out.is_cut)
    brams = 1 + sum(-(-size // block) for size in rings)
    base = FAMILIES[board.family].link
    more = _PARTS if cut else Cost()
    return Cost(base.luts + more.luts, base.ffs + more.ffs, base.dsps, max(base.brams, brams))


def target_for(
    board: Board, interval_cycles: int | None = None, graph: Graph | None = None
) -> Target:
    """What a plan for the board is for, the fastest circuit without an interval."""
    room, fabric = room_for(board, graph), FAMILIES[board.family].fabric(board)
    return Target(interval_cycles, room, fabric=fabric)


def formats_of(build: Build) -> tuple[Format, Format]:
    """The frames that go into a build's network, and those that come out."""
    graph, (given,), (delivered,) = build.graph, build.inputs, build.outputs
    last = graph.tensors[graph.output.node]
    return Format.of(given, graph.input.tensor.shape), Format.of(delivered, last.shape)


def formats_of_ports(port_in: Port, port_out: Port) -> tuple[Format, Format]:
    """The same for a network of which only the ports are known: frames one position high."""
    frame_in, frame_out = (
        Format.of(port, (1, port.frame, port.beat.lanes)) for port in (port_in, port_out)
    )
    return frame_in, frame_out


def parts_for(formats: tuple[Format, Format], board: Board) -> tuple[Format, Format]:
    """The frames and results of a network as they travel: in parts where two whole ones would
    not fit into the board's memory for frames that wait."""
    into, out = formats
    most_bytes = board.ring_bytes // 2 - 1
    return into.cut(most_bytes), out.cut(most_bytes)


def top_for(
    board: Board,
    formats: tuple[Format, Format],
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
    formats = parts_for(formats, board)
    identity = Identity(
        credits_for(formats[0], board.ring_bytes, board.most_credits),
        clock_hz,
        board.baud if baud is None else baud,
        bytes.fromhex(design_sha256)[:8],
        *formats,
    )
    button = board.pins.get("button")
    return Top(
        Link(identity, timeout_bits or (clock_hz // 100).bit_length()),
        None if clock_hz == board.oscillator_hz else FAMILIES[board.family].pll(board, clock_hz),
        lit_low=board.lit_low,
        button=button is not None,
        pressed_low=button is not None and button.invert,
    )
