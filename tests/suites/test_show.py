"""``suites show``: which fields there are, of what type and range, what they are set to and by what."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites import api
from holdfast.suites.config import catalog, registry
from holdfast.suites.reports import fields
from holdfast.suites.reports.brief import parts

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


def test_the_screen_holds_every_field_at_80_columns(
    tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = cli.here("show", "supremix_tabular", "--profile", "smoke", "--all", out=tmp_path).stdout.splitlines()
    framed = [line for line in lines if line[:1] in "┏┃┡│└"]
    assert max(map(len, framed)) <= 80
    firsts = {line.split("│")[1].strip() for line in framed if line.startswith("│")}
    for rows in fields.of_sections(catalog.recipe("supremix_tabular", "smoke"), {}).values():
        assert set(rows) <= firsts
    document = cli.here("show", "supremix_tabular", "--json", out=tmp_path).document
    assert document["origins"]
    assert document["method_fields"]["l1"]["fields"]
    assert document["fields"]["train"]["lr"]["range"]


@pytest.fixture(scope="module")
def brief() -> list[Any]:
    shown = api.show("coconut_slurp", "demo", ["train.lr=0.5"])
    return list(parts(shown.recipe, shown.origins))


def test_in_short_what_is_set_is_a_table_and_the_rest_a_name_and_a_value(brief: list[Any]) -> None:
    tables = {part[0].partition(":")[0]: part for part in brief if len(part) == 3}
    words = dict(part for part in brief if len(part) == 2)
    document = api.show("coconut_slurp", "demo", ["train.lr=0.5"]).document()
    for path in ("data", "data.options", "model", "model.options", "train", "evaluate"):
        given = {name for name, row in document["fields"][path].items() if row["origin"] != "default"}
        assert {row[0] for row in tables[path][2]} == given, path
        rest = words.get(f"{path} at defaults: ", "")
        assert all(f"{name}=" in rest for name in set(document["fields"][path]) - given), path
    (lr,) = (row for row in tables["train"][2] if row[0] == "lr")
    assert lr[1] == "0.5"
    assert "override; default 0.001" in lr[3]


def test_in_short_methods_that_do_not_run_by_default_are_told_by_their_differences(brief: list[Any]) -> None:
    recipe = catalog.recipe("coconut_slurp", "demo")
    by_default, others = [part[2] for part in brief if len(part) == 3 and part[1][0] == "method"]
    assert [row[0] for row in by_default] == list(recipe.defaults)
    assert {row[0] for row in others} == set(recipe.methods) - set(recipe.defaults)
    told = {row[0]: row[1:] for row in others}
    assert told["mm"] == ["coconut", "lambda_nspt=0"], "what it shares with coconut is not said again"
    assert told["seq_kd"] == ["distillation", "memory_share=0.05, seq_kd=true"]
    names = [
        pair.partition("=")[0]
        for label, text in (part for part in brief if len(part) == 2)
        if label == "fields: "
        for pair in text.rpartition(": ")[2].split(", ")
    ]
    fields_of = api.show("coconut_slurp", "demo").document()["method_fields"]
    assert sorted(names) == sorted({f for entry in fields_of.values() for f in entry["fields"]}), "each once"


@pytest.mark.parametrize("suite", [row["name"] for row in catalog.recipes()])
def test_every_suite_is_shown_in_short_at_80_columns(
    suite: str, tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = cli.here("show", suite, out=tmp_path).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 260
    assert lines[-1].endswith(f"suites show {suite} --all")
