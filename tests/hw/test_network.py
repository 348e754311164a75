"""Networks of a few operators, with one and with several inputs and outputs."""

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from sqwire.hw.add import Add
from sqwire.hw.axis import Port
from sqwire.hw.beat import Beat
from sqwire.hw.concat import Concat
from sqwire.hw.fork import Fork
from sqwire.hw.network import Network, Source, Stage
from sqwire.hw.ports import as_tuple, names, one_or_all
from sqwire.hw.queue import Queue
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator, check_stream

S4 = Beat(Range.signed(4), 2)
U3 = Beat(Range.unsigned(3), 1)
RANGES = ((Range.signed(4),) * 2,) * 2
BEATS = 6
A, B = Source(None, 0), Source(None, 1)


def sum_and_both():
    """Two inputs; the outputs are one of them, added to itself, and both side by side."""
    return Network(
        (Port(S4, BEATS), Port(U3, BEATS)),
        (
            Stage("a.fork", Fork(S4, 3, BEATS), (A,)),
            Stage("wait", Queue(S4, 4, BEATS), (Source("a.fork", 0),)),
            Stage("sum", Add(RANGES, (1, 1), BEATS), (Source("wait"), Source("a.fork", 1))),
            Stage("both", Concat((S4, U3), BEATS), (Source("a.fork", 2), B)),
        ),
        (Source("sum"), Source("both")),
    )


def straight_through():
    """Two inputs of different length that have nothing to do with each other."""
    return Network(
        (Port(S4, BEATS), Port(U3, 2)),
        (Stage("wait", Queue(U3, 1, 2), (B,)),),
        (Source("wait"), A),
    )


def frames(network, count=5, seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.integers(p.beat.range.lo, p.beat.range.hi + 1, (count, p.frame, p.beat.lanes))
        for p in network.inputs
    ]


@pytest.mark.parametrize("make", [sum_and_both, straight_through])
def test_every_output_equals_compute_with_stalls_on_every_port(make):
    network = make()
    check_operator(network, *frames(network), seed=3)


def test_outputs_and_compute_are_in_the_order_of_the_ends():
    network = sum_and_both()
    a, b = frames(network)
    total, both = network.compute(a, b)
    assert np.array_equal(total, 2 * a)
    assert np.array_equal(both, np.concatenate([a, b], axis=2))
    assert [port.beat.lanes for port in network.outputs] == [2, 3]
    assert [port.frame for port in straight_through().outputs] == [2, BEATS]


def test_needs_and_cycles_are_known_for_each_pair_of_ports():
    network = straight_through()
    assert network.needs(0, 0).tolist() == [0, 0]
    assert network.needs(0, 1).tolist() == [1, 2]
    assert network.needs(1, 0).tolist() == [1, 2, 3, 4, 5, 6]
    assert network.output_cycles(0).tolist() == [1, 2]
    assert network.output_cycles(1).tolist() == [0, 1, 2, 3, 4, 5]
    timing = check_operator(network, *frames(network, 1))
    assert timing.out_cycles == ((1, 2), (0, 1, 2, 3, 4, 5))


def flat(arrays):
    return [a.reshape(-1, a.shape[-1]) for a in arrays]


@pytest.mark.parametrize("idle", [0, 1])
def test_an_output_goes_on_while_another_input_has_nothing(idle):
    network = straight_through()
    x = frames(network)
    y = [*network.compute(*x)]
    x[idle], y[1 - idle] = x[idle][:0], y[1 - idle][:0]
    check_stream(network.create(), flat(x), flat(y))


def test_streams_of_one_fork_stop_with_the_slowest():
    """An output that is not taken stops the other one: who receives must take from both."""
    network = sum_and_both()
    x = frames(network)
    total, both = network.compute(*x)
    with pytest.raises(AssertionError, match="deadlock"):
        check_stream(network.create(), flat([x[0], x[1][:0]]), flat([total, both[:0]]))


