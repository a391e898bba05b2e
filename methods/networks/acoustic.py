"""A small acoustic encoder of our own: the demo's counterpart of wav2vec 2.0.

A dilated convolution net on log-mel frames, trained to name the phoneme of every frame in synthetic speech
(:mod:`holdfast.suites.runtime.pretrain_acoustic` makes the weights that are shipped beside this file).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropout

WEIGHTS = Path(__file__).with_name("acoustic.safetensors")
SHA256 = "bda35024a2f8873ef00425669db37e8f6bf3d7de1fb1acdf25f4416eb54dcbbc"
PHONES = 53  # of :data:`holdfast.datasets.spoken.corpus.SYMBOLS`, which the shipped head was trained on


class Block(nn.Module):
    """Residual: norm, dilated convolution over 3 frames, GELU, 1×1 convolution."""

    def __init__(self, d: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.conv = nn.Conv1d(d, d, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Linear(d, d)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        y = self.norm(x).masked_fill(~valid, 0)  # padding is silence of value 0, as beyond the utterance's end
        y = F.gelu(self.conv(y.transpose(1, 2)).transpose(1, 2))
        return x + self.drop(self.mix(y))


class AcousticEncoder(nn.Module):
    """features [B, T, 40], lengths [B] → h [B, ceil(T/4), 128], lengths. Padding changes no row's result."""

    d_out = 128
    stride = 4

    def __init__(self, bands: int = 40, n_phones: int = PHONES, dropout: float = 0.1) -> None:
        super().__init__()
        d = self.d_out
        self.first = nn.Conv1d(bands, d, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Block(d, dilation, dropout) for dilation in (1, 2, 4, 8, 1, 2, 4))
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, n_phones)

    def frames(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden frames of 20 ms [B, ceil(T/2), d], their lengths and mask [B, ceil(T/2), 1]."""
        x = self.first(features.transpose(1, 2)).transpose(1, 2)
        lengths = (lengths + 1) // 2
        valid = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[..., None]
        for block in self.blocks:
            x = block(x, valid)
        return self.norm(x).masked_fill(~valid, 0), lengths, valid

    def phones(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Phoneme logits of frames of 20 ms, [B, ceil(T/2), P]."""
        return self.head(self.frames(features, lengths)[0])

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths, valid = self.frames(features, lengths)
        if x.shape[1] % 2:
            x, valid = F.pad(x, (0, 0, 0, 1)), F.pad(valid, (0, 0, 0, 1))
        count = valid[:, 0::2].to(x.dtype) + valid[:, 1::2].to(x.dtype)
        return (x[:, 0::2] + x[:, 1::2]) / count.clamp(min=1), (lengths + 1) // 2


def load_pretrained(path: Path = WEIGHTS) -> AcousticEncoder:
    """The shipped encoder. Raises ValueError where the file's checksum is not ``SHA256``."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(
            f"{path.name} is damaged: its sha256 is {digest}, expected {SHA256}; install the package again"
        )
    model = AcousticEncoder()
    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return model.eval()
