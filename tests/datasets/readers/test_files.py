"""Text and bytes of files that others wrote: bounded, of regular files, in UTF-8."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from holdfast.datasets.cdvg import folder
from holdfast.datasets.coconut import fsc, manifest, slurp
from holdfast.datasets.core import fingerprints, limits
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.readers.csv import read_rows
from holdfast.datasets.readers.files import read_bytes, read_text
from holdfast.datasets.readers.idx import read_idx
from holdfast.datasets.slimmable.rows import listed

from .. import trees

SMALL = 1 / 1024  # GiB: of text an eighth
HUGE = 2**37


def sparse(path: Path) -> Path:
    """A file of 128 GiB that takes no disk."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(HUGE)
    return path


def test_text_of_too_many_bytes(tmp_path: Path) -> None:
    bomb = tmp_path / "rows.csv.gz"
    bomb.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 2**16))
    assert len(read_text(bomb)) == 4 + 2**18
    with limits.using(SMALL), pytest.raises(DataError, match=r"rows\.csv\.gz: unreadable \(more than 0\.125 MiB"):
        read_text(bomb)
    with pytest.raises(DataError, match=r"zeros\.csv: unreadable \(more than 1 GiB\)"):
        read_text(sparse(tmp_path / "zeros.csv"))
    with pytest.raises(DataError, match=r"more than 0\.25 MiB"):
        read_bytes(bomb, 2**18)


def test_damaged_files_and_what_is_no_file(tmp_path: Path) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(os.urandom(4096))[:-900])
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(gzip.compress(b"a,b\n1,2\n" * 99)[:20] + os.urandom(60))
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for path in (cut, damaged, tmp_path / "pipe.csv", tmp_path / "folder.csv"):
        with pytest.raises(DataError, match=f"{path.name}: unreadable"):
            read_text(path)
    with pytest.raises(DataError, match="no regular file"):
        fingerprints.of([tmp_path / "pipe.csv"])
    with pytest.raises(DataError, match=r"data\.max_gib"):
        fingerprints.of([sparse(tmp_path / "zeros")])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("a,b\n1,2\n".encode("utf-16"), r"unreadable \(line 1 is UTF-16: byte 0 is 0xff\); save it as UTF-8"),
        (
            "a,b\n1,caf\u00e9\n".encode("latin-1"),
            r"unreadable \(line 2 is no UTF-8: byte 9 is 0xe9\); save it as UTF-8",
        ),
    ],
)
def test_other_encodings_are_named(raw: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(raw)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / "rows.csv", ["a"])


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert read_rows(tmp_path / "rows.csv", ["a"]) == [("rows.csv line 2", {"a": "1", "b": "2"})]


def test_a_field_that_is_too_long_for_the_parser(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n" + "x" * 200_000 + ",3\n")
    with pytest.raises(DataError, match=r"rows\.csv line 3: field larger"):
        read_rows(path, ["a"])


def test_an_idx_file_that_promises_more_than_it_holds_or_memory_takes(tmp_path: Path) -> None:
    path = tmp_path / "images"
    head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 3, 4))
    for tail, message in ((23, "promises 24 bytes, and it holds 23"), (25, "promises 24 bytes, and it holds 25")):
        path.write_bytes(head + bytes(tail))
        with pytest.raises(DataError, match=message):
            read_idx(path)
        path.with_name("images.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        with pytest.raises(DataError, match=message.replace("holds 25", "holds more")):
            read_idx(path)
    path.write_bytes(head + bytes(range(24)))
    assert np.array_equal(read_idx(path), np.arange(24).reshape(2, 3, 4))
    path.write_bytes(b"\0\0\x08\x03" + (2**31 - 1).to_bytes(4, "big") * 3 + bytes(99))
    with pytest.raises(DataError, match=r"data\.max_gib"):
        read_idx(path)
    with pytest.raises(DataError, match="not an idx file of bytes"):
        read_idx(sparse(path))


def test_lists_of_rows_that_are_huge_or_pipes(tmp_path: Path) -> None:
    """Every reader of a list goes through the same bounds."""
    made = {name: tmp_path / name for name in ("manifest", "slurp", "fsc", "images", "nyud")}
    for path in made.values():
        path.mkdir()
    trees.manifest(made["manifest"], "jsonl")
    trees.slurp(made["slurp"])
    trees.fsc(made["fsc"])
    rows = {
        "manifest": made["manifest"] / "manifest.jsonl",
        "fsc": next(made["fsc"].rglob("train_data.csv")),
        "images": made["images"] / "index.csv",
        "nyud": made["nyud"] / "train.txt",
    }
    reads = {
        "manifest": lambda: manifest.load(manifest.Config(), made["manifest"]),
        "fsc": lambda: fsc.load(fsc.Config(), made["fsc"]),
        "images": lambda: folder.load(folder.Config(), made["images"]),
        "nyud": lambda: listed(rows["nyud"]),
    }
    for name, file in rows.items():
        sparse(file)
        with pytest.raises(DataError, match="more than 1 GiB"):
            reads[name]()
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(DataError, match=r"no regular file|missing|no manifest"):
            reads[name]()
    synthetic = next(made["slurp"].rglob("train.jsonl")).with_name("train_synthetic.jsonl")
    synthetic.unlink(missing_ok=True)
    os.mkfifo(synthetic)
    with pytest.raises(DataError, match=r"train_synthetic\.jsonl: unreadable \(no regular file\)"):
        slurp.load(slurp.Config(), made["slurp"])


@pytest.mark.parametrize("name", ["a" * 5000, "..", "a/b", "a\0b", "\u00e9" * 130])
def test_an_id_that_can_be_no_name_of_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(f"0001\n{name}\n")
    with pytest.raises(DataError, match="is no name of a file"):
        listed(tmp_path / "train.txt")
