"""Worker processes of this machine, forked from one process that has the libraries loaded.

Importing torch, Avalanche and MLflow takes longer than a small trial. Python's fork server imports them once, beside
the preparation of the data; a worker that is forked from it has them at once, and so has one that takes a dead one's
place.
"""

from __future__ import annotations

import collections
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from typing import Any

from . import messages

Job = Callable[..., Any]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PRELOADED = f"{__name__.rpartition('.')[0]}.preloaded"


class WorkerDiedError(RuntimeError):
    """The process that ran a job is gone (killed, out of memory)."""


def start_server(threads: int) -> None:
    """Start the process that workers are forked from, where none runs; nobody waits for its imports.

    A library's number of threads is fixed when it is imported. The working directory is kept from its path (a folder
    ``datasets`` there would hide a package).
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload([PRELOADED])
    fixed = {**dict.fromkeys(THREADS, str(threads)), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in fixed}
    os.environ.update(fixed)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Worker:
    """One process, which does one job after the other.

    Args:
        threads: of every library in it.
        gpu: what it sees of the machine's GPUs, as ``CUDA_VISIBLE_DEVICES`` says it; None: as this process.
    """

    def __init__(self, threads: int, gpu: str | None) -> None:
        context = multiprocessing.get_context("forkserver")
        self._pipe, theirs = context.Pipe()
        changed = dict.fromkeys(THREADS, str(threads)) | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
        arguments = (theirs, {**os.environ, **changed}, os.getcwd())
        self._process = context.Process(target=_serve, args=arguments)
        with _without_main():
            self._process.start()
        theirs.close()
        self._given: collections.deque[Future[Any]] = collections.deque()
        self._lock, self._dead = threading.Lock(), False
        threading.Thread(target=self._read, daemon=True).start()

    def submit(self, job: Job, *arguments: Any) -> Future[Any]:
        """What the job returns or raises; WorkerDiedError where the process is gone."""
        future: Future[Any] = Future()
        with self._lock:
            if not self._dead:
                self._given.append(future)
                with suppress(OSError):  # the reader meets the end of the pipe too
                    self._pipe.send((job, arguments))
                return future
        future.set_exception(self._death())
        return future

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                well, value = self._pipe.recv()
                future = self._given.popleft()
                if well:
                    future.set_result(value)
                else:
                    future.set_exception(value)
        with self._lock:
            self._dead = True
        self._process.join(5)
        for future in self._given:
            future.set_exception(self._death())

    def _death(self) -> WorkerDiedError:
        return WorkerDiedError(
            f"the worker process ended in the middle of its job (exit code {self._process.exitcode})"
        )

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join(5)


def _serve(pipe: Any, environment: dict[str, str], folder: str) -> None:
    """In a worker: its environment, a watch on the driver, so that it dies with it, then jobs until the pipe ends."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    messages.install()
    driver = multiprocessing.parent_process()
    assert driver is not None

    def watch() -> None:
        driver.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    while True:
        try:
            job, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = (True, job(*arguments))
        except BaseException as error:
            answer = (False, error)
        try:
            pipe.send(answer)
        except Exception:  # an error or a result that cannot be sent
            pipe.send((False, RuntimeError(f"{type(answer[1]).__name__}: {answer[1]}")))


@contextmanager
def _without_main() -> Iterator[None]:
    """A new process does not run the user's script again: no job is defined in it, and it may have no guard."""
    main = sys.modules["__main__"]
    names = [name for name in ("__file__", "__spec__") if name in main.__dict__]
    kept: dict[str, Any] = {name: main.__dict__.pop(name) for name in names}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)
