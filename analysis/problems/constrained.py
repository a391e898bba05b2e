"""Strings under a constraint: how near weighted strings come to the exact posterior, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ...datasets.core.errors import DataError
from ..metrics.generation import PosteriorError
from ..metrics.metric import Metric
from .evaluator import Data, Evaluator, Measurement, Outputs, Picture, Rows
from .texts import Means, language, written


class ExactPosterior(Protocol):
    """An oracle that has counted every allowed string. Tokens stand without begin and end."""

    def complete(self, ids: tuple[int, ...], /) -> bool:
        """Whether a string is allowed."""
        ...

    def posterior(self) -> Mapping[tuple[int, ...], float]:
        """Probability of every allowed string, sum 1."""
        ...

    def log_evidence(self) -> float:
        """Logarithm of the language model's mass of all of them."""
        ...


class Constrained(Evaluator):
    """Predictions hold ``tokens`` [B, T], a string of each row's run, and may hold ``particles`` [B, N, T] with
    ``particle_log_weights`` [B, N] (of the strings of a run; -inf where a particle has died), ``log_weight`` [B] (of a
    row's own string: rows are then weighted against each other), ``log_evidence`` [B] and ``constraint_calls`` [B].

    Without weights every string counts alike: it is a draw. The mean over rows is held against the exact posterior of
    the data's oracle.
    """

    main: ClassVar[str] = "total_variation"
    metrics: ClassVar[Sequence[Metric]] = (
        Metric("total_variation", False, "", "half the sum of differences to the exact posterior"),
        Metric("kl", False, "nats", "KL of the strings found to the exact posterior"),
        Metric("kl_exact", False, "nats", "KL of the exact posterior, as far as it was found, to the strings found"),
        Metric("unseen", False, "share", "mass of the exact posterior that no row has found"),
        Metric("allowed", True, "share", "strings that the constraint allows"),
        Metric("failed", False, "share", "runs without a string left"),
        Metric("evidence_ratio", None, "", "mean evidence over the exact one: 1 where it is unbiased"),
        Metric("constraint_calls", False, "calls", "questions to the constraint, a run"),
        Metric("calls_per_token", False, "calls", "questions to the constraint, a sampled token"),
    )
    table: ClassVar[Sequence[str]] = (
        "total_variation/last",
        "kl/last",
        "allowed/last",
        "evidence_ratio/last",
        "calls_per_token/last",
    )

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self.info = language(data, "constrained", "prompt")
        if not callable(getattr(self.info.oracle, "posterior", None)):
            raise DataError("the problem 'constrained' needs a data set that knows the exact posterior of its strings")

    def measurement(self, split: str) -> ConstrainedMeasurement:
        return ConstrainedMeasurement(self.info)

    def row_errors(self, outputs: Outputs, rows: Rows, split: str) -> NDArray[Any]:
        """1 where a row's string is not allowed, else 0."""
        texts = written(outputs["tokens"], self.info)
        return np.array([float(not self.info.oracle.complete(tuple(text))) for text, _ in texts])


class ConstrainedMeasurement(Measurement):
    """The mass of each string that was found, and counts. No row is kept."""

    def __init__(self, info: Any) -> None:
        self.info = info
        self.oracle: ExactPosterior = info.oracle
        self.error = PosteriorError(self.oracle.posterior())
        self.weighted: dict[tuple[int, ...], float] = {}  # by rows' own weights
        self.own_weights = False
        self.means = Means()
        self.calls = self.sampled = 0.0

    def update(self, outputs: Outputs, rows: Rows) -> None:
        texts = [tuple(text) for text, _ in written(outputs["tokens"], self.info)]
        died = np.isneginf(np.asarray(outputs["log_weight"])) if "log_weight" in outputs else np.zeros(len(rows), bool)
        self.means.add("allowed", [self.oracle.complete(t) and not d for t, d in zip(texts, died, strict=True)])
        if "particles" in outputs:
            self._particles(np.asarray(outputs["particles"]), np.asarray(outputs["particle_log_weights"], np.float64))
        elif "log_weight" in outputs:
            self.own_weights = True
            for text, log_weight in zip(texts, np.asarray(outputs["log_weight"], np.float64).tolist(), strict=True):
                self.weighted[text] = self.weighted.get(text, 0.0) + float(np.exp(log_weight))
                self.means.add("failed", [np.isneginf(log_weight)])
        else:
            for text in texts:
                self.error.add({text: 1.0})
        if "log_evidence" in outputs:
            ratio = np.exp(np.asarray(outputs["log_evidence"], np.float64) - self.oracle.log_evidence())
            self.means.add("evidence_ratio", ratio)
        if "constraint_calls" in outputs:
            calls = np.asarray(outputs["constraint_calls"], np.float64)
            self.means.add("constraint_calls", calls)
            if "sampled_tokens" in outputs:
                self.calls += float(calls.sum())
                self.sampled += float(np.asarray(outputs["sampled_tokens"], np.float64).sum())

    def _particles(self, particles: NDArray[Any], log_weights: NDArray[Any]) -> None:
        for run, weights in zip(particles, log_weights, strict=True):
            found: dict[Any, float] = {}
            largest = weights.max()
            for (text, _), weight in zip(written(run, self.info), weights.tolist(), strict=True):
                if np.isfinite(weight):
                    found[tuple(text)] = found.get(tuple(text), 0.0) + float(np.exp(weight - largest))
            self.error.add(found)

    def compute(self) -> dict[str, float]:
        error = self.error
        if self.own_weights:  # weights of rows against each other: one run, whose particles are the rows
            error = PosteriorError(self.error.exact)
            error.add(self.weighted)  # type: ignore[arg-type]
        found = error.measures() | dict(self.means.measures())
        if self.sampled:
            found["calls_per_token"] = self.calls / self.sampled
        return found if self.means.counts else {}

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """The likeliest strings: exact and found."""
        from ..plots import decoding as plots

        mass: Mapping[Any, float] = self.weighted if self.own_weights else self.error.mass
        total = sum(mass.values())
        if total > 0:
            texts: list[Any] = [*self.error.exact, *mass]
            name = {text: self.info.words(list(text)) for text in texts}
            exact = {name[text]: p for text, p in self.error.exact.items()}
            found = {name[text]: weight / total for text, weight in mass.items()}
            yield "posterior.png", lambda path: plots.posterior(exact, found, path)


PROBLEM = Constrained
