"""``suites embed``: both representations of files, or of rows of a run's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..config.errors import Fault
from .predict import Counted, check_out, lines, table, write

FORMATS = ("jsonl", "csv", "npz")


def embed(
    target: Annotated[str, typer.Argument(metavar="RUN")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Images or tables; a folder stands for the files in it."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="In place of files: a split of the run's own data.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="jsonl, csv or npz (default: by the name of --out, else jsonl).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write (default: standard output).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Where runs lie (default: HOLDFAST_RUNS, else ./runs).")
    ] = None,
) -> None:
    """Common and salient representations of files, a row each. Example: suites embed RUN photo.png

    Of a run of contrastive analysis. With them come the outputs of the projectors (common_code, salient_code), where
    the method has some. Files become rows exactly as the run's data did.
    """
    from .. import api
    from ..reports import embeddings, predictions

    named = out.suffix[1:] if out is not None and out.suffix[1:] in FORMATS else "jsonl"
    form = form or named
    if form not in FORMATS:
        raise Fault.usage(f"no such format: {form}", "--format", f"--format {', '.join(FORMATS)}")
    if form == "npz" and out is None:
        raise Fault.usage("an npz is written to a file", "--out", "--out codes.npz")
    check_out(out, force)
    counted = Counted(api.embed(target, files or [], split=split, out=runs))
    if form == "npz" and out is not None:
        predictions.save(embeddings.npz(counted), out)
    else:
        write(table(counted, embeddings.flat) if form == "csv" else lines(counted), out)
    counted.refuse_broken()
