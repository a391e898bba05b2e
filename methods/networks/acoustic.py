"""A small acoustic encoder of our own: the demo's counterpart of wav2vec 2.0.

A dilated convolution net on log-mel frames, trained to name the phoneme of every frame in synthetic speech
(``python -m holdfast.methods.networks.acoustic --out FILE`` makes the weights that are shipped beside this file).
"""

from __future__ import annotations

import argparse
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ...datasets.core.sampling import epoch_batches
from ...datasets.core.seeds import generator
from ...datasets.core.table import Ragged

WEIGHTS = Path(__file__).with_name("acoustic.safetensors")
SHA256 = "bda35024a2f8873ef00425669db37e8f6bf3d7de1fb1acdf25f4416eb54dcbbc"


class Block(nn.Module):
    """Residual: norm, dilated convolution over 3 frames, GELU, 1×1 convolution."""

    def __init__(self, d: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.conv = nn.Conv1d(d, d, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Linear(d, d)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        y = self.norm(x).masked_fill(~valid, 0)  # padding is silence of value 0, as beyond the utterance's end
        y = F.gelu(self.conv(y.transpose(1, 2)).transpose(1, 2))
        return x + self.drop(self.mix(y))


class AcousticEncoder(nn.Module):
    """features [B, T, 40], lengths [B] → h [B, ceil(T/4), 128], lengths. Padding changes no row's result."""

    d_out = 128
    stride = 4

    def __init__(self, bands: int = 40, n_phones: int | None = None, dropout: float = 0.1) -> None:
        super().__init__()
        from ...datasets.spoken.corpus import SYMBOLS

        d = self.d_out
        self.first = nn.Conv1d(bands, d, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(Block(d, dilation, dropout) for dilation in (1, 2, 4, 8, 1, 2, 4))
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, n_phones or len(SYMBOLS))

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
    """The shipped encoder. Raises ValueError where the file is not the one whose checksum stands in the code."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(
            f"{path.name} is damaged: its sha256 is {digest}, expected {SHA256}; install the package again"
        )
    model = AcousticEncoder()
    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return model.eval()


def frame_accuracy(model: AcousticEncoder, features: Ragged, labels: Ragged) -> float:
    """Share of frames of 20 ms whose phoneme (of their first 10 ms) is named right."""
    model.eval()
    right = total = 0
    with torch.no_grad():
        for part in torch.arange(len(features)).split(64):
            x, lengths = features.gather(part)
            y, _ = labels.gather(part)
            y = y[:, ::2]
            found = model.phones(x.float(), lengths).argmax(-1)
            valid = torch.arange(y.shape[1]) < ((lengths + 1) // 2)[:, None]
            right += int(((found == y) & valid).sum())
            total += int(valid.sum())
    return right / max(1, total)


def train_acoustic(
    features: Ragged, labels: Ragged, *, epochs: int = 8, lr: float = 3e-3, batch_size: int = 16, seed: int = 0,
    report: Callable[[str], None] = lambda text: None,
) -> AcousticEncoder:  # fmt: skip
    """Cross-entropy of phonemes at frames of 20 ms, AdamW with a one-cycle schedule and time masks."""
    torch.manual_seed(seed)
    model = AcousticEncoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    steps = epochs * -(-len(features) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for epoch in range(epochs):
        model.train()
        total = torch.zeros(())
        batches = epoch_batches(len(features), batch_size, generator(seed, f"acoustic/{epoch}"), features.lengths)
        for part in batches:
            x, lengths = features.gather(part)
            y, _ = labels.gather(part)
            y = y[:, ::2].long()
            valid = torch.arange(y.shape[1]) < ((lengths + 1) // 2)[:, None]
            loss = F.cross_entropy(model.phones(x.float(), lengths)[valid], y[valid], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        report(f"epoch {epoch}: loss {float(total) / len(batches):.3f}")
    return model


def main() -> None:
    """Make the shipped weights anew: train voices of the stand-in, sentences of a seed that no suite uses."""
    import sys

    logging.basicConfig(level=logging.INFO, format="%(message)s")

    from ...datasets.coconut import slurp as coconut_slurp
    from ...datasets.spoken.corpus import spoken

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-intent", type=int, default=75)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    config = coconut_slurp.Config(n_train=arguments.per_intent, n_valid=4, n_test=1, seed=1_000_003)
    rows = coconut_slurp.utterances(config)
    parts = {}
    for split in ("train", "valid"):
        mine = [u for u in rows if u.split == split]
        key = {"kind": "phones", "split": split, "n": len(mine), "seed": config.seed}
        features, labels = spoken(mine, key=key, labels=True, workers=2)
        if labels is None:
            raise RuntimeError("no labels")
        parts[split] = (features, labels)
    model = train_acoustic(*parts["train"], epochs=arguments.epochs, report=logging.getLogger(__name__).info)
    sys.stderr.write(f"frame accuracy on unseen voices and sentences: {frame_accuracy(model, *parts['valid']):.3f}\n")
    save_file({name: value.half().contiguous() for name, value in model.state_dict().items()}, arguments.out)
    sys.stderr.write(f"sha256 {hashlib.sha256(arguments.out.read_bytes()).hexdigest()}\n")


if __name__ == "__main__":
    main()
