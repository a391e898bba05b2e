"""Average ranks with groups that do not differ (a critical-difference diagram), and performance profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .figure import DOUBLE, legend, new_figure, save, short, styled, titled
from .palette import colour


@styled
def critical_difference(
    ranks: Mapping[str, float], p: Mapping[str, Mapping[str, float]], path: Path, *, title: str
) -> None:
    """Methods on a line by average rank, 1 is best; a bar joins those whose pairwise ``p`` (Nemenyi) is 0.05 or more.
    Drawn by scikit-posthocs.

    Source: Demšar (JMLR 2006), figure 1.
    """
    import pandas
    from scikit_posthocs import critical_difference_diagram

    shown = {name: short(name) for name in ranks}
    matrix = pandas.DataFrame({shown[a]: {shown[b]: p[a][b] for b in ranks} for a in ranks})
    figure, axes = new_figure(DOUBLE, 1.0 + 0.22 * len(ranks))
    critical_difference_diagram(
        {shown[name]: rank for name, rank in ranks.items()},
        matrix,
        ax=axes,
        label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
        color_palette=["black"] * len(ranks),
    )
    titled(axes, title)
    save(figure, path)


@styled
def profiles(
    at: Sequence[float], shares: Mapping[str, Sequence[float]], label: str, path: Path, *, title: str, higher: bool
) -> None:
    """Share of runs at least as good as each value ``at``, a curve a method.

    Source: Agarwal et al. (NeurIPS 2021), performance profiles.
    """
    figure, axes = new_figure(DOUBLE, 3.0)
    for number, (name, share) in enumerate(shares.items()):
        axes.plot(at, share, color=colour(number), label=short(name))
    axes.set_xlabel(f"{label}: {'at least' if higher else 'at most'}")
    axes.set_ylabel("share of runs")
    axes.set_ylim(0, 1.02)
    legend(figure, axes)
    titled(axes, title)
    save(figure, path)
