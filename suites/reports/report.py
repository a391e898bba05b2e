"""``suites report``: invocations as one page that a colleague, a reviewer or a talk can be shown."""

from __future__ import annotations

import csv
import json
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import measures, registry, run_files
from ..config.documents import flat
from ..config.errors import Fault
from ..config.private import public
from ..config.recipe import Recipe
from ..runtime import folders
from ..runtime.asked import out_of
from ..runtime.identity import changed_of, colour_of, command
from ..runtime.plan import Invocation
from ..tracking.files import write_atomic
from ..tracking.journal import read
from . import charts, compare, compared, evidence, html, reported, tables, tasks, verify
from . import claims as judge
from .charts import Frame, Series

REDRAWN = ("training", "matrix")  # pictures of a run that the page draws itself
EVERY = 10**9  # seeds


@dataclass(frozen=True)
class Shown:
    """An invocation with its finished runs."""

    invocation: Invocation
    names: tuple[str, ...]

    @cached_property
    def document(self) -> dict[str, Any]:
        whole = self.invocation.document(list(self.names))
        return {**whole, "runs": [run for run in whole["runs"] if run["status"] == "finished"]}

    @property
    def recipe(self) -> Recipe:
        return self.invocation.recipe

    def by_method(self) -> dict[str, list[Path]]:
        """The folders of the finished runs."""
        found: dict[str, list[Path]] = {}
        for run in self.document["runs"]:
            found.setdefault(run["method"], []).append(Path(run["folder"]))
        return found


def report(
    *targets: str | Path, file: str | Path | None = None, out: str | Path | None = None, title: str | None = None
) -> Path:
    """Write finished runs as one HTML page that needs no network: comparison, claims, curves, matrices, cost, pictures,
    environment, and what differs between the recipes; the path of the file.

    Args:
        targets: invocations, runs, or folders of them; none: ``last``.
        file: None: ``report.html`` in the invocation's folder, or of several in ``out``.
        title: None: the suites' names.

    Raises Fault where no run is finished, and where the file cannot be written.
    """
    folder = out_of(out).resolve()
    given = [str(target) for target in targets] or ["last"]
    pairs = folders.of_targets(given, folder)
    shown = [Shown(Invocation(path), tuple(names)) for path, names in pairs]
    shown = [one for one in shown if one.document["runs"]]
    if not shown:
        raise Fault.usage("no run of these is finished", " ".join(given), "suites resume last")
    path = Path(file) if file else (shown[0].invocation.folder if len(shown) == 1 else folder) / "report.html"
    name = title or ", ".join(dict.fromkeys(one.recipe.name for one in shown))
    page = html.page(name, _lead(shown), list(_sections(shown, given, folder)))
    try:
        write_atomic(path, public(page).encode())
    except OSError as error:
        what = f"cannot write {path.name}: {error.strerror or error}"
        raise Fault.usage(what, str(path.parent), "name a file in a folder that exists with --file") from error
    return path


def _lead(shown: Sequence[Shown]) -> str:
    lines = []
    for one in shown:
        document, recipe = one.document, one.recipe
        methods = list(one.by_method())
        seeds = sorted({int(run["seed"]) for run in document["runs"]})
        made = command(recipe, methods, seeds, changed_of(recipe))
        data = document["data"]["source"]
        about = f"{recipe.title}; profile {document['profile'] or 'none'}; {data} data ({recipe.data.name}); "
        about += f"{len(methods)} methods, {len(seeds)} seeds"
        lines.append(f"<p>{html.text(about)}<br><code>{html.text(made)}</code></p>")
        if document["profile"] == "smoke":
            lines.append(f'<p class="worse">{html.text(f"Smoke: {tables.SMOKE}")}</p>')
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return "".join(lines) + f'<p class="dim">Made by suites report on {today}.</p>'


def _sections(shown: Sequence[Shown], given: Sequence[str], out: Path) -> Iterator[tuple[str, str]]:
    yield "results", html.section("results", "Results", *_compared(shown, given, out))
    yield "claims", html.section("claims", "Claims", *_claims(shown, out))
    values = [row for one in shown for row in reported.beside(one.recipe, one.document)]
    beside = "".join(html.table(*table) for table in reported.tables(values))
    yield "reported", html.section("reported", "Reported beside reproduced", beside)
    curves = html.charts([figure for one in shown for figure in _curves(one, len(shown) > 1)])
    yield "curves", html.section("curves", "Learning and forgetting", curves)
    cost = html.charts([figure for one in shown for figure in _cost(one)])
    yield "cost", html.section("cost", "Cost against quality", cost)
    several = [one for one in shown if one.recipe.problem == tasks.PROBLEM]
    yield "tasks", html.section("tasks", "Tasks", *_tasks(several, out))
    yield "pictures", html.section("pictures", "Pictures", _pictures(shown))
    yield "recipes", html.section("recipes", "Recipes", *_recipes(shown))
    yield "environment", html.section("environment", "Environment", _environment(shown))


