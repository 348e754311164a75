"""Makes .venv with sqwire and all it needs, or says what the machine lacks.

Run by ``make``; by hand: ``python3 bootstrap.py``. Needs only the standard library, and nothing
that Python 3.8 does not parse, so that an old one gives a message and not a syntax error.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
READY, UNFINISHED, LOG = "sqwire-ready", "sqwire-unfinished", "sqwire-install.log"

# The Python versions for which the packages in constraints.txt have wheels.
OLDEST, NEWEST = (3, 11), (3, 13)

# What .venv takes (1.8 GB), and what pip unpacks beside it meanwhile.
NEED_BYTES = 3_000_000_000


class Problem(Exception):
    """The machine lacks something, or the installation failed; the text says what to do."""


def main():
    """Make .venv ready; the exit status."""
    try:
        if not usable(sys.version_info[:2]):
            return subprocess.call([other_python(os.environ), str(Path(__file__))])
        with alone():
            prepare(VENV)
    except Problem as problem:
        print(f"bootstrap: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbootstrap: interrupted; run it again to start over", file=sys.stderr)
        return 130
    return 0


def usable(version):
    """Whether a Python of this version (major, minor) will do."""
    return OLDEST <= tuple(version) <= NEWEST


def dotted(version):
    """A version (major, minor) as text."""
    return ".".join(map(str, version))


def other_python(environ):
    """The newest usable Python on the search path.

    Each is tried: a name on the path may be a shim behind which there is nothing.
    """
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}", path=environ.get("PATH"))
        test = f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"
        if found and _silently([found, "-c", test], environ) == 0:
            return found
    lowest = f"python{dotted(OLDEST)}"
    raise Problem(
        f"Python {dotted(OLDEST)} to {dotted(NEWEST)} is needed, and this is "
        f"{dotted(sys.version_info[:2])}. On Debian or Ubuntu:\n"
        f"    {apt([lowest, lowest + '-venv', 'lib' + lowest])}"
    )


def _silently(command, environ):
    done = subprocess.run(
        command, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return done.returncode


def prepare(venv):
    """Bring the folder ``venv`` up to date; does nothing where it is."""
    path = os.environ.get("PATH")
    lacking = missing(path)
    if lacking:
        raise Problem(
            f"this machine lacks {', '.join(what for what, _ in lacking)}. On Debian or Ubuntu:\n"
            f"    {apt([package for _, package in lacking])}"
        )
    extras = "train,test" if compiler(path) else "train,test,zig"
    wanted = [interpreter(), packages(extras)]
    ready = venv / READY
    had = ready.read_text().split() if ready.is_file() else []
    if had == wanted:
        return
    if venv.exists() and not had and not (venv / UNFINISHED).is_file():
        raise Problem(
            f"{venv} was not made by bootstrap.py; move it away, or use it without make:\n"
            f"    {venv}/bin/pip install -c constraints.txt -e '.[{extras}]'"
        )
    free = shutil.disk_usage(str(ROOT)).free
    if free < NEED_BYTES:
        raise Problem(
            f"{ROOT} needs {NEED_BYTES / 1e9:.0f} GB of free disk space, and has {free / 1e9:.1f}"
        )
    install(venv, wanted, extras, keep=had[:1] == wanted[:1])


def missing(path):
    """What the machine lacks: pairs of its name and the Debian package that brings it."""
    python = dotted(sys.version_info[:2])
    lacking = [
        (f"{tool} (Verilator needs it)", tool)
        for tool in ("perl", "make")
        if not shutil.which(tool, path=path)
    ]
    # Debian packs this apart from Python, and the library too.
    if not importlib.util.find_spec("ensurepip"):
        lacking.append((f"ensurepip for Python {python}", f"python{python}-venv"))
    if not shared_libpython(sysconfig.get_config_vars()):
        lacking.append((f"libpython{python}.so (cocotb needs it)", f"libpython{python}"))
    return lacking


def compiler(path):
    """The C++ compiler on the search path, or None; Verilator needs one."""
    for name in ("g++", "c++", "clang++"):
        found = shutil.which(name, path=path)
        if found:
            return found
    return None


def shared_libpython(variables):
    """The shared library of this Python, or None; cocotb loads it into the simulator."""
    python = dotted(sys.version_info[:2])
    names = [variables.get("INSTSONAME"), variables.get("LDLIBRARY"), f"libpython{python}.so.1.0"]
    folders = [Path(variables[key]) for key in ("LIBDIR", "LIBPL") if variables.get(key)]
    folders += [folder / variables.get("MULTIARCH", ".") for folder in folders]
    if variables.get("installed_base"):
        folders.append(Path(variables["installed_base"]) / "lib")
    for folder in folders:
        for name in names:
            if name and not name.endswith(".a") and (folder / name).is_file():
                return folder / name
    return None


def apt(packages):
    """The command that installs Debian packages."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get update && {sudo}apt-get install -y {' '.join(packages)}"


def interpreter():
    """What the environment itself depends on, as a hash."""
    text = repr((sys.version, sys.base_prefix, str(ROOT)))
    return hashlib.sha256(text.encode()).hexdigest()


def packages(extras):
    """What the packages in it depend on, as a hash."""
    digest = hashlib.sha256(extras.encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def install(venv, wanted, extras, *, keep):
    """Install sqwire in ``venv``, made anew unless ``keep``; the mark that it is ready is last."""
    print("bootstrap: installing into .venv, which takes a minute or two", flush=True)
    if "zig" in extras:
        print("bootstrap: no C++ compiler here, the ziglang wheel serves as one", flush=True)
    if keep:
        (venv / READY).rename(venv / UNFINISHED)
    else:
        shutil.rmtree(str(venv), ignore_errors=True)
        venv.mkdir()
        (venv / UNFINISHED).touch()
        run([sys.executable, "-m", "venv", str(venv)], venv / LOG)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    chosen = ["--progress-bar", "off", "-c", "constraints.txt", "-e", f".[{extras}]"]
    run([*pip, "install", *chosen], venv / LOG)
    (venv / READY).write_text("\n".join(wanted) + "\n")
    (venv / UNFINISHED).unlink()
    show("")
    print("bootstrap: .venv is ready", flush=True)


def run(command, log):
    """Run a command with its output in ``log``; on a terminal, show what it is at."""
    settings = {
        "cwd": str(ROOT),
        "env": {**os.environ, "PYTHONUNBUFFERED": "1"},
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
        "errors": "replace",
    }
    with log.open("a") as file, subprocess.Popen(command, **settings) as child:
        try:
            for line in child.stdout:
                file.write(line)
                if line.startswith(("Collecting ", "Building ", "Installing ")):
                    show(f"bootstrap: {line.strip()}")
        except BaseException:
            child.kill()
            raise
    if child.returncode != 0:
        show("")
        said = [line.strip() for line in log.read_text().splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said[-1:] or ["no reason"]
        raise Problem(f"the installation failed: {errors[-1]}\n    see {log}; then run it again")


def show(line):
    """Replace the last line of a terminal."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print("\r\033[K" + line[:width], end="", flush=True)


@contextlib.contextmanager
def alone():
    """Wait until no other bootstrap works in this folder."""
    handle = os.open(str(ROOT), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


if __name__ == "__main__":
    sys.exit(main())
