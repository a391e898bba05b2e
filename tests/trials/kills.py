"""Runs and sweeps that are killed at random moments and resumed: the same numbers, each point once, nothing left over.

A trial has a reference that nothing disturbs, and the same command killed by SIGKILL after a time drawn from what the
reference took, again and again, until as many kills have landed as were drawn or the run is finished.
"""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from holdfast.suites.config import catalog
from holdfast.suites.config.errors import Fault
from holdfast.suites.tracking.delivery import compare_store
from holdfast.suites.tracking.journal import comparable

from .forks import Ended
from .promises import Trial, first_words, merged, of_command
from .workshop import Job, Workshop

MEASURED = "cost/seconds"  # measurements of time: the only numbers that may differ
SWEEP = ("--trials", "2", "--sampler", "random", "--study", "s")
SWEPT = ("coconut_slurp", "split_digits", "supremix_tabular", "cdvg_cmnist")


def difference(whole: Path, folder: Path) -> str:
    """What of a run is not as in the run that nothing disturbed; empty where all is."""
    one, two = comparable(whole / "journal.jsonl"), comparable(folder / "journal.jsonl")
    if one != two:
        at = next(
            (k for k, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]), min(len(one), len(two))
        )
        return f"journal: {len(one)} and {len(two)} points, the first that differs is number {at + 1}"
    if (whole / "matrix.csv").read_bytes() != (folder / "matrix.csv").read_bytes():
        return "matrix.csv differs"
    first, second = (_summary(path) for path in (whole, folder))
    wrong = [name for name in sorted(first | second) if first.get(name) != second.get(name)]
    return f"summary.json differs in {', '.join(wrong[:5])}" if wrong else ""


def _summary(folder: Path) -> dict[str, Any]:
    document = json.loads((folder / "summary.json").read_text())
    return {name: str(value) for name, value in document.items() if not name.startswith(MEASURED)}


def runs_of(out: Path) -> list[Path]:
    """The folders of all runs below a folder, by their place in it."""
    return sorted(path.parent for path in out.rglob("journal.jsonl"))


def halves(out: Path) -> str:
    """Files that a write left before it was whole."""
    return ", ".join(str(path.relative_to(out)) for path in sorted(out.rglob("*.part")))


def stored_runs(database: Path, uid: str) -> int:
    """How many runs of MLflow bear the mark of ours."""
    query = "select count(*) from tags where key = 'holdfast.run_uid' and value = ?"
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(query, (uid,)).fetchone()[0])


def of_store(out: Path, folders: Iterable[Path], database: Path | None = None) -> dict[str, str]:
    """Whether MLflow has one run of each, with each point once."""
    seen = {"points": "", "one run": ""}
    for folder in folders:
        try:
            wrong = compare_store(folder, database)
            uid = json.loads((folder / "run.json").read_text())["uid"]
            count = stored_runs(database or out / "mlflow.db", uid)
        except (Fault, KeyError, OSError, ValueError, sqlite3.Error) as error:
            wrong, count = [f"{folder.name}: {type(error).__name__}: {error}"], 1
        seen["points"] = seen["points"] or first_words("; ".join(wrong[:3]))
        seen["one run"] = seen["one run"] or ("" if count == 1 else f"{folder.name}: {count} runs")
    return seen


def locks(out: Path) -> str:
    """Lock files in the temporary folder."""
    return ", ".join(sorted(path.name for path in (out / "tmp").glob("holdfast-*")))


def of_runs(whole: Path, out: Path) -> dict[str, str]:
    """The promises about the runs in ``out``, compared with those in ``whole``."""
    first, second = runs_of(whole), runs_of(out)
    seen = {"numbers": "", "parts": halves(out), "locks": locks(out)}
    if len(first) != len(second):
        seen["numbers"] = f"{len(second)} runs in place of {len(first)}"
    for one, two in zip(first, second, strict=False):
        try:
            seen["numbers"] = seen["numbers"] or difference(one, two)
        except (Fault, OSError, ValueError) as error:
            seen["numbers"] = f"{two.name}: {type(error).__name__}: {error}"
    return seen | of_store(out, second)


