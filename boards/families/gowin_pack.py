"""gowin_pack as a function of its arguments: the one of apycula reads the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from apycula import gowin_pack

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run it; its exit status."""
    sys.argv = ["gowin_pack", *arguments]
    gowin_pack.main()
    return 0
