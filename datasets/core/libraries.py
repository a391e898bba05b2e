"""Libraries that change the process when they are imported, without the change."""

from __future__ import annotations

import importlib
import os
from typing import Any

_QUIRKS = "allow_tf32,disable_jit_profiling"


def speechbrain(module: str) -> Any:
    """``speechbrain.<module>``.

    Its first import would switch TF32 on for the whole process and torch's JIT profiling off; both stay as they are.
    """
    os.environ.setdefault("SB_DISABLE_QUIRKS", _QUIRKS)
    return importlib.import_module(f"speechbrain.{module}")
