"""``suites new``: a file with its test from a template, which runs as it is written."""

from __future__ import annotations

import keyword
import re
import shlex
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from ..config import registry, sources
from ..config.documents import suggestion
from ..config.errors import Fault
from ..tracking.files import write_atomic

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
FILES = {  # kind -> file, by the name, and the template that it is made from
    "method": {"{}.py": "method.py", "{}.yaml": "method.yaml", "test_{}.py": "method_test.py"},
    "suite": {"{}.yaml": "suite.yaml", "test_{}.py": "suite_test.py"},
    "data": {"{}.py": "data.py", "{}.yaml": "data.yaml", "test_{}.py": "data_test.py"},
}


def new(kind: str, name: str, folder: str | Path = ".") -> dict[str, Any]:
    """Write a ``method``, a ``suite`` or a ``data`` set called ``name``, with its recipe and its test, to ``folder``
    (made where it is missing).

    Returns ``files``, and ``next``: commands that run what was written. Raises Fault, with nothing written, for a name
    that cannot be one or is one already, and where a file is there already.
    """
    if kind not in FILES:
        raise Fault.usage(f"there is no template for a '{kind}'{suggestion(kind, FILES)}", "new", "suites new --help")
    _check(kind, name)
    where = Path(folder)
    texts = {where / file.format(name): _text(template, name) for file, template in FILES[kind].items()}
    if there := [path for path in texts if path.exists() or path.is_symlink()]:
        next_step = "choose another name, or another folder with --dir FOLDER"
        raise Fault.usage("the file is there already", str(there[0]), next_step)
    try:
        where.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_atomic(path, text.encode())
    except OSError as error:
        raise Fault.usage(
            f"cannot write: {error.strerror}", str(where), "choose a folder that you may write"
        ) from error
    recipe, test = (shlex.quote(str(where / file.format(name))) for file in ("{}.yaml", "test_{}.py"))
    commands = [f"suites validate {recipe}", f"suites run {recipe} --profile smoke", f"pytest {test}"]
    return {"files": [str(path) for path in texts], "next": commands}


def _check(kind: str, name: str) -> None:
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name.startswith("test_"):
        what = f"no name for a {kind}: {name[:60]!a} (small letters, digits and _, a letter first, at most 50)"
        raise Fault.usage(what, "NAME", "choose another name, for example mine")
    known = {
        "method": {entry.name.rpartition("/")[2] for entry in registry.entries("methods")},
        "data": {entry.name.rpartition("/")[2] for entry in registry.entries("datasets")},
        "suite": set(),
    }
    if name in known[kind] or name in sources.stored():
        what = f"there is a suite or a {kind} called '{name}' already"
        raise Fault.usage(what, "NAME", f"choose another name, for example my_{name}"[:90])


def _text(template: str, name: str) -> str:
    """The template with the name, and the name of a class."""
    file = resources.files(f"{registry.PACKAGE}.suites") / "templates" / f"{template}.txt"
    words = "".join(part.capitalize() for part in name.split("_") if part)
    return Template(file.read_text(encoding="utf-8")).substitute(name=name, Class=words)
