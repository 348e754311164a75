"""Tools that fail, and tools that say they did not."""

import re
import shutil
import sys
from collections import namedtuple

import pytest

from sqwire.compiler.tools import YOSYS, Tool, ToolError, Workshop

FAKE = Tool("fake", "pretending", "pytest", "fake_tool", "run")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a tool whose Python body is given; it must write ``product``."""
    modules, work, logs = tmp_path / "modules", tmp_path / "work", tmp_path / "logs"
    for folder in (modules, work, logs):
        folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(modules))
    said = []

    def run(body):
        code = "import sys\ndef run(arguments):\n" + "".join(f"    {b}\n" for b in body)
        (modules / "fake_tool.py").write_text(code)
        workshop = Workshop(work, logs, said.append)
        workshop.run(FAKE, ["some", "arguments"], ["product"])
        return workshop

    run.said = said
    return run


def test_a_tool_runs_in_its_folder_with_its_arguments(run):
    workshop = run(["open('product', 'w').write(' '.join(arguments))"])
    assert (workshop.folder / "product").read_text() == "some arguments"
    assert run.said == ["pretending (fake)"]


def test_a_failed_tool_gives_one_line_with_status_reason_and_log(run, tmp_path):
    with pytest.raises(ToolError) as caught:
        run(["print('one'); print('ERROR: no more wires.'); print('bye'); return 3"])
    log = tmp_path / "logs" / "synth.fake.log"
    assert str(caught.value) == f"fake: it must exit with 0, not 3: no more wires; see {log}"
    assert log.read_text() == "one\nERROR: no more wires.\nbye\n"


def test_a_crashed_tool_gives_its_last_line(run):
    with pytest.raises(ToolError, match=r"^fake: .* not 1: ZeroDivisionError: [^\n]*$"):
        run(["1 / 0"])


def test_a_missing_product_is_an_error_though_the_status_is_0(run):
    with pytest.raises(ToolError, match=r"^fake: it must write product, and did not: fine; see "):
        run(["print('fine')"])


def test_an_empty_product_is_an_error_though_the_status_is_0(run):
    with pytest.raises(ToolError, match=r"^fake: it must write product, and did not"):
        run(["open('product', 'w')"])


def test_a_product_of_an_earlier_run_does_not_count(run):
    run(["open('product', 'w').write('x')"])
    with pytest.raises(ToolError, match=r"^fake: it must write product, and did not"):
        run(["return 0"])


def test_a_full_disk_is_named_though_the_status_is_0(run, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 4096))
    with pytest.raises(ToolError, match=r"^Disk of .*: 1 MiB must be free, not 0 MiB; [^\n]*$"):
        run(["open('product', 'w').write('half of i')"])


def test_a_cut_off_json_file_is_an_error(run):
    workshop = run(["open('product', 'w').write('{\"fmax\": {')"])
    with pytest.raises(ToolError, match=r"^fake: it must write product as JSON: .*cut off; see "):
        workshop.read_json(FAKE, "product")


def test_a_module_in_the_working_folder_is_not_run(run, tmp_path):
    (tmp_path / "work" / "sys.py").write_text("raise SystemExit(5)")
    (tmp_path / "work" / "fake_tool.py").write_text("raise SystemExit(6)")
    run(["open('product', 'w').write('x')"])


def test_a_version_is_that_of_the_package():
    assert re.fullmatch(r"[0-9][\w.]*", YOSYS.version)
    assert FAKE.version == pytest.__version__
    assert sys.version_info >= (3, 11)
