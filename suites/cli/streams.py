"""Standard output and error that are closed, full, or cannot show a character."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

FULL = "where: standard output\nnext:  free some space, or send the output elsewhere: suites ... > FILE\n"


def open_all() -> None:
    """A standard stream that is closed leads to nowhere (else the next file that is opened would be in its place);
    what cannot be encoded is written as an escape.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # replaced by another kind of stream
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def flushed(output: TextIO, code: int) -> int:
    """``code``, or 4 where the last of the output cannot be written; the interpreter tries no second time."""
    try:
        output.flush()
    except BrokenPipeError:
        _to_nowhere(output)
    except OSError as error:
        _to_nowhere(output)
        with contextlib.suppress(OSError):
            sys.stderr.write(f"error: standard output cannot be written: {error.strerror}\n{FULL}")
        return code or 4
    return code


def _to_nowhere(output: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, output.fileno())
        os.close(nowhere)
