"""Invocations and runs on the disk: names, status, lock, and what was there when it ran."""

from __future__ import annotations

import errno
import fcntl
import functools
import json
import os
import platform
import secrets
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from ..config import run_files
from ..config.errors import Fault
from ..config.private import written
from ..tracking.files import write_atomic

PACKAGES = (
    "holdfast",
    "torch",
    "torchaudio",
    "avalanche-lib",
    "speechbrain",
    "numpy",
    "mlflow",
    "scikit-learn",
    "pydantic",
)
ENDED = ("finished", "pruned")  # a run of such a status is never resumed
DAMAGED = "damaged"  # what is said of a run or an invocation whose file cannot be read


def plan_of(invocation: Path, kind: type[run_files.Plan] = run_files.Plan) -> dict[str, Any]:
    """The document ``invocation.json``.

    Raises Fault where it is missing or damaged, or a run of it does not lie in the invocation.
    """
    path = invocation / "invocation.json"
    document: dict[str, Any] = run_files.read(path, kind)
    for name in [run["folder"] for run in document["runs"]]:
        if not (invocation / str(name)).resolve().is_relative_to(invocation.resolve()):
            what = f"a run of this invocation has no folder in it: {name!a}"
            raise Fault.data(what, str(path), run_files.PUT_BACK)
    return document


def write_json(path: Path, document: Any) -> None:
    """Without passwords and the path of home (:func:`holdfast.suites.config.private.written`)."""
    write_atomic(path, (json.dumps(written(document), indent=1, sort_keys=True) + "\n").encode())


def make(folder: Path, what: str) -> None:
    """Make a new folder with those above it. Raises Fault, which calls it ``what``, where that cannot be."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        next_step = "choose another folder with --out DIR or HOLDFAST_RUNS"
        raise Fault.usage(f"cannot make {what}: {error.strerror}", str(folder), next_step) from error


def new_invocation(out: Path, suite: str, document: dict[str, Any]) -> Path:
    """Create ``OUT/<suite>-<UTC time>-<4 hex>/`` with ``invocation.json``. Raises Fault where OUT cannot be written."""
    name = f"{suite}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    folder = out / name
    make(folder, "the folder of the runs")
    write_json(folder / "invocation.json", {**document, "uid": secrets.token_hex(8)})
    return folder


def status(run: Path) -> str:
    """``new``, ``running``, ``finished``, ``pruned``, ``failed`` or ``interrupted``."""
    return str(state_of(run).get("status", "new"))


def state_of(run: Path) -> dict[str, Any]:
    """The document ``run.json``; empty where the run was never begun. Raises Fault where it is damaged."""
    path = run / "run.json"
    if not path.exists() and not path.is_symlink():
        return {}
    next_step = f"put the file back, or make the run anew: suites runs remove {run}; suites resume {run.parent}"
    document: dict[str, Any] = run_files.read(path, run_files.RunState, next_step)
    return document


def look(run: Path) -> tuple[dict[str, Any], str]:
    """:func:`state_of` and no problem; of a damaged one the status ``damaged`` and what is wrong with it."""
    try:
        return state_of(run), ""
    except Fault as fault:
        return {"status": DAMAGED}, fault.what


def invocations(out: Path) -> list[Path]:
    """Invocation folders under OUT, oldest first; trials of studies are among them."""
    patterns = ("*/invocation.json", "study-*/trials/*/invocation.json", "study-*/rerun-*/*/invocation.json")
    parents = [path.parent for pattern in patterns for path in out.glob(pattern)] if out.is_dir() else []
    return sorted(parents, key=lambda folder: (folder / "invocation.json").stat().st_mtime_ns)


def whole(parents: Iterable[Path]) -> Iterator[Path]:
    """Those of these invocations and studies whose files can be read. The others are a warning: one that is damaged
    hides no other."""
    for folder in parents:
        try:
            if (folder / "study.json").exists():
                run_files.read(folder / "study.json", run_files.StudyPlan)
            else:
                unfinished(folder)
        except Fault as fault:
            warnings.warn(f"{folder} is left out: {fault.what} ({Path(fault.where).name})", stacklevel=2)
        else:
            yield folder


def studies(out: Path) -> list[Path]:
    """Folders of studies: OUT itself, or below it, oldest first."""
    parents = [path.parent for pattern in ("study.json", "*/study.json") for path in out.glob(pattern)]
    return sorted(parents, key=lambda folder: (folder / "study.json").stat().st_mtime_ns)


def newest(out: Path, with_studies: bool = True) -> str:
    """What ``last`` means: the newest invocation, or study as a whole, that is not finished, or the newest of all."""
    known = [(folder, not unfinished(folder)) for folder in whole(invocations(out)) if folder.parent == out]
    if with_studies:
        known += [(folder, (folder / "result.json").exists()) for folder in whole(studies(out))]
    if not known:
        what = "there are no runs and no studies here" if with_studies else "there are no runs here"
        raise Fault.usage(what, str(out), "suites run coconut_slurp")
    known.sort(key=lambda pair: min(path.stat().st_mtime_ns for path in pair[0].glob("*.json")))
    open_ones = [folder for folder, finished in known if not finished]
    return str((open_ones or [folder for folder, _ in known])[-1])


def unfinished(invocation: Path) -> list[str]:
    """Names of the runs of an invocation that are not finished."""
    plan = plan_of(invocation)["runs"]
    return [run["folder"] for run in plan if status(invocation / run["folder"]) != "finished"]


def find(target: str, out: Path) -> tuple[Path, list[str]]:
    """(invocation, names of the runs meant) of ``last``, a path, or a name under OUT. Raises Fault where there is
    none."""
    if target == "last":
        target = newest(out, with_studies=False)
    for path in (Path(target), out / target):
        if (path / "invocation.json").exists():
            return path.resolve(), [run["folder"] for run in plan_of(path)["runs"]]
        if (path.parent / "invocation.json").exists():
            planned = [run["folder"] for run in plan_of(path.parent)["runs"]]
            if path.name in planned:  # begun or not
                return path.parent.resolve(), [path.name]
    raise Fault.usage(f"'{target}' is no invocation and no run", str(out), "see what there is: suites runs list")


def of_targets(targets: Sequence[str], out: Path) -> list[tuple[Path, list[str]]]:
    """(invocation, names of its runs) of every target (invocation, run, or folder of them), each invocation once."""
    runs: dict[Path, list[str]] = {}
    for target in targets:
        folder, inside = Path(target), list[Path]()
        if folder.is_dir() and not (folder / "invocation.json").exists():
            inside = list(whole(path for path in invocations(folder) if path.parent.name != "trials"))
        for invocation, names in [find(str(path), out) for path in inside] or [find(target, out)]:
            known = runs.setdefault(invocation, [])
            known += [name for name in names if name not in known]
    return list(runs.items())


def selected(targets: Sequence[str], out: Path, suite: str | None, profile: str | None, latest: bool) -> list[str]:
    """The invocations of ``targets`` (none: all under OUT, trials left out) that are of this suite and profile;
    ``latest``: the newest of them with a finished run. Raises Fault where there is none."""
    if not (suite or profile or latest):
        return list(targets) or ["last"]
    given = [invocation for invocation, _ in of_targets(targets, out)] if targets else whole(invocations(out))
    kept = []
    for invocation in given:
        plan = plan_of(invocation)
        fits = suite in (None, plan.get("suite")) and profile in (None, plan.get("profile"))
        if fits and (targets or invocation.parent == out):
            states = [look(invocation / run["folder"])[0] for run in plan["runs"]]
            finished = any(state.get("status") == "finished" for state in states)
            kept += [str(invocation)] if finished else []
    if not kept:
        wish = " ".join(word for word in (suite or "", f"profile {profile}" if profile else "") if word)
        raise Fault.usage(f"there is no finished run of {wish or 'any suite'}", str(out), "suites runs list")
    return kept[-1:] if latest else kept


def _open_lock(path: Path) -> int:
    """The lock file, made where it is missing. Raises Fault for a symbolic link: we would write where it leads."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise Fault.data("the lock is a symbolic link", str(path), "remove the link, then go on") from error


