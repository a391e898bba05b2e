"""Sentence pairs, series, recordings and volumes: what their readers make of good files, and one message for bad ones."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.table import Ragged
from holdfast.datasets.readers import volumes as readers
from holdfast.datasets.supremix import agedb as supremix_agedb
from holdfast.datasets.supremix import imdb_wiki as supremix_imdb_wiki
from holdfast.datasets.supremix import stsb as supremix_stsb
from holdfast.datasets.supremix import timeseries as supremix_timeseries
from holdfast.datasets.supremix import volumes as supremix_volumes
from PIL import Image

from .shared import place

HEADER = "index\tgenre\tsentence1\tsentence2\tscore\n"


def sts(root: Path, line: str = "") -> Path:
    folder = root / "glue_data" / "STS-B"
    folder.mkdir(parents=True, exist_ok=True)
    for stem, count in (("train", 12), ("dev", 4), ("test", 3)):
        rows = "".join(f'{i}\tx\tA "man {i} runs.\tThe man walks\t{i * 0.4:.3f}\n' for i in range(count))
        (folder / f"{stem}_new.tsv").write_text(HEADER + rows + (line if stem == "train" else ""))
    return root


def test_sentence_pairs_in_the_released_layout(tmp_path: Path) -> None:
    source = supremix_stsb.load(supremix_stsb.Config(), sts(tmp_path))
    assert {k: len(t) for k, t in source.splits.items()} == {"train": 12, "valid": 4, "test": 3}
    first = source.splits["train"].columns["first"]
    assert isinstance(first, Ragged)
    assert first.lengths.tolist() == [4] * 12
    assert source.info.pairs is not None
    known = source.info.pairs.words
    back = {i: w for w, i in known.items()}
    assert [back[int(i)] for i in first.values[:4]] == ["a", "man", "0", "runs"]
    assert source.info.pairs.vocabulary == len(known) + 2
    rare = supremix_stsb.load(supremix_stsb.Config(min_count=12), tmp_path)
    words = rare.splits["train"].columns["first"]
    assert isinstance(words, Ragged)
    assert int(words.values[2]) == 1  # "0" is unknown now


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("9\tx\ta\tb\tnan\n", "train_new.tsv line 14: the target 'score' is nan"),
        ("9\tx\ta\tb\thigh\n", "'high' in the target column"),
        ("9\tx\ta\tb\t7\n", "the score 7 is not in 0 to 5"),
        ("9\tx\ta\t3\n", "4 fields, not 5"),
    ],
)
def test_bad_pairs_are_one_message(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        supremix_stsb.load(supremix_stsb.Config(), sts(tmp_path, line))
    with pytest.raises(DataError, match=r"no train\.tsv"):
        supremix_stsb.load(supremix_stsb.Config(balanced=False), tmp_path)


def test_generated_pairs_differ_between_splits_and_have_all_scores() -> None:
    pairs = supremix_stsb.stand_in(supremix_stsb.Config())
    texts = [{(a, b) for a, b, _ in rows} for rows in pairs.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
    scores = [y for _, _, y in pairs["train"]]
    assert min(scores) == 0
    assert max(scores) > 4.5
    for a, b, y in pairs["test"][:50]:
        assert (y == 5.0) == (a == b)


def series(path: Path, n: int = 200, bad: str = "") -> Path:
    rows = "".join(f"2020-01-{i},{i},{i * 10}\n" for i in range(n))
    path.write_text("date,a,OT\n" + rows + bad)
    return path


def test_windows_end_the_horizon_before_their_target_and_stay_in_their_split(tmp_path: Path) -> None:
    config = supremix_timeseries.Config(window=8, horizon=3, stride=2)
    parts, name = supremix_timeseries.windows(config, series(tmp_path / "s.csv"))
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
    plain, _ = supremix_timeseries.windows(config, path)
    relative = config.model_copy(update={"relative": True})
    changes, name = supremix_timeseries.windows(relative, path)
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


def labels(root: Path, text: str) -> None:
    (root / "labels.csv").write_text("id,age,split\n" + text)


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


def nifti(values: np.ndarray, order: str = "<", slope: float = 2.0, intercept: float = 1.0) -> bytes:
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, 3, *values.shape, 1, 1, 1, 1)
    struct.pack_into(f"{order}h", header, 70, 4)
    struct.pack_into(f"{order}3f", header, 108, 352.0, slope, intercept)
    header[344:348] = b"n+1\0"
    return bytes(header) + values.astype(f"{order}i2").tobytes(order="F")


def test_nifti_files_of_the_second_version_and_of_fractions(tmp_path: Path) -> None:
    import nibabel

    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        path = tmp_path / "v.nii"
        kind(values, np.eye(4)).to_filename(path)
        assert np.array_equal(readers.nifti(path), values)
    values[0, 0, 0] = np.nan
    nibabel.Nifti1Image(values, np.eye(4)).to_filename(path)
    with pytest.raises(DataError, match="holds NaN"):
        readers.nifti(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_files_are_read_with_their_scale(tmp_path: Path, order: str) -> None:
    values = np.arange(24).reshape(2, 3, 4)
    path = tmp_path / "v.nii.gz"
    path.write_bytes(gzip.compress(nifti(values, order)))
    assert np.array_equal(readers.nifti(path), values * 2 + 1)
    for raw, message in ((b"short", "no NIfTI-1"), (nifti(values)[:-4], "cut short")):
        path.write_bytes(gzip.compress(raw))
        with pytest.raises(DataError, match=message):
            readers.nifti(path)
    whole = gzip.compress(nifti(np.arange(4096).reshape(16, 16, 16) * 37 % 1009))

    def changed(place: int, form: str, value: object) -> bytes:
        raw = bytearray(nifti(values))
        struct.pack_into(form, raw, place, value)
        return gzip.compress(bytes(raw))

    for raw, message in (
        (b"not zipped", "unreadable"),
        (b"", "no NIfTI-1"),
        (whole[: len(whole) // 2], "unreadable"),
        (whole[:-4], "unreadable"),
        (whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:], "unreadable"),  # the checksum is another
        (changed(70, "<h", 128), "data type .* is not read"),  # three bytes a voxel
        (changed(70, "<h", 999), "no NIfTI-1"),
        (changed(344, "4s", b"xx1\0"), "no NIfTI-1"),
        (changed(42, "<h", -2), "no NIfTI-1|cut short"),
    ):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=message):
            readers.nifti(path)


def test_volumes_with_labels(tmp_path: Path) -> None:
    (tmp_path / "volumes").mkdir()
    g = np.random.default_rng(0)
    for i in range(4):
        np.save(tmp_path / "volumes" / f"v{i}.npy", g.normal(size=(6, 7, 8)))
    (tmp_path / "volumes" / "v4.nii").write_bytes(nifti(g.integers(0, 90, (5, 5, 5))))
    labels(tmp_path, "v0,20,train\nv1,30,train\nv2,40,train\nv3,50,val\nv4,60,test\n")
    source = supremix_volumes.load(supremix_volumes.Config(size=4), tmp_path)
    x = source.splits["train"].columns["x"]
    assert isinstance(x, torch.Tensor)
    assert x.shape == (3, 1, 4, 4, 4)
    assert torch.allclose(x.mean((1, 2, 3, 4)), torch.zeros(3), atol=1e-5)
    np.save(tmp_path / "volumes" / "v1.npy", np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"\[3, 3\] is no volume"):
        supremix_volumes.load(supremix_volumes.Config(size=4), tmp_path)


def test_blobs_grow_with_their_label() -> None:
    part = supremix_volumes.blobs(410, 12, np.random.default_rng(0))
    mass = part["x"].sum((1, 2, 3, 4))
    assert float(torch.corrcoef(torch.stack([mass.double(), part["label"]]))[0, 1]) > 0.9


def test_film_faces_have_their_own_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    (tmp_path / "imdb_crop").mkdir()
    lines = "age,path,split\n"
    for i in range(6):
        Image.fromarray(np.full((9, 9), 30 * i, np.uint8)).save(tmp_path / "imdb_crop" / f"{i}.png")
        lines += f"{20 + i},imdb_crop/{i}.png,{('train', 'train', 'train', 'train', 'val', 'test')[i]}\n"
    (tmp_path / "imdb_wiki.csv").write_text(lines)
    source = supremix_imdb_wiki.load(supremix_imdb_wiki.Config(size=8), tmp_path)
    assert {k: len(t) for k, t in source.splits.items()} == {"train": 4, "valid": 1, "test": 1}
    stand_in = supremix_imdb_wiki.load(supremix_imdb_wiki.Config(), None).splits["train"].columns["label"]
    assert isinstance(stand_in, torch.Tensor)
    assert float(stand_in.float().mean()) < 20


def volumes(root: Path) -> Path:
    (root / "volumes").mkdir()
    lines = ""
    for i in range(14):
        np.save(root / "volumes" / f"v{i}.npy", np.random.default_rng(i).normal(size=(5, 5, 5)))
        lines += f"v{i},{20 + i},{'train' if i < 10 else ('val', 'test')[i % 2]}\n"
    labels(root, lines)
    return root


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


def test_the_texts_of_a_fraction_are_those_of_its_rows(tmp_path: Path) -> None:
    source = supremix_stsb.load(supremix_stsb.Config(n_train=60, n_test=20, fraction=0.3, imbalanced=True), None)
    assert source.info.pairs is not None
    known = {i: word for word, i in source.info.pairs.words.items()}
    for split, table in source.splits.items():
        texts = source.info.pairs.texts[split]
        assert len(texts) == len(table)
        for k, name in enumerate(("first", "second")):
            column = table.columns[name]
            assert isinstance(column, Ragged)
            for i, pair in enumerate(texts):
                ids = column.values[column.offsets[i] : column.offsets[i + 1]].tolist()
                heard = supremix_stsb.words(pair[k], 40)
                assert len(ids) == len(heard)
                assert all(known.get(number, word) == word for number, word in zip(ids, heard, strict=True))


real = place()


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
