"""The pages on training and QONNX say what is true."""

import doctest
import re
from pathlib import Path

import pytest

from sqwire.compiler.frontend.handlers import HANDLERS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["training", "qonnx", "vision"])
def test_examples_on_the_page_are_true(name):
    page = (DOCS / f"{name}.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert blocks
    case = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, name, name, 0)
    report = []
    assert doctest.DocTestRunner().run(case, out=report.append).failed == 0, "".join(report)


def test_operators_on_the_page_are_read_by_the_frontend():
    section = (DOCS / "qonnx.md").read_text().split("## What we read")[1]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(names) > 10
    assert names <= set(HANDLERS)
