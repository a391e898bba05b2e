"""``suites compare``: CSV, LaTeX, diagrams, what is averaged over tasks, and what is not."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.reports import compare, compared, export
from holdfast.suites.reports.picture import profile_curves, rank_diagram

from .process import CommandLine
from .test_compare import invocation

REAL_PICTURES = True


@pytest.fixture
def three_tasks(tmp_path: Path) -> Path:
    """Three data sets, three methods, four seeds; the first method is best everywhere."""
    for number, file in enumerate(("a.csv", "b.csv", "c.csv")):
        values = {m: [k + number + 0.01 * s * s for s in range(4)] for k, m in enumerate(("l1", "mse", "rnc"))}
        invocation(tmp_path, file[0], values, file=file)  # r2 is the error below 0
    return tmp_path


def test_csv_has_all_digits_and_no_formula(tmp_path: Path, cli: CommandLine) -> None:
    invocation(tmp_path, "a", {"l1": [1.0, 2.0 / 3.0], "mse": [2.0, 3.0]})
    rows = list(csv.DictReader(io.StringIO(cli.here("compare", "a", "--csv", out=tmp_path).stdout)))
    assert [row["method"] for row in rows] == ["l1", "mse"]
    assert [float(v) for v in rows[0]["values"].split()] == [1.0, 2.0 / 3.0]
    assert float(rows[1]["difference"]) == pytest.approx(5 / 3)
    assert rows[0]["p_holm"] == ""
    assert list(rows[0]) == list(export.COLUMNS)
    document = compare.compare(["a"], tmp_path, None, None)
    document["tasks"][0]["methods"][1]["method"] = "=cmd()"
    assert ",'=cmd()," in export.as_csv(document)


def test_latex_is_balanced_bold_and_escaped(tmp_path: Path, cli: CommandLine) -> None:
    invocation(tmp_path, "a", {"l1": [1.0, 1.1, 1.05], "mse": [2.0, 2.1, 2.2]})
    assert cli.here("compare", "a", "--latex", out=tmp_path).stdout.startswith(r"\begin{tabular}{lr}")
    document = compare.compare(["a"], tmp_path, None, None)
    document["tasks"][0]["methods"][1]["method"] = r"a_b%c{\input{x}}$&#~^"
    text = export.as_latex(document)
    *table, legend = [line for line in text.splitlines() if not line.startswith("%")]
    assert r"\input" not in "".join([*table, legend])
    assert r"a\_b\%c\{\textbackslash{}input\{x\}\}\$\&\#\textasciitilde{}\textasciicircum{}" in table[-3]
    best = [r"l1 & $\mathbf{1.050 \pm 0.124}$\rlap{$^{\circ}$} \\"]
    assert [line for line in table if line.startswith("l1")] == best
    assert r"\rlap{$^{\dagger}$}" in table[-3]
    assert all(line.replace(r"\&", "").count("&") == 1 for line in table if line.endswith(r"\\"))
    assert r"$^{\circ}$ base; $^{\dagger}$ worse than the base, at 0.05 after Holm" in legend
    assert "better" not in legend, "a mark that is not drawn is not explained"
    for row in document["tasks"][0]["methods"]:
        row["mean"] = 1.0
    assert "mathbf" not in export.as_latex(document), "where all are equal none is best"
    plain = "\n".join(table).replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")
    assert export.tex("x\u202ey\x00") == "xU+202EyU+0000"


def test_latex_of_several_tasks_has_them_below_or_above_the_metrics(three_tasks: Path) -> None:
    def columns(lines: list[str]) -> list[int]:
        spans = [re.sub(r"\\multicolumn\{(\d+)\}", lambda found: "& " * (int(found[1]) - 1), line) for line in lines]
        return [line.count("&") for line in spans]

    one = compare.compare([str(three_tasks)], three_tasks, "r2/last", None)
    lines = export.as_latex(one).splitlines()
    assert r"\multicolumn{3}{c}{r2/last $\uparrow$} \\" in lines[2]
    assert lines[3] == r"\cmidrule(lr){2-4}"
    assert lines[4].count(r"\multicolumn{1}{c}") == 3
    assert set(columns([line for line in lines if line.endswith(r"\\")])) == {3}
    two = compare.compare([str(three_tasks)], three_tasks, ["r2/last", "mae/last"], None)
    lines = export.as_latex(two).splitlines()
    assert lines[2].count(r"\multicolumn{2}{c}") == 3, "each task over its metrics"
    assert lines[3] == r"\cmidrule(lr){2-3} \cmidrule(lr){4-5} \cmidrule(lr){6-7}"
    assert lines[4].count(r"r2/last $\uparrow$") == lines[4].count(r"mae/last $\downarrow$") == 3
    assert set(columns([line for line in lines if line.endswith(r"\\")])) == {6}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here (Debian: texlive-latex-recommended)")
def test_latex_compiles(three_tasks: Path) -> None:
    document = compare.compare([str(three_tasks)], three_tasks, ["r2/last", "mae/last"], None)
    document["metrics"][0]["tasks"][0]["methods"][0]["method"] = "a_b%c{}$&#~^<>|±↑Δ²é λ"
    body = export.as_latex(document)
    text = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (three_tasks / "table.tex").write_text(text, encoding="utf-8")
    asked = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"]
    made = subprocess.run(asked, cwd=three_tasks, capture_output=True, text=True, timeout=120, check=False)
    assert made.returncode == 0, made.stdout[-2000:]
    assert (three_tasks / "table.pdf").stat().st_size > 5000


def test_several_tasks_are_ranked_and_averaged(three_tasks: Path) -> None:
    document = compare.compare([str(three_tasks)], three_tasks, "r2/last", None)
    whole, ranks = document["aggregate"], document["ranks"]
    assert whole["win_rates"]["l1"] == {"mse": 1.0, "rnc": 1.0}
    pooled = sorted(2 + number + 0.01 * s * s for number in range(3) for s in range(4))
    assert whole["interquartile_mean"]["rnc"]["mean"] == pytest.approx(-sum(pooled[3:9]) / 6)
    assert whole["profiles"]["share"]["rnc"][0] == 1.0
    assert ranks["nemenyi_p"]["l1"]["l1"] == 1.0
    assert (ranks["nemenyi_p"]["l1"]["rnc"] < 0.05) == (ranks["critical_difference"] < 2.0)
    titles = [title for title, _, _ in compared.tables(document)]
    assert any("interquartile mean of all runs" in title for title in titles)
    rank_diagram(document, three_tasks / "ranks.png")
    profile_curves(document, three_tasks / "curves.svg")
    assert (three_tasks / "ranks.png").stat().st_size > 5000
    assert "<svg" in (three_tasks / "curves.svg").read_text()


def test_errors_in_units_of_each_data_set_are_not_averaged(tmp_path: Path) -> None:
    for file in ("a.csv", "b.csv"):
        invocation(tmp_path, file[0], {"l1": [1.0, 2.0], "mse": [2.0, 3.0]}, file=file)
    document = compare.compare([str(tmp_path)], tmp_path, None, None)
    assert "interquartile_mean" not in document["aggregate"]
    assert document["aggregate"]["win_rates"]["l1"]["mse"] == 1.0
    (note,) = compared.notes(document)
    assert note == "mae/last is in units of each data set (label): no mean over tasks"
    with pytest.raises(Fault, match=r"no performance profile of one metric .* in units of each data set"):
        profile_curves(document, tmp_path / "a.png")


def test_stand_in_and_real_data_are_not_averaged(tmp_path: Path) -> None:
    invocation(tmp_path, "a", {"l1": [1.0, 2.0], "mse": [2.0, 3.0]}, file="a.csv")
    invocation(tmp_path, "b", {"l1": [1.0, 2.0], "mse": [2.0, 3.0]}, file="b.csv", data={"source": "stand-in"})
    document = compare.compare([str(tmp_path)], tmp_path, None, None)
    assert (document["ranks"], document["not_comparable"]) == (None, ["tasks with real and stand-in data"])
    assert "no average over the tasks: tasks with real and stand-in data" in compared.notes(document)
    with pytest.raises(Fault, match=r"ranks need several data sets.*tasks with real and stand-in data"):
        rank_diagram(document, tmp_path / "a.png")


def test_rows_that_do_not_compare_are_marked(tmp_path: Path) -> None:
    invocation(tmp_path, "a", {"l1": [1.0, 2.0, 3.0]}, data={"checksum": "1"})
    invocation(tmp_path, "b", {"mse": [2.0, 3.0]}, data={"checksum": "2"})
    plan = json.loads((tmp_path / "b" / "invocation.json").read_text())
    recipe = json.loads(plan["recipe"])
    recipe["tuned"] = {"study": "s1", "method": "mse", "data": "yacht", "fields": ["train.lr"]}
    plan |= {"recipe": json.dumps(recipe), "device": "cuda"}
    (tmp_path / "b" / "invocation.json").write_text(json.dumps(plan))
    document = compare.compare([str(tmp_path)], tmp_path, None, None)
    said = "\n".join(compared.notes(document))
    for part in (
        "means are over different seeds (l1 has 3; 2 in common)",
        "runs are of different devices",
        "settings of some rows were tuned: not tuned (l1); tuned on yacht (study s1) (mse)",
        "the data of seed 0 are not the same in all runs",
    ):
        assert part in said
    (_, _, rows), *_ = compared.tables(document)
    assert [row[0] for row in rows] == ["l1", "mse (tuned on yacht (study s1))"]


def test_the_region_of_equivalence_is_said_of_rows_that_are_not_significant(tmp_path: Path, cli: CommandLine) -> None:
    invocation(
        tmp_path, "a", {"l1": [1.0, 1.1, 1.2], "mse": [1.01, 1.1, 1.19], "rnc": [5.0, 5.1, 5.2], "gm": [1.5, 1.1, 0.9]}
    )
    document = cli.here("compare", "a", "--rope", "0.1", "--than", "l1", "--json", out=tmp_path).document
    rows = {row["method"]: row for row in document["tasks"][0]["methods"]}
    assert rows["mse"]["rope"]["verdict"] == "equal"
    assert rows["gm"]["rope"]["verdict"] == "inconclusive"
    assert "rope" not in rows["rnc"]
    assert rows["gm"]["smallest_detectable"] > rows["mse"]["smallest_detectable"] > 0
    for bad in ("0", "-1", "nan", "inf"):
        with pytest.raises(Fault, match="counts as none is above 0"):
            api.compare("a", rope=float(bad), out=tmp_path)


def test_one_form_at_a_time_and_only_pictures_there_are(tmp_path: Path, cli: CommandLine) -> None:
    invocation(tmp_path, "a", {"l1": [1.0], "mse": [2.0]})
    cli.here("compare", "a", "--csv", "--latex", out=tmp_path, code=2)
    cli.here("compare", "a", "--ranks", str(tmp_path / "r.png"), out=tmp_path, code=2)
    cli.here("compare", "a", "--curves", str(tmp_path / "r.txt"), out=tmp_path, code=2)
    assert not list(tmp_path.glob("r.*"))
    one = compare.compare([str(tmp_path)], tmp_path, None, None)["tasks"][0]["methods"][1]
    assert math.isnan(one["smallest_detectable"])
