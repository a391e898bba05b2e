"""What a worker process runs: a trial of a study, or one run of an invocation; and an invocation's runs on several
workers."""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from ..config import run_files
from ..config.errors import Fault
from ..config.private import redact, written
from . import build, folders
from . import executors as engines
from .board import Board, duration
from .console import Console, Worker
from .execution import came_to, proceed
from .executors import ATTEMPTS, Workers
from .local import WorkerDiedError
from .plan import Invocation
from .stopping import Pruned

PATIENCE = 20.0  # seconds that a trial waits for a dead driver's worker to let go of its folder


def run_trial(folder: str, prune: bool, objective: str) -> dict[str, Any]:
    """Run (or resume) the invocation in ``folder``; its metrics and state. Anything that goes wrong is part of the
    answer."""
    invocation = Invocation(Path(folder))
    (invocation.folder / "worker.pid").write_text(str(os.getpid()))
    trial, console = _Trial(invocation.folder, objective), Worker()
    failed = {"state": "failed", "metrics": {}, "warnings": console.warnings}
    try:
        _proceed(invocation, None, console, trial.ask if prune else None)
    except Fault as error:
        return {**failed, "error": written(error.what)}
    except Exception as error:
        return {**failed, "error": written(redact(f"{type(error).__name__}: {error}"))}
    run = invocation.run_folder(invocation.plan["runs"][0])
    status = folders.status(run)
    finished = status == "finished"
    metrics = run_files.read(run / "summary.json", run_files.Summary) if finished else {}
    return {"state": status, "error": None, "metrics": metrics, "warnings": console.warnings}


class _Trial:
    """A trial that asks the driver, by files in its folder, whether it is to go on."""

    def __init__(self, folder: Path, objective: str) -> None:
        self.folder, self.objective = folder, objective

    def ask(self, run: Path, rows: list[dict[str, float]]) -> None:
        """Report what the objective is so far and wait for the answer. Raises Pruned where the trial is to stop."""
        metric, _, how = self.objective.rpartition("/")  # of valid/accuracy/average: the mean of valid/accuracy so far
        each, number = [row[metric] for row in rows], len(rows) - 1
        value = sum(each) / len(each) if how == "average" else each[-1]
        question, answer = self.folder / f"ask-{number}.json", self.folder / f"answer-{number}.json"
        if not answer.exists():
            folders.write_json(question, {"step": number, "value": value})
        while not answer.exists():
            time.sleep(0.02)
        if run_files.read(answer, run_files.Answer)["prune"]:
            raise Pruned


def run_part(invocation: str, name: str) -> tuple[str, list[str]]:
    """Run one run of an ordinary invocation in a worker; an error's text, or nothing, and warnings."""
    console = Worker()
    try:
        _proceed(Invocation(Path(invocation)), [name], console)
    except Fault as error:
        return error.what, console.warnings
    return "", console.warnings


def _proceed(invocation: Invocation, names: list[str] | None, console: Worker, after_row: Any = None) -> None:
    recipe = invocation.recipe
    streams = build.Streams(recipe, build.prepare_once(recipe))
    proceed(invocation, names, streams, console, after_row, PATIENCE)


def run_grid(invocation: Invocation, names: Sequence[str] | None, console: Console, workers: Workers) -> None:
    """The unfinished runs of an invocation (``names``: these of them) on several workers. Raises Fault where some
    failed."""
    folder, recipe = invocation.folder, invocation.recipe
    queue = [name for name in folders.unfinished(folder) if names is None or name in names]
    few = Workers(min(workers.count, max(1, len(queue))), workers.engine, workers.address)
    runners = engines.engine(few, threads=recipe.train.threads or 1, cpus=recipe.sweep.cpus, gpus=recipe.sweep.gpus)
    attempts: collections.Counter[str] = collections.Counter()
    running: dict[Future[Any], tuple[int, str]] = {}
    failed: dict[str, str] = {}
    board = console.board or Board(recipe.name, len(queue), few.count)
    try:
        while queue or running:
            for slot in range(runners.slots):
                if queue and slot not in [s for s, _ in running.values()]:
                    name = queue.pop(0)
                    running[runners.submit(slot, run_part, str(folder), name)] = (slot, name)
                    board.begin(name, name, folder=folder / name)
            done, _ = wait(list(running), return_when=FIRST_COMPLETED)
            for future in done:
                slot, name = running.pop(future)
                taken = board.clock() - board.now[name].begun
                try:
                    problem, warned = future.result()
                except WorkerDiedError as error:
                    runners.repair(slot)
                    attempts[name] += 1
                    if attempts[name] < ATTEMPTS:
                        queue.append(name)
                        board.end(name, "waiting")
                        continue
                    problem, warned = str(error), []
                for text in warned:
                    console.warning(text)
                if problem:
                    failed[name] = problem
                board.end(name, "failed" if problem else "finished", problem)
                how = f"finished in {duration(taken)}{came_to(recipe, folder / name)}"
                console.note(board.line(name, f"failed ({problem})" if problem else how))
    finally:
        runners.close()
    if failed:
        what = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
        raise Fault.run_failed(what, str(folder), f"suites resume {folder}")
