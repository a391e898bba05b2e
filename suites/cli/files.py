"""``suites runs`` and ``suites data``: the verbs for what lies on the disk."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config.errors import Fault
from .shared import Json, Out, Overrides, ProfileOption, Root, Suite, console_of, help_of_group, print_json

data_app = typer.Typer(
    callback=help_of_group, invoke_without_command=True, help="Data sets and the cache of prepared features."
)
runs_app = typer.Typer(callback=help_of_group, invoke_without_command=True, help="Runs on the disk.")


@runs_app.command("list")
def runs_list(out: Out = None, json: Json = False) -> None:
    """All runs under OUT, oldest first."""
    from .. import api

    rows = api.list_runs(out)
    if json:
        return print_json(rows)
    names = [r["invocation"] + (f"/{r['method']}-s{r['seed']}" if r["method"] else "") for r in rows]
    cells = [[r["profile"] or "", r["status"], r["mlflow_run_id"] or ""] for r in rows]
    table = [[name, *row] for name, row in zip(names, cells, strict=True)]
    console = console_of(False)
    console.table(f"runs in {api.out_of(out)}", ["run", "profile", "status", "MLflow run"], table)
    for name, row in zip(names, rows, strict=True):
        if "problem" in row:
            console.warning(f"{name}: {row['problem']}")


@runs_app.command("remove")
def runs_remove(
    path: Path,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    outside: Annotated[Path | None, typer.Option("--outside", help="PATH again, where it lies outside OUT.")] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Delete an invocation or a run. What is not ours in it is named and stays; one that is written is refused."""
    from .. import api

    target = api.removal(path, out, outside)
    console = console_of(json)
    for left in target.plan.left:
        console.line(f"not ours, stays: {left}")
    size = f"{len(target.plan.files)} files, {target.plan.size / 2**20:.1f} MiB"
    question = f"delete the {target.kind} {target.folder} ({size})"
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            what = "nobody can be asked: there is no terminal"
            raise Fault.usage(what, str(target.folder), f"suites runs remove {path} --yes")
        if not typer.confirm(f"{question}?", err=True):
            raise Fault.interrupted("nothing was removed", str(target.folder), "suites runs list")
    target.carry_out()
    if json:
        print_json({"removed": str(target.folder), "left": [str(left) for left in target.plan.left]})


@data_app.command("list")
def data_list(json: Json = False) -> None:
    """What the cache of prepared features holds."""
    from .. import api

    rows = api.list_data()
    if json:
        return print_json(rows)
    table = [
        [r["digest"][:12], str(r["key"].get("kind", "?")), f"{r['bytes'] / 2**20:.1f}", str(r["whole"])] for r in rows
    ]
    console_of(False).table(f"cache in {api.data_root()}", ["entry", "kind", "MiB", "whole"], table)


@data_app.command("prepare")
def data_prepare(
    target: Annotated[str, Suite], overrides: Overrides = None, profile: ProfileOption = None, data_root: Root = None
) -> None:
    """Make a suite's data now (it is made by 'run' otherwise)."""
    from .. import api

    console = console_of(False)
    with console.progress("preparing data") as tick:
        source = api.prepare_data(target, profile, overrides or [], data_root, tick)
    console.line(f"{source.source}: " + ", ".join(f"{k} {len(t)}" for k, t in source.splits.items()))


@data_app.command("check")
def data_check(
    target: Annotated[str, Suite],
    overrides: Overrides = None,
    profile: ProfileOption = None,
    data_root: Root = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="Of generated data with known factors: what they say of each other."),
    ] = None,
    json: Json = False,
) -> None:
    """Rows, splits, classes and faults of a suite's data. Exit code 3 where there are faults."""
    from .. import api
    from ..reports import associations

    document = api.check_data(target, profile, overrides or [], data_root)
    if picture is not None:
        associations.picture(document, target, picture)
    faults = document.get("faults") or []
    if json:
        print_json(document)
    else:
        _show_check(document, faults, console_of(False))
    if faults:
        raise typer.Exit(3)


@data_app.command("init")
def data_init(
    folder: Path,
    pattern: Annotated[
        str | None, typer.Option("--pattern", help="Parts of the names, '{label}_{speaker}_*' (default: folders).")
    ] = None,
    valid: Annotated[float, typer.Option("--valid", min=0.01, max=0.49, help="Share for validation.")] = 0.1,
    test: Annotated[float, typer.Option("--test", min=0.01, max=0.49, help="Share for test.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    json: Json = False,
) -> None:
    """List your recordings or images for a suite, with splits. Example: suites data init recordings"""
    from .. import api

    document = api.init_data(folder, pattern=pattern, valid=valid, test=test, seed=seed, force=force)
    console = console_of(json)
    for text in document["warnings"]:
        console.warning(text)
    if json:
        return print_json(document)
    rows = ", ".join(f"{split} {count}" for split, count in sorted(document["rows"].items()))
    how = f"{document['groups']} speakers or subjects, none in two splits" if document["grouped"] else "by file"
    console.line(f"wrote:  {document['file']}")
    console.paragraph("rows:   ", f"{rows}; {len(document['classes'])} classes; split {how}")
    where = shlex.quote(str(folder))
    console.line(f"check:  suites data check {document['suite']} --data-root {where}")
    console.line(f"run:    suites run {document['suite']} --data-root {where}")
    return None


def _show_check(document: dict[str, Any], faults: list[str], console: Any) -> None:
    """A table of the splits, those of known factors, a line for all else, and a line a fault."""
    from ..reports import associations

    splits = {
        name: part for name, part in document.items() if isinstance(part, dict) and {"rows", "utterances"} & set(part)
    }
    names = list(dict.fromkeys(field for part in splits.values() for field in part))
    rows = [[split, *(_in_words(part.get(field, "")) for field in names)] for split, part in splits.items()]
    if rows:
        console.table(f"data: {document.get('source', '')}", ["split", *names], rows)
    for table in associations.tables(document):
        console.table(*table)
    for name, value in document.items():
        if name not in ("faults", "source", *splits, *associations.FIELDS):
            console.paragraph(f"{name}: ", _in_words(value) or "none")
    for fault in faults:
        console.line(f"fault: {fault}")


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@data_app.command("clean")
def data_clean(json: Json = False) -> None:
    """Remove our entries from the cache. Whatever else lies there is named and stays."""
    from .. import api

    done = api.clean_data()
    if json:
        return print_json(done)
    console = console_of(False)
    for path in done["left"]:
        console.line(f"not ours, stays: {path}")
    for path in done["busy"]:
        console.line(f"another process builds it, stays: {path}")
    console.line(f"freed {done['freed'] / 2**20:.1f} MiB")
    return None
