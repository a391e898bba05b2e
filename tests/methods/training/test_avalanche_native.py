"""Avalanche's strategies under our trainer: resumed by experience to the bit, answered as they answer themselves,
checked against plain torch, and read from no other installation's pickle.
"""

from __future__ import annotations

import inspect
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avalanche import training
from avalanche.core import SupervisedPlugin
from avalanche.training.templates import SupervisedTemplate
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.streams import class_incremental
from holdfast.methods.base import UnfitError
from holdfast.methods.continual.avalanche import Avalanche
from holdfast.methods.continual.er import ER
from holdfast.methods.training import avalanche_names, sealed
from holdfast.methods.training.avalanche_native import AvalancheNative
from holdfast.methods.training.seeding import seed_everything
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.trainer import Trainer, trainer_of
from torch.nn import functional as F

from ..continual.miniature import INFO, context, made, table, view
from .families import Recorder, assert_same

ARGUMENTS: dict[str, dict[str, Any]] = {
    "Naive": {},
    "Replay": {"mem_size": 8},
    "EWC": {"ewc_lambda": 10.0},
    "LwF": {"alpha": 1.0, "temperature": 2.0},
    "SynapticIntelligence": {"si_lambda": 1.0},
    "GDumb": {"mem_size": 8},
    "DER": {"mem_size": 8, "batch_size_mem": 4},
    "GEM": {"patterns_per_exp": 4, "memory_strength": 0.5},
    "AGEM": {"patterns_per_exp": 4, "sample_size": 4},
    "ER_ACE": {"mem_size": 8, "batch_size_mem": 4},
    "MIR": {"mem_size": 8, "batch_size_mem": 2, "subsample": 4},
    "BiC": {"mem_size": 30, "stage_2_epochs": 2, "val_percentage": 0.3},
    "ICaRL": {"memory_size": 8, "fixed_memory": True},
    "Cumulative": {},
    "CWRStar": {"cwr_layer_name": None},
    "LFL": {"lambda_e": 0.1},
    "MAS": {},
    "FromScratchTraining": {},
    "MER": {"mem_size": 8, "batch_size_mem": 4},
}
QUICK = ("Replay", "GDumb", "AGEM", "MIR", "BiC", "ICaRL")  # each is saved in a way of its own
EACH = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in ARGUMENTS]


class Cut(Recorder):
    """Stops as if killed after iteration ``stop_at``; nothing is saved within an experience."""

    def after_iteration(self, trainer: Trainer) -> None:
        if trainer.iteration == self.stop_at:
            raise KeyboardInterrupt


def trainer(name: str, watch: Any = None, **settings: Any) -> AvalancheNative:
    seed_everything(0)
    method = made(Avalanche, strategy=name, arguments=ARGUMENTS[name])
    given = {"epochs": 2, "batch_size": 8, "log_every": 1, "optimizer": "SGD", "optimizer_arguments": {"lr": 0.1}}
    driver = trainer_of(method, settings=TrainingSettings(**{**given, **settings}), observer=watch or Recorder())
    assert isinstance(driver, AvalancheNative)
    return driver


def stream() -> list[Any]:
    source = Source({"train": table()}, [f"c{k}" for k in range(4)], INFO, "stand-in", "0")
    return list(class_incremental(source, 2, "alphabetical").streams["train"])


