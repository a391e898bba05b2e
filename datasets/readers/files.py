"""The bytes and the text of files that others wrote: regular files, no more than memory may take."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from ..core import limits
from ..core.errors import DataError

LARGEST = 2**30  # bytes of a text file
ROWS = 8  # bytes of memory that a byte of text takes once it is cut into rows


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """The bytes of a file, unpacked where its name ends in .gz.

    Raises DataError where it is missing, no regular file or cut short, and before it is read where it has more than
    ``most`` bytes (unpacked; None: as many as one input may take).
    """
    most = limits.largest() if most is None else most
    try:
        if path.exists() and not path.is_file():
            raise OSError("no regular file")
        packed = path.suffix == ".gz"
        large = not packed and path.stat().st_size > most
        if not large:
            with gzip.open(path) if packed else path.open("rb") as file:
                raw = file.read(most + 1)
            large = len(raw) > most
        if large:
            raise OSError(f"more than {limits.in_words(most)}")
        return raw
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: unreadable ({error})") from error


def read_text(path: Path, most: int = LARGEST) -> str:
    """A text file in UTF-8, with or without a byte order mark; unpacked where its name ends in .gz. Raises DataError as
    :func:`read_bytes`, where it has more than ``most`` bytes or than fit into memory as rows, and where it has another
    encoding.
    """
    raw = read_bytes(path, min(most, limits.largest() // ROWS))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = "UTF-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "no UTF-8"
        what = f"unreadable (line {line} is {found}: byte {error.start} is 0x{raw[error.start]:02x}); save it as UTF-8"
        raise DataError(f"{path}: {what}") from error
