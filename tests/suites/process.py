"""``suites`` in a process of its own, as a person starts it, but forked from one that has imported the libraries.

Importing them takes longer than a smoke run.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import multiprocessing
import multiprocessing.forkserver
import os
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

CHILD = "child of the server"
BLANK = "HOLDFAST_BLANK_PICTURES"  # set in the environment: pictures have no pixels
TABLES = "HOLDFAST_EMPTY_STORE"  # set in the environment: a SQLite store with MLflow's tables, copied for a new one
QUICK = "HOLDFAST_QUICK"  # set in the environment: see quick()
LARGEST = "HOLDFAST_LARGEST_FILE"  # set in the environment: bytes that a file may have at most, as on a full disk
_PIXEL = (  # a PNG of one
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)
SPEECH = ("data.options.scenarios=3", "train.batch_size=8")  # half of the smoke profile's recordings
SUITES = Path(sys.executable).with_name("suites")
_CONTEXT = multiprocessing.get_context("forkserver")
_LIBRARIES = (
    "holdfast.methods.training.strategy",
    "alembic.command",
    "alembic.config",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.pyplot",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.tracking",
    "pytest",
    "scipy.stats",
    "sklearn.datasets",
    "speechbrain.utils.metric_stats",
    "sqlalchemy.dialects.sqlite",
    "torch.utils.serialization.config",
)


def _preloaded() -> list[str]:
    """The libraries, which :mod:`holdfast.methods.training` orders, and then every module of ours."""
    import holdfast.suites

    names = list(_LIBRARIES)
    root = Path(holdfast.suites.__path__[0]).parent
    for folder in ("datasets", "methods", "analysis", "suites"):
        for file in sorted((root / folder).rglob("*.py")):
            names.append(
                ".".join(("holdfast", *file.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
            )
    return names


def start_server() -> None:
    """The server that forks.

    A library's number of threads is fixed when it is imported; the checkout must not be on its path (our ``datasets``
    would be taken for Hugging Face's).
    """
    _CONTEXT.set_forkserver_preload(_preloaded())
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


def quick(patch: pytest.MonkeyPatch) -> None:
    """The report on a translator is made with a classifier of twenty steps: fitting it takes most of a smoke run.

    Files are not forced to the disk: that is for a machine that loses its power, not for a process that is killed.
    """
    from holdfast.analysis.probes import translation

    patch.setattr(translation, "STEPS", 20)
    patch.setattr(os, "fsync", lambda file: None)


def copied_tables(patch: pytest.MonkeyPatch, template: Path) -> None:
    """A store that is made is a copy: MLflow makes its tables by seventy migrations, which take seconds each time."""
    from holdfast.suites.tracking import store

    plain = store.make_store

    def make_store(database: Path) -> None:
        if not template.exists():
            plain(template)
        part = database.with_name(f".{database.name}.{os.getpid()}.part")
        shutil.copy(template, part)
        os.replace(part, database)

    patch.setattr(store, "make_store", make_store)


def _workers_of(address: str) -> None:
    """Workers that this command starts are forked from the server that it comes from itself."""
    server: Any = vars(multiprocessing.forkserver)["_forkserver"]
    server._forkserver_address = address
    server.ensure_running = lambda: None
    vars(multiprocessing.forkserver)["ensure_running"] = server.ensure_running


def _child(arguments: Sequence[str], env: dict[str, str], cwd: str, files: tuple[str, str], address: str) -> None:
    _workers_of(address)
    gc.freeze()  # what is shared with the server is not looked through, which would copy it
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
    if env.get(QUICK):
        quick(pytest.MonkeyPatch())
    if env.get(TABLES):
        copied_tables(pytest.MonkeyPatch(), Path(env[TABLES]))
    if env.get(LARGEST):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(env[LARGEST]), resource.RLIM_INFINITY))
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

    @contextmanager
    def beside(self, *arguments: str, out: Path, **environment: str) -> Iterator[Started]:
        """In a process of its own that goes on beside the test; killed at the latest when the block ends."""
        with started(*arguments, cwd=out, environment=_own(out, environment, "")) as made:
            yield made

    def here(self, *arguments: str, out: Path, code: int | None = 0, **environment: str) -> Done:
        """In this process: what a test patched is in force, and nothing is imported anew.

        Standard error goes to this process's too, where ``capfd`` may look for it.
        """
        from holdfast.suites.cli.app import app
        from holdfast.suites.cli.errors import guarded

        shown, said = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(shown), redirect_stderr(said):
            patch.chdir(out)
            for name, value in {"HOLDFAST_RUNS": str(out), **environment}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["suites", *arguments])
            returned = guarded(lambda: app(list(arguments), standalone_mode=False), "--json" in arguments)
        sys.stderr.write(said.getvalue())
        return _checked(Done(["suites", *arguments], returned, shown.getvalue(), said.getvalue()), code)


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


class Started:
    """A command that goes on beside the test."""

    def __init__(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], folder: str) -> None:
        start_server()
        self.args = ["suites", *arguments]
        self.files = (f"{folder}/out", f"{folder}/err")
        for name in self.files:
            Path(name).touch()
        address = vars(multiprocessing.forkserver)["_forkserver"]._forkserver_address
        call = {"call": (arguments, {**os.environ, **environment}, str(cwd), self.files, address)}
        self.process: Any = _CONTEXT.Process(
            target=runpy.run_path, args=(__file__, call, CHILD)
        )  # a module of tests has no name to import
        self.process.start()
        self.pid: int = self.process.pid or 0

    def ended(self, timeout: float) -> Done:
        """Waits for its end. Raises TimeoutExpired, and kills it, after ``timeout`` seconds."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.kill()
            texts = (Path(name).read_text() for name in self.files)
            raise subprocess.TimeoutExpired(self.args, timeout, *texts)
        out, err = (Path(name).read_text() for name in self.files)
        return Done(self.args, self.process.exitcode, out, err)

    def kill(self) -> None:
        """``kill -9``; nothing where it has ended."""
        self.process.kill()
        self.process.join()


@contextmanager
def started(*arguments: str, cwd: Path, environment: Mapping[str, str]) -> Iterator[Started]:
    """A command that is killed at the latest when the block ends; ``environment`` is added to this process's."""
    with tempfile.TemporaryDirectory() as folder:
        made = Started(arguments, cwd, environment, folder)
        try:
            yield made
        finally:
            made.kill()


def run(*arguments: str, cwd: Path, environment: Mapping[str, str], timeout: float = 300) -> Done:
    """As ``subprocess.run(["suites", *arguments])``, with text caught; ``environment`` is added to this process's."""
    with started(*arguments, cwd=cwd, environment=environment) as made:
        return made.ended(timeout)


if __name__ == CHILD:
    _child(*globals()["call"])
