"""What lies on the disk of this machine: runs, the cache of prepared data, and whether the machine is fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .asked import out_of

if TYPE_CHECKING:
    from .remove import Target


def list_runs(out: str | Path | None = None) -> list[dict[str, Any]]:
    """All runs under ``out`` (None: as :func:`~.asked.out_of`), oldest invocation first."""
    from . import folders

    return folders.list_runs(out_of(out))


def removal(path: str | Path, out: str | Path | None = None, outside: str | Path | None = None) -> Target:
    """What removing an invocation or a run would do: ``plan.files``, ``plan.left``; ``carry_out()`` does it.

    Args:
        outside: the path a second time, where it lies outside ``out``.

    Raises Fault where it is no run of ours, or lies outside ``out`` and was named once.
    """
    from . import remove

    return remove.target_of(Path(path), out_of(out), None if outside is None else Path(outside))


def list_data() -> list[dict[str, Any]]:
    """What the cache of prepared data holds: ``digest``, ``key``, ``bytes``, ``whole``."""
    from ...datasets.core import cache

    return cache.entries()


def data_root() -> Path:
    """The folder of the cache: ``HOLDFAST_CACHE``, else one of the user's."""
    from ...datasets.core import cache

    return cache.root()


def clean_data() -> dict[str, Any]:
    """Remove our entries from the cache: ``freed`` bytes, and paths that are not ours (``left``) or that another
    process builds (``busy``)."""
    from ...datasets.core import cache

    done = cache.clean()
    return {"freed": done.freed, "left": [str(path) for path in done.left], "busy": [str(path) for path in done.busy]}


def doctor(out: str | Path | None = None) -> dict[str, Any]:
    """Whether this machine is fit: ``healthy``, and ``checks`` with what was found and what to do."""
    from .doctor import examine

    return examine(out_of(out))
