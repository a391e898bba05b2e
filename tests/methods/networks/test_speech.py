"""Encoders of waveforms: log-mel before the small one, wav2vec 2.0 and HuBERT from a folder; augmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.spoken.features import log_mel
from holdfast.methods.networks import slu, speech
from holdfast.methods.networks.acoustic import load_pretrained

transformers = pytest.importorskip("transformers")


TINY: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 8),
    "conv_stride": (20, 16),
    "conv_kernel": (20, 16),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "layerdrop": 0.0,
}


@pytest.fixture(scope="module", params=["Wav2Vec2", "Hubert"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint with random weights, of the same class as the real one."""
    path = tmp_path_factory.mktemp("encoder") / request.param
    torch.manual_seed(0)
    config = getattr(transformers, f"{request.param}Config")(**TINY)
    getattr(transformers, f"{request.param}Model")(config).save_pretrained(path)
    return path


def waves(lengths: list[int], pad: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    x = torch.zeros(len(lengths), max(lengths) + pad)
    for row, n in enumerate(lengths):
        x[row, :n] = 0.1 * torch.randn(n, generator=g)
    return x, torch.tensor(lengths)


def test_normalisation_over_valid_samples() -> None:
    x, lengths = waves([4000, 1500], pad=500)
    y = speech.normalise(3 * x + 0.5, lengths)
    for row, n in zip(y, lengths.tolist(), strict=True):
        assert row[:n].mean().item() == pytest.approx(0, abs=1e-5)
        assert row[:n].std(correction=0).item() == pytest.approx(1, abs=1e-3)
        assert row[n:].abs().max() == 0
    assert torch.isfinite(speech.normalise(torch.zeros(2, 10), torch.tensor([0, 10]))).all()


@pytest.mark.parametrize("freeze", [True, False])
def test_nothing_is_propagated_back_through_a_frozen_extractor(folder: Path, freeze: bool) -> None:
    encoder = speech.Pretrained(str(folder), freeze_extractor=freeze).train()
    x, _ = waves([3200, 1600])
    assert encoder.net.feature_extractor(x).requires_grad is not freeze


def test_padding_changes_no_row(folder: Path) -> None:
    encoder = speech.Pretrained(str(folder)).eval()
    x, lengths = waves([6400, 3300])
    with torch.no_grad():
        h, n = encoder(x, lengths)
        alone, m = encoder(x[1:, :3300], lengths[1:])
        wide, _ = encoder(torch.nn.functional.pad(x, (0, 4000)), lengths)
    assert n[1] == m[0] == alone.shape[1]
    torch.testing.assert_close(h[1, : n[1]], alone[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(wide[0, : n[0]], h[0, : n[0]], atol=1e-5, rtol=1e-4)


def test_the_extractor_is_frozen_and_the_rest_learns(folder: Path) -> None:
    x, lengths = waves([3200, 3200])
    gradients = []
    for checkpointing in (False, True):
        encoder = speech.Pretrained(str(folder), checkpointing=checkpointing).train()
        h, _ = encoder(x, lengths)
        h.square().mean().backward()
        assert all(p.grad is None for p in encoder.net.feature_extractor.parameters())
        found = {k: p.grad for k, p in encoder.net.encoder.named_parameters() if p.grad is not None}
        assert found
        gradients.append(found)
    for name in gradients[0]:
        torch.testing.assert_close(gradients[0][name], gradients[1][name])
    free = speech.Pretrained(str(folder), freeze_extractor=False)
    assert all(p.requires_grad for p in free.net.feature_extractor.parameters())


def test_loading_moves_no_generator(folder: Path) -> None:
    torch.manual_seed(3)
    speech.Pretrained(str(folder))
    a = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(a, torch.rand(1))


def test_a_wrong_name_is_told() -> None:
    with pytest.raises(OSError, match="no-such-folder"):
        speech.Pretrained("./no-such-folder")


def test_log_mel_of_a_batch_is_that_of_each_row() -> None:
    """The batched frames equal those of the prepared features, whatever the padding."""
    encoder = speech.LogMel(load_pretrained()).eval()
    x, lengths = waves([9000, 5000])
    with torch.no_grad():
        h, n = encoder(x, lengths)
        alone, m = encoder(x[1:, :5000], lengths[1:])
        torch.testing.assert_close(h[1, : n[1]], alone[0, : m[0]], atol=1e-4, rtol=1e-4)
    for row, length in enumerate(lengths.tolist()):
        frames = log_mel(x[row, :length])
        with torch.no_grad():
            direct, k = load_pretrained()(frames[None], torch.tensor([len(frames)]))
        assert k[0] == n[row]
        torch.testing.assert_close(h[row, : n[row]], direct[0], atol=1e-3, rtol=1e-3)


def test_room() -> None:
    x, _ = waves([8000, 4000])
    room = slu.add_room(x, 0.2, generator(0, "b"))
    assert room.shape == x.shape
    assert torch.equal(room, slu.add_room(x, 0.2, generator(0, "b")))
    assert (room - x).norm() > 0.01 * x.norm()


def test_time_masks_take_at_most_half() -> None:
    x = torch.ones(64, 20, 3)
    lengths = torch.randint(1, 21, (64,), generator=torch.Generator().manual_seed(0))
    y = slu.mask_time(x, lengths, 100, 2, generator(0, "m"))
    gone = (y[..., 0] == 0).sum(1)
    assert (gone <= lengths // 2).all()
    assert gone.sum() > 0
    assert y.shape == x.shape
    assert slu.mask_time(x[..., 0], lengths, 5, 1, generator(0, "m")).shape == (64, 20)
