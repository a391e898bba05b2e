"""Disks that fill, and disks that cannot be written: one message, nothing half-written, and the run goes on afterwards.

As root a small file system in memory is mounted, which is full as a disk is; otherwise a limit on the size of a file
stands for it.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .kills import References, halves, of_runs, of_store, runs_of
from .promises import Trial, first_words, merged, of_command
from .workshop import Job, Workshop

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("run", "split_digits", "--profile", "smoke", "--method", "er"),
    ("run", "supremix_tabular", "--profile", "smoke", "--method", "supremix"),
    ("run", "coconut_slurp", "--profile", "smoke", "--method", "coconut"),
)
LARGE = 256 * 2**20
LEAST = 65_536
_mounts = threading.Lock()


def _done(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, timeout=60).returncode == 0


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[bool]:
    """A file system in memory of ``size`` bytes; False where this user may mount none."""
    folder.mkdir(parents=True)
    with _mounts:
        there = os.getuid() == 0 and _done("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield there
    finally:
        if there:
            _done("umount", "-l", str(folder))


def _afterwards(shop: Workshop, out: Path, whole: Path, words: tuple[str, ...]) -> dict[str, str]:
    """There is room again: the run is resumed, or started where it never began, and must be as if nothing had been."""
    plans = sorted(out.glob("*/invocation.json"))
    ended = shop.suites(out, *(("resume", str(plans[0].parent)) if plans else words))
    if ended.code:
        return {"finished": f"exit {ended.code}: {first_words(ended.err)}"}
    synced = shop.suites(out, "sync", str(out))
    wrong = "" if synced.code == 0 else f"sync: exit {synced.code}: {first_words(synced.err)}"
    return {"finished": wrong} | of_runs(whole, out) | of_store(out, runs_of(out))


def _full(
    shop: Workshop, references: References, words: tuple[str, ...], share: float, name: str, place: Path
) -> Trial:
    whole, _ = references.of(words)
    needed = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    size = max(LEAST, int(share * needed))
    out = place / "disk"
    with mounted(out, size) as there:
        if there:
            ended = shop.suites(out, *words)
        else:
            ended = shop.suites(out, *words, largest_file=max(LEAST, int(share * 1.5e6)))
        seen = of_command(ended, (0, 2, 3, 4)) | {"parts": halves(out)}
        seen.pop("time")  # a run takes as long as it takes
        if there:
            _done("mount", "-o", f"remount,size={LARGE}", str(out))
        seen = merged(seen, _afterwards(shop, out, whole, words))
    facts = {"code": ended.code, "bytes": size, "by": "tmpfs" if there else "RLIMIT_FSIZE"}
    return Trial("disks", name, seen, f"suites {' '.join(words)}", ended.seconds, ended.peak, facts)


def _read_only(shop: Workshop, words: tuple[str, ...], name: str, place: Path) -> Trial:
    out = place / "disk"
    with mounted(out, LARGE) as there:
        (out / "tmp").mkdir()
        if there:
            _done("mount", "-o", "remount,ro", str(out))
        else:
            out.chmod(0o555)
        ended = shop.suites(out, *words)
        seen = of_command(ended, (0, 2, 3, 4), refused=words[0] == "run")
        if not there:
            out.chmod(0o755)
    return Trial("disks", name, seen, f"suites {' '.join(words)}", ended.seconds, ended.peak, {"code": ended.code})


def jobs(shop: Workshop) -> list[Job]:
    """4 disks of the small size, 20 nightly, 60 of the full one, and three that are read-only."""
    references, draw, made = References(shop), shop.draw("disks"), list[Job]()
    count = shop.count(4, 20, 60)
    for k in range(count):
        words, share = COMMANDS[k % len(COMMANDS)], draw.uniform(0.0, 0.9)
        name = f"full {k} at {share:.3f} of {words[1]}"

        def full(place: Path, words: tuple[str, ...] = words, share: float = share, name: str = name) -> Trial:
            return _full(shop, references, words, share, name, place)

        made.append((name, full))
    written: list[tuple[str, ...]] = [COMMANDS[0], ("runs", "list"), ("doctor",)]
    for words in written:
        name = f"read-only {' '.join(words)}"

        def read_only(place: Path, words: tuple[str, ...] = words, name: str = name) -> Trial:
            return _read_only(shop, words, name, place)

        made.append((name, read_only))
    return shop.chosen(made, None, "disks")
