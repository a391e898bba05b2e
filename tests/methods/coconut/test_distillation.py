"""COCONUT and its distillations inside a step of the real model, and what must hold of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Annotation, Source, SpeechInfo
from holdfast.datasets.core.table import Ragged, Table
from holdfast.datasets.core.transcript import PAD_ID
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import StepContext
from holdfast.methods.coconut.coconut import Coconut
from holdfast.methods.coconut.distillation import Distillation
from holdfast.methods.continual.er import ER
from holdfast.methods.losses.distillation import weight_log_ratio
from holdfast.methods.losses.transcription import transcription
from holdfast.methods.networks import slu

KINDS = ("audio_kd", "text_kd", "token_kd", "seq_kd", "logit_kd")


def source(n: int = 24) -> Source:
    """Random features with sentences of four classes, two intents each."""
    g = generator(0, "source")
    texts = []
    for i in range(n):
        c = i % 4
        texts.append(Annotation(str(i), f"s{c}", f"a{i % 8 // 4}", f"w{i % 5} w{i % 3} w{c}"))
    intents = sorted({f"{t.scenario}_{t.action}" for t in texts})
    lengths = torch.randint(5, 12, (n,), generator=g).tolist()
    columns: dict[str, torch.Tensor | Ragged] = {
        "features": Ragged.from_list([torch.randn(k, 128, generator=g) for k in lengths]),
        "label": torch.tensor([i % 4 for i in range(n)]),
        "intent": torch.tensor([intents.index(f"{t.scenario}_{t.action}") for t in texts]),
    }
    return Source(
        {"train": Table(columns)},
        [f"s{c}" for c in range(4)],
        SpeechInfo(annotations={"train": texts}, intents=tuple(intents)),
        "stand-in",
        "0",
    )


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> tuple[slu.Config, Source]:
    config = slu.Config(
        d_model=16,
        heads=2,
        encoder_layers=1,
        decoder_layers=1,
        feedforward=16,
        dropout=0.0,
        time_mask=0,
        subsample=1,
        max_length=6,
    )
    monkeypatch.setattr(
        slu, "_encode", lambda features, encoder: features
    )  # the features are the encoder's outputs already
    return config, slu.prepare(config, source())


def make(kind: type[ER], data: tuple[slu.Config, Source], **fields: Any) -> tuple[Any, ExperienceView, dict[str, Any]]:
    """A method in its second experience with memory and teacher, and a batch of old and new rows."""
    config, prepared = data
    torch.manual_seed(0)
    model = slu.build(config, prepared.info, 0)
    method = kind(kind.Config(memory_share=None, memory_rows=4, **fields), model, 0)
    table = prepared.splits["train"]
    labels = table.columns["label"]
    assert isinstance(labels, torch.Tensor)

    def view(number: int, classes: tuple[int, ...]) -> ExperienceView:
        rows = torch.isin(labels, torch.tensor(classes)).nonzero().flatten()
        return ExperienceView(
            number,
            2,
            rows,
            classes,
            tuple(range(classes[0])),
            4,
            len(labels),
            table,
            8,
            0,
            torch.device("cpu"),
            memory=method.memory(),
        )

    first = view(0, (0, 1))
    method.before_experience(first)
    method.after_experience(first)
    second = view(1, (2, 3))
    method.before_experience(second)
    method.train()
    rows = torch.cat([method.memory(), second.index[:5]])
    batch = table.gather(rows)
    batch["is_memory"] = torch.arange(len(rows)) < len(method.memory())
    return method, second, batch


def step(method: Any, view: ExperienceView, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = method.training_step(
        dict(batch), StepContext(view, "train", 0, 0, generator(0, "augment"))
    )
    return found


def test_with_nothing_on_it_is_replay(data: tuple[slu.Config, Source]) -> None:
    losses = [step(*make(kind, data))["loss"] for kind in (ER, Distillation)]
    assert torch.equal(*losses)


@pytest.mark.parametrize("name", KINDS)
def test_each_distillation_in_a_step(name: str, data: tuple[slu.Config, Source]) -> None:
    method, view, batch = make(Distillation, data, **{name: True})
    logs = step(method, view, batch)
    assert torch.isfinite(logs[f"loss/{name}"])
    if name in ("audio_kd", "text_kd", "logit_kd"):  # the student still is the teacher
        assert logs[f"loss/{name}"].item() == pytest.approx(0, abs=1e-9)
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    logs = step(method, view, batch)
    assert logs[f"loss/{name}"].item() > 0
    logs["loss"].backward()
    assert all(p.grad is None for p in (method.teacher.module.parameters() if method.teacher.taken else ()))
    batch["is_memory"][:] = False  # no old row: nothing to distil
    assert f"loss/{name}" not in step(method, view, batch)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("weight", ["class_ratio", "sqrt_batch", "log_ratio", 0.3])
def test_every_weight(name: str, weight: Any, data: tuple[slu.Config, Source]) -> None:
    method, view, batch = make(Distillation, data, kd_weight=weight, **{name: True})
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    logs = step(method, view, batch)
    w = {
        "class_ratio": 0.5,
        "sqrt_batch": (float(batch["is_memory"].sum()) / len(batch["is_memory"])) ** 0.5,
        "log_ratio": weight_log_ratio(2, 4),
        0.3: 0.3,
    }[weight]
    rest = 1 - w if weight in ("sqrt_batch", "log_ratio") else 1.0
    assert logs["loss"].item() == pytest.approx(
        rest * logs["loss/asr"].item() + w * logs[f"loss/{name}"].item(), rel=1e-5
    )


def test_token_kd_in_kl_form_is_zero_for_equal_models(data: tuple[slu.Config, Source]) -> None:
    method, view, batch = make(Distillation, data, token_kd=True, token_form="kl")
    assert step(method, view, batch)["loss/token_kd"].item() == pytest.approx(0, abs=1e-6)


def test_seq_kd_on_true_transcripts_is_the_transcription_loss(data: tuple[slu.Config, Source]) -> None:
    """The student is trained on what the teacher would have written."""
    method, view, batch = make(Distillation, data, seq_kd=True)
    old = batch["is_memory"]
    rows, tokens = batch["index"][old], batch["tokens"][old]
    method.hypotheses.tokens = {int(r): t[t != PAD_ID] for r, t in zip(rows, tokens, strict=True)}
    h, mask = method.model.encode(batch)
    expected = transcription(method.model.logits(h[old], mask[old], tokens), tokens[:, 1:])
    assert step(method, view, batch)["loss/seq_kd"].item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("refresh", [True, False])
def test_hypotheses_follow_the_memory(refresh: bool, data: tuple[slu.Config, Source]) -> None:
    method, view, _ = make(Distillation, data, seq_kd=True, skd_refresh=refresh)
    before = dict(method.hypotheses.tokens)
    assert set(before) == set(method.memory().tolist())
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(torch.randn_like(p))
    method.after_experience(view)
    assert set(method.hypotheses.tokens) == set(method.memory().tolist())
    same = [torch.equal(before[r], method.hypotheses.tokens[r]) for r in before]
    assert all(same) != refresh
    again, *_ = make(Distillation, data, seq_kd=True)
    again.load_state_dict(method.state_dict())
    assert {r: t.tolist() for r, t in again.hypotheses.tokens.items()} == {
        r: t.tolist() for r, t in method.hypotheses.tokens.items()
    }


def test_coconut_with_seq_kd_adds_all_terms(data: tuple[slu.Config, Source]) -> None:
    method, view, batch = make(Coconut, data, seq_kd=True, projection=8, lambda_mm=0.1, lambda_nspt="auto")
    logs = step(method, view, batch)
    total = logs["loss/asr"] + 0.1 * logs["loss/mm"] + 0.5 * logs["loss/nspt"] + 0.5 * logs["loss/seq_kd"]
    assert logs["loss"].item() == pytest.approx(total.item(), rel=1e-6)


def test_teacher_moves_with_the_method(data: tuple[slu.Config, Source]) -> None:
    method, *_ = make(Distillation, data, audio_kd=True)
    method.to(torch.float64)
    assert {p.dtype for p in method.teacher.module.parameters()} == {torch.float64}


@pytest.mark.parametrize("lambda_mm", [0.0, 0.1])
def test_mm_trains_the_projections_in_the_first_experience(lambda_mm: float, data: tuple[slu.Config, Source]) -> None:
    """The teacher's projection must mean something when NSPT starts."""
    method, *_ = make(Coconut, data, projection=8, lambda_mm=lambda_mm)
    table = data[1].splits["train"]
    labels = table.columns["label"]
    assert isinstance(labels, torch.Tensor)
    rows = (labels < 2).nonzero().flatten()
    first = ExperienceView(0, 2, rows, (0, 1), (), 4, len(labels), table, 8, 0, torch.device("cpu"))
    batch = table.gather(rows[:8])
    batch["is_memory"] = torch.zeros(8, dtype=torch.bool)
    before = [p.clone() for p in (method.project_audio.weight, method.project_text.weight)]
    optimizer = torch.optim.AdamW(method.parameters(), lr=0.01)
    step(method, first, batch)["loss"].backward()
    optimizer.step()
    moved = [
        not torch.equal(a, b)
        for a, b in zip(before, (method.project_audio.weight, method.project_text.weight), strict=True)
    ]
    assert moved == [lambda_mm > 0] * 2


