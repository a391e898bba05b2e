"""What each transform makes of rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.seeds import derive
from holdfast.datasets.core.source import ClassInfo, ImageInfo, SpeechInfo
from holdfast.datasets.core.table import Ragged, Table
from holdfast.datasets.transforms import corrupt, label_noise, tempo
from holdfast.datasets.transforms.corruptions import corrupt as oracle
from pydantic import ValidationError

CLASSES = ClassInfo(classes=4)


def labelled(n: int) -> Table:
    return Table({"x": torch.arange(float(n)), "label": torch.arange(n) % 4 + 3})


def dense(table: Table, name: str) -> torch.Tensor:
    column = table.columns[name]
    assert isinstance(column, torch.Tensor)
    return column


@pytest.mark.parametrize("share", [0.0, 0.29, 1.0])
def test_as_many_labels_are_wrong_as_asked(share: float) -> None:
    rows = label_noise.transform(label_noise.Config(share=share), labelled(100), CLASSES, 7)
    noisy, true = dense(rows.table, "label"), dense(labelled(100), "label")
    assert int((noisy != true).sum()) == round(100 * share)
    assert set(noisy.tolist()) <= {3, 4, 5, 6}
    assert torch.equal(dense(rows.table, "x"), torch.arange(100.0))
    assert rows.origin.tolist() == list(range(100))
    again = label_noise.transform(label_noise.Config(share=share), labelled(100), CLASSES, 7)
    assert torch.equal(dense(again.table, "label"), noisy)


def test_wrong_labels_are_spread_over_the_other_classes_or_are_the_next() -> None:
    true = dense(labelled(4000), "label")
    symmetric = dense(label_noise.transform(label_noise.Config(share=1), labelled(4000), CLASSES, 0).table, "label")
    counts = torch.bincount((symmetric - true) % 4, minlength=4)
    assert counts[0] == 0
    assert (counts[1:] > 1200).all()
    following = label_noise.Config(share=1, kind="next")
    moved = dense(label_noise.transform(following, labelled(40), CLASSES, 0).table, "label")
    assert torch.equal(moved, (dense(labelled(40), "label") - 3 + 1) % 4 + 3)


@pytest.mark.parametrize("columns", [{"x": torch.zeros(4)}, {"label": torch.zeros(4)}, {"label": torch.ones(4).long()}])
def test_noise_needs_classes(columns: dict[str, torch.Tensor]) -> None:
    with pytest.raises(DataError, match="label_noise"):
        label_noise.transform(label_noise.Config(), Table(dict(columns)), CLASSES, 0)


def test_an_image_is_corrupted_by_its_own_generator() -> None:
    images = torch.randint(256, (3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    info = ImageInfo(classes=2, channels=3, size=16)
    config = corrupt.Config(kind="gaussian_noise", severity=2)
    made = dense(corrupt.transform(config, Table({"image": images}), info, 5).table, "image")
    rngs = [np.random.default_rng(derive(5, str(k))) for k in range(3)]
    plain = oracle(images.permute(0, 2, 3, 1).numpy(), "gaussian_noise", 2, rngs)
    assert np.array_equal(made.numpy(), plain.transpose(0, 3, 1, 2))
    first = dense(corrupt.transform(config, Table({"image": images[:1]}), info, 5).table, "image")
    assert torch.equal(first[0], made[0]), "whatever rows there are beside it"
    same = dense(corrupt.transform(corrupt.Config(kind="original"), Table({"image": images}), info, 5).table, "image")
    assert torch.equal(same, images)


def test_what_cannot_be_corrupted_is_refused() -> None:
    grey = ImageInfo(classes=2, channels=1, size=16)
    for info in (grey, ImageInfo(classes=2, channels=3, size=4), CLASSES):
        with pytest.raises(DataError, match="the transform 'corrupt'"):
            corrupt.transform(corrupt.Config(kind="fog"), Table({"image": torch.zeros(1, 1, 16, 16)}), info, 0)
    with pytest.raises(ValidationError, match="unknown corruption"):
        corrupt.Config(kind="rain")


def recordings() -> Table:
    rows = [torch.arange(float(length))[:, None].expand(length, 40) for length in (10, 21)]
    words = Ragged.from_list([torch.arange(k) for k in (3, 1)])
    return Table({"features": Ragged.from_list(rows), "label": torch.tensor([0, 1]), "words": words})


def test_copies_are_faster_or_slower_and_say_the_same() -> None:
    rows = tempo.transform(tempo.Config(factors=(0.5, 2)), recordings(), SpeechInfo(), 0)
    frames, words = rows.table.columns["features"], rows.table.columns["words"]
    assert isinstance(frames, Ragged)
    assert isinstance(words, Ragged)
    assert frames.lengths.tolist() == [10, 21, 20, 42, 5, 10]
    assert rows.origin.tolist() == [0, 1] * 3
    assert words.lengths.tolist() == [3, 1] * 3
    assert dense(rows.table, "label").tolist() == [0, 1] * 3
    assert list(rows.table.columns) == ["features", "label", "words"]
    slow = frames.values[31:51, 0]
    assert (slow.diff() >= 0).all()  # a rising row rises, from the first frame to the last
    assert slow[[0, -1]].tolist() == [0, 9]
    assert torch.allclose(frames.values[-10:, 0].diff(), torch.full((9,), 2.1), atol=1e-4)
    alone = tempo.transform(tempo.Config(factors=(2,), keep=False), recordings(), SpeechInfo(), 0)
    assert len(alone.table) == 2


def test_waveforms_have_no_tempo_here() -> None:
    with pytest.raises(DataError, match="log-mel"):
        tempo.transform(tempo.Config(), recordings(), SpeechInfo(features="waveform"), 0)
    for factors in ((), (0.1,), (5.0,), (float("nan"),)):
        with pytest.raises(ValidationError):
            tempo.Config(factors=factors)
