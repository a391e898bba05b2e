"""The claims of the world's suites through ``suites verify``: each can be tested, in its setting, on smoke's data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites import api
from holdfast.suites.config import catalog
from holdfast.suites.config.recipe import Recipe, to_yaml
from holdfast.suites.runtime import build, extend, folders, invocation
from holdfast.suites.runtime.plan import Invocation

from .process import CommandLine

WORLDS = [row["name"] for row in catalog.recipes() if row["name"].endswith("_world")]


def test_there_are_six_and_all_claim_something() -> None:
    assert sorted(WORLDS) == [f"{f}_world" for f in ("cdvg", "coconut", "peft", "sepclr", "slimmable", "supremix")]
    assert all(catalog.recipe(name, "smoke").claims for name in WORLDS)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Instead of training: the data are checked, and each run ends with a number of its own for every metric that some
    claim names; what the data were asked for.
    """
    asked: list[dict[str, Any]] = []

    def start(
        recipe: Recipe, *, methods: Sequence[str], seeds: Sequence[int], out: Path, into: Any, **_: Any
    ) -> Invocation:
        assert build.check(recipe)["faults"] == []
        asked.append(recipe.data.options)
        entries: list[dict[str, Any]] = [
            {"method": m, "seed": s, "folder": f"{m}-s{s}"} for s in seeds for m in methods
        ]
        if into is None:
            plan = {"schema": 1, "suite": recipe.name, "profile": recipe.profile, "recipe": to_yaml(recipe)}
            data = {"source": "stand-in", "checksum": json.dumps(recipe.data.options), "rows": {"train": 4, "test": 4}}
            plan |= {"device": "cpu", "tracking_uri": None, "data": data, "git": {}, "runs": entries}
            folder = folders.new_invocation(out, recipe.name, plan)
        else:
            folder = into.folder
            extend.grown(into, recipe, methods, seeds)
        for entry in entries:
            run = folder / entry["folder"]
            if not run.exists():
                run.mkdir()
                folders.write_json(run / "run.json", {"status": "finished"})
                value = len(entry["method"]) + 0.1 * entry["seed"] ** 2
                folders.write_json(run / "summary.json", {claim.metric: value for claim in recipe.claims})
        return Invocation(folder, recipe)

    monkeypatch.setattr(invocation, "start", start)
    return asked


@pytest.mark.parametrize("suite", WORLDS)
def test_every_claim_is_tested_in_its_setting(suite: str, started: list[dict[str, Any]], tmp_path: Path) -> None:
    arguments = ("verify", suite, "--profile", "smoke", "--seeds", "2", "--json")
    done = CommandLine().here(*arguments, out=tmp_path, code=None)
    assert done.returncode in (0, 5)
    claims = catalog.recipe(suite, "smoke").claims
    found = json.loads(done.stdout)
    assert found["failed"] == []
    assert [(row["better"], row["than"], row["n"]) for row in found["claims"]] == [
        (c.better, c.than, 2) for c in claims
    ]
    for claim in claims:
        options = {path.removeprefix("data.options."): value for path, value in claim.overrides.items()}
        assert any(options.items() <= each.items() for each in started)


@pytest.mark.slow  # six runs with training
def test_runs_are_made_and_claims_tested(tmp_path: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    done = api.verify("supremix_world", out=tmp_path, profile="smoke", seeds=2)
    assert [(one["n"], one["better"]) for one in done["claims"]] == [(2, "supremix"), (2, "supremix")]
    runs = {(run["method"], run["seed"]): run["metrics"]["mae/last"] for run in api.results("last", tmp_path).runs}
    for one in done["claims"]:
        gains = [runs[one["than"], s] - runs["supremix", s] for s in (0, 1)]
        assert one["effect"] == pytest.approx(sum(gains) / 2)
