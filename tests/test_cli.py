"""The command line: one clear line and a status for whatever goes wrong."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from sqwire import __version__, cli

VERBS = ("train", "compile", "simulate", "verify", "synth", "demo")


def run(monkeypatch, capfd, *arguments):
    """(exit status, stdout, stderr) of ``sqwire ARGUMENTS``."""
    monkeypatch.setattr(sys, "argv", ["sqwire", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capfd.readouterr()
    return stop.value.code or 0, out, err


@pytest.fixture
def sqwire(monkeypatch, capfd):
    return lambda *arguments: run(monkeypatch, capfd, *arguments)


def refused(result, *words):
    """The last line on stderr says what is wrong, and the status is 1."""
    status, _, err = result
    assert status == 1, err
    last = err.strip().splitlines()[-1]
    assert last.startswith("sqwire: "), err
    assert "Traceback" not in err
    for word in words:
        assert word in last


def test_help_names_every_verb(sqwire):
    status, out, _ = sqwire("--help")
    assert status == 0
    for verb in VERBS:
        assert verb in out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(sqwire, verb):
    status, out, _ = sqwire(verb, "--help")
    assert status == 0
    assert "--json" in out


def test_version(sqwire):
    assert sqwire("--version")[1].strip() == f"sqwire {__version__}"


def test_importing_sqwire_does_not_load_torch():
    code = "import sys, sqwire, sqwire.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_missing_model_is_one_line(sqwire, tmp_path):
    refused(sqwire("compile", tmp_path / "none.onnx"), "none.onnx", "cannot be read")


def test_a_truncated_model_is_one_line(sqwire, tmp_path, residual_model):
    (tmp_path / "cut.onnx").write_bytes(residual_model()[:700])
    out = tmp_path / "build"
    refused(sqwire("compile", tmp_path / "cut.onnx", "-o", out), "cut.onnx", "truncated")
    assert not out.exists()


def test_compile_prints_a_row_a_layer(sqwire, tmp_path, residual_model):
    (tmp_path / "model.onnx").write_bytes(residual_model())
    status, out, _ = sqwire("compile", tmp_path / "model.onnx", "-o", tmp_path / "build")
    assert status == 0
    for layer in ("conv1", "conv3.act", "add1", "pool1", "fc"):
        assert layer in out


def test_compile_says_of_each_layer_what_it_takes_and_what_limits_it(
    sqwire, tmp_path, residual_model
):
    (tmp_path / "model.onnx").write_bytes(residual_model(0, size=8, channels=8))
    status, out, _ = sqwire(
        "compile", tmp_path / "model.onnx", "-o", tmp_path / "build", "--fps", 60_000
    )
    assert status == 0
    for column in ("engine", "lanes", "banks", "used", "cycles", "limit", "kbit", "LUT", "BRAM"):
        assert column in out
    rows = [line.split() for line in out.splitlines()]
    assert ["add1.queue1", "queue", "memory"] in [row[:3] for row in rows]
    assert any("products*" in row for row in rows)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--fps", 900_000], ["64 positions", "the best rate that fits is 64 cycles a frame"]),
        (["--fps", 600_000, "--board", "icebreaker"], ["may be used", "by layer", "take a board"]),
        (["--clock", 500, "--fit"], ["at most 400 MHz", "PLL of ulx3s_85f", "not 500"]),
    ],
)
def test_what_a_board_cannot_do_is_one_line(sqwire, tmp_path, residual_model, options, words):
    (tmp_path / "model.onnx").write_bytes(residual_model(0, size=8, channels=8))
    out = tmp_path / "build"
    refused(sqwire("compile", tmp_path / "model.onnx", "-o", out, *options), *words)
    assert not out.exists()


@pytest.mark.parametrize("fps", ["0", "-1", "nan", "inf", "5e7", "1e-310", "0.01"])
def test_a_rate_of_no_sense_is_one_line(sqwire, tmp_path, fps):
    """More frames than cycles, or a frame in more cycles than are counted."""
    words = "fps must be from", "to the clock (4e+07)", f"not {float(fps)}"
    refused(sqwire("compile", tmp_path / "none.onnx", "--clock", 40, "--fps", fps), *words)


def test_compile_as_json_is_the_plan(sqwire, tmp_path, residual_model):
    (tmp_path / "model.onnx").write_bytes(residual_model())
    status, out, _ = sqwire("compile", tmp_path / "model.onnx", "-o", tmp_path / "build", "--json")
    assert status == 0
    assert json.loads(out) == json.loads((tmp_path / "build" / "plan.json").read_text())


def test_a_folder_that_is_no_build_is_one_line(sqwire, tmp_path):
    for verb in (["verify"], ["synth"], ["simulate"]):
        more = [tmp_path / "x.npy"] if verb == ["simulate"] else []
        refused(sqwire(*verb, tmp_path, *more), "must hold build.json")


def test_an_unknown_board_is_one_line(sqwire, residual_build):
    refused(sqwire("synth", residual_build.path, "--board", "nonesuch"), "nonesuch", "ulx3s_85f")


def test_an_unknown_level_is_one_line(sqwire, residual_build):
    refused(sqwire("verify", residual_build.path, "--level", "atoms"), "--level", "atoms")


@pytest.mark.parametrize(
    "x, words",
    [
        (np.zeros((2, 6, 6), np.float32), ["shape must be"]),
        (np.zeros((2, 2, 6, 5), np.float32), ["shape must be"]),
        (np.full((2, 2, 6, 6), 255.0), ["between", "255"]),
        (np.full((2, 2, 6, 6), np.nan), ["finite"]),
        (np.array([["a"]]), ["numbers"]),
    ],
)
def test_wrong_inputs_are_one_line(sqwire, residual_build, tmp_path, x, words):
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "y.npy"
    refused(sqwire("simulate", residual_build.path, tmp_path / "x.npy", "-o", out), *words)
    assert not out.exists()


def test_a_file_that_is_no_array_is_one_line(sqwire, residual_build, tmp_path):
    file = tmp_path / "x.npy"
    refused(sqwire("simulate", residual_build.path, file), "x.npy")
    file.write_bytes(b"\x93NUMPY nonsense")
    refused(sqwire("simulate", residual_build.path, file), "x.npy", "must be a .npy array")


def test_a_pickle_is_not_opened(sqwire, residual_build, tmp_path):
    file = tmp_path / "x.npy"
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(sqwire("simulate", residual_build.path, file), "must be a .npy array")


def test_several_inputs_and_outputs_are_npz_files(sqwire, crossed_build, tmp_path):
    rng = np.random.default_rng(0)
    graph = crossed_build.graph
    x = {f"x{k}": rng.uniform(0, 3, (2, *i.shape)) for k, i in enumerate(graph.inputs)}
    np.savez(tmp_path / "x.npz", **x)
    out = tmp_path / "y.npz"
    result = sqwire("simulate", crossed_build.path, tmp_path / "x.npz", "-o", out, "--json")
    assert result[0] == 0, result
    assert json.loads(result[1])["frames"] == 2
    codes = [i.quantize(v) for i, v in zip(graph.inputs, x.values(), strict=True)]
    with np.load(out) as y:
        assert y.files == ["y0", "y1", "y2"]
        for own, output, want in zip(y.files, graph.outputs, graph.run(*codes), strict=True):
            assert np.array_equal(y[own], output.dequantize(want))


def test_inputs_that_are_not_one_a_port_are_one_line(sqwire, crossed_build, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2, 5, 5)))
    np.savez(tmp_path / "x.npz", x0=np.zeros((2, 2, 5, 5)))
    np.savez(tmp_path / "y.npz", x0=np.zeros((2, 2, 5, 5)), x1=np.zeros((3, 1, 5, 5)))
    for name in ("x.npy", "x.npz"):
        result = sqwire("simulate", crossed_build.path, tmp_path / name)
        refused(result, name, "must be a .npz of numbers x0, x1")
    refused(sqwire("simulate", crossed_build.path, tmp_path / "y.npz"), "as many frames")
    refused(sqwire("run", crossed_build.path, tmp_path / "y.npz", "--simulate"), "as many frames")


def test_tables_name_inputs_and_outputs_where_there_are_several(sqwire, crossed_build, tmp_path):
    model = crossed_build.path / "model.onnx"
    for command in (["inspect", model], ["compile", model, "-o", tmp_path / "build"]):
        status, out, _ = sqwire(*command)
        assert status == 0
        assert "inputs: x, side; outputs: fc_out (of fc), trunk.act_out (of trunk.act)" in out


def test_a_damaged_build_is_one_line(sqwire, residual_build, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(residual_build.path, copy)
    (copy / "design.v").write_text("")
    refused(sqwire("verify", copy), "design.v was changed")


def test_an_interrupt_is_one_line(monkeypatch, capfd, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("sqwire.verbs.compile", interrupt)
    status, _, err = run(monkeypatch, capfd, "compile", tmp_path / "m.onnx")
    assert status == 130
    assert "interrupted" in err
