"""The folders depend on each other one way: hw <- compiler <- {sim, boards} <- cli."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ALLOWED = {
    "hw": {"hw"},
    "compiler": {"hw", "compiler", "_version"},
    "sim": {"hw", "compiler", "sim"},
    "boards": {"hw", "compiler", "boards"},
    "train": {"train", "_version"},
}


def imports(file: Path) -> set[str]:
    """First component below ``sqwire`` of everything a file imports from the project, and torch."""
    found = set()
    depth = len(file.relative_to(ROOT).parts) - 1
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level > depth:
            names = [f"sqwire.{node.module or alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "sqwire" and len(parts) > 1:
                found.add(parts[1])
            if parts[0] in {"torch", *ALLOWED}:
                found.add(parts[0] if parts[0] == "torch" else f"bare {parts[0]}")
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_folders_import_only_what_lies_below_them(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    allowed = ALLOWED[folder] | ({"torch"} if folder == "train" else set())
    for file in files:
        assert imports(file) <= allowed, file


def test_only_train_imports_torch():
    for file in (ROOT / "src" / "sqwire").glob("*.py"):
        assert "torch" not in imports(file), file
