"""docs/results: the pages are what their sources give, computed as ``suites compare`` computes, and name commands that
can be run."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from holdfast.suites.config import catalog
from holdfast.suites.config.errors import Fault
from holdfast.suites.reports import compare, compared

from .suites.hints import refusal, unknown_fields

ROOT = Path(__file__).resolve().parents[1]
PAGES, SOURCES = ROOT / "docs" / "results", ROOT / "docs" / "results" / "sources"


def script(name: str) -> Any:
    """A file of docs/generate as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_generate_{name}", ROOT / "docs" / "generate" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic resolves annotations there
    spec.loader.exec_module(module)
    return module


generate, export = script("results"), script("export")
READ = {path.stem: generate.read(path) for path in sorted(SOURCES.glob("*.yaml"))}
TABLES = [(name, item) for name, source in READ.items() for item in source.content if isinstance(item, generate.Table)]
COMPUTED = [table for _, table in TABLES if table.runs]
BOARDS = [(name, item) for name, source in READ.items() for item in source.content if isinstance(item, generate.Board)]
ORDERS = [item for source in READ.values() for item in source.content if isinstance(item, generate.Orders)]
OF_BOARDS = [(name, one) for name, board in BOARDS for one in board.board]
PROBLEMS = {
    "coconut": "speech",
    "supremix": "regression",
    "continual": "classification",
    "sepclr": "contrastive_analysis",
    "peft": "text_classification",
    "slimmable": "multi_task",
    "world": "speech",
}
SETS = {"peft": {"eda_10", "eda_30", "eda_50"}}  # evaluation sets of the recipe behind a CSV


def test_the_pages_are_what_their_sources_give() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    given = generate.pages()
    assert sorted(written) == sorted(given)
    differing = [name for name, text in given.items() if written[name] != text]
    assert not differing, f"run: {generate.COMMAND} ({', '.join(differing)})"


def test_every_csv_is_of_some_table() -> None:
    used = {table.runs for table in COMPUTED} | {csv for _, one in OF_BOARDS for csv in (one.runs, one.more, one.costs)}
    used |= {csv for item in ORDERS for csv in item.orders.values()}
    assert sorted(path.name for path in SOURCES.glob("*.csv")) == sorted(used - {""})


def test_a_page_follows_its_csv(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SOURCES, tmp_path / "sources"))
    path = folder / "coconut-slurp.csv"
    path.write_text(re.sub(r"(?m)^(,er,100,100),[\d.]+", r"\1,0.9", path.read_text(encoding="utf-8")), encoding="utf-8")
    changed = generate.pages(folder)
    assert [n for n, text in generate.pages().items() if changed[n] != text] == ["coconut.md", "speech.md"]


def task_of(table: Any, data: str) -> compare.Task:
    """The runs of a table on one data set, as ``suites compare`` collects them."""
    problem = PROBLEMS[table.runs.partition("-")[0]]
    sets = SETS.get(table.runs.partition("-")[0], set())
    task = compare.Task(table.runs, problem, {}, overlap=float(generate.Fraction(table.overlap)), sets=sets)
    entrants: dict[str, compare.Entrant] = {}
    with (SOURCES / table.runs).open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["data"] == data and line["method"] in table.rows and line["method"] not in table.outside:
                if table.seeds and int(line["seed"]) not in table.seeds:
                    continue
                one = entrants.setdefault(line["method"], compare.Entrant(line["method"], {}))
                key = int(line["seed"]), int(line["data_seed"])
                one.metrics[key] = {n: float(v) for n, v in line.items() if v and n.count("/")}
    task.entrants = list(entrants.values())
    return task


