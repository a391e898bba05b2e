"""Golden vectors of CDvG: losses, StarGAN's networks, LfF's weights, bias assignment and colours, groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics.groups import group_matrix, group_metrics
from holdfast.datasets.cdvg.biases import PALETTE, assign, colour
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.cdvg.lff import sample_weights
from holdfast.methods.losses.gce import gce
from holdfast.methods.losses.ntxent import ntxent
from holdfast.methods.losses.supcon import supcon
from holdfast.methods.losses.views_ce import views_ce
from holdfast.methods.losses.wgan_gp import critic_loss, generator_loss, gradient_penalty
from holdfast.methods.networks.translators import Critic, StarGAN
from torch import Tensor

from .golden_vectors import PRECISIONS, Vectors, folder


def contrasts(g: Vectors) -> None:
    for case, _ in g.groups(r"ntxent/\d+"):
        for dtype, rtol in PRECISIONS:
            z1, z2 = (g.tensor(f"{case}/{name}", dtype).requires_grad_() for name in ("z1", "z2"))
            loss = ntxent(z1, z2, temperature=float(g.get(f"{case}/tau")))
            g.agree(f"{case}/loss", loss, rtol)
            for name, gradient in zip(("grad_z1", "grad_z2"), torch.autograd.grad(loss, (z1, z2)), strict=True):
                g.agree(f"{case}/{name}", gradient, rtol)
    for case, _ in g.groups(r"supcon/\d+"):
        for dtype, rtol in PRECISIONS:
            z = g.tensor(f"{case}/z", dtype).requires_grad_()  # [B, V, d]
            y = g.tensor(f"{case}/y").repeat(z.shape[1])
            loss = supcon(z.transpose(0, 1).flatten(0, 1), y, temperature=float(g.get(f"{case}/tau")))
            g.agree(f"{case}/loss", loss, rtol)
            g.agree(f"{case}/grad_z", torch.autograd.grad(loss, z)[0], rtol)
        g.agree(f"{case}/n_anchors", ((y[:, None] == y).sum(1) > 1).sum())  # rows with another row of their class


def objectives(g: Vectors) -> None:
    for case, _ in g.groups(r"objective/\d+"):
        tau, lam = float(g.get(f"{case}/tau")), float(g.get(f"{case}/lam"))
        for dtype, rtol in PRECISIONS:
            leaves = {n: g.tensor(f"{case}/{n}", dtype).requires_grad_() for n in ("logits1", "logits2", "z1", "z2")}
            ce = views_ce(torch.cat([leaves["logits1"], leaves["logits2"]]), g.tensor(f"{case}/y"))
            con = ntxent(leaves["z1"], leaves["z2"], temperature=tau)
            total = ce + lam * con
            for name, value in (("ce", ce), ("con", con), ("total", total)):
                g.agree(f"{case}/{name}", value, rtol)
            gradients = torch.autograd.grad(total, list(leaves.values()))
            for name, gradient in zip(leaves, gradients, strict=True):
                g.agree(f"{case}/grad_{name}", gradient, rtol)


def _norm(loss: Tensor, net: torch.nn.Module) -> Tensor:
    """L2 norm of the gradient of ``loss`` over all parameters."""
    gradients = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    return torch.stack([v.square().sum() for v in gradients]).sum().sqrt()


def translators(g: Vectors) -> None:
    """Networks with the public code's parameters give its images, loss terms and gradient norms."""
    for case, _ in g.groups(r"stargan/\d+"):
        size = {n: int(g.get(f"{case}/{n}")) for n in ("c_dim", "conv_dim", "g_repeat", "d_repeat", "image_size")}
        weight = {n: float(g.get(f"{case}/{n}")) for n in ("lambda_cls", "lambda_rec", "lambda_gp")}
        parameters = {m.group(2): g.tensor(stem) for stem, m in g.groups(rf"{case}/([GD]\d+)\|[^/]*")}
        for dtype, rtol in PRECISIONS:
            translator = StarGAN(size["c_dim"], size["conv_dim"], size["g_repeat"], 2).to(dtype)
            critic = Critic(size["c_dim"], size["image_size"], size["conv_dim"], size["d_repeat"]).to(dtype)
            for net, letter in ((translator, "G"), (critic, "D")):
                own = [parameters[name] for name in sorted(parameters) if name[0] == letter]
                with torch.no_grad():
                    for p, value in zip(net.parameters(), own, strict=True):
                        assert p.shape == value.shape
                        p.copy_(value)
            x, alpha = g.tensor(f"{case}/x", dtype), g.tensor(f"{case}/alpha", dtype)
            org, trg = g.tensor(f"{case}/y_org"), g.tensor(f"{case}/y_trg")

            def score(z: Tensor, critic: Any = critic) -> Tensor:
                return critic(z)[0]

            src_real, cls_real = critic(x)
            fake = translator(x, trg)
            src_fake, classes = critic_loss(src_real, critic(fake.detach())[0], cls_real, org)
            penalty = gradient_penalty(score, x, fake, alpha)
            d_loss = src_fake + weight["lambda_cls"] * classes + weight["lambda_gp"] * penalty
            rebuilt = translator(fake, org)
            src, cls = critic(fake)
            terms = generator_loss(src, cls, trg, x, rebuilt)
            g_loss = terms[0] + weight["lambda_cls"] * terms[1] + weight["lambda_rec"] * terms[2]
            real = -src_real.mean()
            found = {"x_fake": fake, "x_rec": rebuilt, "d_src_real": src_real, "d_cls_real": cls_real}
            found |= {"d_loss_real": real, "d_loss_fake": src_fake - real, "d_loss_cls": classes, "d_loss_gp": penalty}
            found |= {"d_loss": d_loss, "d_grad_norm": _norm(d_loss, critic)}
            found |= dict(zip(("g_loss_fake", "g_loss_cls", "g_loss_rec"), terms, strict=True))
            found |= {"g_loss": g_loss, "g_grad_norm": _norm(g_loss, translator)}
            for name, value in found.items():
                g.agree(f"{case}/{name}", value, rtol)


