"""Files of runs and studies that are damaged in every way that their schema admits, and the commands that read them.

The damages are those of ``tests/suites/damage.py``, made from ``suites/config/run_files.py``.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..suites import damage
from .forks import Ended
from .inputs import shown
from .kills import difference, runs_of
from .promises import SECONDS, Trial, first_words, merged, of_command
from .workshop import Job, Workshop

RUN = ("run", "supremix_tabular", "--profile", "smoke", "--method", "l1")
STUDY = ("sweep", "supremix_tabular", "--profile", "smoke", "--method", "l1", "--trials", "1", "--sampler", "random")
FAILED = "damaged"  # the folder that is spoilt, the newest
# where MLflow's tables hold the place of files
PLACES = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))
# file of the folder -> the commands that read it; a damaged tracker costs nothing
READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    f"{FAILED}/invocation.json": (("resume", FAILED), ("resume", "last"), ("compare", "last"), ("runs", "list")),
    f"{FAILED}/l1-s0/run.json": (("resume", FAILED), ("predictions", f"{FAILED}/l1-s0"), ("runs", "list")),
    f"{FAILED}/l1-s0/summary.json": (("compare", FAILED), ("report", FAILED), ("runs", "list")),
    f"{FAILED}/l1-s0/environment.json": (("predictions", f"{FAILED}/l1-s0"), ("report", FAILED)),
    f"{FAILED}/l1-s0/identity.json": (("sync", FAILED), ("runs", "list")),
    f"{FAILED}/l1-s0/tracker.json": (("sync", FAILED), ("runs", "list")),
    f"{FAILED}/l1-s0/journal.jsonl": (("sync", FAILED), ("report", FAILED)),
    f"{FAILED}/l1-s0/matrix.csv": (("report", FAILED),),
    f"{FAILED}/l1-s0/recipe.yaml": (("predictions", f"{FAILED}/l1-s0"),),
    "study-s/study.json": (("resume", "s"), ("resume", "last"), ("runs", "list")),
    "study-s/result.json": (("resume", "s"), ("runs", "list")),
    "study-s/optuna.journal": (("resume", "s"),),
}


class Finished:
    """A folder of runs that is whole, made once and copied: an invocation and its double, a study, a killed run."""

    def __init__(self, shop: Workshop) -> None:
        self.shop, self._lock = shop, threading.Lock()
        self._folder: Path | None = None

    def folder(self) -> Path:
        with self._lock:
            if self._folder is None:
                out = self.shop.new_out(self.shop.folder / "finished")
                for words in (RUN, (*STUDY, "--study", "s")):
                    ended = self.shop.suites(out, *words)
                    if ended.code:
                        raise RuntimeError(f"{' '.join(words)} ends with {ended.code}: {ended.err[-400:]}")
                (whole,) = [path.parent for path in out.glob("*/invocation.json")]
                # "last" begins with what is not finished: the run that was killed lies in a folder of its own
                apart = out / "apart"
                apart.mkdir()
                shutil.copy(self.shop.store, apart / "mlflow.db")
                self.shop.suites(apart, *RUN, HOLDFAST_KILL_AT="checkpoint_before_rename:3")
                shutil.copytree(whole, out / FAILED)
                self._folder = out
            return self._folder


def _spoilt(path: Path) -> Iterator[tuple[str, bytes]]:
    """The damages of a file of ours; of one that is no JSON those of bytes."""
    if path.suffix == ".json":
        yield from damage.of_file(path)
    elif path.suffix == ".pt":
        whole = path.read_bytes()
        yield from (("empty", b""), ("cut", whole[: len(whole) // 2]), ("zeros", b"\0" * len(whole)))
        yield "a byte changed", whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    else:
        yield from damage.of_bytes(path.read_bytes())


def _copied(folder: Path, out: Path) -> None:
    """Copies a folder of runs; the addresses in its files are those of the copy."""
    shutil.copytree(folder, out)
    for path in [*out.rglob("*.json"), *out.rglob("*.yaml")]:
        path.write_bytes(path.read_bytes().replace(str(folder).encode(), str(out).encode()))
    for path in out.glob("*.db"):
        with closing(sqlite3.connect(path)) as store, store:
            for table, column in PLACES:
                store.execute(f"update {table} set {column} = replace({column}, ?, ?)", (str(folder), str(out)))


def _others(ended: Ended) -> str:
    """Whether ``runs list --json`` still names the runs that are whole."""
    try:
        rows = json.loads(ended.out)
        whole = sum(row["status"] == "finished" for row in rows)
    except (ValueError, KeyError, TypeError):
        return f"exit {ended.code}: {first_words(ended.err or ended.out)}"
    return "" if whole else "no finished run is listed"


def _read(finished: Finished, file: str, data: bytes, words: tuple[str, ...], name: str, place: Path) -> Trial:
    shop = finished.shop
    out = place / "out"
    _copied(finished.folder(), out)
    (out / file).write_bytes(data.replace(str(finished.folder()).encode(), str(out).encode()))
    given = [f"{out}/{word}" if word.startswith((FAILED, "study-")) else word for word in words]
    free = file.endswith("tracker.json")
    ended = shop.suites(out, *given, seconds=1.5 * SECONDS)
    seen = of_command(ended, (0,) if free else (0, 2, 3))
    if ended.code == 4 and words[0] == "sync" and f"{Path(file).name} is damaged" in ended.out:
        seen["message"] = ""  # sync goes on with the other runs, names this one, and ends with what is left
    seen["others"] = _others(shop.suites(out, "runs", "list", "--json", seconds=1.5 * SECONDS))
    return Trial("damage", name, seen, shown(given, place), ended.seconds, ended.peak, {"code": ended.code})


def _resumed(finished: Finished, file: str, data: bytes, name: str, place: Path) -> Trial:
    """A run that was killed, with its newest checkpoint damaged: it goes on from the one before."""
    shop, out = finished.shop, place / "out"
    whole = runs_of(finished.folder() / FAILED)[0]
    _copied(finished.folder() / "apart", out)
    (out / file).write_bytes(data)
    ended = shop.suites(out, "resume", "last")
    seen = merged(of_command(ended, (0,)), {"numbers": ""})
    seen["finished"] = seen.pop("message")
    if ended.code == 0:
        seen["numbers"] = difference(whole, runs_of(out)[0])
    return Trial("damage", name, seen, "suites resume last", ended.seconds, ended.peak, {"code": ended.code})


def _jobs(shop: Workshop) -> Iterator[Job]:
    finished = Finished(shop)
    folder = finished.folder()
    for file, readers in READERS.items():
        for how, data in _spoilt(folder / file):
            for words in readers:
                name = f"{' '.join(words)}, {file}: {how}"

                def read(
                    place: Path, file: str = file, data: bytes = data, words: tuple[str, ...] = words, name: str = name
                ) -> Trial:
                    return _read(finished, file, data, words, name, place)

                yield name, read
    checkpoints = sorted((folder / "apart").glob("*/*/checkpoint/*"))
    newest = max((int(path.stem) for path in checkpoints if path.stem.isdigit()), default=0)
    for path in checkpoints:
        if path.stem == str(newest):
            for how, data in _spoilt(path):
                file, name = str(path.relative_to(folder / "apart")), f"resume, checkpoint{path.suffix}: {how}"

                def resumed(place: Path, file: str = file, data: bytes = data, name: str = name) -> Trial:
                    return _resumed(finished, file, data, name, place)

                yield name, resumed


def jobs(shop: Workshop) -> list[Job]:
    """30 of the small size, 250 nightly, all of the full one."""
    return shop.chosen(list(_jobs(shop)), shop.count(30, 250, 10**6), "damage")
