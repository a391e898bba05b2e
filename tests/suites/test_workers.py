"""Workers of this machine and of Ray: what each sees (GPU, threads, environment), what a killed one costs, and that
they die with the driver. Jobs are functions of Python's own: a worker knows nothing of the tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from holdfast.suites.runtime import executors as engines
from holdfast.suites.runtime.executors import Local, OnRay
from holdfast.suites.runtime.local import WorkerDiedError

from .process import lives, start_server

GPU = "CUDA_VISIBLE_DEVICES"
WAIT = 240  # seconds for a server's imports on a busy machine


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    start_server()  # that of all tests, where none runs yet: it has more than the runner's own
    engine = Local(3, threads=1, gpus=["4", "7"])
    yield engine
    engine.close()


def test_each_worker_sees_its_gpu_its_threads_and_the_environment_of_now(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [local.submit(slot, os.getenv, GPU).result(WAIT) for slot in range(3)] == ["4", "7", "4"]
    assert local.submit(1, os.getenv, "OMP_NUM_THREADS").result(WAIT) == "1"
    monkeypatch.setenv("HOLDFAST_OF_NOW", "yes")  # later than the server that workers are forked from
    local.repair(1)
    assert local.submit(1, os.getenv, "HOLDFAST_OF_NOW").result(WAIT) == "yes"
    assert local.submit(1, os.getcwd).result(WAIT) == os.getcwd()


def test_a_worker_has_the_libraries_at_once(local: Local) -> None:
    names = ("torch", "avalanche", "mlflow", "matplotlib")
    loaded = f"[name in __import__('sys').modules for name in {names}]"
    assert local.submit(0, eval, loaded).result(WAIT) == [True] * len(names)
    assert local.submit(0, os.getppid).result(WAIT) != os.getpid(), "forked from the server, not from this process"
    assert not local.submit(0, eval, "__import__('torch').cuda.is_initialized()").result(WAIT)


def test_errors_come_back_and_the_worker_goes_on(local: Local) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        local.submit(0, int, "x").result(WAIT)
    with pytest.raises(RuntimeError, match="lock"):
        local.submit(0, threading.Lock).result(WAIT)  # a result that cannot be sent
    assert local.submit(0, int, "7").result(WAIT) == 7


def test_a_killed_worker_breaks_its_own_job_alone(local: Local) -> None:
    pid = local.submit(0, os.getpid).result(WAIT)
    lost, kept = local.submit(0, time.sleep, 600), local.submit(2, int, "3")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match="exit code -9"):
        lost.result(WAIT)
    with pytest.raises(WorkerDiedError):
        local.submit(0, int, "1").result(WAIT)
    assert kept.result(WAIT) == 3
    local.repair(0)
    assert local.submit(0, os.getpid).result(WAIT) != pid


DRIVER = """
import os, time
from holdfast.suites.runtime.executors import Local
print("once", flush=True)
engine = Local(1)
print(engine.submit(0, os.getpid).result(), flush=True)
engine.submit(0, time.sleep, 600)
time.sleep(600)
"""


def test_a_worker_dies_with_its_driver_and_does_not_run_its_script_again(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)  # without a guard of its main part
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "once\n"
        worker = int(driver.stdout.readline())
        os.kill(worker, 0)
        driver.kill()
    end = time.monotonic() + 30
    while lives(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not lives(worker)


@pytest.mark.parametrize(
    ("given", "count", "names"),
    [(None, 2, ["0", "1"]), ("3,5", 2, ["3", "5"]), ("GPU-a, GPU-b,GPU-c", 2, ["GPU-a", "GPU-b"]), ("", 0, [])],
)
def test_gpus_are_named_as_this_process_may_use_them(
    given: str | None, count: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    if given is None:
        monkeypatch.delenv(GPU, raising=False)
    else:
        monkeypatch.setenv(GPU, given)
    assert engines.gpus_here() == names


class Ray:
    """Ray with two GPUs, as far as the engine uses it: a task sees the GPUs on which its share is free."""

    class NoError(Exception): ...

    exceptions = SimpleNamespace(
        WorkerCrashedError=NoError, NodeDiedError=NoError, OutOfMemoryError=NoError, OwnerDiedError=NoError
    )

    def __init__(self) -> None:
        self.free = {"0": 1.0, "1": 1.0}
        self.saw: list[tuple[str, float]] = []
        self.begun: dict[str, Any] = {}

    def init(self, **options: Any) -> None:
        self.begun = options

    def shutdown(self) -> None: ...

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}]

    def remote(self, num_cpus: float, num_gpus: float, max_retries: int) -> Any:
        def give(job: Any) -> Any:
            def start(*arguments: Any) -> Any:
                gpu = next(name for name, share in self.free.items() if share >= num_gpus)
                self.free[gpu] -= num_gpus
                self.saw.append((gpu, num_gpus))
                return lambda: job(*arguments)

            return SimpleNamespace(remote=start)

        return give

    def get(self, reference: Any) -> Any:
        return reference()


@pytest.mark.parametrize(("share", "saw"), [(0.5, ["0", "0", "1"]), (1.0, ["0", "1"]), (0.0, ["0", "0", "0"])])
def test_a_job_on_ray_asks_for_its_share_of_a_gpu(
    share: float, saw: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = Ray()
    monkeypatch.setitem(sys.modules, "ray", ray)
    engine = engines.engine(engines.Workers(len(saw), "ray"), threads=2, gpus=share)
    assert isinstance(engine, OnRay)
    futures: list[Future[Any]] = [engine.submit(slot, int, str(slot)) for slot in range(len(saw))]
    assert [future.result(WAIT) for future in futures] == list(range(len(saw)))
    assert ray.saw == [(name, share) for name in saw]
    assert ray.begun["num_cpus"] == 2 * len(saw)
    assert ray.begun["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "2"
    engine.close()
