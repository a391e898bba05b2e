"""What a worker process runs: a trial of a study, or one run of an invocation; and an invocation's runs given to several workers."""

from __future__ import annotations

import collections
import json
import os
import time
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Any

from ..config.errors import Fault
from ..config.private import redact, written
from ..config.recipe import Recipe, load
from . import build, folders
from . import executors as engines
from .console import Console
from .executors import ATTEMPTS, WorkerDiedError
from .invocation import proceed
from .stopping import Pruned

PATIENCE = 20.0  # seconds that a trial waits for a dead driver's worker to let go of its folder


def warm() -> None:
    """Import in a new worker what its first trial needs, while the driver is still busy."""
    import mlflow.tracking  # noqa: F401

    from ...methods.training import strategy  # noqa: F401


def run_trial(folder: str, prune: bool, objective: str) -> dict[str, Any]:
    """Run (or take up) the invocation in ``folder``; its metrics and state. Anything that goes wrong is part of the answer."""
    invocation = Path(folder)
    (invocation / "worker.pid").write_text(str(os.getpid()))
    document = folders.plan_of(invocation)
    recipe = load(document["recipe"], None, [])
    console = Console(json=True, quiet=True)
    name = document["runs"][0]["folder"]

    def ask(run: Path, rows: list[dict[str, float]]) -> None:
        """Tell the driver what the objective is so far and wait for its word."""
        metric, _, how = objective.rpartition("/")  # of valid/accuracy/average: the mean of valid/accuracy so far
        each, number = [row[metric] for row in rows], len(rows) - 1
        value = sum(each) / len(each) if how == "average" else each[-1]
        question, answer = invocation / f"ask-{number}.json", invocation / f"answer-{number}.json"
        if not answer.exists():
            folders.write_json(question, {"step": number, "value": value})
        while not answer.exists():
            time.sleep(0.02)
        if json.loads(answer.read_text())["prune"]:
            raise Pruned

    try:
        proceed(invocation, None, recipe, build.prepare_once(recipe), console, ask if prune else None, PATIENCE)
    except Fault as error:
        return {"state": "failed", "error": written(error.what), "metrics": {}}
    except Exception as error:
        return {"state": "failed", "error": written(redact(f"{type(error).__name__}: {error}")), "metrics": {}}
    status = folders.status(invocation / name)
    path = invocation / name / "summary.json"
    return {"state": status, "error": None, "metrics": folders.read_json(path) if status == "finished" else {}}


def run_part(invocation: str, name: str) -> str:
    """Run one run of an ordinary invocation in a worker; an error's text, or nothing."""
    folder = Path(invocation)
    recipe = load(folders.plan_of(folder)["recipe"], None, [])
    try:
        proceed(folder, [name], recipe, build.prepare_once(recipe), Console(json=True, quiet=True), patience=PATIENCE)
    except Fault as error:
        return error.what
    return ""


def run_grid(
    invocation: Path,
    wanted: list[str] | None,
    recipe: Recipe,
    console: Console,
    *,
    workers: int,
    engine_name: str,
    address: str | None,
) -> None:
    """The unfinished runs of an invocation (``wanted``: these of them) on several workers; raises Fault where some failed."""
    names = [name for name in folders.unfinished(invocation) if wanted is None or name in wanted]
    runners = engines.engine(
        engine_name, min(workers, max(1, len(names))), threads=recipe.train.threads or 1, address=address,
        cpus=recipe.sweep.cpus, gpus=recipe.sweep.gpus,
    )  # fmt: skip
    attempts: collections.Counter[str] = collections.Counter()
    queue, running, failed = list(names), {}, {}  # type: ignore[var-annotated]
    try:
        while queue or running:
            for slot in range(runners.slots):
                if queue and slot not in [s for s, _ in running.values()]:
                    name = queue.pop(0)
                    running[runners.submit(slot, run_part, str(invocation), name)] = (slot, name)
            done, _ = wait(list(running), return_when=FIRST_COMPLETED)
            for future in done:
                slot, name = running.pop(future)
                try:
                    problem = future.result()
                except WorkerDiedError as error:
                    runners.repair(slot)
                    attempts[name] += 1
                    problem = str(error) if attempts[name] >= ATTEMPTS else None
                    if problem is None:
                        queue.append(name)
                        continue
                if problem:
                    failed[name] = problem
                console.note(f"{name}: {problem or 'finished'}")
    finally:
        runners.close()
    if failed:
        what = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
        raise Fault.run_failed(what, str(invocation), f"suites resume {invocation}")
