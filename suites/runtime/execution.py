"""The runs of an invocation in this process: each under its lock, with its status and its delivery to MLflow."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import measures, run_files, scratch
from ..config.errors import Fault
from ..config.names import refuse_links
from ..tracking import delivery
from ..tracking.files import remove_parts, write_atomic
from ..tracking.journal import forget_sent, read
from ..tracking.store import resolve_uri
from . import build, folders, messages, pictures, recipes
from . import warm_start as weights
from .identity import identity
from .plan import Invocation
from .run import AfterRow, Run
from .stopping import Interrupted, Pruned, stoppable

if TYPE_CHECKING:
    from ..config.recipe import Recipe
    from .console import Console


def proceed(
    invocation: Invocation,
    names: Sequence[str] | None,
    streams: build.Streams,
    console: Console,
    after_row: AfterRow | None = None,
    patience: float = 0.0,
) -> None:
    """Run what is unfinished of an invocation (``names``: of these of its runs).

    ``patience``: seconds to wait for a process that holds a run (a worker outlives a killed driver by a moment).
    """
    refuse_links(invocation.folder)
    for entry in invocation.plan["runs"]:
        folder = invocation.run_folder(entry)
        if (names is not None and entry["folder"] not in names) or folders.status(folder) in folders.ENDED:
            continue
        with folders.locked(folder, patience):
            execution = _Execution(invocation, entry, streams, console, after_row)
            with console.follow(folder, execution.run.progress, execution.ended):
                execution.carry_out()
    with console.progress("drawing pictures"):
        pictures.of_invocation(invocation, console)


class _Execution:
    """One run from its first file to its end in MLflow; its lock is held."""

    def __init__(
        self,
        invocation: Invocation,
        entry: dict[str, Any],
        streams: build.Streams,
        console: Console,
        after_row: AfterRow | None,
    ) -> None:
        self.invocation, self.console = invocation, console
        self.folder = invocation.run_folder(entry)
        for place in (self.folder, invocation.folder, invocation.out):
            remove_parts(place)
        plan, recipe = invocation.plan, invocation.recipe
        name, seed = entry["method"], entry["seed"]
        data = {"name": scratch.short(recipe.data.name), **build.facts_of(streams.source)}
        now = time.time_ns() // 1_000_000
        begun = folders.state_of(self.folder)
        if not begun:
            begun = {"schema": 1, "uid": secrets.token_hex(16), "started": now, **weights.facts(recipe, name, seed)}
        times = {"started": begun.get("started", now), "active": _active(self.folder, begun), "session": now}
        code = recipes.code_of(recipe, name)
        self.state = {**begun, **times, **code, "status": "running", "method": name, "seed": seed, "suite": recipe.name}
        folders.write_json(self.folder / "run.json", self.state)
        write_atomic(self.folder / "recipe.yaml", recipes.kept(self.folder, recipe, plan["recipe"]).encode())
        environment = folders.environment(plan["device"], recipe.train.threads, data, begun.get("weights"))
        folders.write_json(self.folder / "environment.json", environment)
        plan = {**plan, "git": entry.get("git", plan["git"])}  # a run that was added later may be of other code
        whose = identity(plan, self.state, name, seed, recipe, data)
        self.delivery = delivery.Delivery(self.folder, whose, resolve_uri(invocation.out, plan["tracking_uri"]))
        self.delivery.start()
        self.run = Run(
            recipe,
            name,
            seed,
            self.folder,
            streams,
            device=plan["device"],
            console=console,
            delivery=self.delivery,
            after_row=after_row,
        )

    def note(self, status: str, run_id: str | None, at_work: bool = True) -> None:
        """Write the run's status and its id in MLflow; the time since the last note counts where it was ``at_work``."""
        now = time.time_ns() // 1_000_000
        self.state["active"] += (now - self.state["session"]) * at_work
        self.state |= {"status": status, "mlflow_run_id": run_id, "session": now}
        folders.write_json(self.folder / "run.json", self.state)

    def end(self, status: str, mlflow: str) -> None:
        """Tell MLflow, then the folder, how the run ended."""
        self.note(status, self.delivery.run_id)  # MLflow is given the time of it
        outcome = self.delivery.finish(mlflow, status)
        self.note(status, outcome.run_id, at_work=False)
        if status in folders.ENDED:
            forget_sent(self.folder / "journal.jsonl")
        if outcome.undelivered or outcome.problem:
            left = f"{outcome.undelivered} points are not in MLflow yet ({outcome.problem})"
            self.console.warning(f"{self.run.title}: {left}: suites sync {self.invocation.folder}")
        if outcome.warning:
            self.console.warning(f"{self.run.title}: {outcome.warning}")

    def ended(self) -> tuple[str, str]:
        """The run's status, and its main metric at the end, in words."""
        return folders.status(self.folder), came_to(self.invocation.recipe, self.folder)

    def carry_out(self) -> None:
        """Train, evaluate and draw. Raises Fault for what goes wrong; the status is written in every case."""
        next_step = f"suites resume {self.invocation.folder}"
        stopped = Fault.interrupted("stopped; the state is saved", str(self.folder), next_step)
        try:
            with stoppable(self.run), messages.into(self.run.record.log, self.run.warn):
                self.run.execute()
        except Pruned:
            return self.end("pruned", "KILLED")
        except (Interrupted, KeyboardInterrupt) as error:
            self.end("interrupted", "KILLED")
            raise stopped from error
        except BaseException as error:
            if refuses(error) and not self.run.checkpoints.numbers():
                self.delivery.abandon()
                self.note("failed", None)
                self.run.record.forget()
                raise
            if not self.folder.is_dir():  # somebody removed it: there is no place for a note
                self.delivery.finish("FAILED", "failed")
                raise
            self.end("failed", "FAILED")
            if isinstance(error, RuntimeError) and "out of memory" in str(error).lower():
                next_step = "lower train.batch_size or set train.accumulate"
                raise Fault.run_failed("out of memory", str(self.folder), next_step) from error
            raise
        self.note("finished", self.delivery.run_id)  # before its pictures: they are no part of the result
        self.run.progress.stage, self.run.progress.epochs = "pictures", 0
        with stoppable(self.run), suppress(KeyboardInterrupt), messages.into(self.run.record.log, self.run.warn):
            self.run.draw()
        self.end("finished", "FINISHED")
        if self.run.stop_signal:  # while it drew: this run is whole, the next one is not begun
            raise stopped


def refuses(error: BaseException) -> bool:
    """Whether an error says that what was asked for cannot be run: a wrong recipe, data or setting."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return getattr(error, "code", None) in ("usage", "recipe", "data") or bool(kinds & {"DataError", "UnfitError"})


def came_to(recipe: Recipe, folder: Path) -> str:
    """The main metric at the end of a run, in words; nothing of one that is not finished."""
    if folders.status(folder) != "finished":
        return ""
    name = f"{measures.metrics(recipe.problem).main.name}/last"
    summary = run_files.read(folder / "summary.json", run_files.Summary)
    return f", {name} {summary[name]:.4f}" if name in summary else ""


def _active(folder: Path, state: dict[str, Any]) -> int:
    """Milliseconds that the run was at work before this session; one that was killed ended with its last point."""
    active, session = int(state.get("active", 0)), state.get("session")
    if session is None or state.get("status") != "running":
        return active
    try:
        last = max((point["t"] for point in read(folder / "journal.jsonl")), default=session)
    except Fault:  # a damaged line, perhaps behind what the checkpoint covers
        last = session
    return active + max(0, int(last) - int(session))
