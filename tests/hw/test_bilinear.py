import numpy as np
import pytest

from sqwire.hw.beat import Beat
from sqwire.hw.bilinear import BilinearColumns, BilinearRows
from sqwire.hw.ranges import Range
from sqwire.sim.check import check_operator

BEAT = Beat(Range.signed(5), 2)
SIZES = {
    "frame": (3, 5), "one row": (1, 4), "one column": (4, 1), "one position": (1, 1),
    "two rows": (2, 9), "two columns": (5, 2),
}  # fmt: skip


def codes(spec):
    rng = np.random.default_rng(0)
    low, high = spec.beat.range.lo, spec.beat.range.hi
    shape = (spec.beats_in, spec.beat.lanes)
    ends = [np.full(shape, low), np.full(shape, high)]
    return np.stack([*ends, *rng.integers(low, high + 1, (2, *shape))])


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("kind", [BilinearRows, BilinearColumns])
def test_component_equals_compute_equals_definition(kind, size, factor, on_time):
    spec = kind(*size, BEAT, factor)
    x = codes(spec)
    frames = x.reshape(len(x), *size, BEAT.lanes)
    axis = 1 if kind is BilinearRows else 2
    want = []
    for at in range(size[axis - 1] * factor):
        first, k = divmod(at, factor)
        second = min(first + 1, size[axis - 1] - 1)
        want.append((factor - k) * frames.take(first, axis) + k * frames.take(second, axis))
    want = np.stack(want, axis).reshape(len(x), spec.beats_out, BEAT.lanes)
    assert np.array_equal(spec.compute(x), want)
    assert want.min() >= spec.outputs[0].range.lo and want.max() <= spec.outputs[0].range.hi
    on_time(spec, check_operator(spec, x))


@pytest.mark.parametrize("kind", [BilinearRows, BilinearColumns])
def test_one_output_a_cycle_also_between_frames(kind):
    spec = kind(4, 6, BEAT, 2)
    first, *_, last = check_operator(spec, codes(spec)).out_cycles[0]
    assert last - first == 4 * spec.beats_out - 1


def test_both_together_are_what_onnx_calls_linear_and_asymmetric():
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    rows = BilinearRows(3, 5, Beat(Range.unsigned(6), 1), 4)
    columns = BilinearColumns(12, 5, rows.outputs[0], 4)
    x = np.random.default_rng(3).integers(0, 64, (1, 15, 1))
    found = columns.compute(rows.compute(x)).reshape(12, 20)
    node = helper.make_node(
        "Resize", ["x", "", "s"], ["y"], mode="linear",
        coordinate_transformation_mode="asymmetric",
    )  # fmt: skip
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 3, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 12, 20])],
        [helper.make_tensor("s", TensorProto.FLOAT, [4], [1, 1, 4, 4])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    image = x.reshape(1, 1, 3, 5).astype(np.float32)
    (reference,) = ReferenceEvaluator(model).run(None, {"x": image})
    assert np.array_equal(found, reference[0, 0] * 16)


@pytest.mark.parametrize("kind", [BilinearRows, BilinearColumns])
@pytest.mark.parametrize("change", [{"height": 0}, {"width": 0}, {"factor": 1}])
def test_what_makes_no_sense_is_refused(kind, change):
    with pytest.raises(ValueError, match="must be at least"):
        kind(**{"height": 2, "width": 2, "beat": BEAT, "factor": 2} | change)
