"""The training loop's library is imported without what it takes along and nothing here uses."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from holdfast.suites.runtime.imports import hidden, import_streams
with hidden("mailbox"):
    try:
        import mailbox
    except ImportError:
        pass
    else:
        raise AssertionError("hidden")
import mailbox
import_streams()
assert "avalanche" in sys.modules
assert "jax" not in sys.modules
"""


def test_jax_is_not_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
