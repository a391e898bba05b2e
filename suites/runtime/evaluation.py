"""A run's method on the evaluation streams: predictions, what they score, and the weights that are kept of an
experience."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..config.killpoints import reach

if TYPE_CHECKING:
    from ...analysis.metrics.metric import Metric
    from ...analysis.problems.evaluator import Evaluator, Measurement, Outputs, Rows
    from ...methods.training.strategy import MethodStrategy


class Evaluation:
    """Metrics of the strategy's method on the scenario's streams ``valid``, ``test`` and those of the recipe's sets.

    Args:
        chooses: the metric that selects weights.
        check_stop: called before every batch; what it raises ends the evaluation.
    """

    def __init__(
        self,
        strategy: MethodStrategy,
        scenario: Any,
        problem: Evaluator,
        chooses: Metric,
        check_stop: Callable[[], None],
    ) -> None:
        self.strategy, self.scenario, self.problem, self.chooses = strategy, scenario, problem, chooses
        self.check_stop = check_stop
        self.last: Measurement | None = None  # of the last evaluation on test
        self.best: tuple[float, dict[str, Any]] | None = None  # value that chooses, weights

    def seen(self, number: int) -> list[int]:
        """Evaluation experiences that training has seen by the end of experience ``number``: all where it is one."""
        streams = self.scenario.streams
        return list(range(number + 1 if len(streams["train"]) > 1 else len(streams["test"])))

    def count(self, split: str, number: int) -> int:
        """Rows of an evaluation experience."""
        return len(self.scenario.streams[split][number].rows)

    def fit(self, number: int) -> None:
        """Give the problem what the method predicts of the training rows seen by the end of experience ``number``.

        Only where it fits something on them.
        """
        split = self.problem.fits_on
        if split is not None:
            with self._evaluating():
                self.problem.fit(pair for k in range(number + 1) for pair in self._predict(split, k))

    def each_and_pooled(self, split: str, numbers: Sequence[int]) -> tuple[list[dict[str, float]], dict[str, float]]:
        """Metrics of each of the experiences ``numbers`` of a split, and of all their rows pooled."""
        each = [self.problem.measurement(split) for _ in numbers]
        pooled = each[0] if len(each) == 1 else self.problem.measurement(split)
        with self._evaluating():
            for number, own in zip(numbers, each, strict=True):
                for outputs, rows in self._predict(split, number):
                    own.update(outputs, rows)
                    if pooled is not own:
                        pooled.update(outputs, rows)
        if split == "test":
            self.last = pooled
        metrics = [own.compute() for own in each]
        return metrics, metrics[0] if len(each) == 1 else pooled.compute()

    def pooled(self, split: str, numbers: Sequence[int]) -> dict[str, float]:
        """Metrics of all rows of the experiences ``numbers`` of a split."""
        return self.measure(split, numbers).compute()

    def measure(self, split: str, numbers: Sequence[int]) -> Measurement:
        """What is measured of all rows of the experiences ``numbers`` of a split."""
        pooled = self.problem.measurement(split)
        with self._evaluating():
            for number in numbers:
                for outputs, rows in self._predict(split, number):
                    pooled.update(outputs, rows)
        if split == "test":
            self.last = pooled
        return pooled

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The method in eval mode, without gradients; no generator of torch moves."""
        import torch

        method = self.strategy.method
        was_training, state = method.training, torch.get_rng_state()
        method.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            method.train(was_training)
            torch.set_rng_state(state)

    def _predict(self, split: str, number: int) -> Iterator[tuple[Outputs, Rows]]:
        """What the method predicts of an experience, batch by batch, with the row ids of each."""
        experience = self.scenario.streams[split][number]
        for batch in self.strategy.evaluation_batches(experience.table, experience.rows):
            reach("evaluation")
            self.check_stop()
            outputs = self.strategy.method.predict(batch)
            yield {name: value.cpu().numpy() for name, value in outputs.items()}, batch["index"].cpu().numpy()

    def select(self, rule: str, number: int) -> dict[str, float]:
        """After an epoch of experience ``number``: keep the method's weights where they are the best so far; what was
        measured to judge them.

        ``rule``: ``oracle`` goes by test rows, ``validation`` and ``worst_class`` by validation rows, ``last`` keeps
        none and measures nothing.
        """
        if rule == "last":
            return {}
        self.fit(number)
        measured = self.pooled("test" if rule == "oracle" else "valid", self.seen(number))
        value = measured[self.chooses.name]
        if self.best is None or self.chooses.better(value, self.best[0]):
            state = self.strategy.method.state_dict()
            self.best = (value, {k: v.clone() if hasattr(v, "clone") else v for k, v in state.items()})
        return measured

    def load_best(self) -> None:
        """Give the method the weights that were kept, if any were, and forget them."""
        if self.best is not None:
            self.strategy.method.load_state_dict(self.best[1])
            self.best = None
