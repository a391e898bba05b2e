"""From a failure to one message and one exit code."""

from __future__ import annotations

import csv
import errno
import json
import os
import shlex
import sys
import zlib
from collections.abc import Callable
from typing import Any

import typer

from ..config.errors import Fault
from ..config.private import redact
from .shared import print_json

DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "there is no permission to write",
    errno.EPERM: "there is no permission to write",
    errno.EFBIG: "a file would exceed the size limit",
}
PATHS = (errno.ELOOP, errno.ENAMETOOLONG)  # what Python 3.11 says of a loop is a RuntimeError
FREE = "free some space or choose another folder (--out, HOLDFAST_CACHE), then: suites resume last"
FOLDER = "the run or cache folder"


def guarded(call: Callable[[], Any], wants_json: bool) -> int:
    """Run ``call``; its exit code, after the message of what went wrong."""
    try:
        result = call()
    except typer.Exit as error:
        return int(error.exit_code)
    except (BrokenPipeError, SystemExit) as error:  # whoever read standard output has enough (suites list | head -1)
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        return 0
    except (KeyboardInterrupt, typer.Abort):
        fault = Fault.interrupted("stopped", "suites", "suites resume last")
    except Exception as error:
        if os.environ.get("HOLDFAST_DEBUG"):
            import traceback

            sys.stderr.write(redact("".join(traceback.format_exception(error))))
        fault = fault_of(error)
    else:
        return int(result) if isinstance(result, int) else 0
    if wants_json:
        print_json(fault.as_json())
    from rich.console import Console
    from rich.text import Text

    screen = Console(stderr=True, highlight=False)
    parts = (("error: ", fault.what, "red"), ("where: ", fault.where, "bold"), ("next:  ", fault.next, "bold"))
    for label, text, style in parts:
        screen.print(Text.assemble((label, style), text), soft_wrap=True)
    return fault.exit_code


def fault_of(error: Exception) -> Fault:
    """The message of a failure: a Fault as it is; what a library raised by what it means."""
    if isinstance(error, Fault):
        return error
    if hasattr(error, "format_message"):  # the parser's own errors; typer carries its own copy of click
        return Fault.usage(str(error.format_message()), f"suites {' '.join(sys.argv[1:2])}", "suites --help")
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, NotADirectoryError | FileNotFoundError) or kinds & {"DataError", "MissingColumnError"}:
        return Fault.data(str(error), "data", f"suites data check {_suite()}; suites doctor")
    if isinstance(error, OSError) and error.errno in DISK:
        return Fault.run_failed(f"{DISK[error.errno]}: {error}", str(error.filename or FOLDER), FREE)
    if "No space left" in str(error) or "os error 28" in str(error):  # safetensors and torch wrap it
        return Fault.run_failed(f"{DISK[errno.ENOSPC]}: {error}", FOLDER, FREE)
    if isinstance(error, MemoryError) or "OutOfMemoryError" in kinds:
        what = f"there is not enough memory ({str(error).partition('.')[0] or type(error).__name__})"
        return Fault.run_failed(what, "suites", "a smaller train.batch_size or model, or data.store=mapped")
    if isinstance(error, csv.Error | zlib.error | UnicodeError | json.JSONDecodeError | RecursionError):
        what = f"a file cannot be read ({type(error).__name__}: {error})"
        return Fault.data(what, "data", f"suites data check {_suite()}; suites doctor")
    if (isinstance(error, OSError) and error.errno in PATHS) or str(error).startswith("Symlink loop"):
        return Fault.data(f"a path leads nowhere: {error}", "data or --out", "name a folder that can be opened")
    if "UnfitError" in kinds:
        next_step = f"change the field it names; all fields: suites show {_suite().partition(' ')[0]}"
        return Fault.recipe(str(error), "methods and model.options", next_step)
    return Fault.run_failed(f"{type(error).__name__}: {error}", "suites", "see the traceback with: suites --debug ...")


def _suite() -> str:
    """The suite that the command line names, with its data root, for a command that can be copied."""
    given = sys.argv[1:]
    named = [word for word in given[1:3] if not word.startswith("-") and word not in ("check", "prepare")]
    if not given or given[0] not in ("run", "sweep", "data") or not named:
        return "NAME"
    for k, word in enumerate(given):
        if word == "--data-root" and k + 1 < len(given):
            return f"{named[0]} --data-root {shlex.quote(given[k + 1])}"
        if word.startswith("--data-root="):
            return f"{named[0]} {shlex.quote(word)}"
    return named[0]
