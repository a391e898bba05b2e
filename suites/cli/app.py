"""``suites``: the verbs. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import errno
import json as json_
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config.errors import Fault
from ..config.private import redact
from .files import data_app, runs_app
from .shared import Json, Out, Overrides, ProfileOption, Root, keep_output, output
from .shared import console_of as _console
from .shared import out_of as _out
from .shared import print_json as _print
from .shared import root_override as _root

app = typer.Typer(
    name="suites", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Continual and robust learning experiments. Start with: suites run coconut_slurp",
)  # fmt: skip
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False) -> None:
    if debug:
        os.environ["HOLDFAST_DEBUG"] = "1"


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="suites, methods, datasets, networks or problems.")] = "suites",
    json: Json = False,
) -> None:
    """The suites there are; or the methods, data sets, networks or problems that a recipe may name. Example: suites list methods"""
    from ..config import catalog, listing

    if what != "suites":
        rows = listing.of(what)
        if json:
            return _print(rows)
        return _console(False).table(
            what, ["name", "what", "from"], [[r["name"], r["summary"], r["origin"]] for r in rows]
        )
    rows = catalog.recipes()
    if json:
        return _print(rows)
    table = [[r["name"], r["title"], ", ".join(r["profiles"]), ", ".join(r["defaults"])] for r in rows]
    _console(False).table("suites", ["name", "what", "profiles", "methods"], table)


@app.command()
def show(name: str, overrides: Overrides = None, profile: ProfileOption = None, json: Json = False) -> None:
    """A suite's resolved recipe, where each value came from, and what its methods' fields mean. Example: suites show coconut_slurp"""
    from ..config import catalog, display

    given = overrides or []
    recipe = catalog.recipe(name, profile, given)
    catalog.resolve(recipe)
    fields = display.method_fields(recipe)
    if json:
        whole = {**recipe.model_dump(by_alias=True, mode="json"), "method_fields": fields, "resume": "checkpoint"}
        return _print({**whole, "origins": display.origins(recipe, name, given)})
    console = _console(False)
    console.line(display.annotated(recipe, name, given))
    for key, entry in fields.items():
        rows = [
            [f"methods.{key}.{n}", str(f["default"]), (f["description"] or "") + " (protocol)" * f["protocol"]]
            for n, f in entry["fields"].items()
        ]
        console.table(f"{key}: {entry['summary']}", ["field", "default", "meaning"], rows)
    console.line("resume: checkpoint")


@app.command()
def copy(
    name: str, file: Path,
    whole: Annotated[bool, typer.Option("--whole", help="All fields, extending nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
) -> None:  # fmt: skip
    """Start a recipe of your own: a short file that extends a suite. Example: suites copy coconut_slurp mine.yaml"""
    from ..config import catalog, display

    text = catalog.text(name) if whole else display.extending(catalog.recipe(name, None), file)
    if file.exists() and not force:
        raise Fault.usage("the file is there already", str(file), "choose another name, or --force")
    display.write(file, text)
    _console(False).line(f"wrote {file}; run it: suites run {file}")


@app.command()
def migrate(file: Path) -> None:
    """Rewrite a recipe of schema 1; the old one stays beside it as FILE.schema1. Example: suites migrate mine.yaml"""
    from ..config import display

    display.migrate(file)
    _console(False).line(f"wrote {file}; the old one: {file}.schema1; check it: suites validate {file}")


@app.command()
def validate(
    target: Annotated[str | None, typer.Argument(help="Name or file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All suites in all profiles.")] = False,
    json: Json = False,
) -> None:
    """Check a recipe whole, in all its profiles: names, types, ranges, equal settings; all errors at once."""
    from ..config import catalog

    if (target is None) == (not every):
        raise Fault.usage("name one suite or file, or say --all", "validate", "suites validate --all")
    checked = catalog.validate(target)
    if json:
        return _print(checked)
    _console(False).line(f"{len(checked)} valid")


@app.command()
def run(
    target: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    overrides: Overrides = None,
    profile: ProfileOption = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="Only this method; may be repeated.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="One seed (default 0).")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, help="Seeds 0..N-1.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    data_root: Root = None,
    out: Out = None,
    tracking_uri: Annotated[str | None, typer.Option("--tracking-uri", help="MLflow store or server.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Runs at a time, each in a process of its own.")] = 1,
    engine: Annotated[str, typer.Option("--engine", help="Of --workers: local or ray.")] = "local",
    address: Annotated[str | None, typer.Option("--address", help="Of the Ray cluster.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run; start nothing.")] = False,
    json: Json = False,
) -> None:
    """Run a suite. Example: suites run coconut_slurp --seeds 3 methods.coconut.temperature=0.2"""
    from ..config import catalog, protocol
    from ..runtime import warm_start as weights

    if seed is not None and seeds is not None:
        raise Fault.usage("--seed and --seeds exclude each other", "run", "--seeds N runs the seeds 0..N-1")
    if device not in ("auto", "cpu", "cuda"):
        raise Fault.usage(f"unknown device '{device}' (there are: auto, cpu, cuda)", "--device", "--device auto")
    given = [*(overrides or []), *_root(data_root)]
    is_file = target.endswith((".yaml", ".yml")) or "/" in target
    recipe = weights.located(catalog.recipe(target, profile if profile or is_file else "demo", given), _out(out))
    catalog.resolve(recipe)
    methods = catalog.chosen_methods(recipe, method or [])
    numbers = list(range(seeds)) if seeds else [seed or 0]
    if workers > 1 and recipe.train.threads == 0:  # recorded: a run's numbers belong to a number of threads
        from ..sweeps.search import apply

        recipe = apply(recipe, {"train.threads": max(1, (os.cpu_count() or 1) // workers)})
    console = _console(json)
    for text in protocol.warnings_of(recipe) if len(methods) > 1 else ():
        console.warning(text)
    if dry_run:
        from ..runtime.dry_run import plan

        document = plan(recipe, methods=methods, seeds=numbers, device=device)
        if json:
            return _print(document)
        from ..config.recipe import to_yaml

        console.line(to_yaml(recipe))
        head = ["method", "parameters", "trainable", "steps", "seconds", "memory MiB", "disk MiB"]
        console.table(
            "would run (estimates from one timed step)",
            head,
            [[str(v) for v in row.values()] for row in document["methods"]],
        )
        return None
    from ..runtime import invocation

    _finish(
        invocation.start(
            recipe, methods=methods, seeds=numbers, device=device, out=_out(out), tracking_uri=tracking_uri, console=console,
            workers=workers, engine_name=engine, address=address,
        ),
        console, json,
    )  # fmt: skip
    return None


@app.command()
def sweep(
    target: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    overrides: Overrides = None,
    profile: ProfileOption = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="The method that is tuned.")] = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="Trials in all.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Trials at a time.")] = 1,
    engine: Annotated[str, typer.Option("--engine", help="local or ray.")] = "local",
    address: Annotated[str | None, typer.Option("--address", help="Of the Ray cluster.")] = None,
    storage: Annotated[
        str | None, typer.Option("--storage", help="URL of an Optuna database (default: a file in the study).")
    ] = None,
    study: Annotated[str | None, typer.Option("--study", help="The study's name.")] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option("--objective", help="METRIC[:min|max] of the validation stream; may be repeated."),
    ] = None,
    sampler: Annotated[str | None, typer.Option("--sampler", help="tpe, random, grid, cmaes or nsga2.")] = None,
    pruner: Annotated[str | None, typer.Option("--pruner", help="median, hyperband or none.")] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds after which no trial is begun.")
    ] = None,
    again: Annotated[bool, typer.Option("--resume", help="Go on with the study of this name.")] = False,
    show_space: Annotated[
        bool, typer.Option("--show-space", help="Print what would be searched; start nothing.")
    ] = False,
    rerun: Annotated[
        bool, typer.Option("--rerun-best", help="Run the best and the untuned recipe on fresh seeds.")
    ] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Fresh seeds of --rerun-best.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sampler and of every trial.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    data_root: Root = None,
    out: Out = None,
    tracking_uri: Annotated[str | None, typer.Option("--tracking-uri", help="MLflow store or server.")] = None,
    json: Json = False,
) -> None:
    """Tune a method of a suite with Optuna. Example: suites sweep coconut_slurp --profile smoke --trials 8 --workers 2"""
    from ..config import catalog
    from ..runtime import warm_start as weights
    from ..sweeps import search, studies

    place = _out(out)
    if again:
        if study is None:
            raise Fault.usage(
                "--resume needs the name of the study", "--resume", "--study NAME --resume, or: suites resume STUDY"
            )
        found = studies.find(study, place.resolve(), storage)
        if found is None:
            raise Fault.usage(f"there is no study '{study}'", str(place), "leave --resume out to start it")
        return _sweep(found, trials, workers, engine, address, timeout, seeds if rerun else 0, json)
    is_file = target.endswith((".yaml", ".yml")) or "/" in target
    recipe = catalog.recipe(target, profile if profile or is_file else "demo", [*(overrides or []), *_root(data_root)])
    recipe = weights.located(recipe, place)
    catalog.resolve(recipe)
    if show_space:
        rows = search.describe(search.space(recipe, search.method_of(recipe, method or [])))
        if json:
            return _print({row[0]: row[1] for row in rows})
        return _console(False).table("what is searched", ["field", "values"], rows)
    made = studies.create(
        recipe, methods=method or [], trials=trials, sampler=sampler, pruner=pruner, objectives=objective or [], seed=seed, device=device,
        out=place, name=study, storage=storage, tracking_uri=tracking_uri,
    )  # fmt: skip
    return _sweep(made, None, workers, engine, address, timeout, seeds if rerun else 0, json)


def _sweep(
    study: Any,
    trials: int | None,
    workers: int,
    engine: str,
    address: str | None,
    timeout: float | None,
    seeds: int,
    json: bool,
) -> None:
    """Drive a study, and show its end."""
    from ..sweeps import outcome, sweep
    from ..sweeps.board import values_text

    if trials is not None and trials != study.plan["trials"]:
        study.plan["trials"] = trials
        study.save()
    console = _console(json)
    document = sweep.drive(study, console, workers=workers, engine_name=engine, address=address, timeout=timeout)
    if seeds:
        document["rerun"] = outcome.rerun_best(study, document, seeds, console)
    if json:
        return _print(document)
    names = [o["name"] for o in document["objectives"]]
    rows = []
    for row in sorted(document["trials"], key=lambda r: r["number"]):
        values = row.get("values") or [row.get("value")]
        shown = [f"{v:.4f}" if v is not None else "-" for v in (values if values != [None] else [None] * len(names))]
        rows.append(
            [
                str(row["number"]),
                row["state"],
                *shown,
                values_text(row["params"]),
            ]
        )
    console.table(
        f"study {document['study']}: {document['method']}; objectives are of the validation stream",
        ["trial", "state", *(n.replace("/", "\n") for n in names), "values"],
        rows,
    )
    best = document["best"]
    if isinstance(best, dict):
        console.line(
            f"best:   trial {best['number']}, {names[0]} {best['value']:.4f}; suites run {study.folder / 'best.yaml'}"
        )
    elif best:
        console.line(
            f"front:  trials {', '.join(str(row['number']) for row in best)}; recipes {study.folder}/best*.yaml"
        )
    for text in outcome.closing(document):
        console.line(text)
    console.line(f"study:  {study.folder}")
    return None


@app.command()
def resume(
    target: Annotated[str, typer.Argument(metavar="INVOCATION|RUN|STUDY|last")],
    workers: Annotated[int, typer.Option("--workers", min=1, help="Runs or trials at a time.")] = 1,
    engine: Annotated[str, typer.Option("--engine", help="local or ray.")] = "local",
    address: Annotated[str | None, typer.Option("--address", help="Of the Ray cluster.")] = None,
    out: Out = None, json: Json = False,
) -> None:  # fmt: skip
    """Finish what was stopped or killed. Example: suites resume last"""
    from ..runtime import folders, invocation
    from ..sweeps import studies

    place = _out(out).resolve()
    target = folders.newest(place) if target == "last" else target
    study = studies.find(target, place)
    if study is not None:
        return _sweep(study, None, workers, engine, address, None, 0, json)
    console = _console(json)
    document = invocation.resume(
        target, out=place, console=console, workers=workers, engine_name=engine, address=address
    )
    _finish(document, console, json)
    return None


SELECTED = {
    "last": "last weights of every experience; no test label was used to choose",
    "validation": "best weights on validation rows of all experiences seen so far; no test label was used to choose",
    "oracle": "ORACLE, best weights on test rows: an upper bound, no result of a method",
}


def _finish(document: dict[str, Any], console: Any, json: bool) -> None:
    """The table at the end of a run: methods × metrics, selection rule, where things lie."""
    if json:
        return _print(document)
    import statistics

    from ..config import measures, registry
    from ..config.documents import read_yaml
    from ..runtime import folders

    folder = Path(document["out"])
    recipe = read_yaml(folders.plan_of(folder)["recipe"], "recipe")
    measured = {name for r in document["runs"] for name in r["metrics"]}
    shown = [name for name in registry.problem(recipe["problem"]).table if name in measured]
    if recipe["data"]["experiences"] == 1:  # the average over one experience is the last, and nothing is forgotten
        shown = [name for name in shown if not (name.endswith(("/average", "/forgetting")) and name.rpartition("/")[0] + "/last" in measured)]  # fmt: skip
    rows = []
    for method in dict.fromkeys(r["method"] for r in document["runs"]):
        mine = [r["metrics"] for r in document["runs"] if r["method"] == method and r["metrics"]]
        cells = [f"{method} ({len(mine)})"]
        for name in shown:
            values = [m[name] for m in mine if name in m]
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.3f}{spread}" if values else "-")
        rows.append(cells)
    title = f"{document['suite']} ({document['profile'] or 'recipe'}), data: {document['data']['source']}; mean ± standard deviation over (n) seeds"
    console.table(
        title, ["method (seeds)", *(name.replace("/", "\n").replace("_per_", "\nper ") for name in shown)], rows
    )
    console.line(f"better:    {measures.directions(recipe['problem'], shown)}")
    console.line(f"selection: {SELECTED[recipe['train']['selection']]} (train.selection)")
    console.line(f"results:   {folder}")
    console.line(f"MLflow:    suites ui --out {folder.parent}")
    return None


@app.command()
def compare(
    targets: Annotated[list[str], typer.Argument(metavar="INVOCATION...", help="Invocations, runs, or folders of them; last.")],
    metric: Annotated[str | None, typer.Option("--metric", help="Name in the summary (default: the main one, last).")] = None,
    than: Annotated[str | None, typer.Option("--than", help="Method to compare with (default: the best).")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Tables as Markdown.")] = False,
    picture: Annotated[Path | None, typer.Option("--picture", help="A PNG of the metric over the field in which the data differ.")] = None,
    out: Out = None, json: Json = False,
) -> None:  # fmt: skip
    """Which method is better and how sure that is. Example: suites compare last --than er

    Several data sets (or values of one field of the data) also give average ranks, and with --picture the metric over that field.
    """
    from ..reports import compare as comparing

    document = comparing.compare(targets, _out(out), metric, than)
    console = _console(json or markdown)
    if document["not_finished"]:
        console.warning(f"left out, not finished: {', '.join(document['not_finished'])}")
    if picture is not None:
        comparing.picture(document, picture)
    if json:
        return _print(document)
    if markdown:
        sys.stdout.write(comparing.markdown(document))
        return None
    for title, header, rows in comparing.tables(document):
        console.table(title, header, rows)
    return None


@app.command()
def predict(
    target: Annotated[str, typer.Argument(metavar="RUN")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE.wav...")],
    out: Out = None,
) -> None:
    """Scenario, action, entities and transcript of recordings, a JSON line each. Example: suites predict RUN order.wav"""
    from ..runtime import predict as predicting

    broken = 0
    for document in predicting.predict(target, files, _out(out)):
        broken += "error" in document
        sys.stdout.write(json_.dumps(document, ensure_ascii=False) + "\n")
    if broken:
        raise typer.Exit(3)


@app.command()
def sync(path: Annotated[Path | None, typer.Argument(help="OUT, a study, an invocation or a run.")] = None, out: Out = None,
         tracking_uri: Annotated[str | None, typer.Option("--tracking-uri")] = None, json: Json = False) -> None:  # fmt: skip
    """Deliver to MLflow what a dead or slow server did not take."""
    from ..config import names
    from ..runtime import folders
    from ..sweeps import outcome, studies
    from ..tracking import delivery as tracking

    place = path or _out(out)
    for file in place.rglob("identity.json"):
        names.refuse_links(file.parent)  # pictures are sent as they are found
    document = tracking.sync(place, tracking_uri)
    document["studies"] = []
    for folder in folders.studies(place):
        study = studies.read(folder)
        if (folder / "result.json").exists():
            problem = outcome.parent_run(study, folders.read_json(folder / "result.json"), tracking_uri)
            document["studies"].append({"folder": str(folder), "problem": problem})
    if json:
        _print(document)
    else:
        for row in document["runs"]:
            problem = f": {row['problem']}" if row["problem"] else ""
            _console(False).line(f"{row['folder']}: {row['undelivered']} points left{problem}")
    if any(row["problem"] or row.get("undelivered") for row in [*document["runs"], *document["studies"]]):
        raise typer.Exit(4)


@app.command()
def ui(out: Out = None, port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
       tracking_uri: Annotated[str | None, typer.Option("--tracking-uri")] = None) -> None:  # fmt: skip
    """MLflow's pages of the runs under OUT, on this machine alone."""
    from ..tracking.store import resolve_uri

    uri = resolve_uri(_out(out), tracking_uri)
    mlflow = Path(sys.executable).with_name("mlflow")
    shown = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}  # not an option: everybody may see a process's options
    os.execve(mlflow, [str(mlflow), "ui", "--host", "127.0.0.1", "--port", str(port)], shown)


