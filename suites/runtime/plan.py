"""An invocation on the disk: its plan (``invocation.json``), its recipe, and the document that its runs make
together."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import run_files
from ..config.recipe import Recipe
from . import folders, recipes


class Invocation:
    """A folder with a plan. Plan and recipe are read when they are first asked for, and once."""

    def __init__(self, folder: Path, recipe: Recipe | None = None) -> None:
        self.folder = folder
        self._recipe = recipe

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The document ``invocation.json``. Raises Fault where it is missing or damaged."""
        return folders.plan_of(self.folder)

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe of all its runs: the one that this process holds, else the plan's text."""
        return self._recipe if self._recipe is not None else recipes.parse(self.plan["recipe"])

    @property
    def out(self) -> Path:
        """The folder of the runs, in which the invocation lies."""
        return self.folder.parent

    def run_folder(self, entry: dict[str, Any]) -> Path:
        """The folder of one of the plan's ``runs``."""
        return self.folder / str(entry["folder"])

    def document(self, names: list[str] | None = None) -> dict[str, Any]:
        """What ``suites run`` and ``resume`` print, from the folder alone; ``names``: these of its runs."""
        runs = []
        for entry in self.plan["runs"]:
            if names is not None and entry["folder"] not in names:
                continue
            folder = self.run_folder(entry)
            state = folders.state_of(folder)
            status = str(state.get("status", "new"))
            runs.append(
                {
                    "method": entry["method"],
                    "seed": entry["seed"],
                    "status": status,
                    "metrics": _summary(folder) if status == "finished" else {},
                    "folder": str(folder),
                    "mlflow_run_id": state.get("mlflow_run_id"),
                }
            )
        return {
            "suite": self.plan["suite"],
            "profile": self.plan.get("profile"),
            "data": self.plan["data"],
            "out": str(self.folder),
            "runs": runs,
        }


def _summary(run: Path) -> dict[str, float]:
    summary: dict[str, float] = run_files.read(run / "summary.json", run_files.Summary)
    return summary
