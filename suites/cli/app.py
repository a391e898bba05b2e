"""``suites``: the verbs, wired. A verb parses, calls :mod:`..api` or the runtime, and prints; nothing heavy is
imported before one runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from . import (
    embed,
    files,
    generate,
    new,
    predict,
    predictions,
    recipes,
    results,
    run,
    service,
    slim,
    streams,
    sweep,
    tasks,
    verify,
)
from .errors import guarded
from .shared import HELP, help_of_group, keep_output, output

app = typer.Typer(
    name="suites",
    context_settings=HELP,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Continual and robust learning experiments. Start with: suites run coconut_slurp",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"suites {version('holdfast')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Show the traceback of a failure, and what libraries say (else in a run's log.txt)."
        ),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if debug:
        os.environ["HOLDFAST_DEBUG"] = "1"
    help_of_group(context)


app.command("list")(recipes.list_)
for _verb in (
    *(recipes.show, recipes.copy, recipes.migrate, recipes.validate, run.run, sweep.sweep, run.resume),
    *(results.compare, verify.verify, results.report, tasks.tasks),
    *(predict.predict, predictions.predictions, embed.embed, slim.slim, generate.generate),
    *(service.sync, service.ui, service.doctor),
):
    app.command()(_verb)
app.add_typer(files.data_app, name="data")
app.add_typer(files.runs_app, name="runs")
app.add_typer(new.new_app, name="new")


def wait_briefly() -> None:
    """Waiting threads of torch (GNU OpenMP) give their core up soon, where the user says nothing else.

    By default they spin; two runs on the same cores then take each other's time many times over
    (``tests/benchmarks/together.py``). Read when torch is loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def main() -> None:
    """Entry point: every failure is one message and one exit code."""
    wait_briefly()
    wants_json = "--json" in sys.argv
    streams.open_all()
    if wants_json:
        keep_output()

    def begin() -> object:
        from ..runtime import messages

        messages.install()
        return app(standalone_mode=False)

    code = guarded(begin, wants_json)
    sys.exit(streams.flushed(output(), code))
