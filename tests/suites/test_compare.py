"""``suites compare`` on folders of finished runs: pairs, settings, splits of one table, ranks, refusals."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holdfast.analysis.plots.palette import COLOURS
from holdfast.suites.config.errors import Fault
from holdfast.suites.reports import compare, compared
from holdfast.suites.reports.picture import picture
from scipy import stats

from .process import CommandLine


def invocation(
    out: Path,
    name: str,
    values: dict[str, list[float]],
    *,
    file: str = "a.csv",
    data_seed: int = 0,
    first_seed: int = 0,
    hidden: str = "",
    lr: float = 0.001,
    weight: float = 1.0,
    status: str = "finished",
    problem: str = "regression",
    metric: str = "mae/last",
    data: dict[str, Any] | None = None,
) -> Path:
    """An invocation of runs that are ended, as the runner leaves it: ``values`` of each method by seed."""
    folder = out / name
    options = {"file": file, "seed": data_seed}
    recipe = {
        "data": {"name": "supremix_tabular", "options": options, "hidden_from_training": [hidden]},
        "model": {"name": "regression", "options": {}},
        "methods": {m: {"weight": weight} for m in values},
        "train": {"lr": lr, "threads": first_seed + 1},
        "problem": problem,
        "family": "supremix",
    }
    runs = []
    for method, per_seed in values.items():
        for seed, value in enumerate(per_seed, first_seed):
            run = folder / f"{method}-s{seed}"
            run.mkdir(parents=True)
            (run / "run.json").write_text(json.dumps({"status": status}))
            (run / "summary.json").write_text(json.dumps({metric: value, "r2/last": -value, "gm/last": float("nan")}))
            runs.append({"method": method, "seed": seed, "folder": run.name})
    document = {
        "suite": "supremix_tabular",
        "recipe": json.dumps(recipe),
        "data": {"source": "real", **(data or {})},
        "runs": runs,
    }
    (folder / "invocation.json").write_text(json.dumps(document))
    return folder


def screen(cli: CommandLine, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Standard output and standard error of ``suites compare``."""
    done = cli.here("compare", *arguments, out=Path.cwd(), code=code, COLUMNS="160")
    return done.stdout, done.stderr


def test_one_task_split_over_invocations_is_paired_by_seeds(tmp_path: Path) -> None:
    invocation(tmp_path, "a", {"l1": [1.0, 2.0]})
    invocation(
        tmp_path, "b", {"l1": [3.0], "mse": [5.0]}, first_seed=2
    )  # another number of threads is no other setting
    invocation(tmp_path, "c", {"mse": [2.5, 3.5]})
    comparison = compare.compare([str(tmp_path)], tmp_path, None, "mse")
    (task,) = comparison["tasks"]
    best, base = task["methods"]
    assert (comparison["metric"], comparison["higher_is_better"], task["task"], comparison["ranks"]) == (
        "mae/last",
        False,
        "supremix_tabular",
        None,
    )
    assert (best["method"], best["mean"], best["n"], base["method"], base["n"]) == ("l1", 2.0, 3, "mse", 3)
    assert best["difference"]["mean"] == pytest.approx(-5 / 3)
    assert best["verdict"] == "better"
    assert "difference" not in base


def test_seeds_of_data_are_pairs_not_tasks(tmp_path: Path) -> None:
    for seed in range(3):
        invocation(tmp_path, str(seed), {"l1": [1.0 + seed], "mse": [1.1 + seed]}, data_seed=seed)
    comparison = compare.compare([str(tmp_path)], tmp_path, None, None)
    (task,) = comparison["tasks"]
    assert [row["n"] for row in task["methods"]] == [3, 3]
    assert task["methods"][1]["difference"]["half"] == pytest.approx(0, abs=1e-9)
    assert task["methods"][1]["verdict"] == "worse"


REAL_PICTURES = True
SPLITS = {"rows": {"train": 70, "valid": 15, "test": 15}, "random_split": True}
FRESH = {"rows": {"train": 70, "valid": 15, "test": 15}, "random_split": False}


