import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.hw.axis import AxisIn, AxisOut, Port
from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_stream

BYTE = Range.unsigned(8)
PORTS = {
    "unsigned nibbles": Port(Beat(Range.unsigned(4), 3), 4),
    "signed nibbles": Port(Beat(Range.signed(4), 1), 5),
    "whole bytes": Port(Beat(Range.unsigned(8), 2), 3),
    "two bytes a lane, signed": Port(Beat(Range.signed(12), 2), 3),
    "three bytes a lane": Port(Beat(Range(0, 70000), 1), 2),
    "one transfer a frame": Port(Beat(Range.signed(9), 2), 1),
    "range without zero": Port(Beat(Range(3, 9), 2), 4),
    "negative range": Port(Beat(Range(-9, -3), 2), 4),
}
ports = pytest.mark.parametrize("port", PORTS.values(), ids=PORTS.keys())


class InAsStream(wiring.Component):
    """AxisIn with ``tdata`` and ``tlast`` as lanes of a stream: the bytes, then the flag."""

    def __init__(self, port):
        self.axis_in = AxisIn(port)
        lanes = Beat(BYTE, port.bits // 8 + 1)
        super().__init__({"i": In(lanes.signature), "o": Out(port.beat.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.axis_in = axis_in = self.axis_in
        m.d.comb += [
            Cat(axis_in.tdata, axis_in.tlast).eq(self.i.payload.as_value()),
            axis_in.tvalid.eq(self.i.valid),
            self.i.ready.eq(axis_in.tready),
        ]
        connect(m, axis_in.o, flipped(self.o))
        return m


class OutAsStream(wiring.Component):
    """AxisOut with ``tdata`` and ``tlast`` as lanes of a stream."""

    def __init__(self, port):
        self.axis_out = AxisOut(port)
        lanes = Beat(BYTE, port.bits // 8 + 1)
        super().__init__({"i": In(port.beat.signature), "o": Out(lanes.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.axis_out = axis_out = self.axis_out
        m.d.comb += [
            self.o.payload.eq(Cat(axis_out.tdata, axis_out.tlast)),
            self.o.valid.eq(axis_out.tvalid),
            axis_out.tready.eq(self.o.ready),
        ]
        connect(m, flipped(self.i), axis_out.i)
        return m


def values(port, length, seed=0):
    codes = port.beat.range
    x = np.random.default_rng(seed).integers(codes.lo, codes.hi + 1, (length, port.beat.lanes))
    x[0], x[-1] = codes.lo, codes.hi
    return x


def fields(port, x):
    """Each row of ``x`` as the bytes of ``tdata``, spelled out."""
    return [[(int(v) >> 8 * k) & 0xFF for v in row for k in range(port.lane_bytes)] for row in x]


def transfers(port, frames):
    """Bytes and ``tlast`` of frames of any length."""
    return np.array(
        [
            [*row, int(k == len(frame) - 1)]
            for frame in frames
            for k, row in enumerate(fields(port, frame))
        ]
    )


def repaired(port, frames):
    """What must come out: every frame cut or completed."""
    codes = port.beat.range
    fill = 0 if codes.lo <= 0 <= codes.hi else codes.lo
    rows = []
    for frame in frames:
        rows += [*frame[: port.frame]]
        rows += [[fill] * port.beat.lanes] * (port.frame - len(frame))
    return np.array(rows)


def errors(port, frames, seed):
    """How many pulses ``error`` gives, at the transfers ``(frame, position)`` before each."""
    axis_in = AxisIn(port)
    simulator = Simulator(axis_in)
    simulator.add_clock(1e-6)
    rng = np.random.default_rng(seed)
    pulses = []

    async def testbench(ctx):
        previous = None
        for number, frame in enumerate(frames):
            for position in range(len(frame)):
                taken = False
                while not taken:
                    offered = ctx.get(axis_in.tvalid) or int(rng.integers(2))
                    ctx.set(axis_in.tvalid, offered)
                    ctx.set(axis_in.tlast, int(position == len(frame) - 1))
                    ctx.set(axis_in.o.ready, int(rng.integers(2)))
                    taken = offered and ctx.get(axis_in.tready)
                    if ctx.get(axis_in.error):
                        pulses.append(previous)
                    previous = (number, position) if taken else None
                    await ctx.tick()
                ctx.set(axis_in.tvalid, 0)
        if ctx.get(axis_in.error):
            pulses.append(previous)
        ctx.set(axis_in.o.ready, 1)
        for _ in range(2 * port.frame):
            await ctx.tick()
            assert not ctx.get(axis_in.error)

    simulator.add_testbench(testbench)
    simulator.run()
    return pulses


@ports
def test_pack_spells_out_the_bytes_and_unpack_is_its_inverse(port):
    for row in values(port, 6):
        word = port.pack(row)
        assert list(word.to_bytes(port.bits // 8, "little")) == fields(port, [row])[0]
        assert port.unpack(word) == row.tolist()


def test_lane_takes_whole_bytes():
    assert [Port(Beat(Range.unsigned(b), 1), 1).lane_bytes for b in (1, 8, 9, 16, 17)] == [
        1, 1, 2, 2, 3,
    ]  # fmt: skip
    assert Port(Beat(Range.signed(12), 3), 64).bits == 48


@ports
def test_frames_of_the_right_length_pass_at_one_transfer_a_cycle(port):
    x = values(port, 4 * port.frame)
    frames = x.reshape(4, port.frame, -1)
    timing = check_stream(InAsStream(port), [transfers(port, frames)], [x])
    assert timing.in_cycles == timing.out_cycles == (tuple(range(len(x))),)
    assert errors(port, frames, seed=0) == []


@ports
def test_short_frames_are_completed_and_long_ones_cut(port):
    n = port.frame
    lengths = [n, n + 1, n, max(1, n - 1), n, 2 * n, 1, 1, 3 * n + 1, n]
    frames = [values(port, length, seed) for seed, length in enumerate(lengths)]
    check_stream(InAsStream(port), [transfers(port, frames)], [repaired(port, frames)])
    wrong = [(number, min(length, n) - 1) for number, length in enumerate(lengths) if length != n]
    assert errors(port, frames, seed=1) == wrong


@settings(max_examples=10, deadline=None, derandomize=True)
@given(length=st.integers(1, 5), lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_any_sequence_of_frame_lengths_gives_whole_frames(length, lengths):
    port = Port(Beat(Range.signed(4), 2), length)
    frames = [values(port, n, seed) for seed, n in enumerate(lengths)]
    check_stream(InAsStream(port), [transfers(port, frames)], [repaired(port, frames)])
    wrong = [(k, min(n, length) - 1) for k, n in enumerate(lengths) if n != length]
    assert errors(port, frames, seed=length) == wrong


def test_input_waits_only_while_a_short_frame_is_completed():
    port = Port(Beat(Range.unsigned(4), 1), 4)
    frames = [values(port, length) for length in (4, 1, 7, 4)]
    timing = check_stream(InAsStream(port), [transfers(port, frames)], [repaired(port, frames)])
    # Three missing positions behind transfer 4; the surplus of the third frame costs its own time.
    assert timing.in_cycles[0] == (0, 1, 2, 3, 4, *range(8, 8 + 7 + 4))


def test_field_is_taken_modulo_the_code_width():
    port = Port(Beat(Range.unsigned(4), 1), 1)
    check_stream(InAsStream(port), [[[0x1F, 1], [0xF0, 1]]], [[[15], [0]]])
    signed = Port(Beat(Range.signed(4), 1), 1)
    check_stream(InAsStream(signed), [[[0x08, 1], [0x7F, 1]]], [[[-8], [-1]]])


@ports
def test_output_fields_are_extended_and_tlast_ends_each_frame(port):
    x = values(port, 3 * port.frame)
    want = transfers(port, x.reshape(3, port.frame, -1))
    timing = check_stream(OutAsStream(port), [x], [want])
    assert timing.in_cycles == timing.out_cycles == (tuple(range(len(x))),)


def test_frame_without_transfers_is_refused():
    with pytest.raises(ValueError, match="frame must be at least 1"):
        Port(Beat(Range.unsigned(4), 1), 0)
