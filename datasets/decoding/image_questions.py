"""A user's questions about images: POPE's files, or any of the same fields, with a folder of images.

A row (``.jsonl``, or ``.json`` with an object a line as POPE has it; ``.csv``, ``.tsv``) has the fields ``image`` (a
file in ``data.options.images``), ``text`` or ``question``, and ``label`` or ``answer``: yes or no, or with
``data.options.answers=text`` any answer. It may have ``group``, by which metrics are told apart (of several files each
is a group by its name where no row names one); ``neutral``, the same question without a leading clause (LQCD, problem
``yes_no``: groups ``lead_right`` and ``lead_wrong``); and ``split``. Without a data root: generated scenes.

Source of POPE: Li et al., Evaluating object hallucination in large vision-language models, EMNLP 2023.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ..core.language import LanguageInfo
from ..core.source import Source
from ..readers.image_rows import Progress
from ..readers.labelled_texts import Record, label_of, text_of
from . import toy_scenes
from .pictured import PicturedConfig, Told, grouped, image_of, named_split, pictured_source, records, words
from .texts import NO_YES, Row


class Config(PicturedConfig):
    """The files, the images and what the answers are."""

    files: tuple[str, ...] = Field(
        ("questions.jsonl",), min_length=1, description="files of questions in the data root, for example POPE's three"
    )
    answers: Literal["yes_no", "text"] = Field("yes_no", description="yes and no (problem yes_no), or any text")


def _first(record: Record, names: tuple[str, str]) -> str:
    return next((name for name in names if name in record[1]), names[0])


def _row(config: Config, root: Path, record: Record, faults: list[str]) -> Told:
    """One row, its group left out; what is wrong with it goes to ``faults``."""
    prompt = words(text_of(record, _first(record, ("text", "question")), faults))
    said = label_of(record, _first(record, ("label", "answer")), faults)
    label = None
    if config.answers == "yes_no":
        said = said.lower().rstrip(".")
        said = {"true": "yes", "1": "yes", "false": "no", "0": "no"}.get(said, said)
        label = NO_YES.index(said) if said in NO_YES else 0
        if said and said not in NO_YES:
            hint = "any other answer with data.options.answers=text problem=generation"
            faults.append(f"{record[0]}: the answer {said[:40]!a} is neither yes nor no ({hint})")
    neutral = None if record[1].get("neutral") in (None, "") else words(text_of(record, "neutral", faults))
    row = Row(prompt=prompt, neutral=neutral, answer=words(said), label=label)
    return Told(record[0], image_of(root, config, record, faults), named_split(record, faults), row)


def load(config: Config, root: Path | None, progress: Progress | None = None) -> Source[LanguageInfo]:
    """Columns of texts, ``image``, ``label`` and ``group``. Raises DataError with what is wrong in files."""
    if root is None:
        numbers = {name: getattr(config, name) for name in ("n_train", "n_valid", "n_test", "seed")}
        asked: Literal["exist", "ask"] = "exist" if config.answers == "yes_no" else "ask"
        return toy_scenes.load(toy_scenes.Config(questions=asked, **numbers), None)
    faults: list[str] = []
    found = records(root, config.files, config.outside_paths, faults)
    rows = [_row(config, root, record, faults) for _, record in found]
    names = [str(record[1].get("group") or record[1].get("category") or "").strip()[:80] for _, record in found]
    if not any(names) and len(config.files) > 1:
        names = [stem for stem, _ in found]
    groups, numbers_of = grouped(names, {k: told.where for k, told in enumerate(rows)}, faults)
    rows = [
        Told(told.where, told.image, told.split, Row(**{**vars(told.row), "group": number}))
        for told, number in zip(rows, numbers_of, strict=True)
    ]
    what = str(root / config.files[0]) if len(config.files) == 1 else f"{root}: {', '.join(config.files)}"
    yes_no = config.answers == "yes_no"
    return pictured_source(config, rows, faults, what, progress, yes_no=yes_no, groups=groups)