CORRECTED = "corrected resampled t-test (Nadeau and Bengio 2003; n_test / n_train = 0.214)"
UNRECORDED = "Student's t (too narrow if the data are splits of one table, which these older runs do not record)"


@pytest.mark.parametrize(
    ("data", "vary_data", "wider", "test"),
    [
        (SPLITS, True, math.sqrt(1 + 5 * 15 / 70), CORRECTED),
        (SPLITS, False, 1.0, "Student's t"),  # one split, five seeds of the weights
        (FRESH, True, 1.0, "Student's t"),  # five independent stand-ins
        ({}, True, 1.0, UNRECORDED),
    ],
)
def test_the_test_is_that_of_the_data(
    data: dict[str, Any], vary_data: bool, wider: float, test: str, tmp_path: Path
) -> None:
    l1, mse = [1.0, 1.2, 0.9, 1.1, 1.3], [1.3, 1.4, 1.35, 1.2, 1.7]
    for seed in range(5):
        invocation(
            tmp_path,
            str(seed),
            {"l1": [l1[seed]], "mse": [mse[seed]]},
            first_seed=seed,
            data_seed=seed if vary_data else 0,
            data=data,
        )
    comparison = compare.compare([str(tmp_path)], tmp_path, None, "l1")
    (task,) = comparison["tasks"]
    best, row = task["methods"]
    half = stats.t.ppf(0.975, 4) * np.std(np.subtract(mse, l1), ddof=1) / math.sqrt(5)
    assert row["difference"]["half"] == pytest.approx(wider * half)
    assert best["half"] == pytest.approx(wider * stats.t.ppf(0.975, 4) * np.std(l1, ddof=1) / math.sqrt(5))
    t = np.mean(np.subtract(mse, l1)) / (wider * half / stats.t.ppf(0.975, 4))
    assert row["difference"]["p"] == pytest.approx(2 * stats.t.sf(t, 4))
    assert task["test"] == test
    assert f"{test}\n" in compared.markdown(comparison)
    assert task["unit"] == ("splits" if wider > 1 else "seeds")


def test_real_invocations_say_what_their_data_are(tmp_path: Path, empty_store: Path, cli: CommandLine) -> None:
    """By the command line: two seeds of a table's split are resampled, two of the stand-in are fresh."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i % 13},{i % 11}\n" for i in range(100)))
    root = {"table": ["--data-root", str(tmp_path / "t.csv")], "fresh": []}
    for kind, options in root.items():
        for seed in ("0", "1"):
            cli.here(
                "run",
                "supremix_tabular",
                "--profile",
                "smoke",
                "--method",
                "l1",
                "train.epochs=1",
                f"data.options.seed={seed}",
                "--seed",
                seed,
                "--out",
                str(tmp_path / kind),
                *options,
                "--tracking-uri",
                f"sqlite:///{tmp_path / 'mlflow.db'}",
                "--json",
                out=tmp_path,
            )
            data = json.loads(next((tmp_path / kind).glob("*/l1-s*/environment.json")).read_text())["data"]
            assert data["random_split"] is (kind == "table")
    (task,) = compare.compare([str(tmp_path / "table")], tmp_path, None, None)["tasks"]
    assert task["test"].endswith("n_test / n_train = 0.214)")
    (task,) = compare.compare([str(tmp_path / "fresh")], tmp_path, None, None)["tasks"]
    assert task["test"] == "Student's t"


def test_runs_on_one_split_count_once(tmp_path: Path) -> None:
    """Two seeds of the weights on each of three splits: n is three, and each split's value is the mean of its runs."""
    for seed in range(3):
        invocation(tmp_path, str(seed), {"l1": [1.0 + seed, 1.2 + seed]}, data_seed=seed, data=SPLITS)
    (row,) = compare.compare([str(tmp_path)], tmp_path, None, None)["tasks"][0]["methods"]
    assert (row["n"], row["mean"]) == (3, pytest.approx(2.1))
    assert row["half"] == pytest.approx(stats.t.ppf(0.975, 2) * math.sqrt(1 / 3 + 15 / 70))


