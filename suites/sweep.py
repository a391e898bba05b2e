"""Optuna studies: one driver owns the study and asks and tells; trials are ordinary runs, in workers; all of it survives a kill.

A study's folder: ``study.json`` (the plan), ``optuna.journal`` (Optuna's storage, unless another is named), ``trials/<number>/`` (an
invocation each), ``best.yaml``, ``plots/``. The driver holds the folder's lock.
"""

from __future__ import annotations

import collections
import functools
import json
import math
import os
import re
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from . import build, catalog, engines, folders, search, weights
from .board import Board, values_text
from .engines import Engine, WorkerDiedError
from .errors import Fault
from .invocation import proceed, start
from .recipe import Recipe, digest, load, to_yaml
from .run import Pruned
from .search import Objective

if TYPE_CHECKING:
    from ..datasets.batches import Source
    from .console import Console

ATTEMPTS = 3  # of a trial whose worker dies
PATIENCE = 20.0  # seconds that a trial waits for a dead driver's worker to let go of its folder
EQUAL_FAILURES = 5  # in a row: then the sweep stops


# -- in the worker -------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def _data(key: str, text: str) -> Source:
    """The data of a recipe, kept between a worker's trials; ``key`` names its data and model sections."""
    return build.prepare(load(text, None, []))


def _source(recipe: Recipe) -> Source:
    key = json.dumps([recipe.data.model_dump(), recipe.model.model_dump()], sort_keys=True, default=str)
    return _data(key, to_yaml(recipe))


def warm() -> None:
    """Import in a new worker what its first trial needs, while the driver is still busy."""
    import mlflow.tracking  # noqa: F401

    from ..methods import strategy  # noqa: F401


def run_trial(folder: str, prune: bool, objective: str) -> dict[str, Any]:
    """Run (or take up) the invocation in ``folder``; its metrics and state. Anything that goes wrong is part of the answer."""
    from .console import Console

    invocation = Path(folder)
    (invocation / "worker.pid").write_text(str(os.getpid()))
    document = folders.read_json(invocation / "invocation.json")
    recipe = load(document["recipe"], None, [])
    console = Console(json=True, quiet=True)
    name = document["runs"][0]["folder"]

    def ask(run: Path, rows: list[dict[str, float]]) -> None:
        """Tell the driver what the objective is so far and wait for its word."""
        metric, _, how = objective.rpartition("/")  # of valid/accuracy/average: the mean of valid/accuracy so far
        each, number = [row[metric] for row in rows], len(rows) - 1
        value = sum(each) / len(each) if how == "average" else each[-1]
        question, answer = invocation / f"ask-{number}.json", invocation / f"answer-{number}.json"
        if not answer.exists():
            folders.write_json(question, {"step": number, "value": value})
        while not answer.exists():
            time.sleep(0.02)
        if json.loads(answer.read_text())["prune"]:
            raise Pruned

    try:
        proceed(invocation, None, recipe, _source(recipe), console, ask if prune else None, PATIENCE)
    except Fault as error:
        return {"state": "failed", "error": f"{error.what}", "metrics": {}}
    except Exception as error:
        return {"state": "failed", "error": f"{type(error).__name__}: {error}", "metrics": {}}
    status = folders.status(invocation / name)
    path = invocation / name / "summary.json"
    return {"state": status, "error": None, "metrics": folders.read_json(path) if status == "finished" else {}}


def run_part(invocation: str, name: str) -> str:
    """Run one run of an ordinary invocation in a worker; an error's text, or nothing."""
    from .console import Console

    folder = Path(invocation)
    recipe = load(folders.read_json(folder / "invocation.json")["recipe"], None, [])
    try:
        proceed(folder, [name], recipe, _source(recipe), Console(json=True, quiet=True), patience=PATIENCE)
    except Fault as error:
        return error.what
    return ""


