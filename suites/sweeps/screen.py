"""What a person reads at the end of a sweep: the trials, a warning where they tie, and the best as a last line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ..runtime.board import values_text
from . import attributed, page


def table(document: Mapping[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    """(title, header, rows) of a study's trials for the screen."""
    names = [o["name"] for o in document["objectives"]]
    rows = []
    for row in sorted(document["trials"], key=lambda r: r["number"]):
        values = row.get("values") or [row.get("value")]
        values = [None] * len(names) if values == [None] else values
        shown = ["-" if value is None else f"{value:.4f}" for value in values]
        rows.append([str(row["number"]), row["state"], *shown, values_text(row["params"])])
    title = f"study {document['study']}: {document['method']}; objectives are of the validation stream"
    return title, ["trial", "state", *(name.replace("/", "\n") for name in names), "values"], rows


def tied(document: Mapping[str, Any]) -> str | None:
    """The warning where so many trials share the best objective that the search says nothing of its fields."""
    ties = document.get("ties")
    if not ties:
        return None
    name, value = document["objectives"][0]["name"], f"{ties['value']:.4f}"
    if ties["share"] == ties["of"]:
        what = f"all {ties['of']} finished trials have the same {name}, {value}: nothing was found out"
    else:
        what = (
            f"{ties['share']} of {ties['of']} finished trials share the best {name}, {value}: the best is one of many"
        )
    return f"{what}; train longer (a larger --profile, train.epochs), or choose another --objective"


def closing(document: Mapping[str, Any]) -> Iterator[str]:
    """The last lines of a sweep: importances, whether the best recipe is better than the untuned one, where things
    lie, and the best trial, whose fields a command line takes as they stand.
    """
    best, folder = document.get("best"), document.get("out")
    important, rerun = document.get("importances"), document.get("rerun")
    if important:
        shares = ", ".join(f"{name} {value:.2f}" for name, value in important["values"].items())
        yield f"importances by {important['evaluator']}: {shares}"
    if rerun:
        yield f"fresh seeds, {page.rerun_text(rerun)}"
    if folder:
        yield f"study:  {folder}"
    if isinstance(best, dict):
        if folder:
            yield f"recipe: suites run {folder}/best.yaml"
        yield f"best: trial {best['number']}, {document['objectives'][0]['name']} {best['value']:.4f}, {given(best)}"
    elif best:
        yield f"front: trials {', '.join(str(row['number']) for row in best)}; recipes {folder}/best*.yaml"


def given(trial: Mapping[str, Any]) -> str:
    """A trial's fields as ``suites run NAME`` takes them, each value whole."""
    texts = (value if isinstance(value, str) else json.dumps(value) for value in trial["params"].values())
    return " ".join(shlex.quote(f"{path}={text}") for path, text in zip(trial["params"], texts, strict=True))


def grid_tables(document: Mapping[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Title, header, rows: the losses of a grid at all strengths, how they change, and what they vary with."""
    title = f"grid {document['study']}: {document['metric']['loss']}, mean ± half of the 95 % interval over seeds"
    yield (title, *attributed.levels_table(document))
    if document["changes"]:
        words = "change from the smallest to the largest value, over the others; of a pair what both add beyond the sum"
        yield (words, *attributed.changes_table(document))
        yield ("analysis of variance", *attributed.variance_table(document))


def grid_sentences(document: Mapping[str, Any]) -> Iterator[str]:
    """What the tables mean, what is lacking or in doubt, and where the files lie."""
    yield from attributed.sentences(document)
    yield f"grid: {document['out']} (points.csv, attribution.csv, changes.csv, attribution.md, plots)"
