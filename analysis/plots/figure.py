"""One style for all pictures, and figures of bounded size, written without harm to the run that asked for them.

A picture is a PNG for the screen and, beside it, a PDF for a paper; both are the same bytes for the same numbers.
"""

from __future__ import annotations

import functools
import importlib
import math
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec

SINGLE, DOUBLE = 3.4, 7.0  # inches: one and two columns of a paper
SIDE = 9.0  # inches that a picture is high at most, whatever it shows
DPI = 200
DRAFT_DPI = 100
SIZE = 9.0  # points of a heading; all else has 8
ACROSS = 3  # panels beside each other
CELLS = 144  # of a matrix that carry their number
POINTS = 20_000  # of a scatter
LABEL = 40  # characters of a name
TICK = 18  # characters of a name beside an axis
LINES = 12  # names in a legend
FORMATS = (".png", ".pdf")

QUALITY = "viridis"  # of a measure: its bright end is the good one
AMOUNT = "Blues"  # of counts and shares that are neither good nor bad
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.titlesize": SIZE,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "figure.dpi": 100,
    "text.usetex": False,
    "axes.formatter.useoffset": False,
}
_METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    ".svg": {"Date": None},
}
CANVASES = {
    ".png": ("backend_agg", "FigureCanvasAgg", "print_png"),
    ".pdf": ("backend_pdf", "FigureCanvasPdf", "print_pdf"),
    ".svg": ("backend_svg", "FigureCanvasSVG", "print_svg"),
}
TRUE_TYPE = 42  # fonts of a PDF: journals refuse Type 3
_heading: ContextVar[str] = ContextVar("heading", default="")
_draft: ContextVar[bool] = ContextVar("draft", default=False)

P = ParamSpec("P")


@contextmanager
def headed(*parts: str, draft: bool = False) -> Iterator[None]:
    """What is drawn inside bears ``parts`` above its title: the suite, the method, the seed. ``draft``: it is for no
    paper, has half the dots an inch and gets no PDF.
    """
    heading = _heading.set(", ".join(part for part in parts if part))
    drafted = _draft.set(draft)
    try:
        yield
    finally:
        _heading.reset(heading)
        _draft.reset(drafted)


def styled(draw: Callable[P, None]) -> Callable[P, None]:
    """``draw`` in :data:`STYLE`; the process's own settings of matplotlib stay as they are."""

    @functools.wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> None:
        import matplotlib

        with matplotlib.rc_context(dict(STYLE)):
            draw(*arguments, **options)

    return drawn


@contextmanager
def spared(path: Path, warn: Callable[[str], None] | None = None) -> Iterator[Path]:
    """Draw ``path`` inside: whatever goes wrong there is reported to ``warn`` (by default a warning), and nothing
    half-written stays.
    """
    try:
        yield path
    except Exception as error:  # out of memory too: no result depends on a picture
        for suffix in {path.suffix, *FORMATS} if path.suffix else ():
            with suppress(OSError):
                path.with_suffix(suffix).unlink(missing_ok=True)
        reason = next(iter(str(error).splitlines()), "")
        (warn or warnings.warn)(
            f"no picture {path.parent.name}/{path.name}: {type(error).__name__}{reason and ': '}{reason}"
        )


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of at most :data:`DOUBLE` by :data:`SIDE` inches, and its axes."""
    figure = panels(width, height)
    return figure, figure.add_subplot()


def panels(width: float, height: float) -> Any:
    """A figure as :func:`new_figure` gives it, without axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(width, DOUBLE), min(height, SIDE)), layout="constrained")
    FigureCanvasAgg(figure)  # no global pyplot state, no display
    return figure


