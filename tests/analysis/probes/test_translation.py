"""The auxiliary classifier of the translation report: never fitted on test rows, balanced over groups, and absent
where it would know nothing.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from holdfast.analysis.probes import translation
from holdfast.analysis.probes.check import GateError
from holdfast.analysis.probes.translation import Gate, TranslationCheck, UnjudgedError, auxiliary_classifier, balanced
from holdfast.datasets.core.source import ClassInfo
from holdfast.datasets.core.table import Table
from torch import Tensor, nn


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for images whose class and bias anybody sees."""
    monkeypatch.setattr(translation, "STEPS", 60)


def images(labels: Tensor, bias: Tensor, seed: int, noise: float = 40) -> Tensor:
    """Class: which half is bright; bias: the colour. Bytes [N, 3, 8, 8]."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(len(labels), 3, 8, 8, generator=g) * noise
    for n, (y, b) in enumerate(zip(labels.tolist(), bias.tolist(), strict=True)):
        x[n, b, :, 4 * y : 4 * y + 4] += 200
    return x.clamp(0, 255).to(torch.uint8)


@functools.cache  # a table is one object: its classifier is fitted once
def part(n: int, conflicting: int, seed: int) -> Table:
    """n rows of two classes in turn, the first ``conflicting`` of each with the other bias."""
    labels = torch.arange(n) % 2
    bias = torch.where(torch.arange(n) < 2 * conflicting, 1 - labels, labels)
    return Table({"image": images(labels, bias, seed), "label": labels, "bias": bias})


def data(conflicting: int = 12, **splits: Table) -> Any:
    made = {"train": part(200, conflicting, 0), "valid": part(40, 2, 1), "test": part(40, 10, 2)}
    return SimpleNamespace(splits={**made, **splits}, info=ClassInfo(classes=2))


def method(translate: Any, action: str = "stop") -> Any:
    gate = {"action": action, "max_content_moved": 0.3, "min_content_kept": 0.6}
    return SimpleNamespace(translate=translate, modes=(0, 1), gate=gate)


def recolour(x: Tensor, mode: Tensor) -> Tensor:
    """The true swapper: colour ``mode``, the place of the light unchanged."""
    made = torch.full_like(x, -0.8)
    light = x.amax(1)
    made[torch.arange(len(x)), mode] = light
    return made


def mirror(x: Tensor, mode: Tensor) -> Tensor:
    """Moves the content: the bright half is the mode's."""
    left = x.amax((1, 2))[:, :4].amax(1) > 0
    return torch.where((left == (mode == 0))[:, None, None, None], x, x.flip(3))


EXPERIENCE = SimpleNamespace(number=0)


def test_no_test_row_is_read(tmp_path: Path) -> None:
    """Without an unbiased split the report is the same whatever the test split holds, and the true swapper passes."""
    found = []
    test = part(60, 3, 5)
    labels = test.columns["label"]
    assert isinstance(labels, Tensor)
    wrong = Table({**test.columns, "label": 1 - labels})
    for split in (part(40, 10, 2), wrong):
        found.append(TranslationCheck(data(test=split)).after_stage(method(recolour), EXPERIENCE, tmp_path))
    assert all(one == found[0] for one in found)
    assert found[0]["content_kept"] > 0.9
    assert found[0]["bias_moved"] > 0.9
    assert found[0]["gate_passed"] == 1


def test_a_translator_that_moves_the_content_is_seen_with_training_rows_alone(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="does not keep the content"):
        TranslationCheck(data()).after_stage(method(mirror), EXPERIENCE, tmp_path)


def test_an_unbiased_split_comes_first(tmp_path: Path) -> None:
    """Training rows without a single exception do not matter then."""
    source = data(0, unbiased=part(200, 50, 3))
    assert TranslationCheck(source).after_stage(method(recolour), EXPERIENCE, tmp_path)["gate_passed"] == 1


