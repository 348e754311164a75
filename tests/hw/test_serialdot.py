import numpy as np
import pytest
from amaranth.sim import Simulator

from sqwire.hw.dot import Dot
from sqwire.hw.ranges import Range
from sqwire.hw.serialdot import SerialDot
from sqwire.sim.check import check_operator

U4, S4 = Range.unsigned(4), Range.signed(4)


def dot(weight, bias=None, ranges=None, beats=3):
    weight = np.array(weight)
    rows, lanes = weight.shape
    return Dot(weight, np.zeros(rows, int) if bias is None else np.array(bias),
               ranges or (U4,) * lanes, beats)  # fmt: skip


def random(rows, lanes, zeros, seed, most=7, **more):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-most, most + 1, (rows, lanes)) * (rng.random((rows, lanes)) >= zeros)
    return dot(weight, rng.integers(-50, 51, rows), **more)


DOTS = {
    "one weight": dot([[5]]),
    "a minus": dot([[-3]]),
    "difference": dot([[1, -1]]),
    "minus a sum": dot([[-1, -1], [1, 1]]),
    "no weights": dot([[0, 0], [2, -7]], [9, -4]),
    "constants only": dot([[0], [0]], [37, -12]),
    "shifts": dot([[8, 1], [1, 32], [64, 64]]),
    "signed codes": dot([[3, -5, 7], [1, 1, 1]], [-7, 0], (S4, Range.signed(7), Range(-1, 0))),
    "unlike codes": dot([[3, -5, 7]], [100], (Range(0, 1), Range.unsigned(8), Range(3, 3))),
    "many": random(6, 12, 0.3, 0),
    "sparse": random(5, 30, 0.8, 1),
    "large weights": random(3, 5, 0.2, 2, most=900),
    "wide codes": random(4, 6, 0.2, 3, ranges=(Range.signed(11),) * 6),
}


def frames(spec):
    """Smallest and largest codes, rows of one sign against the other, and random ones."""
    rng = np.random.default_rng(0)
    low, high = (np.array([getattr(r, end) for r in spec.dot.ranges]) for end in ("lo", "hi"))
    rows = [low, high]
    for own in spec.dot.weight:
        rows += [np.where(own > 0, high, low), np.where(own > 0, low, high)]
    rows += list(rng.integers(low, high + 1, (20, len(low))))
    rows += rows[: -len(rows) % spec.beats_in]
    return np.array(rows).reshape(-1, spec.beats_in, len(low))


@pytest.mark.parametrize("digit_bits", [1, 2, 4])
@pytest.mark.parametrize("dot", DOTS.values(), ids=DOTS.keys())
def test_component_equals_the_dot_at_once(dot, digit_bits, on_time):
    if dot.outputs[0].range.bits <= digit_bits:
        pytest.skip("a sum of one digit")
    spec = SerialDot(dot, digit_bits)
    x = frames(spec)
    assert np.array_equal(spec.compute(x), x @ dot.weight.T + dot.bias)
    timing = check_operator(spec, x)
    on_time(spec, timing)
    assert timing.in_cycles[0] == tuple(spec.cycles * k for k in range(x[..., 0].size))


@pytest.mark.parametrize(("digit_bits", "places"), [(1, 2), (2, 3), (4, 4)])
def test_sums_wait_while_the_output_is_held(digit_bits, places):
    """As many as are on their way when it is not, and none is lost, however long it lasts."""
    spec = SerialDot(random(6, 60, 0.2, 5, beats=40), digit_bits)
    assert spec.places == places
    x = frames(spec).reshape(-1, 60)
    rng = np.random.default_rng(0)
    holds = rng.choice([0, 1, spec.cycles, 3 * spec.latency_cycles], len(x))
    dut, got, most = spec.create(), [], 0

    async def sink(ctx):
        nonlocal most
        for beat in range(len(x)):
            await ctx.tick().repeat(int(holds[beat]) + 1)
            most = max(most, taken - beat)
            ctx.set(dut.o.ready, 1)
            (payload,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            got.append(list(payload))
            ctx.set(dut.o.ready, 0)

    async def source(ctx):
        nonlocal taken
        ctx.set(dut.i.valid, 1)
        for beat in x:
            ctx.set(dut.i.payload, beat.tolist())
            await ctx.tick().until(dut.i.ready)
            taken += 1

    taken = 0
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(sink)
    simulator.add_testbench(source, background=True)
    simulator.run()
    assert np.array_equal(got, spec.compute(x))
    assert most == places


def test_beats_that_come_seldom_are_not_mixed_up():
    spec = SerialDot(DOTS["many"], 2)
    x = frames(spec)
    arrivals = np.cumsum(np.random.default_rng(1).integers(1, 30, x[..., 0].size))
    leaves = spec.departures(arrivals)
    assert (np.diff(leaves) >= spec.cycles).all()
    assert (spec.latest(leaves) >= arrivals).all()
    assert np.array_equal(spec.departures(spec.latest(leaves)), leaves)


@pytest.mark.parametrize(
    ("dot", "digit_bits", "said"),
    [
        (dot([[1]]), 3, "digit_bits must be 1, 2 or 4, not 3"),
        (dot([[1]]), 4, "sums must have two digits at least, not 4 bits of 4 a digit"),
    ],
)
def test_digits_that_make_no_sense_are_refused(dot, digit_bits, said):
    with pytest.raises(ValueError, match=said):
        SerialDot(dot, digit_bits)