def _compared(shown: Sequence[Shown], given: Sequence[str], out: Path) -> Iterator[str]:
    """The tables of ``suites compare``, of each problem by itself, with all metrics of the screen's table."""
    several = {one.recipe.problem for one in shown if one.recipe.data.experiences > 1}
    found, _ = compare.collect(given, out)
    for problem in dict.fromkeys(task.problem for task in found if task.entrants):
        of = [task for task in found if task.problem == problem and task.entrants]
        targets = [str(folder) for task in of for entrant in task.entrants for folder in entrant.folders.values()]
        measured = {name for task in of for e in task.entrants for m in e.metrics.values() for name in m}
        kind = registry.problem(problem)
        names = [name for entry in kind.table for name in tables.matching(entry, measured)]
        names = names if problem in several else tables.without_repeated(names, measured)
        main = f"{kind.main}/last"
        chosen = list(dict.fromkeys([*([main] if main in measured else []), *names]))
        documents = [compare.compare(targets, out, name, None) for name in chosen]
        for document in (*documents[:1], *_side_by_side(documents[1:])):
            yield from (html.table(*table) for table in compared.tables(document))
        notes = [text for document in documents for text in compared.notes(document)]
        yield html.listed(list(dict.fromkeys(f"Not comparable: {text}" for text in notes)))
        if documents and (power := compared.detectable(documents[0])):
            yield f'<p class="dim">{html.text(power[0].upper() + power[1:])}.</p>'


