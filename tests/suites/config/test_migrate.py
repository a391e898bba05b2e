"""Recipes of schema 1: refused with the command that rewrites them; rewritten they are what the same suite is today."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from holdfast.suites.config import catalog
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.migrate import migrate_text, migrated
from holdfast.suites.config.recipe import load, to_yaml

OLD = sorted(
    (Path(__file__).parents[2] / "golden" / "schema1").glob("*.yaml")
)  # as they were in the last version of schema 1


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
@pytest.mark.parametrize("profile", [None, "demo", "paper"])
def test_a_rewritten_recipe_is_todays(path: Path, profile: str | None, tmp_path: Path) -> None:
    mine = tmp_path / path.name
    mine.write_text(migrate_text(path.read_text()))
    new, today = catalog.recipe(str(mine), profile), catalog.recipe(path.stem, profile)
    catalog.resolve(new)
    later = {"claims", "reported"}  # what was found out since changes no run
    assert new.model_dump(exclude=later) == today.model_dump(exclude=later)
    assert [line for line in path.read_text().splitlines() if line.startswith("#")] == [
        line for line in mine.read_text().splitlines() if line.startswith("#")
    ], "comments stay"


def test_smoke_profiles_keep_their_number_of_rows(tmp_path: Path) -> None:
    """Schema 1 said 24 rows where today's recipe says a share."""
    mine = tmp_path / "coconut_slurp.yaml"
    mine.write_text(migrate_text(next(p for p in OLD if p.stem == "coconut_slurp").read_text()))
    recipe = catalog.recipe(str(mine), "smoke")
    assert (recipe.methods["er"]["memory_share"], recipe.methods["er"]["memory_rows"]) == (None, 24)
    assert recipe.methods["er_double"]["memory_rows"] == 48


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("memory_size: 0.05", {"memory_share": 0.05}),
        ("memory_size: 24", {"memory_share": None, "memory_rows": 24}),
        ("memory_size: 1", {"memory_share": None, "memory_rows": 1}),
        ("memory_size: 1.0e-2", {"memory_share": 0.01}),
    ],
)
def test_a_share_and_a_count_are_two_fields(old: str, new: dict[str, Any]) -> None:
    flow = f"schema: 1\nfamily: coconut\nmethods:\n  er: {{{old}, selection: herding}}   # {old}\n"
    block = f"schema: 1\nfamily: coconut\nmethods:\n  er:\n    selection: herding\n    {old}\n"
    for text in (flow, block):
        assert yaml.safe_load(migrate_text(text))["methods"]["er"] == {**new, "selection": "herding"}
        assert migrated(yaml.safe_load(text))["methods"]["er"] == {**new, "selection": "herding"}
    params = "{methods.er.memory_size: {low: 20, high: 40}, methods.er.x: {low: 1, high: 2}}"
    ranges = f"schema: 1\nfamily: coconut\nsweep: {{params: {params}}}\n"
    for document in (yaml.safe_load(migrate_text(ranges)), migrated(yaml.safe_load(ranges))):
        assert list(document["sweep"]["params"]) == ["methods.er.memory_rows", "methods.er.x"]


@pytest.mark.parametrize(
    "form", ["data:\n  experiences: 2\n  name: cdvg_cmnist\n", "data: {name: cdvg_cmnist, experiences: 2}\n"]
)
@pytest.mark.parametrize(("family", "name"), [("cdvg", "cmnist"), ("coconut", "cdvg/cmnist")])
def test_a_data_sets_name(form: str, family: str, name: str) -> None:
    text = f"schema: 1\nfamily: {family}\nname: cdvg_cmnist\n{form}"
    document = yaml.safe_load(migrate_text(text))
    assert (document["data"]["name"], document["name"], document["schema"]) == (name, "cdvg_cmnist", 2)
    assert migrated(yaml.safe_load(text)) == document


def test_other_texts_stay_as_they_are() -> None:
    for text in ("schema: 2\nmemory_size: 3\n", "a: [", ""):
        assert migrate_text(text) == text


def test_a_file_of_schema_1_is_refused_and_a_stored_recipe_is_read(tmp_path: Path) -> None:
    path = OLD[0]
    with pytest.raises(Fault, match="of schema 1, and 2 is needed") as caught:
        catalog.recipe(str(path), "demo")
    assert caught.value.next == f"suites migrate {path}"
    today = catalog.recipe("coconut_slurp", "demo")
    stored = (
        to_yaml(today)
        .replace("schema: 2", "schema: 1")
        .replace("memory_share", "memory_size")
        .replace("name: slurp", "name: coconut_slurp")
    )
    assert load(stored, None, []) == today, "a run of an earlier version can still be read"


def test_a_loss_weight_that_has_another_name(tmp_path: Path) -> None:
    text = (
        "schema: 1\nname: mine\nfamily: cdvg\n"
        "methods: {cdvg_reader: {use: cdvg, lambda_reader: 1}}  # lambda_reader stays in a comment\n"
        "defaults: [cdvg_reader]\nsweep: {params: {methods.cdvg_reader.lambda_reader: {low: 1, high: 2}}}\n"
    )
    new = yaml.safe_load(migrate_text(text))
    assert new["methods"] == {"cdvg_content": {"use": "cdvg", "lambda_content": 1}}
    assert list(new["sweep"]["params"]) == ["methods.cdvg_content.lambda_content"]
    assert "# lambda_reader stays in a comment" in migrate_text(text)
    assert migrated(yaml.safe_load(text)) == new
    stored = yaml.safe_load(text) | {"schema": 2}
    assert migrated(stored) == new, "a run's recipe from before the names changed"


def test_arguments_of_another_library_keep_their_names() -> None:
    recipe = catalog.recipe("split_mnist", "smoke")
    assert recipe.methods["avalanche_icarl"]["arguments"] == {"memory_size": 20, "fixed_memory": True}
    assert load(to_yaml(recipe), None, ()).methods == recipe.methods
    path = "methods.avalanche_icarl.arguments.memory_size"
    assert migrated({"schema": 2, "sweep": {"params": {path: {"low": 1, "high": 3}}}})["sweep"]["params"].keys() == {
        path
    }
