"""The process's own generators."""

from __future__ import annotations

import random

import numpy as np
import torch

from ...datasets.core.seeds import derive


def seed_everything(seed: int) -> None:
    """Seed torch's global generator (dropout), which is part of a run's state; NumPy's and Python's for libraries."""
    value = derive(seed, "torch")
    torch.manual_seed(value)
    np.random.seed(value % 2**32)
    random.seed(value)