@pytest.mark.parametrize("table", COMPUTED, ids=lambda table: f"{table.runs}-{table.first}")
def test_a_table_computes_what_compare_computes(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = generate.Computed(table, SOURCES)
    checked = 0
    for column in table.columns:
        if column.show not in ("interval", "difference", "p"):
            continue
        task = task_of(table, column.data)
        monkeypatch.setattr(compare, "collect", lambda targets, out, task=task: ([task], []))
        document = compare.compare([], Path(), column.metric, table.than or None)
        for row in document["tasks"][0]["methods"]:
            if row["method"] in computed.published:
                continue
            expected = compared.pm(row["mean"], row["half"])
            if column.show != "interval":
                against = row.get("difference")
                p = compared.probability(row["p_holm"]) if against else ""
                expected = p if column.show == "p" else compared.pm(against["mean"], against["half"], "+") if p else ""
            assert computed.cell(row["method"], column) == expected, (row["method"], column.title)
            checked += 1
    assert checked or not {"interval", "difference", "p"} & {column.show for column in table.columns}


@pytest.mark.parametrize("item", ORDERS, ids=lambda item: item.metric)
def test_orders_are_those_of_the_means_that_the_csvs_have(item: Any) -> None:
    text = generate.of_orders(item, SOURCES)
    columns = []
    for file in item.orders.values():
        values: dict[str, list[float]] = {}
        for line in generate.lines_of(SOURCES / file):
            values.setdefault(line["method"], []).append(float(line[item.metric]))
        means = {method: -sum(values[method]) / len(values[method]) for method in item.methods}
        columns.append(sorted(means, key=means.__getitem__))
    for rank, names in enumerate(zip(*columns, strict=True), 1):
        assert f"| {rank} | {' | '.join(names)} |" in text


@pytest.mark.parametrize(
    ("name", "one"), [pair for pair in OF_BOARDS if pair[1].runs], ids=lambda value: str(value)[:20]
)
def test_a_board_has_every_method_and_computes_what_compare_computes(
    name: str, one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (board,) = [board for page, board in BOARDS if page == name]
    cells = generate.measured(board, one, SOURCES)
    assert sorted(cells) == sorted(catalog.recipe(one.suite, None).methods)
    task = compare.Task(one.suite, board.problem, {}, overlap=float(generate.Fraction(one.overlap)))
    with (SOURCES / one.runs).open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["method"] in cells:
                entrant = next((e for e in task.entrants if e.method == line["method"]), None)
                if entrant is None:
                    entrant = compare.Entrant(line["method"], {})
                    task.entrants.append(entrant)
                metrics = {n: float(v) for n, v in line.items() if v and n.count("/")}
                entrant.metrics[int(line["seed"]), int(line["data_seed"])] = metrics
    monkeypatch.setattr(compare, "collect", lambda targets, out: ([task], []))
    measured = {entrant.method for entrant in task.entrants}
    for place, metric in enumerate(board.columns.values(), start=1):
        document = compare.compare([], Path(), metric, None)
        expected = {row["method"]: compared.pm(row["mean"], row["half"]) for row in document["tasks"][0]["methods"]}
        assert {m: c[place] for m, c in cells.items() if m in measured} == expected
    rest = {m: c for m, c in cells.items() if m not in measured}
    assert all((c[0] == "0" and set(c[1:]) == {"no runs"}) or c[0].endswith("‡") for c in rest.values())
    assert [m for m in cells if m in measured] == list(cells)[: len(measured)], "what was not measured stands last"


def test_a_wrong_board_is_one_message(tmp_path: Path) -> None:
    shutil.copy(SOURCES / "coconut-slurp.csv", tmp_path / "a.csv")
    good = {"title": "A", "suite": "coconut_slurp", "command": "suites run coconut_slurp", "runs": "a.csv"}
    board = {"problem": "speech", "columns": {"average": "accuracy/average"}, "costs": {}, "board": [good]}
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({"title": "A", "content": [board]}))
    text = generate.pages(tmp_path)["a.md"]
    assert "| finetune | 0 | no runs |" in text
    assert "| er | 3 | 0.401 ± 0.072 |" in text
    for change, message in (
        ({"board": [{**good, "runs": "b.csv"}]}, "the CSV of a table is missing"),
        ({"board": [{**good, "suite": "coconut"}]}, "coconut"),
        ({"columns": {"F1": "slu_f1/last"}}, "the CSV has no column slu_f1/last"),
        ({"columns": {"F1": "slu_f2/last"}}, "unknown metric 'slu_f2/last'"),
    ):
        path.write_text(yaml.safe_dump({"title": "A", "content": [{**board, **change}]}))
        with pytest.raises(Fault) as caught:
            generate.pages(tmp_path)
        assert message in caught.value.what


def test_the_smallest_difference_is_found_in_four_of_five() -> None:
    """Against the noncentral t: the power of the paired test at that difference."""
    from scipy.stats import nct, t

    n, deviation = 10, 0.03
    error = deviation / math.sqrt(n)
    half = float(t.ppf(0.975, n - 1)) * error
    difference = generate.statistics.smallest_detectable(generate.statistics.Difference(0.0, half, n, 1.0))
    power = nct.sf(t.ppf(0.975, n - 1), n - 1, difference / error)
    assert 0.78 < power < 0.82


def filled(table: Any, command: str) -> str:
    """The command with a value for each word that ``where`` explains: its first number, else its first word."""
    for word, meaning in table.where.items():
        first = re.match(r"[\d.]+|[\w.=/-]+", meaning)
        assert first is not None
        command = re.sub(rf"(?<![\w]){word}(?!\w)", first[0], command)
    return command


@pytest.mark.parametrize("name", sorted(READ))
def test_the_commands_of_the_tables_can_be_run(name: str) -> None:
    wrong = []
    for page, table in [*TABLES, *OF_BOARDS]:
        if page != name:
            continue
        assert table.command.strip(), "every table names its command"
        for line in table.command.replace("\\\n", " ").strip().splitlines():
            program, *arguments = shlex.split(filled(table, line))
            if program == "python":
                assert (ROOT / arguments[0]).is_file()
            else:
                assert program == "suites"
                wrong += [(line, why)] if (why := refusal(arguments)) else []
                wrong += [(line, field) for field in unknown_fields(" ".join(arguments))]
    assert wrong == []


TABLE: dict[str, Any] = {
    "command": "suites run coconut_slurp",
    "runs": "a.csv",
    "than": "er",
    "rows": {"er": None, "mm": None},
    "columns": [{"title": "MAE", "show": "interval", "metric": "mae"}],
}


def source(folder: Path, **change: Any) -> None:
    """A source of one table, as ``TABLE`` but for the change."""
    (folder / "a.yaml").write_text(yaml.safe_dump({"title": "A", "summary": "a", "content": [TABLE | change]}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": "b.csv"}, "the CSV of a table is missing"),
        ({"columns": [{"title": "MAE", "show": "interval", "metric": "wer"}]}, "the CSV has no column wer"),
        ({"columns": [{"title": "MAE", "show": "spread", "metric": "mae"}]}, "columns.0.show"),
        ({"rows": {"er": None, "nspt": None}}, "neither runs nor published figures of nspt"),
        ({"than": "joint"}, "no row is named joint"),
        ({"runs": ""}, "a table has either cells or runs"),
        ({"runs": "", "cells": "method | MAE\ner"}, "has 1 cells, the header 2"),
        ({"seeds": [7]}, "there is no run of these seeds"),
    ],
)
def test_a_wrong_source_is_one_message(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "data,method,seed,data_seed,mae\n,er,0,0,0.5\n,er,1,0,0.6\n,mm,0,0,0.4\n,mm,1,0,0.6\n"
    )
    source(tmp_path)
    assert "| mm | 0.500 ± 1.271 |" in generate.pages(tmp_path)["a.md"]
    source(tmp_path, **change)
    with pytest.raises(Fault) as caught:
        generate.pages(tmp_path)
    assert message in caught.value.what


def test_figures_as_published_stand_where_runs_are_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("data,method,seed,data_seed,mae\n,er,0,0,0.5\n,er,1,0,0.6\n")
    source(tmp_path, published="method | MAE\nmm | 0.345 ± 0.1\ner | 9.9 ± 0.1")
    text = generate.pages(tmp_path)["a.md"]
    assert "| mm † | 0.345 ± 0.1 |" in text
    assert "† Figures as published; the runs are not kept." in text
    assert "9.9" not in text, "what has runs is computed"


def finished(out: Path, method: str, seed: int, value: float) -> None:
    """A finished run of an invocation of its own, with the files that the export reads."""
    folder = out / f"suite-{method}-{seed}"
    run = folder / f"{method}-s{seed}"
    run.mkdir(parents=True)
    recipe = {"data": {"name": "digits", "options": {"seed": 5, "file": "a.csv"}}}
    plan: dict[str, Any] = {
        "suite": "s",
        "uid": "u",
        "profile": None,
        "recipe": yaml.safe_dump(recipe),
        "data": {"source": "real"},
    }
    plan |= {"device": "cpu", "tracking_uri": None, "recipe_digest": "d", "schema": 1}
    (folder / "invocation.json").write_text(
        json.dumps(plan | {"runs": [{"folder": run.name, "method": method, "seed": seed}]})
    )
    (run / "run.json").write_text(json.dumps({"status": "finished", "method": method, "seed": seed, "schema": 1}))
    (run / "summary.json").write_text(json.dumps({"mae/last": value, "r2/last": 0.123456789}))
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))