def _side_by_side(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Other metrics in one table a task; what the first document's tables say of the settings is not said again."""
    if not documents:
        return []
    bare = [{**task, "unequal": [], "continual": []} for task in documents[0]["tasks"]]
    return [{**documents[0], "tasks": bare, "metrics": documents}]


def _claims(shown: Sequence[Shown], out: Path) -> Iterator[str]:
    """The claims of each recipe, tested on these runs; those of another setting say so."""
    for one in shown:
        rows = []
        known = {str(run["method"]) for run in one.document["runs"]}
        for claim in one.recipe.claims:
            reason = "these runs are of another setting" if claim.overrides else ""
            if claim.data_seeds:
                reason = "the claim asks for data drawn anew with each seed"
            if one.document["profile"] == "smoke":
                reason = "a smoke tests no claim"
            if missing := [m for m in (claim.better, claim.than) if m not in known]:
                reason = f"no run of {', '.join(missing)}"
            row = judge.row(claim, None, "", reason) if reason else verify.judged(claim, [one.invocation], EVERY, out)
            first, *rest, verdict = evidence.cells(row)
            rows.append([first, verdict, *rest])
        if rows:
            header = ["claim", "verdict", "effect [95 % interval]", "p", "n", "smallest\ndetectable"]
            about = f"{one.recipe.name}: on these runs alone; suites verify {one.recipe.name} runs what is missing"
            yield html.table(about, header, rows)


def _curves(one: Shown, named: bool) -> Iterator[str]:
    """The main metric over experiences, the loss over iterations, the matrices and what is forgotten."""
    main = measures.metrics(one.recipe.problem).main
    about = f"{one.recipe.name}: " if named else ""
    over, losses, matrices = [], [], {}
    for method, runs in one.by_method().items():
        colour = colour_of(one.recipe, method)
        points = [list(read(run / "journal.jsonl")) for run in runs]
        seen = [[float(p["value"]) for p in each if p["name"] == f"{main.name}/pooled"] for each in points]
        over.append(_mean(method, colour, seen))
        loss = [(float(p["step"]), float(p["value"])) for p in points[0] if p["name"] == "loss"]
        losses.append(Series(method, colour, [point for point in loss if math.isfinite(point[1])]))
        if (cells := _matrix(runs)) and len(cells) > 1:
            matrices[method] = cells
    if any(len(series.points) > 1 for series in over):
        frame = Frame(f"{about}{main.name} on all experiences seen so far ({main.words})", "experience", main.name)
        yield charts.lines(over, frame)
    first = sorted({int(run["seed"]) for run in one.document["runs"]})[0]
    yield charts.lines(losses, Frame(f"{about}training loss, seed {first}", "iteration", "loss"))
    for method, cells in matrices.items():
        yield charts.heat(cells, f"{about}{method}, {main.name}, mean over seeds", main.higher_is_better)
    for method, cells in matrices.items():
        yield _forgetting(method, cells, about, main.name)


def _mean(method: str, colour: str, seen: Sequence[Sequence[float]]) -> Series:
    """The mean over seeds, with the range of the seeds as a band."""
    columns = [[run[t] for run in seen if t < len(run)] for t in range(max(map(len, seen), default=0))]
    points = [(float(t), statistics.fmean(values)) for t, values in enumerate(columns)]
    low, high = [min(values) for values in columns], [max(values) for values in columns]
    return Series(method, colour, points, low, high) if len(seen) > 1 else Series(method, colour, points)


def _matrix(runs: Sequence[Path]) -> dict[tuple[int, int], float]:
    """The mean over runs of ``matrix.csv``; empty where a run has none."""
    found: dict[tuple[int, int], list[float]] = {}
    for run in runs:
        path = run / "matrix.csv"
        if not path.is_file():
            return {}
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                cell = (int(line["after_experience"]), int(line["test_experience"]))
                found.setdefault(cell, []).append(float(line["value"]))
    return {cell: statistics.fmean(values) for cell, values in found.items()}


def _forgetting(method: str, cells: Mapping[tuple[int, int], float], about: str, name: str) -> str:
    """Each test experience from the time it was learnt on."""
    from ...analysis.plots.palette import colour

    series = []
    for j in sorted({j for _, j in cells}):
        points = [(float(t), value) for (t, k), value in sorted(cells.items()) if k == j and t >= j]
        series.append(Series(f"experience {j}", colour(j), points))
    if max(len(one.points) for one in series) < 2:
        return ""
    return charts.lines(series, Frame(f"{about}{method}: what becomes of each experience", "after experience", name))


def _cost(one: Shown) -> Iterator[str]:
    """The main metric at the end against seconds of training, with the Pareto front of the means."""
    main = measures.metrics(one.recipe.problem).main
    series, means = [], []
    for method in one.by_method():
        points = []
        for run in one.document["runs"]:
            m = run["metrics"]
            steps, seconds, value = (m.get(k) for k in ("cost/steps", "cost/seconds_per_step", f"{main.name}/last"))
            if run["method"] == method and steps and seconds and value is not None and math.isfinite(value):
                points.append((steps * seconds, float(value)))
        if points:
            series.append(Series(method, colour_of(one.recipe, method), points))
            means.append(tuple(statistics.fmean(axis) for axis in zip(*points, strict=True)))
    front = charts.pareto([(x, y) for x, y in means], bool(main.higher_is_better))
    title = f"{one.recipe.name}: {main.name} at the end ({main.words}); a dot a run, dashed: Pareto front of the means"
    yield charts.scatter(series, Frame(title, "seconds of training steps", main.name), front)


def _tasks(shown: Sequence[Shown], out: Path) -> Iterator[str]:
    """The tables of ``suites tasks`` where the single-task networks were run."""
    for one in shown:
        if "single_task" in one.by_method():
            documents = tasks.document([str(one.invocation.folder)], out, "single_task")
            yield from (html.table(*table) for table in tasks.tables(documents))


def _pictures(shown: Sequence[Shown]) -> str:
    """What the runs drew (embeddings, translations, confusions), of the first run of each method; up to a size."""
    figures, left, used = [], [], 0
    for one in shown:
        for runs in one.by_method().values():
            for path in sorted((runs[0] / "plots").glob("*.png")):
                if path.stem in REDRAWN:
                    continue
                used += path.stat().st_size
                name = f"{one.recipe.name}, {runs[0].name}: {path.stem}"
                if used > html.MOST:
                    left.append(name)
                else:
                    figures.append(html.picture(path, name))
    return html.charts(figures) + html.listed([f"left out, the page would be too large: {name}" for name in left])


def _recipes(shown: Sequence[Shown]) -> Iterator[str]:
    """What each run differs in from its suite's defaults, and several recipes from each other."""
    for one in shown:
        changed = changed_of(one.recipe)
        rows = [[path, value] for path, value in changed.items()]
        if rows:
            yield html.table(f"{one.recipe.name}: changed for these runs", ["field", "value"], rows)
        for name, why in one.recipe.unequal.items():
            text = why if isinstance(why, str) else "; ".join(f"{method}: {reason}" for method, reason in why.items())
            yield f'<p class="dim">{html.text(f"{one.recipe.name}: methods differ in {name}: {text}")}</p>'
        if one.recipe.tuned is not None:
            yield f"<p>{html.text(f'{one.recipe.tuned.method}: {one.recipe.tuned.words}')}</p>"
    if len(shown) > 1:
        flats = [flat(one.recipe.model_dump(mode="json", by_alias=True, exclude={"claims"}), "") for one in shown]
        paths = dict.fromkeys(path for each in flats for path in each)
        rows = [
            [path.removeprefix("."), *(each.get(path, "-") for each in flats)]
            for path in paths
            if len({each.get(path) for each in flats}) > 1
        ]
        header = ["field", *(one.invocation.folder.name for one in shown)]
        yield html.table("in which these recipes differ", header, rows)


def _environment(shown: Sequence[Shown]) -> str:
    """Versions, machine, device, commit and data; a column for each environment that differs."""
    kinds: dict[str, list[str]] = {}
    for one in shown:
        for runs in one.by_method().values():
            for run in runs:
                facts = run_files.read(run / "environment.json", run_files.Environment)
                kinds.setdefault(json.dumps(facts, sort_keys=True), []).append(f"{one.recipe.name}/{run.name}")
    flats = [flat(json.loads(text), "") for text in kinds]
    paths = dict.fromkeys(path for each in flats for path in each)
    rows = [[path.removeprefix("."), *(each.get(path, "-") for each in flats)] for path in paths]
    header = ["", *(f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}" for names in kinds.values())]
    return html.table("", header, rows)