def test_decoding_does_not_depend_on_the_projections(data: tuple[slu.Config, Source]) -> None:
    method, _, batch = make(Coconut, data, projection=8)
    method.eval()
    tokens = method.predict(batch)["tokens"]
    with torch.no_grad():
        method.project_audio.weight.normal_()
        method.project_text.weight.normal_()
    assert torch.equal(tokens, method.predict(batch)["tokens"])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((6, 6, 6), (0, 1 / 2, 2 / 3)),
        ((3,) * 6, (0, 1 / 2, 2 / 3, 3 / 4, 4 / 5, 5 / 6)),
        ((11, 10, 10), (0, 11 / 21, 21 / 31)),
        ((6, 5, 5, 5, 5, 5), (0, 6 / 11, 11 / 16, 16 / 21, 21 / 26, 26 / 31)),
    ],
    ids=["SLURP-3", "SLURP-6", "FSC-3", "FSC-6"],
)
def test_lambda_nspt_and_class_splits(
    sizes: tuple[int, ...], expected: tuple[float, ...], data: tuple[slu.Config, Source]
) -> None:
    """The schedule L_p / (L_p + L_n), and disjoint, complete groups of these sizes."""
    from holdfast.datasets.core.streams import class_groups

    method, *_ = make(Coconut, data, projection=8)
    groups = class_groups([f"c{i:02d}" for i in range(sum(sizes))], len(sizes), "seeded", 3)
    assert tuple(map(len, groups)) == sizes
    assert sorted(c for group in groups for c in group) == list(range(sum(sizes)))
    assert class_groups([f"c{i:02d}" for i in range(sum(sizes))], len(sizes), "alphabetical", 3)[0] == list(
        range(sizes[0])
    )
    named = [f"c{i:02d}" for i in reversed(range(sum(sizes)))]
    assert class_groups(sorted(named), len(sizes), named, 3)[-1] == list(range(sizes[-1]))
    with pytest.raises(ValueError, match="no class 'x'; 'c00' is left out"):
        class_groups(sorted(named), len(sizes), ["x", *named[:-1]], 3)
    with pytest.raises(ValueError, match="some are named twice"):
        class_groups(sorted(named), len(sizes), [*named, named[0]], 3)
    table = Table({})
    for k, weight in enumerate(expected):
        earlier = tuple(c for group in groups[:k] for c in group)
        view = ExperienceView(
            k, len(sizes), torch.arange(0), tuple(groups[k]), earlier, sum(sizes), 0, table, 1, 0, torch.device("cpu")
        )
        assert method.weight_nspt(view) == pytest.approx(weight)


