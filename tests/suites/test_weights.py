"""Transfer by the command line: which run's weights are taken, what stays new, what a resume needs, refusals."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.methods.base import FrozenReference
from holdfast.suites.config.errors import Fault
from holdfast.suites.runtime import warm_start as weights
from holdfast.suites.tracking.journal import comparable
from torch import nn

from .process import CommandLine

SOURCE = ["run", "supremix_imdb_wiki", "--profile", "smoke", "--json", "--method", "l1", "--method", "supremix"]
TARGET = ["run", "supremix_agedb", "--profile", "smoke", "--json", "--method", "supremix", "methods.supremix.epochs=0"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def source(out: Path, cli: CommandLine) -> Path:
    """An invocation of two methods and two seeds."""
    return Path(cli.here(*SOURCE, "--seeds", "2", out=out).document["out"])


def state_of(run: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The method's state in the run's newest checkpoint, and the checkpoint's sha256."""
    path = max((run / "checkpoint").glob("*.pt"), key=lambda p: int(p.stem))
    state = torch.load(path, weights_only=True)["strategy"]["method"]
    return state, hashlib.sha256(path.read_bytes()).hexdigest()


def part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if name.startswith(prefix)}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_probe_on_the_encoder_of_another_run(out: Path, source: Path, cli: CommandLine) -> None:
    document = cli.here(*TARGET, "--seeds", "2", f"model.weights={source.name}", out=out).document
    fresh = cli.here(*TARGET, "--seeds", "1", out=out).document["runs"][0]
    for run in document["runs"]:
        folder = Path(run["folder"])
        other = source / f"supremix-s{run['seed']}"
        (mine, _), (theirs, digest) = state_of(folder), state_of(other)
        assert equal(part(mine, "model.encoder."), part(theirs, "model.encoder."))
        assert equal(part(mine, "model.projector."), part(theirs, "model.projector."))
        assert not torch.equal(mine["head.weight"], theirs["head.weight"])
        assert not torch.equal(mine["center"], theirs["center"])  # of the target's labels
        assert run["metrics"]["cost/steps"] == 2 * 8  # the probe's two epochs and nothing before them
        known = json.loads((folder / "environment.json").read_text())["weights"]
        assert known == json.loads((folder / "run.json").read_text())["weights"]
        assert known["sha256"] == digest
        assert known["run"] == json.loads((other / "run.json").read_text())["uid"]
        assert (known["suite"], known["method"], known["seed"]) == ("supremix_imdb_wiki", "supremix", run["seed"])
    assert fresh["metrics"]["mae/last"] != document["runs"][0]["metrics"]["mae/last"]
    assert "weights" not in json.loads((Path(fresh["folder"]) / "environment.json").read_text())


def test_another_projector_stays_new_and_any_run_may_be_named(out: Path, source: Path, cli: CommandLine) -> None:
    named = f"model.weights={source / 'l1-s1'}"
    run = cli.here(*TARGET, named, "model.options.projection=4", "methods.supremix.second=finetune", out=out).document[
        "runs"
    ][0]
    (mine, _), (theirs, _) = state_of(Path(run["folder"])), state_of(source / "l1-s1")
    assert mine["model.projector.2.weight"].shape != theirs["model.projector.2.weight"].shape
    # its first layer would fit, but a projector is taken whole
    assert not torch.equal(mine["model.projector.0.weight"], theirs["model.projector.0.weight"])
    assert not equal(part(mine, "model.encoder."), part(theirs, "model.encoder."))  # fine-tuned