def penalties(g: Vectors) -> None:
    """The critic ``<w, x> + |x|²/4`` (the file's README); real and fake are the same, so their shares do not matter."""
    x, w = g.tensor("gp/x"), g.tensor("gp/w")
    share = torch.rand(len(x), 1, 1, 1, generator=torch.Generator().manual_seed(0))
    value = gradient_penalty(lambda z: (z * w + 0.25 * z * z).flatten(1).sum(1), x, x, share)
    g.agree("gp/value", value, 1e-4)


def amplified(g: Vectors) -> None:
    for case, _ in g.groups(r"gce/\d+"):
        for dtype, rtol in PRECISIONS:
            logits = g.tensor(f"{case}/logits", dtype).requires_grad_()
            loss = gce(logits, g.tensor(f"{case}/y"), q=float(g.get(f"{case}/q")))
            g.agree(f"{case}/loss", loss, rtol)
            g.agree(f"{case}/grad_of_mean", torch.autograd.grad(loss.mean(), logits)[0], rtol)


def weights(g: Vectors) -> None:
    y = g.tensor("lff/y")
    alpha = float(g.text(r"LfF sample weighting, alpha=([\d.]+\d)", "LfF sample weighting, alpha=0.7").group(1))
    classes = tuple(range(int(y.max()) + 1))
    table, device = Table({"label": y}), torch.device("cpu")
    view = ExperienceView(0, 1, torch.arange(len(y)), classes, classes, len(classes), len(y), table, 8, 0, device)
    found = []
    for index, biased, debiased in zip(*(g.tensor(f"lff/{n}") for n in ("idx", "loss_b", "loss_d")), strict=True):
        found.append(sample_weights(view, {"index": index, "label": y[index]}, biased, debiased, alpha))
    g.agree("lff/weight", torch.stack(found), 1e-4)
    g.agree("lff/ema_b_final", view.sidecar["lff/biased"], 1e-4)
    g.agree("lff/ema_d_final", view.sidecar["lff/debiased"], 1e-4)


def biases(g: Vectors) -> None:
    palette = g.get("palette")
    g.agree("palette", np.array(PALETTE), 1e-4)
    for case, _ in g.groups(r"assign/\d+"):
        g.agree(f"{case}/bias", assign(g.get(f"{case}/y"), float(g.get(f"{case}/rho")), len(palette)))
    image, bias, noise, std = (g.get(f"colour/{name}") for name in ("image", "bias", "noise", "std"))
    g.agree("colour/out", colour(image, bias, noise, float(std), palette))


def groups(g: Vectors) -> None:
    y, b, predicted = (g.get(f"metric/{name}") for name in ("y", "b", "pred"))
    g.agree("metric/group_acc", group_matrix(y, b, predicted))
    found = group_metrics(y, b, predicted)
    names = {"accuracy": "plain", "group_mean": "unbiased_group_mean"} | {
        name: name for name in ("aligned", "conflict", "worst_group", "conflict_group_mean", "aligned_group_mean")
    }
    for ours, theirs in names.items():
        g.agree(f"metric/{theirs}", found.get(ours, math.nan))
    assert found["gap"] == pytest.approx(found["aligned"] - found["conflict"])


@pytest.mark.golden
def test_every_value_of_cdvg(record_property: Any) -> None:
    g = Vectors(folder() / "cdvg.npz")
    g.run([contrasts, objectives, translators, penalties, amplified, weights, biases, groups])
    record_property("golden", g.close())
