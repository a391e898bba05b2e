"""What all data of regression share: part of the rows, imbalance, one label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import RegressionInfo
from holdfast.datasets.core.table import Ragged
from holdfast.datasets.readers.csv import SPLITS
from holdfast.datasets.supremix import agedb as supremix_agedb
from holdfast.datasets.supremix import imdb_wiki as supremix_imdb_wiki
from holdfast.datasets.supremix import stsb as supremix_stsb
from holdfast.datasets.supremix import tabular as supremix_tabular
from holdfast.datasets.supremix import timeseries as supremix_timeseries
from holdfast.datasets.supremix import volumes as supremix_volumes
from holdfast.datasets.supremix.regression import RegressionData, finish
from PIL import Image
from pydantic import ValidationError

from ..shared import data_root
from .files import series, sts, volumes


def test_a_fraction_is_part_of_the_training_rows_and_leaves_the_others_alone() -> None:
    whole = supremix_tabular.load(supremix_tabular.Config(n_train=100, n_test=20), None)
    part = supremix_tabular.load(supremix_tabular.Config(n_train=100, n_test=20, fraction=0.2), None)
    assert len(part.splits["train"]) == 20
    rows = {tuple(r) for r in whole.splits["train"].columns["x"].tolist()}  # type: ignore[union-attr]
    assert {tuple(r) for r in part.splits["train"].columns["x"].tolist()} < rows  # type: ignore[union-attr]
    assert torch.equal(whole.splits["test"].columns["x"], part.splits["test"].columns["x"])  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        supremix_tabular.Config(fraction=0)


def test_rows_that_are_left_with_one_label_are_refused_with_that_label() -> None:
    column = {"x": torch.zeros(50, 1), "label": torch.tensor([9.0] + [4.0] * 49)}
    with pytest.raises(DataError, match="all 5 training targets are 4: there is nothing to learn"):
        finish(RegressionData(fraction=0.1), dict.fromkeys(SPLITS, column), RegressionInfo(modality="table"), "real")


def test_imbalance_thins_high_labels_in_training_alone() -> None:
    def angles(imbalanced: bool) -> dict[str, torch.Tensor]:
        source = supremix_agedb.load(supremix_agedb.Config(imbalanced=imbalanced), None)
        return {k: t.columns["label"] for k, t in source.splits.items()}  # type: ignore[misc]

    even, skewed = angles(False), angles(True)
    assert torch.equal(even["test"], skewed["test"])
    assert set(torch.bincount(even["test"].long()).tolist()) == {10}
    counts = torch.bincount(skewed["train"].long(), minlength=61)
    assert int(counts.sum()) == 1200
    assert int(counts[:12].sum()) > 6 * int(counts[30:].sum())
    source = supremix_tabular.load(supremix_tabular.Config(imbalanced=True), None)
    label = source.splits["train"].columns["label"]
    test = source.splits["test"].columns["label"]
    assert isinstance(label, torch.Tensor)
    assert isinstance(test, torch.Tensor)
    assert 100 < len(label) < 900
    assert float(label.mean()) < float(test.mean()) - 2


real = data_root()


def faces(root: Path) -> Path:
    (root / "wiki_crop").mkdir()
    lines = "age,path,split\n"
    for i in range(14):
        Image.fromarray(np.full((9, 9), 15 * i, np.uint8)).save(root / "wiki_crop" / f"{i}.png")
        lines += f"{20 + i},wiki_crop/{i}.png,{'train' if i < 10 else ('val', 'test')[i % 2]}\n"
    for name in ("agedb.csv", "imdb_wiki.csv"):
        (root / name).write_text(lines)
    return root


def windows(root: Path) -> Path:
    series(root / "s.csv")
    return root


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
@pytest.mark.parametrize(
    ("module", "tree", "options"),
    [
        (supremix_stsb, sts, {}),
        (supremix_timeseries, windows, {"window": 8, "horizon": 3}),
        (supremix_volumes, volumes, {"size": 4}),
        (supremix_agedb, faces, {"size": 8}),
        (supremix_imdb_wiki, faces, {"size": 8}),
    ],
)
def test_a_fraction_of_real_data_leaves_validation_and_test_whole(
    module: Any, tree: Any, options: dict[str, Any], fraction: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    root = tree(tmp_path / "data")
    whole, part = (module.load(module.Config(fraction=f, **options), root) for f in (1.0, fraction))
    drawn = {module.load(module.Config(fraction=fraction, seed=seed, **options), root).checksum for seed in range(6)}
    assert len(part.splits["train"]) == max(2, round(fraction * len(whole.splits["train"])))
    for split in ("valid", "test"):
        for name, column in whole.splits[split].columns.items():
            other = part.splits[split].columns[name]
            one, two = (c.values if isinstance(c, Ragged) else c for c in (column, other))
            assert torch.equal(one, two)
    of = whole.splits["train"].columns["label"].tolist()
    assert set(part.splits["train"].columns["label"].tolist()) <= set(of)
    assert part.checksum in drawn
    assert len(drawn) > 1  # the seed draws; two seeds may draw the same two of ten rows
