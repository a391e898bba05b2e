"""SpeechBrain's beam search over our decoder: its hypotheses beside our own search's, and what the CTC head adds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.transcript import EOS_ID, PAD_ID, SOS_ID
from holdfast.methods.networks.ctc_search import search
from holdfast.methods.networks.seq2seq import Seq2Seq, Seq2SeqConfig
from holdfast.methods.networks.slu import Passthrough
from torch import Tensor, nn

VOCABULARY = 12


def decoder(seed: int, end: float) -> Seq2Seq:
    """Decided scores that depend on the frames, so that no two hypotheses tie; ``end``: how soon rows end."""
    torch.manual_seed(seed)
    config = Seq2SeqConfig(d_model=16, heads=2, encoder_layers=1, decoder_layers=2, feedforward=16, subsample=1)
    model = Seq2Seq(Passthrough(), config, vocabulary=VOCABULARY, d_acoustic=6).eval()
    with torch.no_grad():
        model.output.weight.mul_(6)
        model.output.bias[EOS_ID] += end
        layers: list[Any] = list(model.decoder_layers)
        for layer in layers:
            layer.cross.out.weight.mul_(8)
    return model


@pytest.fixture(scope="module")
def model() -> Seq2Seq:
    return decoder(1, 7)


def encoded(model: Seq2Seq, pad: int = 0) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([9, 5, 7])
    x = torch.zeros(3, 9 + pad, 6)
    for row, n in enumerate(lengths.tolist()):
        x[row, :n] = torch.randn(n, 6, generator=torch.Generator().manual_seed(row))
    with torch.no_grad():
        return model.encode(x, lengths)


@pytest.mark.parametrize(("seed", "end", "beam"), [(5, 3, 1), (5, 3, 3), (5, 3, 6), (1, 7, 3), (1, 7, 6)])
def test_without_ctc_it_finds_what_our_search_finds(seed: int, end: float, beam: int) -> None:
    """With the total log-probability as rank, on rows that end: SpeechBrain stops at ``beam`` finished hypotheses, and
    drops the last token of one that does not.
    """
    model = decoder(seed, end)
    h, mask = encoded(model)
    ours = model.generate(h, mask, beam=beam, max_length=12, length_penalty="none")
    theirs = search(model, None, h, mask, beam=beam, max_length=12, weight=0, normalise=False)
    for a, b in zip(ours.tolist(), theirs.tolist(), strict=True):
        assert EOS_ID in a, "every row ends"
        assert [t for t in a if t != PAD_ID] == [t for t in b if t != PAD_ID]


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_a_batch_changes_no_row(model: Seq2Seq, weight: float) -> None:
    torch.manual_seed(0)
    head = nn.Linear(16, VOCABULARY)
    options = {"beam": 4, "max_length": 8, "weight": weight, "normalise": True}
    together = search(model, head, *encoded(model), **options)  # type: ignore[arg-type]
    wide = search(model, head, *encoded(model, pad=4), **options)  # type: ignore[arg-type]
    assert torch.equal(together, wide)
    h, mask = encoded(model)
    alone = search(model, head, h[1:2, :5], mask[1:2, :5], **options)  # type: ignore[arg-type]
    row = together[1].tolist()
    assert [t for t in row if t != PAD_ID] == [t for t in alone[0].tolist() if t != PAD_ID]
    assert not ({SOS_ID} & set(together.flatten().tolist()))


def test_the_ctc_head_decides_where_it_is_sure(model: Seq2Seq) -> None:
    """A head that spells 5, 6, 7 in every row, with nearly all weight: that is what is found."""
    h, mask = encoded(model)
    said = [5, 5, PAD_ID, 6, 7]

    class Spelling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits = torch.zeros(*x.shape[:2], VOCABULARY)
            for t in range(x.shape[1]):
                logits[:, t, said[t] if t < len(said) else PAD_ID] = 12
            return logits

    found = search(model, Spelling(), h, mask, beam=8, max_length=8, weight=0.95, normalise=False)
    for row in found.tolist():
        assert [t for t in row if t != PAD_ID] == [5, 6, 7, EOS_ID]
