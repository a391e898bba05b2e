"""Every public loss function is found by its name in the package, whatever was imported before."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from holdfast.methods import losses

FOLDER = Path(losses.__file__).parent
SHARED = "numerics"  # what the losses share is no loss


def public_functions(source: str) -> list[str]:
    """Names of the functions of a file that do not begin with an underscore."""
    return [n.name for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]


def by_file() -> dict[str, list[str]]:
    files = sorted(path for path in FOLDER.glob("*.py") if path.stem not in ("__init__", SHARED))
    return {path.stem: public_functions(path.read_text(encoding="utf-8")) for path in files}


def duplicates(files: dict[str, list[str]]) -> list[str]:
    """Names that two files define."""
    names = [name for functions in files.values() for name in functions]
    return sorted({name for name in names if names.count(name) > 1})


def test_the_package_names_every_public_function_of_every_file() -> None:
    assert {file: sorted(names) for file, names in losses.FILES.items()} == {
        file: sorted(names) for file, names in by_file().items()
    }


def test_no_name_is_defined_in_two_files() -> None:
    assert duplicates(by_file()) == []
    assert duplicates({"a": ["nspt", "x"], "b": ["nspt"]}) == ["nspt"]


def test_the_types_are_those_of_the_table() -> None:
    """What mypy sees (the imports under TYPE_CHECKING) is what runs."""
    tree = ast.parse((FOLDER / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        (node.module, name.asname) for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names
    }
    assert seen == {(file, name) for file, names in losses.FILES.items() for name in names}


@pytest.mark.parametrize("name", losses.__all__)
def test_each_name_is_its_function(name: str) -> None:
    module = importlib.import_module(f"holdfast.methods.losses.{losses.WHERE[name]}")
    assert getattr(losses, name) is getattr(module, name)
    assert name in dir(losses)


@pytest.mark.parametrize("name", losses.__all__)
def test_each_docstring_names_its_source_or_is_one_line(name: str) -> None:
    text = getattr(losses, name).__doc__ or ""
    assert "Source: " in text or "docs/losses.md" in text or len(text.splitlines()) == 1, name
    assert "spec section" not in text


ORDERS = [
    "from {p} import nspt",
    "import {p}.nspt\nfrom {p} import nspt",
    "from {p}.nspt import nspt as first\nfrom {p} import nspt\nassert nspt is first",
    "from {p} import nspt as first\nimport {p}.nspt\nfrom {p} import nspt\nassert nspt is first",
    "import importlib\nimportlib.import_module('{p}.nspt')\nimport {p} as losses\nnspt = losses.nspt",
    "import holdfast.methods.coconut.coconut\nfrom {p} import nspt",
    "from {p} import *",
]


FORKS = """
import os, sys
import torch
assert "holdfast.methods.losses" not in sys.modules
for order in sys.argv[1:]:
    child = os.fork()
    if not child:
        names = {}
        exec(order, names)
        assert type(names["nspt"]).__name__ == "function", names["nspt"]
        sys.stderr.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("wrong after: " + order)
"""


def test_a_fresh_interpreter_gets_the_function_in_any_order_of_imports() -> None:
    """Each order in a fork of an interpreter that has imported torch alone."""
    orders = [order.format(p="holdfast.methods.losses") for order in ORDERS]
    done = subprocess.run([sys.executable, "-c", FORKS, *orders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_alone_imports_no_torch() -> None:
    code = "import sys, holdfast.methods.losses as losses; dir(losses); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_file_of_another_name_stays_a_module_and_an_unknown_name_an_error() -> None:
    from holdfast.methods.losses import label_density

    assert label_density.kernel is losses.kernel
    with pytest.raises(AttributeError, match="no_such_loss"):
        losses.no_such_loss  # noqa: B018
