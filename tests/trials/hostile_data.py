"""Whole data sets with one file spoilt, and what a suite says of them."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from holdfast.suites.config import catalog

from . import bombs
from .hostile_values import Input
from .layouts import LAYOUTS, Layout

TEXTS = (".csv", ".tsv", ".txt", ".jsonl", ".json")
MOST = 6  # files of a layout that are spoilt, the lists of rows first
Spoil = Callable[[Path, Path], None]  # of the file, and of the trial's folder


def _bytes(change: Callable[[bytes], bytes]) -> Spoil:
    def spoil(path: Path, place: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return spoil


def _cell(value: str, row: int = 2, column: int = -1) -> Spoil:
    """One cell of a table (or one field of a JSON line) is ``value``."""

    def change(path: Path, place: Path) -> None:
        raw = value.replace("{place}", str(place))
        lines = path.read_text(encoding="utf-8").splitlines()
        k = min(row, len(lines) - 1)
        if path.suffix in (".jsonl", ".json"):
            head, _, tail = lines[k].rpartition(":")
            lines[k] = f"{head}: {raw}{tail[len(tail.rstrip('}]')) :]}"
        else:
            mark = "\t" if "\t" in lines[k] else ","
            cells = lines[k].split(mark)
            cells[column % len(cells)] = raw
            lines[k] = mark.join(cells)
        path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))

    return change


def _replaced(make: Callable[[Path], None]) -> Spoil:
    def spoil(path: Path, place: Path) -> None:
        path.unlink()
        make(path)

    return spoil


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(bombs.HUGE)


EVERY: dict[str, Spoil] = {
    "empty": _bytes(lambda data: b""),
    "cut": _bytes(lambda data: data[: len(data) // 2]),
    "cut by a byte": _bytes(lambda data: data[:-1]),
    "zeros": _bytes(lambda data: b"\0" * len(data)),
    "noise": _bytes(lambda data: random.Random(0).randbytes(len(data))),
    "some bytes changed": _bytes(lambda data: bytes(b ^ 255 if k % 97 == 50 else b for k, b in enumerate(data))),
    "twice": _bytes(lambda data: data + data),
    "a gzip": _bytes(gzip.compress),
    "text": _bytes(lambda data: b"this is not what the name says\n" * 9),
    "absent": _replaced(lambda path: None),
    "a folder": _replaced(Path.mkdir),
    "a pipe": _replaced(os.mkfifo),
    "a link to itself": _replaced(lambda path: path.symlink_to(path.name)),
    "a device": _replaced(lambda path: path.symlink_to("/dev/zero")),
    "a system file": _replaced(lambda path: path.symlink_to("/etc/passwd")),
    "128 GiB of zeros": _replaced(_sparse),
}
LINES: dict[str, Spoil] = {
    "the first line alone": _bytes(lambda data: data[: data.find(b"\n") + 1]),
    "two lines": _bytes(lambda data: b"\n".join(data.split(b"\n")[:2]) + b"\n"),
    "a byte order mark": _bytes(lambda data: b"\xef\xbb\xbf" + data),
    "UTF-16": _bytes(lambda data: data.decode().encode("utf-16")),
    "Latin-1": _bytes(lambda data: data.replace(b"e", b"\xe9")),
    "NUL": _bytes(lambda data: data.replace(b"\n", b"\0\n", 3)),
    "Mac line ends": _bytes(lambda data: data.replace(b"\n", b"\r")),
    "Windows line ends": _bytes(lambda data: data.replace(b"\n", b"\r\n")),
    "empty lines": _bytes(lambda data: data.replace(b"\n", b"\n\n")),
    "an open quote": _bytes(lambda data: data.replace(b"\n", b'\n"', 1)),
    "every line the same": _bytes(lambda data: data.split(b"\n")[0] + (b"\n" + data.split(b"\n")[1]) * 40 + b"\n"),
    "columns left out": _bytes(lambda data: data.replace(b",", b"", 3).replace(b"\t", b"", 3)),
    "columns too many": _bytes(lambda data: data.replace(b"\n", b",x,y,z\n", 5)),
    "a field of 200,000 letters": _cell("x" * 200_000),
    "5,000 digits": _cell("9" * 5000),
    "no number": _cell("nan"),
    "infinity": _cell("inf"),
    "minus infinity": _cell("-inf"),
    "1e39": _cell("1e39"),
    "1e400": _cell("1e400"),
    "nothing": _cell(""),
    "a surrogate": _cell('"\\ud800"'),
    "no UTF-8": _cell("\udcff\udcfe"),
    "an emoji": _cell('"\U0001f600"'),
    "control characters": _cell("\x1b[2J\x07"),
    "a list 100,000 deep": _cell("[" * 100_000 + "]" * 100_000),
    "objects 20,000 deep": _cell('{"a":' * 20_000 + "1" + "}" * 20_000),
    "a formula": _cell("=cmd|'/c touch {place}/canary'!A0"),
    "an object of YAML": _cell("!!python/object/apply:os.system [touch {place}/canary]"),
    "first cell: a path upwards": _cell("../../../../../etc/passwd", column=0),
    "first cell: a system file": _cell("/etc/passwd", column=0),
    "first cell: a device": _cell("/dev/zero", column=0),
    "first cell: an address": _cell("http://127.0.0.1:9/x.wav", column=0),
    "first cell: 5,000 letters": _cell("a" * 5000, column=0),
    "first cell: NUL": _cell("a\0b", column=0),
    "first cell: no UTF-8": _cell("\udcff.wav", column=0),
    "first line: a surrogate": _cell('"\\ud800"', row=0),
    "first line: 5,000 letters": _cell("h" * 5000, row=0),
}
LOOSE = {"a byte order mark", "Windows line ends", "empty lines", "an emoji", "a gzip", "twice", "cut by a byte"}
REFUSED = {"a link to itself", "128 GiB of zeros", "a device", "a pipe"}


def _files(root: Path) -> list[Path]:
    """The files of a data set that are spoilt: one for each suffix and folder, lists of rows first."""
    kept: dict[tuple[str, str], Path] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        listed = path.suffix in TEXTS
        key = (path.suffix, path.name if listed or not path.suffix else str(path.parent.parent))
        kept.setdefault(key, path)
    return sorted(kept.values(), key=lambda path: path.suffix not in TEXTS)[:MOST]


def spoils(path: Path) -> Iterator[tuple[str, Spoil]]:
    """All ways to spoil a file of this name."""
    yield from EVERY.items()
    if path.suffix in TEXTS:
        yield from LINES.items()
    for name, make in bombs.of_suffix(path.suffix):

        def spoil(path: Path, place: Path, make: Callable[[Path], bytes] = make) -> None:
            path.write_bytes(make(place / "canary"))

        yield name, spoil


def _put(whole: Path, relative: Path, spoil: Spoil) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        shutil.copytree(whole, place / "data", dirs_exist_ok=True)
        spoil(place / "data" / relative, place)

    return make


def command(layout: Layout, verb: str) -> tuple[str, ...]:
    root = "{place}/data" + (f"/{layout.file}" if layout.file else "")
    words = ("data", "check") if verb == "check" else ("run",)
    method = catalog.recipe(layout.suite, "smoke").defaults[0]  # one: what is tried is how the data are read
    one = () if verb == "check" else ("--method", method)
    return (*words, layout.suite, "--profile", "smoke", *one, "--data-root", root, *layout.options)


def whole(layouts: Path) -> Iterator[Input]:
    """Every layout as it should be: it must be accepted, else nothing is tried by spoiling it."""
    for name, layout in LAYOUTS.items():
        root = layouts / name
        if not root.exists():
            root.mkdir(parents=True)
            layout.make(root)

        def make(place: Path, root: Path = root) -> None:
            shutil.copytree(root, place / "data", dirs_exist_ok=True)

        yield Input(f"data {name}: whole", command(layout, "check"), make, codes=(0,))


def of_data(layouts: Path) -> Iterator[Input]:
    """``suites data check`` of every layout with each of its files spoilt in every way; ``layouts``: where whole ones
    lie or are made."""
    yield from whole(layouts)
    for name, layout in LAYOUTS.items():
        root = layouts / name
        for path in _files(root):
            relative = path.relative_to(root)
            for how, spoil in spoils(path):
                # a run reads the pixels and the sound that a check may leave alone
                for verb in ("check", "run") if path.suffix not in TEXTS else ("check",):
                    made = _put(root, relative, spoil)
                    only = path.suffix in TEXTS and how in REFUSED
                    yield Input(f"data {verb} {name} {relative}: {how}", command(layout, verb), made, refused=only)
