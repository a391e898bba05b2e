"""The baselines: the terms of the auto-encoders, contrastive PCA by its definition, one space for both columns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from holdfast.methods.base import UnfitError
from holdfast.methods.losses.mmd import mmd
from holdfast.methods.sepclr.autoencoder import Latent
from torch import Tensor

from .miniature import method, rows_of_test, source, train


def latents(made: Any, seed: int = 0) -> tuple[Tensor, Latent, Latent, Tensor]:
    batch = rows_of_test()
    x = made.model.inputs(batch)
    c, s = made.latents(x, torch.Generator().manual_seed(seed))
    return x, c, made.salient(s), batch["target"]


def kl(mean: Tensor, log_variance: Tensor) -> float:
    return float(((mean**2 + log_variance.exp() - log_variance - 1) / 2).sum(1).mean())


def test_terms_of_cvae() -> None:
    made = method("cvae").eval()
    with torch.no_grad():
        x, c, s, target = latents(made)
        found = made.terms(x, c, s, target)
        keep = target[:, None].float()
        rebuilt = made.decoder(torch.cat([c.sample, s.sample * keep], 1))
        assert float(found["reconstruction"][1]) == pytest.approx(float((rebuilt - x).square().sum((1, 2, 3)).mean()))
        assert float(found["kl_common"][1]) == pytest.approx(kl(c.mean, c.log_variance), rel=1e-5)
        mine = target == 1
        assert float(found["kl_salient"][1]) == pytest.approx(kl(s.mean[mine], s.log_variance[mine]), rel=1e-5)
        assert set(found) == {"reconstruction", "kl_common", "kl_salient"}


def test_background_is_rebuilt_from_the_common_latent_alone() -> None:
    made = method("cvae")
    x, c, s, target = latents(made)
    loss = made.terms(x, c, s, target)["reconstruction"][1]
    (gradient,) = torch.autograd.grad(loss, s.sample)
    assert float(gradient[target == 0].abs().max()) == 0 < float(gradient[target == 1].abs().min(1).values.max())


def test_terms_of_convae_mm_cvae_and_sepvae() -> None:
    made = method("convae").eval()
    with torch.no_grad():
        x, c, s, target = latents(made)
        mine = target == 1
        pair = made.critic(torch.cat([c.sample, s.sample], 1))[mine, 0]
        weight, term = made.terms(x, c, s, target)["independence"]
        assert weight == 1.0
        assert float(term) == pytest.approx(float(pair.clamp(min=0).mean()), rel=1e-5)
        made = method("mm_cvae").eval()
        x, c, s, target = latents(made)
        found = made.terms(x, c, s, target)
        assert found["match_common"] == (1000.0, mmd(c.sample[~mine], c.sample[mine]))
        assert found["match_null"][0] == 100.0
        made = method("sepvae").eval()
        x, c, s, target = latents(made)
        found = made.terms(x, c, s, target)
        weight, term = found["background_prior"]
        assert weight == 50.0
        assert float(term) == pytest.approx(float(s.mean[~mine].square().sum(1).mean() / 2), rel=1e-5)
        assert torch.allclose(s.log_variance.exp(), torch.tensor(0.1))
    free = method("cvae").eval()
    _, plain = free.latents(x, torch.Generator().manual_seed(0))
    eps = (plain.sample - plain.mean) / (plain.log_variance / 2).exp()
    assert torch.allclose(s.sample - s.mean, math.sqrt(0.1) * eps, atol=1e-5)


def test_one_space_fills_both_columns() -> None:
    for name in ("simclr_like", "supcon_membership", "beta_tcvae"):
        made = method(name)
        train(made)
        found = made.predict(rows_of_test())
        assert torch.equal(found["common"], found["salient"]), name
        assert torch.equal(found["common_code"], found["salient_code"]), name


def test_contrastive_pca_is_its_definition() -> None:
    made = method("contrastive_pca", alpha=0.7)
    train(made)
    table = source().splits["train"]
    x = table.columns["image"].double().flatten(1) / 255  # type: ignore[union-attr]
    target = table.columns["target"]

    def covariance(rows: Tensor) -> Tensor:
        return torch.cov(rows.T, correction=0)

    matrix = covariance(x[target == 1]) - 0.7 * covariance(x[target == 0])
    values, vectors = torch.linalg.eigh(matrix)
    salient, common = made.fitted["salient"], made.fitted["common"]
    for k in range(3):
        v = vectors[:, -1 - k]
        assert abs(float(v @ salient[:, k])) == pytest.approx(1, abs=1e-6)
        assert float(salient[:, k] @ matrix @ salient[:, k]) == pytest.approx(float(values[-1 - k]), rel=1e-6)
    assert float((salient.T @ common).abs().max()) < 1e-8
    assert torch.allclose(common.T @ common, torch.eye(4).double(), atol=1e-8)
    batch = rows_of_test()
    centred = batch["image"].double().flatten(1) / 255 - x.mean(0)
    assert torch.allclose(made.predict(batch)["salient"], (centred @ salient).float(), atol=1e-5)


def test_contrastive_pca_says_what_does_not_fit() -> None:
    with pytest.raises(UnfitError, match="64 x 64"):
        train(method("contrastive_pca", most_inputs=63))
    scaled = method("contrastive_pca", standardise=True)
    train(scaled)
    assert not torch.equal(scaled.fitted["scale"], torch.ones(64).double())
