"""``python tests/trials``: tries what Holdfast promises under kills, damage, hostile inputs, bad servers, full disks.

    python tests/trials                       the small size, minutes
    python tests/trials --size nightly -j 2   1,300 inputs and 200 kills
    python tests/trials --only inputs --case 'recipe validate: a pipe'

Each trial is a line of the file ``--to``; the table counts how often each promise was tried and how often it held. The
same ``--seed`` draws the same trials. Exit code 1 where something did not hold.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import damaged, disks, hostile, kills, misbehaving
from .promises import KINDS, Trial, counted, table
from .workshop import SIZES, Job, Workshop, opened, played

JOBS: dict[str, Callable[[Workshop], list[Job]]] = {
    "kills": kills.jobs,
    "damage": damaged.jobs,
    "inputs": hostile.jobs,
    "servers": misbehaving.jobs,
    "disks": disks.jobs,
}


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/trials", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="small", help="how many trials (default: small)")
    parser.add_argument("--only", action="append", choices=list(KINDS), help="this kind alone; may be repeated")
    parser.add_argument("--case", default="", help="trials whose name holds this text, all of them")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    parser.add_argument("-j", "--workers", type=int, default=1, help="trials at a time (default: 1)")
    parser.add_argument("--minutes", type=float, default=None, help="begin no trial of a kind after so many minutes")
    parser.add_argument("--to", type=Path, default=Path("build/trials.jsonl"), help="the file of the trials")
    parser.add_argument("--quiet", action="store_true", help="print the table alone")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parsed(arguments)
    given.to.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    begun = time.monotonic()
    with given.to.open("w", encoding="utf-8") as file, opened(given.seed, given.size, given.case) as shop:
        file.write(json.dumps(head(arguments)) + "\n")
        for kind in given.only or KINDS:
            jobs = JOBS[kind](shop)
            end = time.monotonic() + 60 * given.minutes if given.minutes else float("inf")
            left = (job for job in jobs if time.monotonic() < end)
            for trial in played(shop, left, given.workers):
                rows.append(trial.row())
                file.write(json.dumps(rows[-1], ensure_ascii=True) + "\n")
                file.flush()
                if not given.quiet:
                    progress(trial, len(rows))
    counts = counted(rows)
    sys.stdout.write("\n" + table(counts))
    failed = sum(any(row["seen"].values()) for row in rows)
    minutes = (time.monotonic() - begun) / 60
    sys.stdout.write(f"\n{len(rows)} trials in {minutes:.0f} min, {failed} of them with something that did not hold\n")
    sys.stdout.write(f"{given.to}: a line each\n")
    return int(failed > 0 or not rows)


def head(arguments: Sequence[str] | None) -> dict[str, str]:
    """The first line of the file: the command, the day, and the commit."""
    words = [word for word in (sys.argv[1:] if arguments is None else arguments) if word != "--quiet"]
    root = Path(__file__).resolve().parents[2]
    git = ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return {"command": shlex.join(["python", "tests/trials", *_public(words)]), "date": day, "commit": commit}


def _public(words: Sequence[str]) -> list[str]:
    """The words without the file: where it lies is nobody's."""
    kept = list(words)
    if "--to" in kept:
        at = kept.index("--to")
        del kept[at : at + 2]
    return kept


def progress(trial: Trial, number: int) -> None:
    """A line of a trial that did not hold; a mark now and then."""
    if not trial.held:
        seen = "; ".join(f"{promise}: {what}" for promise, what in trial.seen.items() if what)
        sys.stdout.write(f"{number:5d} {trial.kind} {trial.case}\n      {seen}\n")
    elif number % 50 == 0:
        sys.stdout.write(f"{number:5d}\n")
    sys.stdout.flush()
