"""What ``suites predict`` writes: rows of a CSV, a file, and one message of what could not be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.errors import Fault
from ..tracking.files import write_atomic


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as a row of a CSV: one value a column; ``top`` as ``class_2``, ``probability_2`` and so on."""
    row: dict[str, Any] = {}
    for name, value in document.items():
        if name == "top":
            for place, entry in enumerate(value[1:], 2):
                row |= {f"class_{place}": entry["class"], f"probability_{place}": entry["probability"]}
        elif name == "interval":
            row |= value or {}
        else:
            row[name] = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
    return row


def unreadable(documents: Sequence[Mapping[str, Any]], of: int) -> Fault:
    """One message of all inputs that could not be read."""
    shown = "; ".join(str(document["error"]) for document in documents[:5])
    more = f"; and {len(documents) - 5} more" if len(documents) > 5 else ""
    what = shown if of == 1 else f"{len(documents)} of {of} inputs cannot be read: {shown}{more}"
    return Fault.data(what, str(documents[0]["file"]), "correct these or leave them out")


def save(content: bytes, file: Path) -> None:
    """Write a whole file or none. Raises Fault where it cannot be written."""
    try:
        write_atomic(file, content)
    except OSError as error:
        raise Fault.usage(f"cannot write: {error.strerror}", str(file), "choose another place") from error
