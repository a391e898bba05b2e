"""Files of one's own become the rows that training had: every kind, from the data set's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.cdvg import folder as image_folder
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.table import Ragged
from holdfast.datasets.readers import given
from holdfast.datasets.supremix import agedb, stsb, tabular, timeseries, volumes
from PIL import Image

from ..supremix import files

SPLITS = ("train", "train", "valid", "test")


def table(size: str, town: str) -> str:
    """Rows with ``size`` and ``town`` in every fifth and third of them."""
    lines = [
        f"{10 + i % 7};{i * 1.5 if i % 5 else size};{('york', 'bath', town)[i % 3]};{i % 4};{SPLITS[i % 4]}\n"
        for i in range(24)
    ]
    return "price;size;town;rooms;split\n" + "".join(lines)


def rows(source: Source[Any], paths: list[Path]) -> list[given.Row]:
    words = source.info.pairs.words if getattr(source.info, "pairs", None) else {}
    return list(given.read(source.info.inputs, words, paths))


def same(read: list[given.Row], source: Source[Any], split: str = "test") -> None:
    """The rows are those of the split, in order, to the bit."""
    assert [row.error for row in read] == [""] * len(source.splits[split])
    table = given.stacked(read)
    for name, column in table.columns.items():
        expected = source.splits[split].columns[name]
        if isinstance(column, Ragged):
            assert isinstance(expected, Ragged)
            assert torch.equal(column.values, expected.values)
            assert torch.equal(column.offsets, expected.offsets)
        else:
            assert isinstance(column, torch.Tensor)
            assert isinstance(expected, torch.Tensor)
            assert column.dtype == expected.dtype
            assert torch.equal(column, expected)


def test_a_table_in_another_order_with_missing_values(tmp_path: Path) -> None:
    text = table("", "")
    (tmp_path / "train.csv").write_text(text)
    config = tabular.Config(target="price", split_column="split", missing="median")
    source = tabular.load(config, tmp_path)
    lines = [line.split(";") for line in text.splitlines()]
    test = [line for line in lines[1:] if line[4] == "test"]
    mine = tmp_path / "mine.csv"
    mine.write_text("\n".join(",".join((row[3], row[2], "note", row[1])) for row in [lines[0], *test]) + "\n")
    same(rows(source, [mine]), source)
    assert [row.line for row in rows(source, [mine])] == list(range(2, len(test) + 2))


def test_what_a_table_misses(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(table("", "leeds"))
    with pytest.raises(DataError, match="no value in column"):
        tabular.load(tabular.Config(target="price", split_column="split"), tmp_path)
    (tmp_path / "train.csv").write_text(table("7", "leeds"))
    source = tabular.load(tabular.Config(target="price", split_column="split"), tmp_path)
    cases = {"size,town\n1,york\n": "no column rooms", "size,town,rooms\n,york,1\n": "no value in column 'size'"}
    cases |= {"size,town,rooms\n1,,1\n": "no value in column 'town'", "size,town,rooms\ninf,york,1\n": "'inf'"}
    cases |= {"size,town,rooms\nbig,york,1\n": "'big' in column 'size'", "": "empty", "size,town,rooms\n": "0 rows"}
    for text, message in cases.items():
        (tmp_path / "bad.csv").write_text(text)
        (row,) = rows(source, [tmp_path / "bad.csv"])
        assert message in row.error
    (tmp_path / "half.csv").write_text("size,town,rooms\n1,york,1\nnan,york,1\n2,leeds,1\n")
    assert [bool(row.error) for row in rows(source, [tmp_path / "half.csv"])] == [False, True, False]


def test_a_table_without_a_header(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(30, 4)).round(3)
    (tmp_path / "train.txt").write_text("\n".join(" ".join(map(str, row)) for row in values))
    source = tabular.load(tabular.Config(), tmp_path)
    read = rows(source, [tmp_path / "train.txt"])
    assert len(read) == 30
    every = {tuple(row.columns["x"].tolist()) for row in read}
    assert all(tuple(x.tolist()) in every for x in source.splits["test"].columns["x"])  # type: ignore[union-attr]


def test_windows_of_a_series(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("date,a,OT\n" + "".join(f"2020-01-{i},{i % 11},{i * i % 37}\n" for i in range(200)))
    lines = path.read_text().splitlines()
    for relative in (False, True):
        config = timeseries.Config(window=12, horizon=3, stride=2, relative=relative)
        source = timeseries.load(config, path)
        begin = 160 - 12 - 3 + 1  # of the window whose target is the first test row
        read = []
        for k in range(len(source.splits["test"])):
            part = [line.split(",") for line in lines[1:][begin + 2 * k : begin + 2 * k + 12]]
            one = tmp_path / f"w{k}.csv"
            one.write_text("OT,a\n" + "\n".join(f"{row[2]},{row[1]}" for row in part))
            read += rows(source, [one])
        same(read, source)
        assert len(rows(source, [path])) == 1 + (200 - 12) // 2
    (tmp_path / "short.csv").write_text("OT,a\n1,2\n")
    assert "a window of the run has 12" in rows(source, [tmp_path / "short.csv"])[0].error


def test_recordings_and_volumes(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    root = files.volumes(tmp_path / "v")
    source: Source[Any] = volumes.load(volumes.Config(size=4), root)
    names = [line.split(",") for line in (root / "labels.csv").read_text().splitlines()[1:]]
    same(rows(source, [root / "volumes" / f"{n[0]}.npy" for n in names if n[2] == "test"]), source)
    stand_in = volumes.load(volumes.Config(size=8, n_train=41, n_test=41), None)
    cubes = [tmp_path / f"{k}.npy" for k in range(41)]
    for k, cube in enumerate(cubes):
        np.save(cube, stand_in.splits["test"].columns["x"][k, 0])  # type: ignore[index]
    same(rows(stand_in, cubes), stand_in)
    np.save(tmp_path / "bad.npy", np.full((5, 5, 5), np.nan))
    assert "finite" in rows(source, [tmp_path / "bad.npy"])[0].error
    signals = timeseries.load(timeseries.Config(n_train=20, n_test=10), None)
    raw = timeseries.stand_in(timeseries.Config(n_train=20, n_test=10))["test"]["x"]
    recordings = [tmp_path / f"signal{k}.npy" for k in range(10)]
    for k, file in enumerate(recordings):
        np.save(file, raw[k])
    same(rows(signals, recordings), signals)
    assert "not [2 channels" in rows(signals, [cubes[0]])[0].error
    assert "takes recordings" in rows(signals, [files.series(tmp_path / "s.csv")])[0].error


def test_pairs_of_sentences(tmp_path: Path) -> None:
    root = files.sts(tmp_path / "sts")
    source = stsb.load(stsb.Config(), root)
    same(rows(source, [root / "glue_data" / "STS-B" / "test_new.tsv"]), source)
    (tmp_path / "one.csv").write_text('note,sentence2,sentence1\nx,"walks, runs",A man\nx,y\n')
    first, second = rows(source, [tmp_path / "one.csv"])
    assert first.texts == ("A man", "walks, runs")
    assert "2 fields, not 3" in second.error
    (tmp_path / "two.csv").write_text("sentence1,text\na,b\n")
    assert "no column sentence2" in rows(source, [tmp_path / "two.csv"])[0].error


def test_images(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    for split in ("train", "valid", "test"):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for k in range(2):
                pixels = draws.integers(0, 256, (20, 30, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{k}.png")
    source: Source[Any] = image_folder.load(image_folder.Config(size=8), tmp_path)
    same(rows(source, given.listed([tmp_path / "test"], given.SUFFIXES["image"])), source)
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "empty").mkdir()
    read = rows(source, [tmp_path / "broken.png", tmp_path / "absent.png", tmp_path / "a.wav"])
    assert ["no readable image" in read[0].error, "no such file" in read[1].error] == [True, True]
    (tmp_path / "a.wav").write_bytes(b"")
    assert "takes files that end in .png" in rows(source, [tmp_path / "a.wav"])[0].error
    with pytest.raises(DataError, match="holds no file"):
        given.listed([tmp_path / "empty"], given.SUFFIXES["image"])


def test_faces(tmp_path: Path) -> None:
    stand_in = agedb.load(agedb.Config(n_train=61, n_test=61), None)
    paths = [tmp_path / f"{k:02d}.png" for k in range(61)]
    for k, path in enumerate(paths):
        Image.fromarray(stand_in.splits["test"].columns["x"][k, 0].numpy()).save(path)  # type: ignore[index]
    same(rows(stand_in, paths), stand_in)
    pixels = np.random.default_rng(0)
    (tmp_path / "AgeDB").mkdir()
    table = "age,path,split\n"
    for k in range(12):
        Image.fromarray(pixels.integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / "AgeDB" / f"{k}.png")
        table += f"{20 + k},AgeDB/{k}.png,{('train', 'train', 'val', 'test')[k % 4]}\n"
    (tmp_path / "agedb.csv").write_text(table)
    real = agedb.load(agedb.Config(size=8), tmp_path)
    same(rows(real, [tmp_path / "AgeDB" / f"{k}.png" for k in (3, 7, 11)]), real)