def test_a_difference_that_is_not_significant_says_which_way_it_goes(tmp_path: Path) -> None:
    invocation(tmp_path, "a", {"l1": [1.0, 1.2, 0.9], "mse": [1.01, 1.1, 1.05], "rnc": [1.0, 1.2, 0.9]})
    rows = {row["method"]: row for row in compare.compare([str(tmp_path)], tmp_path, None, "l1")["tasks"][0]["methods"]}
    assert rows["mse"]["verdict"] == "not significant (worse in the mean)"
    assert rows["rnc"]["verdict"] == "not significant"
    assert "mae/last (lower is better)" in compared.markdown(compare.compare([str(tmp_path)], tmp_path, None, None))


def test_an_oracle_that_sees_more_columns_is_in_the_same_task(tmp_path: Path) -> None:
    invocation(tmp_path, "a", {"l1": [1.0]}, hidden="bias")
    invocation(tmp_path, "b", {"oracle": [0.5]})
    (task,) = compare.compare([str(tmp_path)], tmp_path, None, None)["tasks"]
    assert [row["method"] for row in task["methods"]] == ["oracle", "l1"]


def test_settings_are_named_by_the_field_that_differs(tmp_path: Path) -> None:
    invocation(tmp_path, "a", {"l1": [1.0], "mse": [2.0]})
    invocation(tmp_path, "b", {"l1": [3.0]}, weight=2.0)
    invocation(tmp_path, "c", {"l1": [4.0]}, weight=2.0, lr=0.1)
    tasks, _ = compare.collect([str(tmp_path)], tmp_path)
    labels = sorted(compare.labels(tasks[0].entrants))
    l1 = ["l1 weight=1.0 train.lr=0.001", "l1 weight=2.0 train.lr=0.001", "l1 weight=2.0 train.lr=0.1"]
    assert labels == [*l1, "mse"]


def test_ranks_over_tasks_leave_out_what_some_task_lacks(tmp_path: Path) -> None:
    for k, file in enumerate("abc"):
        invocation(
            tmp_path,
            file,
            {"l1": [1.0], "mse": [2.0], "rnc": [0.5 + k]} | ({"fds": [9.0]} if k else {}),
            file=f"{file}.csv",
        )
    comparison = compare.compare([str(tmp_path)], tmp_path, None, None)
    assert [task["task"] for task in comparison["tasks"]] == [f"supremix_tabular file={f}.csv" for f in "abc"]
    assert comparison["ranks"]["average_rank"] == {"l1": 4 / 3, "rnc": 2.0, "mse": 8 / 3}
    assert comparison["ranks"]["left_out"] == ["fds"]
    assert "| l1 | 1.33 | 1.000 | 1.000 | 1.000 |" in compared.markdown(comparison)
    best = compare.compare([str(tmp_path)], tmp_path, "r2/last", None)  # more is better there
    assert best["higher_is_better"]
    assert best["tasks"][0]["methods"][0]["method"] == "rnc"


def test_the_picture_is_drawn_over_the_field_that_differs(tmp_path: Path, cli: CommandLine) -> None:
    from PIL import Image

    for k, file in enumerate(("0.995", "1.0", "0.95")):
        invocation(tmp_path, file, {"l1": [1.0, 1.0 + k], "mse": [2.0]}, file=file)
    document = json.loads(screen(cli, str(tmp_path), "--json", "--picture", str(tmp_path / "p.png"))[0])
    assert document["over"] == "data.options.file"
    assert {task["at"] for task in document["tasks"]} == {"0.95", "0.995", "1.0"}
    assert np.asarray(Image.open(tmp_path / "p.png").convert("L")).std() > 10
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


