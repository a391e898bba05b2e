"""From a recipe to results: data, benchmark, method, strategy, stages over experiences, evaluation, checkpoints, resume."""

from __future__ import annotations

import csv
import io
import logging
import os
import secrets
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import catalog, folders, weights
from .checkpoints import Checkpoints, write_atomic
from .errors import Fault
from .journal import Journal, cut, forget_sent
from .killpoints import reach
from .recipe import Recipe, digest, to_yaml

if TYPE_CHECKING:
    from ..analysis.problems import Evaluator
    from ..datasets.batches import Source
    from ..methods.base import Method, Stage
    from ..methods.strategy import MethodStrategy
    from .console import Console
    from .tracking import Delivery


class Interrupted(Exception):  # noqa: N818 - a state, not an error
    """Ctrl-C or SIGTERM arrived and the state is saved."""


class Pruned(Exception):  # noqa: N818 - a state, not an error
    """A sweep stops the run after an experience; what it measured stays."""


# Called after an experience with the run's folder and the validation metrics after each one so far; may raise Pruned.
AfterRow = Callable[[Path, list[dict[str, float]]], None]


@dataclass
class Matrix:
    """Cells (value, count) of the main metric: row = after experience t, column = test experience j; and the pooled metrics a row."""

    cells: dict[tuple[int, int], tuple[float, int]] = field(default_factory=dict)
    pooled: dict[int, dict[str, float]] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        return {"cells": [[t, j, v, n] for (t, j), (v, n) in self.cells.items()], "pooled": self.pooled}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Matrix:
        return cls({(t, j): (v, n) for t, j, v, n in state["cells"]}, dict(state["pooled"]))

    def csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["after_experience", "test_experience", "value", "count"])
        writer.writerows([t, j, repr(v), n] for (t, j), (v, n) in sorted(self.cells.items()))
        return text.getvalue()


