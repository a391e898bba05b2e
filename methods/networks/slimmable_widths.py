"""Widths of slimmable networks: ratios, channels, configurations (docs/methods/slimmable.md, "Layers")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Ratio: TypeAlias = float | tuple[float, ...]  # of an encoder: one for all stages, or one a stage
Size: TypeAlias = tuple[int, int]  # height and width in pixels
SNAP = 1e-9  # ratios that are this close are one


def make_divisible(value: float, divisor: int = 8, least: int = 1) -> int:
    """``value`` rounded to a multiple of ``divisor``, not below ``least`` and not below 0.9 of it (slimmable networks).

    ``n = max(least, floor((v + divisor / 2) / divisor) divisor)``, and ``n + divisor`` where n < 0.9 v. A value below
    half a divisor gives ``least``, or ``least + divisor`` where that is below 0.9 v, so that only above
    that a larger value never gives fewer channels.
    """
    rounded = max(least, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclass(frozen=True)
class Rounding:
    """How many of a layer's channels are active: ``divisor`` 8 rounds as :func:`make_divisible`, None is
    ``int(C w)``.
    """

    divisor: int | None = 8

    def channels(self, most: int, ratio: float, expansion: int = 1) -> int:
        """Active channels of ``most`` at ``ratio``: ``round(most ratio / expansion) expansion``, between ``expansion``
        and ``most``.

        ``expansion``: of a hidden layer that must be a whole multiple of its rounded input.
        """
        wanted = most * ratio / expansion
        if self.divisor is None:
            count = int(wanted + SNAP)
        else:
            count = make_divisible(wanted, self.divisor)
        return max(expansion, min(count * expansion, most))


@dataclass(frozen=True)
class Configuration:
    """A sub-network: ratio of the encoder (one, or one a stage) and of each task's decoder."""

    encoder: Ratio
    decoders: tuple[float, ...]

    @property
    def widest(self) -> bool:
        return all(e >= 1 - SNAP for e in ratios(self.encoder)) and all(d >= 1 - SNAP for d in self.decoders)

    def __str__(self) -> str:
        return f"encoder {written(self.encoder)}, decoders {written(self.decoders)}"


def ratios(width: Ratio) -> tuple[float, ...]:
    """The ratios of a width, one or one a stage."""
    return width if isinstance(width, tuple) else (width,)


def by_stage(width: Ratio, stages: int) -> tuple[float, ...]:
    """One ratio a stage. Raises ValueError for another number of them, or one outside (0, 1]."""
    found = ratios(width) if isinstance(width, tuple) else (width,) * stages
    if len(found) != stages:
        raise ValueError(f"the encoder has {stages} stages: give one width or {stages}, not {len(found)}")
    check_ratios(found)
    return found


def check_ratios(values: Sequence[float]) -> None:
    """Raises ValueError for a ratio outside (0, 1] (NaN too)."""
    wrong = [value for value in values if not 0 < value <= 1 + SNAP]
    if wrong:
        raise ValueError(f"a width is a ratio above 0 and at most 1, not {wrong[0]:g}")


def written(width: Ratio) -> str:
    """A width as text; the key of its statistics: ``0.25``, or ``0.25,0.5,1`` of stages that differ."""
    found = ratios(width)
    return f"{found[0]:g}" if len(set(found)) == 1 else ",".join(f"{ratio:g}" for ratio in found)


def key_of(width: Ratio, decoder: float) -> str:
    """Suffix of a prediction at these widths: ``e0.25d0.5``."""
    return f"e{written(width)}d{decoder:g}"


def output_name(task: str, encoder: Ratio | None = None, decoder: float | None = None) -> str:
    """Name of a prediction: ``task/seg`` at full width, or ``task/seg@e0.25d0.5``."""
    return f"task/{task}" if encoder is None or decoder is None else f"task/{task}@{key_of(encoder, decoder)}"


def check_grid(grid: Sequence[float]) -> tuple[float, ...]:
    """The grid, ascending. Raises ValueError where it is empty, has a ratio twice, or does not end with 1."""
    check_ratios(grid)
    values = tuple(sorted(grid))
    if not values or values[-1] != 1 or len(set(values)) != len(values):
        raise ValueError(f"the grid of widths has each ratio once and ends with 1, not {list(grid)}")
    return values


def snap(ratio: float, grid: Sequence[float]) -> float:
    """The nearest ratio of ``grid``; of two that are equally near (within 1e-9) the larger."""
    nearest = min(abs(value - ratio) for value in grid)
    return max(value for value in grid if abs(value - ratio) <= nearest + SNAP)


def check_in_grid(values: Sequence[float], grid: Sequence[float], what: str) -> None:
    """Raises ValueError for a ratio that is not of the grid; the message names those there are."""
    wrong = [value for value in values if not any(math.isclose(value, known, abs_tol=SNAP) for known in grid)]
    if wrong:
        raise ValueError(f"{what} {wrong[0]:g} is not in the grid of widths: {', '.join(f'{w:g}' for w in grid)}")
