"""COCONUT's audio-text loss against plain loops and its closed form."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from holdfast.methods.losses.multimodal import multimodal

from .cases import batch, random_case


def test_multimodal_equals_plain_loops() -> None:
    r = random.Random(2)
    for number in range(240):
        audio, text, y, memory = random_case(r)
        anchors: Any = ("new", "all")[number % 2]
        a, b = (x / x.norm(dim=1, keepdim=True) for x in (audio, text))
        n, total, count = len(y), 0.0, 0
        for k in range(n):
            if anchors == "new" and memory[k]:
                continue
            positive = [p for p in range(n) if y[p] == y[k]]
            for u, v in ((a, b), (b, a)):
                bottom = math.log(sum(math.exp(float(u[k] @ v[i]) / 0.2) for i in range(n)))
                total += sum(bottom - float(u[k] @ v[p]) / 0.2 for p in positive) / len(positive)
            count += 1
        loss = multimodal(
            audio.requires_grad_(), text, torch.tensor(y), torch.tensor(memory), temperature=0.2, anchors=anchors
        )
        assert loss.item() == pytest.approx(total / count if count else 0.0, rel=1e-9, abs=1e-12)
        loss.backward()


def test_shared_text_vectors_give_the_closed_form() -> None:
    audio, _, y, memory = batch()
    classes = torch.nn.functional.normalize(
        torch.randn(5, 6, generator=torch.Generator().manual_seed(3)).double(), dim=1
    )
    a = torch.nn.functional.normalize(audio, dim=1)
    both = multimodal(audio, classes[y], y, memory, temperature=0.2).item()
    counts = y.bincount()
    forward = -(a * classes[y]).sum(1) / 0.2 + ((a @ classes.T / 0.2).exp() * counts).sum(1).log()
    similarity = classes[y] @ a.T / 0.2
    same = y[:, None] == y[None]
    backward = -(similarity.log_softmax(1) * same / same.sum(1, keepdim=True)).sum(1)
    assert both == pytest.approx((forward + backward)[~memory].mean().item(), rel=1e-12)
