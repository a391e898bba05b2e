"""A small causal decoder of tokens, with an optional prefix of picture patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.language import LanguageInfo
from ...datasets.core.seeds import derive
from ...datasets.core.source import DataInfo, require
from ...datasets.core.table import Batch
from ..base import UnfitError
from .language import Step, next_token_loss
from .protocols import CausalModel

PROVIDES = (CausalModel,)


class Config(BaseModel):
    """Sizes of the decoder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(64, ge=4, le=4096, multiple_of=4, description="d, width of the hidden states")
    layers: int = Field(3, ge=1, le=48, description="blocks of attention and feedforward")
    heads: int = Field(4, ge=1, le=64, description="attention heads; they share the width")
    feedforward: int = Field(128, ge=4, le=16384, description="hidden width of the feedforward parts")
    patch: int = Field(4, ge=1, le=64, description="side of a picture's patches in pixels, one embedding each")
    early_exit_norm: Literal["none", "final"] = Field(
        "none", description="logits of hidden layers: as the layer is (DoLa's public code), or after the final norm"
    )


@dataclass(frozen=True)
class KeysValues:
    """Keys and values [B, H, T, d/H] of each block, and which of the T positions are valid, [B, T] bool."""

    blocks: tuple[tuple[Tensor, Tensor], ...]
    mask: Tensor

    def select(self, rows: Tensor) -> KeysValues:
        return KeysValues(tuple((k[rows], v[rows]) for k, v in self.blocks), self.mask[rows])


def _rotated(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021): x [B, H, T, e], positions [B, T]; scores depend on distances alone."""
    half = x.shape[-1] // 2
    rates = 10_000 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = positions[:, None, :, None] * rates
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half : 2 * half]
    return torch.cat([a * cos - b * sin, a * sin + b * cos, x[..., 2 * half :]], -1)


class _Block(nn.Module):
    """Attention and feedforward, each behind a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_in, self.attention_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, feedforward), nn.Linear(feedforward, width)

    def forward(
        self, x: Tensor, positions: Tensor, allowed: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x [B, T, d] -> [B, T, d] and the block's keys and values so far; ``allowed`` [B, 1, T, S] bool."""
        b, t, d = x.shape
        q, k, v = self.attention_in(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k = _rotated(q, positions), _rotated(k, positions)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(b, t, d))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x)))), (k, v)


class CausalDecoder(nn.Module):
    """A causal language model; the output matrix is the embedding."""

    def __init__(self, config: Config, info: LanguageInfo) -> None:
        super().__init__()
        self.config, self.info = config, info
        self.vocabulary, self.layers = len(info.vocabulary), config.layers
        if config.width % config.heads or config.width // config.heads % 2:
            raise UnfitError(
                f"model.options.heads: {config.heads} heads must divide the width {config.width} into even parts"
            )
        self.embedding = nn.Embedding(self.vocabulary, config.width)
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)
        self.blocks = nn.ModuleList(
            _Block(config.width, config.heads, config.feedforward) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.patches: nn.Sequential | None = None
        if info.image is not None:
            channels, size = info.image
            if size % config.patch:
                raise UnfitError(f"model.options.patch: {config.patch} does not divide the pictures' side {size}")
            wide = 2 * config.width
            pixels = nn.Linear(channels * config.patch**2, wide)
            self.patches = nn.Sequential(pixels, nn.GELU(), nn.Linear(wide, config.width))
            self.places = nn.Parameter(torch.randn((size // config.patch) ** 2, config.width) * config.width**-0.5)

    def prefix(self, batch: Batch) -> Tensor | None:
        """Embeddings [B, P, d] of the patches of the batch's pictures, row by row; None without pictures."""
        return None if self.patches is None or "image" not in batch else self.embed_pictures(batch["image"])

    def embed_pictures(self, image: Tensor) -> Tensor:
        """Embeddings [B, P, d] of pictures [B, C, S, S]: bytes, or numbers in [-1, 1]."""
        if self.patches is None:
            raise UnfitError("this language model was built for data without pictures")
        x = image if image.is_floating_point() else image.float() / 127.5 - 1
        p = self.config.patch
        cut = x.unfold(2, p, p).unfold(3, p, p).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        return self.patches(cut.to(self.places.dtype)) + self.places

    def smaller(self, seed: int) -> CausalDecoder:
        """A decoder of half the width and one block, with weights of its own from ``seed``."""
        heads = max(1, self.config.heads // 2)
        width = max(2 * heads, self.config.width // 2 // (2 * heads) * (2 * heads))
        half = {"width": width, "heads": heads, "layers": 1, "feedforward": max(4, self.config.feedforward // 2)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "smaller"))
            return CausalDecoder(self.config.model_copy(update=half), self.info)

    def logits_of(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., d] after the final norm."""
        return hidden @ self.embedding.weight.T

    def step(
        self,
        tokens: Tensor,
        mask: Tensor,
        cache: Any = None,
        prefix: Tensor | None = None,
        layers: tuple[int, ...] = (),
    ) -> Step:
        """See :class:`~.protocols.CausalModel`."""
        x, p = self.embedding(tokens), 0
        if prefix is not None:
            p = prefix.shape[1]
            x = torch.cat([prefix.to(x.dtype), x], 1)
            mask = torch.cat([mask.new_ones(len(mask), p), mask], 1)
        known = mask if cache is None else torch.cat([cache.mask, mask], 1)
        t, s = mask.shape[1], known.shape[1]
        positions = (known.cumsum(1) - 1).clamp(min=0)[:, s - t :].float()
        here = torch.arange(s - t, s, device=x.device)
        there = torch.arange(s, device=x.device)
        # a token attends to itself even where it is padding: a row of attention over nothing has no value
        allowed = (known[:, None, :] & (there <= here[:, None])) | (there == here[:, None])
        states, past = [x], []
        for number, block in enumerate(self.blocks):
            x, pair = block(x, positions, allowed[:, None], cache.blocks[number] if cache else None)
            states.append(x)
            past.append(pair)
        hidden = self.norm(x)[:, p:]
        early = {layer: self._early(states[layer][:, p:], layer) for layer in layers}
        below = tuple(state[:, p:] for state in states[:-1])
        return Step(self.logits_of(hidden), hidden, KeysValues(tuple(past), known), early, below)

    def _early(self, state: Tensor, layer: int) -> Tensor:
        last = layer == self.layers or self.config.early_exit_norm == "final"
        return self.logits_of(self.norm(state) if last else state)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the tokens of the column ``tokens`` after the first, [] (nats)."""
        tokens = batch["tokens"]
        mask = torch.arange(tokens.shape[1], device=tokens.device) < batch["tokens_lengths"][:, None]
        step = self.step(tokens, mask, prefix=self.prefix(batch))
        return next_token_loss(step.logits, tokens, mask), {}


def build(config: Config, info: DataInfo, seed: int) -> CausalDecoder:
    """The decoder for data with a :class:`LanguageInfo`; its weights come from torch's generator."""
    return CausalDecoder(config, require(info, LanguageInfo, "the network 'causal'"))
