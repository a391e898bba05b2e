"""Windows of series, and recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.supremix import stsb as supremix_stsb
from holdfast.datasets.supremix import timeseries as supremix_timeseries

from ..shared import data_root
from .files import labels, series


def test_windows_end_the_horizon_before_their_target_and_stay_in_their_split(tmp_path: Path) -> None:
    config = supremix_timeseries.Config(window=8, horizon=3, stride=2)
    parts, name, _ = supremix_timeseries.windows(config, series(tmp_path / "s.csv"))
    assert name == "OT"
    for split, low, high in (("train", 0, 140), ("valid", 140, 160), ("test", 160, 200)):
        x, y = parts[split]["x"], parts[split]["label"] / 10
        assert x.shape[1:] == (2, 8)
        assert torch.equal(x[:, 0, -1] + 3, y)
        assert bool(((y >= low) & (y < high)).all())
        assert torch.equal(x[:, 1], 10 * x[:, 0])
    source = supremix_timeseries.load(config, tmp_path)
    column = source.splits["train"].columns["x"]
    assert isinstance(column, torch.Tensor)
    assert torch.allclose(column.mean((0, 2)), torch.zeros(2), atol=1e-4)


def test_relative_windows_end_at_zero_and_their_label_is_the_change(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("a,OT\n" + "".join(f"{i},{i * i}\n" for i in range(200)))
    config = supremix_timeseries.Config(window=8, horizon=3, stride=2)
    plain, _, _ = supremix_timeseries.windows(config, path)
    relative = config.model_copy(update={"relative": True})
    changes, name, _ = supremix_timeseries.windows(relative, path)
    assert name == "change of OT"
    for split, part in changes.items():
        x, last = plain[split]["x"], plain[split]["x"][:, :, -1:]
        assert torch.equal(part["x"], x - last)
        assert torch.equal(part["label"], plain[split]["label"] - last[:, 1, 0])
    with pytest.raises(DataError, match=r"data\.options\.relative is for a CSV series"):
        supremix_timeseries.load(relative, None)


@pytest.mark.parametrize(
    ("n", "bad", "options", "message"),
    [
        (200, "2020-02-01,word,4\n", {}, "s.csv line 202: 'word' in column 'a' is no finite number"),
        (200, "2020-02-01,3,nan\n", {}, "'nan' in column 'OT'"),
        (30, "", {"window": 96}, "30 rows are too few"),
        (200, "", {"target": "date"}, "the target must be a numeric column"),
        (200, "", {"target": "b"}, "no column 'b'"),
    ],
)
def test_bad_series_are_one_message(tmp_path: Path, n: int, bad: str, options: dict[str, object], message: str) -> None:
    config = supremix_timeseries.Config(**{"window": 8, "horizon": 3, **options})
    with pytest.raises(DataError, match=message):
        supremix_timeseries.load(config, series(tmp_path / "s.csv", n, bad))


def test_recordings_with_labels(tmp_path: Path) -> None:
    (tmp_path / "eeg").mkdir()
    for i in range(5):
        np.save(tmp_path / "eeg" / f"r{i}.npy", np.arange(2 * (20 + i), dtype=np.float32).reshape(2, -1) + i)
    good = "r0,20,train\nr1,30,train\nr2,40,train\nr3,50,val\nr4,60,test\n"
    labels(tmp_path, good)
    config = supremix_timeseries.Config(samples=20)
    source = supremix_timeseries.load(config, tmp_path)
    assert source.info.input_shape == (2, 20)
    for text, message in (
        (good + "r9,3,test\n", "line 7: no eeg/r9"),
        (good + "../x,3,test\n", "is no name of a file"),
        (good.replace("20,", "old,"), "'old' in the target column 'age'"),
        (good.replace("val", "perhaps"), "split 'perhaps'"),
    ):
        labels(tmp_path, text)
        with pytest.raises(DataError, match=message):
            supremix_timeseries.load(config, tmp_path)
    labels(tmp_path, good)
    with pytest.raises(DataError, match=r"not \[2, 24 or more\]"):
        supremix_timeseries.load(supremix_timeseries.Config(samples=24), tmp_path)
    np.save(tmp_path / "eeg" / "r1.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError, match=r"r1\.npy: no readable"):
        supremix_timeseries.load(config, tmp_path)


real = data_root()


@pytest.mark.skipif(real is None, reason="no shared data beside the checkout")
def test_real_pairs_and_series() -> None:
    assert real is not None
    source = supremix_stsb.load(supremix_stsb.Config(), real / "stsb")
    assert {k: len(t) for k, t in source.splits.items()} == {"train": 5249, "valid": 1000, "test": 1000}
    label = source.splits["train"].columns["label"]
    assert isinstance(label, torch.Tensor)
    assert len(label.unique()) == 132
    hourly = supremix_timeseries.load(
        supremix_timeseries.Config(file="ETTh1.csv.gz", target="OT"), real / "time_series"
    )
    assert hourly.info.input_shape == (7, 96)
