"""An invocation: several methods and seeds of one recipe; every run under its lock, with its status and its delivery to MLflow."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import catalog, measures
from ..config.documents import flat
from ..config.errors import Fault
from ..config.names import refuse_links
from ..config.recipe import Recipe, digest, load, to_yaml
from ..tracking.journal import forget_sent, read
from ..tracking.store import resolve_uri, to_store
from . import build, folders
from . import warm_start as weights
from .checkpoints import write_atomic
from .run import AfterRow, Run
from .stopping import Interrupted, Pruned, stoppable

if TYPE_CHECKING:
    from ...analysis.metrics.metric import Metric
    from ...datasets.core.source import Source
    from .console import Console


def start(
    recipe: Recipe, *, methods: Sequence[str], seeds: Sequence[int], device: str, out: Path, tracking_uri: str | None, console: Console,
    workers: int = 1, engine_name: str = "local", address: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Start an invocation and run it to its end; returns the JSON document of ``suites run``."""
    device = build.device_of(device)
    out = out.resolve()
    resolve_uri(out, tracking_uri)  # an address that cannot be read leaves nothing behind
    catalog.resolve(recipe)
    source = _prepare(recipe, console)
    build.check_methods(recipe, methods, source)
    weights.check(recipe, methods, seeds, source)
    for joint in {
        catalog.kind_of(recipe, m).uses_union for m in methods
    }:  # streams that cannot be leave nothing behind
        build.benchmark_of(recipe, source, seeds[0], joint)
    plan = {
        "schema": 1,
        "suite": recipe.name,
        "profile": recipe.profile,
        "recipe": to_yaml(recipe),
        "recipe_digest": digest(recipe),
        "device": device,
        "tracking_uri": None if tracking_uri is None else to_store(tracking_uri),
        "data": build.facts_of(source),
        "git": folders.git_state(),
        "runs": [{"method": m, "seed": s, "folder": f"{m}-s{s}"} for s in seeds for m in methods],
    }
    invocation = folders.new_invocation(out, recipe.name, plan)
    return _all(invocation, None, recipe, source, console, workers, engine_name, address)


def resume(
    target: str, *, out: Path, console: Console, workers: int = 1, engine_name: str = "local", address: str | None = None
) -> dict[str, Any]:  # fmt: skip
    """Finish what is unfinished of an invocation or a run; nothing to do gives the same document."""
    invocation, wanted = folders.find(target, out.resolve())
    document = folders.plan_of(invocation)
    if not [name for name in wanted if folders.status(invocation / name) != "finished"]:
        return report(invocation)
    if document["git"] != folders.git_state():
        console.warning(f"the code changed since this was started: then {document['git']}, now {folders.git_state()}")
    recipe = load(document["recipe"], None, [])
    build.device_of(document["device"])
    source = _prepare(recipe, console)
    if source.checksum != document["data"]["checksum"]:
        raise Fault.data("the data is not what this invocation was started on (its checksum differs)", str(invocation), "put the data back as it was, or start anew with: suites run")  # fmt: skip
    return _all(invocation, wanted, recipe, source, console, workers, engine_name, address)


def _all(
    invocation: Path, wanted: list[str] | None, recipe: Recipe, source: Source, console: Console, workers: int, engine_name: str, address: str | None
) -> dict[str, Any]:  # fmt: skip
    """Run here, one after the other, or on several workers."""
    if workers > 1 or engine_name != "local":
        from .jobs import run_grid

        run_grid(invocation, wanted, recipe, console, workers=workers, engine_name=engine_name, address=address)
    return proceed(invocation, wanted, recipe, source, console)


def _prepare(recipe: Recipe, console: Console) -> Source:
    import torch

    torch.set_num_threads(recipe.train.threads or os.cpu_count() or 1)
    with console.progress("preparing data") as tick:
        return build.prepare(recipe, tick)


def proceed(
    invocation: Path,
    wanted: list[str] | None,
    recipe: Recipe,
    source: Source,
    console: Console,
    after_row: AfterRow | None = None,
    patience: float = 0.0,
) -> dict[str, Any]:
    """Run what is unfinished of an invocation (``wanted``: these of its runs); returns its document.

    ``patience``: seconds to wait for a process that holds a run (a worker outlives a killed driver by a moment).
    """
    document = folders.plan_of(invocation)
    refuse_links(invocation)
    for entry in document["runs"]:
        folder = invocation / entry["folder"]
        if (wanted is not None and entry["folder"] not in wanted) or folders.status(folder) in folders.ENDED:
            continue
        with folders.locked(folder, patience):
            _one(invocation, document, entry, recipe, source, console, after_row)
    draw(invocation, measures.metrics(recipe.problem).main, console)
    return report(invocation)


