"""check_stream passes what is right and names everything that is wrong."""

import numpy as np
import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqwire.hw.beat import Beat
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator, check_stream

BEAT = Beat(Range(-8, 7), 3)
X = np.random.default_rng(1).integers(-8, 7, (40, 3))
X[:3] = [[-8, -8, -8], [6, 6, 6], [0, -8, 6]]


class Increment(wiring.Component):
    """Adds one to each lane, in one register; each ``fault`` breaks one rule."""

    def __init__(self, fault=None):
        self.fault = fault
        super().__init__({"i": In(BEAT.signature), "o": Out(BEAT.signature)})

    def elaborate(self, platform):
        m = Module()
        fault = self.fault
        count = Signal(8)  # beats taken
        full = Signal()
        free = Signal()
        m.d.comb += [
            free.eq(~full | self.o.ready),
            self.i.ready.eq(free),
            self.o.valid.eq(full),
        ]
        take = self.i.valid & self.i.ready
        with m.If(free):
            m.d.sync += full.eq(self.i.valid)
        with m.If(take):
            m.d.sync += count.eq(count + 1)
            for lane in range(BEAT.lanes):
                m.d.sync += self.o.payload[lane].eq(self.i.payload[lane] + 1)

        wait = Signal(4)  # cycles the output has been waiting
        with m.If(full & ~self.o.ready):
            m.d.sync += wait.eq(wait + 1)
        with m.Else():
            m.d.sync += wait.eq(0)

        if fault == "wrong lane":
            with m.If(take & (count == 17)):
                m.d.sync += self.o.payload[2].eq(3)
        elif fault == "loses a beat":
            with m.If(take & (count == 17)):
                m.d.sync += full.eq(0)
        elif fault == "late surplus":
            late = Signal(6)
            with m.If((count == len(X)) & ~full & (late < 35)):
                m.d.sync += late.eq(late + 1)
                with m.If(late == 30):
                    m.d.sync += full.eq(1)
        elif fault == "stops taking":
            with m.If(count == 21):
                m.d.comb += self.i.ready.eq(0)
                m.d.sync += full.eq(full & ~self.o.ready)
        elif fault == "gives up waiting":
            with m.If((wait == 3) & ~self.o.ready):
                m.d.sync += full.eq(0)
        elif fault == "changes while waiting":
            with m.If((wait == 3) & ~self.o.ready):
                m.d.sync += self.o.payload[1].eq(self.o.payload[1] + 1)
        elif fault == "valid waits for ready":
            m.d.comb += self.o.valid.eq(full & self.o.ready)
        elif fault == "valid follows ready":
            seen = Signal()
            m.d.sync += seen.eq((seen | self.o.ready) & ~(self.o.valid & self.o.ready))
            m.d.comb += self.o.valid.eq(full & seen)
            m.d.comb += free.eq(~full | (self.o.valid & self.o.ready))
        elif fault == "reset forgets":
            forgotten = Signal(range(len(X)), reset_less=True)
            with m.If(take):
                m.d.sync += forgotten.eq(Mux(forgotten == len(X) - 1, 0, forgotten + 1))
                with m.If(forgotten != count):
                    m.d.sync += self.o.payload[0].eq(self.i.payload[0])
        return m


class PayloadShowsReady(wiring.Component):
    """No register; the payload is another while ``ready`` is low."""

    def __init__(self):
        super().__init__({"i": In(BEAT.signature), "o": Out(BEAT.signature)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.o.valid.eq(self.i.valid), self.i.ready.eq(self.o.ready)]
        for lane in range(BEAT.lanes):
            m.d.comb += self.o.payload[lane].eq(self.i.payload[lane] + self.o.ready)
        return m


def test_right_component_passes_and_its_timing_is_measured():
    timing = check_stream(Increment(), [X], [X + 1])
    assert timing.in_cycles == (tuple(range(len(X))),)
    assert timing.out_cycles == (tuple(range(1, len(X) + 1)),)
    assert (timing.first_out_cycle, timing.last_out_cycle) == (1, len(X))
    assert timing.cycles == len(X) + 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("wrong lane", "stalls none, port o, beat 17: lane 2 is 3, must be "),
        ("loses a beat", "stalls none, port o, beat 17: lane 0 is "),
        ("late surplus", f"stalls none, port o, beat {len(X)}: surplus beat "),
        ("stops taking", "deadlock, .* port i took 21 of 40 beats, port o gave 21 of 40 beats"),
        ("gives up waiting", "stalls sink, port o, beat .*: valid fell before ready"),
        ("changes while waiting", "stalls sink, port o, .*: the payload changed before ready"),
        ("valid waits for ready", "valid depends on a ready within the cycle"),
        ("valid follows ready", "stalls both, .*: deadlock"),
        ("reset forgets", "stalls both, after a reset in mid-frame, port o, beat 0: lane 0"),
    ],
)
def test_fault_is_reported(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_stream(Increment(fault), [X], [X + 1], seed=1)


def test_payload_that_depends_on_ready_is_reported():
    with pytest.raises(AssertionError, match="payload depends on a ready within the cycle"):
        check_stream(PayloadShowsReady(), [X], [X + 1])


def test_missing_last_beat_is_reported_as_deadlock():
    with pytest.raises(AssertionError, match="port o gave 40 of 41 beats"):
        check_stream(Increment(), [X], [np.vstack([X, X[:1]]) + 1])


def test_value_that_the_port_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="must be in -8..7, not 9..9"):
        check_stream(Increment(), [np.full((1, 3), 9)], [X])


