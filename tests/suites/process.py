"""``suites`` in a process of its own, as a person starts it, but forked from one that has imported the libraries: that takes longer than a smoke run."""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

CHILD = "child of the server"
_CONTEXT = multiprocessing.get_context("forkserver")
_PRELOADED = (
    "holdfast.methods.training.strategy", "holdfast.suites.cli.app", "holdfast.suites.runtime.run", "holdfast.analysis.plots.comparison", "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store", "sklearn.datasets", "matplotlib.pyplot", "scipy.stats",
)  # fmt: skip


def _start() -> None:
    """The server that forks. A library's number of threads is fixed when it is imported; the checkout must not be on its path (our ``datasets``
    would be taken for Hugging Face's).
    """
    _CONTEXT.set_forkserver_preload(list(_PRELOADED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONSAFEPATH", "1")
        multiprocessing.forkserver.ensure_running()


def _child(arguments: Sequence[str], env: dict[str, str], cwd: str, files: tuple[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for name, number in zip(files, (1, 2), strict=True):
        os.dup2(os.open(name, os.O_WRONLY), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = ["suites", *arguments]
    from holdfast.suites.cli.app import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


def run(
    *arguments: str, cwd: Path, environment: Mapping[str, str], kill_at: str = "", timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run(["suites", *arguments])`` on one thread, with text caught; ``kill_at`` sets a kill point."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment} | ({"HOLDFAST_KILL_AT": kill_at} if kill_at else {})
    _start()
    with tempfile.TemporaryDirectory() as folder:
        files = (f"{folder}/out", f"{folder}/err")
        for name in files:
            Path(name).touch()
        call = {"call": (arguments, env, str(cwd), files)}
        process: Any = _CONTEXT.Process(
            target=runpy.run_path, args=(__file__, call, CHILD)
        )  # a module of tests has no name to import
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(
                ["suites", *arguments], timeout, Path(files[0]).read_text(), Path(files[1]).read_text()
            )
        out, err = (Path(name).read_text() for name in files)
    return subprocess.CompletedProcess(["suites", *arguments], process.exitcode, out, err)


if __name__ == CHILD:
    _child(*globals()["call"])
