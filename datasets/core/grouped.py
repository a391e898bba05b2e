"""Splits that keep groups whole: all images of a patient are in one of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .seeds import generator

SPLITS = ("train", "valid", "test")


def split_by_group(
    groups: Sequence[str], strata: Sequence[str], valid: float, test: float, seed: int
) -> dict[str, list[int]]:
    """Row numbers of train, valid and test: the shares ``valid`` and ``test`` of the groups of each stratum, drawn by
    ``seed``, at least one group each where a stratum has three; the rest is train. A group is of the stratum of its
    first row. Rows keep their order.
    """
    stratum = {group: strata[row] for row, group in reversed(list(enumerate(groups)))}
    members: dict[str, list[str]] = {}
    for group in dict.fromkeys(groups):
        members.setdefault(stratum[group], []).append(group)
    g, chosen = generator(seed, "split_by_group"), {}
    for name in sorted(members):
        own = members[name]
        n_test, n_valid = (max(1, round(share * len(own))) if share and len(own) > 2 else 0 for share in (test, valid))
        for place, k in enumerate(torch.randperm(len(own), generator=g).tolist()):
            chosen[own[k]] = "test" if place < n_test else "valid" if place < n_test + n_valid else "train"
    return {split: [row for row, group in enumerate(groups) if chosen[group] == split] for split in SPLITS}