def saved(driver: AvalancheNative) -> dict[str, Any]:
    """Its state as a checkpoint holds it."""
    file = io.BytesIO()
    torch.save(driver.state_dict(), file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


@pytest.mark.parametrize("name", EACH)
def test_an_experience_that_was_cut_off_is_repeated_and_ends_in_the_same_numbers(name: str) -> None:
    whole, first, second = Recorder(), Cut(), Recorder()
    undisturbed, experiences = trainer(name, whole), stream()
    for experience in experiences:
        undisturbed.train(experience)
    stopped, experiences = trainer(name, first), stream()
    stopped.train(experiences[0])
    state, lines = saved(stopped), list(first.lines)
    first.stop_at = stopped.iteration + 1
    with pytest.raises(KeyboardInterrupt):
        stopped.train(experiences[1])
    resumed, experiences = trainer(name, second), stream()
    torch.manual_seed(7)  # another process has other generators
    np.random.seed(7)
    random.seed(7)
    resumed.load_state_dict(state)
    resumed.train(experiences[1])
    assert lines + second.lines == whole.lines
    assert_same(resumed.method.state_dict(), undisturbed.method.state_dict())
    batch = table().gather(torch.arange(32))
    assert_same(resumed.method.eval().predict(batch), undisturbed.method.eval().predict(batch))
    _answers_as_the_strategy_itself(undisturbed)
    loaded = made(Avalanche, strategy=name, arguments=ARGUMENTS[name])
    loaded.load_state_dict(saved(undisturbed)["method"])  # all that a trained run needs: nothing is unpickled
    assert_same(loaded.eval().predict(batch), undisturbed.method.predict(batch))


def _answers_as_the_strategy_itself(driver: AvalancheNative) -> None:
    """Avalanche's own evaluation step, its plugins included."""
    strategy, batch = driver.strategy, table().gather(torch.arange(32))
    strategy.model.eval()
    strategy.experience = driver.benchmark.train_stream[0]
    model: Any = driver.method.model
    strategy.mbatch = [model.pixels(batch), batch["label"], torch.zeros(32, dtype=torch.int64)]
    with torch.no_grad():
        strategy._before_eval_forward()
        strategy.mb_output = strategy.forward()
        strategy._after_eval_forward()
        scores = driver.method.eval().predict(batch)["scores"]
    theirs = strategy.mb_output.isfinite().all(1)  # of features that are all 0 NCM divides by 0
    assert int(theirs.sum()) > 8
    near = 5e-3 if driver.method.kept.get("means") is not None else 1e-5  # a root near 0 amplifies rounding
    assert torch.allclose(strategy.mb_output[theirs], scores[theirs], atol=near)
    assert torch.equal(strategy.mb_output[theirs].argmax(1), scores[theirs].argmax(1))


class Batches(SupervisedPlugin):
    """Keeps the rows of every batch, found again by their pixels, and the loss of the step."""

    supports_distributed = False

    def __init__(self) -> None:
        super().__init__()
        images: Any = table().columns["image"]
        self.row = {(image.float() / 127.5 - 1).numpy().tobytes(): k for k, image in enumerate(images)}
        self.rows: list[list[int]] = []
        self.losses: list[float] = []

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self.rows.append([self.row[image.numpy().tobytes()] for image in strategy.mb_x])
        self.losses.append(float(strategy.loss.detach()))


@pytest.mark.parametrize("name", ["Naive", "Replay"])
def test_the_losses_are_those_of_plain_torch_on_the_same_batches(name: str) -> None:
    """And of Replay: each batch of a later experience has as many rows of the memory as new ones, which ``er`` sees
    the same loss on.
    """
    watch, batches = Recorder(), Batches()
    driver, experiences = trainer(name, watch), stream()
    oracle: Any = made(Avalanche).model
    rehearsal: Any = made(ER)
    driver.prepare(experiences[0])
    driver.strategy.plugins.append(batches)
    driver.train(experiences[0])
    early = len(batches.rows)
    driver.train(experiences[1])
    optimizer = torch.optim.SGD(oracle.parameters(), lr=0.1)
    expected, ours = [], []
    for rows in batches.rows:
        batch = table().gather(torch.tensor(rows))
        rehearsal.model.load_state_dict(oracle.state_dict())
        step = rehearsal.training_step({**batch, "is_memory": torch.zeros(len(rows)).bool()}, context(view(0)))
        ours.append(float(step["loss"].detach()))
        x = batch["image"].float() / 127.5 - 1
        loss = F.cross_entropy(oracle.head(oracle.encoder(x)), batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(float(loss.detach()))
    assert batches.losses == pytest.approx(expected, abs=1e-6)
    assert ours == pytest.approx(expected, abs=1e-6)
    assert [values["loss"] for _, values in watch.lines if "loss" in values] == pytest.approx(expected, abs=1e-6)
    assert all(row < 16 for rows in batches.rows[:early] for row in rows)
    for epoch in (batches.rows[early : early + 2], batches.rows[early + 2 :]):
        assert sorted(row for rows in epoch for row in rows if row >= 16) == list(range(16, 32)), "each new row once"
        old = [sum(row < 16 for row in rows) for rows in epoch]
        assert old == ([8, 8] if name == "Replay" else [0, 0])


def test_avalanches_metrics_reach_the_observer() -> None:
    watch = Recorder()
    driver, experiences = trainer("Naive", watch, log_every=2), stream()
    driver.train(experiences[0])
    names = [name for _, values in watch.lines for name in values]
    assert names.count("loss") == 2, "four steps, a point every two"
    assert sum(name.startswith("avalanche/Top1_Acc_Epoch/") for name in names) == 2


def test_a_pickle_of_another_installation_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver, experiences = trainer("Naive"), stream()
    driver.train(experiences[0])
    state = saved(driver)
    monkeypatch.setattr("holdfast.methods.training.avalanche_native.loaded", _not_read)
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "elsewhere"))
    with pytest.raises(sealed.ForeignPickleError, match="another installation"):
        trainer("Naive").load_state_dict(state)
    assert (tmp_path / "elsewhere" / "pickle.key").stat().st_mode & 0o077 == 0, "for the owner alone"


