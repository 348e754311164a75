"""What the pages about boards show is true."""

import doctest
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_bytes_on_the_page_are_those_of_the_port():
    page = DOCS / "boards-verilog.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.failed == 0 and found.attempted >= 5
