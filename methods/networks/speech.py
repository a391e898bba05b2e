"""Encoders that take waveforms: log-mel in front of our small encoder, and wav2vec 2.0, HuBERT or DistilHuBERT through
transformers.

In the COCONUT paper SLURP takes wav2vec 2.0 base fine-tuned on 960 h, FSC DistilHuBERT; the convolutional feature
extractor is frozen.
"""

from __future__ import annotations

from typing import Any

import torch
import torchaudio
from torch import Tensor, nn

from . import hub

RATE = 16_000


def normalise(x: Tensor, lengths: Tensor) -> Tensor:
    """Zero mean and unit variance over the valid samples of each row [B, U]; padding becomes zero.

    The public code normalises over the padded length; here padding changes no row.
    """
    valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
    n = lengths.clamp(min=1)[:, None].to(x.dtype)
    mean = x.masked_fill(~valid, 0).sum(1, keepdim=True) / n
    centred = (x - mean).masked_fill(~valid, 0)
    return centred / (centred.square().sum(1, keepdim=True) / n + 1e-7).sqrt()


class LogMel(nn.Module):
    """Waveform [B, U] → log-mel frames [B, T, 40], normalised a band over each row; 10 ms frames. An encoder of frames
    follows.
    """

    def __init__(self, encoder: nn.Module, bands: int = 40) -> None:
        super().__init__()
        self.encoder = encoder
        self.d_out: int = encoder.d_out  # type: ignore[assignment]
        self.mel = torchaudio.transforms.MelSpectrogram(
            RATE,
            n_fft=512,
            win_length=400,
            hop_length=160,
            n_mels=bands,
            f_min=20.0,
            center=False,
            power=2.0,
        )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        # every row is reflected at its own ends by half a window, as in the prepared features
        positions = (torch.arange(x.shape[1] + 512, device=x.device) - 256).expand(len(x), -1).abs()
        end = (lengths[:, None] - 1).clamp(min=0)
        positions = torch.where(positions > end, 2 * end - positions, positions).clamp(min=0).minimum(end)
        frames = self.mel(x.gather(1, positions)).clamp(min=1e-6).log().transpose(1, 2)  # [B, T', 40]
        lengths = lengths // 160 + 1
        frames = frames[:, : int(lengths.max())]
        valid = (torch.arange(frames.shape[1], device=x.device) < lengths[:, None])[..., None]
        n = lengths[:, None, None].to(frames.dtype)
        mean = frames.masked_fill(~valid, 0).sum(1, keepdim=True) / n
        centred = (frames - mean).masked_fill(~valid, 0)
        spread = (centred.square().sum(1, keepdim=True) / n).sqrt().clamp(min=1e-3)
        encoded: tuple[Tensor, Tensor] = self.encoder(centred / spread, lengths)
        return encoded


class Pretrained(nn.Module):
    """wav2vec 2.0, HuBERT or DistilHuBERT (any speech model of ``transformers``): waveform [B, U] → h [B, T, d],
    lengths.

    Args:
        name: hub name or local folder.
        mask: attend to valid frames alone; off reproduces models that were trained on padded input without a mask.
        freeze_extractor: keep the convolutional feature extractor as it is.
        checkpointing: recompute activations in the backward pass.

    Raises:
        ModuleNotFoundError: without the extra ``text`` (transformers).
        FileNotFoundError: there is no such model (:mod:`holdfast.methods.networks.hub`).
    """

    def __init__(
        self, name: str, *, mask: bool = True, freeze_extractor: bool = True, checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.net: Any = hub.model(name)
        self.mask = mask
        self.d_out = int(self.net.config.hidden_size)
        self.net.config.apply_spec_augment = False  # augmentation is drawn from the run's own generator
        if freeze_extractor and hasattr(self.net, "feature_extractor"):
            self.net.feature_extractor.requires_grad_(False)
            # transformers asks for gradients of the extractor's input while it trains: half a step's time, for nothing
            self.net.feature_extractor._requires_grad = False
        if checkpointing:
            self.net.activation_checkpointing_enable()

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = normalise(x, lengths)
        attention = (torch.arange(x.shape[1], device=x.device) < lengths[:, None]).long() if self.mask else None
        h: Tensor = self.net(x, attention_mask=attention).last_hidden_state
        frames: Tensor = self.net._get_feat_extract_output_lengths(lengths).long()
        return h, frames.clamp(max=h.shape[1])
