"""A comparison as CSV and as LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

from .compared import pm, probability

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

    The best mean of a column is bold. An asterisk: significantly better than the base of the column, a dagger:
    significantly worse (0.05 after Holm); the base has a small circle. Needs ``\usepackage{booktabs}``.
    """
    columns = [(one, task) for one in document.get("metrics") or [document] for task in one["tasks"]]
    methods = list(dict.fromkeys(row["method"] for _, task in columns for row in task["methods"]))
    several = len({task["task"] for _, task in columns}) > 1
    heads = [
        tex(f"{task['task']}: {one['metric']}" if several else one["metric"])
        + (r" $\uparrow$" if one["higher_is_better"] else r" $\downarrow$")
        for one, task in columns
    ]
    lines = [r"\begin{tabular}{l" + "r" * len(columns) + "}", r"\toprule", " & ".join(["method", *heads]) + r" \\"]
    lines.append(r"\midrule")
    for method in methods:
        lines.append(" & ".join([tex(method), *(_entry(one, task, method) for one, task in columns)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {line}" for line in _legend(columns))]
    return "\n".join(lines) + "\n"


def _entry(document: Mapping[str, Any], task: Mapping[str, Any], method: str) -> str:
    row = next((row for row in task["methods"] if row["method"] == method), None)
    if row is None:
        return "--"
    mean, _, half = pm(row["mean"], row["half"]).partition(" ± ")
    shown = f"{mean} \\pm {half}" if half else mean
    shown = shown.replace(",", "{,}")
    best = (max if document["higher_is_better"] else min)(one["mean"] for one in task["methods"])
    bold = f"$\\mathbf{{{shown}}}$" if row["mean"] == best else f"${shown}$"
    return bold + _mark(row)


def _mark(row: Mapping[str, Any]) -> str:
    if "difference" not in row:
        return r"$^{\circ}$"
    if not row["p_holm"] < 0.05:
        return ""
    return r"$^{*}$" if row["verdict"] == "better" else r"$^{\dagger}$"


def _legend(columns: list[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[str]:
    """What stands behind the marks, as comments of one line."""
    yield "mean and half of the 95 % interval; bold: best mean"
    yield "asterisk: better, dagger: worse than the base (circle), at 0.05 after Holm"
    for one, task in columns:
        known = [f"{row['method']} p {probability(row['p_holm'])}" for row in task["methods"] if "difference" in row]
        said = f"{task['task']}, {one['metric']}: base {task['than']}; {task['test']}; {', '.join(known)}"
        yield " ".join(said.split())
