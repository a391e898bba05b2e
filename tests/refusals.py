"""What a wrong input gets, recorded while the tests run.

``HOLDFAST_REFUSALS=FILE pytest ...`` adds a line of JSON for each refused command and for each DataError that a test
expects; ``docs/generate/refusals.py`` makes docs/bad-inputs.md of them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import pytest

SAID = re.compile(r"^error: (?P<what>.*?)\nwhere: (?P<where>.*?)\nnext: *(?P<next>[^\n]*)", re.MULTILINE | re.DOTALL)
CASE = re.compile(r"(?P<file>[^:]+)::(?:\w+::)*test_(?P<test>\w+)(?:\[(?P<case>.*)\])? \(")


def recording() -> bool:
    return bool(os.environ.get("HOLDFAST_REFUSALS"))


def _write(**row: Any) -> None:
    current = CASE.match(os.environ.get("PYTEST_CURRENT_TEST", ""))
    named = current.groupdict() if current else {"file": "", "test": "", "case": ""}
    with open(os.environ["HOLDFAST_REFUSALS"], "a", encoding="utf-8", errors="replace") as file:
        file.write(json.dumps({**named, **row}, ensure_ascii=False) + "\n")


def command(arguments: Sequence[str], exit_code: int, said: str) -> None:
    """Record a command that was refused; ``said`` holds its message."""
    if recording() and exit_code in (2, 3, 4) and (match := SAID.search(said)):
        _write(kind="command", arguments=list(arguments), exit=exit_code, **match.groupdict())


class _Raises:
    """``pytest.raises`` as a context, which records the DataError that it catches."""

    def __init__(self, context: Any) -> None:
        self.context = context

    def __enter__(self) -> Any:
        return self.context.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool:
        from holdfast.datasets.core.errors import DataError

        expected = bool(self.context.__exit__(kind, value, trace))
        if expected and isinstance(value, DataError):
            _write(kind="data", exit=3, what=str(value))
        return expected


@contextmanager
def recorded() -> Iterator[None]:
    """Records every DataError that a test expects, where a recording is asked for."""
    if not recording():
        yield
        return
    plain = pytest.raises

    def raises(*arguments: Any, **options: Any) -> Any:
        given = plain(*arguments, **options)
        return _Raises(given) if hasattr(given, "__enter__") else given

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest, "raises", raises)
        yield
