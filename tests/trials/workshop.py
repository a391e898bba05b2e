"""What all trials share: the process that forks commands, folders, an empty store, and the order of the trials."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .forks import GIB, Ended, Forks
from .inputs import PRIVATE, make_tools
from .promises import Trial

SIZES = ("small", "nightly", "full")
Job = tuple[str, Callable[[Path], Trial]]  # the name of a trial, and what makes it in a folder of its own


@dataclass
class Workshop:
    """Folders and processes of one start of the harness."""

    folder: Path
    forks: Forks
    seed: int = 0
    size: str = "small"
    wanted: str = ""  # part of the names of the trials that are made; empty: all
    at_end: list[Callable[[], None]] = field(default_factory=list)  # what is done when the workshop closes
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def tools(self) -> Path:
        return make_tools(self.folder / "tools")

    @property
    def cache(self) -> Path:
        """Data that trials share: generated once."""
        return self.folder / "cache"

    @property
    def store(self) -> Path:
        """MLflow's SQLite store with its tables and nothing in it: making them takes seconds."""
        path = self.folder / "empty.db"
        with self._lock:
            if not path.exists():
                from holdfast.suites.tracking.store import make_store

                make_store(path)
        return path

    def draw(self, purpose: str) -> random.Random:
        """The generator of what a kind of trial draws."""
        return random.Random(f"{self.seed} {purpose}")

    def count(self, small: int, nightly: int, full: int) -> int:
        return dict(zip(SIZES, (small, nightly, full), strict=True))[self.size]

    def chosen(self, jobs: Sequence[Job], count: int | None, purpose: str) -> list[Job]:
        """Those whose name is wanted, or ``count`` of all (None: all), drawn by the seed."""
        if self.wanted:
            return [job for job in jobs if self.wanted in job[0]]
        if count is None or count >= len(jobs):
            return list(jobs)
        kept = set(self.draw(purpose).sample(range(len(jobs)), count))
        return [job for k, job in enumerate(jobs) if k in kept]

    def place(self) -> Path:
        """A folder that is not there yet."""
        with self._lock:
            self._count += 1
            return self.folder / "trials" / f"{self._count:05d}"

    def environment(self, out: Path) -> dict[str, str]:
        """Of a command that works as it should: the shared cache, a temporary folder of its own."""
        kept = {name: value for name, value in os.environ.items() if name not in PRIVATE}
        (out / "tmp").mkdir(parents=True, exist_ok=True)
        own = {"HOLDFAST_RUNS": str(out), "HOLDFAST_CACHE": str(self.cache), "TMPDIR": str(out / "tmp")}
        return {**kept, **own, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def suites(
        self,
        out: Path,
        *words: str,
        seconds: float = 300.0,
        kill_after: float | None = None,
        kill_alone: bool = True,
        largest_file: int = 0,
        **variables: str,
    ) -> Ended:
        """``suites WORDS`` with the folder of runs ``out``; ``variables`` are added to the environment."""
        allowed = [out, self.cache]
        around = {**self.environment(out), **variables}
        return self.forks.run(
            words,
            out,
            around,
            seconds=seconds,
            allowed=allowed,
            memory=8.0 * GIB,
            kill_after=kill_after,
            kill_alone=kill_alone,
            largest_file=largest_file,
        )

    def new_out(self, place: Path) -> Path:
        """A folder of runs with an empty store."""
        out = place / "out"
        out.mkdir(parents=True)
        shutil.copy(self.store, out / "mlflow.db")
        return out


@contextmanager
def opened(
    seed: int = 0, size: str = "small", wanted: str = "", forks: Callable[[Path], Forks] = Forks
) -> Iterator[Workshop]:
    """A workshop in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-trials-"))
    try:
        with forks(folder / "forks") as made:
            shop = Workshop(folder, made, seed, size, wanted)
            try:
                yield shop
            finally:
                for do in shop.at_end:
                    do()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def played(shop: Workshop, jobs: Iterable[Job], workers: int) -> Iterator[Trial]:
    """Make the trials, ``workers`` at a time, in any order."""

    def one(job: Job) -> Trial:
        place = shop.place()
        try:
            return job[1](place)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    if workers == 1:
        yield from map(one, jobs)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(one, jobs)
