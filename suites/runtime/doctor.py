"""Is this machine fit, and what to do where it is not."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def examine(out: Path) -> dict[str, Any]:
    """Checks as ``{"what", "found", "do", "ok"}``; ``do`` is empty where nothing needs doing."""
    checks: list[dict[str, Any]] = []

    def add(what: str, found: str, ok: bool = True, do: str = "") -> None:
        checks.append({"what": what, "found": found, "do": "" if ok else do, "ok": ok})

    version = sys.version.split()[0]
    add("python", version, (3, 11) <= sys.version_info[:2] <= (3, 12), "use Python 3.11 or 3.12")
    for name in ("torch", "torchaudio", "avalanche-lib", "mlflow", "soundfile", "espeakng-loader"):
        try:
            importlib.import_module(name.removesuffix("-lib").replace("-", "_"))
            add(name, metadata.version(name))
        except Exception as error:
            add(name, f"{type(error).__name__}: {error}", False, "make install")
    try:
        import torch

        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none (runs on the CPU)"
        add("GPU", gpu)
        add("threads", str(torch.get_num_threads()))
    except Exception as error:
        add("GPU", str(error), False, "make install")
    from ...datasets.core import cache, limits

    near = next(p for p in [out.resolve(), *out.resolve().parents] if p.exists())
    free = shutil.disk_usage(near).free
    advice = "free some space, or choose another folder with --out"
    add("disk", f"{limits.in_words(free)} free at {near}", free > limits.GIB, advice)
    add("runs folder", str(out.resolve()), os.access(near, os.W_OK), "choose a folder that you may write with --out")
    damaged = [row["digest"][:12] for row in cache.entries() if not row["whole"]]
    add(
        "cache",
        f"{cache.root()}: {len(cache.entries())} entries",
        not damaged,
        f"damaged: {', '.join(damaged)}; suites data clean",
    )
    from ..config.private import redact
    from ..tracking.store import resolve_uri

    uri = resolve_uri(out, None)
    try:
        if uri.startswith("http"):
            from urllib.request import urlopen

            with urlopen(f"{uri.rstrip('/')}/health", timeout=3):
                pass
        add("store", redact(uri))
    except OSError as error:
        add("store", redact(f"{uri}: {error}"), False, "start the server; runs go on without it, then: suites sync")
    return {"healthy": all(check["ok"] for check in checks), "checks": checks}
