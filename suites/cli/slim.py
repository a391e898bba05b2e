"""``suites slim``: a sub-network of a trained slimmable network, for a budget and a preference."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared import output


def slim(
    target: Annotated[str, typer.Argument(metavar="RUN")],
    budget: Annotated[
        float | None, typer.Option("--budget", help="Multiply-adds, as a share of the whole network's.")
    ] = None,
    macs: Annotated[
        float | None, typer.Option("--macs", help="In place of --budget: multiply-adds of one image.")
    ] = None,
    prefer: Annotated[
        str | None, typer.Option("--prefer", help="Tasks and their weights, seg=2,depth=1 (default: all alike).")
    ] = None,
    per_stage: Annotated[
        bool, typer.Option("--per-stage", help="Search a width for each stage of the encoder, too.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option("--export", help="File for the sub-network: .pt2 (torch.export) or .onnx.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Where runs lie (default: HOLDFAST_RUNS, else ./runs).")
    ] = None,
) -> None:
    """The best sub-network for a budget. Example: suites slim RUN --budget 0.4 --prefer seg=2,depth=1 --export net.pt2

    Prefers tasks by the widths of their decoders, and searches the encoder's width. Prints what it measures on
    validation rows, multiply-adds, parameters and the time of one image. No training.
    """
    from .. import api

    found = api.slim(
        target, budget=budget, macs=macs, prefer=prefer, per_stage=per_stage, export=export, force=force, out=runs
    )
    output().write(json_.dumps(found) + "\n" if json else text(found))


def text(found: dict[str, Any]) -> str:
    """The document as a person reads it."""
    lines = [
        f"encoder     {found['encoder']}",
        *(f"decoder     {task} {width:g}" for task, width in found["decoders"].items()),
        f"macs        {found['macs']:,} ({100 * found['share']:.1f} % of the whole network's)",
        f"parameters  {found['parameters']:,}",
        f"latency     {found['latency_ms']:.2f} ms an image",
    ]
    for task, values in found["metrics"].items():
        lines.append(f"{task:<11} " + ", ".join(f"{name} {value:.4f}" for name, value in values.items()))
    if "export" in found:
        lines.append(f"written     {found['export']}")
    return "\n".join(lines) + "\n"
