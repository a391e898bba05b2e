"""What is done to a picture: every row by its own draws, within range, and the way it is called."""

from __future__ import annotations

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.methods.decoding.pictures import VIEWS, blind_batches, noised, view, views


def picture(rows: int = 3) -> torch.Tensor:
    return torch.rand(rows, 3, 12, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_stays_a_picture_and_is_drawn_by_seed_and_row(kind: str) -> None:
    x, rows = picture(), torch.tensor([4, 9, 2])
    made = views(x, rows, (kind,), seed=1)  # type: ignore[arg-type]
    assert made.shape == x.shape
    assert float(made.abs().max()) <= 1 + 1e-5
    assert not torch.equal(made, x)
    assert torch.equal(made[1:2], views(x[1:2], rows[1:2], (kind,), seed=1))  # type: ignore[arg-type]
    if kind not in ("hflip", "vflip"):
        assert not torch.equal(made, views(x, rows, (kind,), seed=2))  # type: ignore[arg-type]


def test_flips_are_flips_and_colours_can_go_black() -> None:
    x = picture(1)[0]
    draws = generator(0, "a")
    assert torch.equal(view(x, "hflip", draws), x.flip(2))
    assert torch.equal(view(x, "vflip", draws), x.flip(1))
    assert torch.equal(view(x, "identity", draws), x)
    darkest = min(float(view(x, "colour", generator(k, "dark")).mean()) for k in range(60))
    assert darkest < -0.9


def test_noise_depends_on_the_row_alone_and_grows_with_the_step() -> None:
    x, rows = picture(), torch.tensor([4, 9, 2])
    made = noised(x, rows, 500, seed=0)
    assert torch.equal(made[2:], noised(x[2:], rows[2:], 500, seed=0))
    away = [float((noised(x, rows, step, 0) - x).abs().mean()) for step in (0, 100, 500, 999)]
    assert away == sorted(away)


def test_pictures_are_taken_away_or_made_grey() -> None:
    batch = {"image": picture(), "index": torch.arange(3)}
    bare, grey = blind_batches(batch, "none_unk")
    assert "image" not in bare
    assert float(grey["image"].abs().max()) == 0
    assert [len(blind_batches(batch, kind)) for kind in ("none", "unk")] == [1, 1]
