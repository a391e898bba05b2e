"""The registry: what is found by path, what names mean, and two things of one name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from holdfast.methods.continual.finetune import Finetune
from holdfast.suites.config import catalog, registry, sources
from holdfast.suites.config.errors import Fault

ROOT = Path(__file__).parents[3]


class Point:
    """An installed package's entry point."""

    def __init__(self, name: str, value: Any, package: str = "their-package") -> None:
        self.name, self.given, self.value = name, value, "package:thing"
        self.dist = type("Dist", (), {"name": package})()

    def load(self) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[Point]]]:
    """Entry points by group, as if packages were installed; fill it before the first look-up."""
    points: dict[str, list[Point]] = {}
    monkeypatch.setattr(metadata, "entry_points", lambda group: points.get(group, []))
    registry.method.cache_clear()
    yield points
    registry.method.cache_clear()


def test_everything_is_found_by_its_path() -> None:
    for kind, folder, marker in (("methods", "methods", "METHOD"), ("datasets", "datasets", "def load(")):
        by_path = {
            f"{path.parent.name}/{path.stem}"
            for path in (ROOT / folder).glob("*/*.py")
            if f"\n{marker}" in path.read_text() and path.parent.name not in ("core", "spoken", "readers", "training")
        }
        assert {entry.name for entry in registry.entries(kind)} == by_path != set()  # type: ignore[arg-type]
    for entry in registry.entries("methods"):
        assert registry.method(entry.name).name == entry.name.rpartition("/")[2], "a class and its file have one name"


def test_only_what_a_recipe_names_is_imported() -> None:
    code = (
        "import sys; from holdfast.suites.config import registry\n"
        "assert len(registry.entries('methods')) > 30 and 'torch' not in sys.modules\n"
        "registry.method('er', 'coconut')\n"
        "print(*sorted(m for m in sys.modules if m.startswith('holdfast.methods.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()) >= {"holdfast.methods.continual.er", "holdfast.methods.base"}
    assert not [name for name in done.stdout.split() if ".coconut" in name or ".cdvg" in name or ".supremix" in name]


def test_a_stem_means_the_recipes_family_or_the_shared_one() -> None:
    assert registry.find("methods", "supcon", "supremix").name == "supremix/supcon"
    assert registry.find("methods", "er", "cdvg").name == "continual/er"
    assert registry.find("methods", "supremix/supcon", "cdvg").name == "supremix/supcon"
    with pytest.raises(Fault, match=r"unknown method 'supcon' \(there is supremix/supcon\)"):
        registry.find("methods", "supcon", "cdvg")
    with pytest.raises(Fault, match="unknown method 'supocn' - did you mean 'supcon'") as caught:
        registry.find("methods", "supocn", "supremix")
    assert caught.value.next == "suites list methods"


@pytest.mark.parametrize("name", ["supremix/supcon", "supcon", "continual/supcon"])
def test_two_of_one_name_are_an_error_that_names_both(name: str, installed: dict[str, list[Point]]) -> None:
    installed["holdfast.methods"] = [Point(name, object)]
    with pytest.raises(Fault, match="two methods are called 'supcon'") as caught:
        registry.method("supcon", "supremix")
    assert "supremix/supcon of holdfast" in caught.value.what
    assert f"{name} of their-package" in caught.value.what
    assert registry.method("rnc", "supremix").name == "rnc", "others are not touched"


def test_a_third_partys_things_are_found(installed: dict[str, list[Point]]) -> None:
    theirs = type("Theirs", (Finetune,), {"name": "theirs"})
    installed["holdfast.methods"] = [Point("theirs", theirs), Point("visual/other", theirs)]
    assert registry.method("theirs", "coconut") is registry.method("other", "visual") is theirs


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("methods", ImportError("no module named theirs"), "cannot be imported .*no module named theirs"),
        ("methods", object(), "defines no METHOD"),
        ("methods", int, "no class of holdfast.methods.base.Method"),
        ("datasets", object(), "defines no Config, load"),
        ("networks", object(), "defines no Config, build"),
        ("problems", object(), "defines no PROBLEM"),
    ],
)
def test_a_broken_one_is_said_when_it_is_named(
    kind: registry.Kind, given: Any, message: str, installed: dict[str, list[Point]]
) -> None:
    installed[f"holdfast.{kind}"] = [Point("theirs", given)]
    look_up = {
        "methods": lambda: registry.method("theirs", "coconut"),
        "datasets": lambda: registry.dataset("theirs", "coconut"),
        "networks": lambda: registry.network("theirs"),
        "problems": lambda: registry.problem("theirs"),
    }
    with pytest.raises(Fault, match=message) as caught:
        look_up[kind]()
    assert caught.value.exit_code == 2
    catalog.resolve(catalog.recipe("coconut_slurp", "smoke"))  # and nobody else minds


def test_a_third_partys_suite_replaces_no_built_in_one(installed: dict[str, list[Point]]) -> None:
    text = "schema: 2\nextends: coconut_slurp\nname: coconut_slurp\n"
    installed["holdfast.suites"] = [
        Point("coconut_slurp", text),
        Point("theirs", text.replace("name: coconut", "name: their")),
    ]
    with pytest.warns(
        UserWarning,
        match="two suites are called 'coconut_slurp': that of their-package is left out beside that of holdfast",
    ):
        known = sources.stored()
    assert known["coconut_slurp"].origin == "holdfast"
    assert known["theirs"].origin == "their-package"