def _one(
    invocation: Path, document: dict[str, Any], entry: dict[str, Any], recipe: Recipe, source: Source, console: Console,
    after_row: AfterRow | None,
) -> None:  # fmt: skip
    from ..tracking.delivery import Delivery

    folder = invocation / entry["folder"]
    name, seed = entry["method"], entry["seed"]
    device, uri = document["device"], resolve_uri(invocation.parent, document["tracking_uri"])
    data = {"name": recipe.data.name, **build.facts_of(source)}
    if (folder / "run.json").exists():
        started = folders.read_json(folder / "run.json")
    else:
        started = {"schema": 1, "uid": secrets.token_hex(16), **weights.facts(recipe, name, seed)}
    folders.write_json(
        folder / "run.json", {**started, "status": "running", "method": name, "seed": seed, "suite": recipe.name}
    )
    write_atomic(folder / "recipe.yaml", document["recipe"].encode())
    folders.write_json(
        folder / "environment.json", folders.environment(device, recipe.train.threads, data, started.get("weights"))
    )
    delivery = Delivery(folder, _identity(document, started["uid"], name, seed, recipe, data), uri)
    delivery.start()
    run = Run(
        recipe, name, seed, folder, source, device=device, console=console, delivery=delivery, after_row=after_row
    )

    def note(status: str, run_id: str | None) -> None:
        told = {"status": status, "method": name, "seed": seed, "suite": recipe.name, "mlflow_run_id": run_id}
        folders.write_json(folder / "run.json", {**started, **told})

    def end(status: str, mlflow: str) -> None:
        outcome = delivery.finish(mlflow, status)
        note(status, outcome.run_id)
        if status in folders.ENDED:
            forget_sent(folder / "journal.jsonl")
        if outcome.undelivered or outcome.problem:
            console.warning(
                f"{outcome.undelivered} points are not in MLflow yet ({outcome.problem}): suites sync {invocation}"
            )

    stopped = Fault.interrupted("stopped; the state is saved", str(folder), f"suites resume {invocation}")
    try:
        with stoppable(run), console.progress(entry["folder"]):
            run.execute()
    except Pruned:
        return end("pruned", "KILLED")
    except (Interrupted, KeyboardInterrupt) as error:
        end("interrupted", "KILLED")
        raise stopped from error
    except Fault:
        end("failed", "FAILED")
        raise
    except RuntimeError as error:
        end("failed", "FAILED")
        if "out of memory" not in str(error).lower():
            raise
        raise Fault.run_failed(
            "out of memory", str(folder), "lower train.batch_size or set train.accumulate"
        ) from error
    except BaseException:
        end("failed", "FAILED")
        raise
    note("finished", delivery.run_id)  # before its pictures: they are no part of the result
    with stoppable(run), suppress(KeyboardInterrupt):
        run.draw()
    end("finished", "FINISHED")
    if run.stop_signal:  # while it drew: this run is whole, the next one is not begun
        raise stopped


def _identity(document: dict[str, Any], uid: str, method: str, seed: int, recipe: Recipe, data: dict[str, Any]) -> Any:
    from ..tracking.sender import RunIdentity

    params = {"method": method, "seed": str(seed), "profile": str(recipe.profile)}
    for section in ("data", "model", "train", "evaluate"):
        params |= flat(getattr(recipe, section).model_dump(), section)
    params |= flat(recipe.methods[method], "method")
    git = document["git"]
    tags = {
        "holdfast.profile": str(recipe.profile),
        "holdfast.data_source": data["source"],
        "holdfast.data_checksum": data["checksum"],
        "holdfast.git_commit": str(git.get("commit", "")),
        "holdfast.git_dirty": str(git.get("dirty", "")),
        "holdfast.recipe_digest": document["recipe_digest"],
        "holdfast.device": document["device"],
        "holdfast.selection": recipe.train.selection,
    }
    dataset = {"name": recipe.data.name, "source": data["source"], "digest": data["checksum"]}
    trial = document.get("trial") or {}
    if trial:
        tags |= {"holdfast.study": trial["study"], "holdfast.trial": str(trial["number"])}
        params |= {f"sweep.{name}": str(value) for name, value in trial["params"].items()}
    return RunIdentity(
        run_uid=uid, suite=recipe.name, invocation_uid=trial.get("study_uid", document["uid"]), method=method, seed=seed, params=params,
        tags=tags, dataset=dataset, name=f"trial-{trial['number']}" if trial else "", parent_name=trial.get("study", ""),
    )  # fmt: skip


def draw(invocation: Path, metric: Metric, console: Console) -> None:
    """The picture of all methods of the invocation together, once all are finished."""
    from ...analysis.plots.comparison import metric_over_experiences
    from ...analysis.plots.figure import spared

    main = metric.name
    document = folders.plan_of(invocation)
    series: dict[str, list[list[float]]] = {}
    for entry in document["runs"]:
        folder = invocation / entry["folder"]
        if folders.status(folder) != "finished":
            return
        points = [p["value"] for p in read(folder / "journal.jsonl") if p["name"] == f"{main}/pooled"]
        series.setdefault(entry["method"], []).append(points)
    (invocation / "plots").mkdir(exist_ok=True)
    if max(len(points) for runs in series.values() for points in runs) > 1:
        title = f"{main} on all experiences seen so far ({metric.words})"
        with spared(invocation / "plots" / f"{main}.png", console.warning) as path:
            metric_over_experiences(series, title, path)


def report(invocation: Path) -> dict[str, Any]:
    """The JSON document of ``suites run`` and ``resume``, from the folder alone."""
    document = folders.plan_of(invocation)
    runs = []
    for entry in document["runs"]:
        folder = invocation / entry["folder"]
        finished = folders.status(folder) == "finished"
        state = folders.state_of(folder)
        runs.append(
            {
                "method": entry["method"],
                "seed": entry["seed"],
                "status": folders.status(folder),
                "metrics": folders.read_json(folder / "summary.json") if finished else {},
                "folder": str(folder),
                "mlflow_run_id": state.get("mlflow_run_id"),
            }
        )
    return {
        "suite": document["suite"],
        "profile": document["profile"],
        "data": document["data"],
        "out": str(invocation),
        "runs": runs,
    }
