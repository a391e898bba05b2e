"""``suites`` in a process of its own, as a person starts it, but forked from one that has imported the libraries.

Importing them takes longer than a smoke run.
"""

from __future__ import annotations

import atexit
import io
import json
import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

CHILD = "child of the server"
BLANK = "HOLDFAST_BLANK_PICTURES"  # set in the environment: pictures have no pixels
_PIXEL = (  # a PNG of one
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)
SUITES = Path(sys.executable).with_name("suites")
_CONTEXT = multiprocessing.get_context("forkserver")
_PRELOADED = (
    "holdfast.methods.training.strategy",
    "holdfast.suites.cli.app",
    "holdfast.suites.runtime.run",
    "holdfast.analysis.plots.comparison",
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
    "sklearn.datasets",
    "matplotlib.pyplot",
    "scipy.stats",
    "speechbrain.utils.metric_stats",
)


def _start() -> None:
    """The server that forks.

    A library's number of threads is fixed when it is imported; the checkout must not be on its path (our ``datasets``
    would be taken for Hugging Face's).
    """
    _CONTEXT.set_forkserver_preload(list(_PRELOADED))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONSAFEPATH", "1")
        multiprocessing.forkserver.ensure_running()


def blank_pictures(patch: pytest.MonkeyPatch) -> None:
    """Pictures are built and then written without pixels: to place and draw their letters takes half of a smoke run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    def write(canvas: Any, file: Path, **_: Any) -> None:
        file.write_bytes(bytes.fromhex(_PIXEL))

    patch.setattr(FigureCanvasAgg, "print_png", write)
    patch.setattr(ConstrainedLayoutEngine, "execute", lambda *_: None)


def _child(arguments: Sequence[str], env: dict[str, str], cwd: str, files: tuple[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for name, number in zip(files, (1, 2), strict=True):
        os.dup2(os.open(name, os.O_WRONLY), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = ["suites", *arguments]
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))  # as an interpreter does at its start
    from holdfast.suites.cli.app import main

    if env.get(BLANK):
        blank_pictures(pytest.MonkeyPatch())
    try:
        main()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


def lives(process: int) -> bool:
    """Whether a process goes on; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Done(subprocess.CompletedProcess[str]):
    """A command that has ended."""

    @property
    def document(self) -> Any:
        """The JSON document on its standard output; None where there is none."""
        return json.loads(self.stdout) if self.stdout else None


class CommandLine:
    """The command ``suites``.

    Its working directory and folder of runs is ``out``; ``environment`` is added to this process's.
    The exit code is checked (``code``; None: any), and that there is no traceback.
    """

    def __call__(
        self,
        *arguments: str,
        out: Path,
        code: int | None = 0,
        kill_at: str = "",
        timeout: float = 300,
        **environment: str,
    ) -> Done:
        """In a process of its own, on one thread; ``kill_at`` sets a kill point."""
        return _checked(run(*arguments, cwd=out, environment=_own(out, environment, kill_at), timeout=timeout), code)

    def apart(self, *arguments: str, out: Path, code: int | None = 0, timeout: float = 280, **options: Any) -> Done:
        """As a person starts it: an interpreter of its own; ``options`` of :func:`subprocess.run`."""
        environment = {**os.environ, "HOLDFAST_RUNS": str(out), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [SUITES, *arguments], env=environment, capture_output=True, text=True, timeout=timeout, cwd=out, **options
        )
        return _checked(Done(done.args, done.returncode, done.stdout, done.stderr), code)

    def here(self, *arguments: str, out: Path, code: int | None = 0) -> Done:
        """In this process: what a test patched is in force, and nothing is imported anew.

        Standard output alone is caught.
        """
        from holdfast.suites.cli.app import app
        from holdfast.suites.cli.errors import guarded

        shown = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(shown):
            patch.setenv("HOLDFAST_RUNS", str(out))
            patch.setattr(sys, "argv", ["suites", *arguments])
            refused = _heard(patch)
            returned = guarded(lambda: app(list(arguments), standalone_mode=False), "--json" in arguments)
        _record(arguments, returned, "".join(refused))
        return _checked(Done(["suites", *arguments], returned, shown.getvalue(), ""), code)


def _heard(patch: pytest.MonkeyPatch) -> list[str]:
    """Gets the message of a failure in this process, where refusals are recorded."""
    heard: list[str] = []
    if os.environ.get("HOLDFAST_REFUSALS"):
        from holdfast.suites.cli import errors

        plain = errors.fault_of

        def fault_of(error: Exception) -> Any:
            fault = plain(error)
            heard.append(f"error: {fault.what}\nwhere: {fault.where}\nnext:  {fault.next}\n")
            return fault

        patch.setattr(errors, "fault_of", fault_of)
    return heard


def _record(arguments: Sequence[str], code: int, said: str) -> None:
    """For docs/bad-inputs.md; imported here, since the child of the server has no package to import from."""
    if os.environ.get("HOLDFAST_REFUSALS"):
        from .. import refusals

        refusals.command(arguments, code, said)


def _own(out: Path, environment: Mapping[str, str], kill_at: str) -> dict[str, str]:
    kill = {"HOLDFAST_KILL_AT": kill_at} if kill_at else {}
    return {"OMP_NUM_THREADS": "1", "HOLDFAST_RUNS": str(out), **environment, **kill}


def _checked(done: Done, code: int | None) -> Done:
    _record(done.args[1:], done.returncode, done.stderr)
    assert code is None or done.returncode == code, done.stderr or done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    return done


def run(*arguments: str, cwd: Path, environment: Mapping[str, str], timeout: float = 300) -> Done:
    """As ``subprocess.run(["suites", *arguments])``, with text caught; ``environment`` is added to this process's."""
    _start()
    with tempfile.TemporaryDirectory() as folder:
        files = (f"{folder}/out", f"{folder}/err")
        for name in files:
            Path(name).touch()
        call = {"call": (arguments, {**os.environ, **environment}, str(cwd), files)}
        process: Any = _CONTEXT.Process(
            target=runpy.run_path, args=(__file__, call, CHILD)
        )  # a module of tests has no name to import
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            texts = (Path(name).read_text() for name in files)
            raise subprocess.TimeoutExpired(["suites", *arguments], timeout, *texts)
        out, err = (Path(name).read_text() for name in files)
    return Done(["suites", *arguments], process.exitcode, out, err)


if __name__ == CHILD:
    _child(*globals()["call"])
