"""``suites data init``: the manifest or index of a folder of one's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ..config.errors import Fault
from ..tracking.files import write_atomic


def write(folder: Path, pattern: str | None, valid: float, test: float, seed: int, force: bool) -> dict[str, Any]:
    """Write it; what it holds. Raises Fault where the file is there and not ``force``, DataError for the folder."""
    from ...datasets.core.errors import DataError
    from ...datasets.readers.listing import listing

    try:
        made = listing(folder, pattern, valid, test, seed)
    except DataError as error:
        raise Fault.data(str(error), str(folder), "suites data init --help") from error
    file = folder / made.name
    if file.exists() and not force:
        raise Fault.usage("the file is there already", str(file), "look at it, then overwrite it with --force")
    try:
        write_atomic(file, made.text().encode())
    except OSError as error:
        raise Fault.usage(f"cannot write: {error.strerror}", str(file), "choose a folder that you may write") from error
    groups = {item.group for item in made.items if item.group}
    return {
        "file": str(file),
        "suite": "coconut_manifest" if made.sound else "cdvg_folder",
        "rows": dict(Counter(item.split for item in made.items)),
        "classes": sorted({item.label for item in made.items}),
        "groups": len(groups),
        "grouped": made.grouped,
        "warnings": made.warnings,
    }
