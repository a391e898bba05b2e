"""Golden vectors of decoding: rules of contrast, scores of answers, SimCTG and its search, RankGen, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from holdfast.methods.decoding.dola import picked
from holdfast.methods.decoding.search import contrastive_search
from holdfast.methods.losses.affine_calibration import affine_calibration
from holdfast.methods.losses.choice_score import choice_score
from holdfast.methods.losses.contrast import (
    adacad_scores,
    cad_scores,
    cd_scores,
    lol_scores,
    m3id_scores,
    plausible,
    ritual_scores,
    steer_scores,
    vdd_scores,
)
from holdfast.methods.losses.diffusion_noise import diffusion_scales
from holdfast.methods.losses.divergence import js_divergence
from holdfast.methods.losses.infonce import infonce
from holdfast.methods.losses.simctg import degeneration_scores, simctg_contrastive
from holdfast.methods.networks.branches import Branch
from holdfast.methods.networks.language import Step, next_token_loss
from torch import Tensor
from torch.nn import functional as F

from .golden_decoding_world import SECTIONS
from .golden_vectors import PRECISIONS, Vectors, folder


def contrasts(g: Vectors) -> None:
    alpha, beta, tau = g.tensor("contrast/alpha_beta_tau").tolist()
    for dtype, rtol in PRECISIONS:
        expert, amateur, second, positive = (
            g.tensor(f"contrast/{name}", dtype) for name in ("expert", "amateur", "second", "positive")
        )
        g.agree("contrast/keep", plausible(expert, beta))
        g.agree("contrast/cd", cd_scores(expert, amateur, tau, beta), rtol)
        g.agree("contrast/vcd", cad_scores(expert, amateur, alpha, beta), rtol)
        g.agree("contrast/cad", cad_scores(expert, amateur, alpha).log_softmax(-1), rtol)
        g.agree("vdd/scores_two_branches", vdd_scores(expert, [amateur, second], alpha, beta), rtol)
        m3id = [m3id_scores(expert, amateur, int(t), beta) for t in g.tensor("m3id/t")]
        g.agree("m3id/scores", torch.stack(m3id), rtol)
        low, amateur_low = (g.tensor(f"lol_own/{name}", dtype) for name in ("expert_low", "amateur_low"))
        omega = float(g.tensor("lol_own/omega"))
        g.agree("lol_own/scores", lol_scores(expert, amateur, low, amateur_low, omega, beta), rtol)
        for name, m in g.groups(r"ritual/scores_alpha([\d.]+)"):
            g.agree(name, ritual_scores(expert, positive, float(m.group(2)), beta), rtol)
        divergence = js_divergence(expert, amateur)
        g.agree("adacad/jsd_rows", divergence, rtol)
        g.agree("adacad/jsd_official_batched", divergence.mean(), rtol)  # the defect: one number for all rows
        g.agree("adacad/scores", adacad_scores(expert, amateur, divergence).log_softmax(-1), rtol)
        for name, m in g.groups(r"adacad/scores_threshold_([\d.]+)"):
            found = adacad_scores(expert, amateur, divergence, float(m.group(2)))
            g.agree(name, found.log_softmax(-1), rtol)
        gamma, eta = g.tensor("steer/gamma_eta").tolist()
        tuned, base, negative = (g.tensor(f"steer/{name}", dtype) for name in ("finetuned", "base", "negative"))
        g.agree("steer/scores", steer_scores(tuned, base, negative, gamma, eta), rtol)


def layers(g: Vectors) -> None:
    """DoLa and ICD: which layer is picked, and what the public codes' scoring says of a continuation."""
    begin, ids = int(g.tensor("dola/prefix_len")), g.tensor("dola/ids")[0]
    implausible = g.tensor("dola/ids_last_token_implausible")[0]
    said = slice(begin - 1, -1)  # the rows that predict the continuation
    for dtype, rtol in PRECISIONS:
        logits = g.tensor("dola/layer_logits", dtype)[:, 0]
        final, early = logits[-1], logits[:-1]
        g.agree("dola/js_textbook", torch.stack([js_divergence(final, e) for e in early]), rtol)
        reversed_ = torch.stack([js_divergence(final, e, "reversed") for e in early])
        g.agree("dola/js_official_reversed_mean_over_V", reversed_, rtol)
        counts = torch.bincount(reversed_[:, said].argmax(0), minlength=len(early))
        g.agree("dola/official_layer_counts", counts)
        premature = picked(final, dict(enumerate(early)), "official")
        amateur, evil = g.tensor("icd/amateur_logits", dtype)[0], g.tensor("icd/evil_logits", dtype)[0]
        shift = len(g.tensor("icd/evil_ids")[0]) - len(ids)  # the prompt that asks for falsehoods is longer
        pairs = {
            "dola/official_lm_score": (premature[said], ids, 0.1),
            "dola/official_lm_score_nomask": (premature[said], ids, None),
            "dola/official_implausible": (premature[said], implausible, 0.1),
            "icd/official_implausible": (amateur[said], implausible, 0.1),
        }
        for _, m in g.groups(r"dola/official_static_layer(\d+)_post_softmax_(?:True|False)"):
            pairs[f"dola/official_static_layer{m.group(2)}"] = (early[int(m.group(2))][said], ids, 0.1)
        for _, m in g.groups(r"icd/official_(amateur|prompt)_relative_top_([\d.]+)_post_softmax_(?:True|False)"):
            other = amateur[said] if m.group(2) == "amateur" else evil[begin - 1 + shift : -1]
            pairs[f"icd/official_{m.group(2)}_relative_top_{m.group(3)}"] = (other, ids, float(m.group(3)))
        for name, (other, tokens, beta) in pairs.items():
            for renormalise in (True, False):
                entry = f"{name}_post_softmax_{renormalise}"
                found = choice_score(final[said], other, tokens[begin:], keep_beta=beta, renormalise=renormalise)
                g.agree(entry, found, rtol)


