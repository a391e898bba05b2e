"""Tasks one after another: which decoders train, what is replayed, and what the network before teaches."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pytest
import torch
from holdfast.datasets.core.multi_task import MultiTaskInfo
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.streams import given, union
from holdfast.datasets.core.table import Batch
from holdfast.datasets.slimmable import scenes
from holdfast.methods.base import UnfitError
from holdfast.methods.networks.slimmable_widths import Configuration, output_name
from holdfast.methods.slimmable.balance import Balance
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from torch import Tensor

from ..training.families import Recorder, assert_same
from .miniature import batch, built

NAMES = ("seg", "depth", "saliency")  # in the order in which they arrive
SLIM = Configuration(0.5, (0.5, 0.5, 0.5))


@functools.cache
def sequence() -> Source[MultiTaskInfo]:
    return scenes.load(scenes.Config(n_train=48, n_valid=6, n_test=12, size=16, experiences=True), None)


def strategy_of(method: Any, epochs: int = 1) -> MethodStrategy:
    arguments = {"lr": 1e-2, "weight_decay": 0.1}
    settings = TrainingSettings(
        epochs=epochs, batch_size=8, log_every=1, optimizer="Adam", optimizer_arguments=arguments
    )
    return MethodStrategy(method=method, settings=settings)


def stream() -> list[Any]:
    return list(given(sequence(), 3).streams["train"])


def after(method: Any, *numbers: int, epochs: int = 1) -> Any:
    """The method after these experiences."""
    strategy = strategy_of(method, epochs)
    for number in numbers:
        strategy.train(stream()[number], eval_streams=[])
    return method


def view_of(method: Any, number: int) -> Any:
    return strategy_of(method).ensure_view(stream()[number])


def decoder(method: Any, task: str) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in method.model.decoders[task].named_parameters()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_a_decoder_without_labels_stands_still() -> None:
    """Weight decay would move it, and so would a gradient of zeros."""
    method = built("slim_plain", budget=0.9)
    first = {task: decoder(method, task) for task in NAMES}
    after(method, 0)
    middle = {task: decoder(method, task) for task in NAMES}
    assert [same(first[task], middle[task]) for task in NAMES] == [False, True, True]
    after(method, 1)
    assert method.active == ("depth",)
    assert [same(middle[task], decoder(method, task)) for task in NAMES] == [True, False, True]


def test_replay_trains_the_decoders_of_earlier_tasks() -> None:
    method = after(built("slim_plain", budget=0.9, memory_rows=9), 0)
    before = decoder(method, "seg")
    after(method, 1)
    assert set(method.active) == {"seg", "depth"}
    assert not same(before, decoder(method, "seg"))


def test_all_tasks_of_the_memory_have_equal_parts_of_rows_with_their_label() -> None:
    method = built("ecmt", budget=0.9, memory_rows=9)
    strategy, kept = strategy_of(method), []
    for experience in stream():
        strategy.train(experience, eval_streams=[])
        kept.append({task: rows.tolist() for (_, task), rows in method.store.rows.items()})
    assert [{task: len(rows) for task, rows in each.items()} for each in kept] == [
        {0: 9},
        {0: 4, 1: 4},
        {0: 3, 1: 3, 2: 3},
    ]
    for earlier, later in itertools.pairwise(kept):
        assert all(rows == earlier[task][: len(rows)] for task, rows in later.items() if task in earlier)
    table = sequence().splits["train"]
    for number, rows in kept[-1].items():
        task = sequence().info.tasks[number]
        assert bool(task.labelled(table.gather(torch.tensor(rows))[task.column]).flatten(1).any(1).all())
    assert method.memory().tolist() == sorted(row for rows in kept[-1].values() for row in rows)
    assert method.cost()["memory_rows"] == 9
    again = after(built("ecmt", budget=0.9, memory_rows=9), 0)
    assert again.store.rows[0, 0].tolist() == kept[0][0]
    other = after(built("ecmt", budget=0.9, memory_rows=9, seed=1), 0)
    assert other.store.rows[0, 0].tolist() != kept[0][0]


def test_a_memory_smaller_than_the_number_of_tasks_is_refused_before_training() -> None:
    method = built("ecmt", budget=0.9, memory_rows=2)
    with pytest.raises(UnfitError, match="a memory of 2 rows gives none to each of 3 tasks: set memory_rows >= 3"):
        after(method, 0)


def updates(method: Any, rows: Batch) -> list[Any]:
    """Of a step with the narrowest configuration beside the widest."""
    return list(method.passes(rows, [SLIM]))


@pytest.mark.parametrize("form", ["slice_mse", "attention", "outputs"])
def test_the_network_before_teaches_every_pass_from_the_second_experience_on(form: str) -> None:
    method = built("slim_plain", budget=0.9, previous_kd=2.0, previous_form=form)
    view = view_of(method, 0)
    method.begin(view)
    rows = view.gather(view.index[:8])
    assert all("previous_kd" not in update.logs for update in updates(method, rows))
    after(method, 0)
    method.train()
    method.begin(view_of(method, 1))
    wide, slim = updates(method, rows)
    first = method.model.encoder.layers[0][0].weight
    for update in (wide, slim):  # it is its own copy: nothing pulls
        (pull,) = torch.autograd.grad(update.logs["previous_kd"], first, retain_graph=True)
        torch.testing.assert_close(pull, torch.zeros_like(pull), rtol=0, atol=1e-6)
    with torch.no_grad():
        first.add_(0.3)
    held = updates(method, rows)
    method.previous, kept = None, method.previous
    free = updates(method, rows)
    for one, two in zip(held, free, strict=True):
        distance = one.logs["previous_kd"]
        assert float(distance.detach()) > 0
        assert bool(torch.autograd.grad(distance, first, retain_graph=True)[0].any())
        torch.testing.assert_close(one.loss, two.loss + 2.0 * distance)
    assert all(not p.requires_grad and p.grad is None for p in kept.copy.module.parameters())
    assert kept.learned == ("seg",)


def test_outputs_of_earlier_tasks_are_distilled_and_their_decoders_follow() -> None:
    method = after(built("slim_plain", budget=0.9, previous_kd=1.0, previous_form="outputs"), 0)
    before = decoder(method, "seg")
    after(method, 1)
    assert method.active == ("depth",)
    assert not same(before, decoder(method, "seg"))
    held = after(built("slim_plain", budget=0.9, previous_kd=1.0), 0)
    before = decoder(held, "seg")
    after(held, 1)
    assert same(before, decoder(held, "seg"))  # of features the encoder alone


def test_one_width_of_the_network_before_is_asked_once_a_step() -> None:
    for width, passes in (("same", 16), ("widest", 8)):
        method = after(built("slim_plain", budget=0.9, previous_kd=1.0, previous_width=width), 0)
        method.train()
        view = view_of(method, 1)
        method.begin(view)
        updates(method, view.gather(view.index[:8]))
        assert method.cost()["teacher_passes"] == passes, width


def test_distillation_holds_the_features_of_every_width() -> None:
    images = sequence().splits["test"].gather(torch.arange(12))
    moved = {}
    for weight in (0.0, 100.0):
        method = after(built("slim_plain", budget=0.9, previous_kd=weight), 0, epochs=4)
        with torch.no_grad():
            before = [method.eval().model.features(method.model.pixels(images), w)[-1] for w in (0.5, 1.0)]
            after(method, 1, epochs=4)
            later = [method.eval().model.features(method.model.pixels(images), w)[-1] for w in (0.5, 1.0)]
        moved[weight] = [float((a - b).square().mean()) for a, b in zip(later, before, strict=True)]
    assert all(held < 0.5 * free for held, free in zip(moved[100.0], moved[0.0], strict=True)), moved


@pytest.mark.parametrize("name", ["phn", "cosmos", "single_task"])
def test_what_has_no_network_before_refuses_to_learn_from_it(name: str) -> None:
    with pytest.raises(UnfitError, match=f"{name} learns from no network before"):
        built(name, previous_kd=1.0)


@torch.no_grad()
def test_networks_of_their_own_forget_nothing() -> None:
    images = sequence().splits["test"].gather(torch.arange(4))
    with torch.enable_grad():
        method = after(built("single_task"), 0)
    before = method.eval().predict(images)["task/seg"]
    with torch.enable_grad():
        after(method, 1, 2)
    assert torch.equal(method.eval().predict(images)["task/seg"], before)


def test_scores_of_earlier_tasks_are_kept_and_those_to_come_count_nothing() -> None:
    method = after(built("slim_plain", budget=0.9), 0)
    place = output_name("seg", 0.5, 1.0)
    known = method.scores[place]
    assert output_name("depth", 0.5, 1.0) not in method.scores
    assert len(method.preferred()) == 20
    after(method, 1)
    assert method.scores[place] == known
    assert method.scores[output_name("depth", 0.5, 1.0)] > 0
    replayed = after(built("slim_plain", budget=0.9, memory_rows=9), 0, 1)
    assert replayed.scores[place] != known  # measured anew, on rows of the memory


def test_all_at_once_trains_every_decoder() -> None:
    method = built("ecmt_joint", budget=0.9)
    first = {task: decoder(method, task) for task in NAMES}
    (whole,) = union(given(sequence(), 3)).streams["train"]
    strategy_of(method).train(whole, eval_streams=[])
    assert method.active == NAMES
    assert not any(same(first[task], decoder(method, task)) for task in NAMES)


@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_weights_of_tasks_that_are_not_in_training_do_not_move(kind: Any) -> None:
    balance, method = Balance(kind, NAMES), built("slim_plain")
    losses = method.weighted(method.outputs(method.model.pixels(batch()), method.widest), batch())
    update = balance.update({name: losses[name] for name in ("seg", "saliency")}, method.shared())
    if kind == "uncertainty":
        update.loss.backward()
        assert [bool(value) for value in balance.log_variances.grad] == [True, False, True]  # type: ignore[union-attr]
    else:
        assert float(balance.weights[1]) == 1
        assert bool(balance.first.isnan()[1])
        assert float(balance.weights[[0, 2]].sum()) == pytest.approx(2)
        assert float(balance.weights[0]) != 1


@pytest.mark.parametrize("stop", [2, 3, 6])  # 2 and 6: after the last step of an experience
def test_a_sequence_that_is_stopped_ends_as_the_one_that_was_not(stop: int) -> None:
    fields: dict[str, Any] = {"memory_rows": 9, "previous_kd": 1.0, "previous_form": "outputs", "budget": 0.9}

    def begun(recorder: Recorder) -> MethodStrategy:
        strategy = strategy_of(built("ecmt", **fields))
        strategy.observer = recorder
        return strategy

    def go_on(strategy: MethodStrategy, first: int = 0) -> Any:
        for experience in stream()[first:]:
            strategy.train(experience, eval_streams=[])
        return strategy.method

    whole = go_on(begun(Recorder()))
    watch = Recorder(stop)
    with pytest.raises(KeyboardInterrupt):
        go_on(begun(watch))
    watch.saved.seek(0)
    state = torch.load(watch.saved, weights_only=True)
    strategy, at = begun(Recorder()), state["at"]["experience"]
    strategy.load_state_dict(state, experience=stream()[at])
    assert_same(go_on(strategy, at).state_dict(), whole.state_dict())
