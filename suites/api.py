"""Holdfast from Python: everything that the command line does.

    from holdfast.suites.api import run, load_run, results, compare

    done = run("coconut_slurp", methods=["coconut", "er"], seeds=3, profile="smoke", overrides={"train.lr": 0.01})
    done.frame                                  # a row a run: suite, profile, method, seed, status, metrics
    trained = load_run(done.folders[0])
    trained.predict([0, 1, 2])                  # rows of the test split
    trained.predict(["one.png", "folder"])      # files of one's own

What is wrong is raised as :class:`~holdfast.suites.config.errors.Fault` (``what``, ``where``, ``next``). Nothing is
printed unless ``verbose=True``: warnings go to the logger ``holdfast``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config.errors import Fault
from .reports.comparing import compare
from .reports.report import report
from .reports.results import Results, results_of
from .reports.tasks import tasks
from .reports.verify import verify
from .runtime import asked
from .runtime.asked import Overrides, out_of
from .runtime.data import check_data, init_data, prepare_data
from .runtime.disk import clean_data, data_root, doctor, list_data, list_runs, removal
from .runtime.generate import generate
from .runtime.pages import ui
from .runtime.predictions import predictions
from .runtime.scaffold import new
from .runtime.slim import slim
from .sweeps.start import run_study, search_space, start_grid, start_study, study_of
from .sweeps.studies import Search, Study

if TYPE_CHECKING:
    from .config.recipe import Recipe
    from .reports.fields import Shown
    from .runtime.console import Console
    from .runtime.loading import TrainedRun

__all__ = ["Fault", "Results", "run", "resume", "results", "load_run", "predict", "slim", "compare", "tasks", "verify"]
__all__ += ["report", "dry_run"]
__all__ += ["list_suites", "list_names", "load_recipe", "show", "copy_recipe", "migrate_recipe", "validate", "new"]
__all__ += ["prepare_data", "check_data", "init_data", "list_data", "clean_data", "data_root", "predictions"]
__all__ += ["Search", "Study", "start_study", "start_grid", "search_space", "study_of", "run_study"]
__all__ += ["list_runs", "removal", "out_of", "ui", "doctor", "sync", "generate"]


# -- recipes -----------------------------------------------------------------------------------------------------------


def list_suites() -> list[dict[str, Any]]:
    """The suites there are: name, title, family, problem, profiles, methods, defaults, paper."""
    from .config import catalog

    return catalog.recipes()


def load_recipe(
    target: str, profile: str | None = None, overrides: Overrides = (), data_root: str | Path | None = None
) -> Recipe:
    """The checked recipe of a suite's name or of a file. Raises Fault with all that is wrong with it.

    Args:
        profile: smoke, demo or paper; None: the recipe without a profile.
        overrides: fields to change, as a mapping by path or as texts ``path=value``.
        data_root: folder (or manifest file) of the real data; None: as the recipe says.
    """
    return asked.recipe(target, profile, overrides, data_root)


def show(target: str, profile: str | None = None, overrides: Overrides = ()) -> Shown:
    """A recipe with the origin of each value and all its fields: ``document()``, ``tables()``, ``text()``."""
    from .reports import fields

    given = asked.texts(overrides)
    return fields.Shown(load_recipe(target, profile, given), str(target), tuple(given))


def list_names(kind: str) -> list[dict[str, Any]]:
    """What a recipe may name: ``methods``, ``datasets``, ``networks`` or ``problems``; name, summary, origin."""
    from .config import listing

    return listing.of(kind)


def copy_recipe(name: str, file: str | Path, *, whole: bool = False, force: bool = False) -> Path:
    """Write a recipe to ``file``, to edit it: a short one that extends the suite, or (``whole``) all that it says.

    Raises Fault where the file is there already and not ``force``.
    """
    from .config import catalog, display

    path = Path(file)
    text = catalog.text(name) if whole else display.extending(name, path)
    if path.exists() and not force:
        raise Fault.usage("the file is there already", str(path), "choose another name, or --force")
    display.write(path, text)
    return path


def migrate_recipe(file: str | Path) -> Path:
    """Rewrite a recipe of schema 1 in place; where the old one is kept. Raises Fault for another schema."""
    from .config import display

    return display.migrate(Path(file))


def validate(target: str | None = None) -> list[dict[str, Any]]:
    """Check a recipe by name or file in all its profiles; None: all suites. Raises Fault for the first with errors."""
    from .config import catalog

    return catalog.validate(None if target is None else str(target))


# -- runs --------------------------------------------------------------------------------------------------------------


def run(
    target: str,
    *,
    methods: Sequence[str] = (),
    seeds: int | Sequence[int] = 1,
    profile: str | None = None,
    overrides: Overrides = (),
    data_root: str | Path | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    tracking_uri: str | None = None,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    into: str | Path | None = None,
    best_of: str | Path | None = None,
    verbose: bool = False,
    console: Console | None = None,
) -> Results:
    """Run a suite, as ``suites run`` does; the numbers are the same.

    Args:
        target: name of a suite, or a recipe file.
        methods: these of the recipe's; empty: its defaults.
        seeds: a count N (seeds 0 to N-1), or the seeds themselves.
        profile: smoke, demo or paper; None: demo of a suite, none of a file.
        overrides: fields of the recipe, ``{"train.lr": 0.01}`` or ``["train.lr=0.01"]``.
        data_root: folder of the real data; None: the recipe's, else the stand-in is generated.
        out: where runs lie; None: ``HOLDFAST_RUNS``, else ``./runs``.
        device: auto, cpu or cuda.
        tracking_uri: MLflow's store; None: ``MLFLOW_TRACKING_URI``, else a file beside the runs.
        workers: runs at a time, each in a process of its own; ``engine`` (local or ray) and ``address`` say where.
        into: an invocation of the same recipe (path, name under ``out``, ``last``): only the runs that it lacks are
            made, in its folder; its profile and device are the defaults.
        best_of: a study (path, or name under ``out``) on another data set of the family: the fields that it chose for
            its method are taken.
        verbose: show progress and warnings.
        console: where they are shown.

    Raises Fault where anything is wrong with the recipe (before a file is written), the data, or a run.
    """
    from .config import catalog, protocol
    from .runtime import extend, invocation
    from .runtime.executors import Workers
    from .sweeps import best_of as studies

    console = console or asked.console(verbose)
    there = None if into is None else extend.opened(into, out_of(out))
    profile = profile or (there.plan["profile"] if there else None)
    recipe = asked.recipe_to_run(target, profile, overrides, data_root, out, device, 1 if there else workers)
    if best_of is not None:
        recipe, methods = studies.applied(recipe, best_of, out_of(out), methods)
    chosen = catalog.chosen_methods(recipe, methods)
    for text in protocol.warnings_of(recipe) if len(chosen) > 1 else ():
        console.warning(text)
    started = invocation.start(
        recipe,
        methods=chosen,
        seeds=asked.numbers(seeds),
        device=device,
        out=out_of(out),
        tracking_uri=tracking_uri,
        console=console,
        workers=Workers(workers, engine, address),
        into=there,
    )
    return results_of([started.document()], recipe)


def dry_run(
    target: str,
    *,
    methods: Sequence[str] = (),
    seeds: int | Sequence[int] = 1,
    profile: str | None = None,
    overrides: Overrides = (),
    data_root: str | Path | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int = 1,
) -> tuple[Recipe, dict[str, Any]]:
    """What :func:`run` would run: the recipe, and sizes, steps and estimates of time, memory and disk from one timed
    step."""
    from .config import catalog
    from .runtime.dry_run import plan

    recipe = asked.recipe_to_run(target, profile, overrides, data_root, out, device, workers)
    chosen = catalog.chosen_methods(recipe, methods)
    return recipe, plan(recipe, methods=chosen, seeds=asked.numbers(seeds), device=device)


def resume(
    target: str | Path = "last",
    *,
    out: str | Path | None = None,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    verbose: bool = False,
    console: Console | None = None,
) -> Results:
    """Finish what is unfinished of an invocation or a run (path, name under ``out``, or ``last``); nothing to do is
    no error."""
    from .runtime import invocation
    from .runtime.executors import Workers

    console = console or asked.console(verbose)
    where = Workers(workers, engine, address)
    resumed = invocation.resume(str(target), out=out_of(out), console=console, workers=where)
    return results_of([resumed.document()], resumed.recipe)


def results(target: str | Path = "last", out: str | Path | None = None) -> Results:
    """Runs that lie on the disk: of an invocation, a run, or a folder of them; a path, a name under ``out``, or
    ``last``."""
    from .runtime import folders
    from .runtime.plan import Invocation

    pairs = [(Invocation(folder), names) for folder, names in folders.of_targets([str(target)], out_of(out).resolve())]
    recipe = pairs[0][0].recipe if len(pairs) == 1 else None
    return results_of([invocation.document(names) for invocation, names in pairs], recipe)


def load_run(target: str | Path, out: str | Path | None = None) -> TrainedRun:
    """A run from its folder (a path, a name under ``out``, or ``last``): ``recipe``, ``method`` with the weights of
    its end, ``model``, ``data``, ``metrics``, and ``predict(batch_or_rows_or_files)``.

    Raises Fault for an invocation of several runs.
    """
    from .runtime.loading import TrainedRun, folder_of

    return TrainedRun(folder_of(str(target), out_of(out)))


def predict(
    target: str | Path,
    files: Sequence[str | Path] = (),
    *,
    split: str | None = None,
    rows: Sequence[int] | None = None,
    top: int = 5,
    level: float = 0.9,
    out: str | Path | None = None,
    verbose: bool = False,
    console: Console | None = None,
) -> Iterator[dict[str, Any]]:
    """What a run says of files, or of rows of its own data, as ``suites predict`` does: a document a row, as
    :meth:`~holdfast.suites.runtime.loading.TrainedRun.documents` describes it; arguments as there and as of
    :func:`load_run`.
    """
    shown = console or asked.console(verbose)
    return load_run(target, out).documents(files, split=split, rows=rows, top=top, level=level, console=shown)


def embed(
    target: str | Path,
    files: Sequence[str | Path] = (),
    *,
    split: str | None = None,
    rows: Sequence[int] | None = None,
    out: str | Path | None = None,
) -> Iterator[dict[str, Any]]:
    """Both representations of files, or of rows of a run's own data, as ``suites embed`` writes them: a document a row
    with ``file`` (and ``line``) or ``split`` and ``row``, and ``common``, ``salient``, ``common_code``,
    ``salient_code``, lists of numbers, as far as the method has them; arguments as of :func:`predict`.
    """
    from .runtime.embed import documents

    return documents(load_run(target, out), files, split, rows)


# -- MLflow ------------------------------------------------------------------------------------------------------------


def sync(path: str | Path | None = None, tracking_uri: str | None = None) -> dict[str, Any]:
    """Deliver to MLflow what it did not take of the runs and studies below ``path`` (by default the folder of the
    runs). After ten minutes, or two answers that did not come within half a minute, it ends with what is
    delivered until then; what is left goes with the next call."""
    from .config import names
    from .runtime import summary
    from .sweeps import outcome
    from .tracking import deadline, delivery

    folder = out_of(path)
    for file in folder.rglob("identity.json"):
        names.refuse_links(file.parent)  # pictures are sent as they are found
    with deadline.within(600.0):
        delivered = delivery.sync(folder, tracking_uri)
        above = summary.deliver_all(folder, tracking_uri)
        return {**delivered, "invocations": above, "studies": outcome.deliver(folder, tracking_uri)}
