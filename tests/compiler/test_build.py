import json
import os

import pytest

from sqwire.compiler import build as module
from sqwire.compiler import frontend
from sqwire.compiler.build import Build, compile_model
from sqwire.compiler.errors import BuildError, CompileError
from sqwire.compiler.passes import optimize


@pytest.fixture(scope="module")
def folder(residual_build):
    return residual_build.path


def contents(path):
    """Its artefacts; tests of other files may have left a simulation beside them."""
    return {f.name: f.read_bytes() for f in path.iterdir() if f.is_file()}


@pytest.fixture
def copy(folder, tmp_path):
    path = tmp_path / "copy"
    path.mkdir()
    for name, data in contents(folder).items():
        (path / name).write_bytes(data)
    return path


def test_a_build_holds_every_artefact(folder):
    build = Build.load(folder)
    assert set(build.files) == {"model.onnx", "graph.json", "plan.json", "design.il", "design.v"}
    assert "module sqwire_top(" in build.design.read_text()
    assert build.plan.to_json() == (folder / "plan.json").read_text()


def test_two_runs_give_byte_identical_artefacts(folder, residual_model, tmp_path):
    again = tmp_path / "elsewhere" / "again"
    compile_model(residual_model(0), again)
    first, second = contents(folder), contents(again)
    for name in Build.load(folder).files:
        assert first[name] == second[name], name


def test_artefacts_name_no_folder_of_the_machine(folder):
    for name in Build.load(folder).files:
        assert str(folder).encode() not in (folder / name).read_bytes(), name
        assert str(module.__file__).encode() not in (folder / name).read_bytes(), name


def test_an_older_build_is_replaced(copy, residual_model):
    compile_model(residual_model(1), copy)
    graph = optimize(frontend.import_qonnx(residual_model(1)))
    assert Build.load(copy).graph == graph
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_a_folder_with_something_else_is_left_alone(tmp_path, residual_model):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BuildError, match="holds something else"):
        compile_model(residual_model(0), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_refused_network_leaves_no_trace(copy):
    before = contents(copy)
    with pytest.raises(CompileError):
        compile_model(b"not a model", copy)
    assert contents(copy) == before
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interrupt_leaves_the_old_build(copy, residual_model, monkeypatch, error):
    def fail(*arguments, **more):
        raise error

    before = contents(copy)
    monkeypatch.setattr(module.emit, "rtlil_to_verilog", fail)
    expected = BuildError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        compile_model(residual_model(1), copy)
    assert contents(copy) == before
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_a_full_disk_is_one_clear_line(copy, residual_model, monkeypatch):
    def full(*arguments, **more):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(module.emit, "rtlil_to_verilog", full)
    with pytest.raises(BuildError, match=r"cannot be written \(No space left") as error:
        compile_model(residual_model(1), copy)
    assert "\n" not in str(error.value)


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(BuildError, match=r"must hold build\.json"):
        Build.load(tmp_path)


def test_a_missing_artefact_is_named(copy):
    (copy / "design.v").unlink()
    with pytest.raises(BuildError, match=r"design\.v must be there"):
        Build.load(copy)


def test_a_changed_artefact_is_named(copy):
    with (copy / "graph.json").open("a") as file:
        file.write(" ")
    with pytest.raises(BuildError, match=r"graph\.json was changed"):
        Build.load(copy)


@pytest.mark.parametrize("field, value", [("format", 0), ("sqwire", "0.0.0")])
def test_a_build_of_another_version_is_refused(copy, field, value):
    manifest = copy / "build.json"
    document = json.loads(manifest.read_text())
    document[field] = value
    manifest.write_text(json.dumps(document))
    with pytest.raises(BuildError, match="must be written by sqwire"):
        Build.load(copy)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 1}', '{"format": 1, "sqwire": "0", "files": 3}']
)
def test_a_damaged_manifest_is_refused(copy, text):
    (copy / "build.json").write_text(text)
    with pytest.raises(BuildError, match=r"build\.json is damaged"):
        Build.load(copy)


def test_a_manifest_that_lists_nothing_is_refused(copy):
    manifest = copy / "build.json"
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(document | {"files": {}}))
    with pytest.raises(BuildError, match=r"must list model\.onnx"):
        Build.load(copy)


def test_a_manifest_cannot_point_outside(copy):
    manifest = copy / "build.json"
    document = json.loads(manifest.read_text())
    document["files"]["../secret"] = "0"
    manifest.write_text(json.dumps(document))
    with pytest.raises(BuildError, match="secret must be there"):
        Build.load(copy)


def test_files_of_a_later_stage_join_the_build(copy, tmp_path):
    (tmp_path / "synth.json").write_text("{}")
    Build.load(copy).add(tmp_path, ["synth.json"])
    assert "synth.json" in Build.load(copy).files
