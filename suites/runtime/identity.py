"""What MLflow learns of a run besides its points: parameters, tags, data set, and the run's parent."""

from __future__ import annotations

from typing import Any

from ..config.documents import flat
from ..config.recipe import Recipe
from ..tracking.sender import RunIdentity


def identity(
    plan: dict[str, Any], uid: str, method: str, seed: int, recipe: Recipe, data: dict[str, Any]
) -> RunIdentity:
    """The identity of a run with the tag ``uid``; a trial's parent is its study."""
    params = {"method": method, "seed": str(seed), "profile": str(recipe.profile)}
    for section in ("data", "model", "train", "evaluate"):
        params |= flat(getattr(recipe, section).model_dump(), section)
    params |= flat(recipe.methods[method], "method")
    git = plan["git"]
    tags = {
        "holdfast.profile": str(recipe.profile),
        "holdfast.data_source": data["source"],
        "holdfast.data_checksum": data["checksum"],
        "holdfast.git_commit": str(git.get("commit", "")),
        "holdfast.git_dirty": str(git.get("dirty", "")),
        "holdfast.recipe_digest": plan["recipe_digest"],
        "holdfast.device": plan["device"],
        "holdfast.selection": recipe.train.selection,
    }
    trial = plan.get("trial") or {}
    if trial:
        tags |= {"holdfast.study": trial["study"], "holdfast.trial": str(trial["number"])}
        params |= {f"sweep.{name}": str(value) for name, value in trial["params"].items()}
    return RunIdentity(
        run_uid=uid,
        suite=recipe.name,
        invocation_uid=trial.get("study_uid", plan["uid"]),
        method=method,
        seed=seed,
        params=params,
        tags=tags,
        dataset={"name": recipe.data.name, "source": data["source"], "digest": data["checksum"]},
        name=f"trial-{trial['number']}" if trial else "",
        parent_name=trial.get("study", ""),
    )
