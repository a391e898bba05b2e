"""Columns on disk: the same values as in memory, pages given back, rows made when asked for, room that is checked."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.datasets.core import cache, mapped, store
from holdfast.datasets.core.checksums import checksum
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import DataInfo, Source
from holdfast.datasets.core.table import Lazy, Ragged, Table


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def source(n: int = 12) -> Source:
    g = torch.Generator().manual_seed(0)
    words = Ragged.from_list([torch.rand(k % 3 + 1, 2, generator=g) for k in range(n)])
    image = torch.randint(0, 256, (n, 3, 4, 4), dtype=torch.uint8, generator=g)
    table = Table({"image": image, "words": words, "label": torch.arange(n)})
    return Source({"train": table, "test": table}, (), DataInfo(), "stand-in", "abc")


def resident(path: Path) -> int:
    """KiB of the mappings of ``path`` that this process holds."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line and line[0] in "0123456789abcdef" and "-" in line.split()[0]:
            ours = line.endswith(str(path))
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def test_batches_of_mapped_columns_have_the_same_bits() -> None:
    plain = source()
    on_disk = store.mapped_source(plain)
    index = torch.tensor([3, 0, 11, 3])
    for split in plain.splits:
        one, two = plain.splits[split].gather(index), on_disk.splits[split].gather(index)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) and one[name].dtype == two[name].dtype for name in one)
    columns: Any = on_disk.splits["train"].columns
    assert mapped.is_mapped(columns["image"])
    assert mapped.is_mapped(columns["words"].values)
    assert not mapped.is_mapped(columns["words"].offsets)
    assert not mapped.is_mapped(columns["label"])


def test_equal_columns_are_written_once() -> None:
    store.mapped_source(source())
    before = cache.entries()
    again = store.mapped_source(source())
    assert cache.entries() == before
    assert len(before) == 2  # images and words: those of test are those of train
    assert store.mapped_source(again).splits["train"].columns["image"] is again.splits["train"].columns["image"]
    size = store.sizes(again)
    assert size["mapped"] == 12 * 48 + sum(k % 3 + 1 for k in range(12)) * 2 * 4
    assert size["memory"] == 12 * 8 + 13 * 8