def run_grid(
    invocation: Path,
    wanted: list[str] | None,
    recipe: Recipe,
    console: Console,
    *,
    workers: int,
    engine_name: str,
    address: str | None,
) -> None:
    """The unfinished runs of an invocation (``wanted``: these of them) on several workers; raises Fault where some failed."""
    names = [name for name in folders.unfinished(invocation) if wanted is None or name in wanted]
    runners = engines.engine(
        engine_name, min(workers, max(1, len(names))), threads=recipe.train.threads or 1, address=address,
        cpus=recipe.sweep.cpus, gpus=recipe.sweep.gpus,
    )  # fmt: skip
    attempts: collections.Counter[str] = collections.Counter()
    queue, running, failed = list(names), {}, {}  # type: ignore[var-annotated]
    try:
        while queue or running:
            for slot in range(runners.slots):
                if queue and slot not in [s for s, _ in running.values()]:
                    name = queue.pop(0)
                    running[runners.submit(slot, run_part, str(invocation), name)] = (slot, name)
            done, _ = wait(list(running), return_when=FIRST_COMPLETED)
            for future in done:
                slot, name = running.pop(future)
                try:
                    problem = future.result()
                except WorkerDiedError as error:
                    runners.repair(slot)
                    attempts[name] += 1
                    problem = str(error) if attempts[name] >= ATTEMPTS else None
                    if problem is None:
                        queue.append(name)
                        continue
                if problem:
                    failed[name] = problem
                console.note(f"{name}: {problem or 'finished'}")
    finally:
        runners.close()
    if failed:
        what = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
        raise Fault(code="run_failed", what=what, where=str(invocation), next=f"suites resume {invocation}")


# -- the study -----------------------------------------------------------------------------------------------------------


@dataclass
class Study:
    """A study's folder and what it is told to do."""

    folder: Path
    plan: dict[str, Any]

    @property
    def recipe(self) -> Recipe:
        return load(self.plan["recipe"], None, [])

    @property
    def objectives(self) -> list[Objective]:
        return [Objective(**o) for o in self.plan["objectives"]]

    def trial_folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"

    def save(self) -> None:
        """Write the plan. A storage's URL may hold a password: for the owner alone."""
        folders.write_json(self.folder / "study.json", self.plan)
        (self.folder / "study.json").chmod(0o600)


def create(
    recipe: Recipe, *, methods: Sequence[str], trials: int | None, sampler: str | None, pruner: str | None, objectives: Sequence[str],
    seed: int, device: str, out: Path, name: str | None, storage: str | None, tracking_uri: str | None,
) -> Study:  # fmt: skip
    """A new study's folder with its plan. Raises Fault with what is wrong with the search."""
    from .tracking import resolve_uri

    catalog.resolve(recipe)
    method = search.method_of(recipe, methods)
    ranges = search.space(recipe, method)
    wanted = search.objectives(recipe, objectives)
    sampler, pruner = sampler or recipe.sweep.sampler, pruner or recipe.sweep.pruner
    for given, known, option in (
        (sampler, ("tpe", "random", "grid", "cmaes", "nsga2"), "--sampler"),
        (pruner, ("none", "median", "hyperband"), "--pruner"),
    ):
        if given not in known:
            from .recipe import suggestion

            raise Fault(
                code="usage",
                what=f"unknown {option[2:]} '{given}'{suggestion(given, known)}",
                where=option,
                next=f"{option} {known[0]}",
            )
    if pruner != "none" and len(wanted) > 1:
        raise Fault(
            code="usage",
            what="Optuna cannot prune several objectives",
            where="--pruner",
            next="leave --pruner out, or name one --objective",
        )
    if pruner != "none" and not wanted[0].name.startswith("valid/"):
        raise Fault(
            code="usage",
            what="pruning needs an objective that is measured after every experience",
            where="--pruner",
            next="--objective valid/accuracy/average",
        )
    points = search.grid(ranges) if sampler == "grid" else None
    search.sampler(sampler, 0)
    count = trials or (len(points) if points else recipe.sweep.trials)
    if points is not None:
        count = min(count, len(points))
    if recipe.train.threads == 0:
        recipe = search.apply(recipe, {"train.threads": recipe.sweep.threads})
    out = out.resolve()
    label = name or f"{recipe.name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    if not all(c.isalnum() or c in "-_." for c in label):
        raise Fault(
            code="usage",
            what=f"'{label}' is no name for a study (letters, digits, - _ .)",
            where="--study",
            next="--study tuned",
        )
    folder = out / (f"study-{label}")
    if (folder / "study.json").exists():
        raise Fault(
            code="usage",
            what="there is a study of this name",
            where=str(folder),
            next=f"suites sweep ... --study {label} --resume, or another name",
        )
    folders.make(folder / "trials", "the study's folder")
    plan = {
        "schema": 1, "study": label, "uid": secrets.token_hex(8), "suite": recipe.name, "recipe": to_yaml(recipe), "method": method,
        "params": {path: r.model_dump(exclude_none=True) for path, r in ranges.items()}, "objectives": [vars(o) for o in wanted],
        "trials": count, "sampler": sampler, "pruner": pruner, "seed": seed, "device": build.device_of(device), "storage": storage,
        "tracking_uri": resolve_uri(out, tracking_uri), "git": folders.git_state(),
    }  # fmt: skip
    made = Study(folder, plan)
    made.save()
    return made


