"""Hostile commands, recipes and data, each in a folder of its own."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from .forks import Forks
from .hostile_data import of_data
from .hostile_recipes import of_recipes
from .hostile_values import Input, of_environment, of_fields, of_options
from .promises import SECONDS, Trial, of_command

FOLDERS = ("work", "out", "data", "home", "tmp", "cache")
PRIVATE = ("DATA", "HTTP_PROXY", "HTTPS_PROXY", "MLFLOW_TRACKING_URI", "HOLDFAST_RUNS", "HOLDFAST_CACHE")


def sources(layouts: Path) -> dict[str, list[Input]]:
    """All inputs by kind."""
    return {
        "fields": list(of_fields()),
        "options": list(of_options()),
        "recipes": list(of_recipes()),
        "data": list(of_data(layouts)),
        "environment": list(of_environment()),
    }


def environment(place: Path, tools: Path) -> dict[str, str]:
    """That of a command whose folders are those of ``place``; ``tools`` come first on the PATH."""
    kept = {name: value for name, value in os.environ.items() if name not in PRIVATE}
    return {
        **kept,
        "HOLDFAST_RUNS": str(place / "out"),
        "HOLDFAST_CACHE": str(place / "cache"),
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "tmp"),
        "MPLCONFIGDIR": str(place / "tmp"),
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "CANARY": str(place / "canary"),
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }


def make_tools(folder: Path) -> Path:
    """Programs of names that a library might start; each says that it was."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("gs", "gswin64c", "convert", "ffmpeg", "sox", "xdg-open"):
        path = folder / name
        path.write_text('#!/bin/sh\ntouch "$CANARY"\n')
        path.chmod(0o755)
    return folder


def new_place(place: Path, store: Path | None) -> None:
    """The folders of one trial, with MLflow's tables where ``store`` holds them."""
    for name in FOLDERS:
        (place / name).mkdir(parents=True)
    if store is not None:
        shutil.copy(store, place / "out" / "mlflow.db")


def strays(place: Path) -> Iterator[str]:
    """What lies where nothing should."""
    yield from (path.name for path in place.iterdir() if path.name not in (*FOLDERS, "canary"))
    yield from (f"home/{path.name}" for path in (place / "home").iterdir())


def replaced(words: tuple[str, ...], place: Path) -> list[str]:
    return [word.replace("{place}", str(place)) for word in words]


def shown(words: list[str], place: Path) -> str:
    """A command as it stands in a report: long words cut, the trial's folder as PLACE."""
    short = [word if len(word) < 80 else f"{word[:60]}...({len(word)} letters)" for word in words]
    return shlex.join(["suites", *short]).replace(str(place), "PLACE").encode(errors="backslashreplace").decode()


def tried(one: Input, place: Path, forks: Forks, tools: Path, store: Path | None) -> Trial:
    """Run one input; ``place`` is made and removed."""
    new_place(place, store)
    try:
        one.make(place)
        words = replaced(one.arguments, place)
        own = {name: value.replace("{place}", str(place)) for name, value in one.environment.items()}
        around = environment(place, tools) | own
        allowed = [place / "work", place / "out", place / "cache", place / "tmp"]
        ended = forks.run(words, place / "work", around, seconds=1.5 * SECONDS, allowed=allowed, out=one.out)
        seen = of_command(ended, one.codes, one.refused)
        seen["executed"] = "the canary lies there" if (place / "canary").exists() else ""
        found = sorted(strays(place))
        seen["outside"] = seen["outside"] or "; ".join(found)
        command, facts = shown(words, place), {"code": ended.code}
        return Trial("inputs", one.name, seen, command, ended.seconds, ended.peak, facts)
    finally:
        shutil.rmtree(place, ignore_errors=True)
