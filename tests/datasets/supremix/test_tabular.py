"""Tables and faces: what readers make of good files, and one clear message for bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import RegressionInfo, Source
from holdfast.datasets.supremix import agedb as supremix_agedb
from holdfast.datasets.supremix import tabular as supremix_tabular

from ..shared import data_root


def table(path: Path, text: str, **options: object) -> Source[RegressionInfo]:
    path.write_text(text)
    return supremix_tabular.load(supremix_tabular.Config(**options), path)


GOOD = "a,kind,b,y\n" + "".join(f"{i},{'red' if i % 2 else 'blue'},{i * i},{3 * i + 1}\n" for i in range(40))


def test_a_table_with_categories_is_standardised_by_its_training_rows(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv", GOOD)
    x, y = source.splits["train"].columns["x"], source.splits["train"].columns["label"]
    assert isinstance(x, torch.Tensor)
    assert x.shape == (28, 4)
    assert torch.allclose(x.mean(0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(x.std(0, unbiased=False), torch.ones(4), atol=1e-4)
    assert isinstance(y, torch.Tensor)
    labels = torch.cat([t.columns["label"] for t in source.splits.values()])  # type: ignore[misc]
    assert sorted(labels.tolist()) == [3.0 * i + 1 for i in range(40)]
    assert source.info.label_name == "y"
    assert source.checksum == table(tmp_path / "t.csv", GOOD).checksum
    assert source.checksum != table(tmp_path / "t.csv", GOOD, seed=1).checksum


@pytest.mark.parametrize("delimiter", ["\t", ";", " "])
def test_other_delimiters_and_no_header(tmp_path: Path, delimiter: str) -> None:
    rows = "".join(delimiter.join(map(str, (i, i * i, 2 * i))) + "\n" for i in range(30))
    source = table(tmp_path / "t.txt", rows)
    assert (source.info.input_shape, source.info.label_name) == ((2,), "2")


def test_a_split_column_and_a_dropped_one(tmp_path: Path) -> None:
    words = ["train", "val", "test", "train"]
    text = "id,x,y,part\n" + "".join(f"n{i},{i},{i % 7},{words[i % 4]}\n" for i in range(40))
    source = table(tmp_path / "t.csv", text, split_column="part", target="y", drop=("id",))
    assert {k: len(v) for k, v in source.splits.items()} == {"train": 20, "valid": 10, "test": 10}
    assert source.info.input_shape == (1,)


def test_a_source_says_whether_its_seed_splits_one_table_anew(tmp_path: Path) -> None:
    """Rows of a table and scikit-learn's digits come again under another seed; Friedman's are drawn fresh."""
    rows = "".join(f"{i},{i % 7},{('train', 'valid', 'test')[i % 3]}\n" for i in range(30))
    assert table(tmp_path / "t.csv", "a,y,part\n" + rows, target="y", drop=("part",)).random_split
    assert not table(tmp_path / "t.csv", "a,y,part\n" + rows, target="y", split_column="part").random_split
    assert not supremix_tabular.stand_in(supremix_tabular.Config(n_train=30, n_test=10)).random_split
    assert supremix_agedb.load(supremix_agedb.Config(n_train=61, n_test=61), None).random_split
    assert cdvg_cmnist.load(cdvg_cmnist.Config(n_train=50, n_test=20), None).random_split


def test_missing_inputs_take_the_training_median(tmp_path: Path) -> None:
    text = GOOD.replace("\n4,blue", "\n,blue")
    with pytest.raises(DataError, match=r"line 6: no value in column 'a'; set data.options.missing=median"):
        table(tmp_path / "t.csv", text)
    x = table(tmp_path / "t.csv", text, missing="median").splits["train"].columns["x"]
    assert isinstance(x, torch.Tensor)
    assert torch.isfinite(x).all()


def replaced(old: str, new: str) -> str:
    return GOOD.replace(old, new, 1)


BAD = {
    "nan target": (replaced("\n5,red,25,16", "\n5,red,25,nan"), {}, "line 7: the target 'y' is nan"),
    "infinite target": (replaced("\n5,red,25,16", "\n5,red,25,inf"), {}, "line 7: the target 'y' is inf"),
    "word as target": (
        replaced("\n5,red,25,16", "\n5,red,25,many"),
        {},
        "line 7: 'many' in the target column 'y' is no number",
    ),
    "empty target": (replaced("\n5,red,25,16", "\n5,red,25,"), {}, "line 7: '' in the target column 'y' is no number"),
    "constant target": ("a,y\n" + "".join(f"{i},2\n" for i in range(30)), {}, "all 22 training targets are 2"),
    "one row": ("a,y\n1,2\n", {}, "1 rows of data"),
    "text in a numeric column": (
        replaced("\n5,red,25,16", "\n5,red,big,16"),
        {},
        "line 7: 'big' in the numeric column 'b'",
    ),
    "unknown split": (GOOD, {"split_column": "kind"}, "split 'blue' is none of train, valid"),
    "no such target": (GOOD, {"target": "z"}, "data.options.target: no column 'z'"),
    "ragged": (replaced("\n5,red,25,16", "\n5,red,25,16,9"), {}, "line 7: 5 fields, not 4"),
    "empty": ("\n\n", {}, "empty"),
    "target alone": ("y\n" + "".join(f"{i}\n" for i in range(30)), {}, "no input column"),
    "names twice": (replaced("a,kind", "b,kind"), {}, "column names occur twice: b"),
    "not text": (None, {}, "unreadable"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_message(tmp_path: Path, name: str) -> None:
    text, options, message = BAD[name]
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xff\xfe\x00bad" if text is None else text.encode())
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        supremix_tabular.load(supremix_tabular.Config(**options), path)


def test_a_folder_without_a_table_and_one_with_two(tmp_path: Path) -> None:
    config = supremix_tabular.Config()
    with pytest.raises(DataError, match="no such folder"):
        supremix_tabular.load(config, tmp_path / "no")
    with pytest.raises(DataError, match=r"0 tables there \(none\)"):
        supremix_tabular.load(config, tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(DataError, match="2 tables there"):
        supremix_tabular.load(config, tmp_path)
    chosen = supremix_tabular.load(supremix_tabular.Config(file="a.csv"), tmp_path)
    assert len(chosen.splits["train"]) == 28


real = data_root()


@pytest.mark.skipif(real is None, reason="no shared data beside the checkout")
@pytest.mark.parametrize(
    ("file", "rows", "inputs"),
    [("concrete.txt.gz", 1030, 8), ("yacht.txt.gz", 308, 6), ("energy.txt.gz", 768, 8), ("abalone.csv.gz", 4177, 10)],
)
def test_real_tables(file: str, rows: int, inputs: int) -> None:
    assert real is not None
    source = supremix_tabular.load(supremix_tabular.Config(file=file), real / "uci")
    assert sum(len(t) for t in source.splits.values()) == rows
    assert source.info.input_shape == (inputs,)
