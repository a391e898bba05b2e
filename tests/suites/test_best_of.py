"""``suites run --best-of``: a study on one data set gives a method's fields on another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.recipe import load, to_yaml
from holdfast.suites.reports import compare
from holdfast.suites.runtime import folders, invocation
from holdfast.suites.runtime.plan import Invocation
from holdfast.suites.sweeps import best_of, outcome, studies

from .process import CommandLine

PARAMS = {"train.lr": 0.02, "methods.supremix.window": 9.0}


@pytest.fixture
def study(tmp_path: Path) -> studies.Study:
    """On a table, finished."""
    recipe = api.load_recipe("supremix_tabular", "smoke")
    search = studies.Search(methods=["supremix"], trials=3, sampler="random", name="tables")
    made = studies.create(recipe, search, device="cpu", out=tmp_path, tracking_uri=None)
    folders.write_json(made.folder / "result.json", {"best": {"number": 2, "params": PARAMS, "value": 1.0}})
    return made


def test_fields_are_taken_and_named(study: studies.Study, tmp_path: Path) -> None:
    recipe, methods = best_of.applied(api.load_recipe("supremix_timeseries", "smoke"), "tables", tmp_path, [])
    assert methods == ["supremix"]
    assert (recipe.train.lr, recipe.methods["supremix"]["window"]) == (0.02, 9.0)
    assert recipe.tuned is not None
    assert recipe.tuned.words == "tuned on supremix_tabular (study tables)"
    kept = load(to_yaml(recipe), None, [])
    assert kept.tuned == recipe.tuned
    assert kept.tuned is not None
    assert set(kept.tuned.fields) == set(PARAMS)
    assert "tuned" not in yaml.safe_load(to_yaml(api.load_recipe("supremix_timeseries", "smoke")))


def test_the_best_recipe_of_a_study_says_that_it_was_tuned_here(study: studies.Study) -> None:
    recipe = outcome.best_recipe(study, {"params": PARAMS})
    assert recipe.tuned is not None
    assert recipe.tuned.words == "tuned on this data set's validation rows (study tables)"


@pytest.mark.parametrize(
    ("suite", "methods", "message"),
    [
        ("supremix_tabular", [], "tuned on the data set that would be judged on"),
        ("split_digits", [], "of the family supremix, split_digits is of continual"),
        ("supremix_timeseries", ["supremix", "l1"], "train.lr were tuned for supremix and would change l1 too"),
        ("supremix_timeseries", ["supermix"], "the suite has no method 'supermix'"),
    ],
)
def test_what_would_be_unfair_is_refused(
    suite: str, methods: list[str], message: str, study: studies.Study, tmp_path: Path
) -> None:
    recipe = api.load_recipe(suite, "smoke")
    with pytest.raises(Fault, match=message):
        best_of.applied(recipe, study.folder, tmp_path, methods)


def test_a_study_without_a_single_best_trial_is_refused(study: studies.Study, tmp_path: Path) -> None:
    recipe = api.load_recipe("supremix_timeseries", "smoke")
    broken: tuple[Any, ...] = ({"best": None}, {"best": [{"params": {}}]}, [])
    for document in broken:
        folders.write_json(study.folder / "result.json", document)
        with pytest.raises(Fault, match=r"no single best trial|result\.json is damaged"):
            best_of.applied(recipe, "tables", tmp_path, [])
    with pytest.raises(Fault, match="'absent' is no study"):
        best_of.applied(recipe, "absent", tmp_path, [])


def test_another_table_is_another_data_set(study: studies.Study, tmp_path: Path) -> None:
    recipe = api.load_recipe("supremix_tabular", "smoke", ["data.options.n_train=90", "data.options.seed=3"])
    assert best_of.applied(recipe, "tables", tmp_path, [])[1] == ["supremix"]
    same = api.load_recipe("supremix_tabular", "smoke", ["data.options.seed=3"])
    with pytest.raises(Fault, match="tuned on the data set"):
        best_of.applied(same, "tables", tmp_path, [])


def test_the_command_line_runs_it_and_compare_marks_it(
    study: studies.Study, tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(recipe: Any, *, methods: Any, seeds: Any, out: Path, **_: Any) -> Any:
        entries = [{"method": m, "seed": s, "folder": f"{m}-s{s}"} for m in methods for s in seeds]
        plan = {"suite": recipe.name, "profile": "smoke", "recipe": to_yaml(recipe), "runs": entries, "git": {}}
        folder = folders.new_invocation(out, recipe.name, {**plan, "data": {"source": "stand-in"}, "device": "cpu"})
        for entry in entries:
            run = folder / entry["folder"]
            run.mkdir()
            folders.write_json(run / "run.json", {"status": "finished"})
            folders.write_json(run / "summary.json", {"mae/last": 1.0})
        return Invocation(folder)

    monkeypatch.setattr(invocation, "start", start)
    given = ("run", "supremix_timeseries", "--profile", "smoke", "--best-of", "tables")
    cli.here(*given, "--json", out=tmp_path)
    (task,), _ = compare.collect([str(tmp_path)], tmp_path)
    assert [one.tuned for one in task.entrants] == ["tuned on supremix_tabular (study tables)"]
    cli.here(*given, "--dry-run", out=tmp_path, code=2)
