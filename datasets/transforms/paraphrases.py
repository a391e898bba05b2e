"""Files of paraphrases: JSON lines ``{"text": ..., "paraphrases": [...]}``, or ``"sha256"`` in place of the text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..core import fingerprints
from ..core.errors import DataError, refuse
from ..readers.files import read_text

FORM = '{"text": "...", "paraphrases": ["...", ...]}'


def digest(text: str) -> str:
    """sha256 of the UTF-8 bytes of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def content(path: str) -> str:
    """sha256 of the file. Raises DataError where it cannot be read."""
    return fingerprints.of([Path(path).expanduser()])[0]


def of(path: str, wanted: Iterable[str]) -> dict[str, list[str]]:
    """Text -> its paraphrases, of the ``wanted`` texts that the file has. Raises DataError for lines of other forms."""
    file = Path(path).expanduser()
    by_digest: dict[str, list[str]] = {}
    faults: list[str] = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        key = row.get("text", row.get("sha256")) if isinstance(row, dict) else None
        values = row.get("paraphrases") if isinstance(row, dict) else None
        if not isinstance(key, str) or not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            faults.append(f"{file.name} line {number}: not {FORM}")
            continue
        known = by_digest.setdefault(digest(key) if "text" in row else key.lower(), [])
        known += [value for value in values if value.strip()]
    refuse(str(file), faults)
    found = {text: by_digest.get(digest(text), []) for text in wanted}
    return {text: values for text, values in found.items() if values}


def write(path: str, made: Mapping[str, Iterable[str]]) -> None:
    """Write paraphrases as :func:`of` reads them. Raises DataError where the file cannot be written."""
    file = Path(path).expanduser()
    lines = [
        json.dumps({"text": text, "paraphrases": list(values)}, ensure_ascii=False) for text, values in made.items()
    ]
    try:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file}: paraphrases cannot be written ({error.strerror}): see write_to") from error
