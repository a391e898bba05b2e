"""The loss of CTC beside the sum over all alignments, written out."""

from __future__ import annotations

import itertools

import pytest
import torch
from holdfast.methods.losses.ctc import ctc


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(k for k, _ in itertools.groupby(path) if k != 0)


@pytest.mark.parametrize(("target", "frames"), [([1, 2], 4), ([1, 1], 3), ([2], 1), ([], 2)])
def test_all_alignments(target: list[int], frames: int) -> None:
    logits = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = logits[0].softmax(-1)
    paths = itertools.product(range(3), repeat=frames)
    likelihood = sum(
        float(torch.stack([p[t, k] for t, k in enumerate(path)]).prod())
        for path in paths
        if collapsed(path) == tuple(target)
    )
    targets = torch.tensor([target + [0] * (3 - len(target))])
    loss, unaligned = ctc(logits, torch.tensor([frames]), targets, torch.tensor([len(target)]))
    expected = -torch.log(torch.tensor(likelihood, dtype=torch.float64)) / max(1, len(target))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-10)
    assert unaligned == 0


def test_a_row_without_an_alignment_is_counted_and_gives_no_gradient() -> None:
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    targets = torch.tensor([[1, 1, 0], [1, 2, 3]])  # the first asks for a blank between: three frames, it has two
    loss, unaligned = ctc(logits, torch.tensor([2, 3]), targets, torch.tensor([2, 3]))
    loss.backward()
    assert unaligned == 0.5
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert not logits.grad[0].any()
    assert logits.grad[1].any()


def test_gradient() -> None:
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    targets, lengths = torch.tensor([[1, 2], [3, 3]]), torch.tensor([4, 5])
    assert torch.autograd.gradcheck(lambda x: ctc(x, lengths, targets, torch.tensor([2, 2]))[0], (logits,))
