"""What a forked child runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path


def suites() -> None:
    """The command line; its pictures have no pixels, since to draw their letters takes half of a smoke run."""
    import pytest
    from holdfast.suites.cli.app import main

    from ..suites.process import blank_pictures

    blank_pictures(pytest.MonkeyPatch())
    main()


def faulty() -> None:
    """What a test of the harness asks for: each word is a fault that must be found."""
    (what,) = sys.argv[1:]
    if what == "say":
        sys.stdout.write("said\n")
    elif what == "fail":
        raise RuntimeError("planted")
    elif what == "write":
        Path("..", "stray").write_text("planted")
    elif what == "sleep":
        time.sleep(60)
    elif what == "fill":
        kept = []
        while True:
            kept.append(b"x" * 2**22)
            time.sleep(0.001)
