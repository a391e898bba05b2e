"""A comparison as tables, for the screen and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..config import protocol
from ..config.markdown import markdown_table
from . import orders

DETECTABLE = "smallest\ndetectable"
Table = tuple[str, list[str], list[list[str]]]  # title, header, rows


def tables(document: Mapping[str, Any]) -> list[Table]:
    """(title, header, rows) for the screen and for Markdown: one a task, or one of all tasks with the average rank."""
    several = document.get("metrics")
    shown = list(_side_by_side(several)) if several else [_table(document, task) for task in document["tasks"]]
    shown += [_ranked(one) for one in several or [document] if one["ranks"]]
    shown += [_aggregated(one) for one in several or [document] if len(one["tasks"]) > 1 and _averaged(one)]
    shown += [_continual(task) for task in document["tasks"] if task["continual"]]
    for one in several or [document]:
        shown += orders.tables(one)
    for task in document["tasks"]:
        if task["unequal"]:
            rows = [[r["field"], protocol.in_words(r["values"]), "; ".join(r["why"])] for r in task["unequal"]]
            title = f"{task['task']}: settings that these methods do not share"
            shown.append((title, ["field", "values", "reason given"], rows))
    return shown


def _arrow(document: Mapping[str, Any]) -> str:
    """The metric with its better direction."""
    return f"{document['metric']} {_way(document)}"


def _way(document: Mapping[str, Any]) -> str:
    return "↑" if document["higher_is_better"] else "↓"


def _verdict(row: Mapping[str, Any]) -> str:
    """The verdict, with the direction in words where it is worse: not every reader knows it of every metric."""
    d = row.get("difference")
    if not d:
        return ""
    verdict = row["verdict"].removesuffix(", how sure is unknown")  # the title says it
    said = str(verdict.replace("worse", f"worse, {'higher' if d['mean'] > 0 else 'lower'}"))
    return f"{said}; {_of_rope(row['rope'])}" if "rope" in row else said


def _of_rope(found: Mapping[str, Any]) -> str:
    """The verdict of the region of practical equivalence with the probability that is largest."""
    if found["verdict"] == "inconclusive":
        return f"within ±{found['width']:g}: inconclusive"
    sure = max(found["below"], found["inside"], found["above"])
    return f"within ±{found['width']:g}: {found['verdict']} (probability {sure:.2f})"


def _size(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else pm(value, math.nan)


def _single(task: Mapping[str, Any]) -> bool:
    return all(row["n"] == 1 for row in task["methods"])


def _how_sure(task: Mapping[str, Any]) -> str:
    if _single(task):
        return f"one {task['unit'].removesuffix('s')}: how sure is unknown"
    return f"mean ± half of the 95 % interval over {task['unit']}; {task['test']}"


def _table(document: Mapping[str, Any], task: Mapping[str, Any]) -> Table:
    """One task."""
    single = _single(task)
    rows = []
    for row in task["methods"]:
        d = row.get("difference")
        p = [] if single else [probability(row["p_holm"]) if d else ""]
        size = [] if single else [_size(row.get("smallest_detectable"))]
        count = [] if single else [str(row["n"])]
        against = pm(d["mean"], d["half"], "+") if d else ""
        name = f"{row['method']} ({row['tuned']})" if row["tuned"] else row["method"]
        rows.append([name, *count, pm(row["mean"], row["half"]), against, *p, _verdict(row), *size])
    title = f"{task['task']}: {document['metric']} ({document['direction']}), {_how_sure(task)}"
    difference = f"against {task['than']}, paired"
    if single:
        return title, ["method", _arrow(document), difference, "verdict"], rows
    return title, ["method", task["unit"], _arrow(document), difference, "p (Holm)", "verdict", DETECTABLE], rows


def _continual(task: Mapping[str, Any]) -> Table:
    """What was learnt, kept and known ahead, methods in the order of the comparison."""
    found = task["continual"]
    header = ["method", *(f"{one['metric'].replace('/', chr(10), 1)} {_way(one)}" for one in found)]
    rows = []
    for method in (row["method"] for row in task["methods"]):
        known = [one["methods"].get(method) for one in found]
        if any(known):
            rows.append([method, *(pm(one["mean"], one["half"]) if one else "-" for one in known)])
    said = "plasticity: of an experience just learnt; stability: the share of it kept later"
    if any(one["metric"].endswith("/generalisability") for one in found):
        said += "; generalisability: of experiences still to come"
    return f"{task['task']}: {said}", header, rows


def _side_by_side(documents: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """Several metrics, a table a task: each cell with what is significantly better or worse than the base of it."""
    for name in dict.fromkeys(task["task"] for document in documents for task in document["tasks"]):
        given = [(d, task) for d in documents for task in d["tasks"] if task["task"] == name]
        cells: dict[str, dict[str, str]] = {}
        for document, task in given:
            for row in task["methods"]:
                cell = pm(row["mean"], row["half"]) + ("\n" + _verdict(row) if "verdict" in row else "\n(base)")
                cells.setdefault(row["method"], {})[document["metric"]] = cell
        rows = [[m, *(by_metric.get(d["metric"], "-") for d, _ in given)] for m, by_metric in cells.items()]
        title = f"{name}: {_how_sure(given[0][1])}; each against the base of its column, p by Holm"
        yield title, ["method", *(_arrow(document) for document, _ in given)], rows


def _ranked(document: Mapping[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    ranked = document["ranks"]
    cells = [{row["method"]: row for row in task["methods"]} for task in document["tasks"]]
    rows = [
        [method, f"{rank:.2f}", *(pm(one[method]["mean"], one[method]["half"]) for one in cells)]
        for method, rank in ranked["average_rank"].items()
    ]
    title = (
        f"{_arrow(document)}: average rank over {ranked['tasks']} tasks; "
        f"Friedman's p {probability(ranked['friedman_p'])}; "
        f"ranks nearer than {ranked['critical_difference']:.2f} (Nemenyi, 0.05) do not differ significantly"
    )
    return title, ["method", "rank", *(task["task"] for task in document["tasks"])], rows


def _averaged(document: Mapping[str, Any]) -> bool:
    return "win_rates" in (document["aggregate"] or {})


def _aggregated(document: Mapping[str, Any]) -> Table:
    """Interquartile means and win rates over the tasks."""
    whole = document["aggregate"]
    means, wins = whole.get("interquartile_mean"), whole["win_rates"]
    header = ["method", *(["interquartile mean [95 % interval]"] if means else [])]
    header += [f"better than {name}" for name in whole["methods"]]
    rows = []
    for name in whole["methods"]:
        one = means[name] if means else None
        cells = [f"{one['mean']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"] if one else []
        cells += [f"{wins[name][other]:.0%}" if other != name else "" for other in whole["methods"]]
        rows.append([name, *cells])
    how = "interquartile mean of all runs (stratified bootstrap over seeds within tasks), " if means else ""
    return f"{_arrow(document)}, {len(document['tasks'])} tasks: {how}and how often on the same seed", header, rows


def notes(document: Mapping[str, Any]) -> list[str]:
    """What is not comparable, and what the columns mean, a sentence each."""
    several = document.get("metrics") or [document]
    said = [f"{task['task']}: {text}" for task in document["tasks"] for text in task["not_comparable"]]
    said += [f"no average over the tasks: {text}" for text in document["not_comparable"]]
    for one in several:
        if len(one["tasks"]) > 1 and not one["not_comparable"]:
            said += (one["aggregate"] or {}).get("left_out", [])
    return list(dict.fromkeys(said))


def detectable(document: Mapping[str, Any]) -> str:
    """What the column of the smallest detectable difference says; empty where there is none."""
    if all(_single(task) for task in document["tasks"]):
        return ""
    return (
        "smallest detectable: the mean difference that a paired t-test at 0.05 finds in four of five such experiments, "
        "from the spread seen and before Holm's correction (Cohen 1988)"
    )


def probability(p: float) -> str:
    """Three decimals; ``-`` where there is none."""
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def pm(mean: float, half: float, sign: str = "") -> str:
    """``mean ± half`` with the digits that the size asks for."""
    digits = 0 if abs(mean) >= 1000 else 1 if abs(mean) >= 100 else 3
    return f"{mean:{sign},.{digits}f}" + ("" if math.isnan(half) else f" ± {half:,.{digits}f}")


def markdown(document: Mapping[str, Any]) -> str:
    """The tables as Markdown."""
    parts = []
    for title, header, rows in tables(document):
        parts.append(f"{title}\n\n{markdown_table(header, rows)}")
    said = [f"- not comparable: {text}" for text in notes(document)]
    said += [f"- {text}"] if (text := detectable(document)) else []
    return "\n\n".join([*parts, *(["\n".join(said)] if said else [])]) + "\n"