class TopAsStreams(wiring.Component):
    """The AXI4-Stream top with the bytes of ``tdata`` and ``tlast`` as lanes of streams."""

    def __init__(self, network):
        self.top = network.top()
        self.ends = []
        members = {}
        for kind, axis, ports in (
            ("i", "s_axis", network.inputs),
            ("o", "m_axis", network.outputs),
        ):
            own = zip(names(kind, len(ports)), names(axis, len(ports)), ports, strict=True)
            for name, prefix, port in own:
                flow = In if kind == "i" else Out
                beat = Beat(Range.unsigned(8), port.bits // 8 + 1)
                members[name] = flow(beat.signature)
                self.ends.append((kind, name, prefix))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = self.top
        for kind, name, prefix in self.ends:
            stream = getattr(self, name)
            data, valid, ready, last = (
                getattr(self.top, f"{prefix}_{signal}")
                for signal in ("tdata", "tvalid", "tready", "tlast")
            )
            if kind == "i":
                m.d.comb += Cat(data, last).eq(stream.payload.as_value())
                m.d.comb += [valid.eq(stream.valid), stream.ready.eq(ready)]
            else:
                m.d.comb += stream.payload.as_value().eq(Cat(data, last))
                m.d.comb += [stream.valid.eq(valid), ready.eq(stream.ready)]
        return m


def transfers(port, x):
    rows = []
    for frame in x:
        for at, row in enumerate(frame):
            data = port.pack(row).to_bytes(port.bits // 8, "little")
            rows.append([*data, int(at == len(frame) - 1)])
    return np.array(rows)


@pytest.mark.parametrize("make", [sum_and_both, straight_through])
def test_top_has_numbered_ports_and_ends_each_frame_of_each(make):
    network = make()
    x = frames(network, 4)
    y = as_tuple(network.compute(*x))
    check_stream(
        TopAsStreams(network),
        [transfers(port, own) for port, own in zip(network.inputs, x, strict=True)],
        [transfers(port, own) for port, own in zip(network.outputs, y, strict=True)],
    )


def test_a_short_frame_on_one_input_is_completed_and_the_other_input_unharmed():
    network = sum_and_both()
    a, b = frames(network, 3)
    short = [a[0][:4], a[1], a[2]]
    a[0][4:] = 0
    y = network.compute(a, b)
    check_stream(
        TopAsStreams(network),
        [transfers(network.inputs[0], short), transfers(network.inputs[1], b)],
        [transfers(port, own) for port, own in zip(network.outputs, y, strict=True)],
    )


def top_ports(network):
    top = network.top()
    Simulator(top)  # or Amaranth complains about a component that is made and not used
    return set(top.signature.members)


def test_one_port_is_called_by_its_name_alone():
    network = Network((Port(S4, 4),), (Stage("q", Queue(S4, 1, 4), (A,)),), (Source("q"),))
    signals = ("tdata", "tvalid", "tready", "tlast")
    assert top_ports(network) == {"error"} | {
        f"{axis}_{signal}" for axis in ("s_axis", "m_axis") for signal in signals
    }
    assert top_ports(sum_and_both()) == {"error"} | {
        f"{axis}{k}_{signal}" for axis in ("s_axis", "m_axis") for k in (0, 1) for signal in signals
    }


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((Source("q"),), "must be all that is left over"),
        ((Source("q"), B, B), "each once"),
        ((Source("q"), A), "must be all that is left over"),
        ((), "must be all that is left over"),
    ],
)
def test_outputs_are_what_is_left_over_and_each_once(ends, message):
    with pytest.raises(ValueError, match=message):
        Network((Port(S4, 4), Port(U3, 4)), (Stage("q", Queue(S4, 1, 4), (A,)),), ends)


def test_a_source_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='Stage "q": wants 4 x'):
        Network((Port(U3, 4),), (Stage("q", Queue(S4, 1, 4), (A,)),), (Source("q"),))
    with pytest.raises(ValueError, match="does not exist or feeds two stages; put a fork"):
        Network((Port(S4, 4),), (Stage("q", Queue(S4, 1, 4), (B,)),), (Source("q"),))


def test_one_is_itself_and_several_are_a_tuple():
    assert names("i", 1) == ("i",) and names("i", 2) == ("i0", "i1")
    assert one_or_all([3]) == 3 and one_or_all([3, 4]) == (3, 4)
    assert as_tuple(3) == (3,) and as_tuple((3, 4)) == (3, 4)
