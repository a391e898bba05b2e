"""ER-ACE and DER++: their losses against plain numbers, and against Avalanche's own on the same batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.training.regularization import ACECriterion
from avalanche.training.supervised import DER as AvalancheDER  # noqa: N811 - a class
from holdfast.datasets.core.view import Sidecar
from holdfast.methods.continual.der import DER, LOGITS, stored_logits
from holdfast.methods.continual.er_ace import ERACE
from holdfast.methods.training.plugins import silent_evaluator
from torch.nn import functional as F

from .miniature import context, made, mixed, scores, view

NEW = [17, 25, 30, 18]


def after_first(kind: type[Any], **fields: Any) -> tuple[Any, Any]:
    """A method after its first experience, in evaluation mode, and its view of the second."""
    sidecar = Sidecar()
    method = made(kind, **fields)
    method.after_experience(view(0, sidecar=sidecar))
    return method.eval(), view(1, method.memory(), sidecar)


def test_new_rows_compete_among_the_classes_of_their_batch() -> None:
    method, seen = after_first(ERACE)
    old = seen.memory[:3].tolist()
    step = method.training_step(mixed(seen, [17, 18], old), context(seen))
    assert float(step["loss/new"].detach()) == 0.0, "one class alone"
    memory = F.cross_entropy(scores(method, seen.memory[:3]), seen.memory[:3] // 8)
    assert torch.equal(step["loss/memory"], memory)
    step["loss"].backward()
    assert bool((method.model.head.bias.grad[[2, 3]] > 0).all()), "replayed rows push the new classes down"
    two = method.training_step(mixed(seen, NEW, old), context(seen))
    logits, labels = scores(method, torch.tensor(NEW)), torch.tensor([2, 3, 3, 2])
    assert float(two["loss/new"].detach()) == pytest.approx(
        float(F.cross_entropy(logits[:, 2:], labels - 2).detach()), rel=1e-6
    )


def test_without_a_memory_all_classes_compete() -> None:
    method = made(ERACE).eval()
    step = method.training_step(mixed(view(0), [1, 2, 9], []), context(view(0)))
    expected = F.cross_entropy(scores(method, torch.tensor([1, 2, 9])), torch.tensor([0, 0, 1]))
    assert torch.equal(step["loss"], expected)


def test_er_ace_is_twice_avalanches_on_the_same_batch() -> None:
    """Theirs is the mean of the two terms, the paper's their sum."""
    method, seen = after_first(ERACE)
    old = seen.memory.tolist()
    ours = method.training_step(mixed(seen, NEW, old), context(seen))["loss"]
    labels = torch.tensor(NEW) // 8, seen.memory // 8
    theirs = ACECriterion()(scores(method, torch.tensor(NEW)), labels[0], scores(method, seen.memory), labels[1])
    assert float(ours.detach()) == pytest.approx(2 * float(theirs.detach()), rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_der_is_avalanches_on_the_same_batch(beta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs takes labels of the rows whose logits it compares, ours of others: the drawn rows are made the same."""
    method, seen = after_first(DER, alpha=0.7, beta=beta)
    old = seen.memory[:4]
    seen.sidecar[LOGITS] = seen.sidecar[LOGITS] + torch.arange(4.0)  # so that the distance is not 0
    monkeypatch.setattr(DER, "_drawn", lambda self, count, ctx: seen.gather(old))
    ours = method.training_step(mixed(seen, NEW, old.tolist()), context(seen))["loss"]
    theirs = AvalancheDER(
        model=method.model,
        optimizer=torch.optim.SGD(method.model.parameters(), lr=0.0),
        alpha=0.7,
        beta=beta,
        train_mb_size=4,
        evaluator=silent_evaluator(),
        plugins=[],
    )
    batch = seen.gather(torch.tensor(NEW))
    pixels = method.model.pixels
    losses = []
    theirs.dataloader = [(pixels(batch), batch["label"], torch.zeros(4, dtype=torch.int64))]
    replayed = seen.gather(old)
    theirs.replay_loader = iter(
        [(pixels(replayed), replayed["label"], torch.zeros(4, dtype=torch.int64), stored_logits(seen.sidecar, old))]
    )
    monkeypatch.setattr(type(theirs), "forward", lambda self: scores_of_pixels(method, self.mb_x))
    monkeypatch.setattr(type(theirs), "backward", lambda self: losses.append(float(self.loss.detach())))
    theirs.training_epoch()
    assert float(ours.detach()) == pytest.approx(losses[0], rel=1e-6)


def scores_of_pixels(method: Any, x: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = method.model.classify(method.model.encode(x))
    return logits
