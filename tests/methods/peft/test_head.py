"""The head over cached features."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.methods.peft.head import HeadConfig

from .miniature import built, outputs, prepared, trained


def test_cached_features_train_the_same_head_as_the_encoder_without_dropout() -> None:
    data = prepared(dropout=0.0)
    cached: Any = built("head", data, model={"dropout": 0.0})
    live: Any = built("head", data, model={"dropout": 0.0}, cached=False)
    live.model.encoder.train = lambda mode=True: live.model.encoder
    live.model.dropouts = torch.nn.ModuleList()
    calls = []
    for method in (cached, live):
        encode, count = method.model.encode, [0]

        def counted(batch: Any, mix: Any = None, encode: Any = encode, count: list[int] = count) -> Any:
            count[0] += 1
            return encode(batch, mix)

        method.model.encode = counted
        trained(method, data, epochs=3)
        calls.append(count[0])
    torch.testing.assert_close(outputs(cached, data)["scores"], outputs(live, data)["scores"], atol=1e-4, rtol=0)
    assert calls == [3, 9], "three batches, once; nine steps"


def test_mixup_inside_the_encoder_needs_features_of_every_step() -> None:
    with pytest.raises(ValueError, match="cached: false"):
        HeadConfig(mixup="embedding")
    assert HeadConfig(mixup="embedding", cached=False).mixup == "embedding"
