"""``suites show``: which fields there are, of what type and range, what they are set to and by what."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from holdfast.suites import api
from holdfast.suites.config import catalog, registry
from holdfast.suites.reports import fields

from .process import CommandLine


def test_every_section_has_its_fields_with_ranges_and_origins() -> None:
    given = ["train.lr=0.5", "data.transforms=[{name: label_noise, options: {share: 0.4}}]"]
    document = api.show("coconut_slurp", "demo", given).document()
    sections = document["fields"]
    assert set(sections) >= {"data", "data.options", "data.transforms.0", "data.transforms.0.options", "model"}
    assert set(sections) >= {"model.options", "train", "evaluate", "diagnostics"}
    lr = sections["train"]["lr"]
    assert (lr["type"], lr["range"], lr["default"], lr["value"], lr["origin"]) == (
        *("float", ">0, ≤100"),
        *(1e-3, 0.5, "override"),
    )
    assert lr["description"] == "learning rate"
    assert sections["train"]["accumulate"]["origin"] == "default"
    assert sections["data.options"]["features"]["type"] == "log_mel | waveform"
    assert sections["data.options"]["limit"]["type"] == "int or null"
    assert sections["data.transforms.0.options"]["share"]["value"] == 0.4
    assert sections["data"]["name"]["required"]
    assert sections["model.options"]["d_model"]["origin"].startswith("coconut/_base.yaml")


@pytest.mark.parametrize("suite", ["coconut_slurp", "cdvg_cmnist", "supremix_agedb"])
def test_fields_of_sections_are_those_that_a_recipe_may_name(suite: str) -> None:
    recipe = catalog.recipe(suite, "demo")
    sections = fields.of_sections(recipe, {})
    data, network = registry.dataset(recipe.data.name, recipe.family), registry.network(recipe.model.name)
    assert set(sections["data.options"]) == set(data.Config.model_fields)
    assert set(sections["model.options"]) == set(network.Config.model_fields)
    assert {f"data.transforms: {entry.name}" for entry in registry.entries("transforms")} <= set(sections)
    for rows in sections.values():
        assert all(row["description"] for row in rows.values()), rows


def test_default_methods_come_first_and_a_shared_field_once(tmp_path: Path, cli: CommandLine) -> None:
    shown = api.show("coconut_slurp", "demo")
    document, recipe = shown.document(), shown.recipe
    assert list(document["method_fields"])[: len(recipe.defaults)] == list(recipe.defaults)
    memory = document["method_fields"]["coconut"]["fields"]["memory_share"]
    assert (memory["value"], memory["type"], memory["range"]) == (0.05, "float or null", "≥0, ≤1")
    assert memory["origin"].startswith("coconut/_base.yaml")
    assert memory["protocol"]
    *_, methods, last = shown.tables()
    assert [row[0] for row in methods[2]][: len(recipe.defaults)] == list(recipe.defaults)
    counts = Counter(row[0] for row in last[2])
    assert max(counts.values()) == 1
    assert set(counts) == {f for entry in document["method_fields"].values() for f in entry["fields"]}
    (share,) = (row for row in last[2] if row[0] == "memory_share")
    assert share[3].endswith("(protocol); of all")
    (weight,) = (row for row in last[2] if row[0] == "temperature")
    assert weight[3].endswith("; of coconut")


def test_the_screen_holds_every_field_at_80_columns(tmp_path: Path, cli: CommandLine) -> None:
    lines = cli("show", "supremix_tabular", "--profile", "smoke", out=tmp_path, COLUMNS="80").stdout.splitlines()
    framed = [line for line in lines if line[:1] in "┏┃┡│└"]
    assert max(map(len, framed)) <= 80
    firsts = {line.split("│")[1].strip() for line in framed if line.startswith("│")}
    for rows in fields.of_sections(catalog.recipe("supremix_tabular", "smoke"), {}).values():
        assert set(rows) <= firsts
    document = cli("show", "supremix_tabular", "--json", out=tmp_path).document
    assert document["origins"]
    assert document["method_fields"]["l1"]["fields"]
    assert document["fields"]["train"]["lr"]["range"]
