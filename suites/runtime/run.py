"""One run, of one method and seed: stages over experiences, evaluation, checkpoints, taking up where it was killed, summary."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import catalog, measures, registry
from ..config.errors import Fault
from ..config.killpoints import reach
from ..config.private import LogFormatter
from ..config.recipe import Recipe
from ..tracking.journal import Journal, cut
from . import build, folders
from . import warm_start as weights
from .checkpoints import Checkpoints, write_atomic
from .matrix import Matrix
from .stopping import Interrupted

if TYPE_CHECKING:
    from ...analysis.problems.evaluator import Evaluator
    from ...datasets.core.source import Source
    from ...methods.base import Stage
    from ...methods.training.strategy import MethodStrategy
    from ..tracking.delivery import Delivery
    from .console import Console


# Called after an experience with the run's folder and the validation metrics after each one so far; may raise Pruned.
AfterRow = Callable[[Path, list[dict[str, float]]], None]


class Run:
    """One method, one seed: everything between the lock and ``summary.json``."""

    def __init__(
        self, recipe: Recipe, name: str, seed: int, folder: Path, source: Source, *, device: str, console: Console,
        delivery: Delivery | None, after_row: AfterRow | None = None,
    ) -> None:  # fmt: skip
        self.recipe, self.name, self.seed, self.folder, self.source = recipe, name, seed, folder, source
        self.device, self.console, self.delivery, self.after_row = device, console, delivery, after_row
        self.checkpoints = Checkpoints(folder / "checkpoint")
        self.matrix = Matrix()
        self.next_experience = 0
        self.training = False
        self.summarised = False
        self.stop_signal = 0
        self.seconds, self.steps = 0.0, 0
        self.mark = (time.perf_counter(), 0)
        self.last_save = (time.monotonic(), 0)
        self.last: tuple[list[Any], list[int]] | None = None  # of the last evaluation on test: predictions and rows
        self.best: tuple[float, dict[str, Any]] | None = None
        self.checks: dict[str, float] = {}  # what the method's checks gave after the last stages
        self.log = logging.getLogger(f"holdfast.run.{folder.name}.{secrets.token_hex(2)}")
        handler = logging.FileHandler(folder / "log.txt")
        handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s"))
        self.log.addHandler(handler)
        self.log.setLevel(logging.INFO)
        self.log.propagate = False

    # -- the observer of the loop ----------------------------------------------------------------------------------

    def points(self, values: dict[str, float], step: int) -> None:
        now = time.perf_counter()
        if step > self.mark[1]:
            values = {**values, "cost/seconds_per_step": (now - self.mark[0]) / (step - self.mark[1])}
            self.seconds, self.steps = self.seconds + now - self.mark[0], self.steps + step - self.mark[1]
        self.mark = (now, step)
        for name, value in values.items():
            self.journal.append(name, value, step, "iteration")
        if "loss" in values:
            self.console.postfix(f"loss {values['loss']:.3f}")

    def epoch_batches(self, strategy: MethodStrategy, n_batches: int) -> None:
        at = strategy.position
        self.console.status(f"{self.folder.name}  experience {at['experience']}  epoch {at['epoch']}")

    def after_iteration(self, strategy: MethodStrategy) -> None:
        reach("iteration")
        self.console.advance()
        train = self.recipe.train
        if self.stop_signal:
            self.save()
            raise Interrupted
        due = strategy.iteration - self.last_save[1] >= train.checkpoint_steps > 0
        if due or 0 < train.checkpoint_seconds <= time.monotonic() - self.last_save[0]:
            self.save()

    def after_epoch(self, strategy: MethodStrategy) -> None:
        rule = self.recipe.train.selection
        if rule == "last":
            return
        split = "valid" if rule == "validation" else "test"
        value = self.evaluate(split, self.seen(strategy.position["experience"]))[1][self.problem.main]
        if self.best is None or self.metrics.main.better(value, self.best[0]):
            self.best = (
                value,
                {k: v.clone() if hasattr(v, "clone") else v for k, v in strategy.method.state_dict().items()},
            )

    def after_stage(self, strategy: MethodStrategy, stage: Stage) -> None:
        from ...analysis.probes.check import GateError

        number = strategy.position["experience"]
        train = self.stream[number]
        every = {**self.source.splits["train"].columns}  # a check may see what the method may not
        rows = _Rows(type(train.table)(every), train.rows, number)
        for probe in self.probes:
            if probe.stage != stage.name:
                continue
            try:
                values = probe.after_stage(strategy.method, rows, self.pictures)
            except GateError as error:
                next_step = f"see plots/ there; suites show {self.recipe.name}"
                raise Fault.run_failed(str(error), str(self.folder), next_step) from error
            for name, value in values.items():
                self.journal.append(f"{stage.name}/{name}", value, number, "experience")
                self.checks[f"{stage.name}/{name}"] = value

    @property
    def pictures(self) -> Path:
        """The folder of the run's pictures."""
        folder = self.folder / "plots"
        folder.mkdir(exist_ok=True)
        return folder

    def draw(self) -> None:
        """The matrix and what the problem draws of the last evaluation. A picture that fails is a warning, never the end of a run."""
        from ...analysis.plots.comparison import matrix_heatmap
        from ...analysis.plots.figure import spared

        folder, main = self.pictures, self.metrics.main
        title = f"{self.name}, seed {self.seed}: {main.name} ({main.words})"
        with spared(folder / "matrix.png", self.warn) as path:
            matrix_heatmap(self.matrix.cells, title, path)
        with spared(folder, self.warn):
            if self.last is None:  # resumed after the last evaluation
                self.evaluate("test", range(len(self.scenario.streams["test"])))
            for name, picture in self.problem.pictures(*self.last, "test") if self.last is not None else ():
                with spared(folder / name, self.warn) as path:
                    picture(path)

    def end_of_stages(self, strategy: MethodStrategy) -> None:
        if self.best is not None:
            strategy.method.load_state_dict(self.best[1])
            self.best = None

    # -- state -----------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """A checkpoint of this moment; what it covers may be delivered."""
        position = self.journal.sync()
        state = {
            "strategy": self.strategy.state_dict(),
            "journal": position,
            "matrix": self.matrix.state(),
            "next_experience": self.next_experience,
            "training": self.training,
            "seconds": self.seconds,
            "steps": self.steps,
            "best": list(self.best) if self.best is not None else None,
            "summarised": self.summarised,
            "checks": self.checks,
            "threads": self.recipe.train.threads,
        }
        self.checkpoints.save(state)
        self.last_save = (time.monotonic(), self.strategy.iteration)
        if self.delivery is not None:
            self.delivery.cover(position)

    def restore(self) -> bool:
        """Take up the newest whole checkpoint; False where there is none (then the run starts anew)."""
        state = self.checkpoints.load(self.warn)
        position = state["journal"] if state else 0
        try:
            cut(self.folder / "journal.jsonl", position)
        except ValueError as error:
            raise Fault.data(str(error), str(self.folder), "remove the run: suites runs remove") from error
        if self.delivery is not None:
            self.delivery.rewind(position)
        if state is None:
            return False
        self.matrix = Matrix.from_state(state["matrix"])
        self.next_experience, self.training = state["next_experience"], state["training"]
        self.seconds, self.steps = state["seconds"], state["steps"]
        self.best = tuple(state["best"]) if state["best"] else None
        self.summarised, self.checks = state["summarised"], state.get("checks", {})
        experience = self.stream[self.next_experience] if self.training else None
        self.strategy.load_state_dict(state["strategy"], experience=experience)
        self.mark = (time.perf_counter(), self.strategy.iteration)
        self.last_save = (time.monotonic(), self.strategy.iteration)
        if self.delivery is not None:
            self.delivery.cover(position)
        return True

    def warn(self, text: str) -> None:
        self.log.warning(text)
        self.console.warning(text)

    # -- the run ---------------------------------------------------------------------------------------------------

    def setup(self) -> None:
        """Method, strategy and streams."""
        import torch

        from ...analysis.probes.check import check
        from ...methods.training.seeding import seed_everything
        from ...methods.training.strategy import MethodStrategy

        torch.set_num_threads(self.recipe.train.threads or os.cpu_count() or 1)
        joint = catalog.kind_of(self.recipe, self.name).uses_union
        self.scenario = build.benchmark_of(self.recipe, self.source, self.seed, joint)
        self.stream = list(self.scenario.streams["train"])
        method = build.method_of(self.recipe, self.name, self.source.info, self.seed)
        module = registry.network(self.recipe.model.name)
        if hasattr(module, "to_document"):
            folders.write_json(self.folder / "model.json", module.to_document(self.source.info))
        self.problem: Evaluator = registry.problem(self.recipe.problem)(self.source)
        self.probes = [check(name)(self.source) for name in method.checks]
        self.metrics = measures.of_recipe(self.recipe)
        plugins = [_KillBetweenUpdates()] if os.environ.get("HOLDFAST_KILL_AT", "").startswith("update") else []
        seed_everything(self.seed)
        self.strategy = MethodStrategy(
            method=method,
            settings=build.settings_of(self.recipe),
            seed=self.seed,
            device=self.device,
            observer=self,
            plugins=plugins,
        )

    def execute(self) -> dict[str, float]:
        """Train what is left and return the summary metrics."""
        from ...methods.training.settings import NonFiniteLossError

        self.setup()
        resumed = self.restore()
        self.log.info("%s at experience %d", "resumed" if resumed else "started", self.next_experience)
        self.journal = Journal(self.folder / "journal.jsonl")
        try:
            if not resumed:
                weights.take(self.folder, self.strategy.method.model)
                self.save()
            if self.after_row is not None and self.next_experience and not self.training:  # died while it was asked
                self.after_row(self.folder, self.valid(self.next_experience - 1))
            for number in range(self.next_experience, len(self.stream)):
                self.next_experience = number
                self.training = True
                self.mark = (time.perf_counter(), self.strategy.iteration)
                self.strategy.train(self.stream[number], eval_streams=[])
                self.evaluate_row(number)
                self.next_experience, self.training = number + 1, False
                self.save()
                if self.after_row is not None:
                    self.after_row(self.folder, self.valid(number))
            summary = self.summarise()
        except NonFiniteLossError as error:
            raise Fault.run_failed(str(error), str(self.folder), "lower train.lr, set train.clip=1, or use train.precision=fp32") from error  # fmt: skip
        finally:
            self.journal.close()
            for handler in self.log.handlers:
                handler.close()
        return summary

    def evaluate(self, split: str, numbers: Sequence[int]) -> tuple[list[dict[str, float]], dict[str, float]]:
        """Metrics of each of the experiences ``numbers`` of a split, and of all their rows pooled; eval mode, deterministic."""
        import torch

        method = self.strategy.method
        was_training, state = method.training, torch.get_rng_state()
        method.eval()
        each, predictions, rows = [], [], []
        try:
            for number in numbers:
                experience = self.scenario.streams[split][number]
                mine: list[Any] = []
                index: list[int] = []
                with torch.no_grad():
                    for batch in self.strategy.evaluation_batches(experience.table, experience.rows):
                        reach("evaluation")
                        if self.stop_signal:
                            raise Interrupted
                        output = method.predict(batch)
                        arrays = {name: value.cpu().numpy() for name, value in output.items()}
                        mine.extend(
                            {name: value[i] for name, value in arrays.items()} for i in range(len(batch["index"]))
                        )
                        index.extend(batch["index"].tolist())
                each.append(self.problem.score(mine, index, split))
                predictions.extend(mine)
                rows.extend(index)
        finally:
            method.train(was_training)
            torch.set_rng_state(state)
        if split == "test":
            self.last = (predictions, rows)
        return each, self.problem.score(predictions, rows, split)

    def seen(self, number: int) -> list[int]:
        """Evaluation experiences that training has seen by the end of experience ``number``: all where it is one."""
        return list(range(number + 1 if len(self.stream) > 1 else len(self.scenario.streams["test"])))

    def evaluate_row(self, number: int) -> None:
        """After experience ``number``: all seen test experiences, and the validation stream beside them."""
        seen = self.seen(number)
        each, pooled = self.evaluate("test", seen)
        main = self.problem.main
        for j, metrics in zip(seen, each, strict=True):
            count = len(self.scenario.streams["test"][j].rows)
            self.matrix.cells[number, j] = (metrics[main], count)
            self.journal.append(f"{main}/exp_{j}", metrics[main], number, "experience")
        self.matrix.pooled[number] = pooled
        for name, value in pooled.items():
            self.journal.append(f"{name}/pooled", value, number, "experience")
        _, valid = self.evaluate("valid", seen)
        for name, value in valid.items():
            self.journal.append(f"valid/{name}", value, number, "experience")
        self.matrix.pooled[number] = pooled | {f"valid/{name}": value for name, value in valid.items()}
        self.log.info("after experience %d: %s", number, {k: round(v, 4) for k, v in pooled.items()})

    def valid(self, number: int) -> list[dict[str, float]]:
        """The validation metrics after the experiences 0 to ``number``."""
        rows = [self.matrix.pooled[t] for t in range(number + 1)]
        return [{name: value for name, value in row.items() if name.startswith("valid/")} for row in rows]

    def summarise(self) -> dict[str, float]:
        """Summary metrics, written to the journal, ``matrix.csv`` and ``summary.json``."""
        rows = self.matrix.rows
        summary = self.metrics.summary(self.matrix.cells, [self.matrix.pooled[t] for t in range(rows)])
        summary |= {f"cost/{name}": value for name, value in self.strategy.method.cost().items()}
        summary["cost/steps"] = float(self.strategy.iteration)
        summary["cost/seconds_per_step"] = self.seconds / max(1, self.steps)
        if not self.summarised:  # a checkpoint that covers the summary's points says so: they are written once
            for name, value in sorted(summary.items()):
                if name != "cost/seconds_per_step":
                    self.journal.append(name, value, rows - 1, "experience")
            self.summarised = True
            self.save()
            reach("summary")
        write_atomic(self.folder / "matrix.csv", self.matrix.csv().encode())
        summary |= self.checks  # in the journal since their stage
        folders.write_json(self.folder / "summary.json", summary)
        return summary


@dataclass(frozen=True)
class _Rows:
    """The training experience as a check sees it: all columns, and its row ids."""

    table: Any
    rows: Any
    number: int = 0


class _KillBetweenUpdates:
    """Test seam: the kill point ``update`` lies between two Updates of a step."""

    supports_distributed = False

    def after_update(self, strategy: Any, **kwargs: Any) -> None:
        reach("update")
