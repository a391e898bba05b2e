"""Where runs are executed: worker processes here (loky), or tasks on a Ray cluster. One job a worker at a time; results as they come.

Each local worker is an executor of its own, so that a killed worker breaks its own job alone.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from .errors import Fault

Job = Callable[..., Any]


class WorkerDiedError(RuntimeError):
    """The process that ran a job is gone (killed, out of memory)."""


class Engine(Protocol):
    """``submit`` to a free slot; a future's WorkerDiedError says that the job must be given again."""

    slots: int

    def submit(self, slot: int, job: Job, *arguments: Any) -> Future[Any]: ...

    def repair(self, slot: int) -> None: ...

    def close(self) -> None: ...


def _start_worker(driver: int, threads: int, gpu: str | None) -> None:
    """In a worker, first: threads, its GPU, and a watch on the driver, so that it dies with it."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.25)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Local:
    """``workers`` processes on this machine."""

    def __init__(self, workers: int, threads: int = 1, gpus: int = 0) -> None:
        if importlib.util.find_spec("loky") is None:
            raise Fault(
                code="usage",
                what="sweeps and --workers need loky",
                where="--workers",
                next="pip install 'holdfast[sweep]'",
            )
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
        """A new worker in the place of a dead one."""
        executor = self._executors.pop(slot, None)
        if executor is not None:
            executor.shutdown(wait=False, kill_workers=True)

    def close(self) -> None:
        for slot in list(self._executors):
            self.repair(slot)


class OnRay:
    """Tasks on a Ray cluster, or on a local one; resources a job from the recipe's ``sweep`` section."""

    def __init__(self, workers: int, address: str | None, cpus: float = 1.0, gpus: float = 0.0) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise Fault(
                code="usage",
                what="the engine ray is not installed",
                where="--engine ray",
                next="pip install 'holdfast[cluster]', or --engine local",
            ) from error
        self._ray: Any = ray
        self.slots = workers
        try:
            ray.init(
                address=address, num_cpus=None if address else workers, include_dashboard=False, log_to_driver=False
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise Fault(
                code="usage",
                what=f"no Ray cluster answers: {error}",
                where=f"--address {address}",
                next="start one: ray start --head",
            ) from error
        self._resources = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}

    def submit(self, slot: int, job: Job, *arguments: Any) -> Future[Any]:
        outer: Future[Any] = Future()
        reference = self._ray.remote(**self._resources)(_without_cwd).remote(job, *arguments)

        def wait() -> None:
            try:
                outer.set_result(self._ray.get(reference))
            except self._ray.exceptions.WorkerCrashedError as error:
                outer.set_exception(WorkerDiedError(str(error)))
            except Exception as error:
                outer.set_exception(error)

        threading.Thread(target=wait, daemon=True).start()
        return outer

    def repair(self, slot: int) -> None:
        """Ray starts workers by itself."""

    def close(self) -> None:
        self._ray.shutdown()


def _without_cwd(job: Job, *arguments: Any) -> Any:
    """In a Ray task: its working directory must not hide packages (a folder ``datasets`` there would)."""
    import sys

    sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]
    return job(*arguments)


def engine(name: str, workers: int, *, threads: int = 1, address: str | None = None) -> Engine:
    """An engine by name. Raises Fault for an unknown one or one that is not installed."""
    if workers < 1:
        raise Fault(code="usage", what="--workers must be at least 1", where="--workers", next="--workers 1")
    if address is not None and name != "ray":
        raise Fault(
            code="usage",
            what="--address belongs to --engine ray",
            where="--address",
            next="--engine ray --address ADDRESS",
        )
    if name == "ray":
        return OnRay(workers, address)
    if name != "local":
        raise Fault(
            code="usage",
            what=f"unknown engine '{name}' (there are: local, ray)",
            where="--engine",
            next="--engine local",
        )
    import torch

    return Local(workers, threads, torch.cuda.device_count() if torch.cuda.is_available() else 0)
