"""The driver of a study: asks Optuna for values, gives trials to workers, records what came out. It survives a kill,
and so do they.

A trial is an ordinary invocation in a folder of the study; the driver alone touches Optuna's storage.
"""

from __future__ import annotations

import collections
import math
import re
import secrets
import threading
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import run_files
from ..config.errors import Fault
from ..config.names import refuse_links
from ..config.recipe import digest, to_yaml
from ..runtime import build, folders, jobs, messages, recipes
from ..runtime import executors as engines
from ..runtime import warm_start as weights
from ..runtime.board import duration, shown, values_text
from ..runtime.executors import ATTEMPTS, HERE, Engine, Workers
from ..runtime.local import WorkerDiedError
from ..tracking.store import make_local_store
from . import attributes, outcome, points, search
from .board import TrialBoard
from .studies import Study, open_storage

if TYPE_CHECKING:
    from ..runtime.console import Console

EQUAL_FAILURES = 5  # in a row: then the sweep stops
NARROW = "narrow the ranges (sweep.params)"
WRONG = "see log.txt of the trials"  # of a grid, whose values were asked for


def drive(study: Study, console: Console, workers: Workers = HERE, timeout: float | None = None) -> dict[str, Any]:
    """Ask, run and record until the plan's trials are done; returns the document of ``suites sweep``.

    ``timeout``: seconds after which no trial is begun.
    """
    from optuna.trial import TrialState

    refuse_links(study.folder)
    with folders.locked(study.folder, what="study"):
        with console.progress(f"study {study.plan['study']}: loading libraries"):
            optuna_study = open_storage(study)
            messages.adopt()
        trials = optuna_study.get_trials(deepcopy=False)
        if len(trials) < study.plan["trials"] or any(t.state == TrialState.RUNNING for t in trials):
            _Driver(study, optuna_study, console, workers, timeout).run()
        document = (points if study.is_grid else outcome).conclude(study, optuna_study, console)
        if {t.state for t in optuna_study.get_trials(deepcopy=False)} == {TrialState.FAIL}:
            what = f"every trial failed: {document['trials'][-1]['error']}"
            next_step = WRONG if study.is_grid else f"{NARROW}, and sweep again"
            raise Fault.run_failed(what, str(study.folder), next_step)
        return document


