"""``suites verify``: what is run for a claim, what its verdict is, what is written and answered."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from holdfast.analysis.statistics import Difference, paired
from holdfast.suites import api
from holdfast.suites.config import recipe as recipes
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.evidence import Claim, Reported
from holdfast.suites.config.recipe import Recipe, to_yaml
from holdfast.suites.reports import claims, evidence, reported, verify
from holdfast.suites.runtime import extend, folders, invocation
from holdfast.suites.runtime.plan import Invocation

from .process import CommandLine

METRIC = "accuracy/last"


def claim(**fields: Any) -> Claim:
    return Claim.model_validate({"metric": METRIC, "better": "er", "than": "finetune", **fields})


def difference(*each: float) -> Difference:
    return paired(dict(enumerate(each)), dict.fromkeys(range(len(each)), 0.0))


@pytest.mark.parametrize(
    ("fields", "each", "verdict"),
    [
        ({}, (0.2, 0.21, 0.22), "holds"),
        ({"by": 0.1}, (0.2, 0.21, 0.22), "holds"),
        ({"by": 0.21}, (0.2, 0.21, 0.22), "undecided"),
        ({"by": 0.3}, (0.2, 0.21, 0.22), "does not hold"),
        ({"by": -0.05}, (0.0, -0.01, 0.01), "holds"),
        ({}, (0.3, -0.2, 0.1), "undecided"),
        ({}, (0.0, 0.0, 0.0), "does not hold"),  # the same on every seed is not better
        ({}, (0.2,), "undecided"),
        ({}, (), "undecided"),
        ({"direction": "equal", "by": 0.1}, (0.01, -0.02, 0.0), "holds"),
        ({"direction": "equal", "by": 0.1}, (0.3, 0.31, 0.32), "does not hold"),
        ({"direction": "equal", "by": 0.1}, (0.3, -0.2, 0.1), "undecided"),
    ],
)
def test_verdicts(fields: dict[str, Any], each: tuple[float, ...], verdict: str) -> None:
    one = claims.row(claim(**fields), difference(*each), "Student's t", "")
    assert one["verdict"] == verdict
    assert one["n"] == len(each)
    json.dumps(one, allow_nan=False)
    if len(each) > 1 and not fields.get("direction"):  # the interval and p say the same
        assert (one["p"] < 0.05) == (verdict != "undecided") or one["p"] == 1.0


def test_an_error_is_better_when_lower() -> None:
    found = claims.tested({0: 1.0, 1: 2.0}, {0: 3.0, 1: 4.5}, higher=False, overlap=0.0)
    assert found.mean == 2.25
    assert claims.tested({0: 1.0, 1: 2.0}, {0: 3.0, 1: 4.5}, higher=True, overlap=0.0).mean == -2.25


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"direction": "equal"}, "by above 0"),
        ({"than": "er"}, "not er with itself"),
        ({"whose": "paper"}, "says where it stands"),
        ({"overrides": {"rho": 1}}, "no path of a field"),
        ({"seeds": 1}, "greater than or equal to 2"),
        ({"where": []}, "at least 1 item"),
    ],
)
def test_a_claim_that_cannot_be_tested_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        claim(**fields)


Start = Callable[..., Invocation]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], list[int], bool]]:
    """Instead of training: finished runs whose accuracy is 0.1 for finetune, 0.5 for er, 0.9 for joint, and a
    thousandth of the seed squared; what was asked for."""
    calls: list[tuple[str, list[str], list[int], bool]] = []
    level = {"finetune": 0.1, "er": 0.5, "joint": 0.9}

    def start(
        recipe: Recipe, *, methods: Sequence[str], seeds: Sequence[int], out: Path, into: Any, **_: Any
    ) -> Invocation:
        calls.append((recipe.name, list(methods), list(seeds), into is not None))
        entries: list[dict[str, Any]] = [
            {"method": m, "seed": s, "folder": f"{m}-s{s}"} for s in seeds for m in methods
        ]
        data = {"source": "real", "checksum": "0", "rows": {"train": 4, "test": 1}, "random_split": True}
        if into is None:
            plan = {"schema": 1, "suite": recipe.name, "profile": recipe.profile, "recipe": to_yaml(recipe)}
            plan |= {"device": "cpu", "tracking_uri": None, "data": data, "git": {}, "runs": entries}
            folder = folders.new_invocation(out, recipe.name, plan)
        else:
            folder = into.folder
            extend.grown(into, recipe, methods, seeds)
        for entry in entries:
            run = folder / entry["folder"]
            if run.exists():
                continue
            run.mkdir()
            folders.write_json(run / "run.json", {"status": "finished"})
            value = level[entry["method"]] + 0.001 * (entry["seed"] * level[entry["method"]]) ** 2
            folders.write_json(run / "summary.json", {METRIC: value, "ece/last": math.nan})
        return Invocation(folder, recipe)

    monkeypatch.setattr(invocation, "start", start)
    return calls


def test_only_what_is_missing_is_run(started: list[Any], tmp_path: Path) -> None:
    first = api.verify("split_digits", out=tmp_path, profile="smoke")
    assert started == [("split_digits", ["er", "finetune", "joint"], [0, 1, 2], False)]
    assert [one["verdict"] for one in first["claims"]] == ["holds", "holds"]
    assert evidence.read(Path(first["files"][0]))["runs"] == {"count": 9, "minutes": 0.0, "commits": []}
    api.verify("split_digits", out=tmp_path, profile="smoke")
    assert len(started) == 1
    api.verify("split_digits", out=tmp_path, profile="smoke", seeds=5)
    assert started[1:] == [("split_digits", ["er", "finetune", "joint"], [0, 1, 2, 3, 4], True)]
    few = api.verify("split_digits", out=tmp_path, profile="smoke", seeds=2)
    assert [one["n"] for one in few["claims"]] == [2, 2]  # seeds beyond those that are asked for do not count
    api.verify("split_digits", out=tmp_path, profile="smoke", overrides=["train.lr=0.5"])
    assert started[2:] == [("split_digits", ["er", "finetune", "joint"], [0, 1, 2], False)]


def with_claims(*given: dict[str, Any]) -> list[str]:
    whole = [{"metric": METRIC, "better": "er", "than": "finetune", **one} for one in given]
    return [f"claims={json.dumps(whole)}"]


def test_settings_of_claims_have_runs_of_their_own(started: list[Any], tmp_path: Path) -> None:
    texts = with_claims(
        {"overrides": {"train.lr": 0.5}},
        {"data_seeds": True, "seeds": 2},
        {"data_seeds": True, "seeds": 2, "test": "student"},
        {"better": "joint", "than": "er"},
    )
    done = api.verify("split_digits", out=tmp_path, profile="smoke", overrides=texts)
    assert [call[1:] for call in started] == [
        (["er", "finetune"], [0, 1, 2], False),
        (["er", "finetune"], [0], False),
        (["er", "finetune"], [1], False),
        (["joint", "er"], [0, 1, 2], False),
    ]
    drawn = done["claims"][1]
    assert drawn["test"].startswith("corrected resampled t-test")
    assert drawn["n"] == 2
    assert done["claims"][2]["reason"].startswith("the claim asks for the student test")
    assert done["claims"][2]["verdict"] == "undecided"
    assert done["claims"][0]["claim"].endswith("(train.lr=0.5)")


def test_data_and_metrics_that_do_not_fit_are_undecided(started: list[Any], tmp_path: Path) -> None:
    texts = with_claims(
        {"where": ["real"]}, {"where": ["stand-in"]}, {"metric": "ece/last"}, {"whose": "paper", "source": "table 1"}
    )
    done = api.verify("split_digits", out=tmp_path, profile="smoke", overrides=texts)
    needs, other, nan, paper = done["claims"]
    assert (needs["verdict"], needs["n"], needs["effect"]) == ("undecided", 0, None)
    assert needs["reason"] == "it must hold on real data: --data-root DIR"
    assert (other["verdict"], other["reason"]) == ("undecided", "it must hold on stand-in data")
    assert other["effect"] > 0.3
    assert (nan["verdict"], nan["reason"]) == ("undecided", "no run of er, finetune has a finite ece/last")
    assert claims.reproduced(paper) == "reproduced"
    assert claims.reproduced({**paper, "verdict": "does not hold"}) == "not reproduced"
    (path,) = done["files"]
    assert evidence.read(Path(path))["claims"][3]["differences"] == paper["differences"]
    assert str(tmp_path) not in Path(path).read_text()
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(Fault, match="no result of suites verify"):
        evidence.read(tmp_path / "bad.json")


def test_the_command_line_answers_by_exit_code(started: list[Any], tmp_path: Path, cli: CommandLine) -> None:
    given = ("verify", "split_digits", "--profile", "smoke")
    document = cli.here(*given, "--json", out=tmp_path).document
    assert {"claim", "verdict", "effect", "interval", "p", "n", "smallest_detectable", "source"} <= set(
        document["claims"][0]
    )
    shown = cli.here(*given, *with_claims({"by": 0.9}), "--record", str(tmp_path / "kept"), out=tmp_path, code=5).stdout
    assert "0 holds, 1 does not hold, 0 undecided" in shown
    assert (tmp_path / "kept" / "split_digits-smoke-real.json").exists()
    cli.here("verify", out=tmp_path, code=2)
    cli.here("verify", "split_digits", "--all", out=tmp_path, code=2)
    cli.here("verify", "--all", "--data-root", str(tmp_path), out=tmp_path, code=2)
    cli.here(*given, "claims=[]", "--seeds", "2", out=tmp_path)  # nothing is claimed, so nothing is tested
    cli.here("verify", "absent", out=tmp_path, code=2)


def test_a_suite_that_fails_does_not_stop_the_others(
    started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    assert {"coconut_slurp", "split_digits"} <= set(verify.claiming())
    monkeypatch.setattr(verify, "claiming", lambda: ["coconut_slurp", "split_digits"])
    whole = verify.of_suite

    def suite(name: str, *rest: Any) -> Any:
        if name == "coconut_slurp":
            raise Fault.run_failed("the disk is full", "somewhere", "free some space")
        return whole(name, *rest)

    monkeypatch.setattr(verify, "of_suite", suite)
    done = cli.here("verify", "--all", "--profile", "smoke", "--json", out=tmp_path, code=4).document
    assert [one["suite"] for one in done["failed"]] == ["coconut_slurp"]
    assert {one["suite"] for one in done["claims"]} == {"split_digits"}


def test_reported_values_stand_beside_reproduced_ones() -> None:
    base = api.load_recipe("split_digits", "smoke")
    fields = {"method": "er", "metric": METRIC, "source": "table 1", "protocol": "five seeds"}
    values = [Reported(value=v, **fields) for v in (0.5, 0.9)] + [Reported(value=0.5, differs="other data", **fields)]
    recipe = base.model_copy(update={"reported": tuple(values)})
    runs = [{"method": "er", "metrics": {METRIC: v}} for v in (0.45, 0.5, 0.55)]
    document = {"profile": "paper", "data": {"source": "real"}, "runs": runs}
    rows = reported.beside(recipe, document)
    assert [row["verdict"] for row in rows] == ["inside", "outside", "not comparable"]
    assert rows[0]["reproduced"] == pytest.approx(0.5)
    (_, header, shown) = reported.tables(rows)[0]
    assert len(header) == len(shown[0])
    assert "table 1 (five seeds)" in shown[0]
    demo = reported.beside(recipe, {**document, "profile": "demo"})
    assert {row["verdict"] for row in demo} == {"not comparable"}
    assert reported.beside(recipe, {**document, "runs": runs[:1]})[0]["reason"] == "one seed has no interval"
    assert reported.beside(recipe, {**document, "data": {"source": "stand-in"}}) == []
    wrong = f"reported={json.dumps([{**fields, 'value': 1, 'method': 'ero'}])}"
    with pytest.raises(Fault, match=r"reported.0: no method 'ero'"):
        api.load_recipe("split_digits", "smoke", [wrong])


def test_runs_are_made_and_tested(tmp_path: Path, empty_store: Path) -> None:
    """With training: two methods, two seeds."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    small = [*with_claims({"by": 0.9}), "data.experiences=2", "train.epochs=1"]
    done = api.verify("split_digits", out=tmp_path, profile="smoke", seeds=2, overrides=small)
    (one,) = done["claims"]
    assert (one["verdict"], one["n"], one["test"]) == ("does not hold", 2, "Student's t")
    runs = {(run["method"], run["seed"]): run["metrics"][METRIC] for run in api.results("last", tmp_path).runs}
    assert one["effect"] == pytest.approx(sum(runs["er", s] - runs["finetune", s] for s in (0, 1)) / 2)
    kept = recipes.load((api.results("last", tmp_path).folders[0] / "recipe.yaml").read_text(), None, [])
    assert kept.claims[0].by == 0.9
