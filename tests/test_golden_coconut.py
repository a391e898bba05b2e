"""Golden vectors of COCONUT: losses, distillations, herding, SLURP's and continual measures, transcripts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.metrics import continual, speech
from holdfast.datasets.core.transcript import parse, serialise
from holdfast.methods.continual.memory import closest_to_mean, herding
from holdfast.methods.losses.distillation import audio_kd, kd_logits, mix, token_kd, weight_log_ratio
from holdfast.methods.losses.multimodal import multimodal
from holdfast.methods.losses.nspt import nspt
from holdfast.methods.losses.numerics import masked_mean
from holdfast.methods.losses.transcription import transcription

from .golden_vectors import PRECISIONS, Vectors, folder

WHO = {"S": "student", "T": "teacher"}


def distilled_contrast(g: Vectors) -> None:
    for case, _ in g.groups(r"supcon_distill/\d+"):
        y, memory = g.tensor(f"{case}/y"), g.tensor(f"{case}/is_rehearsal").bool()
        g.get(f"{case}/name")
        for stem, _ in g.groups(rf"{case}/results/\d+"):
            said = g.get(f"{stem}/variant")  # N?P?: where negatives and positives come from
            options: dict[str, Any] = {
                name: g.get(f"{stem}/{name}") for name in ("denominator", "include_self_positive", "normalize")
            }
            options |= {"temperature": g.get(f"{case}/tau"), "negatives": WHO[said[1]], "positives": WHO[said[3]]}
            for dtype, rtol in PRECISIONS:
                student = g.tensor(f"{case}/student", dtype).requires_grad_()
                teacher = g.tensor(f"{case}/teacher", dtype)
                loss = nspt(student, teacher, y, memory, **options)
                g.agree(f"{stem}/loss_mean", loss, rtol)
                if g.has(f"{stem}/grad_student"):
                    g.agree(f"{stem}/grad_student", torch.autograd.grad(loss, student)[0], rtol)
            with torch.no_grad():
                mean = nspt(student.double(), teacher.double(), y, memory, **options)
                total = nspt(student.double(), teacher.double(), y, memory, reduction="sum", **options)
            counted(g, f"{stem}/n_anchors", float(mean), float(total))


def counted(g: Vectors, name: str, mean: float, total: float) -> None:
    """Anchors are the sum over the mean; a mean of 0 says no more than a sum of 0."""
    wanted = g.entries[name]
    g.agree(name, round(total / mean) if mean else (wanted if total == 0 else -1))


def audio_and_text(g: Vectors) -> None:
    for case, _ in g.groups(r"multimodal/\d+"):
        y, memory = g.tensor(f"{case}/y"), g.tensor(f"{case}/is_rehearsal").bool()
        for name in ("name", "text_shared_per_class"):
            g.get(f"{case}/{name}")
        for stem, _ in g.groups(rf"{case}/results/\d+"):
            options: dict[str, Any] = {"temperature": g.get(f"{case}/tau"), "anchors": g.get(f"{stem}/anchors")}
            for dtype, rtol in PRECISIONS:
                audio, text = (g.tensor(f"{case}/{name}", dtype).requires_grad_() for name in ("audio", "text"))
                loss = multimodal(audio, text, y, memory, **options)
                g.agree(f"{stem}/loss_mean", loss, rtol)
                if g.has(f"{stem}/grad_audio"):
                    gradients = torch.autograd.grad(loss, (audio, text))
                    for name, gradient in zip(("grad_audio", "grad_text"), gradients, strict=True):
                        g.agree(f"{stem}/{name}", gradient, rtol)
            with torch.no_grad():
                mean = multimodal(audio.double(), text.double(), y, memory, **options)
                total = multimodal(audio.double(), text.double(), y, memory, reduction="sum", **options)
            counted(g, f"{stem}/n_anchors", float(mean), float(total))


def decoder_losses(g: Vectors) -> None:
    for case, _ in g.groups(r"decoder_losses/\d+"):
        y, pad = g.tensor(f"{case}/target"), g.get(f"{case}/pad")
        length = (y != pad).sum(1)
        for dtype, rtol in PRECISIONS:
            s, t = (g.tensor(f"{case}/{who}_logits", dtype) for who in ("student", "teacher"))
            rows = [(s[i : i + 1], t[i : i + 1], y[i : i + 1]) for i in range(len(y))]
            ce = torch.stack([transcription(a, c, pad_id=pad) for a, _, c in rows]) * length
            kd = torch.stack([token_kd(a, b, c, pad_id=pad, reduction="sum") for a, b, c in rows])
            found = {
                "ce_token_mean": transcription(s, y, pad_id=pad),
                "ce_token_mean_including_pad": transcription(s, y, pad_id=pad, include_pad=True),
                "ce_per_sequence_sum": ce,
                "tok_kd_cross_entropy_token_mean": token_kd(s, t, y, pad_id=pad),
                "tok_kd_kl_token_mean": token_kd(s, t, y, pad_id=pad, form="kl"),
                "tok_kd_cross_entropy_per_sequence_sum": kd,
            }
            for name, value in found.items():
                g.agree(f"{case}/{name}", value, rtol)


def frames(g: Vectors) -> None:
    for case, _ in g.groups(r"audio_kd_and_pooling/\d+"):
        for dtype, rtol in PRECISIONS:
            s, t = (g.tensor(f"{case}/{who}", dtype) for who in ("student", "teacher"))
            mask = torch.arange(s.shape[1]) < g.tensor(f"{case}/lengths")[:, None]
            every = torch.ones_like(mask)
            g.agree(f"{case}/mse_valid_frames", audio_kd(s, t, mask), rtol)
            g.agree(f"{case}/mse_all_frames", audio_kd(s, t, every), rtol)
            g.agree(f"{case}/masked_mean_pool_student", masked_mean(s, mask), rtol)
            g.agree(f"{case}/plain_mean_pool_student", masked_mean(s, every), rtol)


def logit_distillation(g: Vectors) -> None:
    for case, _ in g.groups(r"kd_logits/\d+"):
        tau, alpha = g.get(f"{case}/tau"), g.get(f"{case}/alpha")
        for dtype, rtol in PRECISIONS:
            s, t = (g.tensor(f"{case}/{who}_logits", dtype) for who in ("student", "teacher"))
            kd, current = kd_logits(s, t, temperature=tau), g.tensor(f"{case}/current_loss", dtype)
            weights = {"all_data": weight_log_ratio(t.shape[1], s.shape[1]), "rehearsal_only": alpha}
            for form, weight in weights.items():
                for name, keep in (("single", False), ("with_feature_kd", True)):
                    g.agree(f"{case}/{form}/{name}", mix(current, kd, weight, keep_current=keep), rtol)


def selections(g: Vectors) -> None:
    for case, _ in g.groups(r"herding/\d+"):
        features, y = g.tensor(f"{case}/features", torch.float64), g.tensor(f"{case}/y")
        for choose, name in ((herding, "barycenter"), (closest_to_mean, "closest_to_mean")):
            rows = [(y == c).nonzero().flatten() for c in y.unique()]
            chosen = [own[choose(features[own], g.get(f"{case}/per_class"))] for own in rows]
            g.agree(f"{case}/{name}", torch.cat(chosen))


def slurp(g: Vectors) -> None:
    found = speech.score_release(g.get("slurp_metrics/gold"), g.get("slurp_metrics/predictions"))
    for stem, m in g.groups(r"slurp_metrics/results/([^/]+)"):
        g.tree_agrees(stem, found[m.group(2)])


def continual_measures(g: Vectors) -> None:
    for case, _ in g.groups(r"cl_metrics/\d+"):
        matrix, n, wer = (g.get(f"{case}/{name}") for name in ("acc_matrix", "n_test", "wer_after_task"))
        cells = {(t, j): (v, n[j]) for t, row in enumerate(matrix) for j, v in enumerate(row) if v is not None}
        found = continual.summary(cells)
        names = {"avg_acc": "average", "last_acc": "last", "bwt": "bwt", "forgetting": "forgetting"}
        for theirs, ours in names.items():
            g.agree(f"{case}/{theirs}", found[ours])
        g.agree(f"{case}/acc_seen_after_task", np.array([continual.pooled(cells, t) for t in range(len(matrix))]))
        errors = {(t, 0): (v, 1) for t, v in enumerate(wer)}  # of all test sets so far, after each experience
        g.agree(f"{case}/avg_wer", continual.summary(errors, higher_is_better=False)["average"])


def transcripts(g: Vectors) -> None:
    for case, _ in g.groups(r"extended_transcript/\d+"):
        found = parse(g.get(f"{case}/text"))
        entities = [{"type": kind, "filler": filler} for kind, filler in found.entities]
        parts = {"scenario": found.scenario, "action": found.action, "entities": entities, "transcript": found.words}
        g.tree_agrees(f"{case}/parsed", parts)
        g.agree(f"{case}/text", serialise(found.scenario, found.action, found.entities, found.words))


@pytest.mark.golden
def test_every_value_of_coconut(record_property: Any) -> None:
    g = Vectors(folder() / "coconut.json")
    g.run([distilled_contrast, audio_and_text, decoder_losses, frames, logit_distillation, selections])
    g.run([slurp, continual_measures, transcripts])
    record_property("golden", g.close())