def test_a_file_that_is_mapped_is_an_ordinary_array(tmp_path: Path) -> None:
    values = torch.randn(5, 2, 3, dtype=torch.float64)
    with mapped.Writer(tmp_path / "x.npy", torch.float64, (2, 3)) as file:
        file.write(values[:2])
        file.write(values[2:].numpy())
        with pytest.raises(ValueError, match="float32"):
            file.write(values.float())
    assert np.array_equal(np.load(tmp_path / "x.npy"), values.numpy())
    np.save(tmp_path / "y.npy", values.numpy())
    for name in ("x.npy", "y.npy"):
        assert torch.equal(mapped.opened(tmp_path / name), values)
        assert torch.equal(mapped.read(tmp_path / name), values)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00\x10\x00{'descr': 1"])
def test_what_is_no_array_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npy"):
        mapped.opened(tmp_path / "x.npy")


def test_a_file_that_was_cut_is_refused_and_not_a_crash_later(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((100, 100)))
    with (tmp_path / "x.npy").open("r+b") as file:
        file.truncate(50_000)
    with pytest.raises(DataError, match="shorter"):
        mapped.opened(tmp_path / "x.npy")


def test_pages_go_back_while_a_column_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rows = tmp_path / "x.npy", 512
    with mapped.Writer(path, torch.uint8, (65536,)) as file:
        for k in range(rows):
            file.write(np.full((1, 65536), k % 251, np.uint8))
    table = Table({"x": mapped.opened(path)})
    mapped.release()  # what other tests have touched does not count here
    monkeypatch.setattr(mapped, "LIMIT", 100 * 2**20)  # two batches of 64 rows, each counted as 1 MiB
    held = []
    for part in torch.randperm(rows, generator=torch.Generator().manual_seed(0)).split(64):
        batch = table.gather(part)["x"]
        assert torch.equal(batch[:, 0], (part % 251).to(torch.uint8))
        held.append(resident(path))
    assert [kib > 0 for kib in held] == [True, False] * 4
    monkeypatch.setattr(mapped, "LIMIT", 2**40)
    table.gather(torch.arange(rows))
    assert resident(path) > 16 * 2**10  # else the measure above says nothing
    mapped.release()
    assert resident(path) == 0


def test_the_kernel_is_asked_for_the_rows_of_a_batch_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, page = 20_000, mmap.PAGESIZE
    with mapped.Writer(tmp_path / "x.npy", torch.uint8, (size,)) as file:
        file.write(np.zeros((9, size), np.uint8))
    column, asked = mapped.opened(tmp_path / "x.npy"), list[tuple[int, int]]()

    def madvise(self: Any, what: int, start: int = 0, length: int = 0) -> None:
        if what == mmap.MADV_WILLNEED:
            asked.append((start, start + length))

    monkeypatch.setattr(mapped.MappedFile, "madvise", madvise)
    offset = (tmp_path / "x.npy").stat().st_size - 9 * size
    Table({"x": column[2:]}).gather(torch.tensor([4, 0]))
    words = Ragged(column, torch.tensor([0, 1, 4, 9]))
    Table({"words": words}).gather(torch.tensor([1]))
    wanted = [(offset + row * size, offset + (row + count) * size) for row, count in ((6, 1), (2, 1), (1, 3))]
    assert [end for _, end in asked] == [end for _, end in wanted]
    assert all(
        0 <= begin - start < page and start % page == 0 for (start, _), (begin, _) in zip(asked, wanted, strict=True)
    )
    asked.clear()
    monkeypatch.setattr(mapped, "AHEAD", size + 1)  # small rows: as many calls as rows would cost more than they save
    Table({"x": column}).gather(torch.tensor([4, 0]))
    assert asked == []


def test_checksums_are_those_of_memory_and_are_not_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    images = source().splits["train"].columns["image"]
    assert isinstance(images, torch.Tensor)
    other = torch.arange(3)
    on_disk = store.kept(images)
    wanted = checksum([("image", images), ("other", other)], "head")
    assert checksum([("image", on_disk), ("other", other)], "head") == wanted
    assert checksum([("image", on_disk[:6]), ("other", other)], "head") != wanted
    seen: list[int] = []
    parts = mapped.parts

    def counted(column: torch.Tensor) -> Any:
        seen.append(len(column))
        return parts(column)

    monkeypatch.setattr(mapped, "parts", counted)
    assert checksum([("image", on_disk), ("other", other)], "head") == wanted
    assert seen == [3]  # the column in memory alone
    assert checksum([("image", on_disk), ("other", other + 1)], "head") != wanted


def test_rows_of_a_mapped_column_are_mapped() -> None:
    images = source().splits["train"].columns["image"]
    assert isinstance(images, torch.Tensor)
    on_disk, rows = store.kept(images), torch.tensor([1, 5, 7])
    assert store.taken(on_disk, torch.arange(12)) is on_disk
    some: Any = store.taken(on_disk, rows)
    assert mapped.is_mapped(some)
    assert torch.equal(some, images[rows])
    back: Any = store.taken(on_disk, torch.arange(12).flip(0))
    assert torch.equal(back, images.flip(0))


def test_rows_that_are_made_when_asked_for() -> None:
    def squares(index: torch.Tensor) -> torch.Tensor:
        return (index**2)[:, None].expand(-1, 2)

    lazy = Lazy(10, (2,), torch.int64, squares, "squares")
    table = Table({"x": lazy, "label": torch.arange(10)})
    assert table.gather(torch.tensor([9, 2]))["x"].tolist() == [[81, 81], [4, 4]]
    few = lazy.take(torch.tensor([4, 6])).take(torch.tensor([1]))
    assert len(few) == 1
    assert few.gather(torch.tensor([0])).tolist() == [[36, 36]]
    for wrong in (-1, 10):
        with pytest.raises(IndexError, match=r"0\.\.9"):
            table.gather(torch.tensor([wrong]))
    assert checksum([("x", lazy)]) != checksum([("x", lazy.take(torch.arange(10)))])


def test_a_damaged_file_is_written_again(root: Path) -> None:
    images = source().splits["train"].columns["image"]
    assert isinstance(images, torch.Tensor)
    store.kept(images)
    path = next(root.glob(f"*/{store.FILE}"))
    path.write_bytes(path.read_bytes()[:-5] + b"wrong")
    assert torch.equal(store.kept(images), images)


def test_room_is_checked_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    images = source().splits["train"].columns["image"]
    assert isinstance(images, torch.Tensor)
    monkeypatch.setattr(store, "disk_left", lambda: 100)
    with pytest.raises(DataError, match="HOLDFAST_CACHE"):
        store.kept(images)
    assert cache.entries() == []
    monkeypatch.setattr(store, "memory_left", lambda: 100)
    with pytest.raises(DataError, match=r"data\.store=mapped"):
        store.require_memory(101, "a column")
    store.require_memory(100, "a column")
    assert store.chosen() == "memory"
    with store.using("mapped"):
        assert store.chosen() == "mapped"
    assert store.chosen() == "memory"