class _Driver:
    """The trials of a study that are not finished, on an engine's workers."""

    def __init__(
        self, study: Study, optuna_study: Any, console: Console, workers: Workers, timeout: float | None
    ) -> None:
        from optuna.trial import Trial, TrialState

        self.study, self.optuna_study, self.console = study, optuna_study, console
        self.prune = study.plan["pruner"] != "none"
        self.end = time.monotonic() + timeout if timeout else math.inf
        recipe, trials = study.recipe, optuna_study.get_trials(deepcopy=False)
        threads = recipe.train.threads or 1
        self.engine: Engine = engines.engine(workers, threads=threads, cpus=recipe.sweep.cpus, gpus=recipe.sweep.gpus)
        self.board = TrialBoard(study.plan["study"], max(study.plan["trials"], len(trials)), workers.count)
        self.board.states |= {t.number: _state(t) for t in trials if t.state.is_finished()}
        self.board.best = _best(study, optuna_study)
        self.running: dict[Future[Any], tuple[int, Any, Path]] = {}
        self.attempts: collections.Counter[int] = collections.Counter()
        self.failures: list[str] = []
        self.retried: list[tuple[Any, Path]] = []
        # Trials that a killed driver had begun: Optuna has no public way to go on with one.
        self.begun = [(t.number, Trial(optuna_study, t._trial_id)) for t in trials if t.state == TrialState.RUNNING]
        self.asked = len(trials)

    def run(self) -> None:
        """Until nothing runs and nothing is left to begin. Raises Fault where it is stopped, or trials fail alike."""
        try:
            _prepare_data(self.study, self.console)
            threading.Thread(target=_ahead, args=(self.study,), daemon=True).start()
            with shown(self.board, self.console):
                while True:
                    self._fill()
                    if not self.running:
                        break
                    interval = 0.02 if self.prune else None
                    done, _ = wait(list(self.running), timeout=interval, return_when=FIRST_COMPLETED)
                    if self.prune:
                        for _, trial, folder in self.running.values():
                            _decide(trial, folder, self.board)
                    for future in done:
                        self._finish(future)
        except KeyboardInterrupt as error:
            what, folder = "stopped; the trials keep their last checkpoints", self.study.folder
            raise Fault.interrupted(what, str(folder), f"suites resume {folder}") from error
        finally:
            self.engine.close()

    def _fill(self) -> None:
        """Give every free worker a trial."""
        for slot in range(self.engine.slots):
            busy = slot in [s for s, _, _ in self.running.values()]
            following = None if busy or time.monotonic() > self.end else self._next()
            if following is None:
                continue
            trial, folder = following
            main = self.study.plan["objectives"][0]["name"]
            future = self.engine.submit(slot, jobs.run_trial, str(folder), self.prune, main)
            self.running[future] = (slot, trial, folder)
            self.board.start(trial.number, trial.params, self.study.run_folder(trial.number, trial.params))

    def _next(self) -> tuple[Any, Path] | None:
        """A trial whose worker died, else one that a killed driver had begun, else a new one; None where all are
        given."""
        if self.retried:
            return self.retried.pop(0)
        if self.begun:
            number, trial = self.begun.pop(0)
            trial, values = ask(self.study, self.optuna_study, number, trial)
        elif self.asked < self.study.plan["trials"]:
            trial, values = ask(self.study, self.optuna_study, self.asked)
            self.asked += 1
        else:
            return None
        return trial, _prepare_trial(self.study, trial.number, values)

    def _finish(self, future: Future[Any]) -> None:
        """Record the end of a trial; one whose worker died is given again."""
        slot, trial, folder = self.running.pop(future)
        try:
            answer = future.result()
        except WorkerDiedError as error:
            self.engine.repair(slot)
            self.attempts[trial.number] += 1
            if self.attempts[trial.number] < ATTEMPTS:
                self.retried.append((trial, folder))
                return
            answer = {"state": "failed", "error": str(error), "metrics": {}}
        taken = self.board.clock() - self.board.now[trial.number].begun
        for text in answer.get("warnings", ()):
            self.console.warning(f"trial {trial.number}: {text}")
        problem = _record(self.study, self.optuna_study, trial, answer)
        ended = self.optuna_study.get_trials(deepcopy=False)[trial.number]
        self.board.end(trial.number, _state(ended), problem)
        self.board.best = _best(self.study, self.optuna_study)
        how = f"failed ({problem})" if problem else f"{answer['state']} in {duration(taken)}"
        if not problem and ended.values:
            how += f", {', '.join(f'{value:.4f}' for value in ended.values)}"
        self.console.note(self.board.line(f"number {trial.number}", how))
        self.failures = [*self.failures, re.sub(r"[-+.\de]*\d[-+.\de]*", "#", problem)] if problem else []
        if len(self.failures) >= EQUAL_FAILURES and len(set(self.failures[-EQUAL_FAILURES:])) == 1:
            what = f"{EQUAL_FAILURES} trials in a row failed alike: {problem}"
            next_step = f"{WRONG if self.study.is_grid else NARROW}, then: suites resume {self.study.plan['study']}"
            raise Fault.run_failed(what, str(self.study.folder), next_step)


def ask(study: Study, optuna_study: Any, number: int, trial: Any = None) -> tuple[Any, dict[str, Any]]:
    """The trial ``number`` with its values; ``trial`` is one that a killed driver had begun.

    The sampler is seeded from (seed, number) before every ask and from (seed, number, path) before every value: a
    re-created one would draw its first values again.
    """
    from optuna.trial import TrialState

    from ...datasets.core.seeds import derive

    plan = study.plan
    ranges = study.ranges
    optuna_study.sampler = search.sampler(plan["sampler"], derive(plan["seed"], f"trial/{number}") % 2**31)
    if trial is None:
        if plan["sampler"] == "grid" and not optuna_study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            optuna_study.enqueue_trial(search.grid(ranges)[number])
        trial = optuna_study.ask()
    values = {}
    for path, distribution in search.distributions(ranges).items():
        # A value drawn before a kill stays; the others do not shift.
        optuna_study.sampler = search.sampler(plan["sampler"], derive(plan["seed"], f"trial/{number}/{path}") % 2**31)
        values[path] = search.suggest(trial, path, distribution)
    return trial, values


def _prepare_trial(study: Study, number: int, values: Mapping[str, Any]) -> Path:
    """The trial's invocation folder; as it is where it was begun."""
    folder = study.trial_folder(number)
    if (folder / "invocation.json").exists():
        return folder
    plan, recipe = study.plan, recipes.apply(study.recipe, study.fields(values))
    method, seed = study.part(values)
    folder.mkdir(parents=True, exist_ok=True)
    source = build.prepare_once(recipe)  # a trial may have other data (a fraction, say)
    document = {
        "schema": 1,
        "suite": recipe.name,
        "profile": recipe.profile,
        "recipe": to_yaml(recipe),
        "recipe_digest": digest(recipe),
        "device": plan["device"],
        "tracking_uri": plan["tracking_uri"],
        "data": build.facts_of(source),
        "git": folders.git_state(),
        "uid": secrets.token_hex(8),
        "trial": {"study": plan["study"], "study_uid": plan["uid"], "number": number, "params": dict(values)},
        "runs": [{"method": method, "seed": seed, "folder": study.run_folder(number, values).name}],
    }
    folders.write_json(folder / "invocation.json", document)
    return folder


