"""Several tasks as one: interquartile means with bootstrap intervals, win rates, performance profiles.

Source: Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
POINTS = 101  # of a performance profile

Runs = Sequence[Sequence[float]]  # of one method: a list of its runs' values for each task


@dataclass(frozen=True)
class Aggregate:
    """An interquartile mean with its 95 % interval, and of how many tasks and runs."""

    mean: float
    low: float
    high: float
    tasks: int
    runs: int


def interquartile_mean(runs: Runs, seed: int = 0) -> Aggregate:
    """Mean of the middle half of all runs of all tasks, pooled (a quarter is cut at each end, rounded down), with the
    2.5 and 97.5 percentiles of 2,000 stratified bootstrap samples: runs are drawn anew with replacement within each
    task, the tasks stay.

    All tasks must be on one scale. The interval is over runs, not over other tasks. Raises ValueError for no run.
    """
    from scipy.stats import trim_mean

    values = [np.asarray(task, dtype=np.float64) for task in runs if len(task)]
    if not values:
        raise ValueError("there is no run to average")
    generator = np.random.default_rng(seed)
    drawn = np.concatenate([task[generator.integers(0, len(task), (RESAMPLES, len(task)))] for task in values], axis=1)
    low, high = np.percentile(trim_mean(drawn, 0.25, axis=1), [2.5, 97.5])
    whole = np.concatenate(values)
    return Aggregate(float(trim_mean(whole, 0.25)), float(low), float(high), len(values), len(whole))


def win_rate(a: Sequence[Mapping[Any, float]], b: Sequence[Mapping[Any, float]], higher_is_better: bool) -> float:
    """How often ``a`` is better than ``b`` on the same seed of the same task; a tie counts half. The mean over tasks of
    each task's share, so that one with many seeds counts no more than others; NaN where they share no seed.

    Args:
        a, b: for each task the values by seed, tasks in the same order.
    """
    shares = []
    for left, right in zip(a, b, strict=True):
        won = [np.sign(left[key] - right[key]) for key in left if key in right]
        if won:
            shares.append(0.5 + 0.5 * float(np.mean(won)) * (1 if higher_is_better else -1))
    return float(np.mean(shares)) if shares else float("nan")


def thresholds(methods: Sequence[Runs]) -> list[float]:
    """The values at which performance profiles are read: :data:`POINTS`, evenly from the least to the largest run."""
    every = [value for runs in methods for task in runs for value in task]
    return [float(v) for v in np.linspace(min(every), max(every), POINTS)] if every else []


def performance_profile(runs: Runs, at: Sequence[float], higher_is_better: bool) -> list[float]:
    """Share of runs at least as good as each threshold ``at``, the mean over tasks of each task's share."""
    points = np.asarray(at, dtype=np.float64)
    shares: list[NDArray[np.float64]] = []
    for task in runs:
        if len(task):
            values = np.asarray(task, dtype=np.float64)[:, None]
            shares.append(((values >= points) if higher_is_better else (values <= points)).mean(0))
    return [float(v) for v in np.mean(shares, axis=0)] if shares else []
