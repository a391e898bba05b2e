"""What hangs together in generated data with known factors: tables for the screen, and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..config.errors import Fault
from .picture import written

FIELDS = (
    "declared",
    "tables",
    "mutual_information",
    "recognised",
)  # of the document of a check that :func:`tables` shows
SHOWN = 30  # pairs of factors in the table; the picture has all
Table = tuple[str, list[str], list[list[str]]]


def tables(document: Mapping[str, Any]) -> Iterator[Table]:
    """Title, columns and rows of each table: declared associations, rows by both factors of each, the pairs of factors
    by their mutual information, and the errors of recognised texts.
    """
    if document.get("declared"):
        rows = []
        for one in document["declared"]:
            numbers = [f"{one[name]:.3f}" for name in ("expected", "found", "tolerance")]
            rows.append([one["what"], *numbers, str(one["rows"]), "yes" if one["holds"] else "NO"])
        names = ["declared in the plan", "implied share", "found", "tolerance", "training rows", "holds"]
        yield "what the plan declares, measured in the training rows", names, rows
    for title, counts in document.get("tables", {}).items():
        of, _, factor = title.partition(" by ")
        across = list(next(iter(counts.values()), {}))
        yield (
            f"training rows: {title}",
            [f"{of} \\ {factor}", *across],
            [[name, *(str(line[value]) for value in across)] for name, line in counts.items()],
        )
    pairs = sorted(document.get("mutual_information", ()), key=lambda pair: -pair["bits"])
    if pairs:
        rows = [[p["first"], p["second"], f"{p['bits']:.3f}", f"{p['p']:.2g}"] for p in pairs[:SHOWN]]
        title = f"mutual information in the training rows, the {len(rows)} largest of {len(pairs)} pairs"
        yield title, ["factor", "factor", "bits", "p (independent)"], rows
    yield from _recognised(document.get("recognised", {}))


def _recognised(document: Mapping[str, Any]) -> Iterator[Table]:
    """The errors by split, and examples; nothing for texts that are as they were written."""
    rows = []
    for one in document.get("splits", ()):
        counts = [str(one[name]) for name in ("words", "substitutions", "deletions", "insertions")]
        rows.append([one["split"], *counts, f"{one['word_error_rate']:.3f}", f"{one['sentences_with_errors']:.3f}"])
    if rows:
        names = ["split", "words", "substitutions", "deletions", "insertions", "word error rate", "sentences with any"]
        yield "recognised texts: errors by the alignment with the fewest", names, rows
    pairs = [[one["written"], one["recognised"]] for one in document.get("examples", ())]
    if pairs:
        yield "recognised texts: training sentences with errors", ["written", "recognised"], pairs


def picture(document: Mapping[str, Any], suite: str, path: Path) -> None:
    """The mutual information of all pairs. Raises Fault where the data has no known factors, for another suffix than a
    picture's, and where the file cannot be written.
    """
    from ...analysis.plots.associations import mutual_information
    from ...analysis.plots.figure import headed

    if not document.get("mutual_information"):
        what = "this data set does not know the factors of its rows: there is nothing to draw"
        raise Fault.usage(what, "--picture", "leave --picture out, or: suites data check coconut_world")
    rows = document["train"]["rows"]
    with written(path, "--picture", "suites data check ..."), headed(suite):
        mutual_information(document["mutual_information"], path, title=f"what factors say of each other, {rows} rows")
