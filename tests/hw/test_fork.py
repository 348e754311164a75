import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

from sqwire.hw.add import Add
from sqwire.hw.beat import Beat
from sqwire.hw.fork import Fork
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.hw.width import Pack, Unpack
from sqwire.sim.check import check_operator, check_stream

S4 = Range.signed(4)


def frames(beat, beats, count=6, seed=0):
    shape = (count, beats, beat.lanes)
    x = np.random.default_rng(seed).integers(beat.range.lo, beat.range.hi + 1, shape)
    x[0], x[1] = beat.range.lo, beat.range.hi
    return x


@pytest.mark.parametrize("ways", [2, 3, 5])
def test_every_branch_gets_every_beat_at_once(ways, on_time):
    spec = Fork(Beat(S4, 2), ways, beats=5)
    x = frames(spec.beat, 5)
    copies = spec.compute(x)
    assert len(copies) == ways and all(np.array_equal(copy, x) for copy in copies)
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(range(30)), "one beat a cycle"


def test_branch_takes_its_copy_while_another_is_closed_but_only_one():
    fork = Fork(Beat(S4, 1), 3).create()
    simulator = Simulator(fork)
    simulator.add_clock(1e-6)

    async def testbench(ctx):
        ctx.set(fork.i.valid, 1)
        ctx.set(fork.o0.ready, 1)
        ctx.set(fork.o1.ready, 1)
        valid = []
        for _ in range(3):
            valid.append([ctx.get(o.valid) for o in (fork.o0, fork.o1, fork.o2)])
            assert not ctx.get(fork.i.ready)
            await ctx.tick()
        assert valid == [[1, 1, 1], [0, 0, 1], [0, 0, 1]]
        ctx.set(fork.o2.ready, 1)
        assert ctx.get(fork.i.ready), "consumed in the cycle in which the last branch takes it"
        await ctx.tick()
        assert [ctx.get(o.valid) for o in (fork.o0, fork.o1, fork.o2)] == [1, 1, 1]

    simulator.add_testbench(testbench)
    simulator.run()


class Diamond(wiring.Component):
    """x + x, one copy through operators that swallow ``swallow`` beats, one through a queue."""

    def __init__(self, beat, beats, swallow, depth):
        self.fork = Fork(beat, 2, beats)
        self.add = Add(((beat.range,) * beat.lanes,) * 2, (1, 1), beats)
        self.queue = Queue(beat, depth, beats)
        self.long = Pack(beat, swallow, beats), Unpack(beat, swallow, beats)
        super().__init__({"i": In(beat.signature), "o": Out(self.add.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fork = fork = self.fork.create()
        m.submodules.pack = pack = self.long[0].create()
        m.submodules.unpack = unpack = self.long[1].create()
        m.submodules.queue = queue = self.queue.create()
        m.submodules.add = add = self.add.create()
        connect(m, flipped(self.i), fork.i)
        connect(m, fork.o0, pack.i)
        connect(m, pack.o, unpack.i)
        connect(m, unpack.o, add.i0)
        connect(m, fork.o1, queue.i)
        connect(m, queue.o, add.i1)
        connect(m, add.o, flipped(self.o))
        return m


@pytest.mark.parametrize("swallow", [1, 2, 3, 4, 6])
def test_diamond_works_at_the_computed_depth_and_deadlocks_at_one_less(swallow):
    # The branch needs `swallow` beats for its first output; the fork itself lends one of them.
    depth = swallow - 1
    beat = Beat(S4, 1)
    x = frames(beat, 12).reshape(-1, 1)
    check_stream(Diamond(beat, 12, swallow, depth), [x], [2 * x])
    if depth:
        with pytest.raises(AssertionError, match="deadlock"):
            check_stream(Diamond(beat, 12, swallow, depth - 1), [x], [2 * x], timeout_cycles=100)


def test_one_way_is_refused():
    with pytest.raises(ValueError, match="ways must be at least 2"):
        Fork(Beat(S4, 1), 1)


def test_no_beats_are_refused():
    with pytest.raises(ValueError, match="beats must be at least 1"):
        Fork(Beat(S4, 1), 2, 0)