def test_a_killed_run_takes_its_weights_once(out: Path, source: Path, tmp_path: Path, cli: CommandLine) -> None:
    """The source may be gone when the run is resumed."""
    moved = tmp_path / "source"
    shutil.copytree(source / "supremix-s0", moved / "supremix-s0")
    plan = json.loads((source / "invocation.json").read_text())
    plan["runs"] = [run for run in plan["runs"] if run["folder"] == "supremix-s0"]
    (moved / "invocation.json").write_text(json.dumps(plan))
    arguments = [*TARGET, f"model.weights={moved}", "methods.supremix.epochs=1"]
    whole = cli.here(*arguments, out=out).document["runs"][0]
    cli(*arguments, out=out, kill_at="iteration:5", code=-9)
    shutil.rmtree(moved)
    again = cli.here("resume", "last", "--json", out=out).document["runs"][0]
    assert comparable(Path(again["folder"]) / "journal.jsonl") == comparable(Path(whole["folder"]) / "journal.jsonl")
    first, second = (json.loads((Path(run["folder"]) / "environment.json").read_text()) for run in (whole, again))
    assert first["weights"] == second["weights"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["model.weights=SOURCE", "model.options.width=8"], "recipe", "5 of the weights do not fit this model:"),
        (
            ["model.weights=SOURCE", "model.options.width=8"],
            "recipe",
            "encoder.0.weight: [4, 1, 3, 3] in the run, [8, 1, 3, 3] here",
        ),
        (["model.weights=SOURCE", "model.options.levels=3"], "recipe", "encoder.6.weight: not in the run"),
        (["model.weights=SOURCE", "model.options.encoder=mlp"], "recipe", "encoder.0.weight: not in this model"),
        (
            ["model.weights=SOURCE", "--seed", "7"],
            "usage",
            "holds 4 runs (l1-s0, supremix-s0, l1-s1, supremix-s1), none of method supremix and seed 7",
        ),
        (["model.weights=nowhere"], "usage", "'nowhere' is no invocation and no run"),
        (["model.weights=SOURCE", "--dry-run", "model.options.width=8"], "recipe", "do not fit this model"),
    ],
)
def test_weights_that_cannot_be_taken_are_one_message(
    out: Path, source: Path, arguments: list[str], code: str, message: str, cli: CommandLine
) -> None:
    before = sorted(path.name for path in out.iterdir())
    given = [argument.replace("SOURCE", str(source)) for argument in arguments]
    error = cli.here(*TARGET, *given, out=out, code=2).document["error"]
    assert error["code"] == code
    assert message in error["what"]
    assert sorted(path.name for path in out.iterdir()) == before


def test_an_unfinished_damaged_or_changed_run_gives_no_weights(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "copy")
    folder = tmp_path / "copy" / "supremix-s0"
    recipe = weights.located(cli_recipe(str(folder)), tmp_path)
    known = weights.facts(recipe, "supremix", 0)
    run = tmp_path / "run"
    run.mkdir()
    changed = {**known["weights"], "sha256": "0" * 64}
    (run / "run.json").write_text(json.dumps({"status": "running", "weights": changed}))
    with pytest.raises(Fault, match="have changed since it was begun"):
        weights.take(run, torch.nn.Linear(2, 2))
    state = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**state, "status": "interrupted"}))
    with pytest.raises(Fault, match="the run is interrupted: weights are taken from finished runs"):
        weights.facts(recipe, "supremix", 0)
    (folder / "run.json").write_text(json.dumps(state))
    for path in (folder / "checkpoint").glob("*.pt"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Fault, match="there is no whole checkpoint; checkpoint"):
        weights.facts(recipe, "supremix", 0)


def cli_recipe(folder: str) -> Any:
    from holdfast.suites.config import catalog

    return catalog.recipe("supremix_agedb", "smoke", [f"model.weights={folder}"])


def test_a_sweep_over_fractions_of_the_data_starts_each_trial_from_the_weights(
    out: Path, source: Path, cli: CommandLine
) -> None:
    choices = "sweep.params={data.options.fraction: {choices: [0.25, 1.0]}}"
    command = ["sweep", "supremix_agedb", "--profile", "smoke", "--method", "supremix", "--sampler", "grid", "--json"]
    changes = [choices, "methods.supremix.epochs=0", f"model.weights={source.name}"]
    cli.here(*command, "--study", "few", *changes, out=out)
    trials = sorted((out / "study-few" / "trials").glob("*/invocation.json"))
    assert len(trials) == 2
    checksums, steps = set(), {}
    for path in trials:
        plan = json.loads(path.read_text())
        folder = path.parent / plan["runs"][0]["folder"]
        known = json.loads((folder / "environment.json").read_text())
        assert known["weights"]["folder"] == str(source / "supremix-s0")
        assert known["data"]["checksum"] == plan["data"]["checksum"]  # of the trial's own rows
        checksums.add(plan["data"]["checksum"])
        steps[plan["trial"]["params"]["data.options.fraction"]] = json.loads((folder / "summary.json").read_text())[
            "cost/steps"
        ]
    assert len(checksums) == 2
    assert steps == {0.25: 2 * 2, 1.0: 2 * 8}


def test_a_frozen_network_that_is_kept_by_reference_is_taken_along() -> None:
    """Its state is no tensor: comparing shapes ended in an AttributeError."""
    model = nn.ModuleDict({"head": nn.Linear(2, 1), "frozen": FrozenReference(nn.Linear(2, 2), "net")})
    state = model.state_dict()
    assert weights.fitting(model, state, Path("run")) == state
    model.load_state_dict({**model.state_dict(), **state})
    with pytest.raises(Fault, match=r"head.weight: \[1, 3\] in the run, \[1, 2\] here"):
        weights.fitting(model, {**state, "head.weight": torch.zeros(1, 3)}, Path("run"))
