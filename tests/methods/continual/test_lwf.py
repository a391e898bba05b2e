"""Learning without forgetting: its loss against plain numbers."""

from __future__ import annotations

import math

import pytest
import torch
from holdfast.methods.continual.lwf import LwF
from torch.nn import functional as F

from .miniature import context, made, mixed, scores, view


def test_the_loss_is_that_of_plain_numbers() -> None:
    method = made(LwF, lambda_lwf=0.7, temperature=3.0).eval()
    rows = torch.tensor([17, 25, 30])
    batch = mixed(view(1), rows.tolist(), [])
    assert set(method.training_step(batch, context(view(1)))) == {"loss"}, "there is no teacher yet"
    method.after_experience(view(0))
    with torch.no_grad():
        method.model.head.weight.mul_(1.5)
    teacher = (scores(method, rows) - method.model.head.bias) / 1.5 + method.model.head.bias
    student = scores(method, rows)

    def share(logits: list[float], c: int) -> float:
        return math.exp(logits[c] / 3) / sum(math.exp(logits[k] / 3) for k in (0, 1))

    pairs = zip(teacher.tolist(), student.tolist(), strict=True)
    each = [sum(share(t, c) * math.log(share(t, c) / share(s, c)) for c in (0, 1)) for t, s in pairs]
    expected = float(F.cross_entropy(student, rows // 8).detach()) + 0.7 * 9 * sum(each) / 3
    step = method.training_step(batch, context(view(1)))
    assert float(step["loss"].detach()) == pytest.approx(expected, rel=1e-5)
    assert float(step["loss/distillation"].detach()) > 1e-6
    assert method.cost() == {"teacher_passes": 3.0}
