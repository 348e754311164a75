"""Frames of any size on every board: what the link keeps of them, and what it takes for that."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from sqwire.boards.catalog import boards, find_board
from sqwire.boards.families import FAMILIES
from sqwire.boards.fit import formats_of_ports, parts_for, room_for, target_for, top_for
from sqwire.boards.link.payloads import Format
from sqwire.compiler.ops import Tensor
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range

BYTES = Range(0, 255)
EVERY = pytest.mark.parametrize("board", boards(), ids=lambda board: board.name)
LARGE = {
    "pair": ((375, 450, 2), (375, 450, 1)),
    "wide pair": ((375, 1242, 2), (375, 1242, 1)),
    "detector": ((240, 320, 3), (15, 20, 18)),
    "resnet": ((224, 224, 3), (1, 125, 8)),
}


def formats(name):
    return tuple((Format(*shape, 8, False),) for shape in LARGE[name])


def graph(into, out):
    tensors = [Tensor(h, w, (BYTES,) * channels) for h, w, channels in (into, out)]
    output = SimpleNamespace(node="last")
    return SimpleNamespace(
        inputs=(SimpleNamespace(tensor=tensors[0]),),
        outputs=(output,),
        tensors={"last": tensors[1]},
    )


@EVERY
@pytest.mark.parametrize("name", LARGE)
def test_every_board_takes_large_frames_with_little_memory(board, name):
    identity = top_for(board, formats(name), "ab" * 32).link.identity
    (into,), (out,) = identity.inputs, identity.outputs
    assert into.is_cut
    kept = identity.credits * (1 + into.message_bytes(packed=False))
    assert kept <= min(board.ring_bytes, 4096)
    assert identity.credits >= 4
    assert out.message_bytes(packed=False) + 4 <= max(512, board.ring_bytes // 2)


@EVERY
@pytest.mark.parametrize("size", [1, 64, 1024, 2047])
def test_frames_that_fit_into_the_ring_travel_whole(board, size):
    frame = Format(1, size, 1, 8, False)
    assert parts_for(((frame,), (frame,)), board) == ((frame,), (frame,))


@EVERY
def test_results_of_several_outputs_travel_in_parts_however_small(board):
    one, large = Format(1, 1, 10, 13, True), Format(26, 26, 75, 16, True)
    inputs, outputs = parts_for(((Format(8, 8, 1, 4, False),), (one, large)), board)
    assert not inputs[0].is_cut
    assert [frame.part for frame in outputs] == [1, 3]
    assert parts_for((inputs, (one,)), board)[1] == (one,)


@EVERY
def test_frames_of_several_inputs_are_whole_or_refused(board):
    out, most = Format(1, 1, 10, 13, True), board.ring_bytes // 2 - 2
    inputs = Format(1, most - 5, 1, 8, False), Format(1, 5, 1, 8, False)
    identity = top_for(board, (inputs, (out,)), "ab" * 32).link.identity
    assert (identity.inputs, identity.credits) == (inputs, 2)
    wider = inputs[0], Format(1, 6, 1, 8, False)
    with pytest.raises(
        ValueError,
        match=f"^Link: frames of 2 inputs must have at most {most} bytes together on "
        f"{board.name}, not {most + 1}; give the network one input with all channels$",
    ):
        parts_for((wider, (out,)), board)


@EVERY
def test_a_plan_leaves_room_for_the_memory_of_the_link(board):
    small = room_for(board, graph((8, 8, 1), (1, 1, 10)))
    assert small == room_for(board)
    for shapes in LARGE.values():
        room = room_for(board, graph(*shapes))
        assert room.brams <= small.brams and room.luts <= small.luts
        assert board.resources.bram - room.brams >= FAMILIES[board.family].link.brams
    assert target_for(board, 9, graph(*LARGE["pair"])).room == room_for(
        board, graph(*LARGE["pair"])
    )


def test_on_an_ecp5_a_pair_takes_four_block_rams():
    # Two for the parts that come, one for the part that goes, one for the line.
    board = find_board("ulx3s_12f")
    tight = replace(board, resources=replace(board.resources, bram=20))
    assert room_for(tight, graph(*LARGE["pair"])).brams == 20 - 4
    assert room_for(tight).brams == 20 - 2


def test_a_plan_leaves_room_for_each_output_and_none_for_a_link_that_cannot_be():
    board = find_board("ulx3s_12f")
    tight = replace(board, resources=replace(board.resources, bram=20, lut4=6000))
    pair = graph(*LARGE["pair"])
    two = SimpleNamespace(**vars(pair) | {"outputs": pair.outputs * 2})
    assert room_for(tight, two).brams == 20 - 5
    assert room_for(tight, two).luts < room_for(tight, pair).luts
    both = SimpleNamespace(**vars(pair) | {"inputs": pair.inputs * 2})
    assert room_for(tight, both) == room_for(tight)


def test_ports_alone_are_enough_for_a_frame_of_any_length():
    port = Port(Beat(BYTES, 2), frame=375 * 1242)
    formats = formats_of_ports((port,), (port,))
    identity = top_for(find_board("ulx3s_12f"), formats, "ab" * 32).link.identity
    assert identity.unpack(identity.pack()) == identity
    assert identity.inputs[0].positions == 375 * 1242