class References:
    """The runs that nothing disturbs, made once for each command, and the seconds that they took."""

    def __init__(self, shop: Workshop) -> None:
        self.shop, self._made, self._lock = shop, dict[tuple[str, ...], tuple[Path, float]](), threading.Lock()

    def of(self, words: tuple[str, ...]) -> tuple[Path, float]:
        with self._lock:
            if words not in self._made:
                out = self.shop.new_out(self.shop.folder / "references" / str(len(self._made)))
                self.shop.suites(out, *words, "--dry-run" if words[0] == "run" else "--show-space")
                ended = self.shop.suites(out, *words)
                if ended.code:
                    raise RuntimeError(f"{' '.join(words)} ends with {ended.code}: {ended.err[-400:]}")
                self._made[words] = (out, ended.seconds)
            return self._made[words]


def killed(shop: Workshop, words: tuple[str, ...], most: int, draw: random.Random, out: Path, whole: float) -> Any:
    """Start, kill and resume until ``most`` kills have landed or the run is whole; how many landed, the last command,
    and what the commands in between did against their promises."""
    landed, seen = 0, dict[str, str]()
    ended: Ended | None = None
    for _ in range(4 * most + 8):
        plans = [*out.glob("*/invocation.json"), *out.glob("*/study.json")]
        command = ("resume", str(plans[0].parent)) if plans else words
        after = draw.uniform(0.05, max(0.3, 0.9 * whole)) if landed < most else None
        ended = shop.suites(out, *command, kill_after=after, kill_alone=draw.random() < 0.5)
        if ended.by == "killed":
            landed += 1
            continue
        seen = merged(seen, {key: value for key, value in of_command(ended, (0,)).items() if key == "traceback"})
        if ended.code == 0 or after is None:
            break
    return landed, ended, seen


def trial(shop: Workshop, references: References, name: str, words: tuple[str, ...], most: int, place: Path) -> Trial:
    """One command killed up to ``most`` times."""
    whole, seconds = references.of(words)
    out = shop.new_out(place)
    landed, ended, seen = killed(shop, words, most, shop.draw(name), out, seconds)
    seen["finished"] = "" if ended and ended.code == 0 else f"exit {ended.code}: {first_words(ended.err)}"
    if not seen["finished"]:
        synced = shop.suites(out, "sync", str(out))
        seen["finished"] = "" if synced.code == 0 else f"sync: exit {synced.code}: {first_words(synced.err)}"
        seen |= of_runs(whole, out)
    return Trial("kills", name, seen, f"suites {' '.join(words)}", ended.seconds, ended.peak, {"kills": landed})


def commands(shop: Workshop) -> list[tuple[str, tuple[str, ...]]]:
    """A run of each suite with a drawn default method, and some sweeps."""
    draw, found = shop.draw("methods"), list[tuple[str, tuple[str, ...]]]()
    for entry in catalog.recipes():
        recipe = catalog.recipe(entry["name"], "smoke")
        method = draw.choice(list(recipe.defaults))
        words = ("run", recipe.name, "--profile", "smoke", "--method", method)
        found.append((f"run {recipe.name} {method}", words))
        if recipe.name in SWEPT and recipe.sweep.params:
            found.append(
                (f"sweep {recipe.name}", ("sweep", recipe.name, "--profile", "smoke", "--method", method, *SWEEP))
            )
    return found


def jobs(shop: Workshop) -> list[Job]:
    """Small: 5 runs or sweeps; nightly: every suite, 3 kills each; full: three times as many."""
    references, every = References(shop), list[Job]()
    for again in range(shop.count(1, 1, 3)):
        for name, words in commands(shop):

            def make(place: Path, name: str = f"{name} {again}", words: tuple[str, ...] = words) -> Trial:
                return trial(shop, references, name, words, shop.count(2, 4, 5), place)

            every.append((f"{name} {again}", make))
    return shop.chosen(every, 5 if shop.size == "small" else None, "kills")
