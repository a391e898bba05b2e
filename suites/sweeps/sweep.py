"""The driver of a study: asks Optuna for values, gives trials to workers, tells what came out. It survives a kill, and so do they.

A trial is an ordinary invocation in a folder of the study; the driver alone touches Optuna's storage.
"""

from __future__ import annotations

import collections
import json
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

from ..config.errors import Fault
from ..config.names import refuse_links
from ..config.recipe import digest, to_yaml
from ..runtime import build, folders, jobs
from ..runtime import executors as engines
from ..runtime import warm_start as weights
from ..runtime.executors import ATTEMPTS, Engine, WorkerDiedError
from ..tracking.store import make_local_store
from . import outcome, search
from .board import Board, values_text
from .studies import Study, open_storage

if TYPE_CHECKING:
    from ..runtime.console import Console

EQUAL_FAILURES = 5  # in a row: then the sweep stops


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
    refuse_links(study.folder)
    with folders.locked(study.folder, what="study"):
        return _drive(study, console, workers, engine_name, address, timeout)


def _drive(
    study: Study, console: Console, workers: int, engine_name: str, address: str | None, timeout: float | None
) -> dict[str, Any]:
    from optuna.trial import Trial, TrialState

    plan, recipe = study.plan, study.recipe
    prune = plan["pruner"] != "none"
    main = plan["objectives"][0]["name"]
    optuna_study = open_storage(study)
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
            runners.warm(jobs.warm)
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
                        running[runners.submit(slot, jobs.run_trial, str(folder), prune, main)] = (slot, trial, folder)
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
                            raise Fault.run_failed(
                                f"{EQUAL_FAILURES} trials in a row failed alike: {problem}",
                                str(study.folder),
                                f"narrow the ranges (sweep.params), then: suites resume {plan['study']}",
                            )
        except KeyboardInterrupt as error:
            raise Fault.interrupted(
                "stopped; the trials keep their last checkpoints", str(study.folder), f"suites resume {study.folder}"
            ) from error
        finally:
            runners.close()
    document = outcome.report(study, optuna_study)
    outcome.write(study, optuna_study, document, console)
    states = {t.state for t in optuna_study.get_trials(deepcopy=False)}
    if states == {TrialState.FAIL}:
        raise Fault.run_failed(
            f"every trial failed: {document['trials'][-1]['error']}",
            str(study.folder),
            "narrow the ranges (sweep.params), and sweep again",
        )
    return document


def _ask(study: Study, optuna_study: Any, number: int, trial: Any = None) -> tuple[Any, dict[str, Any]]:
    """The trial ``number`` with its values; ``trial`` is one that a killed driver had begun.

    The sampler is seeded from (seed, number) before every ask and from (seed, number, path) before every value: a re-created one would
    draw its first values again.
    """
    from optuna.trial import TrialState

    from ...datasets.core.seeds import derive

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
    source = build.prepare_once(recipe)  # a trial may have other data (a fraction, say)
    folders.write_json(
        folder / "invocation.json",
        {
            "schema": 1, "suite": recipe.name, "profile": recipe.profile, "recipe": to_yaml(recipe), "recipe_digest": digest(recipe),
            "device": plan["device"], "tracking_uri": plan["tracking_uri"], "data": build.facts_of(source),
            "git": folders.git_state(), "uid": secrets.token_hex(8),
            "trial": {"study": plan["study"], "study_uid": plan["uid"], "number": number, "params": dict(values)},
            "runs": [{"method": plan["method"], "seed": plan["seed"], "folder": f"{plan['method']}-s{plan['seed']}"}],
        },
    )  # fmt: skip
    return folder


def _prepare_data(study: Study, console: Console) -> None:
    """Make the data here, once; it must be the data that the study was begun on. Warns where the code is another."""
    build.device_of(study.plan["device"])
    with console.progress("preparing data"):
        source = build.prepare_once(study.recipe)
    build.check_methods(study.recipe, [study.plan["method"]], source)
    weights.check(study.recipe, [study.plan["method"]], [study.plan["seed"]], source)
    if "data" not in study.plan:
        study.plan["data"] = build.facts_of(source)
        study.save()
    elif study.plan["data"]["checksum"] != source.checksum:
        raise Fault.data(
            "the data is not what this study was begun on (its checksum differs): values would not be comparable",
            str(study.folder),
            "put the data back as it was, or begin another study",
        )
    if study.plan["git"] != folders.git_state():
        console.warning(
            f"the code changed since the study was begun: then {study.plan['git']}, now {folders.git_state()}"
        )


def _ahead(study: Study) -> None:
    """While the driver waits for its first trials: import what the study's end needs, and make the store's tables."""
    with suppress(Exception):  # whoever needs them meets the error
        import sklearn.ensemble  # noqa: F401
        from optuna.visualization import matplotlib  # noqa: F401

        make_local_store(study.plan["tracking_uri"])


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
        raise Fault.run_failed(
            f"the storage did not keep the result of trial {trial.number}",
            str(study.plan["storage"] or study.folder),
            "suites resume STUDY",
        )
    return str(problem) if problem else None


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
