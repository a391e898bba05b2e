"""RankGen: the beam on tables, draws by row, and an encoder that knows which names belong to a prefix."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from holdfast.methods.decoding.rank_beam import drawn, nucleus, rank_beam
from holdfast.methods.decoding.ranker import TextEncoder, overlap
from holdfast.methods.decoding.rankgen import RankGen
from holdfast.methods.networks.branches import Branch
from torch import Tensor

from ..networks.causal_cases import TableModel
from .language_cases import batch_of, language_source

EOS, PAD = 2, 0


def table() -> TableModel:
    torch.manual_seed(0)
    logits = torch.randn(7, 7, dtype=torch.float64)
    logits[:, [0, 1]] = -50
    logits[:, EOS] = -1
    return TableModel(logits)


def prompts(rows: int = 3) -> tuple[Tensor, Tensor]:
    return torch.tensor([[1, 3 + k % 3] for k in range(rows)]), torch.ones(rows, 2, dtype=torch.bool)


def numbers(rows: int, fan: int, piece: int, first: int = 0) -> Any:
    def draws(number: int) -> Tensor:
        made = [torch.Generator().manual_seed(100 * (first + row) + number) for row in range(rows)]
        return torch.stack([torch.rand(fan, piece, dtype=torch.float64, generator=g) for g in made])

    return draws


def by_threes(tokens: Tensor, lengths: Tensor, rows: Tensor, logprob: Tensor) -> Tensor:
    """Prefers texts with many threes."""
    return (tokens == 3).sum(1).double()


def beam(
    rows: int = 3, beams: int = 2, samples: int = 4, first: int = 0, score: Any = by_threes, piece: int = 2
) -> Any:
    tokens, mask = prompts(rows + first)
    main = Branch(table(), tokens[first:], mask[first:])
    draws = numbers(rows, beams * samples, piece, first)
    options = {"beams": beams, "samples": samples, "piece": piece, "top_p": 1.0, "eos": EOS, "pad": PAD}
    return rank_beam(main, 6, score, draws, **options)


def test_the_nucleus_is_the_smallest_set_that_holds_the_mass() -> None:
    p = nucleus(torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log(), 0.7)
    torch.testing.assert_close(p, torch.tensor([[0.625, 0.375, 0, 0]], dtype=torch.float64))
    assert nucleus(torch.zeros(1, 4), 1.0).tolist() == [[0.25] * 4]
    assert drawn(p, torch.tensor([0.6])).item() == 0
    assert drawn(p, torch.tensor([0.63])).item() == 1
    assert drawn(p, torch.tensor([1.0])).item() == 1  # never a token without mass


def test_one_beam_and_one_sample_ask_no_ranker() -> None:
    def forbidden(*texts: Tensor) -> Tensor:
        raise AssertionError

    found = beam(beams=1, samples=1, score=forbidden)
    assert bool(found.score.isnan().all())
    for row in found.tokens.tolist():
        end = row.index(EOS) + 1 if EOS in row else len(row)
        assert set(row[end:]) <= {PAD}
        assert PAD not in row[:end]


def test_more_samples_never_lower_the_best_score_and_rows_stand_alone() -> None:
    # whole texts at once: the first samples are the same ones
    scores = [beam(samples=n, beams=1, piece=6).score for n in (2, 4, 8)]
    for n, (few, many) in enumerate(itertools.pairwise(scores)):
        assert bool((many >= few).all()), n
    whole = beam(rows=3)
    alone = beam(rows=1, first=2)
    assert torch.equal(whole.tokens[2:], alone.tokens)
    assert torch.equal(whole.score[2:], alone.score)
    torch.testing.assert_close(whole.logprob[2:], alone.logprob)


def test_a_text_that_ended_is_kept_and_its_log_probability_is_that_of_its_tokens() -> None:
    def short(tokens: Tensor, lengths: Tensor, rows: Tensor, logprob: Tensor) -> Tensor:
        return -lengths.double()

    found = beam(score=short, samples=8)
    net = table()
    for row, (prompt, text) in enumerate(zip(prompts()[0].tolist(), found.tokens.tolist(), strict=True)):
        kept = [t for t in text if t != PAD]
        last, total = prompt[-1], 0.0
        for token in kept:
            total += float(net.table[last].log_softmax(-1)[token])
            last = token
        assert float(found.logprob[row]) == pytest.approx(total)
        assert -float(found.score[row]) == len(kept)
    assert any(EOS in row[:3] for row in found.tokens.tolist())


def test_shared_words() -> None:
    prefix, text = torch.tensor([[1, 3, 4, 0]]), torch.tensor([[4, 5, 4, 2, 0]])
    assert overlap(prefix, text, (0, 1, 2)).item() == pytest.approx(2 / 3)
    assert overlap(prefix, torch.tensor([[2, 0]]), (0, 1, 2)).item() == 0


def test_an_encoder_sees_no_padding_and_of_long_texts_the_end() -> None:
    torch.manual_seed(0)
    net = TextEncoder(9, width=8, layers=1, heads=2, longest=6).eval()
    short = net(torch.tensor([[3, 4]]), torch.tensor([2]), 0)
    torch.testing.assert_close(short, net(torch.tensor([[3, 4, 0, 0]]), torch.tensor([2]), 0))
    assert not torch.allclose(short, net(torch.tensor([[3, 4]]), torch.tensor([2]), 1))
    long = torch.tensor([[7, 7, 3, 4, 5, 6, 8]])
    torch.testing.assert_close(
        net(long, torch.tensor([7]), 0), net(torch.tensor([[3, 4, 5, 6, 8]]), torch.tensor([5]), 0)
    )


def test_predictions_depend_on_seed_and_row_alone() -> None:
    from holdfast.methods.networks import causal

    source = language_source(pictures=False)
    torch.manual_seed(0)
    net = causal.build(causal.Config(width=8, layers=1, heads=2, feedforward=8), source.info, 0).eval()
    for ranker in ("rankgen", "likelihood", "overlap"):
        config = RankGen.Config(ranker=ranker, samples=3, piece=2, max_new_tokens=4, ranker_width=8)
        method = RankGen(config, net, 0).eval()
        both, alone = (method.predict(batch_of(source, rows)) for rows in ([4, 9], [9]))
        assert torch.equal(both["tokens"][1:], alone["tokens"])
        torch.testing.assert_close(both["scores"][1:], alone["scores"])
        assert bool((both["scores"][:, 2] == -torch.inf).all())  # an absent option
        assert bool(both["rank_score"].isfinite().all())
