"""Decoding: greedy = beam 1, beam = exhaustive search on toys, and padding changes nothing."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from holdfast.methods.networks.seq2seq import Seq2Seq, Seq2SeqConfig
from holdfast.methods.networks.slu import Passthrough
from torch import Tensor


def model(vocabulary: int = 6, seed: int = 0) -> Seq2Seq:
    torch.manual_seed(seed)
    config = Seq2SeqConfig(d_model=16, heads=2, encoder_layers=1, decoder_layers=2, feedforward=16, dropout=0.1)
    net = Seq2Seq(Passthrough(), config, vocabulary=vocabulary, d_acoustic=5).double().eval()
    with torch.no_grad():
        net.output.weight.mul_(4)  # distributions that differ
    return net


def encoded(net: Seq2Seq, n: int = 3) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(n)
    with torch.no_grad():
        return net.encode(torch.randn(n, 7, 5, generator=g).double(), torch.randint(1, 8, (n,), generator=g))


def score(net: Seq2Seq, h: Tensor, mask: Tensor, ids: list[int], penalty: str) -> float:
    with torch.no_grad():
        logits = net.decode(h, mask, torch.tensor([[2, *ids[:-1]]]))[0]
    logits = logits.clone()
    logp = logits.float().log_softmax(-1)
    steps = [float(logp[j, token]) for j, token in enumerate(ids)]
    if penalty == "per_step":
        return sum(s / ((6 + j) / 6) ** 0.6 for j, s in enumerate(steps))
    return sum(steps) / (((5 + len(ids)) / 6) ** 0.6 if penalty == "total" else 1)


OTHER = [pytest.param(penalty, marks=pytest.mark.slow) for penalty in ("per_step", "none")]


@pytest.mark.parametrize("penalty", ["total", *OTHER])
def test_wide_beam_is_exhaustive_search(penalty: Any) -> None:
    candidates = [[*body, 3] for k in range(3) for body in itertools.product([1, 4, 5], repeat=k)]
    candidates += [list(body) for body in itertools.product([1, 4, 5], repeat=3)]
    for seed in range(70):  # with three penalties more than 200 cases
        net = model(seed=seed)
        h, mask = encoded(net, 1)
        best = max(candidates, key=lambda ids: score(net, h, mask, ids, penalty))
        found = [i for i in net.generate(h, mask, beam=40, max_length=3, length_penalty=penalty)[0].tolist() if i != 0]
        assert score(net, h, mask, found, penalty) == pytest.approx(score(net, h, mask, best, penalty), abs=1e-5)


def test_beam_one_is_greedy_and_padding_changes_no_row() -> None:
    net = model(12)
    h, mask = encoded(net, 6)
    greedy = net.generate(h, mask, beam=1, max_length=9)
    narrow = net._beam(h, mask, 1, 9, "total")
    assert torch.equal(greedy[:, : narrow.shape[1]], narrow[:, : greedy.shape[1]])
    for row in range(6):
        n = int(mask[row].sum())
        for beam in (1, 4):
            alone = net.generate(h[row : row + 1, :n], mask[row : row + 1, :n], beam=beam, max_length=9)[0]
            together = net.generate(h, mask, beam=beam, max_length=9)[row]
            width = min(len(alone), len(together))
            assert torch.equal(alone[:width], together[:width])


def test_cached_decoding_equals_teacher_forcing() -> None:
    net = model(12)
    h, mask = encoded(net, 2)
    ids = net.generate(h, mask, max_length=6)
    logits = net.decode(h, mask, torch.cat([torch.full((2, 1), 2), ids[:, :-1]], 1))
    logits[..., [0, 2]] = -torch.inf
    for row in range(2):
        stop = (ids[row] == 3).nonzero()
        n = int(stop[0]) + 1 if len(stop) else ids.shape[1]
        assert torch.equal(logits[row, :n].argmax(-1), ids[row, :n])


def test_a_row_without_frames_gives_no_nan() -> None:
    net = model()
    h, mask = net.encode(torch.randn(2, 4, 5).double(), torch.tensor([0, 4]))
    assert bool(net.decode(h, mask, torch.tensor([[2], [2]])).isfinite().all())
