"""Modes and losses of CDvG where the data or the precision is thin."""

from __future__ import annotations

import pytest
import torch
from holdfast.datasets.core.source import ImageInfo
from holdfast.datasets.core.table import Table
from holdfast.datasets.core.view import ExperienceView
from holdfast.methods.cdvg.cdvg import Cdvg
from holdfast.methods.networks import images


def view(labels: list[int]) -> ExperienceView:
    """An experience that is said to hold the classes 0 to 3."""
    column = torch.tensor(labels)
    table = Table({"image": torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8), "label": column})
    classes = (0, 1, 2, 3)
    return ExperienceView(
        0, 1, torch.arange(len(labels)), classes, classes, 4, len(labels), table, 4, 0, torch.device("cpu")
    )


@pytest.mark.parametrize(("labels", "stages"), [([0, 2, 2, 0], ["translator", "classifier"]), ([1, 1], ["classifier"])])
def test_a_class_without_an_image_is_no_mode(labels: list[int], stages: list[str]) -> None:
    model = images.build(images.Config(width=4, features=8), ImageInfo(classes=4, channels=3, size=8), 0)
    cdvg = Cdvg(Cdvg.Config(width=4, critic_width=4), model)
    given = view(labels)
    if len(set(labels)) == 1:
        with pytest.warns(UserWarning, match="one class"):
            cdvg.before_experience(given)
    else:
        cdvg.before_experience(given)
        drawn = cdvg.draw_modes(200, 2, torch.Generator().manual_seed(0))
        assert set(drawn.flatten().tolist()) == set(labels)
    assert cdvg.modes == tuple(sorted(set(labels)))
    assert [stage.name for stage in cdvg.stages(given)] == stages
