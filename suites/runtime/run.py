"""One run, of one method and seed: stages over experiences, checkpoints, resuming where it was killed, summary."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import measures, registry
from ..config.errors import Fault
from ..config.killpoints import reach
from ..config.recipe import Recipe
from ..tracking.files import write_atomic
from . import build, facts, folders, pictures
from . import warm_start as weights
from .checkpoints import Checkpoints
from .evaluation import Evaluation
from .matrix import Matrix
from .progress import Clock, Progress
from .record import PER_STEP, Record
from .shards import Shards
from .stopping import Interrupted

if TYPE_CHECKING:
    from ...analysis.problems.evaluator import Evaluator
    from ...methods.base import Stage
    from ...methods.training.trainer import Trainer
    from ..tracking.delivery import Delivery
    from .console import Console


# Called after an experience with the run's folder and the validation metrics after each one so far; may raise Pruned.
AfterRow = Callable[[Path, list[dict[str, float]]], None]


class Run:
    """One method, one seed: everything between the lock and ``summary.json``. It is the observer of the training
    loop."""

    def __init__(
        self,
        recipe: Recipe,
        name: str,
        seed: int,
        folder: Path,
        streams: build.Streams,
        *,
        device: str,
        console: Console,
        delivery: Delivery | None,
        after_row: AfterRow | None = None,
    ) -> None:
        self.recipe, self.name, self.seed, self.folder, self.streams = recipe, name, seed, folder, streams
        self.device, self.console, self.after_row = device, console, after_row
        self.checkpoints = Checkpoints(folder / "checkpoint")
        self.record = Record(folder, delivery)
        self.matrix = Matrix()
        self.next_experience = 0
        self.training = False
        self.evaluating = ""  # names the evaluation whose predictions are kept, while it goes on
        self.summarised = False
        self.stop_signal = 0
        self.last_save = (time.monotonic(), 0)
        self.checks: dict[str, float] = {}  # what the method's checks gave after the last stages
        self.title = f"{recipe.name}, {name}, seed {seed}"
        self.progress, self.clock = Progress(stage="begins"), Clock()

    # -- the observer of the loop ----------------------------------------------------------------------------------

    def points(self, values: dict[str, float], step: int) -> None:
        if "loss" in values:
            self.progress.loss = values["loss"]
        course = self.trainer.course()
        if len(course) > 1:  # the losses of two stages are no one curve
            name = f"loss/{course[self.trainer.position['stage']][0]}"
            values = {name if key == "loss" else key: value for key, value in values.items()}
        self.record.iteration(values, step)

    def epoch_batches(self, trainer: Trainer, n_batches: int) -> None:
        at, course, stand = trainer.position, trainer.course(), self.progress
        each = [epochs for _, epochs in course]
        stand.stage, stand.epochs = course[at["stage"]]
        stand.experience, stand.epoch = at["experience"], at["epoch"]
        # What lies behind of this experience, and what one of its batches adds, as shares of the run's row passes.
        behind, part = sum(each[: at["stage"]]) + at["epoch"], self.weights[at["experience"]] / max(1, sum(each))
        self.before = sum(self.weights[: at["experience"]]) + part * behind
        self.per_batch = part / max(1, n_batches)

    def after_iteration(self, trainer: Trainer) -> None:
        reach("iteration")
        self.record.stepped()
        self.progress.share = self.before + self.per_batch * trainer.position["batch"]
        self.progress.left = self.clock.left(self.progress.share)
        train = self.recipe.train
        if not trainer.between_steps:  # its last checkpoint is that of the experience before
            return self.check_stop()
        if self.stop_signal:
            self.save()
            raise Interrupted
        due = trainer.iteration - self.last_save[1] >= train.checkpoint_steps > 0
        if due or 0 < train.checkpoint_seconds <= time.monotonic() - self.last_save[0]:
            self.save()

    def after_epoch(self, trainer: Trainer) -> None:
        rule = self.recipe.train.selection
        measured = self.evaluation.select(rule, trainer.position["experience"])
        if rule in measures.ON_VALID:
            main = self.metrics.main.name
            names = dict.fromkeys((main, self.evaluation.chooses.name))
            self.record.epoch({f"valid/{name}/epoch": measured[name] for name in names}, trainer.iteration)
            self.measured(f"valid/{main}", measured[main])

    def after_stage(self, trainer: Trainer, stage: Stage) -> None:
        from ...analysis.probes.check import GateError

        number = trainer.position["experience"]
        train = self.stream[number]
        columns = {**self.streams.source.splits["train"].columns}  # a check may see what the method may not
        rows = _Rows(type(train.table)(columns), train.rows, number)
        for probe in self.probes:
            if probe.stage != stage.name:
                continue
            try:
                with pictures.heading(self.recipe, self.streams.source.source, self.name, self.seed):
                    measured = probe.after_stage(trainer.method, rows, self.pictures)
            except GateError as error:
                next_step = f"see plots/ there; suites show {self.recipe.name}"
                raise Fault.run_failed(str(error), str(self.folder), next_step) from error
            checks = {f"{stage.name}/{name}": value for name, value in measured.items()}
            self.record.experience(checks, number)
            self.checks |= checks

    def end_of_stages(self, trainer: Trainer) -> None:
        self.evaluation.load_best()

    def check_stop(self) -> None:
        """Raise Interrupted where somebody asked the run to stop."""
        if self.stop_signal:
            raise Interrupted

    # -- state -----------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """A checkpoint of this moment; what it covers may be delivered."""
        position = self.record.journal.sync()
        best = self.evaluation.best
        state = {
            "strategy": self.trainer.state_dict(),
            "journal": position,
            "matrix": self.matrix.state(),
            "next_experience": self.next_experience,
            "training": self.training,
            "evaluating": self.evaluating,
            "seconds": self.record.seconds,
            "steps": self.record.steps,
            "best": list(best) if best is not None else None,
            "summarised": self.summarised,
            "checks": self.checks,
            "threads": self.recipe.train.threads,
        }
        self.checkpoints.save(state)
        self.last_save = (time.monotonic(), self.trainer.iteration)
        self.record.cover(position)

    def restore(self) -> bool:
        """Load the newest whole checkpoint; False where there is none (then the run starts anew)."""
        from ...methods.training.sealed import ForeignPickleError

        state = self.checkpoints.load(self.warn)
        position = state["journal"] if state else 0
        self.record.cut(position)
        if state is None:
            return False
        self.matrix = Matrix.from_state(state["matrix"])
        self.next_experience, self.training = state["next_experience"], state["training"]
        self.evaluating = state.get("evaluating", "")
        self.record.seconds, self.record.steps = state["seconds"], state["steps"]
        self.evaluation.best = tuple(state["best"]) if state["best"] else None
        self.summarised, self.checks = state["summarised"], state.get("checks", {})
        experience = self.stream[self.next_experience] if self.training else None
        try:
            self.trainer.load_state_dict(state["strategy"], experience=experience)
        except ForeignPickleError as error:
            next_step = f"suites run {self.recipe.name} --method {self.name}"
            raise Fault.data(str(error), str(self.folder), next_step) from error
        self.record.start_clock(self.trainer.iteration)
        self.last_save = (time.monotonic(), self.trainer.iteration)
        self.record.cover(position)
        return True

    def warn(self, text: str) -> None:
        self.record.log.warning(text)
        self.console.warning(f"{self.title}: {text}")

    def measured(self, name: str, value: float) -> None:
        """A value of the main metric, for who looks on."""
        self.progress.measured(name, value, self.metrics.main.higher_is_better is not False)

    # -- the run ---------------------------------------------------------------------------------------------------

    def setup(self) -> None:
        """Method, trainer and streams."""
        from ...analysis.probes.check import check
        from ...methods.training.seeding import seed_everything
        from ...methods.training.trainer import trainer_of

        build.use_threads(self.recipe)
        source = self.streams.source
        scenario = self.streams.of(self.seed, registry.kind_of(self.recipe, self.name).uses_union)
        self.stream = list(scenario.streams["train"])
        self.progress.experiences, self.progress.stage = len(self.stream), "begins"
        epochs, first = self.recipe.train.epochs, self.recipe.train.epochs_first
        passes = [len(one.rows) * ((first or epochs) if k == 0 else epochs) for k, one in enumerate(self.stream)]
        self.weights = [each / max(1, sum(passes)) for each in passes]  # shares of the run's time
        method = build.method_of(self.recipe, self.name, source.info, self.seed)
        module = registry.network(self.recipe.model.name)
        if hasattr(module, "to_document"):
            folders.write_json(self.folder / "model.json", module.to_document(source.info))
        facts.save(self.folder, source)
        self.problem: Evaluator = build.problem_of(self.recipe, source)
        self.probes = [check(name)(source) for name in method.checks]
        self.metrics = measures.of_recipe(self.recipe)
        plugins = [_KillBetweenUpdates()] if os.environ.get("HOLDFAST_KILL_AT", "").startswith("update") else []
        seed_everything(self.seed)
        self.trainer = trainer_of(
            method,
            settings=build.settings_of(self.recipe),
            seed=self.seed,
            device=self.device,
            observer=self,
            plugins=plugins,
        )
        chooses = measures.selecting(self.metrics, self.recipe.train.selection)
        evaluate = self.recipe.evaluate
        fit_rows = evaluate.fit_rows
        self.evaluation = Evaluation(self.trainer, scenario, self.problem, chooses, self.check_stop, fit_rows)
        limit = evaluate.predictions_mib * 2**20
        self.shards = Shards(self.folder, limit, self.warn) if evaluate.predictions else None

    def execute(self) -> dict[str, float]:
        """Train what is left and return the summary metrics."""
        from ...methods.training.settings import NonFiniteLossError

        self.setup()
        resumed = self.restore()
        self.record.log.info("%s at experience %d", "resumed" if resumed else "started", self.next_experience)
        self.record.open()
        try:
            if not resumed:
                weights.take(self.folder, self.trainer.method.model)
                self.save()
            between = not self.training and not self.evaluating
            if self.after_row is not None and self.next_experience and between:  # died while it was asked
                self.after_row(self.folder, self.valid(self.next_experience - 1))
            for number in range(self.next_experience, len(self.stream)):
                self.train(number)
            return self.summarise()
        except NonFiniteLossError as error:
            next_step = "lower train.lr, set train.clip=1, or use train.precision=fp32"
            raise Fault.run_failed(str(error), str(self.folder), next_step) from error
        finally:
            self.record.close()

    def train(self, number: int) -> None:
        """Experience ``number``, or what is left of it, and the evaluation after it."""
        if not self.evaluating:
            self.next_experience, self.training = number, True
            self.record.start_clock(self.trainer.iteration)
            self.trainer.train(self.stream[number])
        if self.shards is not None:
            if not self.evaluating:  # the weights that are evaluated, and the name of what is kept of it
                self.training, self.evaluating = False, secrets.token_hex(8)
                self.save()
            self.shards.begin(number, self.evaluating)
            self.evaluation.shards = self.shards
        self.evaluate(number)
        self.evaluation.shards = None
        self.next_experience, self.training, self.evaluating = number + 1, False, ""
        self.save()
        if self.after_row is not None:
            self.after_row(self.folder, self.valid(number))

    def evaluate(self, number: int) -> None:
        """After experience ``number``: all seen test experiences (with ``evaluate.future`` those to come too), and
        beside them the validation stream and the evaluation sets."""
        self.progress.stage, self.progress.epochs = "evaluation", 0
        seen, main = self.evaluation.seen(number), self.problem.main
        self.evaluation.fit(number)
        each, pooled = self.evaluation.each_and_pooled("test", seen)
        ahead = self.evaluation.ahead(number) if self.recipe.evaluate.future else []
        for j, metrics in zip([*seen, *ahead], [*each, *self.evaluation.unseen(ahead)], strict=True):
            self.matrix.cells[number, j] = (metrics[main], self.evaluation.count("test", j))
            self.record.experience({f"{main}/exp_{j}": metrics[main]}, number)
        self.record.experience({f"{name}/pooled": value for name, value in pooled.items()}, number)
        measured = {split: self.evaluation.pooled(split, seen) for split in ("valid", *self.recipe.evaluate.sets)}
        beside = {f"{split}/{name}": value for split, each in measured.items() for name, value in each.items()}
        across = self.problem.across({"test": pooled, **{name: measured[name] for name in self.recipe.evaluate.sets}})
        across |= self.problem.over_experiences([*(self.matrix.pooled[t] for t in range(number)), pooled])
        self.matrix.pooled[number] = pooled | beside | across
        self.measured(main, pooled[main])
        self.record.experience(beside | {f"{name}/pooled": value for name, value in across.items()}, number)
        self.record.log.info("after experience %d: %s", number, {k: round(v, 4) for k, v in pooled.items()})

    def valid(self, number: int) -> list[dict[str, float]]:
        """The validation metrics after the experiences 0 to ``number``."""
        rows = [self.matrix.pooled[t] for t in range(number + 1)]
        return [{name: value for name, value in row.items() if name.startswith("valid/")} for row in rows]

    def summarise(self) -> dict[str, float]:
        """Summary metrics, written to the journal, ``matrix.csv`` and ``summary.json``."""
        rows = self.matrix.rows
        summary = self.metrics.summary(self.matrix.cells, [self.matrix.pooled[t] for t in range(rows)])
        summary |= {f"cost/{name}": value for name, value in self.trainer.method.cost().items()}
        summary["cost/steps"] = float(self.trainer.iteration)
        summary[PER_STEP] = self.record.seconds / max(1, self.record.steps)
        if not self.summarised:  # a checkpoint that covers the summary's points says so: they are written once
            self.record.experience({k: v for k, v in sorted(summary.items()) if k != PER_STEP}, rows - 1)
            self.summarised = True
            self.save()
            reach("summary")
        write_atomic(self.folder / "matrix.csv", self.matrix.csv().encode())
        summary |= self.checks  # in the journal since their stage
        self.trainer.method.export(self.folder / "export")
        folders.write_json(self.folder / "summary.json", summary)
        return summary

    # -- pictures --------------------------------------------------------------------------------------------------

    @property
    def pictures(self) -> Path:
        """The folder of the run's pictures."""
        folder = self.folder / "plots"
        folder.mkdir(exist_ok=True)
        return folder

    def draw(self) -> None:
        """Curves, the matrix and what the problem draws of the last evaluation. A picture that fails is a warning."""
        pictures.of_run(self)


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
