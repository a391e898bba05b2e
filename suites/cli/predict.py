"""``suites predict``: what a run says of files, or of rows of its own data."""

from __future__ import annotations

import csv
import io
import json as json_
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config.errors import Fault
from .shared import console_of, output

FILES = "Images, recordings, tables, series, volumes, texts or pairs of them; a folder stands for the files in it."
Format = Annotated[str, typer.Option("--format", help="jsonl or csv.")]


def predict(
    target: Annotated[str, typer.Argument(metavar="RUN")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help=FILES)] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="In place of files: a split of the run's own data.")
    ] = None,
    top: Annotated[int, typer.Option("--top", help="Classes that are named, the likeliest first.")] = 5,
    level: Annotated[float, typer.Option("--level", help="Share of rows that an interval is to hold.")] = 0.9,
    form: Format = "jsonl",
    as_csv: Annotated[bool, typer.Option("--csv", help="Short for --format csv.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="File to write (default: standard output).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Where runs lie (default: HOLDFAST_RUNS, else ./runs).")
    ] = None,
) -> None:
    """What a run says of files, one JSON line a row. Example: suites predict RUN photo.png

    Classes have probabilities (softmax, not calibrated). Numbers have an interval where there are validation rows:
    split conformal, for rows like those. Files become rows exactly as the run's data did.
    """
    from .. import api
    from ..reports.predictions import flat

    if form not in ("jsonl", "csv"):
        raise Fault.usage(f"no such format: {form}", "--format", "--format jsonl or --format csv")
    check_out(out, force)
    documents = api.predict(
        target, files or [], split=split, top=top, level=level, out=runs, console=console_of(json=True)
    )
    counted = Counted(documents)
    write(table(counted, flat) if as_csv or form == "csv" else lines(counted), out)
    counted.refuse_broken()


class Counted:
    """Documents as they come, and afterwards which of them could not be made."""

    def __init__(self, documents: Iterable[dict[str, Any]]) -> None:
        self.documents, self.count = documents, 0
        self.broken: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for document in self.documents:
            self.count += 1
            self.broken.extend([document] if "error" in document else [])
            yield document

    def refuse_broken(self) -> None:
        """Raise Fault with all inputs that could not be read."""
        if self.broken:
            from ..reports.predictions import unreadable

            raise unreadable(self.broken, self.count)


def check_out(out: Path | None, force: bool) -> None:
    """Raise Fault where ``out`` is a folder, or a file that is not to be overwritten."""
    if out is not None and (out.is_dir() or (out.exists() and not force)):
        what = "this is a folder" if out.is_dir() else "the file is there already"
        next_step = "--out FILE names the file to write, --runs DIR where runs lie; --force overwrites a file"
        raise Fault.usage(what, str(out), next_step)


def lines(documents: Iterable[dict[str, Any]]) -> Iterator[str]:
    """JSON lines."""
    for document in documents:
        yield json_.dumps(document, ensure_ascii=False) + "\n"


def table(documents: Iterable[dict[str, Any]], flat: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Iterator[str]:
    """CSV, all rows at once: which columns there are is known at the end."""
    rows = [flat(document) for document in documents]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    yield text.getvalue()


def write(parts: Iterable[str], file: Path | None) -> None:
    """To standard output as they come, or whole into a file."""
    if file is not None:
        from ..reports.predictions import save

        save("".join(parts).encode(), file)
        return
    for part in parts:
        output().write(part)
