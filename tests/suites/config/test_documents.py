"""What is read as YAML: values that cannot be held, and aliases that make much of little."""

from __future__ import annotations

from typing import Any

import pytest
from holdfast.suites.config import documents
from holdfast.suites.config.errors import Fault

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"train: {{epochs: {'9' * 5000}}}", "a value cannot be read (Exceeds the limit (4300 digits)"),
        (f"train: {{epochs: -{'9' * 5000}}}", "a value cannot be read (Exceeds the limit (4300 digits)"),
        ("name: 2026-13-01", "a value cannot be read (month must be in 1..12"),
        (LAUGHS, "with its aliases written out it has more than 100,000 values"),
        ("name: &a [1, *a]", "with its aliases written out it has more than 100,000 values"),
        (f"title: {'x' * 20_001}", "a value has 20,001 letters, and at most 20,000 are read"),
        (f"methods: [{{? {'x' * 3_000_000} : 1}}]", "a value has 3,000,000 letters, and at most 20,000 are read"),
        ("name: &a {b: {c: *a}}", "with its aliases written out it has more than 100,000 values"),
    ],
)
def test_what_cannot_be_held_is_refused_by_its_place(text: str, problem: str) -> None:
    with pytest.raises(Fault, match="this is no YAML") as caught:
        documents.read_yaml(text, "mine.yaml")
    assert problem in caught.value.what
    assert caught.value.where == "mine.yaml"


def test_aliases_of_ordinary_recipes_are_read() -> None:
    text = "sizes: &s [1, 2]\nfirst: {a: *s}\nsecond: {a: *s, b: *s}\n"
    assert documents.read_yaml(text, "x") == {
        "sizes": [1, 2],
        "first": {"a": [1, 2]},
        "second": {"a": [1, 2], "b": [1, 2]},
    }


def test_an_override_that_cannot_be_held_is_named_and_shortened() -> None:
    document: dict[str, Any] = {"train": {"epochs": 1}}
    [problem] = documents.override(document, f"train.epochs={'9' * 5000}", ["train"])
    assert problem.startswith("train.epochs: '9999")
    assert "is no YAML value (a value cannot be read (Exceeds the limit (4300 digits)" in problem
    assert len(problem) < 500
    assert document == {"train": {"epochs": 1}}
