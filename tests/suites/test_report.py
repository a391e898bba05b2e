"""``suites report``: one page with all there is, without a network, whatever names and texts say."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites import api
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.recipe import Recipe, to_yaml
from holdfast.suites.reports import charts, html
from holdfast.suites.reports.charts import Frame, Series
from holdfast.suites.runtime import folders

from .process import CommandLine

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x07'
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")
VOID = {"meta", "img", "br"}


def invocation(out: Path, recipe: Recipe, source: str = "real") -> Path:
    """An invocation with finished runs, as the runner leaves them."""
    entries = [{"method": m, "seed": s, "folder": f"{m}-s{s}"} for s in (0, 1) for m in ("finetune", "er", "joint")]
    data = {"source": source, "checksum": "0", "rows": {"train": 4, "test": 1}, "random_split": False}
    plan = {"schema": 1, "suite": recipe.name, "profile": recipe.profile, "recipe": to_yaml(recipe), "device": "cpu"}
    plan |= {"tracking_uri": None, "data": data, "git": {}, "runs": entries}
    folder = folders.new_invocation(out, recipe.name, plan)
    for number, entry in enumerate(entries):
        run = folder / str(entry["folder"])
        (run / "plots").mkdir(parents=True)
        summary = {"accuracy/last": 0.1 * (number % 3) + 0.01 * number, "cost/steps": 10, "cost/seconds_per_step": 0.1}
        facts = {"python": "3.11", "device": "cpu", "machine": {"cores": HOSTILE}, "data": data}
        for name, document in (("run", {"status": "finished"}), ("summary", summary), ("environment", facts)):
            folders.write_json(run / f"{name}.json", document)
        points: list[dict[str, Any]] = [
            {"name": "accuracy/pooled", "value": v, "step": k, "t": k, "axis": "experience"}
            for k, v in enumerate((0.9, 0.5))
        ]
        points += [
            {"name": "loss", "value": v, "step": k, "t": k, "axis": "iteration"} for k, v in enumerate((2.0, "nan", 1))
        ]
        (run / "journal.jsonl").write_text("".join(json.dumps(p) + "\n" for p in points))
        (run / "matrix.csv").write_text("after_experience,test_experience,value,count\n0,0,.9,1\n1,0,.3,1\n1,1,.8,1\n")
        for name in ("confusion", "matrix"):
            (run / "plots" / f"{name}.png").write_bytes(PNG)
    return folder


class Page(HTMLParser):
    """Tags, attributes and what is seen of a page; raises where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.seen = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.seen += data


def harmless(page: Page, text: str) -> None:
    """Nothing is loaded and nothing is run."""
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "form", "base"} == set()
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("src") or "data:").startswith("data:image/png;base64,") or tag != "img"
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text


@pytest.fixture
def recipe() -> Recipe:
    claim = {"metric": "accuracy/last", "better": "er", "than": "finetune", "source": HOSTILE}
    read = api.load_recipe("split_digits", "demo", [f"claims={json.dumps([claim])}", "train.lr=0.25"])
    return read.model_copy(update={"title": HOSTILE, "unequal": {"batching": {"er_balanced": HOSTILE}}})


def test_the_page_holds_all_and_is_harmless(recipe: Recipe, tmp_path: Path, cli: CommandLine) -> None:
    folder = invocation(tmp_path, recipe)
    file = tmp_path / "pages" / "page.html"
    file.parent.mkdir()
    done = cli.here("report", "last", "--file", str(file), "--title", HOSTILE, "--json", out=tmp_path)
    assert done.document == {"file": str(file)}
    text = file.read_text()
    page = Page(text)
    harmless(page, text)
    for name in ("results", "claims", "curves", "cost", "pictures", "recipes", "environment"):
        assert ("section", {"id": name}) in page.tags
    claim = "er beats finetune in accuracy/last"
    for part in ("alert(1)", "U+202E", "U+0007", claim, "train.lr", "suites run split_digits"):
        assert part in page.seen
    assert sum(tag == "img" for tag, _ in page.tags) == 3  # confusion of each method; its matrix is drawn anew
    assert sum(tag == "rect" for tag, _ in page.tags) == 9
    assert str(tmp_path) not in text
    assert api.report(folder, out=tmp_path) == folder / "report.html"