def prepare(recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> Source:
    """The recipe's data, with the columns that its model asks for. Raises Fault (code ``data``) where it cannot be had."""
    module = catalog.dataset(recipe.data.name)
    root = Path(recipe.data.root) if recipe.data.root else None
    source: Source = module.load(module.Config(**recipe.data.options), root, progress)
    model = catalog.model(recipe.model.name)
    if hasattr(model, "prepare"):
        source = model.prepare(model.Config(**recipe.model.options), source)
    return source


def build_method(recipe: Recipe, name: str, source: Source, seed: int) -> Method:
    """A method of the recipe with its model; all weights come from (seed, "init")."""
    import torch

    from ..datasets.batches import derive

    entry = dict(recipe.methods[name])
    kind = catalog.method(entry.pop("use", name))
    module = catalog.model(recipe.model.name)
    torch.manual_seed(derive(seed, "init"))
    model = module.build(module.Config(**recipe.model.options), source.info, seed)
    return kind(kind.Config(**entry), model, seed)


def settings(recipe: Recipe) -> Any:
    """The recipe's ``train`` section as the loop takes it."""
    from ..methods.strategy import TrainingSettings

    train = recipe.train
    arguments: dict[str, Any] = {"lr": train.lr, "weight_decay": train.weight_decay}
    if train.optimizer != "SGD":
        arguments |= {"betas": tuple(train.betas), "eps": train.eps}
    names: tuple[str, ...] = (
        "epochs",
        "epochs_first",
        "batch_size",
        "optimizer",
        "schedule",
        "warmup_steps",
        "clip",
        "accumulate",
        "precision",
        "compile",
        "path",
        "log_every",
    )
    return TrainingSettings(
        **{name: getattr(train, name) for name in names},
        eval_batch_size=recipe.evaluate.batch_size,
        optimizer_arguments=arguments,
    )


def benchmark_of(recipe: Recipe, source: Source, seed: int, joint: bool) -> Any:
    """The Avalanche scenario of the recipe; with ``joint`` one training experience with the union of all."""
    from ..datasets import streams

    data = recipe.data
    hidden = frozenset(data.hidden_from_training)
    try:
        if data.experiences == 1 and data.split != "given":
            scenario = streams.single(source, hidden)
        elif data.split == "given":
            scenario = streams.given(source, data.experiences, hidden)
        else:
            split = streams.class_incremental if data.split == "classes" else streams.range_incremental
            scenario = split(source, data.experiences, data.class_order, seed, hidden=hidden)
    except ValueError as error:
        raise Fault(
            code="recipe", what=str(error), where="data.experiences", next="suites show " + recipe.name
        ) from error
    return streams.union(scenario) if joint else scenario


def device_of(name: str) -> str:
    """``auto`` becomes cuda where there is a GPU. Raises Fault for cuda without one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise Fault(
            code="usage",
            what="there is no usable CUDA device",
            where="--device cuda",
            next="--device cpu, or: suites doctor",
        )
    return name


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
        self.log = logging.getLogger(f"holdfast.run.{folder.name}.{secrets.token_hex(2)}")
        handler = logging.FileHandler(folder / "log.txt")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
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
        at = strategy._at
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
        if self.recipe.train.selection != "best":
            return
        value = self.evaluate("valid", [strategy._at["experience"]])[0][0][self.problem.main]
        if self.best is None or (value > self.best[0]) == self.problem.higher_is_better:
            self.best = (
                value,
                {k: v.clone() if hasattr(v, "clone") else v for k, v in strategy.method.state_dict().items()},
            )

    def after_stage(self, strategy: MethodStrategy, stage: Stage) -> None:
        from ..analysis.problems import GateError

        number = strategy._at["experience"]
        train = self.stream[number]
        hidden = {**self.source.splits["train"].columns}  # all columns: the problem may see what the method may not
        try:
            found = self.problem.after_stage(
                stage.name, strategy.method, _Rows(type(train.table)(hidden), train.rows, number), self.pictures
            )
        except GateError as error:
            raise Fault(
                code="run_failed", what=str(error), where=str(self.folder), next="see plots/ there; suites show " + self.recipe.name
            ) from error  # fmt: skip
        for name, value in found.items():
            self.journal.append(f"{stage.name}/{name}", value, number, "experience")

    @property
    def pictures(self) -> Path:
        """The folder of the run's pictures."""
        folder = self.folder / "plots"
        folder.mkdir(exist_ok=True)
        return folder

    def draw(self) -> None:
        """The matrix and what the problem draws of the last evaluation."""
        from ..analysis.plots import matrix_heatmap

        title = f"{self.name}, seed {self.seed}: {self.problem.main}"
        matrix_heatmap(self.matrix.cells, title, self.pictures / "matrix.png")
        if self.last is None:  # taken up after the last evaluation
            self.evaluate("test", range(len(self.scenario.streams["test"])))
        if self.last is not None:
            self.problem.pictures(*self.last, "test", self.pictures)

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
            cut(self.folder / "journal.jsonl", position, self.delivery.sent if self.delivery else 0)
        except ValueError as error:
            raise Fault(
                code="data", what=str(error), where=str(self.folder), next="remove the run: suites runs remove"
            ) from error
        if self.delivery is not None:
            self.delivery.rewind(position)
        if state is None:
            return False
        self.matrix = Matrix.from_state(state["matrix"])
        self.next_experience, self.training = state["next_experience"], state["training"]
        self.seconds, self.steps = state["seconds"], state["steps"]
        self.best = tuple(state["best"]) if state["best"] else None
        self.summarised = state["summarised"]
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

        from ..methods.strategy import MethodStrategy, seed_everything

        torch.set_num_threads(self.recipe.train.threads or os.cpu_count() or 1)
        kind = catalog.method(self.recipe.methods[self.name].get("use", self.name))
        self.scenario = benchmark_of(self.recipe, self.source, self.seed, kind.uses_union)
        self.stream = list(self.scenario.streams["train"])
        method = build_method(self.recipe, self.name, self.source, self.seed)
        module = catalog.model(self.recipe.model.name)
        if hasattr(module, "to_document"):
            folders.write_json(self.folder / "model.json", module.to_document(self.source.info))
        self.problem: Evaluator = catalog.problem(self.recipe.problem)(self.source)
        plugins = [_KillBetweenUpdates()] if os.environ.get("HOLDFAST_KILL_AT", "").startswith("update") else []
        seed_everything(self.seed)
        self.strategy = MethodStrategy(
            method=method,
            settings=settings(self.recipe),
            seed=self.seed,
            device=self.device,
            observer=self,
            plugins=plugins,
        )

    def execute(self) -> dict[str, float]:
        """Train what is left and return the summary metrics."""
        from ..methods.strategy import NonFiniteLossError

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
            raise Fault(
                code="run_failed", what=str(error), where=str(self.folder),
                next="lower train.lr, set train.clip=1, or use train.precision=fp32",
            ) from error  # fmt: skip
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

    def evaluate_row(self, number: int) -> None:
        """After experience ``number``: all seen test experiences, and the validation stream beside them."""
        seen = list(range(number + 1)) if len(self.stream) > 1 else list(range(len(self.scenario.streams["test"])))
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
        from ..analysis import continual

        main = self.problem.main
        rows = max(t for t, _ in self.matrix.cells) + 1
        summary = {
            f"{main}/{name}": value
            for name, value in continual.summary(self.matrix.cells, self.problem.higher_is_better).items()
        }
        for name in self.matrix.pooled[rows - 1]:
            if name == main:
                continue
            # a metric that some experience lacks (an empty group, say) is averaged over those that have it
            values = [self.matrix.pooled[t][name] for t in range(rows) if name in self.matrix.pooled[t]]
            summary[f"{name}/average"] = statistics.fmean(values)
            summary[f"{name}/last"] = values[-1]
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
        folders.write_json(self.folder / "summary.json", summary)
        return summary


@dataclass(frozen=True)
class _Rows:
    """The training experience as the problem sees it: all columns, and its row ids."""

    table: Any
    rows: Any
    number: int = 0


class _KillBetweenUpdates:
    """Test seam: the kill point ``update`` lies between two Updates of a step."""

    supports_distributed = False

    def after_update(self, strategy: Any, **kwargs: Any) -> None:
        reach("update")


@contextmanager
def _signals(run: Run) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the run to save and stop; a second one is obeyed at once."""

    def ask(number: int, frame: Any) -> None:
        if run.stop_signal:
            raise KeyboardInterrupt
        run.stop_signal = number

    try:
        old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever owns it decides
        yield
        return
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def run_invocation(
    recipe: Recipe, *, methods: Sequence[str], seeds: Sequence[int], device: str, out: Path, tracking_uri: str | None, console: Console,
    workers: int = 1, engine_name: str = "local", address: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Start an invocation and run it to its end; returns the JSON document of ``suites run``."""
    device = device_of(device)
    out = out.resolve()
    catalog.resolve(recipe)
    source = _prepare(recipe, console)
    weights.check(recipe, methods, seeds, source)
    plan = {
        "schema": 1,
        "suite": recipe.name,
        "profile": recipe.profile,
        "recipe": to_yaml(recipe),
        "recipe_digest": digest(recipe),
        "device": device,
        "tracking_uri": tracking_uri,
        "data": {"source": source.source, "checksum": source.checksum},
        "git": folders.git_state(),
        "runs": [{"method": m, "seed": s, "folder": f"{m}-s{s}"} for s in seeds for m in methods],
    }
    invocation = folders.new_invocation(out, recipe.name, plan)
    return _all(invocation, None, recipe, source, console, workers, engine_name, address)


def _all(
    invocation: Path, wanted: list[str] | None, recipe: Recipe, source: Source, console: Console, workers: int, engine_name: str, address: str | None
) -> dict[str, Any]:  # fmt: skip
    """Run here, one after the other, or on several workers."""
    if workers > 1 or engine_name != "local":
        from .sweep import run_grid

        run_grid(invocation, wanted, recipe, console, workers=workers, engine_name=engine_name, address=address)
    return proceed(invocation, wanted, recipe, source, console)


def resume(
    target: str, *, out: Path, console: Console, workers: int = 1, engine_name: str = "local", address: str | None = None
) -> dict[str, Any]:  # fmt: skip
    """Finish what is unfinished of an invocation or a run; nothing to do gives the same document."""
    from .recipe import load

    invocation, wanted = folders.find(target, out.resolve())
    document = folders.read_json(invocation / "invocation.json")
    if not [name for name in wanted if folders.status(invocation / name) != "finished"]:
        return report(invocation)
    if document["git"] != folders.git_state():
        console.warning(f"the code changed since this was started: then {document['git']}, now {folders.git_state()}")
    recipe = load(document["recipe"], None, [])
    device_of(document["device"])
    source = _prepare(recipe, console)
    if source.checksum != document["data"]["checksum"]:
        raise Fault(
            code="data", what="the data is not what this invocation was started on (its checksum differs)", where=str(invocation),
            next="put the data back as it was, or start anew with: suites run",
        )  # fmt: skip
    return _all(invocation, wanted, recipe, source, console, workers, engine_name, address)


def _prepare(recipe: Recipe, console: Console) -> Source:
    import torch

    torch.set_num_threads(recipe.train.threads or os.cpu_count() or 1)
    with console.progress("preparing data") as tick:
        return prepare(recipe, tick)


def proceed(
    invocation: Path,
    wanted: list[str] | None,
    recipe: Recipe,
    source: Source,
    console: Console,
    after_row: AfterRow | None = None,
    patience: float = 0.0,
) -> dict[str, Any]:
    """Run what is unfinished of an invocation (``wanted``: these of its runs); returns its document.

    ``patience``: seconds to wait for a process that holds a run (a worker outlives a killed driver by a moment).
    """
    document = folders.read_json(invocation / "invocation.json")
    for entry in document["runs"]:
        folder = invocation / entry["folder"]
        if (wanted is not None and entry["folder"] not in wanted) or folders.status(folder) in folders.ENDED:
            continue
        with folders.locked(folder, patience):
            _one(invocation, document, entry, recipe, source, console, after_row)
    draw(invocation, catalog.problem(recipe.problem).main)
    return report(invocation)


def _one(
    invocation: Path, document: dict[str, Any], entry: dict[str, Any], recipe: Recipe, source: Source, console: Console,
    after_row: AfterRow | None,
) -> None:  # fmt: skip
    from .tracking import Delivery, resolve_uri

    folder = invocation / entry["folder"]
    name, seed = entry["method"], entry["seed"]
    device = document["device"]
    data = {"name": recipe.data.name, "source": source.source, "checksum": source.checksum}
    if (folder / "run.json").exists():
        started = folders.read_json(folder / "run.json")
    else:
        started = {"uid": secrets.token_hex(16), **weights.facts(recipe, name, seed)}
    folders.write_json(
        folder / "run.json", {**started, "status": "running", "method": name, "seed": seed, "suite": recipe.name}
    )
    write_atomic(folder / "recipe.yaml", document["recipe"].encode())
    folders.write_json(
        folder / "environment.json", folders.environment(device, recipe.train.threads, data, started.get("weights"))
    )
    delivery = Delivery(
        folder,
        _identity(document, started["uid"], name, seed, recipe, data),
        resolve_uri(invocation.parent, document["tracking_uri"]),
    )
    delivery.start()
    run = Run(
        recipe, name, seed, folder, source, device=device, console=console, delivery=delivery, after_row=after_row
    )

    def end(status: str, mlflow: str) -> None:
        delivery.artifacts(
            [
                p
                for p in (
                    folder / "recipe.yaml",
                    folder / "environment.json",
                    folder / "matrix.csv",
                    folder / "summary.json",
                    folder / "plots",
                )
                if p.exists()
            ]
        )
        outcome = delivery.finish(mlflow, status)
        folders.write_json(
            folder / "run.json",
            {
                **started,
                "status": status,
                "method": name,
                "seed": seed,
                "suite": recipe.name,
                "mlflow_run_id": outcome.run_id,
            },
        )
        if status in folders.ENDED:
            forget_sent(folder / "journal.jsonl")
        if outcome.undelivered or outcome.problem:
            console.warning(
                f"{outcome.undelivered} points are not in MLflow yet ({outcome.problem}): suites sync {invocation}"
            )

    try:
        with _signals(run), console.progress(entry["folder"]):
            run.execute()
            run.draw()
    except Pruned:
        return end("pruned", "KILLED")
    except (Interrupted, KeyboardInterrupt) as error:
        end("interrupted", "KILLED")
        raise Fault(
            code="interrupted",
            what="stopped; the state is saved",
            where=str(folder),
            next=f"suites resume {invocation}",
        ) from error
    except Fault:
        end("failed", "FAILED")
        raise
    except RuntimeError as error:
        end("failed", "FAILED")
        if "out of memory" not in str(error).lower():
            raise
        raise Fault(
            code="run_failed",
            what="out of memory",
            where=str(folder),
            next="lower train.batch_size or set train.accumulate",
        ) from error
    except BaseException:
        end("failed", "FAILED")
        raise
    end("finished", "FINISHED")


def _identity(document: dict[str, Any], uid: str, method: str, seed: int, recipe: Recipe, data: dict[str, Any]) -> Any:
    from .tracking import RunIdentity

    params = {"method": method, "seed": str(seed), "profile": str(recipe.profile)}
    for section in ("data", "model", "train", "evaluate"):
        params |= _flatten(getattr(recipe, section).model_dump(), section)
    params |= _flatten(recipe.methods[method], "method")
    git = document["git"]
    tags = {
        "holdfast.profile": str(recipe.profile),
        "holdfast.data_source": data["source"],
        "holdfast.data_checksum": data["checksum"],
        "holdfast.git_commit": str(git.get("commit", "")),
        "holdfast.git_dirty": str(git.get("dirty", "")),
        "holdfast.recipe_digest": document["recipe_digest"],
        "holdfast.device": document["device"],
    }
    dataset = {"name": recipe.data.name, "source": data["source"], "digest": data["checksum"]}
    trial = document.get("trial") or {}
    if trial:
        tags |= {"holdfast.study": trial["study"], "holdfast.trial": str(trial["number"])}
        params |= {f"sweep.{name}": str(value) for name, value in trial["params"].items()}
    return RunIdentity(
        run_uid=uid, suite=recipe.name, invocation_uid=trial.get("study_uid", document["uid"]), method=method, seed=seed, params=params,
        tags=tags, dataset=dataset, name=f"trial-{trial['number']}" if trial else "", parent_name=trial.get("study", ""),
    )  # fmt: skip


def _flatten(document: dict[str, Any], prefix: str) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in document.items():
        path = f"{prefix}.{key}"
        flat |= _flatten(value, path) if isinstance(value, dict) else {path: str(value)}
    return flat


def draw(invocation: Path, main: str) -> None:
    """The picture of all methods of the invocation together, once all are finished."""
    from ..analysis.plots import metric_over_experiences
    from .journal import read

    document = folders.read_json(invocation / "invocation.json")

    series: dict[str, list[list[float]]] = {}
    for entry in document["runs"]:
        folder = invocation / entry["folder"]
        if folders.status(folder) != "finished":
            return
        points = [p["value"] for p in read(folder / "journal.jsonl") if p["name"] == f"{main}/pooled"]
        series.setdefault(entry["method"], []).append(points)
    (invocation / "plots").mkdir(exist_ok=True)
    if max(len(points) for runs in series.values() for points in runs) > 1:
        metric_over_experiences(series, f"{main} on all experiences seen so far", invocation / "plots" / f"{main}.png")


def report(invocation: Path) -> dict[str, Any]:
    """The JSON document of ``suites run`` and ``resume``, from the folder alone."""
    document = folders.read_json(invocation / "invocation.json")
    runs = []
    for entry in document["runs"]:
        folder = invocation / entry["folder"]
        finished = folders.status(folder) == "finished"
        state = folders.read_json(folder / "run.json") if (folder / "run.json").exists() else {}
        runs.append(
            {
                "method": entry["method"],
                "seed": entry["seed"],
                "status": folders.status(folder),
                "metrics": folders.read_json(folder / "summary.json") if finished else {},
                "folder": str(folder),
                "mlflow_run_id": state.get("mlflow_run_id"),
            }
        )
    return {
        "suite": document["suite"],
        "profile": document["profile"],
        "data": document["data"],
        "out": str(invocation),
        "runs": runs,
    }


def plan(recipe: Recipe, *, methods: Sequence[str], seeds: Sequence[int], device: str) -> dict[str, Any]:
    """What a run would do: resolved recipe, model sizes, steps, and an estimate of time, memory and disk from one timed step."""
    import math

    import torch

    from ..methods.strategy import MethodStrategy

    device = device_of(device)
    catalog.resolve(recipe)
    source = prepare(recipe)
    weights.check(recipe, methods, seeds, source)
    torch.set_num_threads(recipe.train.threads or os.cpu_count() or 1)
    rows = []
    for name in methods:
        method = build_method(recipe, name, source, seeds[0])
        scenario = benchmark_of(recipe, source, seeds[0], method.uses_union)
        strategy = MethodStrategy(method=method, settings=settings(recipe), seed=seeds[0], device=device)
        stream = list(scenario.streams["train"])
        size = recipe.train.batch_size
        steps = 0
        for experience in stream:
            view = strategy._ensure_view(experience)
            epochs = sum(strategy.epochs_of(stage, view) for stage in method.stages(view))
            steps += epochs * math.ceil(len(experience.rows) / size)
        seconds = _time_step(strategy, stream[0])
        parameters = sum(p.numel() for p in method.parameters())
        trained = sum(p.numel() for p in method.parameters() if p.requires_grad)
        rows.append(
            {"method": name, "parameters": parameters, "trainable": trained, "steps": steps * len(seeds),
             "seconds_estimated": round(seconds * steps * len(seeds), 1),
             "memory_mib_estimated": round((4 * parameters * 2 + 12 * trained) / 2**20, 1),
             "disk_mib_estimated": round(2 * (8 * parameters + 8 * trained) / 2**20 * len(seeds), 1)}
        )  # fmt: skip
    return {
        "suite": recipe.name,
        "profile": recipe.profile,
        "device": device,
        "data": {"source": source.source, "rows": {k: len(t) for k, t in source.splits.items()}},
        "recipe": recipe.model_dump(by_alias=True),
        "methods": rows,
    }


def _time_step(strategy: MethodStrategy, experience: Any) -> float:
    """Seconds of a step, from three of them on copies that are thrown away."""
    from ..methods.base import StepContext

    view = strategy._ensure_view(experience)
    strategy.method.to(strategy.device)
    strategy.method.before_experience(view)
    stages = strategy.method.stages(view)
    stage = next((stage for stage in stages if strategy.epochs_of(stage, view)), stages[0])
    strategy._begin_stage(stage, view)
    strategy.method.train()
    times = []
    for batch in strategy._load(view.table, strategy.batches_of_epoch(0, 0)[:3]):
        start = time.perf_counter()
        strategy._step(
            getattr(strategy.method, stage.step), batch, StepContext(view, stage.name, 0, 0, strategy.augment), True
        )
        times.append(time.perf_counter() - start)
    return min(times)
