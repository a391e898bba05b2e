"""The training loop's library is imported without what it takes along and nothing here uses."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from holdfast.suites.runtime.imports import hidden, import_streams, lazy
with hidden("json.tool"):
    try:
        import json.tool
    except ImportError:
        pass
    else:
        raise AssertionError("hidden")
import json.tool
lazy("absent_package")
assert "absent_package" not in sys.modules
import_streams()
assert "avalanche" in sys.modules
assert "jax" not in sys.modules
import avalanche.evaluation.metrics.confusion_matrix as user
assert "wandb.sdk" not in sys.modules
assert user.wandb.Image.__name__ == "Image"
assert "wandb.sdk" in sys.modules
"""


def test_jax_and_wandb_are_not_loaded_and_are_there_when_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
