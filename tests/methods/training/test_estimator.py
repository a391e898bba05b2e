"""The trainer of methods without steps: does what the loop does with them, saves what was fitted, refuses epochs."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from holdfast.datasets.core.streams import range_incremental
from holdfast.datasets.core.view import ExperienceView
from holdfast.datasets.supremix import tabular
from holdfast.methods.base import Fitted, MethodConfig, Stage
from holdfast.methods.networks import regression
from holdfast.methods.supremix.ridge import Ridge
from holdfast.methods.training.estimator import Estimator
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from holdfast.methods.training.trainer import Trainer, trainer_of
from torch import Tensor, nn

from .families import Recorder, assert_same

SOURCE = tabular.load(tabular.Config(n_train=30, n_test=10, noise=0.0), None)


def ridge() -> Ridge:
    return Ridge(Ridge.Config(), regression.build(regression.Config(hidden=4), SOURCE.info, 0), 0)


def stream() -> list[Any]:
    return list(range_incremental(SOURCE, 2, "alphabetical").streams["train"])


def test_it_fits_what_the_loop_fits() -> None:
    mine = trainer_of(ridge(), settings=TrainingSettings())
    loop = MethodStrategy(method=ridge(), settings=TrainingSettings())
    assert isinstance(mine, Estimator)
    assert isinstance(mine, Trainer)
    assert isinstance(loop, Trainer)
    for one, other in zip(stream(), stream(), strict=True):
        mine.train(one)
        loop.train(other)
        assert_same(mine.method.get_extra_state(), loop.method.get_extra_state())
    assert mine.planned_steps(stream()[0]) == mine.iteration == 0
    assert mine.course() == [("fit", 0)]


def test_its_state_goes_round() -> None:
    first, file = trainer_of(ridge(), settings=TrainingSettings()), io.BytesIO()
    first.train(stream()[0])
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = trainer_of(ridge(), settings=TrainingSettings())
    second.load_state_dict(torch.load(file, weights_only=True))
    batch = SOURCE.splits["test"].gather(torch.arange(10))
    assert_same(first.predict(batch), second.predict(batch))
    rows = [b["index"] for b in second.evaluation_batches(SOURCE.splits["test"], torch.arange(10))]
    assert torch.equal(torch.cat(rows), torch.arange(10))


class Decodes(Fitted):
    """Nothing to fit: the answer is the row's own first number."""

    summary = "decodes"

    def predict(self, batch: Any) -> dict[str, Tensor]:
        return {"value": batch["x"][:, 0]}


class Impatient(Decodes):
    def stages(self, view: ExperienceView) -> list[Stage]:
        return [Stage("train", epochs=1)]


def test_a_method_that_only_predicts_needs_nothing_else() -> None:
    heard: list[str] = []

    class Watch(Recorder):
        def after_stage(self, trainer: Any, stage: Stage) -> None:
            heard.append(stage.name)

    driver = trainer_of(Decodes(MethodConfig(), nn.Identity()), settings=TrainingSettings(), observer=Watch())
    for experience in stream():
        driver.train(experience)
    assert heard == ["fit", "fit"]
    batch = SOURCE.splits["test"].gather(torch.arange(3))
    assert torch.equal(driver.predict(batch)["value"], batch["x"][:, 0])
    assert driver.state_dict() is not None


def test_epochs_are_refused() -> None:
    with pytest.raises(ValueError, match="'train' of Impatient has epochs"):
        trainer_of(Impatient(MethodConfig(), nn.Identity()), settings=TrainingSettings()).train(stream()[0])
