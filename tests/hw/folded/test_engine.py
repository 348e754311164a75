import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from sqwire.compiler.schedule import schedule
from sqwire.hw.dot import Dot
from sqwire.hw.folded.engine import Folded
from sqwire.hw.ranges import Range
from sqwire.hw.steps import Steps
from sqwire.hw.window import Window
from sqwire.sim.check import check_operator


def weights(outputs, inputs, kernel, density, seed=0, most=7):
    rng = np.random.default_rng(seed)
    shape = (outputs, *kernel, inputs)
    w = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    return np.where(rng.random(shape) < density, w, 0)


def folded(w, lanes, ring, height=3, width=4, codes=None, multiplier="lut", options=None, **layer):
    program = schedule(w, lanes, ring, in_digits=multiplier == "digit", **(options or {}))
    codes = codes or Range.unsigned(4)
    return Folded(height, width, codes, w, program, multiplier=multiplier, **layer)


def frames(spec, count=2, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, spec.beats_in, spec.inputs[0].lanes)
    x = rng.integers(spec.range.lo, spec.range.hi + 1, shape)
    x[0] = spec.range.hi
    return x


def holds(spec, x=None):
    """Right under all stalls, every beat when it is said to come, and at full rate."""
    x = frames(spec) if x is None else x
    timing = check_operator(spec, x)
    arrivals = np.zeros(len(x) * spec.beats_in, np.int64)
    assert list(timing.out_cycles[0]) == spec.departures(arrivals).tolist()
    return timing


def ramps(spec, bits=4, seed=0):
    """Rising functions to codes of ``bits`` bits, as a scale and a bias give them."""
    rng = np.random.default_rng(seed)
    steps = []
    for own, bias in zip(spec.sum_ranges, spec.bias.tolist(), strict=True):
        acc = np.arange(own.lo, own.hi + 1) + bias
        scale = rng.uniform(0.5, 2) * 2**bits / own.size
        levels = np.clip(np.rint(acc * scale + rng.uniform(-2, 2)), 0, 2**bits - 1)
        steps.append(Steps.tabulate(own.lo + bias, levels.astype(np.int64)))
    return tuple(steps)


def with_steps(spec, steps, **changes):
    fields = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    return Folded(**fields | {"steps": steps} | changes)


KINDS = ("lut", "dsp", "digit")


@pytest.mark.parametrize("multiplier", KINDS)
@pytest.mark.parametrize("codes", [Range.unsigned(4), Range.signed(3), Range(0, 1)], ids=str)
def test_convolution_equals_compute(multiplier, codes):
    w = weights(5, 6, (3, 3), 0.2)
    holds(folded(w, 4, 4, codes=codes, multiplier=multiplier, padding=(1, 1, 1, 1)))


def test_compute_equals_window_and_dot():
    w = weights(6, 5, (3, 2), 0.6)
    layer = {"stride": (2, 1), "padding": (1, 0, 1, 1), "dilation": (1, 2)}
    bias = np.arange(6) - 3
    spec = folded(w, 4, 2, 6, 7, bias=bias, **layer)
    x = frames(spec)
    window = Window(6, 7, 5, spec.range, (3, 2), **layer)
    flat = w.reshape(6, -1)
    dot = Dot(flat, bias, (spec.range,) * flat.shape[1], window.beats_out)
    want = dot.compute(window.compute(x.reshape(len(x), 42, 5)))
    assert np.array_equal(spec.compute(x).reshape(want.shape), want)
    holds(spec, x)


@pytest.mark.parametrize(
    ("shape", "size", "layer"),
    [
        ((4, 4, (1, 1)), (4, 4), {}),
        ((4, 4, (1, 1)), (5, 5), {"stride": (2, 2)}),
        ((1, 1, (1, 1)), (4, 3), {"stride": (2, 1)}),
        ((4, 4, (3, 3)), (7, 6), {"stride": (2, 2), "padding": (1, 1, 1, 1)}),
        ((4, 4, (3, 3)), (6, 7), {"dilation": (2, 2), "padding": (2, 2, 2, 2)}),
        ((4, 4, (5, 1)), (6, 3), {"padding": (2, 0, 2, 0)}),
        ((4, 4, (3, 3)), (5, 5), {}),
        ((4, 4, (3, 3)), (1, 1), {"padding": (1, 1, 1, 1)}),
        ((4, 4, (3, 3)), (2, 2), {"padding": (1, 1, 1, 1)}),
        ((4, 1, (3, 3)), (4, 4), {"padding": (1, 1, 1, 1)}),
        ((1, 4, (3, 3)), (4, 4), {"padding": (1, 1, 1, 1)}),
        ((1, 1, (1, 1)), (1, 1), {}),
        ((1, 1, (3, 3)), (3, 3), {"padding": (0, 1, 1, 1)}),
        ((10, 24, (1, 1)), (1, 1), {}),
    ],
    ids=str,
)
def test_any_shape_of_layer(shape, size, layer):
    for lanes, ring in ((4, 4), (8, 2)):
        holds(folded(weights(*shape, 0.3), lanes, ring, *size, **layer))


