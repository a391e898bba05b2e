"""Makes the weights of the shipped acoustic encoder anew:
``python -m holdfast.suites.runtime.pretrain_acoustic --out FILE``.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from ...datasets.coconut import slurp
from ...datasets.core.sampling import epoch_batches
from ...datasets.core.seeds import generator
from ...datasets.core.table import Ragged
from ...datasets.spoken.corpus import spoken
from ...methods.networks.acoustic import AcousticEncoder


def frame_accuracy(model: AcousticEncoder, features: Ragged, labels: Ragged) -> float:
    """Share of frames of 20 ms whose phoneme (of their first 10 ms) is named right."""
    model.eval()
    right = total = 0
    with torch.no_grad():
        for part in torch.arange(len(features)).split(64):
            x, lengths = features.gather(part)
            y, _ = labels.gather(part)
            y = y[:, ::2]
            named = model.phones(x.float(), lengths).argmax(-1)
            valid = torch.arange(y.shape[1]) < ((lengths + 1) // 2)[:, None]
            right += int(((named == y) & valid).sum())
            total += int(valid.sum())
    return right / max(1, total)


def train_acoustic(
    features: Ragged,
    labels: Ragged,
    *,
    epochs: int = 8,
    lr: float = 3e-3,
    batch_size: int = 16,
    seed: int = 0,
    report: Callable[[str], None] = lambda text: None,
) -> AcousticEncoder:
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
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-intent", type=int, default=75)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    config = slurp.Config(n_train=arguments.per_intent, n_valid=4, n_test=1, seed=1_000_003)
    rows = slurp.utterances(config)
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