def test_the_export_writes_a_row_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, file = tmp_path / "runs", tmp_path / "a.csv"
    for seed in (10, 9):
        finished(out, "l1", seed, 42819.123 + seed)
    asked = [str(out), "--metrics", "mae/last,r2/last", "--out", str(file), "--by", "data.options.file"]
    assert export.main(asked) == 0, capsys.readouterr().err
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines == [
        "data,method,seed,data_seed,mae/last,r2/last",
        "a.csv,l1,9,5,42828.1,0.123457",
        "a.csv,l1,10,5,42829.1,0.123457",
    ]
    assert export.main([*asked, "--append"]) == 2
    assert "the same run stands there twice: a.csv, l1, 9, 5" in capsys.readouterr().err
    assert export.main([*asked, "--append", "--rename", "l1=plain"]) == 0
    assert len(file.read_text(encoding="utf-8").splitlines()) == 5
    assert export.main([str(out), "--metrics", "wer", "--out", str(file)]) == 2
    assert "no run has the metric 'wer'" in capsys.readouterr().err
    assert export.main([str(tmp_path / "nothing"), "--metrics", "wer", "--out", str(file)]) == 2


def test_no_path_of_a_machine_is_in_the_sources_or_pages() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in PAGES.rglob("*.*")}
    assert [name for name, text in texts.items() if re.search(r"(?<![\w.])/(?:tmp|home|work|root|Users)/", text)] == []
