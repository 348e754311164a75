"""A simulated board is kept, and built again where what was kept is not whole."""

from types import SimpleNamespace

import pytest

from sqwire import simulated
from sqwire.boards.link.link import Link
from sqwire.boards.link.payloads import Format, Identity
from sqwire.boards.top import Top
from sqwire.simulated import SimulatedBoard, Workplace

FRAME = Format(1, 1, 1, 8, False)
TOP = Top(Link(Identity(2, 12_000_000, 1_000_000, b"12345678", (FRAME,), (FRAME,))))


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds, with tools that only leave a file; how often they ran."""
    runs = []

    def tool(command, *, cwd, **_):
        runs.append(command)
        (cwd / "bridge").write_text("")
        return SimpleNamespace(returncode=0)

    toolchain = simulated.toolchain
    library = SimpleNamespace(fetch=lambda _: None, keep=lambda: None)
    for name, stand_in in {
        "check_tools": lambda *_: None,
        "versions": lambda *_: [],
        "environment": lambda _: {},
        "make_flags": lambda *_, **__: "",
        "Library": lambda *_: library,
    }.items():
        monkeypatch.setattr(toolchain, name, stand_in)
    monkeypatch.setattr(simulated.subprocess, "run", tool)
    monkeypatch.setattr(simulated, "rtlil_to_verilog", lambda *_, **__: tmp_path / "shell.v")

    def build():
        place = Workplace(tmp_path / "board", tmp_path / "library")
        SimulatedBoard.build(TOP, 12_000_000, "echo", [], place)
        return len(runs)

    return build


def test_the_same_board_is_built_once(build):
    assert build() == 1
    assert build() == 1


@pytest.mark.parametrize("damage", ["gone", "spoiled"])
def test_a_board_that_is_not_whole_is_built_again(build, tmp_path, damage):
    build()
    if damage == "gone":
        (tmp_path / "board" / "bridge").unlink()
    else:
        (tmp_path / "board" / "built.json").write_bytes(b"\xff\xfe")
    assert build() == 2
