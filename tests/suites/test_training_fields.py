"""``train.optimizer``, ``optimizer_options`` and ``schedule``: what a recipe may say, and the field that a message
names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from holdfast.methods.training.schedules import TorchSchedule
from holdfast.suites.config import catalog
from holdfast.suites.config.errors import Fault
from holdfast.suites.config.recipe import load, to_yaml
from holdfast.suites.runtime import build

from .process import CommandLine

SUITE = "supremix_tabular"


def resolved(*overrides: str) -> Any:
    recipe = catalog.recipe(SUITE, "smoke", overrides)
    catalog.resolve(recipe)
    return recipe


def test_optimizer_and_schedule_reach_the_loop() -> None:
    schedule = "train.schedule={name: StepLR, options: {step_size: 5}}"
    recipe = resolved("train.optimizer=SGD", "train.optimizer_options.momentum=0.9", schedule)
    settings = build.settings_of(recipe)
    assert settings.optimizer_arguments == {"lr": 0.001, "weight_decay": 0.0, "momentum": 0.9}
    assert settings.schedule == TorchSchedule("StepLR", {"step_size": 5})
    assert load(to_yaml(recipe), None, []) == recipe
    settings = build.settings_of(resolved())
    assert settings.optimizer_arguments == {"lr": 0.001, "weight_decay": 0.0, "betas": (0.9, 0.999), "eps": 1e-8}
    assert settings.schedule == "constant"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.optimizer=Adma", r"train\.optimizer: no such optimizer 'Adma'"),
        ("train.optimizer_options.momentum=0.9", r"train\.optimizer_options\.momentum: Adam has no such option"),
        ("train.optimizer_options=3", r"train\.optimizer_options: Input should be a valid dictionary"),
        ("train.schedule=cosin", r"train\.schedule: no such schedule - did you mean 'cosine'\?"),
        ("train.schedule={name: StepLR, option: {}}", r"schedule\.option: no such field - did you mean 'options'\?"),
        ("train.schedule={name: StepLR}", r"train\.schedule\.options: StepLR: .*step_size"),
        ("train.schedule={name: ReduceLROnPlateau}", r"train\.schedule\.name: ReduceLROnPlateau cannot be named"),
    ],
)
def test_a_wrong_field_is_named(override: str, message: str) -> None:
    with pytest.raises(Fault, match=message) as caught:
        resolved(override)
    assert caught.value.code == "recipe"


def test_a_scheduler_of_torch_has_its_own_warm_up() -> None:
    with pytest.raises(Fault, match="warmup_steps belongs to constant, cosine and multistep"):
        resolved("train.schedule={name: StepLR, options: {step_size: 5}}", "train.warmup_steps=3")


def test_a_run_with_lars_and_one_cycle_and_an_unknown_option(tmp_path: Path, cli: CommandLine) -> None:
    common = ["run", SUITE, "--profile", "smoke", "--method", "l1", "train.optimizer=LARS"]
    cli.here(*common, "train.schedule={name: OneCycleLR}", out=tmp_path)
    done = cli.here(*common, "train.optimizer_options={momentun: 0.5}", out=tmp_path, code=2)
    assert "train.optimizer_options.momentun: LARS has no such option" in done.stderr
