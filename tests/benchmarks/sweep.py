"""What a sweep costs beside its training: the driver beside plain Optuna, 12 equal trials on one and two workers.

The driver's time is measured with an engine that answers at once: asking, the trial's folder, telling, reading the
result back. The efficiency is that of ``suites sweep coconut_slurp --profile smoke`` as a person starts it,
start-up and all; each form in its own process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

TRIALS = int(os.environ.get("HOLDFAST_TRIALS", "12"))
MANY = 100


class AtOnce:
    """An engine whose trials take no time."""

    slots = 1

    def submit(self, slot: int, job: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result({"state": "finished", "error": None, "metrics": {"valid/wer/average": 0.5}})
        return future

    def repair(self, slot: int) -> None: ...

    def close(self) -> None: ...


def driver() -> tuple[float, float]:
    """Seconds a trial of our driver and of plain Optuna on the same kind of file, ``MANY`` trials each."""
    import optuna
    from holdfast.suites.config import catalog
    from holdfast.suites.runtime import build
    from holdfast.suites.runtime import executors as engines
    from holdfast.suites.runtime.console import Console
    from holdfast.suites.sweeps import outcome, studies, sweep
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    engines.engine = lambda *a, **k: AtOnce()
    outcome.write = lambda *a: None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as out:
        recipe = catalog.recipe("coconut_slurp", "smoke", [])
        asked = studies.Search(["coconut"], MANY, "tpe", objectives=["valid/wer/average:min"], name="bench")
        study = studies.create(recipe, asked, device="cpu", out=Path(out), tracking_uri=None)
        build.prepare_once(study.recipe)
        start = time.perf_counter()
        sweep.drive(study, Console(json=True, quiet=True))
        ours = (time.perf_counter() - start) / MANY
        storage = JournalStorage(JournalFileBackend(str(Path(out) / "plain.journal")))
        plain = optuna.create_study(storage=storage, sampler=optuna.samplers.TPESampler(seed=0))
        start = time.perf_counter()
        for _ in range(MANY):
            trial = plain.ask()
            trial.suggest_float("lr", 5e-4, 5e-3, log=True)
            trial.suggest_categorical("temperature", [0.05, 0.07, 0.1, 0.2, 0.5])
            trial.suggest_float("lambda_mm", 0.01, 1.0, log=True)
            trial.suggest_float("lambda_nspt", 0.01, 1.0, log=True)
            plain.tell(trial, 0.5)
        return ours, (time.perf_counter() - start) / MANY


def trials(workers: int, out: str) -> tuple[float, float]:
    """Wall seconds of ``TRIALS`` equal trials: in all, and from the first one's begin to the last one's end."""
    command = [
        str(Path(sys.executable).with_name("suites")),
        "sweep",
        "coconut_slurp",
        "--profile",
        "smoke",
        "--method",
        "er",
        "--json",
        "--trials",
        str(TRIALS),
        "--workers",
        str(workers),
        "--sampler",
        "random",
        "--objective",
        "valid/wer/average:min",
        "--out",
        out,
        "--study",
        f"w{workers}",
        "sweep.params={train.lr: {choices: [0.001]}}",
    ]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=out, env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    document = json.loads(done.stdout)
    folders = [Path(t["folder"]) / "er-s0" for t in document["trials"]]
    begun = min((folder / "identity.json").stat().st_mtime for folder in folders)
    ended = max((folder / "run.json").stat().st_mtime for folder in folders)
    if len({t["value"] for t in document["trials"]}) != 1:
        raise SystemExit("equal trials had different values")
    return seconds, ended - begun


def main() -> None:
    ours, plain = driver()
    lines = [f"| driver, {MANY} trials | seconds a trial |", "|---|---|", f"| Holdfast | {ours:.3f} |"]
    lines += [f"| plain Optuna, journal file | {plain:.3f} |", ""]
    with tempfile.TemporaryDirectory() as out:
        trials(1, tempfile.mkdtemp(dir=out))  # data, compiled files: no part of the comparison
        one, two = trials(1, out), trials(2, out)
    lines += [
        f"| {TRIALS} equal trials | in all, s | ratio | first begin to last end, s | ratio |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| 1 worker | {one[0]:.1f} | 1.00 | {one[1]:.1f} | 1.00 |"]
    lines += [f"| 2 workers | {two[0]:.1f} | {one[0] / two[0]:.2f} | {two[1]:.1f} | {one[1] / two[1]:.2f} |"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
