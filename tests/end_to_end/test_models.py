"""Networks that were trained elsewhere come in through QONNX and give their reference vectors."""

from pathlib import Path

import numpy as np
import pytest

from sqwire.compiler import frontend, passes
from sqwire.sim.vectors import compare, load_vectors

MODELS = Path(__file__).parents[3] / "shared" / "models"
# Values that float32 sums put on the other side of a rounding boundary, and frames that are
# classified as labelled (the float32 reference: 826 of the keywords).
KNOWN = {
    "tfc_w2a2": (0, 4),
    "kws_w3a3": (85, 825),
    "resnet8_w4a4": (0, 10),
    "espcn_resize_w4a4": (1, None),
}


@pytest.mark.skipif(not MODELS.is_dir(), reason="the folder of networks from elsewhere is absent")
@pytest.mark.parametrize("name", KNOWN)
def test_integer_graph_gives_the_reference_vectors(name):
    model, file = MODELS / name / "model.onnx", MODELS / name / "golden.npz"
    graph = passes.optimize(frontend.import_qonnx(model))
    vectors = load_vectors(file, graph)
    codes = graph.run(graph.input.quantize(vectors.x[0]))
    found = compare(graph, model, vectors, (codes,))
    assert not found.difference
    assert found.values == vectors.y[0].size
    roundings, right = KNOWN[name]
    assert len(found.roundings) == roundings
    if right is not None:
        classes = graph.output.dequantize(codes).reshape(len(codes), -1).argmax(axis=1)
        assert np.count_nonzero(classes == np.load(file)["label"]) == right