@pytest.mark.parametrize("multiplier", KINDS)
def test_layer_without_weights_gives_the_bias(multiplier):
    w = np.zeros((4, 3, 3, 4), np.int64)
    bias = np.array([5, -3, 0, 7])
    spec = folded(w, 4, 4, multiplier=multiplier, padding=(1, 1, 1, 1), bias=bias)
    x = frames(spec)
    assert (spec.compute(x).reshape(-1, 4) == bias).all()
    holds(spec, x)


def test_depthwise_layer():
    w = np.zeros((8, 3, 3, 8), np.int64)
    w[np.arange(8), :, :, np.arange(8)] = weights(8, 1, (3, 3), 1)[..., 0]
    spec = folded(w, 4, 4, padding=(1, 1, 1, 1))
    holds(spec)
    assert spec.program.cycles == 18


@pytest.mark.parametrize("multiplier", KINDS)
@pytest.mark.parametrize("outputs", [32, 34, 40])
def test_more_accumulators_than_a_lut_ram_is_deep(multiplier, outputs):
    w = weights(outputs, 4, (1, 1), 0.6)
    w[1::2] = 0  # some rows come again at once, others once
    spec = folded(w, 2, 2, 1, 3, multiplier=multiplier, bias=np.arange(outputs))
    assert spec.read_early == (outputs > 32)
    holds(spec)


@pytest.mark.parametrize("multiplier", ("lut", "dsp"))
def test_dense_layer_has_no_addresses(multiplier):
    w = weights(4, 4, (2, 3), 1)
    spec = folded(w, 4, 4, multiplier=multiplier, padding=(1, 1, 0, 1), options={"dense": True})
    assert spec.program.fetch_bits() == 0
    holds(spec)


