"""A wav2vec 2.0 step in our loop beside a bare Hugging Face loop: same weights, same padded batches, same optimizer.

    python tests/benchmarks/encoder.py [small|base] [cpu|cuda]

``small`` (4 layers of 256, for a CPU) or ``base`` (the released base model's shape); random weights; utterances of
1 to 3 s at 16 kHz, eight a batch; the convolutional extractor frozen; mean-pooled frames into a linear classifier.
Goal: a ratio of at most 1.05.
"""

from __future__ import annotations

import itertools
import logging
import statistics
import sys
import tempfile
import time
import warnings
from typing import Any

warnings.filterwarnings("ignore")
import torch  # noqa: E402
from holdfast.datasets.core.source import DataInfo, Source  # noqa: E402
from holdfast.datasets.core.streams import class_incremental  # noqa: E402
from holdfast.datasets.core.table import Batch, Ragged, Table  # noqa: E402
from holdfast.methods.base import Method, MethodConfig, StepContext  # noqa: E402
from holdfast.methods.networks.speech import Pretrained  # noqa: E402
from holdfast.methods.training.settings import TrainingSettings  # noqa: E402
from holdfast.methods.training.strategy import MethodStrategy  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

ROWS, BATCH, CLASSES, ROUNDS = 96, 8, 4, 3
SMALL = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}


class Classifier(nn.Module):
    """Mean of the valid frames into a linear layer."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.encoder = Pretrained(folder)
        self.head = nn.Linear(self.encoder.d_out, CLASSES)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        h, n = self.encoder(x, lengths)
        return self.head(pooled(h, n))


def pooled(h: Tensor, n: Tensor) -> Tensor:
    valid = (torch.arange(h.shape[1], device=h.device) < n[:, None])[..., None]
    return (h * valid).sum(1) / n[:, None]


class Plain(Method):
    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(self.model(batch["audio"], batch["audio_lengths"]), batch["label"])}


class Clocked:
    """An observer that keeps nothing but the time of every step and the batches."""

    def __init__(self, device: str) -> None:
        self.times: list[float] = []
        self.device = device

    def points(self, values: dict[str, float], step: int) -> None: ...

    def after_iteration(self, strategy: MethodStrategy) -> None:
        self.times.append(now(self.device))

    def epoch_batches(self, strategy: MethodStrategy, n_batches: int) -> None:
        self.times.append(now(self.device))

    def after_epoch(self, strategy: MethodStrategy) -> None: ...

    def end_of_stages(self, strategy: MethodStrategy) -> None: ...

    def after_stage(self, strategy: MethodStrategy, stage: object) -> None: ...


def now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def steps(times: list[float]) -> list[float]:
    return [b - a for a, b in itertools.pairwise(times)]


def memory(device: str) -> str:
    return f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if device == "cuda" else "-"


class Keeping(Plain):
    """The plain method, which keeps its batches for the bare loop."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(MethodConfig(), model)
        self.batches: list[Any] = []

    def training_step(self, batch: Batch, ctx: StepContext) -> dict[str, Tensor]:
        self.batches.append({k: batch[k] for k in ("audio", "audio_lengths", "label")})
        return super().training_step(batch, ctx)


def ours(folder: str, experience: Any, device: str) -> tuple[list[float], list[Any]]:
    """Seconds of the steps of our loop, and its batches."""
    clock = Clocked(device)
    torch.manual_seed(0)
    method = Keeping(Classifier(folder))
    settings = TrainingSettings(batch_size=BATCH, log_every=50)
    MethodStrategy(method=method, settings=settings, observer=clock, device=device).train(experience, eval_streams=[])
    return steps(clock.times)[2:], method.batches


def bare(folder: str, batches: list[Any], device: str) -> list[float]:
    """Seconds of the steps of a plain loop over the same batches."""
    from transformers import Wav2Vec2Model

    torch.manual_seed(0)
    net: Any = Wav2Vec2Model.from_pretrained(folder).to(device)
    net.freeze_feature_encoder()
    head = nn.Linear(net.config.hidden_size, CLASSES).to(device)
    optimizer = torch.optim.AdamW([*net.parameters(), *head.parameters()], lr=1e-3)
    net.train()
    times = [now(device)]
    for batch in batches:
        x, lengths = batch["audio"], batch["audio_lengths"]
        mask = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        count = lengths[:, None]
        mean = (x * mask).sum(1, keepdim=True) / count
        centred = (x - mean) * mask
        x = centred / (centred.square().sum(1, keepdim=True) / count + 1e-7).sqrt()
        h = net(x, attention_mask=mask.long()).last_hidden_state
        loss = F.cross_entropy(head(pooled(h, net._get_feat_extract_output_lengths(lengths))), batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(now(device))
    return steps(times)[2:]


def main(size: str, device: str) -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    logging.disable(logging.WARNING)
    g = torch.Generator().manual_seed(0)
    waves = [0.1 * torch.randn(int(n), generator=g) for n in torch.randint(16_000, 48_000, (ROWS,), generator=g)]
    table = Table({"audio": Ragged.from_list(waves), "label": torch.arange(ROWS) % CLASSES})
    splits = {"train": table, "valid": table, "test": table}
    source = Source(splits, [str(i) for i in range(CLASSES)], DataInfo(), "stand-in", "0")
    experience = class_incremental(source, 1).streams["train"][0]
    results: dict[str, list[float]] = {"bare Hugging Face loop": [], "Holdfast strategy": []}
    used: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        config = Wav2Vec2Config(**(SMALL if size == "small" else {}), apply_spec_augment=False, layerdrop=0.0)
        Wav2Vec2Model(config).save_pretrained(folder)
        for _ in range(ROUNDS):
            reset_memory(device)
            times, batches = ours(folder, experience, device)
            results["Holdfast strategy"] += times
            used["Holdfast strategy"] = memory(device)
            reset_memory(device)
            results["bare Hugging Face loop"] += bare(folder, batches, device)
            used["bare Hugging Face loop"] = memory(device)
    plain = statistics.median(results["bare Hugging Face loop"])
    lines = [f"| wav2vec 2.0, {size}, {device} | ms a step (median) | ratio | peak MiB |", "|---|---|---|---|"]
    for name, values in results.items():
        median = statistics.median(values)
        lines.append(f"| {name} | {1000 * median:.0f} | {median / plain:.2f} | {used[name]} |")
    sys.stdout.write("\n".join(lines) + "\n")


def reset_memory(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*given, *("small", "cpu")[len(given) :])
