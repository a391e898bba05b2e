"""A run's method on the evaluation streams: predictions, what they score, and the weights that are kept of an
experience."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..config.killpoints import reach

if TYPE_CHECKING:
    from torch import Tensor

    from ...analysis.metrics.metric import Metric
    from ...analysis.problems.evaluator import Evaluator, Measurement, Outputs, Rows
    from ...datasets.core.table import Table
    from ...methods.training.trainer import Trainer
    from .shards import Shards


class Evaluation:
    """Metrics of the trainer's method on the scenario's streams ``valid``, ``test`` and those of the recipe's sets.

    Args:
        chooses: the metric that selects weights.
        fit_rows: training rows at most that the problem is given to fit something on; None: all.
        check_stop: called before every batch; what it raises ends the evaluation.
    """

    def __init__(
        self,
        trainer: Trainer,
        scenario: Any,
        problem: Evaluator,
        chooses: Metric,
        check_stop: Callable[[], None],
        fit_rows: int | None = None,
    ) -> None:
        self.trainer, self.scenario, self.problem, self.chooses = trainer, scenario, problem, chooses
        self.check_stop, self.fit_rows = check_stop, fit_rows
        self.shards: Shards | None = None  # where the predictions of the evaluation that goes on are kept
        self.last: Measurement | None = None  # of the last evaluation on test
        self.best: tuple[float, dict[str, Any]] | None = None  # value that chooses, weights

    def seen(self, number: int) -> list[int]:
        """Evaluation experiences that training has seen by the end of experience ``number``: all where it is one."""
        streams = self.scenario.streams
        return list(range(number + 1 if len(streams["train"]) > 1 else len(streams["test"])))

    def ahead(self, number: int) -> list[int]:
        """Test experiences still to come after experience ``number``."""
        return list(range(len(self.seen(number)), len(self.scenario.streams["test"])))

    def count(self, split: str, number: int) -> int:
        """Rows of an evaluation experience."""
        return len(self.scenario.streams[split][number].rows)

    def fit(self, number: int) -> None:
        """Give the problem what the method predicts of the training rows seen by the end of experience ``number``, or
        of ``fit_rows`` of them, drawn by the run's seed.

        Only where it fits something on them.
        """
        split = self.problem.fits_on
        if split is not None:
            experiences = [self.scenario.streams[split][k] for k in range(number + 1)]
            chosen = self._drawn([experience.rows for experience in experiences], number)
            with self._evaluating():
                self.problem.fit(
                    pair
                    for experience, rows in zip(experiences, chosen, strict=True)
                    if len(rows)
                    for pair in self._made(experience.table, rows)
                )

    def _drawn(self, rows: list[Tensor], number: int) -> list[Tensor]:
        """Of the rows of each experience those that something is fitted on."""
        import torch

        from ...datasets.core.seeds import generator

        total = sum(map(len, rows))
        if self.fit_rows is None or total <= self.fit_rows:
            return rows
        order = torch.randperm(total, generator=generator(self.trainer.seed, f"evaluation/fit/{number}"))
        kept = torch.zeros(total, dtype=torch.bool)
        kept[order[: self.fit_rows]] = True
        return [part[mine] for part, mine in zip(rows, kept.split([len(part) for part in rows]), strict=True)]

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

    def unseen(self, numbers: Sequence[int]) -> list[dict[str, float]]:
        """Metrics of each of the test experiences ``numbers``; nothing of their predictions is kept."""
        each = [self.problem.measurement("test") for _ in numbers]
        with self._evaluating():
            for number, own in zip(numbers, each, strict=True):
                experience = self.scenario.streams["test"][number]
                for outputs, rows in self._made(experience.table, experience.rows):
                    own.update(outputs, rows)
        return [own.compute() for own in each]

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

        method = self.trainer.method
        was_training, state = method.training, torch.get_rng_state()
        method.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            method.train(was_training)
            torch.set_rng_state(state)

    def _predict(self, split: str, number: int) -> Iterator[tuple[Outputs, Rows]]:
        """What the method predicts of an experience, batch by batch, with the row ids of each; what is kept of it is
        not predicted again.
        """
        experience, shards = self.scenario.streams[split][number], self.shards
        if shards is None:
            yield from self._made(experience.table, experience.rows)
            return
        done = 0
        for pair in shards.kept(split, number):
            yield pair
            done += 1
        yield from shards.keep(split, number, self._made(experience.table, experience.rows, done))

    def _made(self, table: Table, rows: Tensor, done: int = 0) -> Iterator[tuple[Outputs, Rows]]:
        """What the method predicts of ``rows`` now, but for the first ``done`` batches."""
        for batch in self.trainer.evaluation_batches(table, rows, done):
            reach("evaluation")
            self.check_stop()
            outputs = self.trainer.predict(batch)
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
            state = self.trainer.method.state_dict()
            self.best = (value, {k: v.clone() if hasattr(v, "clone") else v for k, v in state.items()})
        return measured

    def load_best(self) -> None:
        """Give the method the weights that were kept, if any were, and forget them."""
        if self.best is not None:
            self.trainer.method.load_state_dict(self.best[1])
            self.best = None
