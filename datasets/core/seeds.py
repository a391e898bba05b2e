"""Seeds and generators of a purpose."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, purpose: str) -> int:
    """Seed of one purpose: the first 63 bits of sha256 of ``"<seed>/<purpose>"``.

    A generator depends on nothing else, so that adding a method, a seed or another purpose never moves its numbers.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A fresh CPU generator for (seed, purpose); see :func:`derive`."""
    return torch.Generator().manual_seed(derive(seed, purpose))
