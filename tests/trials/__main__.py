"""``python tests/trials``: see :mod:`tests.trials.command`.

The root of the checkout stays off ``sys.path`` (our ``datasets`` would hide Hugging Face's), so the package of the
tests is made known here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).resolve().parents[1]


def make_known() -> None:
    """``tests`` can be imported as a package, whatever the working directory is."""
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() not in (TESTS / "trials", TESTS.parent)]
    package = ModuleType("tests")
    package.__path__ = [str(TESTS)]
    sys.modules["tests"] = package


if __name__ == "__main__":
    make_known()
    from tests.trials import command

    raise SystemExit(command.main())
