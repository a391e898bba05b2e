"""Greedy search: the best token at every step. The control of every suite."""

from __future__ import annotations

from .decoder import Decoder


class Greedy(Decoder):
    """The plain language model, its best token at every step; ``keep_beta`` changes nothing here."""

    name = "greedy"
    summary = "the best token at every step (control)"


METHOD = Greedy
