import doctest
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"


def test_example_on_the_page_is_true():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    case = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    report = []
    assert doctest.DocTestRunner().run(case, out=report.append).failed == 0, "".join(report)
