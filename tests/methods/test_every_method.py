"""What must hold of every method of the registry, on the smallest data of its family.

It trains with finite gradients, its state goes round to the bit, a run that is stopped in the middle ends as the one
that was not, it does without hidden columns (or says which it needs), and all that a user sees of it is described.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from holdfast.datasets.cdvg import cmnist
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Annotation, Source, SpeechInfo
from holdfast.datasets.core.streams import class_incremental, given, range_incremental, union
from holdfast.datasets.core.table import Ragged, Table
from holdfast.datasets.sepclr import cifar_mnist
from holdfast.datasets.slimmable import scenes
from holdfast.datasets.spoken.features import BANDS
from holdfast.datasets.supremix import tabular
from holdfast.methods.base import Method, UnfitError
from holdfast.methods.networks import causal, images, regression, slimmable, slu, text_encoder, two_encoders
from holdfast.methods.training.settings import TrainingSettings
from holdfast.methods.training.strategy import MethodStrategy
from holdfast.suites.config import registry
from torch import Tensor

from .decoding.language_cases import language_source
from .peft import miniature
from .training.families import Recorder, assert_same

OF_AVALANCHE = "continual/avalanche"  # has no steps of ours: tests/methods/training/test_avalanche_native.py
METHODS = sorted(e.name for e in registry.entries("methods") if e.module is not None and e.name != OF_AVALANCHE)
TRANSLATOR = {"width": 4, "critic_width": 4, "translator_epochs": 1, "blocks": 1}
SMALL = {
    **TRANSLATOR,
    "memory_share": None,
    "memory_rows": 12,
    "swap_after": 1,
    "second_epochs": 1,
    "projection": 8,
    "bins": 4,
    "calibration_rows": 8,
    "calibration_batches": 1,
    "score_rows": 8,
    "budget": 0.95,
    "passes": 3,
    "preferences": 2,
    "length": 2,
    "inner": 4,
    "rank": 4,
    "lm_epochs": 1,
    "lm_batch_size": 8,
    "max_new_tokens": 3,
    "tuned_epochs": 1,
    "rank_epochs": 1,
    "rank_width": 8,
    "samples": 2,
}


@dataclass(frozen=True)
class Family:
    """The smallest data on which a family's methods train, how it is split, and a model for it."""

    source: Source
    scenario: Callable[..., Any]
    hidden: frozenset[str]
    model: Callable[[int], torch.nn.Module]


def _speech() -> Source:
    """Random frames with sentences of four classes."""
    g = generator(0, "every method")
    texts = [Annotation(str(i), f"s{i % 4}", "a", f"w{i % 5} w{i % 3}") for i in range(12)]
    labels = torch.arange(12) % 4
    columns: dict[str, Tensor | Ragged] = {
        "features": Ragged.from_list([torch.randn(16 + i, BANDS, generator=g) for i in range(12)]),
        "label": labels,
        "intent": labels,
    }
    info = SpeechInfo(annotations={"train": texts}, intents=tuple(f"s{c}_a" for c in range(4)))
    return Source({"train": Table(columns)}, [f"s{c}" for c in range(4)], info, "stand-in", "0")


def _of_speech() -> Family:
    config = slu.Config(
        d_model=8, heads=2, encoder_layers=1, decoder_layers=1, feedforward=8, subsample=1, max_length=4, time_mask=2
    )
    source = slu.prepare(config, _speech())
    hidden: frozenset[str] = frozenset()
    return Family(source, class_incremental, hidden, lambda seed: slu.build(config, source.info, seed))


def _of_images() -> Family:
    source = cmnist.load(cmnist.Config(n_train=24, n_test=10, n_valid=10), None)
    config = images.Config(width=2, features=4)
    return Family(source, class_incremental, frozenset({"bias"}), lambda seed: images.build(config, source.info, seed))


def _of_numbers() -> Family:
    source = tabular.load(tabular.Config(n_train=24, n_test=10, noise=0.0), None)
    config = regression.Config(hidden=8)
    return Family(source, range_incremental, frozenset(), lambda seed: regression.build(config, source.info, seed))