def test_the_picture_of_one_suite_has_a_dot_a_seed(
    tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast.analysis.plots import comparison

    given: list[Any] = []
    monkeypatch.setattr(comparison, "metric_by_method", lambda panels, path, **options: given.append((panels, options)))
    invocation(tmp_path, "a", {"l1": [1.0, 1.2], "mse": [2.0, 2.1]})
    document = compare.compare([str(tmp_path / "a")], tmp_path, None, None)
    picture(document, tmp_path / "p.png")
    (((panel,), options),) = given
    assert "lower is better" in panel.title
    assert [(row.name, list(row.values)) for row in panel.rows] == [("l1", [1.0, 1.2]), ("mse", [2.0, 2.1])]
    assert options["colours"] == {"l1": COLOURS[0], "mse": COLOURS[1]}, "by the recipe's order, as in MLflow"
    monkeypatch.undo()
    screen(cli, str(tmp_path / "a"), "--picture", str(tmp_path / "q.svg"))
    assert "<svg" in (tmp_path / "q.svg").read_text()
    for name, words in (("no/p.png", "cannot write p.png"), ("p.gif", "a picture ends in .png, .pdf, .svg")):
        assert words in screen(cli, str(tmp_path / "a"), "--picture", str(tmp_path / name), code=2)[1]


def test_what_is_not_finished_or_nan_is_left_out_and_named(tmp_path: Path, cli: CommandLine) -> None:
    invocation(tmp_path, "a", {"l1": [1.0]})
    invocation(tmp_path, "b", {"mse": [1.0]}, status="interrupted")
    shown, notes = screen(cli, str(tmp_path), "--json")
    assert json.loads(shown)["not_finished"] == ["b/mse-s0 (interrupted)"]
    assert "left out, not finished: b/mse-s0" in notes
    assert compare.compare([str(tmp_path / "a")], tmp_path, "gm/last", None)["tasks"] == []


def test_the_screen_and_markdown_show_the_same_rows(tmp_path: Path, cli: CommandLine) -> None:
    invocation(tmp_path, "a", {"l1": [1.0, 1.2], "mse": [2.0, 2.1]})
    shown, _ = screen(cli, str(tmp_path / "a"))
    assert "2.050" in shown
    shown, _ = screen(cli, str(tmp_path / "a"), "--markdown")
    assert shown.splitlines()[3] == "|---|---|---|---|---|---|---|"
    assert "| mse | 2 | 2.050 ± 0.635 | +0.950 ± 0.635 | 0.033 | worse, higher |" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--metric", "mea/last"], "no run has the metric 'mea/last'"),
        (["a", "--than", "rnc"], "there is no 'rnc' to compare with"),
        (["a", "twice"], "run twice with the same settings"),
        (["open"], "no run of these is finished"),
        (["absent"], "'absent' is no invocation and no run"),
        (["a", "other"], "different problems"),
    ],
)
def test_refusals_are_one_message(tmp_path: Path, arguments: list[str], message: str, cli: CommandLine) -> None:
    invocation(tmp_path, "a", {"l1": [1.0]})
    invocation(tmp_path, "twice", {"l1": [1.5]})
    invocation(tmp_path, "open", {"l1": [1.5]}, status="running")
    invocation(tmp_path, "other", {"erm": [0.5]}, problem="groups", metric="accuracy/last")
    assert message in screen(cli, *arguments, "--out", str(tmp_path), code=2)[1]


def test_a_fault_says_where_both_lie(tmp_path: Path) -> None:
    first, second = (invocation(tmp_path, name, {"l1": [1.0]}) for name in ("a", "b"))
    with pytest.raises(Fault) as error:
        compare.collect([str(first), str(second)], tmp_path)
    assert str(first / "l1-s0") in error.value.where
    assert str(second / "l1-s0") in error.value.where


