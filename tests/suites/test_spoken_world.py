"""The page of the spoken world, followed: its example is a recipe, its data is checked and drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .process import CommandLine

REAL_PICTURES = True

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "spoken_world.md"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (text,) = re.findall(r'^```yaml title="mine.yaml"\n(.*?)^```$', PAGE.read_text(encoding="utf-8"), re.M | re.S)
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_valid_and_its_data_is_what_it_declares(mine: Path, tmp_path: Path) -> None:
    cli = CommandLine()
    cli.here("validate", str(mine), out=tmp_path)
    done = cli.here("data", "check", str(mine), "--picture", str(tmp_path / "world.png"), out=tmp_path)
    assert "voice follows scenario (0.8)" in done.stdout
    assert "drift of accent to german in experience 1" in done.stdout
    assert "mutual information in the training rows" in done.stdout
    assert (tmp_path / "world.png").stat().st_size > 5000


def test_a_wrong_plan_is_one_message(mine: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mine.write_text(mine.read_text(encoding="utf-8").replace("german]}\n      drift_s", "germn]}\n      drift_s"))
    done = CommandLine().here("validate", str(mine), out=tmp_path, code=None)
    assert done.returncode == 2
    said = capfd.readouterr().err
    assert "no accent 'germn' - did you mean german?" in said
    assert "Traceback" not in said


def test_there_is_nothing_to_draw_of_other_data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = CommandLine().here(
        "data", "check", "split_digits", "--picture", str(tmp_path / "x.png"), out=tmp_path, code=None
    )
    assert done.returncode == 2
    assert "does not know the factors of its rows" in capfd.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_the_check_of_recognised_sentences_shows_their_errors(tmp_path: Path) -> None:
    done = CommandLine().here("data", "check", "peft_world", "data.options.text=recognised", out=tmp_path)
    for said in ("errors a word of the train sentences", "word error rate", "training sentences with errors"):
        assert said in done.stdout


@pytest.mark.parametrize(
    ("overrides", "code", "message"),
    [
        (["data.options.word_error_rate=0.1"], 2, "word_error_rate: nothing is recognised: set text: recognised"),
        (["data.options.text=spoken"], 2, "data.options.text"),
        (
            ["data.options.text=recognised", "data.options.recogniser=absent"],
            3,
            "absent: no folder of a recogniser (data.options.recogniser names a local one)",
        ),
    ],
)
def test_what_cannot_be_recognised_is_one_message(
    overrides: list[str], code: int, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    CommandLine().here("data", "check", "peft_world", *overrides, out=tmp_path, code=code)
    said = capfd.readouterr().err
    assert message in said
    assert "next:" in said
    assert "Traceback" not in said
