"""A suite's data: made, checked, and the list of a folder of one's own written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import asked
from .asked import Overrides

if TYPE_CHECKING:
    from ...datasets.core.source import Source


def prepare_data(
    target: str,
    profile: str | None = None,
    overrides: Overrides = (),
    data_root: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Source:
    """A suite's data as its runs have it, made now (profile None: demo)."""
    from . import build

    return build.prepare(asked.recipe(target, profile or "demo", overrides, data_root), progress)


def check_data(
    target: str, profile: str | None = None, overrides: Overrides = (), data_root: str | Path | None = None
) -> dict[str, Any]:
    """Rows, classes and ``faults`` of a suite's data (profile None: demo)."""
    from . import build

    return build.check(asked.recipe(target, profile or "demo", overrides, data_root))


def init_data(
    folder: str | Path,
    *,
    pattern: str | None = None,
    valid: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    force: bool = False,
) -> dict[str, Any]:
    """Write the manifest of a folder of recordings, or the index of one of images, with splits.

    Args:
        pattern: which parts of the paths (without suffix) say what: ``{label}_{speaker}_*``; None: folders say it.
        valid, test: shares drawn with ``seed`` where nothing names a split: whole speakers or subjects where three or
            more are known.
        force: overwrite the file.

    Returns:
        ``file``, ``suite`` that reads it, ``rows`` of each split, ``classes``, ``groups``, ``grouped``, ``warnings``.
    """
    from . import new_listing

    return new_listing.write(Path(folder), pattern, valid, test, seed, force)
