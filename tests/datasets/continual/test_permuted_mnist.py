"""Permuted MNIST: the rows of an experience are the plain ones under one permutation, which its seed alone decides."""

from __future__ import annotations

from typing import Any

import torch
from holdfast.datasets.continual import mnist, permuted_mnist


def load(**options: Any) -> Any:
    return permuted_mnist.load(permuted_mnist.Config(size=8, n_train=40, n_test=20, experiences=3, **options), None)


def test_every_experience_has_the_rows_under_a_permutation_of_its_own() -> None:
    plain: Any = mnist.load(mnist.Config(size=8, n_train=40, n_test=20), None)
    source, orders = load(), []
    for split, rows in (("train", 40), ("valid", 100), ("test", 20)):
        columns, before = source.splits[split].columns, plain.splits[split].columns
        assert columns["experience"].tolist() == [e for e in range(3) for _ in range(rows)]
        for e in range(3):
            mine = columns["image"][e * rows : (e + 1) * rows].flatten(2)
            assert torch.equal(columns["label"][e * rows : (e + 1) * rows], before["label"])
            assert torch.equal(mine.sort(2).values, before["image"].flatten(2).sort(2).values), "the same pixels"
            assert torch.equal(mine[:, 0], mine[:, 1]), "channels alike"
            if split == "train":
                orders.append(mine)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], plain.splits["train"].columns["image"].flatten(2))


def test_splits_share_the_permutation_and_the_seed_draws_it() -> None:
    first, again, other = load(), load(), load(seed=1)
    assert first.checksum == again.checksum != other.checksum
    train, test = (first.splits[name].columns["image"].flatten(2)[:, 0] for name in ("train", "test"))
    constant = [(one.float().std(0) == 0) for one in (train[:40], test[:20])]  # a digit's corner is black everywhere
    assert int((constant[0] & constant[1]).sum()) >= int(constant[0].sum()) - 3
