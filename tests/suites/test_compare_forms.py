"""``suites compare``: CSV, LaTeX, diagrams, what is averaged over tasks, and what is not."""

from __future__ import annotations

import csv
import io
import json
import math
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
    table = [line for line in text.splitlines() if not line.startswith("%")]
    assert r"\input" not in "".join(table)
    assert r"a\_b\%c\{\textbackslash{}input\{x\}\}\$\&\#\textasciitilde{}\textasciicircum{}" in table[-3]
    assert [line for line in table if line.startswith("l1")] == [r"l1 & $\mathbf{1.050 \pm 0.124}$$^{\circ}$ \\"]
    assert r"$^{\dagger}$" in table[-3]
    assert all(line.replace(r"\&", "").count("&") == 1 for line in table if line.endswith(r"\\"))
    plain = "\n".join(table).replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")
    assert export.tex("x\u202ey\x00") == "xU+202EyU+0000"


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
