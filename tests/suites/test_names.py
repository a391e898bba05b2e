"""Names that become folders, and plans that somebody changed: nothing is written outside the folder asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from holdfast.suites.config import catalog, run_files
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.names import plain
from holdfast.suites.config.recipe import load
from holdfast.suites.runtime import folders, invocation
from holdfast.suites.runtime.console import Console
from holdfast.suites.runtime.plan import Invocation
from holdfast.suites.sweeps import studies, sweep

from .process import CommandLine

HOSTILE = [
    "../../../evil",
    "/abs/evil",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "C:\\evil",
    "C:evil",
    "con",
    "NUL.txt",
    "lpt1",
    "er\n",
    "er\x00",
    "\x1b[31mer",
    "er ",
    " er",
    "-er",
    ".er",
    "er.",
    "e..r",
    "ér",
    "e‮r",
    "x" * 101,
]
GOOD = ["er", "er_herding", "coconut-2", "L1", "v1.2", "0a", "console", "x" * 100]


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_text()
        if path.is_file()
        else "/"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious.txt").write_text("precious")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def test_plain_names() -> None:
    assert [name for name in HOSTILE if plain(name)] == []
    assert [name for name in GOOD if not plain(name)] == []
    assert not any(plain(other) for other in (None, 3, b"er", ["er"]))


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_method_may_not_be_called_so(name: str) -> None:
    document = yaml.safe_load(catalog.text("supremix_tabular"))
    document["methods"] = {name: {"use": "l1"}}
    document["defaults"] = [name]
    with pytest.raises(Fault, match="no name for a method") as caught:
        load(yaml.safe_dump(document), "smoke", [])
    assert caught.value.exit_code == 2
    assert all(c.isprintable() or c == "\n" for c in caught.value.what)


def test_the_command_writes_nothing_for_such_a_method(out: Path, outside: Path, cli: CommandLine) -> None:
    document = yaml.safe_load(catalog.text("supremix_tabular"))
    document["methods"] = {str(outside / "evil"): {"use": "l1"}, "../../outside/evil": {"use": "l1"}}
    document["defaults"] = list(document["methods"])
    (out / "evil.yaml").write_text(yaml.safe_dump(document))
    before = snapshot(out.parent)
    for verb in (
        ["validate", "./evil.yaml"],
        ["run", "./evil.yaml", "--profile", "smoke"],
        ["sweep", "./evil.yaml", "--profile", "smoke"],
    ):
        assert "no name for a method" in cli.here(*verb, out=out, code=2).stderr
    assert snapshot(out.parent) == before


@pytest.fixture
def begun(out: Path) -> Path:
    """An invocation that was never run, with a plan of one run."""
    recipe = catalog.recipe("supremix_tabular", "smoke", [])
    from holdfast.suites.config.recipe import to_yaml

    plan = {
        "schema": 1,
        "suite": recipe.name,
        "profile": "smoke",
        "recipe": to_yaml(recipe),
        "recipe_digest": "",
        "device": "cpu",
        "tracking_uri": f"sqlite:///{out}/mlflow.db",
        "git": folders.git_state(),
        "data": {"source": "stand-in", "checksum": ""},
        "runs": [{"method": "l1", "seed": 0, "folder": "l1-s0"}],
    }
    return folders.new_invocation(out, recipe.name, plan)


def change(begun: Path, **changes: Any) -> None:
    folders.write_json(begun / "invocation.json", {**run_files.read(begun / "invocation.json"), **changes})


@pytest.mark.parametrize("name", [*HOSTILE, None, 3], ids=ascii)
def test_an_invocation_whose_run_lies_elsewhere_is_refused(name: Any, begun: Path, out: Path, outside: Path) -> None:
    target = str(outside / "x") if name == "/abs/evil" else name
    change(begun, runs=[{"method": "l1", "seed": 0, "folder": target}])
    before = snapshot(out.parent)
    calls: list[Callable[[], Any]] = [
        lambda: invocation.resume(str(begun), out=out, console=Console(json=True)),
        lambda: folders.unfinished(begun),
        lambda: folders.find(str(begun), out),
        lambda: Invocation(begun).document(),
    ]
    for call in calls:
        with pytest.raises(Fault, match="no folder in it") as caught:
            call()
        assert caught.value.exit_code == 3
    assert [row["status"] for row in folders.list_runs(out)] == [folders.DAMAGED]
    assert snapshot(out.parent) == before


@pytest.mark.parametrize("document", [{"runs": "all"}, {"runs": [3]}, {}, [], "x"])
def test_a_damaged_plan_is_one_message(document: Any, begun: Path, out: Path) -> None:
    folders.write_json(begun / "invocation.json", document)
    with pytest.raises(Fault, match=r"invocation\.json is damaged"):
        folders.unfinished(begun)


@pytest.mark.parametrize("document", [[], {}, {"status": 3}, "x"])
def test_a_damaged_state_is_one_message(document: Any, begun: Path) -> None:
    (begun / "l1-s0").mkdir()
    folders.write_json(begun / "l1-s0" / "run.json", document)
    with pytest.raises(Fault, match=r"run\.json is damaged"):
        folders.status(begun / "l1-s0")


@pytest.mark.parametrize(
    "link",
    [
        "l1-s0",
        "l1-s0/log.txt",
        "l1-s0/journal.jsonl",
        "l1-s0/lock",
        "l1-s0/checkpoint",
        "l1-s0/plots",
        "plots",
        "l1-s0/plots/matrix.png",
    ],
)
def test_a_link_that_leads_out_is_not_written_through(
    link: str, begun: Path, out: Path, outside: Path, cli: CommandLine
) -> None:
    (begun / link).parent.mkdir(parents=True, exist_ok=True)
    file = Path(link).suffix != "" or Path(link).name == "lock"
    (begun / link).symlink_to(outside / "precious.txt" if file else outside)
    before = snapshot(out.parent)
    cli.here("resume", str(begun), out=out, code=3)
    assert snapshot(out.parent) == before


def test_a_lock_that_is_a_link_is_not_opened(begun: Path, outside: Path) -> None:
    (begun / "l1-s0").mkdir()
    (begun / "l1-s0" / "lock").symlink_to(outside / "precious.txt")
    with pytest.raises(Fault, match="symbolic link"), folders.locked(begun / "l1-s0"):
        pass
    assert (outside / "precious.txt").read_text() == "precious"


def test_sync_does_not_send_what_a_link_leads_to(begun: Path, out: Path, outside: Path, cli: CommandLine) -> None:
    run = begun / "l1-s0"
    (run / "plots").mkdir(parents=True)
    (run / "identity.json").write_text("{}")
    (run / "plots" / "matrix.png").symlink_to(outside / "precious.txt")
    assert "leads out of the folder" in cli.here("sync", str(begun), out=out, code=3).stderr


def study(out: Path, name: str = "tuned") -> studies.Study:
    recipe = catalog.recipe("supremix_tabular", "smoke", [])
    asked = studies.Search(methods=["l1"], trials=1, sampler="random", name=name)
    return studies.create(recipe, asked, device="cpu", out=out, tracking_uri=f"sqlite:///{out}/mlflow.db")


@pytest.mark.parametrize("name", [name for name in HOSTILE if name], ids=ascii)
def test_a_study_may_not_be_called_so(name: str, out: Path) -> None:
    before = snapshot(out.parent)
    with pytest.raises(Fault, match="no name for a study"):
        study(out, name)
    assert snapshot(out.parent) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "../../../outside/x"},
        {"study": "../x"},
        {"suite": "/x"},
        {"seed": "0/../../x"},
        {"seed": True},
        {"recipe": 3},
        {"schema": 2},
    ],
    ids=str,
)
def test_a_changed_study_is_refused(changes: dict[str, Any], out: Path) -> None:
    made = study(out)
    folders.write_json(made.folder / "study.json", {**made.plan, **changes})
    before = snapshot(out.parent)
    with pytest.raises(Fault, match="damaged"):
        studies.find("tuned", out)
    assert snapshot(out.parent) == before


@pytest.mark.parametrize("link", ["trials", "trials/0000", "best.yaml", "plots", "optuna.journal"])
def test_a_study_does_not_write_through_links(link: str, out: Path, outside: Path) -> None:
    made = study(out)
    if link == "trials":
        (made.folder / "trials").rmdir()
    (made.folder / link).symlink_to(outside / "precious.txt" if "." in link else outside)
    before = snapshot(out.parent)
    with pytest.raises(Fault, match="leads out of the folder"):
        sweep.drive(made, Console(json=True))
    assert snapshot(out.parent) == before


def test_a_link_that_stays_inside_is_none_of_our_business(begun: Path, out: Path) -> None:
    (begun / "first").symlink_to(begun / "l1-s0")
    from holdfast.suites.config.names import refuse_links

    refuse_links(begun)
    assert json.loads((begun / "invocation.json").read_text())["runs"]
