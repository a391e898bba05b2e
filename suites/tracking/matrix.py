"""The matrix of a continual run in MLflow's own terms: a LoggedModel after each experience, a dataset for each test
experience, and the main metric of one on the other.

It is made of the whole journal once the run is finished, and sent again it is the same: models are found by the run
that they are of, points bear the journal's times.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .shown import Row, Shown
from .store import identifier

if TYPE_CHECKING:
    from .sender import RunIdentity

AFTER = "holdfast.after_experience"  # tag of a model
FACTS = ("method", "seed", "suite", "profile", "data", "mlflow.source.name", "mlflow.source.type", "mlflow.user")
POINTS = 900  # a request; MLflow takes 1000
NO_SUCH_API = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED")


class UnknownModelsError(Exception):
    """The server is older than logged models."""


@dataclass(frozen=True)
class Cell:
    """The main metric after experience ``after`` on test experience ``on``; ``on`` None: on all so far."""

    after: int
    on: int | None
    row: Row


def cells(shown: Shown, points: Iterable[Mapping[str, Any]]) -> list[Cell]:
    """The finite cells of a whole journal.

    A test experience's are one metric, ``matrix/MAIN``, whose step is the test experience: the store keeps one
    value for a model, name, step and time. The values on all experiences so far are the run's own curve again.
    """
    each = re.compile(rf"{re.escape(shown.main)}/exp_(\d+)")
    made = []
    for p in points:
        value, t, after = float(p["value"]), int(p["t"]), int(p["step"])
        if p["axis"] != "experience" or not math.isfinite(value):
            continue
        if match := each.fullmatch(p["name"]):
            on = int(match[1])
            made.append(Cell(after, on, (f"matrix/{shown.main}", value, t, on)))
        elif p["name"] == f"{shown.main}/pooled":
            made.append(Cell(after, None, (shown.curve, value, t, after)))
    return made


def send(
    client: Any,
    run: tuple[str, str],
    identity: RunIdentity,
    measured: Sequence[Cell],
    progress: dict[str, Any],
    save: Callable[[], None],
) -> None:
    """Bring models, datasets and cells of a finished run to the store.

    ``run``: the ids of its experiment and of itself. ``progress``: what the store answered to earlier attempts, which
    are not made again; ``save`` is called after each change of it. Raises UnknownModelsError where the store is too
    old for models.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric

    def once(step: str, request: Callable[[], object]) -> None:
        done = progress.setdefault("done", [])
        if step not in done:
            request()
            done.append(step)
            save()

    _, run_id = run
    datasets = identity.matrix or []
    models = _models(client, run, identity, sorted({cell.after for cell in measured}), progress, save)
    use = [InputTag("mlflow.data.context", "test")]
    source = identity.dataset["source"]
    inputs = [DatasetInput(Dataset(d["name"], d["digest"], source, source), use) for d in datasets]
    once("inputs", lambda: client.log_inputs(run_id, inputs))
    metrics = []
    for cell in measured:
        dataset = datasets[cell.on] if cell.on is not None else {"name": None, "digest": None}
        name, value, t, step = cell.row
        model = models[cell.after]
        metrics.append(Metric(name, value, t, step, model, dataset["name"], dataset["digest"]))
    for start in range(0, len(metrics), POINTS):
        batch = metrics[start : start + POINTS]
        once(f"points {start}", functools.partial(client.log_batch, run_id, metrics=batch))
    for model in models.values():
        once(f"ready {model}", functools.partial(client.finalize_logged_model, model, "READY"))
    outputs = client.get_run(run_id).outputs
    linked = {output.model_id for output in outputs.model_outputs} if outputs is not None else set()
    missing = [LoggedModelOutput(model, after) for after, model in models.items() if model not in linked]
    if missing:
        client.log_outputs(run_id, missing)


def _models(
    client: Any,
    run: tuple[str, str],
    identity: RunIdentity,
    experiences: Sequence[int],
    progress: dict[str, Any],
    save: Callable[[], None],
) -> dict[int, str]:
    """Experience -> id of the model after it: those that the store has, and new ones for the others."""
    experiment, run_id = run
    known: dict[str, str] = progress.setdefault("models", {})
    if any(str(after) not in known for after in experiences):
        try:
            page = client.search_logged_models([experiment], f"source_run_id = '{run_id}'", max_results=100)
        except Exception as error:
            if not _is_unknown(error):
                raise
            what = "the MLflow server is too old for models: the matrix is in matrix.csv alone; all else is there"
            raise UnknownModelsError(what) from error
        for model in page:
            if AFTER in model.tags:
                known.setdefault(str(int(model.tags[AFTER])), identifier(model.model_id, "model id"))
    facts = {key: identity.tags[key] for key in FACTS if key in identity.tags}
    name = re.sub(r"[/:.%\"']", "_", identity.name or f"{identity.method}-s{identity.seed}")
    for after in experiences:
        if str(after) not in known:
            made = client.create_logged_model(
                experiment,
                f"{name}-after-exp_{after}",
                source_run_id=run_id,
                tags={**facts, AFTER: str(after)},
                params={"method": identity.method, "seed": str(identity.seed), "after_experience": str(after)},
            )
            known[str(after)] = identifier(made.model_id, "model id")
            save()
    return {after: known[str(after)] for after in experiences}


def _is_unknown(error: Exception) -> bool:
    """Whether the server (or an older client) has no such request."""
    if isinstance(error, AttributeError | NotImplementedError) or getattr(error, "error_code", None) in NO_SUCH_API:
        return True
    return re.search(r"failed with error code (404|405|501)\b", str(error)) is not None
