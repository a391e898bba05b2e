"""Tasks in sequence: how each went on over the experiences at several widths, and what of it was forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...datasets.core.multi_task import Task
from .figure import CELLS, colour_bar, grid, ink, legend, measure, save, short, styled, titled
from .palette import MARKERS, colour

PANELS = 6  # of a picture, at most
WIDTHS = 8  # lines of a panel
Pair = tuple[float, float]  # widths of encoder and decoder


@styled
def courses(
    lines: Mapping[str, Mapping[Pair, Sequence[float]]], tasks: Sequence[Task], experiences: int, path: Path
) -> None:
    """A panel a task: its main metric after each experience from its first one on, ``lines[task][(e, d)]``; a line for
    each width of the encoder, with the widest decoder that was measured beside it.
    """
    known = [task for task in tasks if task.name in lines][:PANELS]
    figure, axes = grid(len(known))
    encoders = sorted({e for each in lines.values() for e, _ in each})[-WIDTHS:]
    for one, task in zip(axes, known, strict=True):
        for k, e in enumerate(encoders):
            decoders = [d for width, d in lines[task.name] if width == e]
            if not decoders:
                continue
            values = lines[task.name][e, max(decoders)]
            x = range(experiences - len(values), experiences)
            label = f"encoder width {e:g}"
            one.plot(x, values, label=label, marker=MARKERS[k % len(MARKERS)], color=colour(k))
        one.set(xlabel="after experience", xticks=range(experiences), xlim=(-0.3, experiences - 0.7))
        words = "higher is better" if task.higher_is_better else "lower is better"
        one.set_ylabel(measure(task.metric, words))
        one.grid(True)
        titled(one, short(task.name))
    legend(figure, axes[0])
    save(figure, path)


@styled
def forgetting_by_width(lost: Mapping[str, Mapping[Pair, float]], tasks: Sequence[Task], path: Path) -> None:
    """A panel a task: how much worse its main metric is than its best after an earlier experience, at every width of
    encoder (down) and decoder (across) in ``lost[task]``; the bright end of the scale is the good one.
    """
    import numpy as np

    known = [task for task in tasks if task.name in lost][:PANELS]
    figure, axes = grid(len(known))
    for one, task in zip(axes, known, strict=True):
        table = lost[task.name]
        encoders, decoders = (sorted({pair[k] for pair in table}) for k in (0, 1))
        values = np.full((len(encoders), len(decoders)), np.nan)
        for (e, d), value in table.items():
            values[encoders.index(e), decoders.index(d)] = value
        image = one.imshow(values, cmap="viridis_r", aspect="auto")
        for i, j in zip(*np.nonzero(~np.isnan(values)), strict=True) if values.size <= CELLS else ():
            one.text(j, i, f"{values[i, j]:.2g}", ha="center", va="center", color=ink(image, values[i, j]))
        one.set(xlabel="width of the decoder", ylabel="width of the encoder")
        one.set_xticks(range(len(decoders)), [f"{d:g}" for d in decoders])
        one.set_yticks(range(len(encoders)), [f"{e:g}" for e in encoders])
        titled(one, short(task.name))
        colour_bar(figure, image, one, f"forgotten: {task.metric}", False)
    save(figure, path)
