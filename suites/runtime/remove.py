"""``suites runs remove``: what of a run's or an invocation's folder is ours and may go; the rest is named and stays."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from ...datasets.core import removal
from ..config import run_files
from ..config.errors import Fault
from ..config.names import plain
from ..tracking.journal import SENT
from . import folders
from .progress import FILE as PROGRESS
from .recipes import CODE
from .shards import FOLDER as PREDICTIONS
from .shards import NAME as SHARD

RUN_FILES = {
    *("run.json", "recipe.yaml", "environment.json", "identity.json", "tracker.json", "model.json", "data.json"),
    *("journal.jsonl", SENT, "matrix.csv", "summary.json", "log.txt", "lock", PROGRESS),
}
INVOCATION_FILES = {"invocation.json", "worker.pid"}
_QUESTION = re.compile(r"(ask|answer)-\d+\.json")  # of a trial that a pruner watches
_UNFINISHED = re.compile(r"\.(?P<name>.+?)(\.\d+)?\.part")  # a file that a killed process was writing
PICTURES = {".png", ".pdf", ".csv", ".txt"}  # and coordinates of one, and alignments of words
EXPORT = "export"  # what a method writes for other programs
EXPORTED = {"README.md", "adapter_config.json", "adapter_model.safetensors", "head.safetensors"}
_CHECKPOINT = re.compile(r"\d+\.(pt|json)")


@dataclass(frozen=True)
class Target:
    """A folder that may be removed: what it is, and what would go and stay."""

    folder: Path
    kind: str
    runs: tuple[Path, ...]
    plan: removal.Plan

    def carry_out(self) -> None:
        """Remove, with the locks of all its runs held. Raises Fault where a process writes one."""
        with ExitStack() as locks:
            for run in self.runs:
                if (run / "lock").is_file() and not (run / "lock").is_symlink():
                    locks.enter_context(folders.locked(run))
            self.plan.carry_out()


def target_of(path: Path, out: Path, again: Path | None = None) -> Target:
    """What ``path`` is. ``again``: the same path once more, which a folder outside OUT needs.

    Raises Fault where it is no run or invocation of ours, a link to one, or lies outside OUT and was named once.
    """
    if path.is_symlink():
        raise Fault.usage("a symbolic link is no run", str(path), f"name the folder: {path.resolve()}")
    folder = path.resolve()
    if _marked(folder):
        runs = tuple(folder / run["folder"] for run in folders.plan_of(folder)["runs"])
        kind, ours = "invocation", _of_invocation({run.name for run in runs})
    elif _is_run(folder):
        kind, runs, ours = "run", (folder,), _of_run
    else:
        raise Fault.usage(f"'{path}' is no invocation and no run", str(path), "see what there is: suites runs list")
    inside = folder != out.resolve() and folder.is_relative_to(out.resolve())
    if not inside and (again is None or again.resolve() != folder):
        what = f"the {kind} lies outside the folder of the runs ({out.resolve()})"
        raise Fault.usage(what, str(folder), f"name it a second time: suites runs remove {path} --outside {path}")
    return Target(folder, kind, runs, removal.plan(folder, lambda part, is_folder: ours(part.parts, is_folder)))


def _document(path: Path) -> dict[str, Any]:
    """A JSON object of schema 1; empty for anything else, a link too."""
    if path.is_symlink() or not path.is_file():
        return {}
    by_hand = f"put the file back as it was; or, where it is yours to remove, look at it, then: rm -r {path.parent}"
    document = run_files.read(path, next_step=by_hand)
    return document if isinstance(document, dict) and document.get("schema") == 1 else {}


def _marked(folder: Path) -> bool:
    """Whether the folder is an invocation of ours."""
    document = _document(folder / "invocation.json")
    return plain(document.get("suite")) and all(isinstance(document.get(key), str) for key in ("uid", "recipe"))


def _is_run(folder: Path) -> bool:
    """Whether the folder is a run of ours: of the invocation that it lies in, or by its own ``run.json``."""
    if not folder.is_dir():
        return False
    if _marked(folder.parent):
        return folder.name in [run["folder"] for run in folders.plan_of(folder.parent)["runs"]]
    state = _document(folder / "run.json")
    return plain(state.get("method")) and all(isinstance(state.get(key), str) for key in ("uid", "status", "suite"))


def _of_run(parts: tuple[str, ...], is_folder: bool) -> bool:
    """Whether a path within a run's folder is one that we write."""
    name = _UNFINISHED.sub(r"\g<name>", parts[-1])
    if len(parts) == 1:
        return name in ({"plots", "checkpoint", PREDICTIONS, CODE, EXPORT} if is_folder else RUN_FILES)
    if len(parts) != 2 or is_folder:
        return False
    if parts[0] == EXPORT:
        return name in EXPORTED
    if parts[0] == PREDICTIONS:
        return SHARD.fullmatch(name) is not None
    if parts[0] in ("plots", CODE):
        return PurePath(name).suffix in (PICTURES if parts[0] == "plots" else {".py"})
    return _CHECKPOINT.fullmatch(name) is not None


def _of_invocation(runs: set[str]) -> Any:
    def ours(parts: tuple[str, ...], is_folder: bool) -> bool:
        if parts[0] in runs:
            return is_folder if len(parts) == 1 else _of_run(parts[1:], is_folder)
        name = _UNFINISHED.sub(r"\g<name>", parts[-1])
        if len(parts) == 1:
            return name == "plots" if is_folder else name in INVOCATION_FILES or _QUESTION.fullmatch(name) is not None
        return parts[0] == "plots" and len(parts) == 2 and not is_folder and PurePath(name).suffix in PICTURES

    return ours