def _not_read(*arguments: Any) -> None:
    raise AssertionError("a foreign pickle is read")


def test_a_changed_pickle_is_not_read() -> None:
    driver = trainer("Naive")
    state = saved(driver)
    state["pickled"][-1] ^= 1
    with pytest.raises(sealed.ForeignPickleError):
        trainer("Naive").load_state_dict(state)


@pytest.mark.parametrize("name", sorted(avalanche_names.signatures()))
def test_the_arguments_read_from_the_source_are_those_of_the_class(name: str) -> None:
    signature = avalanche_names.signatures()[name]
    taken = {
        each: info
        for each, info in inspect.signature(getattr(training, name).__init__).parameters.items()
        if each != "self" and info.kind is not inspect.Parameter.VAR_KEYWORD
    }
    assert {*signature.arguments, *signature.filled} == set(taken)
    needed = {each for each, info in taken.items() if info.default is inspect.Parameter.empty}
    assert set(signature.required) == needed - avalanche_names.OURS


def test_every_exported_strategy_is_known_or_refused_with_a_reason() -> None:
    exported = {
        name
        for name, thing in vars(training).items()
        if isinstance(thing, type) and issubclass(thing, SupervisedTemplate)
    } - {"SupervisedTemplate", "ObjectDetectionTemplate"}
    assert exported <= set(avalanche_names.signatures()), exported - set(avalanche_names.signatures())
    assert set(avalanche_names.REFUSED) <= set(avalanche_names.signatures())
    assert set(ARGUMENTS) <= set(avalanche_names.names())


@pytest.mark.parametrize(
    ("name", "arguments", "what"),
    [
        ("Replai", {}, "did you mean 'Replay'"),
        ("AR1", {}, "cannot run here"),
        ("Replay", {"memory": 3}, "no such argument (Replay takes: mem_size"),
        ("Replay", {"train_epochs": 3}, "comes from the recipe"),
        ("EWC", {}, "arguments.ewc_lambda: is missing"),
    ],
)
def test_a_wrong_name_or_argument_is_one_sentence(name: str, arguments: dict[str, Any], what: str) -> None:
    (line,) = avalanche_names.errors_of(name, arguments)
    assert what in line
    with pytest.raises(UnfitError, match=line[:20].replace("(", r"\(")):
        AvalancheNative(made(Avalanche, strategy=name, arguments=arguments), settings=TrainingSettings())


def test_settings_that_its_loop_does_not_know_are_refused() -> None:
    with pytest.raises(UnfitError, match=r"train\.clip.*leave it at None"):
        trainer("Naive", clip=1.0)
    assert avalanche_names.unfit_settings({"selection": "validation", "clip": None})[0].startswith("train.selection")


def test_a_value_that_the_strategy_refuses_is_one_sentence() -> None:
    method = made(Avalanche, strategy="EWC", arguments={"ewc_lambda": 1.0, "mode": "none"})
    driver = AvalancheNative(method, settings=TrainingSettings())
    with pytest.raises(UnfitError, match="EWC refuses them: Mode must be separate or online"):
        driver.train(stream()[0])


def test_steps_are_planned_and_timed() -> None:
    driver, experiences = trainer("Naive"), stream()
    assert driver.planned_steps(experiences[0]) == 4
    assert driver.seconds_a_step(experiences[0]) > 0