def simctg(g: Vectors) -> None:
    mask, labels = g.tensor("simctg/input_ids") != 0, g.tensor("simctg/labels")
    for dtype, rtol in PRECISIONS:
        logits = g.tensor("simctg/logits", dtype)
        g.agree("simctg/mle_loss", F.cross_entropy(logits.flatten(0, 1), labels.flatten()), rtol)
        before = torch.cat([torch.zeros_like(labels[:, :1]), labels], 1)  # ours shifts: labels come one later
        shifted = torch.cat([logits, logits[:, :1]], 1)
        g.agree("simctg/mle_loss", next_token_loss(shifted, before.clamp(min=0), before != -100), max(rtol, 1e-6))
        for name, m in g.groups(r"simctg/contrastive_loss_margin_([\d.]+)"):
            hidden = g.tensor("simctg/hidden", dtype).requires_grad_()
            loss = simctg_contrastive(hidden, mask, float(m.group(2)))
            g.agree(name, loss, rtol)
            loss.backward()
            g.agree("simctg/grad_hidden", hidden.grad, rtol)
        hidden = g.tensor("simctg/hidden", dtype)
        margins = g.tensor("simctg/contrastive_loss_all_margins")[:, 0]
        found = [[float(margin), float(simctg_contrastive(hidden, mask, float(margin)))] for margin in margins]
        g.agree("simctg/contrastive_loss_all_margins", torch.tensor(found, dtype=torch.float64), rtol)


@dataclass(frozen=True)
class _Sums:
    """Sum [B, d] of the embeddings read, and how many, [B]."""

    total: Tensor
    count: Tensor

    def select(self, rows: Tensor) -> _Sums:
        return _Sums(self.total[rows], self.count[rows])


class _Mean:
    """hidden_t = tanh(e_t U + mean(e_1..e_t) Wc), logits = hidden Out."""

    def __init__(self, g: Vectors) -> None:
        self.emb, self.u, self.wc, self.out = (g.tensor(f"csearch/{name}") for name in ("emb", "U", "Wc", "Out"))

    def step(self, tokens: Tensor, mask: Tensor, cache: Any = None, prefix: Any = None, layers: Any = ()) -> Step:
        e = self.emb[tokens] * mask[..., None]
        total = e.cumsum(1) if cache is None else cache.total[:, None] + e.cumsum(1)
        count = mask.cumsum(1) if cache is None else cache.count[:, None] + mask.cumsum(1)
        hidden = torch.tanh(e @ self.u + total / count.clamp(min=1)[..., None] @ self.wc)
        return Step(hidden @ self.out, hidden, _Sums(total[:, -1], count[:, -1]))


def search(g: Vectors) -> None:
    prefix, wanted = g.tensor("csearch/prefix"), g.get("csearch/official_sequences")
    model: Any = _Mean(g)
    found = []
    for k, alpha in g.tensor("csearch/k_alpha").tolist():
        branch = Branch(model, prefix, torch.ones_like(prefix, dtype=torch.bool), keep_hidden=True)
        length = wanted.shape[1] - prefix.shape[1]
        made = contrastive_search(branch, length, int(k), alpha, eos=-1, pad=0)
        found.append(torch.cat([prefix, made.tokens], 1)[0])
    g.agree("csearch/official_sequences", torch.stack(found))
    context, tried = g.tensor("csearch/rank_context"), g.tensor("csearch/rank_next")
    p = g.tensor("csearch/rank_probs")
    mask = torch.ones(context.shape[:2], dtype=torch.bool)
    for name, m in g.groups(r"csearch/rank_selected_alpha_([\d.]+)"):
        scores = degeneration_scores(context, mask, tried, p.flatten()[:, None], float(m.group(2)))
        g.agree(name, scores.view(p.shape).argmax(1))


def calibration(g: Vectors) -> None:
    labels = g.tensor("calib/labels")
    for dtype, rtol in PRECISIONS:
        p, free = g.tensor("calib/probs", dtype), g.tensor("calib/p_content_free", dtype)
        q = affine_calibration(p, free)
        g.agree("calib/official_diagonal_W_probs", q, rtol)
        g.agree("calib/official_diagonal_W_accuracy", (q.argmax(1) == labels).double().mean())
        g.agree("calib/identity_W_scores_before_normalising", affine_calibration(p, free, "identity"), rtol)
    scales = torch.stack(diffusion_scales(g.tensor("vcd_noise/steps")), 1)
    g.agree("vcd_noise/signal_and_noise_scale", scales)


def rankgen(g: Vectors) -> None:
    for dtype, rtol in PRECISIONS:
        prefix = g.tensor("rankgen_own/prefix", dtype).requires_grad_()
        continuation, generated = (g.tensor(f"rankgen_own/{name}", dtype) for name in ("continuation", "generated"))
        total = infonce(prefix, continuation, generated, reduction="sum")
        total.backward()
        g.agree("rankgen_own/loss_sum", total, rtol)
        g.agree("rankgen_own/grad_prefix_of_sum", prefix.grad, rtol)
        g.agree("rankgen_own/loss_mean", infonce(prefix, continuation, generated), rtol)
        g.agree("rankgen_own/loss_mean_inbook_only", infonce(prefix, continuation), rtol)


@pytest.mark.golden
def test_every_value_of_decoding(record_property: Any) -> None:
    g = Vectors(folder() / "decoding.npz")
    g.run((contrasts, layers, simctg, search, calibration, rankgen, *SECTIONS))
    record_property("golden", g.close())
