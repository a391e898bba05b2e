"""The acoustic encoder and its shipped weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.spoken.corpus import SYMBOLS, spoken
from holdfast.methods.networks import acoustic
from holdfast.suites.runtime.pretrain_acoustic import frame_accuracy


def test_shipped_encoder_hears_unseen_voices_and_sentences() -> None:
    rows = [
        u
        for u in coconut_slurp.utterances(coconut_slurp.Config(n_train=1, n_valid=1, n_test=2, seed=77))
        if u.split == "test"
    ]
    features, labels = spoken(rows, key={"kind": "test-phones"}, labels=True)
    assert labels is not None
    assert frame_accuracy(acoustic.load_pretrained(), features, labels) >= 0.85
    assert len(SYMBOLS) == acoustic.PHONES
    assert acoustic.WEIGHTS.stat().st_size <= 2 * 2**20


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(acoustic.WEIGHTS.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="damaged"):
        acoustic.load_pretrained(tmp_path / "w.safetensors")


def test_padding_changes_no_row_of_the_encoder() -> None:
    model = acoustic.load_pretrained()
    x = torch.randn(2, 31, 40)
    with torch.no_grad():
        alone, n = model(x[:1, :17], torch.tensor([17]))
        padded = x.clone()
        padded[0, 17:] = 0
        together, m = model(padded, torch.tensor([17, 31]))
    assert int(n[0]) == int(m[0]) == 5
    assert torch.allclose(alone[0], together[0, :5], atol=1e-5)
