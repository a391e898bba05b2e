"""Language models that several decoders of an invocation share: trained once, kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...datasets.core import cache
from ...datasets.core.seeds import generator
from ...datasets.core.table import Batch
from ...datasets.core.view import ExperienceView
from ..base import UnfitError, digest_of
from ..networks.protocols import CausalModel

FILE = "weights.pt"
CLIP = 1.0  # of the gradient's norm
NEEDED = ("tokens", "image", "prompt", "answer", "document")  # columns that a loss may read


@dataclass(frozen=True)
class Training:
    """How a language model is trained: AdamW, a tenth of the steps to warm up, then down to zero on a line.

    ``blind``: share of batches without their pictures, so that the model can be asked without one.
    """

    epochs: int
    batch_size: int
    lr: float
    blind: float = 0.0


def part_rows(view: ExperienceView, part: str, info: Any) -> Tensor:
    """Row ids of a part of the texts (``LanguageInfo.parts``), of the first all rows where there is no column ``part``.

    Raises:
        UnfitError: the data has no such texts.
    """
    if "part" not in view.columns:
        if part in (info.parts[0], "first"):
            return view.index
        raise UnfitError(f"this data has no texts '{part}' (no column 'part'): leave the method out of this suite")
    name = info.parts[0] if part == "first" else part
    if name not in info.parts:
        raise UnfitError(f"this data has no texts '{part}', only {', '.join(info.parts)}: leave the method out")
    rows = view.index[view.labels("part") == info.parts.index(name)]
    if not len(rows):
        raise UnfitError(f"no training row is of the texts '{name}'")
    return rows


def fit(
    model: nn.Module,
    view: ExperienceView,
    rows: Tensor,
    training: Training,
    seed: int,
    purpose: str,
    loss: Callable[[Batch], Tensor] | None = None,
    groups: Tensor | None = None,
) -> None:
    """Train ``model`` (a :class:`CausalModel`) on ``rows``, or give it the weights that a run before made of the same.

    What is the same: the model's weights at the start, the rows' content, settings, seed, purpose, torch and its
    threads. ``loss`` of a batch takes the place of the model's own; its name must then be in ``purpose``. Rows
    of a group (``groups``, numbers in the order of ``rows``) come one after another. The model is left in evaluation
    mode.
    """
    if not training.epochs or not len(rows):
        model.eval()
        return
    key = {
        "kind": "language model",
        "version": 1,
        "start": digest_of(model),
        "rows": _digest(view, rows),
        "training": vars(training),
        "seed": seed,
        "purpose": purpose,
        "torch": [torch.__version__, torch.get_num_threads(), str(view.device.type)],
    }

    def build(folder: Path) -> None:
        _train(model, view, rows, training, seed, purpose, loss, groups)
        torch.save({name: value.cpu() for name, value in model.state_dict().items()}, folder / FILE)

    folder = cache.get_or_build(key, build)
    state = torch.load(folder / FILE, map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    model.eval()


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that training moves. Raises UnfitError where there are none."""
    found = [p for p in model.parameters() if p.requires_grad]
    if not found:
        raise UnfitError(
            "methods.*.lm_epochs: the model is frozen (model.options.frozen) and cannot be trained; "
            "set methods.*.lm_epochs=0, and leave the method 'lm' out"
        )
    return found


def _digest(view: ExperienceView, rows: Tensor) -> str:
    found = hashlib.sha256()
    for part in rows.split(1024):
        batch = view.gather(part)
        for name, values in _read(batch).items():
            found.update(f"{name} {list(values.shape)}".encode())
            found.update(values.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _order(count: int, groups: Tensor | None, draws: torch.Generator) -> Tensor:
    """A random order of ``count`` rows; of groups, with those of a group in their own order."""
    if groups is None:
        return torch.randperm(count, generator=draws)
    _, number = groups.unique(return_inverse=True)
    return torch.randperm(int(number.max()) + 1, generator=draws)[number].argsort(stable=True)


def _read(batch: Batch) -> Batch:
    """What a loss may read of a batch: the columns ``NEEDED`` with their lengths, and the rows' ids."""
    known = {*NEEDED, *(f"{name}_lengths" for name in NEEDED), "index"}
    return {name: values for name, values in batch.items() if name in known}


def _train(
    model: Any,
    view: ExperienceView,
    rows: Tensor,
    training: Training,
    seed: int,
    purpose: str,
    loss: Callable[[Batch], Tensor] | None,
    groups: Tensor | None,
) -> None:
    parameters = trainable(model)
    optimizer = torch.optim.AdamW(parameters, lr=training.lr, weight_decay=0.01, fused=view.device.type == "cpu")
    total = training.epochs * -(-len(rows) // training.batch_size)
    warm = max(1, total // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (total - step) / max(1, total - warm))
    )
    draws = generator(seed, purpose)
    model.train()
    for _ in range(training.epochs):
        order = rows[_order(len(rows), groups, draws)]
        for part in order.split(training.batch_size):
            batch = _read(view.gather(part))
            if training.blind and float(torch.rand((), generator=draws)) < training.blind:
                batch.pop("image", None)
            optimizer.zero_grad()
            value = model.loss(batch)[0] if loss is None else loss(batch)
            value.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            schedule.step()


@torch.no_grad()
def mean_loss(model: CausalModel, view: ExperienceView, rows: Tensor, batch_size: int = 256) -> float:
    """Mean loss of ``rows`` by batches, weighed by their rows (nats a token)."""
    total = sum(float(model.loss(view.gather(part))[0]) * len(part) for part in rows.split(batch_size))
    return total / max(1, len(rows))
