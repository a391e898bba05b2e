"""Rankers of continuations: a dual encoder in small, likelihood, shared words."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TextEncoder(nn.Module):
    """Vectors [B, d] of texts: a transformer over a tag and the tokens, the state of the tag through a linear map
    without bias. Prefixes and continuations share all of it but the tag.

    Source: RankGen (arXiv 2205.09726), section 3; theirs is a T5 encoder of 1.2 billion weights.
    """

    PREFIX, CONTINUATION = 0, 1

    def __init__(self, vocabulary: int, width: int = 64, layers: int = 2, heads: int = 4, longest: int = 512) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.tags = nn.Embedding(2, width)
        self.places = nn.Embedding(longest, width)
        for table in (self.words, self.tags, self.places):
            nn.init.normal_(table.weight, std=width**-0.5)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor, lengths: Tensor, tag: int) -> Tensor:
        """Texts [B, L], padded on the right, and their lengths [B]; of longer ones than it knows the last part counts:
        what is near the continuation matters.
        """
        most = self.places.num_embeddings - 1
        if tokens.shape[1] > most:
            start = (lengths - most).clamp(min=0)
            at = (start[:, None] + torch.arange(most, device=tokens.device)).clamp(max=tokens.shape[1] - 1)
            tokens, lengths = tokens.gather(1, at), lengths.clamp(max=most)
        length = tokens.shape[1]
        x = self.words(tokens) + self.places.weight[1 : length + 1]
        first = (self.tags.weight[tag] + self.places.weight[0]).expand(len(tokens), 1, -1)
        hidden = torch.arange(length, device=tokens.device) >= lengths[:, None]
        hidden = torch.cat([hidden.new_zeros(len(tokens), 1), hidden], 1)
        state = self.encoder(torch.cat([first, x], 1), src_key_padding_mask=hidden)[:, 0]
        vectors: Tensor = self.out(state)
        return vectors


def overlap(prefix: Tensor, text: Tensor, special: tuple[int, ...]) -> Tensor:
    """Share of words [B] of each text [B, L] that its prefix [B, P] has too; 0 without words. Tokens of ``special``
    are no words.
    """
    skip = torch.isin(text, torch.tensor(special, device=text.device))
    known = (text[:, :, None] == prefix[:, None, :]).any(2) & ~skip
    return known.sum(1) / (~skip).sum(1).clamp(min=1)
