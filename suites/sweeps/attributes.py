"""What Optuna's storage holds of a trial besides values and objective, for its own tools (``optuna-dashboard``)."""

from __future__ import annotations

import math
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..config.errors import Fault
from ..runtime import folders
from ..runtime.identity import finals_of
from ..tracking.journal import read
from .studies import Study


def record(study: Study, trial: Any, answer: dict[str, Any], reported: Container[int]) -> None:
    """Write a trial's user attributes, and the objective after each experience but those already ``reported``.

    Attributes: ``seed``, ``folder`` (of the run, below the study's), ``mlflow_run_id`` where it is known, the final
    metrics by their names. Before the trial's end is told: Optuna takes nothing afterwards. It has intermediate values
    of studies with one objective alone. What a damaged run folder does not give is left out.
    """
    run = study.run_folder(trial.number, trial.params)
    attributes = {"seed": study.part(trial.params)[1], "folder": str(run.relative_to(study.folder))}
    with suppress(Fault):
        attributes |= {k: v for k, v in folders.state_of(run).items() if k == "mlflow_run_id" and v}
    names = [*finals_of(study.recipe), *(objective.name for objective in study.objectives)]
    metrics = {name: answer["metrics"][name] for name in names if name in answer["metrics"]}
    for name, value in (attributes | {k: v for k, v in metrics.items() if math.isfinite(v)}).items():
        trial.set_user_attr(name, value)
    if len(study.objectives) > 1:
        return
    with suppress(ValueError):
        for step, value in intermediate(run, study.objectives[0].name):
            if step not in reported:
                trial.report(value, step)


def intermediate(run: Path, objective: str) -> list[tuple[int, float]]:
    """(experience, objective so far) from the run's journal, as a pruner is given it: of ``valid/accuracy/average`` the
    mean of ``valid/accuracy`` so far. Empty for what is not measured after each experience.
    """
    metric, _, how = objective.rpartition("/")
    points = [p for p in read(run / "journal.jsonl") if p["axis"] == "experience"]
    values = [float(p["value"]) for p in points if p["name"] == metric]
    rows = []
    for step, value in enumerate(values):
        so_far = sum(values[: step + 1]) / (step + 1) if how == "average" else value
        if math.isfinite(so_far):
            rows.append((step, so_far))
    return rows
