"""``suites sync``, ``ui`` and ``doctor``: MLflow's store and this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .shared import Json, Out, TrackingUri, console_of, out_of, print_json


def sync(
    path: Annotated[Path | None, typer.Argument(help="OUT, a study, an invocation or a run.")] = None,
    out: Out = None,
    tracking_uri: TrackingUri = None,
    json: Json = False,
) -> None:
    """Deliver to MLflow what a dead or slow server did not take."""
    from .. import api

    document = api.sync(path or out, tracking_uri)
    if json:
        print_json(document)
    else:
        for row in document["runs"]:
            problem = f": {row['problem']}" if row["problem"] else ""
            warning = f" ({row['warning']})" if row["warning"] else ""
            console_of(False).line(f"{row['folder']}: {row['undelivered']} points left{problem}{warning}")
    if any(
        row["problem"] or row.get("undelivered")
        for row in [*document["runs"], *document["invocations"], *document["studies"]]
    ):
        raise typer.Exit(4)


def ui(
    out: Out = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    tracking_uri: TrackingUri = None,
) -> None:
    """MLflow's pages of the runs under OUT, on this machine alone."""
    from ..tracking import store
    from ..tracking.store import resolve_uri

    uri = resolve_uri(out_of(out), tracking_uri)
    console = console_of(False)
    for name, address in store.links(uri, f"http://127.0.0.1:{port}"):
        console.line(f"{name}: {address}")
    mlflow = Path(sys.executable).with_name("mlflow")
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}  # not an option: everybody may see those
    os.execve(mlflow, [str(mlflow), "ui", "--host", "127.0.0.1", "--port", str(port)], environment)


def doctor(out: Out = None, json: Json = False) -> None:
    """Versions, GPU, disk, store; and what to do about each fault."""
    from ..runtime.doctor import examine

    document = examine(out_of(out))
    if json:
        print_json(document)
    else:
        rows = [[check["what"], check["found"], check["do"]] for check in document["checks"]]
        console_of(False).table("doctor", ["what", "found", "do"], rows)
    if not document["healthy"]:
        raise typer.Exit(4)
