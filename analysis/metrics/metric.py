"""Metrics, declared once: which way is better, unit and title; and the full names under which a run writes them."""

from __future__ import annotations

import difflib
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from . import continual


@dataclass(frozen=True)
class Metric:
    """A measure: its name, which way of it is better (None: neither, as for a count of rows), unit and title.

    A ``*`` in the name stands for one word that the data gives (the name of an attribute).
    """

    name: str
    higher_is_better: bool | None
    unit: str = ""
    title: str = ""

    @property
    def words(self) -> str:
        """The direction as a person reads it."""
        if self.higher_is_better is None:
            return "neither way is better"
        return "higher is better" if self.higher_is_better else "lower is better"

    def better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better; NaN never is. Raises ValueError where neither way is."""
        if self.higher_is_better is None:
            raise ValueError(f"of {self.name} {self.words}")
        return value > than if self.higher_is_better else value < than

    def judge(self, difference: float) -> str:
        """``better``, ``worse`` or ``equal`` for a value minus another one. Raises as :meth:`better`."""
        return "better" if self.better(difference, 0.0) else "worse" if self.better(0.0, difference) else "equal"


class UnknownMetricError(ValueError):
    """A name that no problem, method or run declares; the message names what is declared."""


class Metrics(Mapping[str, Metric]):
    """All names that runs of a problem write, each with its :class:`Metric` (named in full).

    Args:
        main: the metric of the matrix, one of ``scored``.
        scored: what the evaluator's ``score`` gives; a summary holds them with a suffix (``average``, ``last``; the
            main one all of :func:`continual.summary`) and, for validation rows, the prefix ``valid/``.
        whole: what is written under its own name (checks between stages, costs, losses).
        sets: evaluation sets beside test; what is scored of one has its name before it, as ``valid/`` for validation.

    ``forgetting`` is always better when lower and ``bwt`` when higher: :func:`continual.summary` turns the sign of an
    error's. The journal's names (``valid/NAME``, ``NAME/pooled``, ``MAIN/exp_3``) and a bare ``NAME`` are found too,
    but not listed. Raises ValueError where two declarations have one name, ``main`` is not declared, or a set has
    the name of a group of metrics.
    """

    def __init__(
        self, main: str, scored: Sequence[Metric], whole: Sequence[Metric] = (), sets: Iterable[str] = ()
    ) -> None:
        names = [metric.name for metric in (*scored, *whole)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"declared twice: {', '.join(twice)}")
        prefixes = ["valid", *sets]
        taken = sorted({name.partition("/")[0] for name in names if "/" in name} & set(prefixes))
        if taken:
            raise ValueError(f"an evaluation set cannot be called '{taken[0]}': metrics have this name before them")
        if main not in {metric.name for metric in scored}:
            raise ValueError(f"the main metric '{main}' is not among the metrics that are declared")
        self.main = next(metric for metric in scored if metric.name == main)
        self._scored = {metric.name: metric for metric in scored}
        self._listed: dict[str, Metric] = {}
        self._journal = dict(self._scored)
        for metric in scored:
            of_sets = [f"{prefix}/{metric.name}" for prefix in prefixes]
            for name in (metric.name, *of_sets):
                for suffix in ("average", "last"):
                    self._list(metric, f"{name}/{suffix}")
            for name in (*of_sets, f"{metric.name}/pooled"):
                self._journal[name] = replace(metric, name=name)
            self._journal[f"valid/{metric.name}/epoch"] = replace(metric, name=f"valid/{metric.name}/epoch")
        self._list(self.main, f"{main}/average_rows")
        self._list(replace(self.main, higher_is_better=True), f"{main}/bwt")
        self._list(replace(self.main, higher_is_better=False), f"{main}/forgetting")
        self._list(self.main, f"{main}/plasticity")
        self._list(replace(self.main, higher_is_better=True, unit=""), f"{main}/stability")
        self._list(self.main, f"{main}/generalisability")
        self._listed |= {metric.name: metric for metric in whole}

    def _list(self, metric: Metric, name: str) -> None:
        self._listed[name] = replace(metric, name=name)

    def __getitem__(self, name: str) -> Metric:
        """The metric of a full name. Raises UnknownMetricError."""
        for known in (self._listed, self._journal):
            if name in known:
                return known[name]
        for pattern, metric in {**self._listed, **self._journal}.items():
            if "*" in pattern and re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]+"), name):
                return replace(metric, name=name)
        if re.fullmatch(rf"{re.escape(self.main.name)}/exp_\d+", name):
            return replace(self.main, name=name)
        raise UnknownMetricError(self.unknown(name))

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self[name])
        except UnknownMetricError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)

    def unknown(self, name: str, among: Sequence[str] | None = None) -> str:
        """The message for a name that is not declared: what was probably meant, and what there is (``among``)."""
        there = sorted(self._listed if among is None else among)
        near = difflib.get_close_matches(name, there, n=1, cutoff=0.6)
        meant = f" - did you mean '{near[0]}'?" if near else ""
        return f"unknown metric '{name}'{meant} (there are: {', '.join(there)})"

    def summary(self, cells: continual.Cells, rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """The summary by full names: :func:`continual.summary` of the main metric's cells; of all others, validation
        too, the mean over experiences (``average``) and the value after the last one that has it (``last``).

        ``rows[t]`` are the pooled metrics after experience t by name (``valid/NAME`` those of validation rows). A
        metric that some experience lacks (an empty group, say) is averaged over those that have it.
        """
        main = self.main.name
        numbers = {f"{main}/{k}": v for k, v in continual.summary(cells, bool(self.main.higher_is_better)).items()}
        for name in rows[-1]:
            if name != main:
                values = [row[name] for row in rows if name in row]
                numbers |= {f"{name}/average": statistics.fmean(values), f"{name}/last": values[-1]}
        return numbers