def test_a_page_judges_no_smoke_and_repeats_no_value_of_one_experience(recipe: Recipe, tmp_path: Path) -> None:
    data = recipe.data.model_copy(update={"experiences": 1})
    for profile, verdict in (("demo", "holds"), ("smoke", "undecided: a smoke tests no claim")):
        one = recipe.model_copy(update={"data": data, "profile": profile})
        folder = invocation(tmp_path / profile, one)
        for run in folder.glob("*-s*"):
            summary = json.loads((run / "summary.json").read_text())
            summary |= {"accuracy/average": summary["accuracy/last"], "accuracy/forgetting": 0.0}
            folders.write_json(run / "summary.json", summary)
        page = Page(api.report(folder, out=tmp_path / profile).read_text())
        assert "accuracy/last" in page.seen
        assert "accuracy/average" not in page.seen
        assert "accuracy/forgetting" not in page.seen
        first, *_ = re.findall("holds|undecided: [a-z ]*[a-z]", page.seen.partition("er beats finetune")[2])
        assert first == verdict


def test_several_invocations_say_in_what_they_differ(recipe: Recipe, tmp_path: Path) -> None:
    first = invocation(tmp_path, recipe)
    other = recipe.model_copy(update={"train": recipe.train.model_copy(update={"lr": 0.5})})
    second = invocation(tmp_path, other, "stand-in")
    path = api.report(first, second, out=tmp_path)
    assert path == tmp_path / "report.html"
    page = Page(path.read_text())
    assert "in which these recipes differ" in page.seen
    assert "no average over the tasks: tasks with real and stand-in data" in page.seen
    assert first.name in page.seen


def test_what_cannot_be_shown_is_said(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = invocation(tmp_path, recipe)
    with pytest.raises(Fault, match=r"cannot write page\.html"):
        api.report(folder, out=tmp_path, file=tmp_path / "absent" / "page.html")
    monkeypatch.setattr(html, "MOST", 2 * len(PNG))
    page = Page(api.report(folder, out=tmp_path).read_text())
    assert sum(tag == "img" for tag, _ in page.tags) == 2
    assert "the page would be too large: split_digits, joint-s0: confusion" in page.seen
    for run in folder.glob("*-s*"):
        folders.write_json(run / "run.json", {"status": "running"})
    with pytest.raises(Fault, match="no run of these is finished"):
        api.report(folder, out=tmp_path)


def test_charts_are_drawn_in_their_frame() -> None:
    series = [Series(HOSTILE, "#000000", [(0.0, 1.0), (10.0, 3.0)], [0.5, 2.0], [1.5, 4.0])]
    drawn = charts.lines(series, Frame(HOSTILE, "x", "y"))
    Page(drawn)
    assert "currentColor" in drawn
    numbers = [float(v) for v in re.findall(r'c[xy]="([\d.-]+)"', drawn)]
    assert numbers[::2] == [charts.LEFT, charts.WIDTH - charts.RIGHT]
    assert all(charts.TOP <= y <= charts.HEIGHT - charts.BOTTOM for y in numbers[1::2])
    assert charts.lines([Series("a", "", [])], Frame("", "", "")) == charts.heat({}, "", True) == ""
    assert charts.lines([Series("a", "", [(1.0, 2.0)])], Frame("", "", "")) != ""
    many = [(float(k), 0.0) for k in range(5000)]
    assert len(charts.thinned(many)) <= charts.POINTS + 1
    assert charts.thinned(many)[-1] == many[-1]


def test_ticks_are_round_and_fronts_are_fronts() -> None:
    assert charts.ticks(0.0, 1.0) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert charts.ticks(-0.03, 0.85) == [0.0, 0.25, 0.5, 0.75]
    assert charts.ticks(3.0, 96.0) == [25.0, 50.0, 75.0]
    points = [(1.0, 0.5), (2.0, 0.4), (3.0, 0.9), (1.0, 0.6)]
    assert charts.pareto(points, True) == [(1.0, 0.6), (3.0, 0.9)]
    assert charts.pareto(points, False) == [(1.0, 0.5), (2.0, 0.4)]


def test_a_worse_cell_is_paler_whichever_way_is_better() -> None:
    cells = {(0, 0): 1.0, (1, 0): 0.0}

    def strengths(higher: bool) -> list[float]:
        return [float(v) for v in re.findall(r'opacity="([\d.]+)"', charts.heat(cells, "m", higher))]

    assert strengths(True) == strengths(False)[::-1]
    assert strengths(True)[0] > strengths(True)[1]