def find(target: str, out: Path) -> Study | None:
    """The study at a path, or of a name under OUT; None where there is none."""
    for path in (Path(target), out / target, out / f"study-{target}"):
        if (path / "study.json").exists():
            return Study(path.resolve(), folders.read_json(path / "study.json"))
    return None


def _public(storage: Any) -> str:
    """A storage's URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", str(storage))


class _OwnLock:
    """Optuna's journal file is locked by our lock on the folder: nobody waits for a dead process's."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None: ...


def _open(study: Study) -> Any:
    """Optuna's study; a torn last line of its journal is cut first."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage: Any = study.plan["storage"]
    if storage is None:
        path = study.folder / "optuna.journal"
        if path.exists():
            data = path.read_bytes()
            if not data.endswith(b"\n") and data:
                with path.open("r+b") as file:
                    file.truncate(data.rfind(b"\n") + 1)
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_OwnLock()))  # type: ignore[arg-type, unused-ignore]
    try:
        made = optuna.create_study(
            storage=storage, study_name=study.plan["study"], directions=[o.direction for o in study.objectives], load_if_exists=True,
            pruner=search.pruner(study.plan["pruner"]), sampler=search.sampler("random", 0),
        )  # fmt: skip
        owner = made.user_attrs.get("holdfast.uid")
        if owner is None and not made.get_trials(deepcopy=False):
            made.set_user_attr("holdfast.uid", study.plan["uid"])
            owner = study.plan["uid"]
    except Exception as error:
        raise Fault(
            code="usage",
            what=f"the storage does not answer: {_public(str(error).splitlines()[0])}",
            where=_public(storage),
            next="--storage URL of a database that runs",
        ) from error
    if owner != study.plan["uid"]:
        raise Fault(
            code="usage",
            what=f"the storage holds another study named '{study.plan['study']}'",
            where=_public(storage),
            next="--study another name",
        )
    return made


def _ask(study: Study, optuna_study: Any, number: int, trial: Any = None) -> tuple[Any, dict[str, Any]]:
    """The trial ``number`` with its values; ``trial`` is one that a killed driver had begun.

    The sampler is seeded from (seed, number) before every ask and from (seed, number, path) before every value: a re-created one would
    draw its first values again.
    """
    from optuna.trial import TrialState

    from ..datasets.batches import derive

    plan = study.plan
    ranges = search.parse_ranges(plan["params"])
    optuna_study.sampler = search.sampler(plan["sampler"], derive(plan["seed"], f"trial/{number}") % 2**31)
    if trial is None:
        if plan["sampler"] == "grid" and not optuna_study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            optuna_study.enqueue_trial(search.grid(ranges)[number])
        trial = optuna_study.ask()
    values = {}
    for path, distribution in search.distributions(
        ranges
    ).items():  # a value drawn before a kill stays; the others do not shift
        optuna_study.sampler = search.sampler(plan["sampler"], derive(plan["seed"], f"trial/{number}/{path}") % 2**31)
        values[path] = trial._suggest(path, distribution)
    return trial, values


def _prepare_trial(study: Study, number: int, values: Mapping[str, Any]) -> Path:
    """The trial's invocation folder; as it is where it was begun."""
    folder = study.trial_folder(number)
    if (folder / "invocation.json").exists():
        return folder
    plan, recipe = study.plan, search.apply(study.recipe, values)
    folder.mkdir(parents=True, exist_ok=True)
    source = _source(recipe)  # a trial may have other data (a fraction, say)
    folders.write_json(
        folder / "invocation.json",
        {
            "schema": 1, "suite": recipe.name, "profile": recipe.profile, "recipe": to_yaml(recipe), "recipe_digest": digest(recipe),
            "device": plan["device"], "tracking_uri": plan["tracking_uri"], "data": {"source": source.source, "checksum": source.checksum},
            "git": folders.git_state(), "uid": secrets.token_hex(8),
            "trial": {"study": plan["study"], "study_uid": plan["uid"], "number": number, "params": dict(values)},
            "runs": [{"method": plan["method"], "seed": plan["seed"], "folder": f"{plan['method']}-s{plan['seed']}"}],
        },
    )  # fmt: skip
    return folder


