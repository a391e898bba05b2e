"""``use: mine.py:Mine`` and ``data.name: mine.py``: code of the user's own in a recipe, its copy, and its refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from holdfast.suites import api
from holdfast.suites.config import catalog, registry, run_files, scratch
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import folders
from holdfast.suites.runtime.loading import TrainedRun

from .process import CommandLine

METHOD = """\
from __future__ import annotations

from typing import ClassVar

from holdfast.methods.base import MethodConfig
from holdfast.methods.continual.finetune import Finetune
from pydantic import Field


class MineConfig(MethodConfig):
    scale: float = Field(1.0, gt=0, le=10, description="weight of the loss")


class Mine(Finetune):
    Config: ClassVar[type[MineConfig]] = MineConfig
    name: ClassVar[str] = "mine"
    summary: ClassVar[str] = "fine-tuning, weighed"

    def training_step(self, batch, ctx):
        loss, logs = self._model.loss(self._model.augment(batch, ctx.augment))
        return {"loss": self.config.scale * loss, **logs}
"""
RECIPE = """\
schema: 2
extends: split_digits
name: mine
title: mine
methods: {mine: {use: "code/mine.py:Mine", scale: 0.5}}
defaults: [mine]
profiles: {smoke: {data: {experiences: 2, options: {n_train: 60, n_test: 20}}, train: {epochs: 1}}}
"""


@pytest.fixture
def recipe(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text(METHOD)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    return tmp_path / "mine.yaml"


def test_its_fields_are_checked_and_shown(recipe: Path, tmp_path: Path, cli: CommandLine) -> None:
    assert [row["valid"] for row in api.validate(str(recipe))] == [True] * 4
    shown = api.show(str(recipe), "smoke").document()["method_fields"]["mine"]
    assert shown["summary"] == "fine-tuning, weighed"
    assert shown["fields"]["scale"]["value"] == 0.5
    assert shown["fields"]["scale"]["range"] == ">0, ≤10"
    screen = cli.here("show", str(recipe), "--all", out=tmp_path).stdout
    assert "weight of the loss" in screen
    assert "mine.py:Mine" in screen
    recipe.write_text(RECIPE.replace("scale: 0.5", "scle: 0.5"))
    with pytest.raises(Fault, match=r"methods\.mine\.scle: no such field - did you mean 'scale'"):
        api.validate(str(recipe))
    with pytest.raises(Fault, match="less than or equal to 10"):
        api.load_recipe(str(recipe), overrides={"methods.mine.scale": 11, "methods.mine.scle": 1})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class Other: ...", "defines no 'Mine' .there are: Other"),
        ("class Mine: ...", "is no class of holdfast.methods.base.Method"),
        ("def (", "cannot be imported: SyntaxError"),
        ("import absent_package", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_code_that_is_no_method(code: str, message: str, recipe: Path) -> None:
    (recipe.parent / "code" / "mine.py").write_text(code)
    with pytest.raises(Fault, match=message) as raised:
        api.validate(str(recipe))
    assert raised.value.exit_code == 2


def test_code_outside_the_recipes_folder_is_named_by_the_person_alone(recipe: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(recipe, elsewhere / "mine.yaml")
    target = elsewhere / "mine.yaml"
    with pytest.raises(Fault, match="cannot read"):
        api.validate(str(target))
    for use in ("../code/mine.py:Mine", f"{tmp_path}/code/mine.py:Mine"):
        target.write_text(RECIPE.replace("code/mine.py:Mine", use))
        with pytest.raises(Fault, match="outside its own folder"):
            api.validate(str(target))
    (elsewhere / "code").mkdir()
    (elsewhere / "code" / "mine.py").symlink_to(tmp_path / "code" / "mine.py")
    target.write_text(RECIPE)
    with pytest.raises(Fault, match="outside its own folder"):
        api.validate(str(target))
    given = {"methods.er": {"use": f"{tmp_path}/code/mine.py:Mine", "scale": 2.0}}
    assert registry.kind_of(api.load_recipe("split_digits", "demo", given), "er").name == "mine"
    with pytest.raises(Fault, match="a suite of a package names a file"):
        scratch.pin_document({"methods": {"mine": {"use": "mine.py:Mine"}}}, None, "theirs")


def test_a_run_keeps_the_code_and_goes_on_with_no_other(recipe: Path, tmp_path: Path, cli: CommandLine) -> None:
    code = recipe.parent / "code" / "mine.py"
    options = ["--profile", "smoke", "--method", "mine", "--device", "cpu", "--seeds", "2"]
    cli("run", str(recipe), *options, out=tmp_path, kill_at="iteration:3", code=None)
    (invocation,) = folders.invocations(tmp_path)
    state = run_files.read(invocation / "mine-s0" / "run.json")
    assert state["code"]["method"] == {"path": str(code), "name": "Mine", "sha256": _hash(METHOD)}
    assert (invocation / "mine-s0" / "code" / "mine.py").read_text() == METHOD
    code.write_text(METHOD.replace("self.config.scale *", "2 * self.config.scale *"))
    done = cli("resume", "last", out=tmp_path, code=2)
    assert "the file has changed since this recipe was read: mine.py" in done.stderr
    assert f"where: {code}" in done.stderr
    code.unlink()
    assert "the file is gone" in cli("resume", "last", out=tmp_path, code=2).stderr
    code.write_text(METHOD)
    document = cli("resume", "last", "--json", out=tmp_path).document
    assert {run["status"] for run in document["runs"]} == {"finished"}
    code.write_text("raise RuntimeError")
    folder = Path(document["runs"][1]["folder"])
    trained = TrainedRun(folder)
    assert trained.method.name == "mine", "from the copy in the run's folder"
    assert len(list(trained.documents(split="test"))) == 20
    comparison = cli.here("compare", "last", "--json", out=tmp_path).document
    assert [row["method"] for row in comparison["tasks"][0]["methods"]] == ["mine"]
    again = api.load_recipe(str(folder / "recipe.yaml"))
    assert registry.kind_of(again, "mine").summary == "fine-tuning, weighed", "and it can be run from there"
    cli.here("runs", "remove", str(invocation), "--yes", out=tmp_path)
    assert not invocation.exists()


def _hash(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.slow
def test_the_workers_of_a_study_import_it_in_processes_of_their_own(
    recipe: Path, tmp_path: Path, cli: CommandLine
) -> None:
    options = ["--profile", "smoke", "--method", "mine", "--device", "cpu"]
    sweep = ["--trials", "2", "--workers", "2", "--sampler", "random", "--json"]
    study = cli("sweep", str(recipe), *options, *sweep, out=tmp_path).document
    assert [trial["state"] for trial in study["trials"]] == ["complete", "complete"]
    for trial in folders.invocations(tmp_path):
        assert (trial / "mine-s0" / "code" / "mine.py").read_text() == METHOD
        assert json.loads((trial / "mine-s0" / "run.json").read_text())["code"]["method"]["name"] == "Mine"


def test_a_data_set_in_a_file(recipe: Path) -> None:
    (recipe.parent / "digits.py").write_text("from holdfast.datasets.continual.digits import Config, load\n")
    recipe.write_text(RECIPE + "data: {name: digits.py}\n")
    loaded = api.load_recipe(str(recipe), "smoke")
    assert scratch.short(loaded.data.name).startswith("digits.py (")
    assert len(api.prepare_data(str(recipe), "smoke").splits["train"]) == 60
    (recipe.parent / "digits.py").write_text("Config = 1\n")
    with pytest.raises(Fault, match="defines no load"):
        catalog.resolve(catalog.recipe(str(recipe), "smoke"))
