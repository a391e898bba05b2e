"""Methods and data sets in files of the user's own: ``use: mine.py:Mine`` of a method, ``data.name: mine.py``.

A recipe's file names them relative to itself, inside its own folder: a recipe that came from elsewhere runs nothing
that did not come with it. On the command line (an override) a person may name any file. As soon as a recipe is read the
reference holds the whole path and the sha256 of the file, so that every process of a run (resumed, worker, trial) runs
the same text or refuses.
"""

from __future__ import annotations

import functools
import hashlib
import json
import linecache
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from .documents import parsed, suggestion
from .errors import Fault

_REFERENCE = re.compile(r"(?P<file>.+\.py)(?::(?P<name>[A-Za-z_][A-Za-z0-9_]*))?(?:#sha256=(?P<sha256>[0-9a-f]{64}))?")
_OVERRIDE = re.compile(r"(?P<path>methods\.[^.=]+(?:\.use)?|data\.name|data|methods)=(?P<value>.*)", re.DOTALL)
MOST = 1_000_000  # bytes of a file
NEXT = "put the file back as it was (each run keeps a copy in its folder code/), or start anew with: suites run FILE"


@dataclass(frozen=True)
class Reference:
    """A file, what of it is meant (a class; empty: the module), and its sha256 (empty: not pinned yet)."""

    file: str
    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.file}{f':{self.name}' * bool(self.name)}{f'#sha256={self.sha256}' * bool(self.sha256)}"


def reference(text: Any) -> Reference | None:
    """The reference that a value is; None for a name of the registry."""
    match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    return Reference(match["file"], match["name"] or "", match["sha256"] or "") if match else None


def short(text: str) -> str:
    """A reference for people: the file's name, the class, and the beginning of the hash. A name stays as it is."""
    given = reference(text)
    if given is None:
        return text
    name = f":{given.name}" if given.name else ""
    return f"{Path(given.file).name}{name}{f' ({given.sha256[:8]})' if given.sha256 else ''}"


def pin(text: str, folder: Path, outside: bool, where: str) -> str:
    """The reference with whole path and hash; a name stays as it is.

    ``outside``: the file may be absolute or lie outside ``folder``. Raises Fault where there is no such file.
    """
    given = reference(text)
    if given is None:
        return text
    path = folder / given.file
    inside = not Path(given.file).is_absolute() and path.resolve().is_relative_to(folder.resolve())
    if not (inside or outside):
        what = f"the recipe names code outside its own folder: {given.file}"
        next_step = f"put the file beside the recipe, or say so yourself: 'methods.NAME.use={given.file}...'"
        raise Fault.recipe(what, where, next_step)
    digest = hashlib.sha256(_bytes(path, where)).hexdigest()
    if given.sha256 and given.sha256 != digest:
        raise Fault.recipe(f"the file has changed: {path.name}", str(path), NEXT)
    return str(Reference(str(path.resolve()), given.name, digest))


def _bytes(path: Path, where: str) -> bytes:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise Fault.recipe(
            f"cannot read {path}: {error.strerror}", where, "name a Python file: mine.py:Mine"
        ) from error
    if len(text) > MOST:
        raise Fault.recipe(f"{path} is too large for a method: {len(text)} bytes", where, "name a Python file")
    return text


def pin_document(document: dict[str, Any], folder: Path | None, where: str) -> None:
    """Pin the references of a recipe as written, in its profiles too. ``folder`` None: the recipe lies in no folder of
    the user's (a package has entry points), and one is a Fault.
    """
    layers = [document, *(document.get("profiles") or {}).values()] if _is_mapping(document.get("profiles")) else []
    for layer in layers or [document]:
        if not _is_mapping(layer):
            continue
        entries = layer.get("methods")
        for entry in entries.values() if _is_mapping(entries) else ():
            _pin_field(entry, "use", folder, where)
        _pin_field(layer.get("data"), "name", folder, where)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _pin_field(entry: Any, field: str, folder: Path | None, where: str) -> None:
    if not isinstance(entry, dict) or reference(entry.get(field)) is None:
        return
    if folder is None:
        what, next_step = f"a suite of a package names a file: {entry[field]}", "a package brings code by entry points"
        raise Fault.recipe(what, where, next_step)
    entry[field] = pin(entry[field], folder, False, where)


def pin_override(text: str) -> str:
    """An override ``path=value`` with its references pinned, relative to the working folder; any other as it is."""
    match = _OVERRIDE.fullmatch(text)
    if match is None or ".py" not in match["value"]:
        return text
    try:
        value = parsed(match["value"])
    except yaml.YAMLError:
        return text  # the recipe's own check says what is wrong with it
    path, here = match["path"], Path()
    if isinstance(value, str) and path.endswith((".use", ".name")):
        return f"{path}={json.dumps(pin(value, here, True, path))}"
    field = "name" if path == "data" else "use"
    if isinstance(value, dict) and reference(value.get(field)) is not None:
        return f"{path}={json.dumps({**value, field: pin(value[field], here, True, path)})}"
    return text


def source_of(text: str) -> bytes:
    """The text of the file of a pinned reference. Raises Fault where it is not what it was."""
    given = reference(text)
    if given is None or not given.sha256:
        raise Fault.recipe(f"this is no file that a recipe named: {text}", "use", "use: mine.py:Mine")
    path = Path(given.file)
    try:
        source = path.read_bytes()
    except OSError as error:
        raise Fault.recipe(f"the file is gone: {error.strerror}", str(path), NEXT) from error
    if hashlib.sha256(source).hexdigest() != given.sha256:
        raise Fault.recipe(f"the file has changed since this recipe was read: {path.name}", str(path), NEXT)
    return source


@functools.lru_cache(maxsize=64)
def load(text: str) -> Any:
    """The class, or the module, that a pinned reference means. Raises Fault where the file is not what it was, or
    cannot be imported.
    """
    source, given = source_of(text), reference(text)
    assert given is not None
    path = Path(given.file)
    module = _module(path, source, given.sha256)
    if not given.name:
        return module
    if not hasattr(module, given.name):
        names = [name for name, value in vars(module).items() if isinstance(value, type)]
        what = f"{path.name} defines no '{given.name}'{suggestion(given.name, names)}"
        raise Fault.recipe(what, str(path), "use: FILE.py:CLASS")
    return getattr(module, given.name)


def _module(path: Path, source: bytes, sha256: str) -> ModuleType:
    """The module of the text that was hashed; nothing is read again, and nothing is written beside the file."""
    name = f"holdfast_scratch_{path.stem}_{sha256[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # a Config looks up its annotations there
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:  # the user's own fault must not look like ours
        del sys.modules[name]
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = f"{path.name} cannot be imported: {type(error).__name__}: {error}"
        raise Fault.recipe(what, f"{path}{line}", "correct the file") from error
    linecache.checkcache(str(path))
    return module
