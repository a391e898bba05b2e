"""LfF's weights: what they are divided by, and when there are none."""

from __future__ import annotations

import pytest
import torch
from holdfast.datasets.core.source import ImageInfo
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.base import UnfitError
from holdfast.methods.cdvg.cdvg_lff import CdvgLff, CdvgLffConfig
from holdfast.methods.cdvg.lff import sample_weights
from holdfast.methods.networks import images


def test_lffs_weights_need_the_joint_objective() -> None:
    """In two stages nothing would train the biased network, and its weights would be left out without a word."""
    model = images.build(images.Config(width=4, features=8), ImageInfo(classes=2, channels=3, size=8), 0)
    with pytest.raises(UnfitError, match="joint"):
        CdvgLff(CdvgLffConfig(objective="two_stage"), model)


def test_lffs_class_maximum_is_that_of_the_visited_rows() -> None:
    """Divided by the class's largest average among rows visited so far: a row of the largest loss has 1 / (1 + ...)."""
    table = Table({"label": torch.tensor([0, 0, 1, 1])})
    view = ExperienceView(0, 1, torch.arange(4), (0, 1), (0, 1), 2, 4, table, 4, 0, torch.device("cpu"))
    batch = {"index": torch.tensor([0, 1, 2]), "label": torch.tensor([0, 0, 1])}
    found = sample_weights(view, batch, torch.tensor([4.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 1.0]), 0.7)
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5 / 1.5, 0.5]))
