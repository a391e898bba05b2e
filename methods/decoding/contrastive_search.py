"""Contrastive search on the plain language model: what it does without the training of SimCTG."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ..base import MethodConfig
from .simctg import SimCtg, SimCtgConfig


class ContrastiveSearchConfig(SimCtgConfig):
    """As SimCTG, with the model that all decoders share."""

    margin: float | None = Field(None, ge=0, le=2, description="ρ of SimCTG's loss; null: the plain language model")
    search: Literal["greedy", "contrastive"] = Field("contrastive", description="how tokens are chosen")


class ContrastiveSearch(SimCtg):
    """``argmax (1 - α) p(v) - α max_j cos(h_v, h_j)`` over the k likeliest tokens (Su et al. 2022, eq. 5)."""

    Config: ClassVar[type[MethodConfig]] = ContrastiveSearchConfig
    name = "contrastive_search"
    summary = "of the likeliest tokens the one least like the context"


METHOD = ContrastiveSearch
