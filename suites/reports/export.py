"""A comparison as CSV and as LaTeX."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .compared import pm, probability

Column = tuple[Mapping[str, Any], Mapping[str, Any]]  # the document of a metric, a task in it
COLUMNS = (
    *("task", "metric", "higher_is_better", "unit", "method", "tuned", "mean", "half", "n", "than", "difference"),
    *("difference_half", "p_holm", "smallest_detectable", "verdict", "rope", "test", "values"),
)
# What TeX reads as a command, and what its fonts lack
SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "Δ": r"$\Delta$",
    "²": r"\textsuperscript{2}",
    "\n": " ",
}


def tex(text: str) -> str:
    """Any text as LaTeX prints it; characters beyond Latin-1 that it cannot are shown by number."""
    return "".join(SPECIAL.get(c) or (c if c.isprintable() and ord(c) < 256 else f"U+{ord(c):04X}") for c in text)


def _rows(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for one in document.get("metrics") or [document]:
        for task in one["tasks"]:
            for row in task["methods"]:
                difference = row.get("difference") or {}
                given = (
                    *(task["task"], one["metric"], one["higher_is_better"], one["unit"], row["method"], row["tuned"]),
                    *(row["mean"], row["half"], row["n"], task["than"], difference.get("mean")),
                    *(difference.get("half"), row.get("p_holm"), row.get("smallest_detectable"), row.get("verdict")),
                    *((row.get("rope") or {}).get("verdict"), task["test"], " ".join(map(repr, row["values"]))),
                )
                yield dict(zip(COLUMNS, given, strict=True))


def _cell(value: Any) -> Any:
    """NaN and what is absent as nothing; a text that a spreadsheet would take for a formula with an apostrophe."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") and not _number(value) else value


def _number(text: str) -> bool:
    return all(part.replace(".", "").replace("e-", "").lstrip("-").isdigit() for part in text.split())


def as_csv(document: Mapping[str, Any]) -> str:
    """A line for each task, metric and method, with all digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in _rows(document):
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def as_latex(document: Mapping[str, Any]) -> str:
    r"""A table of booktabs: methods down, tasks and metrics across, mean ± half of the 95 % interval.

    The best mean of a column is bold, unless all are equal. An asterisk: significantly better than its base, a dagger:
    significantly worse (0.05 after Holm); the base has a small circle; a line below the table says so. Needs
    ``\usepackage{booktabs}``.
    """
    documents = document.get("metrics") or [document]
    names = dict.fromkeys(task["task"] for one in documents for task in one["tasks"])
    columns = [(one, task) for name in names for one in documents for task in one["tasks"] if task["task"] == name]
    methods = list(dict.fromkeys(row["method"] for _, task in columns for row in task["methods"]))
    lines = [r"\begin{tabular}{l" + "r" * len(columns) + "}", r"\toprule", *_heads(columns), r"\midrule"]
    for method in methods:
        lines.append(" & ".join([tex(method), *(_entry(one, task, method) for one, task in columns)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *_legend(columns)]) + "\n"


def _heads(columns: Sequence[Column]) -> Iterator[str]:
    """The metrics; of several tasks these above them, or of one metric the tasks below it."""
    tasks = dict.fromkeys(tex(task["task"]) for _, task in columns)
    metrics = [
        tex(one["metric"]) + (r" $\uparrow$" if one["higher_is_better"] else r" $\downarrow$") for one, _ in columns
    ]
    below, groups = metrics, [(name, sum(tex(task["task"]) == name for _, task in columns)) for name in tasks]
    if len(set(metrics)) == 1 < len(tasks):
        below, groups = [tex(task["task"]) for _, task in columns], [(metrics[0], len(columns))]
    if len(tasks) > 1:
        yield " & ".join(["", *(rf"\multicolumn{{{n}}}{{c}}{{{name}}}" for name, n in groups)]) + r" \\"
        ends = list(itertools.accumulate((n for _, n in groups), initial=1))
        yield " ".join(rf"\cmidrule(lr){{{start + 1}-{end}}}" for start, end in itertools.pairwise(ends))
    yield " & ".join(["method", *(rf"\multicolumn{{1}}{{c}}{{{name}}}" for name in below)]) + r" \\"


def _entry(document: Mapping[str, Any], task: Mapping[str, Any], method: str) -> str:
    row = next((row for row in task["methods"] if row["method"] == method), None)
    if row is None:
        return r"\multicolumn{1}{c}{--}"
    mean, _, half = pm(row["mean"], row["half"]).partition(" ± ")
    shown = f"{mean} \\pm {half}" if half else mean
    shown = shown.replace(",", "{,}")
    means = [one["mean"] for one in task["methods"]]
    best = (max if document["higher_is_better"] else min)(means)
    bold = row["mean"] == best and len(set(means)) > 1
    return (f"$\\mathbf{{{shown}}}$" if bold else f"${shown}$") + _mark(row)


def _mark(row: Mapping[str, Any]) -> str:
    """Without width, so that the digits of a column stand below each other."""
    if "difference" not in row:
        return r"\rlap{$^{\circ}$}"
    if not row["p_holm"] < 0.05:
        return ""
    return r"\rlap{$^{*}$}" if row["verdict"] == "better" else r"\rlap{$^{\dagger}$}"


def _legend(columns: Sequence[Column]) -> Iterator[str]:
    """A line below the table for its marks, and what stands behind them as comments of one line."""
    rows = [row for _, task in columns for row in task["methods"]]
    drawn = "".join(map(_mark, rows))
    said = [r"mean $\pm$ half of the 95\,\% interval"] if any(row["half"] > 0 for row in rows) else []
    said += ["bold: best mean", r"$^{\circ}$ base"]
    sure = [f"{sign} {word}" for sign, word in ((r"$^{*}$", "better"), (r"$^{\dagger}$", "worse")) if sign in drawn]
    said += [f"{', '.join(sure)} than the base, at 0.05 after Holm"] if sure else []
    yield rf"\par\smallskip\noindent{{\footnotesize {'; '.join(said)}}}"
    for one, task in columns:
        known = [f"{row['method']} p {probability(row['p_holm'])}" for row in task["methods"] if "difference" in row]
        behind = f"% {task['task']}, {one['metric']}: base {task['than']}; {task['test']}; {', '.join(known)}"
        yield " ".join(behind.split())
