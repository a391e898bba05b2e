"""Studies and grids from Python: begun, found, run. Part of :mod:`holdfast.suites.api`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.errors import Fault
from ..runtime import asked
from ..runtime.asked import Overrides, out_of
from . import studies
from .studies import Search, Study

if TYPE_CHECKING:
    from ..runtime.console import Console


def start_study(
    target: str,
    search: Search,
    *,
    profile: str | None = None,
    overrides: Overrides = (),
    data_root: str | Path | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
) -> Study:
    """A new Optuna study of a suite; :func:`run_study` runs its trials."""
    recipe = asked.recipe_to_run(target, profile, overrides, data_root, out, device)
    return studies.create(recipe, search, device=device, out=out_of(out), tracking_uri=tracking_uri)


def start_grid(
    target: str,
    strengths: Sequence[str] | Mapping[str, Sequence[float]],
    *,
    methods: Sequence[str] = (),
    seeds: int | Sequence[int] = 1,
    profile: str | None = None,
    overrides: Overrides = (),
    data_root: str | Path | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int = 1,
    tracking_uri: str | None = None,
    name: str | None = None,
    many: bool = False,
) -> Study:
    """A new grid of a suite, a study that selects nothing; :func:`run_study` runs its points, and :func:`resume` of
    the command line goes on with it.

    Args:
        strengths: numeric fields of ``data.options`` with their values, ``{"bias": [0, 0.5, 1]}`` or
            ``["bias=0:0.5:1"]``; with ``methods`` and ``seeds`` all combinations are run.
        name: of the study; None: suite, time and a random ending.
        many: more than 500 points are meant.
        workers: those of :func:`run_study`, which decide the threads of a recipe that leaves them open.
    """
    from . import grid

    if isinstance(strengths, Mapping):
        strengths = [f"{field}={':'.join(map(str, values))}" for field, values in strengths.items()]
    recipe = asked.recipe_to_run(target, profile, overrides, data_root, out, device, workers)
    where: dict[str, Any] = {"device": device, "out": out_of(out), "tracking_uri": tracking_uri}
    return grid.create(recipe, strengths, methods, asked.numbers(seeds), **where, name=name, many=many)


def search_space(
    target: str,
    methods: Sequence[str] = (),
    *,
    profile: str | None = None,
    overrides: Overrides = (),
    data_root: str | Path | None = None,
    out: str | Path | None = None,
) -> dict[str, str]:
    """What a study of a suite would search: path -> values, in words."""
    from . import search

    recipe = asked.recipe_to_run(target, profile, overrides, data_root, out)
    return dict(search.describe(search.space(recipe, search.method_of(recipe, methods))))


def study_of(target: str | Path, out: str | Path | None = None, storage: str | None = None) -> Study | None:
    """The study at a path, of a name under ``out``, or ``last``; None where that is no study."""
    from ..runtime import folders

    runs = out_of(out).resolve()
    return studies.find(folders.newest(runs) if target == "last" else str(target), runs, storage)


def run_study(
    study: Study,
    *,
    trials: int | None = None,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    timeout: float | None = None,
    rerun_seeds: int = 0,
    verbose: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Run what is left of a study, as ``suites sweep`` does; its document: ``trials``, ``best``, ``importances``.

    Args:
        trials: trials in all; None: as planned.
        timeout: seconds after which no trial is begun.
        rerun_seeds: run the best and the untuned recipe on so many fresh seeds, and say which is better.
    """
    from ..runtime.executors import Workers
    from . import outcome, sweep

    if study.is_grid and (trials is not None or rerun_seeds):
        what, where = "a grid has all its points, and no best one to run again", str(study.folder)
        raise Fault.usage(what, where, f"suites resume {study.folder.name}")
    if trials is not None and trials != study.plan["trials"]:
        study.plan["trials"] = trials
        study.save()
    console = console or asked.console(verbose)
    document = sweep.drive(study, console, Workers(workers, engine, address), timeout)
    if rerun_seeds:
        document["rerun"] = outcome.rerun_best(study, document, rerun_seeds, console)
        outcome.keep_rerun(study, document, console)
    return document
