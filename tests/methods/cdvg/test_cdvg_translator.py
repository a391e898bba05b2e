"""CDvG's translator inside the method: its average, its levers, its patches."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.methods.base import StepContext
from holdfast.methods.cdvg.cdvg import Cdvg, CdvgConfig

from .miniature import make_model, run_method, view_of


def test_the_average_follows_the_weights_and_translates(source: Any) -> None:
    view = view_of(source)
    method = Cdvg(CdvgConfig(width=8, critic_width=8, n_critic=1, ema=0.5), make_model(source))
    method.before_experience(view)
    optimizers = {
        name: torch.optim.Adam(s.parameters, **s.arguments)
        for name, s in (method.stages(view)[0].optimizers or {}).items()
    }
    want = [p.clone() for p in method.translator.parameters()]
    steps = 0
    for update in method.translator_step(
        next(view.batches()), StepContext(view, "translator", 0, 0, generator(0, "a"))
    ):
        optimizers[update.optimizer].zero_grad()
        update.loss.backward()
        optimizers[update.optimizer].step()
        if update.optimizer == "translator":
            steps += 1
            d = min(0.5, (1 + steps) / (10 + steps))
            want = [d * a + (1 - d) * p.detach() for a, p in zip(want, method.translator.parameters(), strict=True)]
    assert steps == 2
    assert method.average is not None
    for a, b in zip(want, method.average.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    x, mode = torch.rand(2, 3, 8, 8) * 2 - 1, torch.tensor([0, 1])
    assert torch.equal(method.translate(x, mode), method.average(x, mode))
    assert not torch.equal(method.translate(x, mode), method.translator(x, mode))


def test_levers_are_saved_and_the_default_carries_nothing_of_them(source: Any) -> None:
    plain = Cdvg(CdvgConfig(width=8, critic_width=8), make_model(source))
    assert not [name for name in plain.state_dict() if name.startswith(("content_classifier", "average"))]
    config = CdvgConfig(width=8, critic_width=8, translator_epochs=1, ema=0.9, lambda_content=1.0)
    method = Cdvg(config, make_model(source))
    run_method(method, view_of(source))
    again = Cdvg(config, make_model(source), seed=7)
    again.load_state_dict(copy.deepcopy(method.state_dict()))
    x, mode = torch.rand(2, 3, 8, 8) * 2 - 1, torch.tensor([0, 1])
    assert torch.equal(again.translate(x, mode), method.translate(x, mode))
    assert again.content_classifier is not None
    assert method.content_classifier is not None
    assert torch.equal(again.content_classifier(x), method.content_classifier(x))


def test_patches_must_fit_the_image(source: Any) -> None:
    with pytest.raises(ValueError, match="cannot be cut into patches of 3 px"):
        Cdvg(CdvgConfig(critic_hides="shuffle", patch=3), make_model(source))
