"""Metrics of finished runs as a CSV for a table of docs/results: a row a run.

    python docs/generate/export.py FOLDER... --metrics accuracy/average,accuracy/last --out FILE.csv

A FOLDER is a run, an invocation, or a folder of them. Columns: ``data`` (the field of the recipe that ``--by``
names, where one CSV holds several data sets), ``method``, ``seed``, ``data_seed`` (``data.options.seed``), and the
metrics with six significant digits, empty where a run has none.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from holdfast.suites import api
from holdfast.suites.config.documents import flat, read_yaml
from holdfast.suites.config.errors import Fault

KEYS = ["data", "method", "seed", "data_seed"]
Row = dict[str, str]


def rows(targets: Sequence[str], metrics: Sequence[str], by: str | None, names: Mapping[str, str]) -> list[Row]:
    """The finished runs of ``targets``. Raises Fault where there is none, or no run has one of the metrics."""
    runs = [run for target in targets for run in api.results(target).runs if run["status"] == "finished"]
    if not runs:
        raise Fault.usage("no run of these is finished", " ".join(targets), "suites resume last")
    known = sorted({name for run in runs for name in run["metrics"]})
    for metric in metrics:
        if metric not in known:
            what = f"no run has the metric '{metric}' (there are: {', '.join(known)})"
            raise Fault.usage(what, "--metrics", "name metrics of the runs' summary.json")
    return [_row(run, metrics, by, names) for run in runs]


def _row(run: Mapping[str, Any], metrics: Sequence[str], by: str | None, names: Mapping[str, str]) -> Row:
    path = Path(run["folder"]) / "recipe.yaml"
    fields = flat(read_yaml(path.read_text(encoding="utf-8"), str(path))["data"], "data")
    keys = {
        "data": fields.get(by, "") if by else "",
        "method": names.get(run["method"], run["method"]),
        "seed": str(run["seed"]),
        "data_seed": fields.get("data.options.seed", "0"),
    }
    return keys | {m: f"{run['metrics'][m]:.6g}" if m in run["metrics"] else "" for m in metrics}


def write(path: Path, added: Sequence[Row], metrics: Sequence[str], append: bool) -> int:
    """Writes the rows in order, after those that ``path`` has with ``append``; answers how many there are.

    Raises Fault where the same data, method and seeds stand there twice, or ``path`` has other columns.
    """
    all_rows = list(added)
    header = [*KEYS, *metrics]
    if append and path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != header:
                columns = ", ".join(reader.fieldnames or [])
                raise Fault.usage(
                    f"it has other columns: {columns}", str(path), "name its metrics, or leave --append out"
                )
            all_rows = [*reader, *all_rows]
    all_rows.sort(key=lambda row: (row["data"], row["method"], int(row["data_seed"]), int(row["seed"])))
    keys = [tuple(row[key] for key in KEYS) for row in all_rows]
    for one, following in pairwise(keys):
        if one == following:
            what = f"the same run stands there twice: {', '.join(part for part in one if part)}"
            raise Fault.usage(
                what, str(path), "leave one of its folders out, or name it with --rename OLD=NEW or --by FIELD"
            )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(all_rows)
    return len(all_rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="metrics of finished runs as a CSV, a row a run")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="a run, an invocation, or a folder of them")
    parser.add_argument("--metrics", required=True, help="names of summary.json, with commas between them")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.csv")
    parser.add_argument(
        "--by", metavar="FIELD", help="field of the recipe that tells the data sets apart, data.options.file say"
    )
    parser.add_argument("--rename", action="append", default=[], metavar="OLD=NEW", help="another name for a method")
    parser.add_argument("--append", action="store_true", help="add to the rows that FILE.csv has")
    given = parser.parse_args(arguments)
    metrics = given.metrics.split(",")
    for pair in given.rename:
        if pair.count("=") != 1:
            parser.error(f"--rename takes OLD=NEW, not '{pair}'")
    try:
        names = dict(pair.split("=") for pair in given.rename)
        count = write(given.out, rows(given.folders, metrics, given.by, names), metrics, given.append)
    except Fault as fault:
        sys.stderr.write(f"error: {fault.what}\nwhere: {fault.where}\nnext:  {fault.next}\n")
        return fault.exit_code
    sys.stdout.write(f"{given.out}: {count} runs\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