@contextmanager
def locked(folder: Path, patience: float = 0.0, what: str = "run") -> Iterator[None]:
    """Hold the lock of a run's or a study's folder (``what``): one writer.

    Raises Fault that names the process which holds it, still after ``patience`` seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + patience
    with os.fdopen(_open_lock(folder / "lock"), "r+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() < end:
                    time.sleep(0.1)
                    continue
                file.seek(0)
                holder = file.read().strip() or "unknown"
                next_step = f"wait for it, or stop it (kill {holder}), then resume"
                raise Fault.usage(f"the {what} is live: process {holder} writes it", str(folder), next_step) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@functools.cache
def git_state() -> dict[str, Any]:
    """Commit of the code and whether it was changed when this process first asked; empty where it is no checkout."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return {}


def environment(
    device: str, threads: int, data: dict[str, Any], weights: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What one needs to judge a run's numbers: versions, git state, hardware, threads, data, the run its
    weights are from."""
    import torch

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return {
        "python": sys.version.split()[0],
        "versions": versions,
        "git": git_state(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "threads": threads,
        "data": data,
        **({"weights": weights} if weights else {}),
    }


def list_runs(out: Path) -> list[dict[str, Any]]:
    """All runs under OUT, oldest invocation first. Of a damaged one, or of an invocation that cannot be read (a row
    without method and seed), the status is ``damaged``, and ``problem`` says what is."""
    rows = []
    for invocation in invocations(out):
        name = str(invocation.relative_to(out))
        try:
            document = plan_of(invocation)
        except Fault as fault:
            facts = dict.fromkeys(("suite", "profile", "method", "seed", "mlflow_run_id"))
            rows.append(
                {"invocation": name, **facts, "status": DAMAGED, "folder": str(invocation), "problem": fault.what}
            )
            continue
        for entry in document["runs"]:
            folder = invocation / entry["folder"]
            state, problem = look(folder)
            rows.append(
                {
                    "invocation": name,
                    "suite": document["suite"],
                    "profile": document.get("profile"),
                    "method": entry["method"],
                    "seed": entry["seed"],
                    "status": str(state.get("status", "new")),
                    "folder": str(folder),
                    "mlflow_run_id": state.get("mlflow_run_id"),
                    **({"problem": problem} if problem else {}),
                }
            )
    return rows