def _of_pairs() -> Family:
    """Digits on gratings in two pairs of background and target; the attributes are hidden."""
    source = cifar_mnist.load(cifar_mnist.Config(n_train=20, n_valid=2, n_test=10, experiences=2), None)
    config = two_encoders.Config(hidden=8, common=3, salient=1, projector=4)
    hidden = frozenset({"digit", "grating"})
    return Family(source, given, hidden, lambda seed: two_encoders.build(config, source.info, seed))


def _of_scenes() -> Family:
    """Scenes whose tasks arrive one after another: each row has the label of one task alone."""
    options = scenes.Config(n_train=24, n_valid=2, n_test=8, size=16, tasks=("seg", "depth"), experiences=True)
    source = scenes.load(options, None)
    config = slimmable.Config(channels=(4, 4), strides=(1, 2), decoder_channels=4, grid=(0.5, 1.0), divisor=2)
    return Family(source, given, frozenset(), lambda seed: slimmable.build(config, source.info, seed))


def _of_texts() -> Family:
    """Two tasks of a few short texts, each with an alteration, on the tiny encoder."""
    data = miniature.prepared(miniature.source(rows=12, altered=True, tasks=2))
    config = text_encoder.Config(backbone="tiny", max_length=24)
    return Family(data, given, frozenset(), lambda seed: text_encoder.build(config, data.info, seed))


def _of_language() -> Family:
    """Random texts with pictures, questions and options."""
    source, config = language_source(), causal.Config(width=8, layers=2, heads=2, feedforward=8, patch=2)
    return Family(source, given, frozenset(), lambda seed: causal.build(config, source.info, seed))


FAMILIES = {
    "coconut": _of_speech,
    "cdvg": _of_images,
    "continual": _of_images,
    "supremix": _of_numbers,
    "sepclr": _of_pairs,
    "slimmable": _of_scenes,
    "peft": _of_texts,
    "decoding": _of_language,
}


def family_of(name: str) -> Family:
    return _family(FAMILIES[name.partition("/")[0]])


@functools.cache
def _family(make: Callable[[], Family]) -> Family:
    return make()


def config_of(kind: type[Method]) -> Any:
    return kind.Config(**{field: value for field, value in SMALL.items() if field in kind.Config.model_fields})


class Watch(Recorder):
    """Keeps the points, and sees that no gradient is infinite or NaN."""

    def after_iteration(self, strategy: MethodStrategy) -> None:
        for name, parameter in strategy.method.named_parameters():
            assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
        super().after_iteration(strategy)


def built(name: str, watch: Watch, hide: bool = True, seed: int = 0) -> tuple[MethodStrategy, list[Any]]:
    """A strategy with a new method, and the training stream: two experiences, or one with the union of both."""
    family, kind = family_of(name), registry.method(name)
    torch.manual_seed(seed)
    method = kind(config_of(kind), family.model(seed), seed)
    hidden = family.hidden if hide else frozenset()
    scenario = family.scenario(family.source, 2, hidden=hidden)
    settings = TrainingSettings(batch_size=12, log_every=1, optimizer="Adam", optimizer_arguments={"lr": 1e-3})
    strategy = MethodStrategy(method=method, settings=settings, observer=watch)
    return strategy, list((union(scenario) if kind.uses_union else scenario).streams["train"])


def finish(strategy: MethodStrategy, experiences: list[Any]) -> None:
    for experience in experiences:
        strategy.train(experience, eval_streams=[])


@dataclass(frozen=True)
class Whole:
    """A method after its whole stream."""

    strategy: MethodStrategy
    watch: Watch
    begun: dict[str, Tensor]  # the state that it began with
    needs: str  # what it says of the hidden columns that it needs; empty: it does without


def missing_columns(method: Method, experiences: Sequence[Any]) -> list[str]:
    """What the method says, before it trains, of columns that it needs and does not see."""
    columns = experiences[0].table.columns
    return [f"needs '{column}'" for column in type(method).requires.columns if column not in columns]


