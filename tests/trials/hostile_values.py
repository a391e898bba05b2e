"""Commands whose words are hostile: every field and option of the command line with every kind of value."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.suites.config import catalog, registry
from holdfast.suites.config.recipe import Recipe
from pydantic import BaseModel


def nothing(place: Path) -> None:
    """No file is made."""


@dataclass(frozen=True)
class Input:
    """A command with a hostile part. ``{place}`` in its words is the trial's folder, which ``make`` fills; ``refused``:
    it must be refused; ``codes``: the exit codes that are right."""

    name: str
    arguments: tuple[str, ...]
    make: Any = nothing
    refused: bool = False
    codes: tuple[int, ...] = (0, 2, 3)
    environment: dict[str, str] = field(default_factory=dict)
    out: str = ""


EXECUTES = "!!python/object/apply:os.system ['touch {place}/canary']"
VALUES = {
    "nothing": "",
    "null": "null",
    "true": "true",
    "minus one": "-1",
    "zero": "0",
    "half": "0.5",
    "no number": "nan",
    "infinity": "inf",
    "YAML's infinity": ".inf",
    "over float32": "1e39",
    "over float64": "1e400",
    "a billion": "1073741824",
    "over 64 bits": str(2**64),
    "5,000 digits": "9" * 5000,
    "minus 5,000 digits": "-" + "9" * 5000,
    "5,000 digits behind the point": "0." + "1" * 5000,
    "a word": "x",
    "20,000 letters": "x" * 20_000,
    "an emoji": "\U0001f600",
    "a right-to-left mark": "\u202ex\u202c",
    "no UTF-8": "x\udcff",
    "control characters": "\x1b[2J\x07\x08",
    "a line break": "a\nb: c",
    "an empty list": "[]",
    "a list": "[1, x, null]",
    "a mapping": "{a: {b: 1}}",
    "a list 3,000 deep": "[" * 3000 + "]" * 3000,
    "a mapping 3,000 deep": "{a: " * 3000 + "1" + "}" * 3000,
    "a Python object": EXECUTES,
    "a Python name": "!!python/name:os.system",
    "binary": "!!binary gIAAAA==",
    "ten to the ninth aliases": "{a: &a [x, x, x, x, x, x, x, x, x, x], "
    + ", ".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "}",
    "a list that holds itself": "&a [*a]",
    "a path upwards": "../../../../x",
    "a system file": "/etc/passwd",
    "a shell command": "$(touch {place}/canary); `touch {place}/canary`",
    "a format": "%s%n{0.__class__}",
    "a date": "2001-01-01",
    "a brace": "{",
    "spaces": "   ",
}
SUITES = {
    "split_digits": "er",
    "coconut_manifest": "coconut",
    "supremix_tabular": "supremix",
    "supremix_timeseries": "l1",
    "cdvg_folder": "cdvg",
    "peft_text": "lora",
    "sepclr_folder": "sepclr",
    "slimmable_folder": "ecmt",
}


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, each in model.model_fields.items():
        inner = each.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _paths(inner, f"{prefix}{each.alias or name}.")
        else:
            yield f"{prefix}{each.alias or name}"


def fields_of(suite: str, method: str) -> list[str]:
    """Every field that a command may change in a suite."""
    recipe = catalog.recipe(suite, "smoke")
    paths = list(_paths(Recipe))
    for prefix, config in (
        ("data.options", registry.dataset(recipe.data.name, recipe.family).Config),
        ("model.options", registry.network(recipe.model.name).Config),
        (f"methods.{method}", registry.kind_of(recipe, method).Config),
    ):
        paths += [f"{prefix}.{name}" for name in config.model_fields]
    return [*paths, "no.such.field", "", "=", "data.options", "methods"]


def of_fields() -> Iterator[Input]:
    """``suites run SUITE --dry-run FIELD=VALUE``: the model is built, nothing is trained."""
    for suite, method in SUITES.items():
        for path in fields_of(suite, method):
            for name, value in VALUES.items():
                words = ("run", suite, "--profile", "smoke", "--method", method, "--dry-run")
                yield Input(f"field {suite} {path}: {name}", (*words, f"{path}={value}"))


OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "run": (
        ("split_digits", "--profile", "smoke", "--dry-run"),
        (
            *("--profile", "--method", "--seed", "--seeds", "--device", "--data-root", "--out", "--tracking-uri"),
            *("--workers", "--engine", "--address", "--into", "--best-of"),
        ),
    ),
    "sweep": (
        ("split_digits", "--profile", "smoke", "--show-space"),
        (
            *("--method", "--trials", "--workers", "--storage", "--study", "--objective", "--sampler", "--pruner"),
            *("--timeout", "--seeds", "--seed", "--out"),
        ),
    ),
    "compare": ((), ("--metric", "--than", "--rope", "--suite", "--profile", "--out", "--picture", "--ranks")),
    "report": ((), ("--file", "--title", "--out")),
    "verify": (("split_digits", "--profile", "nosuch"), ("--seeds", "--out", "--device", "--record")),
    "data check": (("split_digits",), ("--profile", "--data-root", "--picture")),
    "runs list": ((), ("--out",)),
    "resume": (("last",), ("--workers", "--engine", "--address", "--out")),
    "predict": (("last",), ("--split", "--top", "--level", "--format", "--runs", "--out")),
    "sync": ((), ("--out", "--tracking-uri")),
}
NAMED = {
    "show": (),
    "validate": (),
    "run": ("--dry-run",),
    "copy": ("mine.yaml",),
    "migrate": (),
    "resume": (),
    "compare": (),
    "report": (),
    "predict": (),
    "predictions": (),
    "sync": (),
    "embed": (),
    "tasks": (),
    "runs remove": ("--yes",),
    "data init": (),
    "data check": (),
    "new method": (),
    "new suite": (),
    "new data": (),
    "list": (),
    "slim": (),
    "generate": (),
}


def of_options() -> Iterator[Input]:
    """Every option of a verb, and every name, with every value."""
    for verb, (given, options) in OPTIONS.items():
        for option in options:
            for name, value in VALUES.items():
                yield Input(f"option {verb} {option}: {name}", (*verb.split(), *given, f"{option}={value}"))
    for verb, after in NAMED.items():
        for name, value in VALUES.items():
            yield Input(f"name {verb}: {name}", (*verb.split(), "--", value, *after))
            if value and not value.startswith("-"):
                yield Input(f"word {verb}: {name}", (*verb.split(), value, *after))


STREAMS = {
    "no terminal": {"TERM": ""},
    "an unknown terminal": {"TERM": "no-such-terminal"},
    "no width": {"COLUMNS": "0"},
    "a width that is none": {"COLUMNS": "wide"},
    "ASCII": {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    "no home": {"HOME": ""},
    "a home that is a file": {"HOME": "/etc/passwd"},
    "a cache that is a file": {"HOLDFAST_CACHE": "/etc/passwd"},
    "a cache in a file": {"HOLDFAST_CACHE": "/etc/passwd/x"},
    "runs in a file": {"HOLDFAST_RUNS": "/etc/passwd/x"},
    "runs that are no UTF-8": {"HOLDFAST_RUNS": "{place}/x\udcff"},
    "a store that is no address": {"MLFLOW_TRACKING_URI": "::::"},
    "a store of another kind": {"MLFLOW_TRACKING_URI": "ftp://127.0.0.1/x"},
    "a store in a file": {"MLFLOW_TRACKING_URI": "sqlite:////etc/passwd/x"},
    "a store that is a directory": {"MLFLOW_TRACKING_URI": "sqlite:///{place}/work"},
    "a store of 5,000 letters": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9/" + "x" * 5000},
    "a temporary folder that is not there": {"TMPDIR": "{place}/absent"},
    "no threads": {"OMP_NUM_THREADS": "many"},
}


def of_environment() -> Iterator[Input]:
    """Commands in an environment that is not as they expect it, and with a standard output that takes nothing."""
    for name, environment in STREAMS.items():
        for words in ("list", "doctor", "show split_digits", "runs list", "data list", "run split_digits --dry-run"):
            codes = (0, 2, 3, 4) if words == "doctor" else (0, 2, 3)  # doctor: 4 says that something is not healthy
            yield Input(f"environment {name}: {words}", tuple(words.split()), environment=environment, codes=codes)
    for words in ("list", "show split_digits", "runs list", "--help", "run split_digits --dry-run --json"):
        yield Input(f"output full: {words}", tuple(words.split()), codes=(4,), out="/dev/full")


def sampled(every: Sequence[Input], count: int, draw: random.Random) -> list[Input]:
    """``count`` of them, drawn without repeating."""
    return list(every) if count >= len(every) else draw.sample(list(every), count)
