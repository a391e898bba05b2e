"""The six data sets of the spoken world: columns, facts, and what of the sound is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import ImageInfo, RegressionInfo, SpeechInfo
from holdfast.datasets.core.table import Ragged
from holdfast.datasets.spoken_world import commands, contrast, images, regression, rows, tasks
from holdfast.suites.config import registry

SMALL: dict[str, Any] = {"n_train": 3, "n_valid": 1, "n_test": 1}


def test_commands_have_transcripts_and_experiences() -> None:
    source = commands.load(commands.Config(**SMALL), None)
    train = source.splits["train"].columns
    assert isinstance(source.info, SpeechInfo)
    assert [len(source.splits[s]) for s in ("train", "valid", "test")] == [18, 6, 6]
    assert sorted(set(train["experience"].tolist())) == [0, 1, 2]  # type: ignore[union-attr]
    assert source.info.annotations["train"][0].scenario == "alarm"
    again = commands.load(commands.Config(**SMALL), None)
    noisier = commands.load(commands.Config(**SMALL, noise=0), None)
    assert again.checksum == source.checksum != noisier.checksum
    mine, other = (s.splits["train"].columns["features"] for s in (source, noisier))
    assert isinstance(mine, Ragged)
    assert isinstance(other, Ragged)
    assert torch.equal(mine.lengths, other.lengths)  # the same words as fast as before
    assert not torch.equal(mine.values, other.values)


def test_the_bias_of_images_is_in_the_training_images_and_not_in_the_test() -> None:
    source = images.load(images.Config(n_train=5, n_valid=1, n_test=5, n_unbiased=2, bias=1.0), None)
    info, train = source.info, source.splits["train"].columns
    assert isinstance(info, ImageInfo)
    assert (info.classes, info.channels, info.size, info.usual) == (4, 3, 16, (0, 1, 2, 3))
    assert info.biases == ("m1", "f1", "m3", "f4")
    assert torch.equal(train["label"], train["bias"])  # type: ignore[arg-type]
    test = source.splits["test"].columns
    assert 0 < int(torch.as_tensor(test["label"]).eq(torch.as_tensor(test["bias"])).sum()) < len(source.splits["test"])
    assert len(source.splits["unbiased"]) == 8
    assert train["image"].dtype == torch.uint8  # type: ignore[union-attr]
    assert 60 < train["image"].float().mean() < 190  # type: ignore[union-attr]


def test_images_need_one_factor_that_follows_the_label() -> None:
    with pytest.raises(DataError, match="one factor that follows the label"):
        images.load(images.Config(plan="slimmable", **SMALL), None)
    by_rate = {"extends": "cdvg", "bias": {"rate~intent": 1.0}}
    source = images.load(images.Config(plan=by_rate, n_unbiased=0, **SMALL), None)
    bias = source.splits["train"].columns["bias"]
    assert bias.tolist() == [k for k in range(4) for _ in range(3)]  # type: ignore[union-attr]
    assert set(source.splits) == {"train", "valid", "test"}


def test_the_target_has_what_the_background_lacks() -> None:
    source = contrast.load(contrast.Config(**SMALL), None)
    spaces = {a.name: (a.space, a.target_only) for a in source.info.attributes}
    assert spaces["accent"] == spaces["noise"] == ("salient", True)
    assert spaces["intent"] == spaces["voice"] == ("common", False)
    columns = source.splits["train"].columns
    background = columns["target"] == 0
    assert (columns["accent"][background] == -1).all()  # type: ignore[index]
    assert columns["noise"][background].isnan().all()  # type: ignore[index]
    assert (columns["accent"][~background] >= 0).all()  # type: ignore[index]
    with pytest.raises(DataError, match="give the plan a target"):
        contrast.load(contrast.Config(plan="cdvg"), None)
    alike = {"extends": "sepclr", "target": {"accent": ["gb"], "noise_db": [40, 40]}}
    with pytest.raises(DataError, match="no factor of the target varies"):
        contrast.load(contrast.Config(plan=alike), None)


def test_regression_has_the_rate_or_the_pitch() -> None:
    fast = regression.load(regression.Config(**SMALL), None)
    high = regression.load(regression.Config(**SMALL, target="pitch"), None)
    assert isinstance(fast.info, RegressionInfo)
    assert fast.splits["train"].columns["x"].shape == (18, 20, 128)  # type: ignore[union-attr]
    assert torch.equal(fast.splits["test"].columns["x"], high.splits["test"].columns["x"])  # type: ignore[arg-type]
    for source, low, top in ((fast, 110, 290), (high, 20, 80)):
        label = source.splits["train"].columns["label"]
        assert low <= label.min() < label.max() <= top  # type: ignore[union-attr]


def test_a_window_is_the_middle_and_short_rows_are_padded() -> None:
    long, short = torch.randn(40, 40), torch.randn(7, 40)
    made = regression.windows(Ragged.from_list([long, short]), 10, 40)
    middle = ((long - long.mean()) / long.std(correction=0))[15:25].T
    assert torch.allclose(made[0], middle, atol=1e-5)
    assert (made[1, :, 7:] == made[1, :, :7].min()).all()


def test_tasks_of_one_picture() -> None:
    source = tasks.load(tasks.Config(**SMALL), None)
    assert source.info.names == ("intent", "accent", "voice", "rate")
    rate = source.splits["train"].columns["target_rate"]
    assert -1 <= rate.min() < rate.max() <= 1  # type: ignore[union-attr]
    with pytest.raises(DataError, match="no task called 'age'"):
        tasks.load(tasks.Config(**SMALL, tasks=("age",)), None)
    one = {"extends": "slimmable", "factors": {"accent": ["gb"]}}
    with pytest.raises(DataError, match=r"factors\.accent has one value"):
        tasks.load(tasks.Config(**SMALL, plan=one), None)


def test_bands_point_up_and_a_byte_holds_three_deviations() -> None:
    frames = torch.zeros(32, 40)
    frames[:, :20] = 1.0  # loud below
    made = rows.pictures(Ragged.from_list([frames]), 8)[0, 0]
    assert (made[:4] == 85).all()  # one deviation below the mean
    assert (made[4:] == 170).all()


def test_a_set_without_its_plan_s_association_is_refused() -> None:
    few = {"extends": "coconut", "rows": {"train": 2, "valid": 1, "test": 1}, "overlap": 0.5}
    with pytest.raises(DataError, match=r"experience \d has no (valid|test) row: raise data.options.n_"):
        commands.load(commands.Config(plan={**few, "classes": {"scenarios": 3}}, seed=1), None)


@pytest.mark.parametrize("entry", [e.name for e in registry.entries("datasets") if e.name.startswith("spoken_world/")])
def test_no_set_reads_files_and_all_are_described(entry: str, tmp_path: Path) -> None:
    module = registry.dataset(entry)
    with pytest.raises(DataError, match="generated and reads no files"):
        module.load(module.Config(), tmp_path)
    assert module.check(module.Config(n_train=30), None)["faults"] == []