@pytest.mark.parametrize("conflicting", [0, 1, 9])
def test_where_content_and_bias_are_one_the_gate_says_that_it_cannot_judge(conflicting: int, tmp_path: Path) -> None:
    source = data(conflicting)
    with pytest.raises(GateError, match=r"the gate cannot judge the translator: .*and 10 are needed.*'unbiased'"):
        TranslationCheck(source).after_stage(method(recolour), EXPERIENCE, tmp_path)
    with pytest.warns(UserWarning, match="cannot judge"):
        assert TranslationCheck(source).after_stage(method(recolour, "warn"), EXPERIENCE, tmp_path) == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TranslationCheck(source).after_stage(method(recolour, "ignore"), EXPERIENCE, tmp_path) == {}
    assert (tmp_path / "translations-0.png").stat().st_size > 0  # the pictures need no classifier


def test_the_runs_of_an_invocation_share_one_classifier() -> None:
    source, other = data(), data(13)
    classifier = auxiliary_classifier(source.splits, 0.1)
    assert auxiliary_classifier(source.splits, 0.2) is classifier
    assert auxiliary_classifier(other.splits, 0.1) is not classifier
    with pytest.raises(UnjudgedError, match=r"and 1\.1 are needed"):
        auxiliary_classifier(source.splits, 1.1)


def test_a_classifier_that_knows_nothing_does_not_judge() -> None:
    """Noise: enough rows of every group, and nothing to be learned from them."""
    train = part(200, 50, 0)
    noise = torch.randint(0, 256, (200, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    with pytest.raises(UnjudgedError, match=r"knows the class of 0\.\d\d of those kept back, and 0\.9 are needed"):
        auxiliary_classifier({"train": Table({**train.columns, "image": noise})}, 0.9)


def test_no_held_out_image_of_the_modes(tmp_path: Path) -> None:
    empty = Table({name: column[:0] for name, column in part(4, 0, 0).columns.items()})  # type: ignore[index]
    with pytest.raises(GateError, match="cannot judge the translator: there is no held-out image"):
        TranslationCheck(data(valid=empty)).after_stage(method(recolour), EXPERIENCE, tmp_path)


def test_balanced_rows() -> None:
    labels, bias = (torch.tensor(v) for v in ([0] * 60 + [1] * 60, [0] * 50 + [1] * 10 + [1] * 40 + [0] * 20))
    rows, kept = balanced(labels, bias)
    group = 2 * labels + bias
    count = group[rows].bincount()
    assert count.tolist() == [40] * 4  # the largest group's, less its fifth
    assert [len(part) for part in kept] == [10, 2, 4, 8]
    for number, part in enumerate(kept):
        assert bool((group[part] == number).all())
        assert not set(part.tolist()) & set(rows.tolist())
    assert set(rows.tolist()) | {r for part in kept for r in part.tolist()} == set(range(120))


def test_many_held_out_images_are_drawn_from_all_of_them(tmp_path: Path) -> None:
    """Files in the order of their classes: the report must see every class, not the first thousand files."""
    labels = torch.arange(10).repeat_interleave(150)
    valid = Table({"image": torch.zeros(1500, 3, 4, 4, dtype=torch.uint8), "label": labels, "bias": labels})
    probe = TranslationCheck(
        SimpleNamespace(splits={"train": valid, "valid": valid, "test": valid}, info=ClassInfo(classes=10))
    )
    _, found = probe.held_out(range(10), EXPERIENCE)
    assert len(found) == 1000
    assert found.unique().tolist() == list(range(10))
    _, found = probe.held_out([8, 9], EXPERIENCE)
    assert found.tolist() == [8] * 150 + [9] * 150


class Elsewhere(nn.Module):
    """A method whose weights lie on another device."""

    modes = (0, 1)
    gate: Gate = {"action": "stop", "max_content_moved": 0.3, "min_content_kept": 0.6}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device="meta"))
        self.seen: set[str] = set()

    def translate(self, x: Tensor, mode: Tensor) -> Tensor:
        self.seen |= {x.device.type, mode.device.type}
        return torch.zeros(x.shape)


def test_the_translator_gets_images_where_its_weights_are(tmp_path: Path) -> None:
    found = Elsewhere()
    with pytest.raises(GateError, match="does not keep the content"):
        TranslationCheck(data()).after_stage(found, EXPERIENCE, tmp_path)
    assert found.seen == {"meta"}
