"""RankGen: the beam over sampled pieces, and a ranker that tells continuations of a prefix from others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.language import LanguageInfo
from holdfast.datasets.core.source import Source
from holdfast.methods.decoding.rank_beam import Beam, rank_beam
from holdfast.methods.networks.branches import Branch
from holdfast.methods.networks.rank_encoder import PREFIX, RankEncoder
from torch import Tensor

from ..networks.causal_cases import TableModel
from .language_cases import batch_of, language_source
from .test_decoder import fitted

EOS, PAD = 2, 0


def inverse(scores: Tensor, draw: Tensor) -> Tensor:
    return torch.searchsorted(scores.softmax(-1).cumsum(-1), draw[:, None].to(scores))[:, 0].clamp(max=5)


def searched(beam: Beam, score: Any, rows: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    table = torch.zeros(6, 6, dtype=torch.float64)
    table[:, :2] = -1e9  # no padding, no begin
    table[:, EOS] = -1.0
    prompts = torch.full((rows, 1), 3)
    main = Branch(TableModel(table), prompts, torch.ones_like(prompts, dtype=torch.bool))
    draws = torch.rand(rows, beam.length, beam.beams * beam.samples, dtype=torch.float64, generator=g)
    return rank_beam(main, beam, draws, inverse, score)


def fives(texts: Tensor, row: Tensor, logprob: Tensor) -> Tensor:
    """How often token 5 is there."""
    return (texts == 5).sum(1)


def test_more_samples_never_lower_the_score_of_what_is_kept_and_every_text_ends_in_padding() -> None:
    found = []
    for samples in (1, 4, 16):
        tokens, passes, logprob = searched(Beam(1, samples, 8, 8, EOS, PAD), fives, rows=8)
        found.append(float((tokens == 5).double().sum(1).mean()))
        for text in tokens.tolist():
            end = text.index(EOS) + 1 if EOS in text else len(text)
            assert set(text[end:]) <= {PAD}
            assert PAD not in text[:end]
        assert bool((passes <= samples * 8).all())
        assert bool((logprob < 0).all())
    assert found == sorted(found)
    assert found[2] > found[0]


def test_one_beam_of_one_sample_asks_no_ranker_and_pieces_are_ranked_by_the_whole_text() -> None:
    def refuse(*_: Tensor) -> Tensor:
        raise AssertionError("it ranked")

    tokens, passes, _ = searched(Beam(1, 1, 2, 8, EOS, PAD), refuse)
    lengths = [t.index(EOS) + 1 if EOS in t else len(t) for t in tokens.tolist()]
    assert passes.tolist() == lengths
    seen: list[int] = []

    def watch(texts: Tensor, row: Tensor, logprob: Tensor) -> Tensor:
        seen.append(int((texts != PAD).sum(1).max()))
        assert row.tolist() == [0] * 6 + [1] * 6 + [2] * 6
        return fives(texts, row, logprob)

    searched(Beam(2, 3, 3, 8, EOS, PAD), watch)
    assert seen == [3, 6, 8]


def test_equal_texts_compete_once() -> None:
    kept: list[list[list[int]]] = []

    def score(texts: Tensor, row: Tensor, logprob: Tensor) -> Tensor:
        kept.append(texts.tolist())
        return torch.zeros(len(texts))

    searched(Beam(2, 3, 1, 2, EOS, PAD), score, rows=1)
    first, second = kept
    distinct = list(dict.fromkeys(tuple(text) for text in first))[:2]
    assert [tuple(text[:1]) for text in second[::3]] == [text[:1] for text in distinct]


def test_the_encoder_reads_no_padding_and_keeps_the_last_tokens() -> None:
    torch.manual_seed(0)
    net = RankEncoder(9, 8, 1, 2, longest=4).double().eval()
    tokens, mask = torch.tensor([[0, 0, 5, 6, 7]]), torch.tensor([[False, False, True, True, True]])
    alone = net(tokens[:, 2:], mask[:, 2:], PREFIX)
    assert torch.allclose(net(tokens, mask, PREFIX), alone)
    long = torch.tensor([[8, 3, 4, 5, 6]])
    assert torch.allclose(net(long, long > 0, PREFIX), net(long[:, 1:], long[:, 1:] > 0, PREFIX))
    assert not torch.allclose(net(tokens, mask, 1), alone)


@pytest.fixture(scope="module")
def source() -> Source[LanguageInfo]:
    return language_source(pictures=False)


@pytest.mark.parametrize("options", [{}, {"ranker": "likelihood"}, {"ranker": "overlap"}, {"negatives": "generative"}])
def test_a_row_s_continuation_does_not_depend_on_the_batch(
    source: Source[LanguageInfo], options: dict[str, Any]
) -> None:
    small: dict[str, Any] = {"rank_epochs": 1, "rank_width": 8, "samples": 3, "piece": 2, "lm_epochs": 1}
    method = fitted("rankgen", source, **small, **options)
    together = method.generate(batch_of(source, [0, 1, 2]))
    alone = method.generate(batch_of(source, [1]))
    assert together["tokens"][1].tolist() == alone["tokens"][0].tolist()


def test_training_brings_right_continuations_before_those_of_the_same_document(source: Source[LanguageInfo]) -> None:
    def share(method: Any) -> float:
        batch = batch_of(source, list(range(4)), "train")
        from holdfast.methods.networks.language import rows_of

        p = method.vectors(*rows_of(batch, "prompt"), PREFIX)
        c = method.vectors(*method.texts(batch["answer"]), 1)
        return float(((p @ c.T).argmax(1) == torch.arange(4)).double().mean())

    options: dict[str, Any] = {"rank_width": 16, "rank_lr": 0.01, "negatives": "inbook", "lm_epochs": 1}
    assert share(fitted("rankgen", source, rank_epochs=40, **options)) == 1
