"""The set-up script, with pretended machines."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def bootstrap(tmp_path, monkeypatch):
    """The module, with a copy of the project's files that it reads as its root."""
    spec = importlib.util.spec_from_file_location("sqwire_bootstrap", ROOT / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path / "project"
    root.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        (root / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(module, "VENV", root / ".venv")
    return module


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A search path with just the named programs on it; each answers with exit status 0."""

    def make(*programs, status=0):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for program in programs:
            (folder / program).write_text(f"#!/bin/sh\nexit {status}\n")
            (folder / program).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return str(folder)

    return make


@pytest.fixture
def installed(bootstrap, machine, monkeypatch):
    """A machine that has all, where commands are noted and not run."""
    machine("perl", "make", "g++")
    monkeypatch.setattr(bootstrap, "shared_libpython", lambda _: "libpython.so")
    commands = []
    monkeypatch.setattr(bootstrap, "run", lambda command, log: commands.append(command))
    return commands


def test_it_is_parsed_by_python_3_8():
    ast.parse((ROOT / "bootstrap.py").read_text(), feature_version=(3, 8))


def test_only_the_standard_library_is_imported():
    tree = ast.parse((ROOT / "bootstrap.py").read_text())
    names = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("version", "will_do"),
    [((3, 8), False), ((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)],
)
def test_usable_versions(bootstrap, version, will_do):
    assert bootstrap.usable(version) == will_do


def test_the_project_and_the_script_name_the_same_oldest_python(bootstrap):
    text = (ROOT / "pyproject.toml").read_text()
    assert f'requires-python = ">={bootstrap.dotted(bootstrap.OLDEST)}"' in text


def test_the_newest_python_that_works_is_taken(bootstrap, machine):
    folder = machine("python3.11", "python3.12")
    machine("python3.13", status=127)  # a shim behind which there is nothing
    found = bootstrap.other_python({"PATH": folder})
    assert found == f"{folder}/python3.12"


def test_without_a_usable_python_the_command_that_brings_one_is_given(bootstrap, machine):
    folder = machine()
    with pytest.raises(bootstrap.Problem, match=rf"this is {PYTHON}\.(?s:.*)install -y python3.11"):
        bootstrap.other_python({"PATH": folder})


def test_all_that_is_missing_is_named_at_once(bootstrap, machine, monkeypatch):
    folder = machine()
    monkeypatch.setattr(bootstrap, "shared_libpython", lambda _: None)
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda _: None)
    packages = [package for _, package in bootstrap.missing(folder)]
    assert packages == ["perl", "make", f"python{PYTHON}-venv", f"libpython{PYTHON}"]
    with pytest.raises(bootstrap.Problem) as caught:
        bootstrap.prepare(bootstrap.VENV)
    first, second = str(caught.value).split("\n")
    assert all(name in first for name in ("perl", "make", "ensurepip", "libpython", "cocotb"))
    assert second.endswith("apt-get install -y " + " ".join(packages))
    assert not bootstrap.VENV.exists()


def test_nothing_is_missing_on_a_machine_that_has_all(bootstrap, installed):
    assert bootstrap.missing(str(Path(bootstrap.shutil.which("perl")).parent)) == []


@pytest.mark.parametrize("name", ["c++", "g++", "clang++"])
def test_any_compiler_will_do(bootstrap, machine, name):
    folder = machine(name)
    assert bootstrap.compiler(folder) == f"{folder}/{name}"


def test_without_a_compiler_the_zig_wheel_is_installed(bootstrap, installed, machine, capsys):
    (Path(machine()) / "g++").unlink()
    bootstrap.prepare(bootstrap.VENV)
    assert installed[-1][-1] == ".[train,test,zig]"
    assert "ziglang" in capsys.readouterr().out


def test_a_shared_library_is_found_where_python_says_it_is(bootstrap, tmp_path):
    library = tmp_path / "multi" / "libpython.so.1"
    library.parent.mkdir()
    library.touch()
    variables = {"INSTSONAME": "libpython.so.1", "LIBDIR": str(tmp_path), "MULTIARCH": "multi"}
    assert bootstrap.shared_libpython(variables) == library


def test_a_static_library_does_not_count(bootstrap, tmp_path):
    (tmp_path / "libpython.a").touch()
    variables = {"INSTSONAME": "libpython.a", "LDLIBRARY": "libpython.a", "LIBDIR": str(tmp_path)}
    assert bootstrap.shared_libpython(variables) is None


def test_the_packages_are_installed_with_their_constraints(bootstrap, installed):
    bootstrap.prepare(bootstrap.VENV)
    make, pip = installed
    assert make == [sys.executable, "-m", "venv", str(bootstrap.VENV)]
    assert pip[0] == f"{bootstrap.VENV}/bin/python"
    assert pip[-4:] == ["-c", "constraints.txt", "-e", ".[train,test]"]


def test_a_second_run_does_nothing(bootstrap, installed):
    bootstrap.prepare(bootstrap.VENV)
    del installed[:]
    bootstrap.prepare(bootstrap.VENV)
    assert installed == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_other_packages_are_installed_over_the_old(bootstrap, installed, name):
    bootstrap.prepare(bootstrap.VENV)
    del installed[:]
    with (bootstrap.ROOT / name).open("a") as file:
        file.write("# changed\n")
    bootstrap.prepare(bootstrap.VENV)
    assert [command[2] for command in installed] == ["pip"]


def test_another_python_makes_it_anew(bootstrap, installed, monkeypatch):
    bootstrap.prepare(bootstrap.VENV)
    (bootstrap.VENV / "old").touch()
    del installed[:]
    monkeypatch.setattr(bootstrap, "interpreter", lambda: "another")
    bootstrap.prepare(bootstrap.VENV)
    assert len(installed) == 2
    assert not (bootstrap.VENV / "old").exists()


def test_an_interrupted_installation_is_made_anew(bootstrap, installed, monkeypatch):
    note = bootstrap.run

    def interrupted(command, log):
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.prepare(bootstrap.VENV)
    (bootstrap.VENV / "half").touch()
    monkeypatch.setattr(bootstrap, "run", note)
    bootstrap.prepare(bootstrap.VENV)
    assert len(installed) == 2
    assert not (bootstrap.VENV / "half").exists()


def test_an_update_that_is_interrupted_is_made_anew(bootstrap, installed, monkeypatch):
    bootstrap.prepare(bootstrap.VENV)
    (bootstrap.ROOT / "constraints.txt").write_text("")
    note = bootstrap.run
    monkeypatch.setattr(bootstrap, "run", lambda command, log: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bootstrap.prepare(bootstrap.VENV)
    monkeypatch.setattr(bootstrap, "run", note)
    del installed[:]
    bootstrap.prepare(bootstrap.VENV)
    assert len(installed) == 2


def test_an_environment_of_the_user_is_left_alone(bootstrap, installed):
    (bootstrap.VENV / "bin").mkdir(parents=True)
    with pytest.raises(bootstrap.Problem, match=r"was not made by bootstrap.py; move it away"):
        bootstrap.prepare(bootstrap.VENV)
    assert installed == []
    assert (bootstrap.VENV / "bin").is_dir()


def test_a_disk_without_room_is_named(bootstrap, installed, monkeypatch):
    usage = type("usage", (), {"free": 1_200_000_000})
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(bootstrap.Problem, match=r"needs 3 GB of free disk space, and has 1\.2$"):
        bootstrap.prepare(bootstrap.VENV)
    assert not bootstrap.VENV.exists()


def test_a_failed_installation_gives_the_error_and_the_log(bootstrap, tmp_path):
    log = tmp_path / "log"
    code = "print('Collecting torch'); print('ERROR: No matching distribution'); exit(1)"
    with pytest.raises(bootstrap.Problem) as caught:
        bootstrap.run([sys.executable, "-c", code], log)
    assert str(caught.value).startswith(
        f"the installation failed: ERROR: No matching distribution\n    see {log}"
    )
    assert "Collecting torch" in log.read_text()


def test_make_without_a_target_lists_the_targets():
    done = subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert re.findall(r"^make (\w+)", done.stdout, re.MULTILINE) == [
        "demo",
        "test",
        "venv",
        "clean",
    ]


def test_every_constraint_is_an_exact_version():
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0].lower())
