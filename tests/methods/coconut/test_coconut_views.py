"""COCONUT on views: what a view is, what the step adds, and which data it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.table import Ragged, Table
from holdfast.methods.base import UnfitError
from holdfast.methods.coconut.coconut import Coconut
from holdfast.methods.coconut.coconut_views import CoconutViews, with_views
from holdfast.methods.losses.conflict_supcon import conflict_supcon
from holdfast.methods.networks import slu

from .test_distillation import data, make, step  # noqa: F401


def batch() -> dict[str, Any]:
    g = generator(0, "views")
    lengths = torch.tensor([7, 5, 9, 6])
    x = torch.randn(4, 9, 3, generator=g) * torch.tensor([1.0, 2.0, 0.5]) + torch.arange(4.0)[:, None, None]
    valid = torch.arange(9) < lengths[:, None]
    return {"features": x * valid[..., None], "features_lengths": lengths, "label": torch.tensor([0, 0, 1, 2])}


def statistics(x: torch.Tensor, length: int) -> torch.Tensor:
    return torch.stack([x[:length].mean(0), x[:length].std(0, correction=0)])


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_view_has_the_frames_of_its_row_and_the_statistics_of_a_row_of_another_class(share: float) -> None:
    rows = batch()
    doubled, styles = with_views(rows, share, generator(1, "draws"))
    assert {name: len(value) for name, value in doubled.items()} == dict.fromkeys(rows, 8)
    assert torch.equal(doubled["features"][:4], rows["features"])
    assert torch.equal(doubled["label"], rows["label"].repeat(2))
    assert styles[:4].tolist() == [0, 0, 1, 2]
    for i, length in enumerate(rows["features_lengths"].tolist()):
        view, own = doubled["features"][4 + i], statistics(rows["features"][i], length)
        others = [
            own.lerp(statistics(rows["features"][j], int(rows["features_lengths"][j])), share)
            for j in range(4)
            if rows["label"][j] == styles[4 + i]
        ]
        assert styles[4 + i] != rows["label"][i]
        assert any(torch.allclose(statistics(view, length), other, atol=1e-5) for other in others)
        assert not view[length:].any()
        x, v = (part[:length] - part[:length].mean(0) for part in (rows["features"][i], view))
        assert torch.allclose(x / x.std(0), v / v.std(0), atol=1e-4)  # the frames are those of the row


def test_views_are_drawn_from_the_generator_and_one_class_has_none() -> None:
    drawn = [with_views(batch(), 1.0, generator(k, "draws"))[1].tolist() for k in range(12)]
    assert drawn[0] == with_views(batch(), 1.0, generator(0, "draws"))[1].tolist()
    assert len(set(map(tuple, drawn))) > 1
    alone = {**batch(), "label": torch.zeros(4).long()}
    doubled, styles = with_views(alone, 1.0, generator(0, "draws"))
    assert torch.allclose(doubled["features"][:4], doubled["features"][4:], atol=1e-5)
    assert not styles.any()


def test_the_step_is_coconut_s_on_rows_and_views_and_a_contrast(data: tuple[slu.Config, Source]) -> None:  # noqa: F811
    method, view, rows = make(CoconutViews, data, lambda_views=0.3, conflict=2.0)
    logs = step(method, view, rows)
    assert logs.keys() >= {"loss", "loss/mm", "loss/nspt", "loss/views"}
    plain, _, _ = make(Coconut, data)
    doubled, styles = with_views(dict(rows), method.config.style, generator(0, "augment"))
    both = step(plain, view, doubled)
    for name in both.keys() - {"loss"}:
        assert logs[name].item() == pytest.approx(both[name].item(), rel=1e-5)
    h, mask = plain.model.encode(doubled)
    z = plain.project_audio(plain._pool(h, mask))
    views = conflict_supcon(z, doubled["intent"], styles, temperature=0.1, conflict=2.0)
    assert logs["loss/views"].item() == pytest.approx(views.item(), rel=1e-5)
    assert logs["loss"].item() == pytest.approx(both["loss"].item() + 0.3 * views.item(), rel=1e-5)
    logs["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in method.model.parameters() if p.grad is not None)
    without, view, rows = make(CoconutViews, data, lambda_views=0.0)
    assert "loss/views" not in step(without, view, rows)


def test_frames_without_statistics_are_refused(data: tuple[slu.Config, Source]) -> None:  # noqa: F811
    config, prepared = data
    table = prepared.splits["train"]
    features = table.columns["features"]
    assert isinstance(features, Ragged)
    parts = [features.values[a:b] for a, b in zip(features.offsets, features.offsets[1:], strict=False)]
    flat = Ragged.from_list([(x - x.mean(0)) / x.std(0) for x in parts])
    normalised = Source(
        {"train": Table({**table.columns, "features": flat})}, prepared.class_names, prepared.info, "stand-in", "1"
    )
    with pytest.raises(UnfitError, match="keep the encoder frozen"):
        make(CoconutViews, (config, normalised))
    waves = Ragged.from_list([x[:, 0] for x in parts])
    waveforms = Source(
        {"train": Table({**table.columns, "features": waves})}, prepared.class_names, prepared.info, "stand-in", "2"
    )
    with pytest.raises(UnfitError, match="features: waveform"):
        make(CoconutViews, (config, waveforms))
