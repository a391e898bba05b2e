"""Where runs are executed: worker processes here (loky), or tasks on a Ray cluster. One job a worker at a time;
results as they come.

Each local worker is an executor of its own, so that a killed worker breaks its own job alone.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from ..config.errors import Fault
from . import messages

Job = Callable[..., Any]
ATTEMPTS = 3  # at a job whose worker dies
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Workers:
    """Where runs are executed: here one after the other (1, ``local``), or by ``count`` processes of an engine."""

    count: int = 1
    engine: str = "local"
    address: str | None = None

    @property
    def here(self) -> bool:
        """Whether this process does all the work."""
        return self.count == 1 and self.engine == "local"


HERE = Workers()


class WorkerDiedError(RuntimeError):
    """The process that ran a job is gone (killed, out of memory)."""


class Engine(Protocol):
    """``submit`` to a free slot; a future's WorkerDiedError says that the job must be given again. ``warm`` lets
    every worker run a first job whose result nobody waits for."""

    slots: int

    def warm(self, job: Job) -> None: ...

    def submit(self, slot: int, job: Job, *arguments: Any) -> Future[Any]: ...

    def repair(self, slot: int) -> None: ...

    def close(self) -> None: ...


def _start_worker(driver: int, threads: int, gpu: str | None) -> None:
    """In a worker, first: threads, its GPU, and a watch on the driver, so that it dies with it."""
    for name in THREADS:
        os.environ[name] = str(threads)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    messages.install()

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.25)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Local:
    """``workers`` processes on this machine."""

    def __init__(self, workers: int, threads: int = 1, gpus: int = 0) -> None:
        self.slots, self.threads, self.gpus = workers, threads, gpus
        self._executors: dict[int, Any] = {}

    def _executor(self, slot: int) -> Any:
        if slot not in self._executors:
            from loky import ProcessPoolExecutor

            gpu = str(slot % self.gpus) if self.gpus else None
            self._executors[slot] = ProcessPoolExecutor(
                max_workers=1, initializer=_start_worker, initargs=(os.getpid(), self.threads, gpu), context=None
            )
        return self._executors[slot]

    def warm(self, job: Job) -> None:
        for slot in range(self.slots):
            self._executor(slot).submit(job)

    def submit(self, slot: int, job: Job, *arguments: Any) -> Future[Any]:
        from concurrent.futures.process import BrokenProcessPool

        outer: Future[Any] = Future()

        def done(inner: Future[Any]) -> None:
            error = inner.exception()
            if error is None:
                outer.set_result(inner.result())
            elif isinstance(error, BrokenProcessPool):
                outer.set_exception(WorkerDiedError(str(error).strip().splitlines()[0]))
            else:
                outer.set_exception(error)

        try:
            self._executor(slot).submit(job, *arguments).add_done_callback(done)
        except BrokenProcessPool as error:
            outer.set_exception(WorkerDiedError(str(error)))
        return outer

    def repair(self, slot: int) -> None:
        """A new worker instead of a dead one."""
        executor = self._executors.pop(slot, None)
        if executor is not None:
            executor.shutdown(wait=False, kill_workers=True)

    def close(self) -> None:
        for slot in list(self._executors):
            self.repair(slot)


class OnRay:
    """Tasks on a Ray cluster, or on a Ray of this machine alone that ends with the driver; each asks for ``cpus``
    and ``gpus``.

    The folders of the runs and of the prepared data must be the same on every machine of the cluster (a shared file
    system).
    """

    def __init__(
        self, workers: int, address: str | None, threads: int = 1, cpus: float = 1.0, gpus: float = 0.0
    ) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            next_step = "pip install 'holdfast[cluster]', or --engine local"
            raise Fault.usage("the engine ray is not installed", "--engine ray", next_step) from error
        self._ray: Any = ray
        self.slots = workers
        _listens(address)
        if address is None:
            os.environ.setdefault("RAY_worker_niceness", "0")  # by default its workers yield to everything else
        variables = {name: value for name, value in os.environ.items() if name.startswith(("HOLDFAST_", "MLFLOW_"))}
        variables |= dict.fromkeys(THREADS, str(threads))
        try:
            ray.init(
                address=address,
                num_cpus=None if address else math.ceil(workers * cpus),
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"env_vars": variables},
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _absent(address, error) from error
        lacking = [
            f"{name} (a job asks for {asked:g}, the largest machine has {most:g})"
            for name, asked in (("CPU", cpus), ("GPU", gpus))
            if asked > (most := max((n["Resources"].get(name, 0.0) for n in ray.nodes() if n["Alive"]), default=0.0))
        ]
        if lacking:
            ray.shutdown()
            what = f"the Ray cluster has too little {', '.join(lacking)}: jobs would wait for ever"
            raise Fault.usage(what, "sweep.cpus, sweep.gpus", "ask for less")
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_without_cwd)

    def warm(self, job: Job) -> None:
        """Ray chooses the worker of every task itself: nothing to warm."""

    def submit(self, slot: int, job: Job, *arguments: Any) -> Future[Any]:
        outer: Future[Any] = Future()
        reference, dead = self._task.remote(job, *arguments), self._ray.exceptions

        def wait() -> None:
            try:
                outer.set_result(self._ray.get(reference))
            except (dead.WorkerCrashedError, dead.NodeDiedError, dead.OutOfMemoryError, dead.OwnerDiedError) as error:
                outer.set_exception(WorkerDiedError(str(error).strip().splitlines()[0]))
            except BaseException as error:
                outer.set_exception(error)

        threading.Thread(target=wait, daemon=True).start()
        return outer

    def repair(self, slot: int) -> None:
        """Ray starts workers by itself."""

    def close(self) -> None:
        self._ray.shutdown()


def _absent(address: str | None, error: Exception) -> Fault:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Fault.usage(f"no Ray cluster answers: {reason}", f"--address {address}", "start one: ray start --head")


def _listens(address: str | None) -> None:
    """Raise Fault at once where nobody listens at HOST:PORT: Ray itself would ask for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            raise _absent(address, error) from error


def _without_cwd(job: Job, *arguments: Any) -> Any:
    """In a Ray task: its working directory must not hide packages (a folder ``datasets`` there would)."""
    import sys

    messages.install()
    sys.path[:] = [folder for folder in sys.path if folder not in ("", os.getcwd())]
    return job(*arguments)


def engine(workers: Workers, *, threads: int = 1, cpus: float | None = None, gpus: float = 0.0) -> Engine:
    """An engine for ``workers``; a job on Ray asks for ``cpus`` (None: its threads) and ``gpus``, maybe fractions.

    Raises Fault for an unknown engine, for one that is not installed, and for a cluster that does not answer or is
    too small.
    """
    name, count, address = workers.engine, workers.count, workers.address
    if count < 1:
        raise Fault.usage("--workers must be at least 1", "--workers", "--workers 1")
    if address is not None and name != "ray":
        raise Fault.usage("--address belongs to --engine ray", "--address", "--engine ray --address ADDRESS")
    if name == "ray":
        return OnRay(count, address, threads, float(threads) if cpus is None else cpus, gpus)
    if name != "local":
        raise Fault.usage(f"unknown engine '{name}' (there are: local, ray)", "--engine", "--engine local")
    import torch

    return Local(count, threads, torch.cuda.device_count() if torch.cuda.is_available() else 0)
