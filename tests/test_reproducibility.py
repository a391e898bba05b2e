"""docs/reproducibility.md: every claim of every recipe, verdicts from result files alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites.config import catalog
from holdfast.suites.config.errors import Fault
from holdfast.suites.reports import claims, evidence

from .test_results_pages import script

generate = script("reproducibility")


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """A result of two claims: one of a paper that does not hold, one that is undecided."""
    suite = catalog.recipe("supremix_imdb_wiki", None)
    rows = []
    for claim, each in zip(suite.claims, ((0.2, -0.1, 0.0), (-0.3, -0.31, -0.32)), strict=True):
        difference = claims.tested(dict(enumerate(each)), dict.fromkeys(range(3), 0.0), True, 0.0)
        rows.append({"suite": suite.name, **claims.row(claim, difference, "Student's t", "")})
    value = {"method": "l1", "metric": "mae/last", "value": 8.06, "source": "table|1", "reproduced": 7.0, "half": None}
    return {
        "suite": suite.name,
        "profile": "demo",
        "command": "suites verify supremix_imdb_wiki",
        "seconds": 60.0,
        "runs": {"count": 6, "minutes": 2.0, "commits": ["0123456789abcdef"]},
        "data": {"source": "stand-in"},
        "made": {"date": "2026-01-01", "commit": ""},
        "claims": rows,
        "reported": [{**value, "n": 1, "verdict": "not comparable", "reason": "one seed has no interval"}],
    }


def test_the_page_is_what_the_result_files_give() -> None:
    assert generate.PAGE.read_text(encoding="utf-8") == generate.pages(generate.read()), f"run: {generate.COMMAND}"


def test_every_claim_stands_there_with_what_was_found(result: dict[str, Any]) -> None:
    page = generate.pages([result])
    lines = page.splitlines()
    (paper,) = [line for line in lines if "supremix beats l1 in mae/last (the paper: protocol: imbalanced" in line][-1:]
    assert "does not hold (not reproduced)" in paper
    assert "demo, stand-in" in paper
    (ours,) = [line for line in lines if line.startswith("| supremix beats supcon in projection/ordinality/last |")]
    assert ours.endswith("| undecided |")
    assert "table\\|1" in page
    untested = sum("not tested;" in line for line in lines)
    stated = sum(len(catalog.recipe(entry["name"], None).claims) for entry in catalog.recipes())
    assert untested == stated - 2
    assert "| supremix | 0 | 1 | 1 |" in page
    assert "2026-01-01; 6 runs, 2 minutes of training, commit 0123456789ab." in page


def test_a_result_of_another_claim_is_no_result(result: dict[str, Any]) -> None:
    """Who changes a claim after it was tested has it untested again."""
    moved = copy.deepcopy(result)
    for row in moved["claims"]:
        row["by"] = 0.5
    page = generate.pages([moved])
    assert "undecided |" not in page.partition("### supremix_imdb_wiki")[2].partition("###")[0]


def test_a_damaged_result_file_is_refused(tmp_path: Path, result: dict[str, Any]) -> None:
    (tmp_path / "a.json").write_text(json.dumps({**result, "schema": 99}))
    with pytest.raises(Fault, match="no result of suites verify of schema 1"):
        generate.read(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps({**result, "schema": evidence.SCHEMA}))
    assert len(generate.read(tmp_path)) == 1


def test_earlier_runs_decide_only_claims_of_their_setting(tmp_path: Path) -> None:
    claims_of = tmp_path / "claims"
    claims_of.mkdir()
    rows = [f"{value},supremix,{s},0,{1 + 0.01 * s}" for value in ("", "True") for s in range(3)]
    rows += [f"{value},l1,{s},0,{2 + 0.02 * s}" for value in ("", "True") for s in range(3)]
    (tmp_path / "a.csv").write_text("\n".join(["data,method,seed,data_seed,mae/last", *rows]) + "\n")
    entry = {
        "suite": "supremix_agedb",
        "csv": "a.csv",
        "profile": "demo",
        "source": "stand-in",
        "command": "suites run x",
    }
    imbalanced = {**entry, "data": "True", "overrides": {"data.options.imbalanced": True}}
    (claims_of / "earlier.yaml").write_text(json.dumps([entry, imbalanced]))
    plain, few = generate.read(claims_of)
    assert [row["claim"] for row in plain["claims"]] == ["supremix beats l1 in mae/last"]
    assert [row["claim"] for row in few["claims"]] == ["supremix beats l1 in mae/last (data.options.imbalanced=True)"]
    assert plain["claims"][0]["effect"] == pytest.approx(1.01)
    assert "runs of earlier code" in generate.pages([plain])
    (claims_of / "earlier.yaml").write_text("- {suite: supremix_agedb}")
    with pytest.raises(Fault, match="Field required"):
        generate.read(claims_of)
