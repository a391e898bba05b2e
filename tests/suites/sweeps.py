"""Studies and sweeps of the tests: begun in this process, or as a process of their own."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from holdfast.suites.config import catalog
from holdfast.suites.runtime.console import Console
from holdfast.suites.sweeps import studies, sweep

SUITE = "split_digits"
SMALL = ["data.experiences=2", "train.epochs=1", "data.options.n_train=100", "data.options.n_valid=20"]
OBJECTIVE = "valid/nll/average:min"
SWEEP = ["sweep", SUITE, *SMALL, "--profile", "smoke", "--sampler", "random", "--objective", OBJECTIVE, "--json"]


class Here:
    """An engine that runs a job where it is submitted: what the driver does, without processes."""

    slots = 1

    def submit(self, slot: int, job: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(job(*arguments))
        return future

    def repair(self, slot: int) -> None: ...

    def close(self) -> None: ...


def study(out: Path, trials: int = 3, **changes: Any) -> studies.Study:
    """A study of ``er``; ``suite`` another one, ``overrides`` beside :data:`SMALL`."""
    suite = changes.pop("suite", SUITE)
    small = SMALL if suite == SUITE else []
    recipe = catalog.recipe(suite, "smoke", [*small, *changes.pop("overrides", [])])
    uri = changes.pop("tracking_uri", None)
    asked: dict[str, Any] = {"methods": ["er"], "trials": trials, "sampler": "random", "objectives": [OBJECTIVE]}
    return studies.create(recipe, studies.Search(**(asked | changes)), device="cpu", out=out, tracking_uri=uri)


def drive(made: studies.Study) -> dict[str, Any]:
    return sweep.drive(made, Console(json=True, quiet=True))


def outcomes(document: dict[str, Any]) -> set[tuple[str, Any]]:
    """Values and objective of every trial."""
    return {(json.dumps(t["params"], sort_keys=True), t["value"]) for t in document["trials"]}


def started(journal: Path) -> int:
    """Wait until a trial has written points; the process that writes them."""
    for _ in range(12000):
        if journal.exists() and journal.stat().st_size:
            return int((journal.parents[1] / "worker.pid").read_text())
        time.sleep(0.01)
    raise AssertionError("the trial did not begin")
