"""From a preference over tasks and a compute budget to a configuration (docs/methods/slimmable.md, "Search")."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from .slimmable_widths import SNAP, Configuration, Ratio, check_grid, ratios, snap

CostOf = Callable[[Configuration], float]
ScoreOf = Callable[[Configuration], float]


class BudgetError(ValueError):
    """No configuration is within the budget; ``least`` is the smallest cost that there is."""

    def __init__(self, budget: float, least: float, most: float) -> None:
        self.least = least
        super().__init__(
            f"no configuration costs {budget:,.0f} MACs or less: the smallest costs {least:,.0f} "
            f"({least / most:.4f} of the whole network's {most:,.0f})"
        )


@dataclass(frozen=True)
class Found:
    """What a search chose: a configuration with the cap s of its decoders' widths, its cost in MACs and its score."""

    configuration: Configuration
    cap: float
    cost: float
    score: float

    @property
    def rank(self) -> tuple[float, float, tuple[float, ...], float]:
        """Order of preference: score, then cost, encoder width, cap, all larger first."""
        return self.score, self.cost, ratios(self.configuration.encoder), self.cap


def check_preference(preference: Sequence[float], tasks: int | None = None) -> tuple[float, ...]:
    """The preference, as numbers. Raises ValueError for another number of them than ``tasks``, one that is negative or
    not finite, or zeros alone.
    """
    r = tuple(float(value) for value in preference)
    if tasks is not None and len(r) != tasks:
        raise ValueError(f"one preference for each of the {tasks} tasks is needed, not {len(r)}")
    if not r or any(not math.isfinite(value) or value < 0 for value in r):
        raise ValueError(f"preferences are finite and not negative, not {list(r)}")
    if not any(r):
        raise ValueError("one task or more must be preferred: all preferences are 0")
    return r


def decoder_widths(preference: Sequence[float], cap: float, grid: Sequence[float]) -> tuple[float, ...]:
    """``d_i = snap(w_1 + (s - w_1) r_i / max_j r_j)`` for the cap s: the more a task is preferred, the wider.

    Only r over its largest value counts, so that r need not sum to 1; snap: nearest of the grid, of two the larger.
    Raises ValueError as :func:`check_preference`, and for a cap below the grid.
    """
    r = check_preference(preference)
    least = min(grid)
    if not least - SNAP <= cap <= max(grid) + SNAP:
        raise ValueError(f"the cap {cap:g} of the decoders' widths is not within the grid {least:g} to {max(grid):g}")
    most = max(r)
    return tuple(snap(least + (cap - least) * value / most, grid) for value in r)


def search(
    preference: Sequence[float],
    budget: float,
    grid: Sequence[float],
    cost: CostOf,
    score: ScoreOf,
    *,
    joint: bool = True,
) -> Found:
    """The configuration (e, d(s)) of the best score among those of (e, s) in grid² that cost ``budget`` or less.

    ``joint`` False: the largest cap s with an affordable e, and of its encoders the best. Equal scores: the larger
    cost, then e, then s. Raises BudgetError where nothing is affordable, ValueError for a preference or grid that is
    none.
    """
    grid = check_grid(grid)
    every = [(e, s) for s in reversed(grid) for e in reversed(grid)]
    made = {(e, s): Configuration(e, decoder_widths(preference, s, grid)) for e, s in every}
    costs = {place: cost(configuration) for place, configuration in made.items()}
    affordable = [place for place in every if costs[place] <= budget]
    if not affordable:
        full = Configuration(grid[-1], (grid[-1],) * len(tuple(preference)))
        raise BudgetError(budget, min(costs.values()), cost(full))
    if not joint:
        affordable = [place for place in affordable if place[1] == affordable[0][1]]
    found = [Found(made[place], place[1], costs[place], score(made[place])) for place in affordable]
    return max(found, key=lambda each: each.rank)


def search_by_stage(
    start: Found,
    stages: int,
    budget: float,
    grid: Sequence[float],
    cost: CostOf,
    score: ScoreOf,
    *,
    population: int = 32,
    rounds: int = 10,
    seed: int = 0,
) -> Found:
    """Random and mutation search over encoders with a width of their own for each stage, the decoders staying those of
    ``start``: never over the budget, never worse than ``start``.

    A first population is drawn from the grid; each round keeps the better half and fills up with mutants, of which one
    width or more was drawn anew. Deterministic in ``seed``.
    """
    grid = check_grid(grid)
    draws = torch.Generator().manual_seed(seed)
    decoders, known = start.configuration.decoders, dict[tuple[float, ...], Found]()
    own = start.configuration.encoder
    best = own if isinstance(own, tuple) else (own,) * stages

    def judged(encoder: tuple[float, ...]) -> Found | None:
        if encoder not in known:
            configuration = Configuration(_plain(encoder), decoders)
            price = cost(configuration)
            if price > budget:
                return None
            known[encoder] = Found(configuration, start.cap, price, score(configuration))
        return known[encoder]

    alive: dict[tuple[float, ...], Found] = {best: start}
    known[best] = start
    for number in range(rounds + 1):
        ordered = sorted(alive, key=lambda each: alive[each].rank, reverse=True)
        alive = {each: alive[each] for each in ordered[: max(1, population // 2)]} if number else alive
        parents = list(alive)
        for _ in range(8 * population):  # most draws may be too expensive
            if len(alive) >= population:
                break
            parent = parents[int(torch.randint(len(parents), (), generator=draws))]
            child = next(_mutants(parent, grid, draws, everywhere=number == 0))
            found = judged(child)
            if found is not None:
                alive[child] = found
    return max(alive.values(), key=lambda each: each.rank)


def _mutants(
    parent: tuple[float, ...], grid: Sequence[float], draws: torch.Generator, everywhere: bool
) -> Iterator[tuple[float, ...]]:
    """Endless copies of ``parent`` with each width drawn anew with probability 1 / stages, one at least (or all)."""
    while True:
        fresh = torch.randint(len(grid), (len(parent),), generator=draws).tolist()
        chosen = torch.rand(len(parent), generator=draws) < 1 / len(parent)
        chosen[int(torch.randint(len(parent), (), generator=draws))] = True
        yield tuple(
            grid[index] if everywhere or new else old
            for index, new, old in zip(fresh, chosen.tolist(), parent, strict=True)
        )


def _plain(encoder: tuple[float, ...]) -> Ratio:
    """One number where all stages have the same width: it has the statistics of that width."""
    return encoder[0] if len(set(encoder)) == 1 else encoder


def overall(
    table: Mapping[tuple[Ratio, str, float], float],
    tasks: Sequence[str],
    higher_is_better: Mapping[str, bool],
    weights: Sequence[float] | None = None,
    grid_end: float = 1.0,
) -> ScoreOf:
    """Score of a configuration from the metrics of single tasks: the mean over tasks of the relative change against
    the widest network, a share that is positive where it is better.

    ``table``: metric by (encoder width, task, decoder width); ``weights`` (a preference): a weighted mean. A task whose
    metric is 0 at full width counts by its absolute change. Raises KeyError for widths that the table does not have.
    """
    shares = [1 / len(tasks)] * len(tasks) if weights is None else [w / sum(weights) for w in weights]

    def score(configuration: Configuration) -> float:
        value = 0.0
        for share, task, d in zip(shares, tasks, configuration.decoders, strict=True):
            metric, full = table[configuration.encoder, task, d], table[grid_end, task, grid_end]
            change = (metric - full) / (abs(full) or 1.0)
            value += share * (change if higher_is_better[task] else -change)
        return value

    return score