def grid(count: int) -> tuple[Any, Sequence[Any]]:
    """A figure with ``count`` panels, at most three beside each other, and their axes."""
    across = max(1, min(count, ACROSS))
    down = -(-max(1, count) // across)
    figure = panels(SINGLE if across == 1 else DOUBLE, 2.6 * down + 0.4)
    axes = figure.subplots(down, across, squeeze=False).flatten()
    for spare in axes[count:]:
        spare.set_visible(False)
    return figure, axes[:count] if count else axes


def save(figure: Any, path: Path) -> None:
    """Write the figure under its heading. A path that ends in ``.png`` gets a PDF beside it, unless it is a draft; any
    other is written alone.
    """
    heading = _heading.get()
    if heading:
        figure.suptitle(wrapped(heading, figure, SIZE))  # no second font: it would cost a tenth of a second
    import matplotlib

    suffixes = FORMATS if path.suffix == ".png" and not _draft.get() else (path.suffix,)
    with warnings.catch_warnings(), matplotlib.rc_context({"pdf.fonttype": TRUE_TYPE}):
        warnings.filterwarnings("ignore", message="constrained_layout not applied")  # names longer than the picture
        warnings.filterwarnings("ignore", message="Glyph")  # a name in letters that the font lacks
        figure.get_layout_engine().execute(figure)  # placed once for all files
        for suffix in suffixes:
            _write(figure, path.with_suffix(suffix))


def _write(figure: Any, path: Path) -> None:
    """The file, by the canvas itself: ``Figure.savefig`` draws everything twice."""
    module, name, method = CANVASES[path.suffix]  # imported when it is needed: that of PDF brings 130 modules
    canvas = getattr(importlib.import_module(f"matplotlib.backends.{module}"), name)
    shown = figure.dpi
    figure.set_layout_engine("none")
    try:
        figure.dpi = DRAFT_DPI if _draft.get() else DPI
        getattr(canvas(figure), method)(path, metadata=_METADATA[path.suffix])
    finally:
        figure.dpi = shown


def wrapped(text: str, figure: Any, size: float = 8) -> str:
    """``text`` of ``size`` points in as many lines as the figure's width asks for, at most three."""
    width = int(figure.get_figwidth() * 112 / size)
    return textwrap.fill(text, width, max_lines=3, placeholder=" …", break_on_hyphens=False)


def titled(axes: Any, text: str) -> None:
    """The title of one panel."""
    axes.set_title(wrapped(text, axes.figure))


def ticks(count: int, most: int = 25) -> range:
    """At most ``most`` of ``count`` places, evenly, from the first."""
    return range(0, count, max(1, math.ceil(count / most)))


def short(name: str, most: int = LABEL) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def measure(name: str, words: str = "", unit: str = "") -> str:
    """The label of an axis: a metric with its unit and which way is better."""
    return f"{short(name)}{unit and f' ({short(unit)})'}{words and f', {words}'}"


def quality(higher_is_better: bool | None) -> str:
    """The map whose bright end is the good one."""
    return f"{QUALITY}_r" if higher_is_better is False else QUALITY


def ink(image: Any, value: float) -> str:
    """Black or white: what can be read on the colour of ``value``."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"


def colour_bar(figure: Any, image: Any, axes: Any, label: str, higher_is_better: bool | None = True) -> None:
    """The scale beside the axes, its good end at the top."""
    bar = figure.colorbar(image, ax=axes, shrink=0.9, aspect=25, pad=0.02)
    bar.outline.set_visible(False)
    height = figure.get_figheight()
    bar.set_label(textwrap.fill(label, max(16, int(height * 11)), max_lines=2, placeholder=" …"))
    if higher_is_better is False:
        bar.ax.invert_yaxis()


def legend(figure: Any, axes: Any) -> None:
    """Names of the series below the axes; of many the first, with how many there are."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    more = len(handles) - LINES
    if more > 0:
        handles, labels = handles[:LINES], [*labels[: LINES - 1], f"{labels[LINES - 1]} (+ {more} more)"]
    widest = max(len(label) for label in labels) + 9  # characters, with the line before the name
    columns = max(1, min(len(labels), int(figure.get_figwidth() * 14.5 / widest)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