@pytest.mark.parametrize(
    ("outputs", "inputs", "lanes", "ring", "parts", "lanes_in", "lanes_out"),
    [
        (4, 8, 8, 4, 2, 1, 1),
        (4, 6, 16, 4, 4, 2, 1),  # no rotation is left; some places have no channel
        (3, 8, 8, 4, 2, 4, 1),  # a lane without an output
        (8, 8, 8, 4, 2, 1, 2),  # two outputs a beat, in rings that they share
        (6, 5, 12, 2, 2, 1, 3),
        (8, 16, 32, 8, 2, 1, 1),  # several rings a part
        (2, 16, 16, 2, 2, 2, 1),
    ],
)
def test_dense_layer_in_parts(outputs, inputs, lanes, ring, parts, lanes_in, lanes_out):
    """Each part has its share of the banks, all parts read the same addresses at once."""
    w = weights(outputs, inputs, (2, 3), 1)
    options = {"dense": True, "parts": parts, "lanes_in": lanes_in, "lanes_out": lanes_out}
    spec = folded(w, lanes, ring, padding=(1, 1, 0, 1), options=options)
    assert spec.program.fetch_bits() == 0
    assert spec.bank_store.copies == ring
    rows = -(-outputs * parts // lanes)
    assert spec.program.cycles == 6 * -(-inputs // ring) * ring // parts * rows
    holds(spec)


def test_rings_of_a_dense_layer_share_one_line_buffer():
    w = weights(12, 4, (2, 2), 1)
    spec = folded(w, 12, 4, options={"dense": True})
    assert spec.program.layout.rings == 3
    assert spec.bank_store.copies == 4
    holds(spec)


@pytest.mark.parametrize(
    "options",
    [
        {"lanes_in": 2},
        {"lanes_in": 4, "lanes_out": 2},
        {"lanes_out": 4},
        {"parts": 2},
        {"parts": 4},
        {"parts": 2, "lanes_out": 2, "lanes_in": 2},
    ],
    ids=str,
)
def test_several_channels_a_beat_and_parts_of_a_sum(options):
    w = weights(8, 8, (2, 2), 0.4)
    holds(folded(w, 8, 4, padding=(1, 0, 0, 1), options=options))


@pytest.mark.parametrize("multiplier", KINDS)
@pytest.mark.parametrize(
    ("lanes", "ring", "options"),
    [
        (3, 1, {}),
        (6, 2, {"lanes_in": 2, "lanes_out": 2}),
        (12, 4, {}),
        (12, 4, {"parts": 3}),
        (20, 4, {"parts": 5, "lanes_in": 4}),
        (40, 8, {}),
    ],
    ids=str,
)
def test_any_number_of_rings(lanes, ring, options, multiplier):
    w = weights(14, 8, (2, 2), 0.4)
    holds(folded(w, lanes, ring, padding=(1, 0, 0, 1), multiplier=multiplier, options=options))


@pytest.mark.parametrize("multiplier", ("lut", "dsp"))
def test_dense_layer_on_an_odd_number_of_lanes(multiplier):
    w = weights(7, 4, (2, 3), 1)
    holds(folded(w, 3, 1, multiplier=multiplier, options={"dense": True}))


@pytest.mark.parametrize("multiplier", KINDS)
@pytest.mark.parametrize("lanes_out", [1, 2])
def test_codes_come_out_of_accumulators(multiplier, lanes_out):
    w = weights(8, 8, (3, 3), 0.1)
    bias = np.arange(8) * 9 - 30
    raw = folded(
        w, 4, 4, multiplier=multiplier, padding=(1, 1, 1, 1), bias=bias,
        options={"lanes_out": lanes_out},
    )  # fmt: skip
    spec = with_steps(raw, ramps(raw))
    assert spec.outputs[0].range == Range(0, 15)
    x = frames(spec)
    want = raw.compute(x).reshape(2, -1, 8)
    want = np.stack([s(want[..., c]) for c, s in enumerate(spec.steps)], axis=-1)
    assert np.array_equal(spec.compute(x).reshape(want.shape), want)
    holds(spec, x)


def test_channels_of_a_beat_may_need_different_numbers_of_bits():
    """A beat has the bits of the widest for each channel, whatever circuit makes its codes."""
    w = weights(4, 4, (1, 1), 1, most=1)
    spec = folded(w, 4, 4, options={"lanes_out": 4}, bias=np.array([0, 900, 0, -900]))
    assert [circuit.latency_cycles for circuit in spec.requantise] == [0, 2, 0, 2]
    holds(spec)
    levels = [-32, 9, 1], [0, 500, 3], [-1, 3, -1], [-60, 0, 60]
    steps = tuple(
        Steps(np.array([own.lo + 1, own.hi]), np.array(part))
        for own, part in zip(spec.sum_ranges, levels, strict=True)
    )
    spec = folded(w, 4, 4, multiplier="digit", options={"lanes_out": 4}, steps=steps)
    assert len({circuit.levels.bits for circuit in spec.requantise}) > 1
    holds(spec)


def test_sums_that_cannot_come_need_no_bits_and_no_function():
    """Each input channel has a range of its own; the beat's holds all of them."""
    w = weights(4, 4, (1, 1), 1)
    most = np.array([15, 1, 1, 0])
    up, down = np.maximum(w, 0) * most, np.minimum(w, 0) * most
    reach = tuple(Range(int(d.sum()), int(u.sum())) for u, d in zip(up, down, strict=True))
    raw = folded(w, 2, 2, reach=reach)
    assert raw.acc_bits < folded(w, 2, 2).acc_bits
    spec = with_steps(raw, ramps(raw))
    x = np.minimum(frames(spec).reshape(2, -1, 4), most).reshape(2, spec.beats_in, -1)
    holds(spec, x)


@pytest.mark.parametrize("positions", [1, 2, 5])
def test_short_programs_run_at_full_rate(positions):
    """Fewer cycles than the pipeline is long: several positions are under way at once."""
    w = np.ones((1, 1, 1, 1), np.int64)
    spec = folded(w, 1, 1, 1, positions)
    timing = holds(spec, frames(spec, 24))
    assert timing.in_cycles[0][-1] == 24 * positions - 1, "one beat a cycle"
    assert spec.interval_cycles == positions


@pytest.mark.parametrize(
    ("shape", "density", "longest"),
    [((4, 24, (1, 1)), 0.1, 24), ((24, 4, (1, 1)), 0.1, 24), ((6, 4, (3, 3)), 0.9, None)],
    ids=["input", "output", "program"],
)
def test_frame_takes_as_long_as_the_slowest_part_and_no_more(shape, density, longest):
    spec = folded(weights(*shape, density), 4, 4, 3, 3, padding=(shape[2][0] // 2,) * 4)
    longest = longest or spec.program.cycles
    assert spec.interval_cycles == longest * 9
    timing = holds(spec, frames(spec, 3))
    ends = timing.out_cycles[0][spec.beats_out - 1 :: spec.beats_out]
    assert ends[-1] - ends[-2] == longest * 9


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_as_many_beats_are_taken_as_is_said(padding):
    spec = folded(weights(4, 4, (3, 3), 0.5), 4, 4, padding=padding)
    component, taken = spec.create(), 0

    async def bench(ctx):
        nonlocal taken
        ctx.set(component.i.valid, 1)
        for _ in range(2000):
            taken += ctx.get(component.i.ready)
            await ctx.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    # Positions go on until their results have no place left.
    assert taken >= spec.capacity_beats


@pytest.mark.parametrize("lo", [-8, -7, 0])
@pytest.mark.parametrize("bits", [1, 4])
def test_packed_products_are_exact_at_the_extremes(lo, bits):
    """All pairs of extreme weights, on lanes that share a multiplier."""
    values = [v for v in (lo, -1, 1, 7) if v >= lo and v]
    w = np.array([[a, b] for a in values for b in values]).reshape(-1, 1, 1, 1)
    spec = folded(w, 2, 1, 1, 4, codes=Range.unsigned(bits), multiplier="dsp")
    assert spec.multiply.multipliers == 1
    most = spec.range.hi
    holds(spec, np.array([[[0], [most], [1], [most - 1]], [[most], [0], [most], [most]]]))


def test_products_that_would_meet_are_not_packed():
    w = weights(4, 4, (1, 1), 1, most=127)
    assert folded(w, 2, 2, codes=Range.unsigned(8), multiplier="dsp").multiply.multipliers == 2
    assert folded(w, 2, 2, codes=Range.signed(4), multiplier="dsp").multiply.multipliers == 2


def test_digit_lanes_take_digits_only():
    w = np.full((2, 1, 1, 2), 3)
    with pytest.raises(ValueError, match="signed powers of two, not 3"):
        Folded(1, 1, Range(0, 1), w, schedule(w, 2, 2), multiplier="digit")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "height must be at least 1"),
        ({"padding": (3, 0, 0, 0)}, "padding of the height must be 0..2"),
        ({"height": 2}, "kernel reaches over 3 positions"),
        ({"slots": 3}, "slots must be at least 11, and a power of two"),
        ({"slots": 8}, "slots must be at least 11, and a power of two"),
        ({"bias": np.zeros(2, np.int64)}, "bias must be one an output channel"),
        ({"steps": ()}, "steps must be one an output channel"),
        ({"reach": (Range(0, 1),) * 3}, "reach must be one an output channel"),
        ({"reach": (Range(0, 10**6),) * 4}, "reach of channel 0 must lie in"),
        ({"multiplier": "rom"}, "multiplier must be"),
        ({"weight": np.ones((4, 3, 3, 4), np.int64)}, "is executed"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    w = weights(4, 4, (3, 3), 0.5)
    layer = {"height": 3, "width": 4, "range": Range(0, 3), "weight": w}
    with pytest.raises(ValueError, match=message):
        Folded(**layer | {"program": schedule(w, 4, 4)} | change)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_layers(data):
    draw = data.draw
    outputs, inputs = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    stride = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = draw(st.tuples(st.integers(3, 4), st.integers(3, 4)))
    lanes, ring = draw(st.sampled_from([(1, 1), (2, 2), (3, 1), (4, 4), (6, 2), (12, 4)]))
    w = weights(outputs, inputs, kernel, draw(st.floats(0, 1)), draw(st.integers(0, 9)))
    multiplier = draw(st.sampled_from(KINDS))
    try:
        spec = folded(w, lanes, ring, *size, multiplier=multiplier, padding=padding, stride=stride)
    except ValueError as error:
        assert "makes more outputs" in str(error)
        return
    if draw(st.booleans()):
        spec = with_steps(spec, ramps(spec, draw(st.integers(1, 4))))
    holds(spec, frames(spec, 2))
