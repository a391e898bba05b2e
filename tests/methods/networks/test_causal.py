"""The small decoder: cached steps, padding, pictures and hidden layers say what one whole pass says."""

from __future__ import annotations

import pytest
import torch
from holdfast.methods.base import UnfitError
from holdfast.methods.networks import causal
from holdfast.methods.networks.language import left_padded, rows_of

from .causal_cases import decoder, info_of


def test_a_cached_step_is_the_whole_pass() -> None:
    net = decoder()
    tokens = torch.tensor([[1, 5, 7, 3, 9], [1, 4, 4, 8, 6]])
    mask = torch.ones_like(tokens, dtype=torch.bool)
    whole = net.step(tokens, mask, layers=(0, 1, 2))
    first = net.step(tokens[:, :2], mask[:, :2], layers=(1,))
    logits, early = [first.logits], [first.early[1]]
    cache = first.cache
    for t in range(2, 5):
        step = net.step(tokens[:, t : t + 1], mask[:, t : t + 1], cache, layers=(1,))
        cache = step.cache
        logits.append(step.logits)
        early.append(step.early[1])
    assert torch.allclose(torch.cat(logits, 1), whole.logits, atol=1e-10)
    assert torch.allclose(torch.cat(early, 1), whole.early[1], atol=1e-10)
    assert torch.equal(whole.early[2], whole.logits), "the last layer is the model itself"


def test_padding_on_the_left_and_other_rows_change_nothing() -> None:
    net = decoder(image=(1, 4))
    rows = torch.tensor([[1, 5, 7, 0], [1, 4, 8, 6]])
    tokens, mask = left_padded(rows, torch.tensor([3, 4]))
    assert tokens.tolist() == [[0, 1, 5, 7], [1, 4, 8, 6]]
    picture = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for prefix in (None, net.embed_pictures(picture)):
        both = net.step(tokens, mask, prefix=prefix)
        alone = net.step(
            rows[:1, :3], torch.ones(1, 3, dtype=torch.bool), prefix=None if prefix is None else prefix[:1]
        )
        assert torch.allclose(both.logits[0, 1:], alone.logits[0], atol=1e-10)
        ended = net.step(torch.tensor([[0], [3]]), torch.tensor([[False], [True]]), both.cache)
        other = net.step(torch.tensor([[8], [3]]), torch.tensor([[True], [True]]), both.cache)
        assert torch.allclose(ended.logits[1], other.logits[1], atol=1e-10)
        picked = net.step(
            torch.tensor([[3], [3]]), torch.ones(2, 1, dtype=torch.bool), both.cache.select(torch.tensor([1, 1]))
        )
        assert torch.allclose(picked.logits[0], other.logits[1], atol=1e-10)


def test_a_picture_is_read_and_its_parts_have_places() -> None:
    net = decoder(image=(1, 4))
    picture = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    picture[..., 0, 0] = 255
    tokens, mask = torch.tensor([[1, 5]]), torch.ones(1, 2, dtype=torch.bool)
    found = [net.step(tokens, mask, prefix=net.embed_pictures(p)).logits for p in (picture, picture.flip(3))]
    assert not torch.allclose(found[0], found[1])
    batch = {"image": picture}
    assert torch.equal(net.step(tokens, mask, prefix=net.prefix(batch)).logits, found[0])


def test_the_loss_counts_the_tokens_after_the_first_and_no_padding() -> None:
    net = decoder()
    batch = {"tokens": torch.tensor([[1, 5, 2, 0], [1, 4, 8, 2]]), "tokens_lengths": torch.tensor([3, 4])}
    total, count = 0.0, 0
    for row, length in zip(batch["tokens"], (3, 4), strict=True):
        logits = net.step(row[None, :length], torch.ones(1, length, dtype=torch.bool)).logits[0].log_softmax(-1)
        total -= float(sum(logits[t, row[t + 1]].detach() for t in range(length - 1)))
        count += length - 1
    assert float(net.loss(batch)[0].detach()) == pytest.approx(total / count, rel=1e-5)
    tokens, mask = rows_of(batch, "tokens")
    assert mask.sum(1).tolist() == [3, 4]
    assert bool(mask[:, -1].all())
    assert tokens[0].tolist() == [0, 1, 5, 2]


def test_the_early_exit_may_pass_the_final_norm() -> None:
    net, tokens = decoder(early_exit_norm="final"), torch.tensor([[1, 5]])
    mask = torch.ones_like(tokens, dtype=torch.bool)
    early = net.step(tokens, mask, layers=(0,)).early[0]
    assert torch.allclose(early, net.logits_of(net.norm(net.embedding(tokens))))


def test_sizes_that_do_not_fit_are_named() -> None:
    with pytest.raises(UnfitError, match=r"model\.options\.heads"):
        causal.build(causal.Config(width=12, heads=5), info_of(), 0)
    with pytest.raises(UnfitError, match=r"model\.options\.patch"):
        causal.build(causal.Config(patch=3), info_of(image=(1, 4)), 0)
    with pytest.raises(UnfitError, match="without pictures"):
        decoder().embed_pictures(torch.zeros(1, 1, 4, 4))
