"""Paths and names that stand in a file of the data: they lead to files under the data root, or are refused."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

# What the option ``outside_paths`` of a data set means.
OUTSIDE = "paths in the file may be absolute or lead out of the data root, also through symbolic links"
_LONGEST = 255  # bytes of a name on the usual file systems


def is_file_name(text: str) -> bool:
    """Whether ``text`` is one printable name, without a folder."""
    return (
        bool(text)
        and text.isprintable()
        and Path(text).name == text
        and text != ".."
        and len(text.encode()) <= _LONGEST
    )


def within(root: Path, text: str, outside: bool = False) -> Path:
    """The path ``text`` relative to ``root``.

    ValueError where it can be no path, or, with its symbolic links resolved, leads out of ``root`` and ``outside`` does
    not allow it.
    """
    if not text.isprintable() or any(len(part.encode()) > _LONGEST for part in text.split("/")):
        raise ValueError(f"{text[:_LONGEST]!a} is no path")
    path = root / text
    try:
        leads_out = bool(PureWindowsPath(text).drive) or not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:  # links in a circle
        raise ValueError(f"{text} is no path ({error})") from error
    if (leads_out or Path(text).is_absolute()) and not outside:
        raise ValueError(f"{text} is absolute or leads out of {root}; allow it with data.options.outside_paths=true")
    return path
