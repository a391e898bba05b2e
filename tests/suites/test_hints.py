"""``next:`` of every message names commands that the command line takes and fields that there are."""

from __future__ import annotations

import pytest

from .hints import ROOT, commands, refusal, texts, unknown_fields


def advice_of_the_table() -> list[str]:
    """The last column of the tables of docs/bad-inputs.md that say what to do next."""
    lines = (ROOT / "docs" / "bad-inputs.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    return sorted({row[3].replace("\\", "").strip() for row in rows if len(row) == 4})


def test_the_checks_find_what_is_wrong() -> None:
    assert commands("wait, then: suites resume last; suites doctor") == [["resume", "last"], ["doctor"]]
    assert refusal(["resume", "last"]) is None
    assert "INVOCATION" in str(refusal(["resume"]))
    assert refusal(["runs", "list"]) is None
    assert "No such command" in str(refusal(["runs", "lst"]))
    assert "No such option" in str(refusal(["run", "coconut_slurp", "--sed", "1"]))
    assert unknown_fields("set data.options.missing=median or train.lr=0.1 or methods.coconut.temperature=1") == []
    assert unknown_fields("set train.learning_rate=0.1, methods.er.memry=1") == [
        "train.learning_rate",
        "methods.er.memry",
    ]


@pytest.mark.parametrize("text", advice_of_the_table())
def test_what_the_table_of_bad_inputs_advises_exists(text: str) -> None:
    assert {" ".join(one): why for one in commands(text) if (why := refusal(one))} == {}
    assert unknown_fields(text) == []


@pytest.mark.parametrize("folder", ["suites", "datasets", "methods", "analysis"])
def test_what_the_sources_advise_exists(folder: str) -> None:
    sentences = [(place, text) for place, text in texts(folder) if " " in text]
    wrong = [
        (place, " ".join(one), why) for place, text in sentences for one in commands(text) if (why := refusal(one))
    ]
    wrong += [(place, path, "no such field") for place, text in sentences for path in unknown_fields(text)]
    assert not wrong, "\n".join(map(str, wrong))
