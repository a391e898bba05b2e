"""Texts to tokens, representations and logits: padding, pairs, choices, pooling, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.texts import TextInfo, packed, unpacked
from holdfast.methods.base import UnfitError
from holdfast.methods.networks import text_encoder
from holdfast.methods.networks.protocols import Mix
from torch import Tensor

TEXTS = ["the film was good", "", "a very long story and then some more of it", "x"]


def source(second: list[str] | None = None, third: list[str] | None = None, choices: int = 0) -> Source:
    columns: dict[str, Any] = {"first": packed(TEXTS)}
    for name, texts in (("second", second), ("third", third)):
        if texts is not None:
            columns[name] = packed(texts)
    table = Table({**columns, "label": torch.tensor([0, 1, 0, 1])})
    info = TextInfo(classes=2, fields=tuple(columns), choices=choices)
    return Source({"train": table}, ["a", "b"], info, "stand-in", "0")


def made(data: Source, **options: Any) -> tuple[Source, text_encoder.TextClassifier]:
    config = text_encoder.Config(**{"backbone": "tiny", "max_length": 24, **options})
    ready = text_encoder.prepare(config, data)
    torch.manual_seed(0)
    return ready, text_encoder.build(config, ready.info, 0).eval()


def batch_of(ready: Source, rows: list[int]) -> dict[str, Tensor]:
    return ready.splits["train"].gather(torch.tensor(rows))


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_padding_changes_nothing(pooling: str) -> None:
    ready, model = made(source(), pooling=pooling)
    together = model.predict(batch_of(ready, [0, 1, 2, 3]))
    for row in range(4):
        alone = model.predict(batch_of(ready, [row]))
        torch.testing.assert_close(alone["feature"][0], together["feature"][row], atol=1e-5, rtol=0)
    assert together["scores"].shape == (4, 2)
    assert together["feature"].shape == (4, 32)
    assert bool(together["feature"].isfinite().all()), "an empty text too"


def test_raw_text_stays_beside_the_tokens_and_long_texts_are_cut() -> None:
    ready, _ = made(source(), max_length=6)
    assert unpacked(ready.splits["train"].columns["first"]) == TEXTS
    assert int(ready.splits["train"].columns["tokens"].lengths.max()) == 6  # type: ignore[union-attr]


def test_an_empty_second_text_is_a_single_text_and_a_pair_has_types() -> None:
    single, _ = made(source())
    mixed, _ = made(source(second=["", "b", "c d", ""]))
    for row in (0, 3):
        assert torch.equal(batch_of(mixed, [row])["tokens"], batch_of(single, [row])["tokens"])
        assert not batch_of(mixed, [row])["types"].any()
    assert batch_of(mixed, [2])["types"].any()


def test_a_choice_is_between_two_pairs_by_one_score_each() -> None:
    ready, model = made(source(["good", "b", "c", "d"], ["bad", "f", "g", "h"], choices=2))
    batch = batch_of(ready, [0, 1, 2, 3])
    found = model.predict(batch)
    assert model.head.out_features == 1
    swapped = {**batch, **{a: batch[b] for a, b in zip(_names(0), _names(1), strict=True)}}
    swapped |= {b: batch[a] for a, b in zip(_names(0), _names(1), strict=True)}
    torch.testing.assert_close(model.predict(swapped)["scores"], found["scores"].flip(1))
    assert found["feature"].shape == (4, 32)


def _names(alternative: int) -> list[str]:
    end = f"_{alternative}" if alternative else ""
    return [f"tokens{end}", f"tokens{end}_lengths", f"types{end}", f"types{end}_lengths"]


def test_layers_are_there_where_they_are_asked_for() -> None:
    ready, model = made(source(), layers=True, pooling="mean")
    found = model.predict(batch_of(ready, [0, 2]))
    assert found["layers"].shape == (2, 3, 32)
    torch.testing.assert_close(found["layers"][:, -1], found["feature"])
    torch.testing.assert_close(
        made(source(), pooling="mean")[1].predict(batch_of(ready, [0, 2]))["feature"], found["feature"]
    )


@pytest.mark.parametrize("level", ["embedding", "hidden"])
def test_texts_mixed_with_themselves_are_themselves(level: Any) -> None:
    ready, model = made(source())
    batch = batch_of(ready, [0, 2])
    same = Mix(level, torch.arange(2), torch.full((2,), 0.3))
    torch.testing.assert_close(model.encode(batch, same), model.encode(batch), atol=1e-6, rtol=0)
    other = Mix(level, torch.tensor([1, 0]), torch.full((2,), 0.3), layer=2 if level == "hidden" else 1)
    assert not torch.allclose(model.encode(batch, other), model.encode(batch), atol=1e-3)


def test_two_texts_that_are_mixed_half_and_half_are_the_same_text() -> None:
    ready, model = made(source(), pooling="mean")
    halves = Mix("embedding", torch.tensor([1, 0]), torch.full((2,), 0.5))
    one, other = model.encode(batch_of(ready, [0, 2]), halves)
    torch.testing.assert_close(one, other)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="TextInfo"):
        text_encoder.prepare(text_encoder.Config(backbone="tiny"), Source({}, [], DataInfo(), "", ""))
    with pytest.raises(UnfitError, match=r"prepare\(\) comes before"):
        text_encoder.build(text_encoder.Config(backbone="tiny"), source().info, 0)
    ready, model = made(source())
    with pytest.raises(UnfitError, match=r"layers 1 to 2, not 3"):
        model.encode(batch_of(ready, [0, 2]), Mix("hidden", torch.tensor([1, 0]), torch.ones(2), layer=3))
