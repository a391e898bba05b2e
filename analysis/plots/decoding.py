"""Decoding rules: their settings, the share of conflicts, groups of questions, and posteriors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .figure import DOUBLE, SINGLE, legend, measure, new_figure, quality, save, short, styled, titled
from .palette import colour


@styled
def by_group(values: Mapping[str, Mapping[str, float]], title: str, path: Path) -> None:
    """A bar for each measure (in the legend) of each group; ``values[group][measure]`` are shares."""
    names = list(dict.fromkeys(name for row in values.values() for name in row))
    figure, axes = new_figure(SINGLE if len(values) * len(names) <= 15 else DOUBLE, 2.6)
    width = 0.8 / max(1, len(names))
    for k, name in enumerate(names):
        at = [g + (k - (len(names) - 1) / 2) * width for g in range(len(values))]
        heights = [row.get(name, float("nan")) for row in values.values()]
        axes.bar(at, heights, width=0.92 * width, color=colour(k), label=short(name))
    axes.set(ylim=(0, 1.02), ylabel="share", xticks=range(len(values)))
    axes.set_xticklabels([short(group, 14) for group in values])
    axes.grid(axis="y")
    titled(axes, title)
    legend(figure, axes)
    save(figure, path)


@styled
def by_layer(isotropy: Sequence[float], path: Path) -> None:
    """Isotropy of the hidden states by layer: the embeddings are layer 0."""
    figure, axes = new_figure(SINGLE, 2.7)
    axes.plot(range(len(isotropy)), isotropy, color=colour(0), marker="o")
    axes.set(xlabel="layer (0: embeddings)", ylabel=measure("isotropy", "higher is better"))
    if len(isotropy) <= 13:
        axes.set_xticks(range(len(isotropy)))
    axes.set_ylim(min(0.0, *isotropy), max(1.02, *isotropy))
    axes.grid(axis="y")
    titled(axes, "isotropy by layer")
    save(figure, path)


@styled
def share_of_conflicts(
    accuracies: Mapping[str, tuple[float, float]], path: Path, counts: tuple[int, int] | None = None
) -> None:
    """Accuracy over the share λ of questions whose context contradicts what the model remembers, for each rule:
    (1 - λ) accuracy_agreement + λ accuracy_conflict, from ``accuracies[rule] = (agreement, conflict)``. ``counts``:
    questions of both, for the title.
    """
    figure, axes = new_figure(SINGLE, 2.7)
    for k, (name, (agreement, conflict)) in enumerate(accuracies.items()):
        axes.plot([0, 1], [agreement, conflict], color=colour(k), marker="o", label=short(name))
    axes.set(xlabel="share of conflicts", ylabel=measure("exact match", "higher is better", "share"), ylim=(0, 1.02))
    axes.grid(axis="y")
    rows = f" ({counts[0]} agree, {counts[1]} conflict)" if counts else ""
    titled(axes, f"accuracy over the share of conflicts{rows}")
    if len(accuracies) > 1:
        legend(figure, axes)
    save(figure, path)


@styled
def over_settings(
    alphas: Sequence[float], betas: Sequence[float], values: Any, name: str, higher_is_better: bool, path: Path
) -> None:
    """A measure over the strength α of a rule (across) and the mask's β, a line each: ``values`` [betas, alphas]; what
    was not run is NaN.
    """
    import numpy as np

    values = np.asarray(values, float)
    if values.shape != (len(betas), len(alphas)):
        raise ValueError(f"values must be [{len(betas)}, {len(alphas)}], not {list(values.shape)}")
    figure, axes = new_figure(SINGLE, 2.7)
    import matplotlib

    colours = matplotlib.colormaps[quality(True)](np.linspace(0.1, 0.85, len(betas)))
    for row, beta, shade in zip(values, betas, colours, strict=True):
        axes.plot(alphas, row, marker="o", color=shade, label=f"β = {beta:g}")
    axes.set(xlabel="strength α", ylabel=measure(name, "higher is better" if higher_is_better else "lower is better"))
    axes.grid(axis="y")
    titled(axes, f"{short(name)} over α and β")
    legend(figure, axes)
    save(figure, path)


@styled
def posterior_error(
    errors: Mapping[str, Sequence[tuple[int, float]]], path: Path, limits: Mapping[str, float] | None = None
) -> None:
    """Error of the posterior (KL in nats) over particles N, both logarithmic, a line for each sampler of ``errors``,
    pairs (N, error), with the slope 1/N beside them. ``limits``: errors that no number of particles lowers, such as
    that of masking alone, as dashed lines.
    """
    figure, axes = new_figure(SINGLE, 2.9)
    first: list[tuple[int, float]] = []
    for k, (name, pairs) in enumerate(errors.items()):
        held = sorted((n, value) for n, value in pairs if value > 0)
        if held:
            axes.plot(*zip(*held, strict=True), marker="o", color=colour(k), label=short(name))
            first = first or held
    if first:
        n, value = first[0]
        counts = [n for n, _ in first]
        axes.plot(counts, [value * n / m for m in counts], color="#7F7F7F", linewidth=0.8, linestyle=":", label="1/N")
    for k, (name, value) in enumerate((limits or {}).items()):
        axes.axhline(value, color=colour(len(errors) + k), linestyle="--", linewidth=0.8, label=short(name))
    axes.set(
        xlabel="particles N", ylabel="KL to the exact posterior (nats), lower is better", xscale="log", yscale="log"
    )
    axes.grid(axis="y")
    titled(axes, "posterior error over particles")
    legend(figure, axes)
    save(figure, path)


@styled
def posterior(exact: Mapping[str, float], found: Mapping[str, float], path: Path, most: int = 15) -> None:
    """The likeliest strings of the exact posterior: their probability, and the weight that was found."""
    names = sorted(exact, key=lambda name: -exact[name])[:most]
    figure, axes = new_figure(SINGLE, 1.2 + 0.17 * len(names))
    at = range(len(names))
    axes.barh(at, [exact[name] for name in names], color="#DDDDDD", label="exact")
    axes.plot([found.get(name, 0.0) for name in names], at, "o", color=colour(0), label="found")
    axes.set(xlabel="probability", yticks=at)
    axes.set_yticklabels([short(name or "(empty)", 24) for name in names])
    axes.invert_yaxis()
    titled(axes, f"posterior: the {len(names)} likeliest of {len(exact)} allowed strings")
    legend(figure, axes)
    save(figure, path)
