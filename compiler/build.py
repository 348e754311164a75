"""A build folder: everything one network became, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqwire import _version
from sqwire.hw import axis

from . import codec, emit, frontend, passes
from .choose import Target
from .errors import BuildError
from .folding import Fold
from .graph import Graph
from .plan import FASTEST, Plan, plan

__all__ = ["Build", "compile_model"]

FORMAT = 3
MANIFEST = "build.json"
COMPILED = ("model.onnx", "graph.json", "plan.json", "design.il", "design.v")
"""What every build holds; later stages add to it."""


@dataclass(frozen=True)
class Build:
    """A folder with ``build.json`` (what it holds, with checksums), ``model.onnx``,
    ``graph.json``, ``plan.json``, ``design.il``, ``design.v``, and what later stages add."""

    path: Path
    files: dict[str, str]

    @classmethod
    def load(cls, path: Path | str) -> Build:
        """Open a build folder.

        Raises
        ------
        BuildError
            If it is none, is incomplete or changed, or was written by another version of sqwire.
        """
        path = Path(path)
        manifest = path / MANIFEST
        again = f"run: sqwire compile MODEL.onnx -o {path}"
        if not manifest.is_file():
            raise BuildError(f"Build {path}: it must hold {MANIFEST}, and does not; {again}")
        try:
            document = json.loads(manifest.read_text())
            written, version = document["format"], document["sqwire"]
            files = {str(name): str(digest) for name, digest in document["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BuildError(f"Build {path}: {MANIFEST} is damaged; {again}") from error
        if written != FORMAT or version != _version.__version__:
            raise BuildError(
                f"Build {path}: it must be written by sqwire {_version.__version__} "
                f"(format {FORMAT}), not by {version} (format {written}); {again}"
            )
        missing = [name for name in COMPILED if name not in files]
        if missing:
            raise BuildError(f"Build {path}: {MANIFEST} must list {missing[0]}; {again}")
        for name, digest in files.items():
            file = path / name
            if Path(name).name != name or not file.is_file():
                raise BuildError(f"Build {path}: {name} must be there, and is not; {again}")
            if _digest(file) != digest:
                raise BuildError(f"Build {path}: {name} was changed after it was written; {again}")
        return cls(path, files)

    @cached_property
    def graph(self) -> Graph:
        """The integer graph that was compiled, after all passes."""
        return codec.from_json((self.path / "graph.json").read_text())

    @cached_property
    def planned(self) -> dict[str, Any]:
        """What ``plan.json`` says."""
        document: dict[str, Any] = json.loads((self.path / "plan.json").read_text())
        return document

    @cached_property
    def plan(self) -> Plan:
        """The plan of :attr:`graph`; plans are reproducible, so it is the one in ``plan.json``."""
        folds = {name: Fold(**fold) for name, fold in self.planned["folds"].items()}
        known = {"slots": self.planned["slots"], "fabric": self.planned["fabric"]}
        return plan(self.graph, Target(folds=folds, **known))

    @property
    def inputs(self) -> tuple[axis.Port, ...]:
        """Byte layout of each input stream."""
        return self.plan.network.inputs

    @property
    def outputs(self) -> tuple[axis.Port, ...]:
        """Byte layout of each output stream."""
        return self.plan.network.outputs

    @property
    def design(self) -> Path:
        """The Verilog of the circuit."""
        return self.path / "design.v"

    def add(self, folder: Path, names: list[str]) -> Build:
        """Move files of a later stage into the build, all or, after an error, none listed."""
        files = dict(self.files)
        for name in names:
            files.pop(name, None)
        _write_manifest(self.path, files)
        for name in names:
            (folder / name).replace(self.path / name)
            files[name] = _digest(self.path / name)
        _write_manifest(self.path, files)
        return Build(self.path, files)


def compile_model(
    source: Path | bytes,
    out: Path | str,
    target: Target | Callable[[Graph], Target] = FASTEST,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Build:
    """Compile a QONNX model to the build folder ``out``.

    The folder is written whole or not at all; an older build in its place is replaced. What the
    circuit is for may depend on the network.

    Raises
    ------
    CompileError
        If the network cannot be mapped.
    BuildError
        If ``out`` exists and is not a build folder, or cannot be written.
    """
    out = Path(out)
    if isinstance(source, str):
        source = Path(source)
    if out.exists() and not (out / MANIFEST).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise BuildError(
            f"Build {out}: the folder must be new, empty or an older build; "
            "it holds something else; choose another"
        )
    progress("read the model")
    graph = passes.optimize(frontend.import_qonnx(source, progress=progress))
    progress("plan the circuit")
    planned = plan(graph, target if isinstance(target, Target) else target(graph))
    progress("write RTLIL")
    rtlil = emit.emit_rtlil(planned.network)
    with _whole(out) as folder:
        model = source.read_bytes() if isinstance(source, Path) else source
        (folder / "model.onnx").write_bytes(model)
        (folder / "graph.json").write_text(codec.to_json(graph))
        (folder / "plan.json").write_text(planned.to_json())
        progress("write Verilog")
        emit.rtlil_to_verilog(rtlil, folder)
        _write_manifest(folder, {name: _digest(folder / name) for name in COMPILED})
    return Build.load(out)


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that takes its place if all goes well."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise BuildError(f"Build {out}: it cannot be written ({error.strerror})") from error
    try:
        yield folder
        folder.chmod(0o755)
        if out.exists():
            old = folder.with_name(f"{folder.name}.old")
            out.replace(old)
            try:
                folder.replace(out)
            except OSError:
                old.replace(out)
                raise
            shutil.rmtree(old)
        else:
            folder.replace(out)
    except OSError as error:
        raise BuildError(
            f"Build {out}: it cannot be written ({error.strerror}); "
            "free some space or choose another folder; nothing was kept"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _write_manifest(folder: Path, files: dict[str, str]) -> None:
    document: dict[str, Any] = {
        "format": FORMAT,
        "sqwire": _version.__version__,
        "files": dict(sorted(files.items())),
    }
    draft = folder / f".{MANIFEST}"
    draft.write_text(json.dumps(document, indent=1) + "\n")
    draft.replace(folder / MANIFEST)