def test_class_retrieval_names_the_nearest_text_vector(data: tuple[slu.Config, Source]) -> None:
    method, _, batch = make(Coconut, data, projection=8)
    method.eval()
    found = method.predict(batch)["retrieved"]
    h, mask = method.model.encode(batch)
    audio = method.project_audio((h * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))
    for row, vector in zip(found.tolist(), audio, strict=True):
        similarity = [
            torch.cosine_similarity(vector, method.project_text(method.model.embed(token)), dim=0).item()
            for token in method.model.intent_tokens
        ]
        assert similarity[row] == pytest.approx(max(similarity), abs=1e-6)


def test_bpe_dropout_is_drawn_in_training_alone(data: tuple[slu.Config, Source]) -> None:
    """Targets of a batch are split anew from the step's generator; the intent stays one token, the text the same."""
    prepared = slu.prepare(data[0].model_copy(update={"vocabulary": "bpe", "vocabulary_size": 64}), source())
    config = data[0].model_copy(update={"vocabulary": "bpe", "vocabulary_size": 64, "bpe_dropout": 0.5})
    model = slu.build(config, prepared.info, 0)
    table = prepared.splits["train"]
    batch = table.gather(torch.arange(12))
    once, again, other = (model.augment(batch, generator(k, "augment"))["tokens"] for k in (0, 0, 1))
    assert torch.equal(once, again)
    assert once.shape != other.shape or not torch.equal(once, other)
    tokenizer = prepared.info.prepared.tokenizer
    for before, after in zip(batch["tokens"].tolist(), once.tolist(), strict=True):
        assert tokenizer.decode(after) == tokenizer.decode(before)
        assert after[:2] == before[:2]
    plain = slu.build(config.model_copy(update={"bpe_dropout": 0.0}), prepared.info, 0)
    assert plain.augment(batch, generator(0, "augment"))["tokens"] is batch["tokens"]
