"""A small encoder of prefixes and continuations into one space, by which continuations are ranked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PREFIX, CONTINUATION = 0, 1


class RankEncoder(nn.Module):
    """Shared for both kinds of text; a tag token says which it is, and its state times a matrix without bias is the
    vector: [B, d] of tokens [B, T]. Vectors are not normalised (RankGen, arXiv 2205.09726, section 3).

    A text longer than ``longest`` loses its first tokens: those next to the continuation matter most.
    """

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, longest: int) -> None:
        super().__init__()
        self.longest = longest
        self.words = nn.Embedding(vocabulary, width)
        self.tags = nn.Parameter(torch.randn(2, width) * width**-0.5)
        self.places = nn.Parameter(torch.randn(longest + 1, width) * width**-0.5)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor, mask: Tensor, kind: int) -> Tensor:
        """Vectors [B, d]; padding (``mask`` False) stands on the left and is not read."""
        tokens, mask = tokens[:, -self.longest :], mask[:, -self.longest :]
        at = mask.long().cumsum(1).masked_fill(~mask, 0)  # places count valid tokens from 1; the tag has place 0
        x = self.words(tokens) + self.places[at]
        tag = (self.tags[kind] + self.places[0]).expand(len(x), 1, -1)
        hidden = torch.cat([mask.new_zeros(len(x), 1), ~mask], 1)
        state = self.encoder(torch.cat([tag, x], 1), src_key_padding_mask=hidden)[:, 0]
        vectors: Tensor = self.out(self.norm(state))
        return vectors