def _prepare_data(study: Study, console: Console) -> None:
    """Make the data here, once; it must be the data that the study was begun on. Warns where the code is another."""
    build.device_of(study.plan["device"])
    with console.progress(f"study {study.plan['study']}: preparing data, starting workers"):
        source = build.prepare_once(study.recipe)
    build.check_methods(study.recipe, study.methods, source)
    weights.check(study.recipe, study.methods, study.seeds, source)
    if "data" not in study.plan:
        study.plan["data"] = build.facts_of(source)
        study.save()
    elif study.plan["data"]["checksum"] != source.checksum:
        what = "the data is not what this study was begun on (its checksum differs): values would not be comparable"
        raise Fault.data(what, str(study.folder), "put the data back as it was, or begin another study")
    if study.plan["git"] != folders.git_state():
        what = f"the code changed since it was begun: then {study.plan['git']}, now {folders.git_state()}"
        console.warning(f"study {study.plan['study']}: {what}")


def _ahead(study: Study) -> None:
    """While the driver waits for its first trials: import what the study's end needs, and make the store's tables."""
    with suppress(Exception):  # whoever needs them meets the error
        import matplotlib.backends.backend_agg  # noqa: F401
        import sklearn.ensemble  # noqa: F401

        make_local_store(study.plan["tracking_uri"])


def _decide(trial: Any, folder: Path, board: TrialBoard) -> None:
    """Answer what a trial's worker asks: report the value, and say whether it is to stop."""
    for question in sorted(folder.glob("ask-*.json")):
        answer = folder / question.name.replace("ask", "answer")
        if answer.exists():
            continue
        with suppress(Fault):  # damaged: the worker waits, and is stopped with the study
            point = run_files.read(question, run_files.Question)
            trial.report(point["value"], point["step"])
            board.report(trial.number, point["step"], point["value"])
            folders.write_json(answer, {"prune": bool(trial.should_prune())})


def _record(study: Study, optuna_study: Any, trial: Any, answer: dict[str, Any]) -> str | None:
    """Write into Optuna's storage how a trial ended and read it back; what went wrong, if something did."""
    from optuna.trial import TrialState

    problem, values = answer["error"], None
    if not problem and answer["state"] != "pruned":
        values = [answer["metrics"].get(o.name, math.nan) for o in study.objectives]
        problem = _problem_of(study, answer["metrics"])
    state = TrialState.PRUNED if answer["state"] == "pruned" else TrialState.FAIL if problem else TrialState.COMPLETE
    if state == TrialState.FAIL:
        trial.set_user_attr("error", problem[:1000])
        values = None
    known = optuna_study.get_trials(deepcopy=False)[trial.number].intermediate_values
    attributes.record(study, trial, answer, known)
    optuna_study.tell(trial.number, values, state=state)
    if optuna_study.get_trials(deepcopy=False)[trial.number].state != state:
        what = f"the storage did not keep the result of trial {trial.number}"
        raise Fault.run_failed(what, str(study.plan["storage"] or study.folder), "suites resume STUDY")
    return str(problem) if problem else None


def _problem_of(study: Study, metrics: Mapping[str, float]) -> str | None:
    """Why the objectives cannot be had from a trial's metrics; None where they can."""
    missing = [o.name for o in study.objectives if o.name not in metrics]
    if missing:
        known = ", ".join(sorted(name for name in metrics if name.startswith(("valid/", "cost/"))))
        return f"no metric {', '.join(missing)} (there are: {known})"
    return None if all(math.isfinite(metrics[o.name]) for o in study.objectives) else "the objective is not finite"


def _state(trial: Any) -> str:
    """Of a trial of Optuna's, in the words of :data:`board.STATES`."""
    name = str(trial.state.name.lower())
    return "failed" if name == "fail" else name


def _best(study: Study, optuna_study: Any) -> str:
    """The best trial so far, for the board; several objectives have a front instead, and a grid has none."""
    from optuna.trial import TrialState

    if study.is_grid or not optuna_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return ""
    if len(study.objectives) > 1:
        return f"front of {len(optuna_study.best_trials)} trials"
    best = optuna_study.best_trial
    return f"{best.value:.4f} (trial {best.number}: {values_text(best.params)})"
