"""Losses and the main metric while a run trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .figure import DOUBLE, SINGLE, measure, panels, save, short, styled, titled
from .palette import colour

CURVES = 8  # losses in one picture
MOST = 400  # points of a curve: means of more
ENDS = 60  # experiences whose ends are marked

Curve = tuple[list[float], list[float]]


@dataclass
class Curves:
    """Of one run, over training steps: ``losses`` by name, the main metric on validation rows after each ``epoch`` and
    after each experience on validation (``valid``) and test rows (``test``); ``ends``: the steps at which experiences
    ended.
    """

    losses: dict[str, Curve] = field(default_factory=dict)
    epoch: Curve = field(default_factory=lambda: ([], []))
    valid: Curve = field(default_factory=lambda: ([], []))
    test: Curve = field(default_factory=lambda: ([], []))
    ends: list[float] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """What there is to draw: ``loss``, and ``metric`` where it has more than a single point."""
        measured = any(len(one[0]) > 1 for one in (self.epoch, self.valid, self.test))
        return [kind for kind, there in (("loss", self.losses), ("metric", measured)) if there]

    @classmethod
    def of(cls, points: Iterable[Mapping[str, Any]], main: str) -> Curves:
        """From a journal's points in their order; what is not finite leaves a gap."""
        curves, step = cls(), 0.0
        after = {f"valid/{main}": curves.valid, f"{main}/pooled": curves.test}
        for point in points:
            name, value = str(point["name"]), float(point["value"])
            if point["axis"] == "iteration":
                step = float(point["step"])
                if name == "loss" or name.startswith("loss/"):
                    _add(curves.losses.setdefault(name, ([], [])), step, value)
                elif name == f"valid/{main}/epoch":
                    _add(curves.epoch, step, value)
            elif name in after:
                _add(after[name], step, value)
                if name == f"{main}/pooled":
                    curves.ends.append(step)
        return curves


def _add(curve: Curve, step: float, value: float) -> None:
    curve[0].append(step)
    curve[1].append(value)


def thinned(curve: Curve, most: int = MOST) -> tuple[Any, Any]:
    """Steps and values [n <= most]; of more points the means of equal parts."""
    import numpy as np

    steps, values = np.asarray(curve[0], dtype=float), np.asarray(curve[1], dtype=float)
    if len(steps) <= most:
        return steps, values
    starts = np.linspace(0, len(steps), most, endpoint=False).astype(int)
    sizes = np.diff([*starts, len(steps)])
    return np.add.reduceat(steps, starts) / sizes, np.add.reduceat(values, starts) / sizes


@styled
def training_curves(
    curves: Curves,
    path: Path,
    *,
    name: str,
    words: str = "",
    unit: str = "",
) -> None:
    """Above the training losses, a line a stage or term; below the main metric ``name`` on validation rows after each
    epoch where weights were chosen by it, and after each experience on validation and test rows (nothing where each of
    these is a single point). Raises ValueError where there is no curve at all.
    """
    kinds = curves.kinds
    if not kinds:
        raise ValueError("the journal holds no loss and no curve of a metric")
    wide = len(curves.losses) > 2
    figure = panels(DOUBLE if wide else SINGLE, 0.6 + 1.75 * len(kinds))
    grid = figure.subplots(len(kinds), 1, squeeze=False, sharex=True)[:, 0]
    for kind, axes in zip(kinds, grid, strict=True):
        if kind == "loss":
            _losses(axes, curves.losses)
        else:
            _metric(axes, curves, measure(name, "", unit), f"{short(name)} ({words})")
        if 1 < len(curves.ends) <= ENDS:
            for end in curves.ends[:-1]:
                axes.axvline(end, color="#BBBBBB", linewidth=0.5, zorder=0)
        axes.grid(axis="y")
        axes.legend(**({"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if wide else {"loc": "best"}))
    several = 1 < len(curves.ends) <= ENDS
    grid[-1].set_xlabel("training step" + (" (grey lines: experiences end)" if several else ""))
    save(figure, path)


def _losses(axes: Any, losses: Mapping[str, Curve]) -> None:
    import numpy as np

    names = sorted(losses, key=lambda one: (one != "loss", one))
    values = []
    for number, one in enumerate(names[:CURVES]):
        steps, drawn = thinned(losses[one])
        values.append(drawn[np.isfinite(drawn)])
        words = "all terms" if one == "loss" and len(names) > 1 else one.removeprefix("loss/")
        marker = "." if len(steps) <= 30 else ""
        axes.plot(steps, drawn, color=colour(number), marker=marker, label=short(words, 20))
    every = np.concatenate([*values, np.zeros(0)])
    if len(every) and every.min() > 0 and every.max() > 100 * every.min():
        axes.set_yscale("log")
    elif len(every) and every.min() >= 0:
        axes.set_ylim(0, 1.05 * every.max() if every.max() > 0 else 1)
    axes.set_ylabel("loss")
    left = len(names) - CURVES
    titled(axes, "training loss" + (f" ({CURVES} of {len(names)} terms)" if left > 0 else "") + ": lower is better")


def _metric(axes: Any, curves: Curves, label: str, title: str) -> None:
    drawn: Sequence[tuple[Curve, str, str, str, int]] = (
        (curves.epoch, "validation, each epoch", "-", ".", 0),
        (curves.valid, "validation", "--", "s", 0),
        (curves.test, "test", "-", "D", 1),
    )
    for curve, words, line, marker, number in drawn:
        if not curve[0]:
            continue
        steps, values = thinned(curve)
        many = len(steps) > 60
        axes.plot(steps, values, color=colour(number), linestyle=line, marker="" if many else marker, label=words)
    every = [value for one in (curves.epoch, curves.valid, curves.test) for value in one[1] if value == value]
    if every and min(every) >= 0:
        axes.set_ylim(0, 1.08 * max(every) if max(every) > 0 else 1)
    axes.set_ylabel(label)
    titled(axes, title)
