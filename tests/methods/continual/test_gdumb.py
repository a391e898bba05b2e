"""GDumb: the memory is balanced before training, weights are new, and steps see the memory alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.methods.continual.gdumb import GDumb
from torch import Tensor
from torch.nn import functional as F

from .miniature import context, made, mixed, scores, strategy, view


def test_the_memory_is_balanced_over_the_classes_seen_and_older_ones_shrink() -> None:
    method = made(GDumb)
    method.before_experience(view(0))
    assert torch.bincount(method.store.all() // 8, minlength=4).tolist() == [4, 4, 0, 0]
    assert len(method.memory()) == 0, "the rows in training are the experience's until it ends"
    method.after_experience(view(0))
    first = method.memory()
    assert len(first) == 8
    method.before_experience(view(1, first))
    assert torch.bincount(method.store.all() // 8, minlength=4).tolist() == [2, 2, 2, 2]
    held = method.memory()
    assert bool(torch.isin(held, first).all())
    assert len(held) == 4


def test_training_begins_from_new_weights_which_depend_on_the_seed_alone() -> None:
    method, other = made(GDumb), made(GDumb)
    before = method.model.head.weight.detach().clone()
    method.before_experience(view(0))
    assert not torch.equal(method.model.head.weight, before)
    with torch.no_grad():
        other.model.head.weight.zero_()
    other.before_experience(view(0))
    assert torch.equal(method.model.head.weight, other.model.head.weight)


def test_a_step_is_on_rows_of_the_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, experiences = strategy(GDumb)
    seen: list[Tensor] = []
    method: Any = driver.method
    gather = method.model.pixels

    def watched(batch: Any) -> Tensor:
        seen.append(batch["index"])
        pixels: Tensor = gather(batch)
        return pixels

    monkeypatch.setattr(method.model, "pixels", watched)
    driver.train(experiences[0])
    assert seen
    assert all(len(rows) == 8 and bool(torch.isin(rows, method.store.all()).all()) for rows in seen)


def test_the_loss_is_cross_entropy_of_the_drawn_rows() -> None:
    method = made(GDumb).eval()
    method.before_experience(view(0))
    rows = method.store.all()
    step = method.eval().training_step(mixed(view(0), [0], []), context(view(0)))
    expected = F.cross_entropy(scores(method, rows), rows // 8)  # 8 rows in all: the whole memory is drawn
    assert float(step["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
