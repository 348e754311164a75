"""What a user installs is what stands in the folders."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("hw", "compiler", "sim", "boards", "train")


def test_wheel_holds_every_module_and_the_verilog_it_reads(tmp_path):
    copy = tmp_path / "source"
    copy.mkdir()
    tracked = ["pyproject.toml", "README.md", "LICENSE", "src", *FOLDERS]
    subprocess.run(
        ["cp", "-r", "--preserve=links", "-P", *tracked, str(copy)], cwd=ROOT, check=True
    )
    build = "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder in FOLDERS:
        for file in (x for x in (ROOT / folder).rglob("*") if x.suffix in (".py", ".v", ".cpp")):
            assert f"sqwire/{file.relative_to(ROOT)}" in held
    assert {"sqwire/cli.py", "sqwire/py.typed", "sqwire/__init__.py"} <= held
