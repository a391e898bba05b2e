"""Evaluation sets and transforms through the command line: measured, recorded, compared; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .process import SPEECH, CommandLine

ROBUST = """\
schema: 2
extends: cdvg_cmnist
name: robust
data: {transforms: [{name: label_noise, options: {share: 0.3}}]}
evaluate:
  sets:
    unbiased: {split: unbiased}
    fog: {transforms: [{name: corrupt, options: {kind: fog, severity: 3}}]}
"""
SPOKEN = """\
schema: 2
extends: coconut_slurp
name: spoken
data: {transforms: [{name: tempo, options: {factors: [1.1]}}]}
evaluate: {sets: {slow: {transforms: [{name: tempo, options: {factors: [0.8], keep: false}}]}}}
"""
TURNED = """\
schema: 2
extends: supremix_agedb
name: turned
evaluate: {sets: {wiki: {data: {name: imdb_wiki, options: {n_train: 61, n_test: 61}}}}}
"""


def _written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def _run(cli: CommandLine, folder: Path, text: str, *arguments: str, **options: Any) -> Any:
    target = _written(folder, text)
    return cli.here("run", target, "--profile", "smoke", *arguments, "--json", out=folder, **options).document


def test_sets_are_measured_recorded_and_compared(cli: CommandLine, tmp_path: Path) -> None:
    document = _run(cli, tmp_path, ROBUST, "--method", "erm", "--seeds", "2")
    metrics = document["runs"][0]["metrics"]
    for name in ("unbiased", "fog"):
        assert {f"{name}/accuracy/last", f"{name}/worst_group/last"} <= set(metrics)
    facts = document["data"]
    assert facts["rows"]["fog"] == facts["rows"]["test"]
    assert facts["drawn"] == {"train": facts["rows"]["train"]}
    assert set(facts["sets"]) == {"unbiased", "fog"}
    journal = Path(document["runs"][0]["folder"], "journal.jsonl").read_text()
    assert '"fog/accuracy"' in journal
    compared = cli.here("compare", document["out"], "--metric", "fog/accuracy/last", out=tmp_path)
    assert "fog/accuracy/last" in compared.stdout
    refused = cli.here(
        "sweep",
        str(tmp_path / "mine.yaml"),
        "--profile",
        "smoke",
        "--objective",
        "fog/accuracy/last",
        "--trials",
        "1",
        out=tmp_path,
        code=2,
    )
    assert "would select on the test stream" in refused.stderr


def test_a_set_changes_no_other_number(cli: CommandLine, tmp_path: Path) -> None:
    """And copies follow their recordings: transcripts of added rows are those of the rows that they come from."""
    plain = SPOKEN.partition("evaluate")[0]
    for folder in ("with", "without"):
        (tmp_path / folder).mkdir()
    one = _run(cli, tmp_path / "with", SPOKEN, "--method", "er", *SPEECH)
    other = _run(cli, tmp_path / "without", plain, "--method", "er", *SPEECH)
    rows, drawn = one["data"]["rows"], one["data"]["drawn"]
    assert rows["train"] == 2 * drawn["train"]
    assert rows["slow"] == rows["test"]
    metrics, expected = one["runs"][0]["metrics"], other["runs"][0]["metrics"]
    assert {name.partition("/")[0] for name in set(metrics) - set(expected)} == {"slow"}
    for name, value in expected.items():
        if name != "cost/seconds_per_step":
            assert metrics[name] == value, name


@pytest.mark.slow
def test_a_killed_evaluation_of_a_set_goes_on(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = _run(cli, tmp_path / "whole", TURNED, "--method", "l1")["runs"][0]["metrics"]
    assert {"wiki/mae/last", "wiki/ordinality/last"} <= set(whole)
    target = _written(tmp_path / "killed", TURNED)
    cli("run", target, "--profile", "smoke", "--method", "l1", out=tmp_path / "killed", code=-9, kill_at="evaluation:2")
    resumed = cli.here("resume", "last", "--json", out=tmp_path / "killed").document["runs"][0]["metrics"]
    assert {k: v for k, v in resumed.items() if "seconds" not in k} == {
        k: v for k, v in whole.items() if "seconds" not in k
    }


@pytest.mark.parametrize(
    ("override", "message", "code"),
    [
        ("evaluate.sets.fog.transforms=[{name: corupt}]", "did you mean 'corrupt'", 2),
        ("evaluate.sets.fog.transforms=[{name: corrupt, options: {kind: rain}}]", "unknown corruption", 2),
        ("data.transforms=[{name: label_noise, options: {shares: 1}}]", "data.transforms.0.options.shares", 2),
        ("data.transforms=[{name: label_noise, splits: []}]", "data.transforms.0.splits", 2),
        ("evaluate.sets.valid={split: test}", "cannot name a set", 2),
        ("evaluate.sets.Fog={split: test}", "cannot name a set", 2),
        ("evaluate.sets.there={data: {name: nothing}}", "evaluate.sets.there.data.name", 2),
        ("evaluate.sets.cost={}", "cannot name a set", 2),
        ("evaluate.sets.x={split: nowhere}", "no split 'nowhere'", 3),
        ("data.transforms=[{name: label_noise, splits: [nowhere]}]", "no split 'nowhere'", 3),
        ("evaluate.sets.x={data: {name: bffhq}}", "evaluate.sets.x", 3),
        ("evaluate.sets.test_again={transforms: [{name: tempo}]}", "SpeechInfo", 3),
    ],
)
def test_what_a_recipe_names_wrongly_is_2_and_rows_that_do_not_fit_3(
    cli: CommandLine, tmp_path: Path, override: str, message: str, code: int
) -> None:
    target = _written(tmp_path, ROBUST)
    done = cli.here("run", target, override, "--profile", "smoke", "--json", out=tmp_path, code=code)
    assert message in json.dumps(done.document)


def test_a_set_may_not_be_called_like_a_group_of_metrics(cli: CommandLine, tmp_path: Path) -> None:
    text = TURNED.replace("wiki:", "many:")
    done = cli.here("validate", _written(tmp_path, text), "--json", out=tmp_path, code=2)
    assert "cannot be called 'many'" in json.dumps(done.document)