@functools.cache
def trained(name: str) -> Whole:
    """The method after both experiences, with hidden columns only where it says that it needs one."""
    needs = ""
    for hide in (True, False):
        watch = Watch()
        strategy, experiences = built(name, watch, hide)
        state = strategy.method.state_dict()
        begun = {key: value.clone() for key, value in state.items() if isinstance(value, Tensor)}
        missing = missing_columns(strategy.method, experiences)
        if missing:
            assert hide, missing
            needs = "; ".join(missing)
            continue
        try:
            finish(strategy, experiences)
        except UnfitError as error:  # columns that the data names, not the method
            if not hide:
                raise
            needs = str(error)
            continue
        break
    return Whole(strategy, watch, begun, needs)


def test_every_family_has_its_data() -> None:
    assert {name.partition("/")[0] for name in METHODS} == set(FAMILIES)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains(name: str) -> None:
    whole = trained(name)
    strategy, begun = whole.strategy, whole.begun
    after = strategy.method.state_dict()
    assert any(key not in begun or not torch.equal(value, begun[key]) for key, value in after.items())
    logged = [value for _, values in whole.watch.lines for value in values.values()]
    assert all(torch.tensor(value).isfinite() for value in logged)
    predictions = strategy.method.eval().predict(_batch(name, strategy))
    assert all(len(value) == 4 for value in predictions.values())


def _batch(name: str, strategy: MethodStrategy) -> dict[str, Tensor]:
    table = family_of(name).source.splits["train"]
    return {**table.gather(torch.arange(4)), "is_memory": torch.zeros(4, dtype=torch.bool)}


@pytest.mark.parametrize("name", METHODS)
def test_a_state_goes_round_to_the_bit(name: str) -> None:
    strategy = trained(name).strategy
    file = io.BytesIO()
    torch.save(strategy.method.state_dict(), file)
    file.seek(0)
    other, _ = built(name, Watch(), seed=5)  # all that differs must be in the state
    other.method.load_state_dict(torch.load(file, weights_only=True))
    assert_same(other.method.state_dict(), strategy.method.state_dict())
    assert_same(
        other.method.eval().predict(_batch(name, other)), strategy.method.eval().predict(_batch(name, strategy))
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_is_stopped_in_the_middle_ends_as_the_one_that_was_not(name: str) -> None:
    whole = trained(name)
    if not whole.strategy.iteration:
        pytest.skip("fitted at once: no step to stop at")
    hide, first, second = not whole.needs, Watch(stop_at=whole.strategy.iteration // 2), Watch()
    strategy, experiences = built(name, first, hide)
    with pytest.raises(KeyboardInterrupt):
        finish(strategy, experiences)
    torch.manual_seed(99)  # another process has other global state
    first.saved.seek(0)
    state = torch.load(first.saved, weights_only=True)
    strategy, experiences = built(name, second, hide)
    at = state["at"]["experience"]
    strategy.load_state_dict(state, experience=experiences[at])
    finish(strategy, experiences[at:])
    assert first.lines + second.lines == whole.watch.lines
    assert_same(strategy.method.state_dict(), whole.strategy.method.state_dict())


@pytest.mark.parametrize("name", METHODS)
def test_a_method_does_without_hidden_columns_or_says_which_it_needs(name: str) -> None:
    hidden = family_of(name).hidden
    message = trained(name).needs
    assert not message or any(f"'{column}'" in message for column in hidden)
    _, experiences = built(name, Watch())
    assert all(not hidden & set(experience.table.columns) for experience in experiences)


@pytest.mark.parametrize("name", METHODS)
def test_all_that_a_user_sees_of_a_method_is_described(name: str) -> None:
    kind = registry.method(name)
    assert kind.summary
    assert all(kind.costs.values())
    assert set(trained(name).strategy.method.cost()) <= set(kind.costs)
    for field, info in kind.Config.model_fields.items():
        assert info.description, f"{name}.{field} has no description"
        sweep = (info.json_schema_extra or {}).get("sweep") if isinstance(info.json_schema_extra, dict) else None
        if isinstance(sweep, dict):
            ends: Any = sweep.get("choices") or [sweep["low"], sweep["high"]]
            for value in ends:
                kind.Config(**{field: value})
