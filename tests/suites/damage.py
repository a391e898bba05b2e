"""Damaged files, made from the schema of what they must hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from holdfast.suites.config import run_files
from pydantic import BaseModel, RootModel

WRONG: dict[str, Any] = {"null": None, "list": [], "number": 3, "text": "x", "object": {"a": 1}, "deep": [[[[]]]]}
DIGITS = b'{"status": ' + b"9" * 5000 + b"}"


def of_bytes(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """What is no JSON document of ours whatever the file is."""
    yield "empty", b""
    yield "cut", whole[: len(whole) // 2]
    yield "zeros", b"\0" * len(whole)
    yield "not UTF-8", whole.replace(b'"', b'"\xff\xfe', 1)
    yield "UTF-16", whole.decode().encode("utf-16")
    yield "half a character", b'{"status": "\\ud800"}'
    yield "nested", b"[" * 100_000
    yield "nested objects", b'{"a":' * 2000 + b"1" + b"}" * 2000
    yield "digits", DIGITS
    for name, value in WRONG.items():
        yield f"a {name}", json.dumps(value).encode()


def of_fields(document: dict[str, Any], kind: type[BaseModel]) -> Iterator[tuple[str, bytes]]:
    """``document`` with each field that the schema knows left out, or of another type."""
    if issubclass(kind, RootModel):
        yield from ((f"a value of {name}", json.dumps({**document, "x": value}).encode()) for name, value in _other())
        return
    for name, field in kind.model_fields.items():
        key = field.alias or name
        if field.is_required():
            yield f"{key} missing", json.dumps({k: v for k, v in document.items() if k != key}).encode()
        for what, value in WRONG.items():
            changed = {**document, key: value}
            if run_files.problem_of(changed, kind):
                yield f"{key} is {what}", json.dumps(changed).encode()


def _other() -> list[tuple[str, Any]]:
    return [(name, value) for name, value in WRONG.items() if name != "number"]


def of_file(path: Path) -> Iterator[tuple[str, bytes]]:
    """All damages of a file of ours, by its name."""
    whole = path.read_bytes()
    yield from of_bytes(whole)
    kind = run_files.Sidecar if path.parent.name == "checkpoint" else run_files.BY_NAME.get(path.name)
    if kind is not None:
        yield from of_fields(json.loads(whole), kind)


def of_kind(path: Path) -> Iterator[tuple[str, None]]:
    """Puts something that is no regular file in the place of ``path``, one after the other."""
    path.unlink()
    path.mkdir()
    yield "a folder", None
    path.rmdir()
    path.symlink_to(path.name)
    yield "a link to itself", None
    path.unlink()
    os.mkfifo(path)
    yield "a pipe", None
    path.unlink()