@app.command()
def doctor(out: Out = None, json: Json = False) -> None:
    """Versions, GPU, disk, store; and what to do about each fault."""
    from ..runtime.doctor import examine

    document = examine(_out(out))
    if json:
        _print(document)
    else:
        _console(False).table(
            "doctor", ["what", "found", "do"], [[c["what"], c["found"], c["do"]] for c in document["checks"]]
        )
    if not document["healthy"]:
        raise typer.Exit(4)


def main() -> None:
    """Entry point: every failure is one message and one exit code."""
    from ..runtime.console import plain_warnings

    wants_json = "--json" in sys.argv
    plain_warnings()
    if wants_json:
        keep_output()
    code = _guard(lambda: app(standalone_mode=False), wants_json)
    output().flush()
    sys.exit(code)


DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "there is no permission to write",
    errno.EPERM: "there is no permission to write",
    errno.EFBIG: "a file would exceed the size limit",
}


def _guard(call: Callable[[], Any], wants_json: bool) -> int:
    """Run ``call``; the exit code, with the message told in the house's form."""
    try:
        result = call()
    except typer.Exit as error:
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        fault = Fault.interrupted("stopped", "suites", "suites resume last")
    except Exception as error:
        if os.environ.get("HOLDFAST_DEBUG"):
            import traceback

            sys.stderr.write(redact("".join(traceback.format_exception(error))))
        fault = _translate(error)
    else:
        return int(result) if isinstance(result, int) else 0
    if wants_json:
        _print(fault.as_json())
    sys.stderr.write(f"error: {fault.what}\nwhere: {fault.where}\nnext:  {fault.next}\n")
    return fault.exit_code


