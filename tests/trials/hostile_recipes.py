"""Recipes in files that are no recipes, or that would be read for ever."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from .hostile_values import EXECUTES, VALUES, Input

PLAIN = "schema: 2\nextends: split_digits\nname: mine\n"
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]\n" for k in range(1, 40))
TEXTS: dict[str, str | bytes] = {
    "empty": "",
    "a comment": "# nothing\n",
    "a list": "- 1\n- 2\n",
    "a number": "3\n",
    "a word": "recipe\n",
    "two documents": PLAIN + "---\n" + PLAIN,
    "tabs": "schema:\t2\n\tname: x\n",
    "a name twice": PLAIN + "name: other\n",
    "an object": PLAIN + f"title: {EXECUTES}\n",
    "a module": PLAIN + "title: !!python/module:os\n",
    "a new object": PLAIN + "title: !!python/object/new:os.system [touch x]\n",
    "aliases that double": PLAIN + LAUGHS,
    "itself": "&a {schema: 2, name: mine, extends: split_digits, data: *a}\n",
    "a list 5,000 deep": PLAIN + "title: " + "[" * 5000 + "]" * 5000 + "\n",
    "mappings 5,000 deep": PLAIN + "train: " + "{a: " * 5000 + "}" * 5000 + "\n",
    "lines 5,000 deep": PLAIN + "".join(" " * k + f"k{k}:\n" for k in range(1, 1500)),
    "half a document": PLAIN + "data: {options: {",
    "NUL": PLAIN + "title: a\0b\n",
    "control characters": PLAIN + "title: a\x1b[2Jb\x07\n",
    "escaped control characters": PLAIN + 'title: "\\x1b[2J\\x07"\nname: "\\x1b[2J"\n',
    "a surrogate": PLAIN + 'title: "\\ud800"\nname: "\\ud800"\n',
    "Latin-1": (PLAIN + "title: Übung\n").encode("latin-1"),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-32": PLAIN.encode("utf-32"),
    "a byte order mark": PLAIN.encode("utf-8-sig"),
    "random bytes": bytes(range(256)) * 20,
    "zeros": b"\0" * 4096,
    "a gzip": b"\x1f\x8b\x08\0\0\0\0\0",
    "a pickle": b"cos\nsystem\n(S'touch canary'\ntR.",
    "three million letters": PLAIN + "title: " + "x" * 3_000_000 + "\n",
    "a hundred thousand fields": PLAIN + "".join(f"f{k}: 1\n" for k in range(100_000)),
    "ten thousand methods": PLAIN + "methods:\n" + "".join(f"  m{k}: {{use: er}}\n" for k in range(10_000)),
    "schema of 5,000 digits": "schema: " + "9" * 5000 + "\nname: x\n",
    "schema 99": "schema: 99\nname: x\n",
    "schema 1": "schema: 1\nname: x\n",
    "no schema": "name: x\n",
    "extends itself": "schema: 2\nextends: recipe.yaml\nname: mine\n",
    "extends what is not there": "schema: 2\nextends: absent.yaml\nname: mine\n",
    "extends a system file": "schema: 2\nextends: /etc/passwd\nname: mine\n",
    "extends upwards": "schema: 2\nextends: ../../../../../../etc/passwd\nname: mine\n",
    "extends a folder": "schema: 2\nextends: .\nname: mine\n",
    "extends a list": "schema: 2\nextends: [split_digits]\nname: mine\n",
    "extends a device": "schema: 2\nextends: /dev/zero\nname: mine\n",
    "a name upwards": "schema: 2\nextends: split_digits\nname: ../../../x\n",
    "a method upwards": PLAIN + "methods: {../../x: {use: er}}\ndefaults: [../../x]\n",
    "a method of a module": PLAIN + "methods: {er: {use: os.system}}\n",
    "a data set of a module": PLAIN + "data: {name: os.path}\n",
    "a network upwards": PLAIN + "model: {name: ../../x}\n",
    "weights that are a device": PLAIN + "model: {weights: /dev/zero}\n",
    "weights that are no run": PLAIN + "model: {weights: /etc}\n",
    "numbers of 5,000 digits": PLAIN + "train: {epochs: " + "9" * 5000 + "}\n",
    "a negative size": PLAIN + "data: {experiences: -1}\ntrain: {epochs: -1, batch_size: -1}\n",
    "a range that is none": PLAIN + "sweep: {params: {train.lr: {low: 1, high: 0}}}\n",
    "a range without an end": PLAIN + "sweep: {params: {train.lr: {low: .nan, high: .inf}}}\n",
    "a claim of what is not there": PLAIN + "claims: [{better: x, than: y, metric: z}]\n",
    "keys that are no words": PLAIN + "1: 2\n? [a, b]\n: c\nnull: x\ntrue: y\n2001-01-01: z\n",
    "a set key": PLAIN + "title: !!set {a, b}\n",
    "a date for a name": "schema: 2\nextends: split_digits\nname: 2001-01-01\n",
    "percent signs": PLAIN + "title: '%s%n{0.__class__}'\n",
}


def _written(text: str | bytes) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        data = text.replace("{place}", str(place)).encode() if isinstance(text, str) else text
        (place / "work" / "recipe.yaml").write_bytes(data)

    return make


def _pipe(place: Path) -> None:
    os.mkfifo(place / "work" / "recipe.yaml")


def _folder(place: Path) -> None:
    (place / "work" / "recipe.yaml").mkdir()


def _loop(place: Path) -> None:
    (place / "work" / "recipe.yaml").symlink_to("recipe.yaml")


def _device(place: Path) -> None:
    (place / "work" / "recipe.yaml").symlink_to("/dev/zero")


def _circle(place: Path) -> None:
    for one, two in (("recipe", "b"), ("b", "recipe")):
        (place / "work" / f"{one}.yaml").write_text(f"schema: 2\nextends: {two}.yaml\nname: {one}\n")


def _chain(place: Path) -> None:
    names = ["recipe", *(f"r{k}" for k in range(600)), "last"]
    for one, two in itertools.pairwise(names):
        (place / "work" / f"{one}.yaml").write_text(f"schema: 2\nextends: {two}.yaml\nname: {one}\n")
    (place / "work" / "last.yaml").write_text(PLAIN)


def _large(place: Path) -> None:
    with (place / "work" / "recipe.yaml").open("wb") as file:
        file.truncate(2**37)


def _absent(place: Path) -> None:
    pass


SPECIAL: dict[str, Callable[[Path], None]] = {
    "a pipe": _pipe,
    "a folder": _folder,
    "a link to itself": _loop,
    "a device": _device,
    "a circle": _circle,
    "a chain of 600": _chain,
    "128 GiB": _large,
    "absent": _absent,
}
VERBS = {
    "validate": ("validate", "recipe.yaml"),
    "show": ("show", "recipe.yaml"),
    "dry run": ("run", "recipe.yaml", "--profile", "smoke", "--dry-run"),
    "migrate": ("migrate", "recipe.yaml"),
    "copy": ("copy", "recipe.yaml", "copied.yaml"),
    "sweep": ("sweep", "recipe.yaml", "--profile", "smoke", "--show-space"),
}
REFUSED = ("a pipe", "a folder", "a link to itself", "a circle", "absent", "an object", "random bytes", "a device")


def of_recipes() -> Iterator[Input]:
    """Every recipe with every verb that reads one."""
    makers = {name: _written(text) for name, text in TEXTS.items()} | SPECIAL
    for name, make in makers.items():
        for verb, words in VERBS.items():
            yield Input(f"recipe {verb}: {name}", words, make, refused=name in REFUSED)
    for name, value in VALUES.items():
        for field in ("title", "name", "problem", "family", "methods", "defaults", "profiles", "data", "unequal"):
            text = f"{PLAIN}{field}: {value}\n".encode("utf-8", "surrogateescape")
            make = _written(text.replace(b"{place}", b"."))
            yield Input(f"recipe field {field}: {name}", VERBS["validate"], make)
