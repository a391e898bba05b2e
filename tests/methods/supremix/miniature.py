"""What the tests of regression methods share."""

from __future__ import annotations

from typing import Any

import torch
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.view import ExperienceView


def view_of(source: Source, **changes: Any) -> ExperienceView:
    table = source.splits["train"]
    given: dict[str, Any] = {
        "experience": 0,
        "n_experiences": 1,
        "index": torch.arange(len(table)),
        "classes": (),
        "classes_earlier": (),
        "n_classes": 0,
        "n_train": len(table),
        "table": table,
        "batch_size": 32,
        "seed": 0,
        "device": torch.device("cpu"),
    }
    return ExperienceView(**given | changes)