def _translate(error: Exception) -> Fault:
    """A failure that no room foresaw or that a library raised."""
    if isinstance(error, Fault):
        return error
    if hasattr(error, "format_message"):  # the parser's own errors; typer carries its own copy of click
        return Fault.usage(str(error.format_message()), f"suites {' '.join(sys.argv[1:2])}", "suites --help")
    named = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, NotADirectoryError | FileNotFoundError) or named & {"DataError", "MissingColumnError"}:
        return Fault.data(str(error), "data", "suites data check NAME --data-root DIR; suites doctor")
    if isinstance(error, OSError) and error.errno in DISK:
        return Fault.run_failed(
            f"{DISK[error.errno]}: {error}",
            str(error.filename or "the run or cache folder"),
            "make room or choose another place (--out, HOLDFAST_CACHE), then: suites resume last",
        )
    if "No space left" in str(error) or "os error 28" in str(error):  # safetensors and torch wrap it
        return Fault.run_failed(
            f"{DISK[errno.ENOSPC]}: {error}",
            "the run or cache folder",
            "make room or choose another place (--out, HOLDFAST_CACHE), then: suites resume last",
        )
    if "UnfitError" in named:
        return Fault.recipe(str(error), "methods and model.options", "change the field it names; all fields: suites show NAME")  # fmt: skip
    return Fault.run_failed(f"{type(error).__name__}: {error}", "suites", "see the traceback with: suites --debug ...")
