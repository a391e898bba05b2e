"""A run's method on the evaluation streams: predictions, what they score, and the weights that are kept of an
experience."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..config.killpoints import reach

if TYPE_CHECKING:
    from ...analysis.metrics.metric import Metric
    from ...analysis.problems.evaluator import Evaluator
    from ...methods.training.strategy import MethodStrategy

Predictions = tuple[list[Mapping[str, Any]], list[int]]  # a mapping a row, and the ids of the rows


class Evaluation:
    """Metrics of the strategy's method on the scenario's streams ``valid`` and ``test``.

    Args:
        main: the metric that selects weights.
        check_stop: called before every batch; what it raises ends the evaluation.
    """

    def __init__(
        self, strategy: MethodStrategy, scenario: Any, problem: Evaluator, main: Metric, check_stop: Callable[[], None]
    ) -> None:
        self.strategy, self.scenario, self.problem, self.main = strategy, scenario, problem, main
        self.check_stop = check_stop
        self.last: Predictions | None = None  # of the last evaluation on test
        self.best: tuple[float, dict[str, Any]] | None = None  # main metric and weights of the best epoch so far

    def seen(self, number: int) -> list[int]:
        """Evaluation experiences that training has seen by the end of experience ``number``: all where it is one."""
        streams = self.scenario.streams
        return list(range(number + 1 if len(streams["train"]) > 1 else len(streams["test"])))

    def count(self, split: str, number: int) -> int:
        """Rows of an evaluation experience."""
        return len(self.scenario.streams[split][number].rows)

    def each_and_pooled(self, split: str, numbers: Sequence[int]) -> tuple[list[dict[str, float]], dict[str, float]]:
        """Metrics of each of the experiences ``numbers`` of a split, and of all their rows pooled."""
        parts = self.predict(split, numbers)
        each = [self.problem.score(*part, split) for part in parts]
        return each, each[0] if len(each) == 1 else self.problem.score(*_joined(parts), split)

    def pooled(self, split: str, numbers: Sequence[int]) -> dict[str, float]:
        """Metrics of all rows of the experiences ``numbers`` of a split."""
        return self.problem.score(*_joined(self.predict(split, numbers)), split)

    def predict(self, split: str, numbers: Sequence[int]) -> list[Predictions]:
        """Predictions for each of the experiences ``numbers``; in eval mode, and no generator of torch moves."""
        import torch

        method = self.strategy.method
        was_training, state = method.training, torch.get_rng_state()
        method.eval()
        try:
            with torch.no_grad():
                parts = [self._predict(self.scenario.streams[split][number]) for number in numbers]
        finally:
            method.train(was_training)
            torch.set_rng_state(state)
        if split == "test":
            self.last = _joined(parts)
        return parts

    def _predict(self, experience: Any) -> Predictions:
        rows: list[Mapping[str, Any]] = []
        index: list[int] = []
        for batch in self.strategy.evaluation_batches(experience.table, experience.rows):
            reach("evaluation")
            self.check_stop()
            output = self.strategy.method.predict(batch)
            arrays = {name: value.cpu().numpy() for name, value in output.items()}
            rows.extend({name: value[i] for name, value in arrays.items()} for i in range(len(batch["index"])))
            index.extend(batch["index"].tolist())
        return rows, index

    def select(self, rule: str, number: int) -> None:
        """After an epoch of experience ``number``: keep the method's weights where they are the best so far.

        ``rule``: ``validation`` and ``oracle`` (test rows) go by the main metric, ``last`` keeps none.
        """
        if rule == "last":
            return
        split = "valid" if rule == "validation" else "test"
        value = self.pooled(split, self.seen(number))[self.main.name]
        if self.best is None or self.main.better(value, self.best[0]):
            state = self.strategy.method.state_dict()
            self.best = (value, {k: v.clone() if hasattr(v, "clone") else v for k, v in state.items()})

    def load_best(self) -> None:
        """Give the method the weights that were kept, if any were, and forget them."""
        if self.best is not None:
            self.strategy.method.load_state_dict(self.best[1])
            self.best = None


def _joined(parts: Sequence[Predictions]) -> Predictions:
    return [row for rows, _ in parts for row in rows], [i for _, index in parts for i in index]