@pytest.mark.parametrize("bad", [X.astype(float), X[:, :2], X[0]])
def test_array_of_the_wrong_kind_is_refused(bad):
    with pytest.raises(ValueError, match=r"integers of shape \(beats, 3\)"):
        check_stream(Increment(), [bad], [X])


def test_array_for_a_port_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="component has"):
        check_stream(Increment(), [X], [X, X])


class TwoWays(wiring.Component):
    """``o0 = i0 + i1`` and ``o1 = i0 - i1``, taken together; ``fault`` ties the outputs."""

    OUT = Beat(Range(-16, 15), 3)

    def __init__(self, fault=False):
        self.fault = fault
        ins = {name: In(BEAT.signature) for name in ("i0", "i1")}
        super().__init__(ins | {name: Out(self.OUT.signature) for name in ("o0", "o1")})

    def elaborate(self, platform):
        m = Module()
        both, taken = Signal(), Signal()
        outs = (self.o0, self.o1)
        sent = [Signal(name=f"sent_{k}") for k in range(2)]
        done = [sent[k] | outs[k].ready for k in range(2)]
        m.d.comb += [both.eq(self.i0.valid & self.i1.valid), taken.eq(both & done[0] & done[1])]
        m.d.comb += [self.i0.ready.eq(taken), self.i1.ready.eq(taken)]
        for k in range(2):
            m.d.comb += outs[k].valid.eq(both & ~sent[k])
            m.d.sync += sent[k].eq(both & done[k] & ~taken)
        if self.fault:
            m.d.comb += self.o1.valid.eq(both & ~sent[1] & self.o0.ready)
        for lane in range(3):
            a, b = self.i0.payload[lane], self.i1.payload[lane]
            m.d.comb += [self.o0.payload[lane].eq(a + b), self.o1.payload[lane].eq(a - b)]
        return m


Y = X[::-1]


def test_several_ports_are_driven_and_compared_each():
    timing = check_stream(TwoWays(), [X, Y], [X + Y, X - Y])
    assert timing.in_cycles == (tuple(range(40)),) * 2
    assert timing.out_cycles == (tuple(range(40)),) * 2


def test_wrong_integer_is_named_with_its_port():
    wrong = X - Y
    wrong[7, 1] += 1
    message = f"stalls none, port o1, beat 7: lane 1 is {wrong[7, 1] - 1}, must be {wrong[7, 1]}"
    with pytest.raises(AssertionError, match=message):
        check_stream(TwoWays(), [X, Y], [X + Y, wrong])


def test_valid_that_depends_on_the_ready_of_another_port_is_reported():
    with pytest.raises(AssertionError, match="port o1, .* valid depends on a ready within"):
        check_stream(TwoWays(fault=True), [X, Y], [X + Y, X - Y])


def test_input_that_is_never_taken_is_reported():
    message = "port i0 took 40 of 40 beats, port i1 took 40 of 41 beats"
    with pytest.raises(AssertionError, match=message):
        check_stream(TwoWays(), [X, np.vstack([Y, Y[:1]])], [X + Y, X - Y])


class IncrementSpec:
    """A spec as check_operator takes it; ``needs`` is a claim to be tested."""

    beats_in = beats_out = 5

    def __init__(self, needs):
        self._needs = needs

    def needs(self):
        return np.asarray(self._needs)

    def compute(self, x):
        return x + 1

    def create(self):
        return Increment()


def test_operator_is_checked_against_its_own_compute():
    timing = check_operator(IncrementSpec([1, 2, 3, 4, 5]), X.reshape(8, 5, 3))
    assert timing.first_out_cycle == 1


def test_output_before_the_beats_it_is_said_to_need_is_reported():
    with pytest.raises(AssertionError, match="output 0, frame 0, beat 1: needs.* 4 input beats"):
        check_operator(IncrementSpec([1, 4, 4, 4, 5]), X.reshape(8, 5, 3))
