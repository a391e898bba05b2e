"""Studies and sweeps of the tests: begun in this process, or as a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.suites.config import catalog
from holdfast.suites.runtime.console import Console
from holdfast.suites.sweeps import studies, sweep

SUITES = Path(sys.executable).with_name("suites")
SWEEP = [
    "sweep",
    "coconut_slurp",
    "--profile",
    "smoke",
    "--sampler",
    "random",
    "--objective",
    "valid/wer/average:min",
    "--json",
]


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
    recipe = catalog.recipe("coconut_slurp", "smoke", changes.pop("overrides", []))
    uri = changes.pop("tracking_uri", None)
    asked: dict[str, Any] = {
        "methods": ["er"],
        "trials": trials,
        "sampler": "random",
        "objectives": ["valid/wer/average:min"],
    }
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


@contextmanager
def sweeping(out: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A sweep that goes on beside the test; ended with it."""
    env = {**os.environ, "HOLDFAST_RUNS": str(out), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [str(SUITES), *SWEEP, *arguments], env=env, cwd=out, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()