def drive(
    study: Study,
    console: Console,
    *,
    workers: int,
    engine_name: str = "local",
    address: str | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Ask, run and tell until the plan's trials are done; returns the document of ``suites sweep``."""
    with folders.locked(study.folder, what="study"):
        return _drive(study, console, workers, engine_name, address, timeout)


def _drive(
    study: Study, console: Console, workers: int, engine_name: str, address: str | None, timeout: float | None
) -> dict[str, Any]:
    from optuna.trial import Trial, TrialState

    plan, recipe = study.plan, study.recipe
    prune = plan["pruner"] != "none"
    main = plan["objectives"][0]["name"]
    optuna_study = _open(study)
    known = optuna_study.get_trials(deepcopy=False)
    unfinished = [t for t in known if t.state == TrialState.RUNNING]
    end = time.monotonic() + timeout if timeout else math.inf
    failures: list[str] = []
    if len(known) < plan["trials"] or unfinished:
        runners: Engine = engines.engine(
            engine_name, workers, threads=recipe.train.threads or 1, address=address, cpus=recipe.sweep.cpus, gpus=recipe.sweep.gpus
        )  # fmt: skip
        board = Board(plan["study"], max(plan["trials"], len(known)), workers)
        board.states |= {t.number: _state(t) for t in known if t.state.is_finished()}
        board.best = _best(study, optuna_study)
        running: dict[Future[Any], tuple[int, Any, Path]] = {}
        attempts: collections.Counter[int] = collections.Counter()
        waiting = [(t.number, Trial(optuna_study, t._trial_id)) for t in unfinished]
        again: list[tuple[Any, Path]] = []
        asked = len(known)
        try:
            runners.warm(warm)
            _prepare_data(study, console)
            threading.Thread(target=_ahead, args=(study,), daemon=True).start()
            with board.live(console):
                while True:
                    for slot in range(runners.slots):
                        if slot in [s for s, _, _ in running.values()] or time.monotonic() > end:
                            continue
                        if again:
                            trial, folder = again.pop(0)
                        elif waiting:
                            number, trial = waiting.pop(0)
                            trial, values = _ask(study, optuna_study, number, trial)
                            folder = _prepare_trial(study, number, values)
                        elif asked < plan["trials"]:
                            trial, values = _ask(study, optuna_study, asked)
                            asked += 1
                            folder = _prepare_trial(study, trial.number, values)
                        else:
                            continue
                        running[runners.submit(slot, run_trial, str(folder), prune, main)] = (slot, trial, folder)
                        board.begin(trial.number, trial.params)
                    if not running:
                        break
                    done, _ = wait(list(running), timeout=0.02 if prune else None, return_when=FIRST_COMPLETED)
                    if prune:
                        for _, trial, folder in running.values():
                            _decide(trial, folder, board)
                    for future in done:
                        slot, trial, folder = running.pop(future)
                        try:
                            answer = future.result()
                        except WorkerDiedError as error:
                            runners.repair(slot)
                            attempts[trial.number] += 1
                            if attempts[trial.number] < ATTEMPTS:
                                again.append((trial, folder))
                                continue
                            answer = {"state": "failed", "error": str(error), "metrics": {}}
                        problem = _tell(study, optuna_study, trial, answer)
                        board.end(trial.number, _state(optuna_study.get_trials(deepcopy=False)[trial.number]), problem)
                        board.best = _best(study, optuna_study)
                        console.note(board.line(trial.number, problem or answer["state"]))
                        failures = [*failures, re.sub(r"[-+.\de]*\d[-+.\de]*", "#", problem)] if problem else []
                        if len(failures) >= EQUAL_FAILURES and len(set(failures[-EQUAL_FAILURES:])) == 1:
                            raise Fault(
                                code="run_failed",
                                what=f"{EQUAL_FAILURES} trials in a row failed alike: {problem}",
                                where=str(study.folder),
                                next=f"narrow the ranges (sweep.params), then: suites resume {plan['study']}",
                            )
        except KeyboardInterrupt as error:
            raise Fault(
                code="interrupted",
                what="stopped; the trials keep their last checkpoints",
                where=str(study.folder),
                next=f"suites resume {study.folder}",
            ) from error
        finally:
            runners.close()
    document = report(study, optuna_study)
    _outcome(study, optuna_study, document, console)
    states = {t.state for t in optuna_study.get_trials(deepcopy=False)}
    if states == {TrialState.FAIL}:
        raise Fault(
            code="run_failed",
            what=f"every trial failed: {document['trials'][-1]['error']}",
            where=str(study.folder),
            next="narrow the ranges (sweep.params), and sweep again",
        )
    return document


def _ahead(study: Study) -> None:
    """While the driver waits for its first trials: import what the study's end needs, and make the store's tables."""
    with suppress(Exception):  # whoever needs them meets the error
        import sklearn.ensemble  # noqa: F401
        from optuna.visualization import matplotlib  # noqa: F401

        from .tracking import make_local_store

        make_local_store(study.plan["tracking_uri"])


def _state(trial: Any) -> str:
    """Of a trial of Optuna's, in the words of :data:`board.STATES`."""
    name = str(trial.state.name.lower())
    return "failed" if name == "fail" else name


def _best(study: Study, optuna_study: Any) -> str:
    """The best trial so far, for the board; several objectives have a front instead."""
    from optuna.trial import TrialState

    if not optuna_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return ""
    if len(study.objectives) > 1:
        return f"front of {len(optuna_study.best_trials)} trials"
    best = optuna_study.best_trial
    return f"{best.value:.4f} (trial {best.number}: {values_text(best.params)})"


def _prepare_data(study: Study, console: Console) -> None:
    """Make the data here, once; it must be the data that the study was begun on. Warns where the code is another."""
    build.device_of(study.plan["device"])
    with console.progress("preparing data"):
        source = _source(study.recipe)
    weights.check(study.recipe, [study.plan["method"]], [study.plan["seed"]], source)
    if "data" not in study.plan:
        study.plan["data"] = {"source": source.source, "checksum": source.checksum}
        study.save()
    elif study.plan["data"]["checksum"] != source.checksum:
        raise Fault(
            code="data",
            what="the data is not what this study was begun on (its checksum differs): values would not be comparable",
            where=str(study.folder),
            next="put the data back as it was, or begin another study",
        )
    if study.plan["git"] != folders.git_state():
        console.warning(
            f"the code changed since the study was begun: then {study.plan['git']}, now {folders.git_state()}"
        )


def _decide(trial: Any, folder: Path, board: Board) -> None:
    """Answer what a trial's worker asks: report the value, and say whether it is to stop."""
    for question in sorted(folder.glob("ask-*.json")):
        answer = folder / question.name.replace("ask", "answer")
        if answer.exists():
            continue
        with suppress(ValueError):  # being written
            asked = json.loads(question.read_text())
            trial.report(asked["value"], asked["step"])
            board.report(trial.number, asked["step"], asked["value"])
            folders.write_json(answer, {"prune": bool(trial.should_prune())})


def _tell(study: Study, optuna_study: Any, trial: Any, answer: dict[str, Any]) -> str | None:
    """Tell Optuna how a trial ended and read it back; what went wrong, if something did."""
    from optuna.trial import TrialState

    problem = answer["error"]
    if answer["state"] == "pruned":
        state, values = TrialState.PRUNED, None
    elif problem:
        state, values = TrialState.FAIL, None
        trial.set_user_attr("error", problem[:1000])
    else:
        values = [answer["metrics"].get(o.name, math.nan) for o in study.objectives]
        missing = [o.name for o in study.objectives if o.name not in answer["metrics"]]
        if missing:
            problem = f"no metric {', '.join(missing)} (there are: {', '.join(sorted(k for k in answer['metrics'] if k.startswith(('valid/', 'cost/'))))})"
        elif not all(map(math.isfinite, values)):
            problem = "the objective is not finite"
        state = TrialState.FAIL if problem else TrialState.COMPLETE
        if problem:
            trial.set_user_attr("error", problem)
            values = None
    optuna_study.tell(trial.number, values, state=state)
    held = optuna_study.get_trials(deepcopy=False)[trial.number]
    if held.state != state:
        raise Fault(
            code="run_failed",
            what=f"the storage did not keep the result of trial {trial.number}",
            where=_public(study.plan["storage"] or study.folder),
            next="suites resume STUDY",
        )
    return str(problem) if problem else None


def report(study: Study, optuna_study: Any) -> dict[str, Any]:
    """The document of ``suites sweep``."""
    single = len(study.objectives) == 1
    rows = []
    for t in optuna_study.get_trials(deepcopy=False):
        row: dict[str, Any] = {
            "number": t.number,
            "params": dict(t.params),
            "state": t.state.name.lower(),
            "folder": str(study.trial_folder(t.number)),
        }
        row |= {"value": t.value} if single else {"values": t.values}
        row["error"] = t.user_attrs.get("error")
        rows.append(row)
    complete = [row for row in rows if row["state"] == "complete"]
    if single:
        sign = 1 if study.objectives[0].direction == "maximize" else -1
        best: Any = max(complete, key=lambda row: (sign * row["value"], -row["number"])) if complete else None
    else:
        front = {t.number for t in optuna_study.best_trials} if complete else set()
        best = [row for row in complete if row["number"] in front]
    return {
        "study": study.plan["study"], "out": str(study.folder), "suite": study.plan["suite"], "method": study.plan["method"],
        "objectives": study.plan["objectives"], "trials": rows, "best": best,
    }  # fmt: skip


def best_recipe(study: Study, row: Mapping[str, Any]) -> Recipe:
    """The recipe with a trial's values, as ``suites run`` takes it."""
    recipe = search.apply(study.recipe, row["params"])
    return load(to_yaml(recipe), None, [f"defaults=[{study.plan['method']}]"])


def _outcome(study: Study, optuna_study: Any, document: dict[str, Any], console: Console) -> None:
    """``best.yaml`` (one a point of the front), ``study-result.json``, pictures; then the study's own MLflow run."""
    best = document["best"]
    chosen = [] if not best else best if isinstance(best, list) else [best]
    for row in chosen:
        name = "best.yaml" if len(chosen) == 1 else f"best-{row['number']:04d}.yaml"
        text = f"# Trial {row['number']} of the study {study.plan['study']}: {yaml.safe_dump(row['params'], default_flow_style=True).strip()}\n"
        document_yaml = yaml.safe_load(to_yaml(best_recipe(study, row)))
        document_yaml.pop("profile", None)
        (study.folder / name).write_text(text + yaml.safe_dump(document_yaml, sort_keys=False, width=120))
    folders.write_json(study.folder / "result.json", document)
    _pictures(study, optuna_study, console)
    problem = parent_run(study, document)
    if problem:
        console.warning(f"the study's summary is not in MLflow ({problem}): suites sync {study.folder}")


def _pictures(study: Study, optuna_study: Any, console: Console) -> None:
    """History, importances, slices, or the Pareto front, as PNG files."""
    import warnings

    from optuna.trial import TrialState

    if sum(t.state == TrialState.COMPLETE for t in optuna_study.get_trials(deepcopy=False)) < 2:
        return
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as draw

    folder = study.folder / "plots"
    folder.mkdir(exist_ok=True)
    if len(study.objectives) == 1:
        pictures = {
            "history": draw.plot_optimization_history,
            "slice": draw.plot_slice,
            "importances": draw.plot_param_importances,
        }
    else:
        pictures = {"pareto": draw.plot_pareto_front} if len(study.objectives) <= 3 else {}
    for name, make in pictures.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                make(optuna_study)
                pyplot.gcf().savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")
        except Exception as error:  # equal values leave nothing to rank
            console.note(f"no picture of {name}: {error}")
        finally:
            pyplot.close("all")


def parent_run(study: Study, document: dict[str, Any], uri: str | None = None) -> str | None:
    """The study's own run in MLflow: its best value, recipes and pictures; what went wrong, where a store does not answer."""
    from .tracking import study_summary

    best = document["best"]
    values = {} if not isinstance(best, dict) else {f"best/{study.objectives[0].name}": best["value"]}
    params = {
        "method": study.plan["method"],
        "sampler": study.plan["sampler"],
        "pruner": study.plan["pruner"],
        "trials": str(len(document["trials"])),
    }
    paths = [
        study.folder / "result.json",
        study.folder / "plots",
        *study.folder.glob("best*.yaml"),
    ]
    return study_summary(
        uri or study.plan["tracking_uri"],
        study.plan["suite"],
        study.plan["uid"],
        study.plan["study"],
        values,
        params,
        [p for p in paths if p.exists()],
    )


def rerun_best(study: Study, document: dict[str, Any], seeds: int, console: Console) -> dict[str, Any]:
    """The best recipe beside the untuned one on test, with seeds that no trial used: means and the paired difference with its 95 % interval."""
    if not isinstance(document["best"], dict):
        raise Fault(
            code="usage",
            what="there is no single best trial",
            where="--rerun-best",
            next="run one of the best-*.yaml files",
        )
    main = catalog.problem(study.recipe.problem).main
    fresh = [study.plan["seed"] + 1000 + i for i in range(seeds)]
    out: dict[str, Any] = {"seeds": fresh, "metric": f"{main}/average"}
    for name, recipe in (("best", best_recipe(study, document["best"])), ("default", study.recipe)):
        result = start(
            recipe, methods=[study.plan["method"]], seeds=fresh, device=study.plan["device"], out=study.folder / f"rerun-{name}",
            tracking_uri=study.plan["tracking_uri"], console=console,
        )  # fmt: skip
        out[name] = [run["metrics"][f"{main}/average"] for run in result["runs"]]
    difference = [a - b for a, b in zip(out["best"], out["default"], strict=True)]
    mean = sum(difference) / len(difference)
    out["difference"] = {"mean": mean, "each": difference}
    if len(difference) > 1:
        from scipy.stats import t

        spread = math.sqrt(sum((d - mean) ** 2 for d in difference) / (len(difference) - 1) / len(difference))
        half = float(t.ppf(0.975, len(difference) - 1)) * spread
        out["difference"] |= {"low": mean - half, "high": mean + half}
    return out
