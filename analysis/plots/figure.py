"""A figure of bounded size, written without harm to the run that asked for it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SIDE = 12.0  # inches that a picture has at most, whatever it shows: 1440 pixels


CELLS = 144  # of a matrix that carry their number


POINTS = 20_000  # of a scatter


LABEL = 40  # characters of a name


@contextmanager
def spared(path: Path, warn: Callable[[str], None] | None = None) -> Iterator[Path]:
    """Draw ``path`` inside: whatever goes wrong there is reported to ``warn`` (by default a warning), and nothing
    half-written stays.
    """
    try:
        yield path
    except Exception as error:  # out of memory too: no result depends on a picture
        with suppress(OSError):
            path.unlink(missing_ok=True)
        reason = next(iter(str(error).splitlines()), "")
        (warn or warnings.warn)(
            f"no picture {path.parent.name}/{path.name}: {type(error).__name__}{reason and ': '}{reason}"
        )


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of at most :data:`SIDE` inches a side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(width, SIDE), min(height, SIDE)), layout="constrained")
    FigureCanvasAgg(figure)  # no global pyplot state, no display
    return figure, figure.add_subplot()


def ticks(count: int, most: int = 25) -> range:
    """At most ``most`` of ``count`` places, evenly, from the first."""
    return range(0, count, max(1, math.ceil(count / most)))


def short(name: str) -> str:
    return name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"