def test_unequal_settings_are_listed_beside_the_table(tmp_path: Path, cli: CommandLine) -> None:
    """Runs of two invocations, one with a longer second stage by hand: compare names field, values, methods, reason."""
    reason = "changed for this run: methods.supremix.second_epochs=9"
    for name, methods, unequal in (
        ("a", {"l1": {"second_epochs": 5}, "supcon": {"second_epochs": 5}}, {}),
        ("b", {"supremix": {"second_epochs": 9, "use": "supremix"}}, {"second_epochs": {"supremix": reason}}),
    ):
        folder = invocation(tmp_path, name, {m: [1.0, 2.0] for m in methods})
        document = json.loads((folder / "invocation.json").read_text())
        recipe = json.loads(document["recipe"]) | {"methods": methods, "unequal": unequal}
        recipe["train"] |= {"epochs": 4, "epochs_first": None}
        document["recipe"] = json.dumps(recipe)
        (folder / "invocation.json").write_text(json.dumps(document))
    comparison = compare.compare([str(tmp_path)], tmp_path, None, None)
    (task,) = comparison["tasks"]
    assert task["unequal"] == [
        {"field": "second_epochs", "values": {"5": ["l1", "supcon"], "9": ["supremix"]}, "why": [reason]},
        {"field": "total_epochs", "values": {"9": ["l1", "supcon"], "13": ["supremix"]}, "why": []},
    ]
    title, header, rows = compared.tables(comparison)[-1]
    assert title == "supremix_tabular: settings that these methods do not share"
    assert header == ["field", "values", "reason given"]
    assert rows[0] == ["second_epochs", "5 (l1, supcon), 9 (supremix)", reason]
    shown, _ = screen(cli, str(tmp_path))
    assert "settings that these methods do not share" in shown
    equal = compare.compare([str(tmp_path / "a")], tmp_path, None, None)
    assert equal["tasks"][0]["unequal"] == []
    assert len(compared.tables(equal)) == 1


def test_invocations_are_chosen_by_suite_profile_and_age(tmp_path: Path, cli: CommandLine) -> None:
    for number, (name, suite, profile, value) in enumerate(
        (("a", "one", "demo", 1.0), ("b", "one", "smoke", 2.0), ("c", "two", "demo", 3.0), ("d", "one", "demo", 4.0))
    ):
        folder = invocation(tmp_path, name, {"l1": [value]}, first_seed=number)
        document = json.loads((folder / "invocation.json").read_text()) | {"suite": suite, "profile": profile}
        (folder / "invocation.json").write_text(json.dumps(document))
        os.utime(folder / "invocation.json", ns=(number * 10**9, number * 10**9))
    invocation(tmp_path, "e", {"l1": [5.0]}, status="running")

    def means(*arguments: str) -> list[float]:
        done = cli.here("compare", *arguments, "--json", "--out", str(tmp_path), out=tmp_path)
        return [row["mean"] for task in done.document["tasks"] for row in task["methods"]]

    assert means("--suite", "one") == [pytest.approx(7 / 3)]
    assert means("--suite", "one", "--profile", "demo") == [2.5]
    assert means("--suite", "one", "--latest") == [4.0]
    assert means("--profile", "smoke") == [2.0]
    assert means("a", "b", "--latest") == [2.0]
    error = cli.here("compare", "--suite", "three", "--out", str(tmp_path), out=tmp_path, code=2).stderr
    assert "no finished run of three" in error


def test_several_metrics_stand_in_one_table_with_arrows(tmp_path: Path, cli: CommandLine) -> None:
    invocation(tmp_path, "a", {"l1": [1.0, 1.2], "mse": [2.0, 2.1]})
    both = ("--metric", "mae/last", "--metric", "r2/last", "--out", str(tmp_path))
    document = cli.here("compare", "a", *both, "--json", out=tmp_path).document
    assert [one["metric"] for one in document["metrics"]] == ["mae/last", "r2/last"]
    assert document["metric"] == "mae/last"
    (table,) = compared.tables(document)
    assert table[1] == ["method", "mae/last ↓", "r2/last ↑"]
    assert table[2][0][1].endswith("\n(base)")
    assert [cell.split("\n")[1] for cell in table[2][1][1:]] == ["worse, higher", "worse, lower"]
    shown = cli.here("compare", "a", *both, out=tmp_path, COLUMNS="80").stdout
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_one_seed_has_no_interval_in_its_table(tmp_path: Path) -> None:
    invocation(tmp_path, "a", {"l1": [1.0], "mse": [2.0]})
    ((title, header, rows),) = compared.tables(compare.compare([str(tmp_path)], tmp_path, None, None))
    assert title.endswith("one seed: how sure is unknown")
    assert "±" not in title
    assert header == ["method", "mae/last ↓", "against l1, paired", "verdict"]
    assert rows[1] == ["mse", "2.000", "+1.000", "one seed: worse, higher"]
