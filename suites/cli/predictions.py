"""``suites predictions``: what a run predicted of each row of its data, and the worst rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config.errors import Fault
from .predict import Format, check_out, lines, table, write


def predictions(
    target: Annotated[str, typer.Argument(metavar="RUN")],
    split: Annotated[str, typer.Option("--split", help="A split or evaluation set of the run's data.")] = "test",
    worst: Annotated[int | None, typer.Option("--worst", help="The N rows with the largest error alone.")] = None,
    form: Format = "jsonl",
    out: Annotated[Path | None, typer.Option("--out", help="File to write (default: standard output).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Where runs lie (default: HOLDFAST_RUNS, else ./runs).")
    ] = None,
) -> None:
    """What a run predicted of each row, and how wrong it was. Example: suites predictions RUN --worst 20

    From the Parquet files that a run with evaluate.predictions=true keeps, else predicted now with its last weights.
    """
    from .. import api

    if form not in ("jsonl", "csv"):
        raise Fault.usage(f"no such format: {form}", "--format", "--format jsonl or --format csv")
    check_out(out, force)
    made = api.predictions(target, split=split, worst=worst, out=runs)
    write(table(made, _flat) if form == "csv" else lines(made), out)


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as a row of a CSV: lists as JSON."""
    return {name: json.dumps(value) if isinstance(value, list) else value for name, value in document.items()}
