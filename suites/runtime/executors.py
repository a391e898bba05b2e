"""Where runs are executed: worker processes here (:mod:`.local`), or tasks on a Ray cluster. One job a worker at a
time; results as they come. A killed worker breaks its own job alone.
"""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from ..config.errors import Fault
from . import local, messages
from .local import THREADS, Job
from .local import WorkerDiedError as WorkerDiedError

ATTEMPTS = 3  # at a job whose worker dies


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


class Engine(Protocol):
    """``submit`` to a free slot; a future's WorkerDiedError says that the job must be given again."""

    slots: int

    def submit(self, slot: int, job: Job, *arguments: Any) -> Future[Any]: ...

    def repair(self, slot: int) -> None: ...

    def close(self) -> None: ...


class Local:
    """``workers`` processes on this machine; ``gpus``: names of those that it has, as ``CUDA_VISIBLE_DEVICES`` holds
    them. Worker k sees the k-th alone, and begins again where there are more workers.
    """

    def __init__(self, workers: int, threads: int = 1, gpus: Sequence[str] = ()) -> None:
        self.slots, self.threads, self.gpus = workers, threads, gpus
        self._workers: dict[int, local.Worker] = {}
        local.start_server(threads)

    def _worker(self, slot: int) -> local.Worker:
        if slot not in self._workers:
            gpu = self.gpus[slot % len(self.gpus)] if self.gpus else None
            self._workers[slot] = local.Worker(self.threads, gpu)
        return self._workers[slot]

    def submit(self, slot: int, job: Job, *arguments: Any) -> Future[Any]:
        return self._worker(slot).submit(job, *arguments)

    def repair(self, slot: int) -> None:
        """A new worker instead of a dead one."""
        worker = self._workers.pop(slot, None)
        if worker is not None:
            worker.kill()

    def close(self) -> None:
        for slot in list(self._workers):
            self.repair(slot)


def gpus_here() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; none without a driver."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [name.strip() for name in given[:count]] if len(given) >= count and given[0] else [*map(str, range(count))]


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
    return Local(count, threads, gpus_here())
