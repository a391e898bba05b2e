"""BoolQ, CB, COPA, RTE and WiC in their released layout, or generated rows of the same form.

Released: a folder for each task with ``train.jsonl`` and ``val.jsonl`` (SuperGLUE; its test rows have no labels, so
that ``val`` is the test), or ``TASK_train``, ``TASK_dev32`` and ``TASK_val`` in one folder (FewGLUE: 32 rows for
training, 32 for validation); each also as ``.gz``. Of RTE also GLUE's whole training set (``RTE_train_full.tsv``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..core.errors import DataError, refuse
from ..core.inputs import SentenceInputs
from ..core.source import Source
from ..core.texts import TextInfo
from ..readers import labelled_texts
from ..readers.labelled_texts import Record, label_of
from ..readers.sentences import texts_of
from . import questions, toy_nli
from .rows import Example, Facts, TextData, finish
from .toy_sentiment import corpus

Name = Literal["boolq", "cb", "copa", "rte", "wic"]
STEMS = {"train": ("train",), "valid": ("dev32", "valid", "dev"), "test": ("val",)}


@dataclass(frozen=True)
class Form:
    """A task's folder, its classes in the order of their numbers, and the fields of its texts."""

    folder: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    form: Literal["plain", "because", "word"] = "plain"

    @property
    def columns(self) -> tuple[str, ...]:
        """The text columns."""
        return ("first", "second", "third")[: len(self.names)]


FORMS: Mapping[str, Form] = {
    "boolq": Form("BoolQ", ("false", "true"), ("question", "passage")),
    "cb": Form("CB", ("entailment", "contradiction", "neutral"), ("premise", "hypothesis")),
    "copa": Form("COPA", ("choice1", "choice2"), ("premise", "choice1", "choice2"), "because"),
    "rte": Form("RTE", ("entailment", "not_entailment"), ("premise", "hypothesis")),
    "wic": Form("WiC", ("false", "true"), ("sentence1", "sentence2"), "word"),
}


class Config(TextData):
    """Which task."""

    task: Name = Field("cb", description="the task")
    full: bool = Field(
        False, description="train on TASK_train_full, where it is there, in place of the 32 rows of FewGLUE"
    )
    skip_faults: bool = Field(False, description="rows that cannot be read are left out")
    rows: int = Field(2000, ge=60, le=200_000, description="stand-in: rows, of which three in ten are the test")


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[TextInfo]:
    """The task's files under ``root``, or generated rows. Raises DataError for what is missing or wrong in them."""
    if root is None:
        return stand_in(config)
    form = FORMS[config.task]
    faults: list[str] = []
    examples = {
        split: _examples(labelled_texts.read(path, faults), form, faults) for split, path in files(config, root).items()
    }
    if not config.skip_faults:
        refuse(str(root), [f"{fault} (data.options.skip_faults=true leaves such rows out)" for fault in faults])
    return finish(config, examples, facts_of(config.task, "real"))


def facts_of(task: str, source: str) -> Facts:
    """What is known of a task's rows, whoever makes them."""
    form = FORMS[task]
    inputs = SentenceInputs(columns=form.columns, names=form.names, form=form.form)
    return Facts(form.classes, form.columns, 2 if form.form == "because" else 0, source, inputs)


def stand_in(config: Config) -> Source[TextInfo]:
    """Generated rows: of CB those of toy_nli, of RTE its first class against the others, of the rest those of
    :mod:`.questions`.
    """
    makers: dict[str, Callable[..., tuple[str, ...]]] = {
        "cb": toy_nli.pair,
        "rte": questions.entailed,
        "boolq": questions.passage,
        "copa": questions.choice,
        "wic": questions.word_sense,
    }
    name = f"stand-in of {config.task}"
    return corpus(config, config.rows, makers[config.task], name, facts_of(config.task, "stand-in"))


def files(config: Config, root: Path) -> dict[str, Path]:
    """The task's files by split: ``train``, ``test``, and ``valid`` where there is one. Raises DataError."""
    folder = FORMS[config.task].folder
    if not root.is_dir():
        raise DataError(f"{root}: no folder; --data-root names the folder that holds {folder}/train.jsonl")
    found: dict[str, Path] = {}
    for split, stems in STEMS.items():
        if split == "train" and config.full:
            stems = ("train_full",)
        places = [root / folder, *([root] if root.name == folder else [])]
        path = labelled_texts.find(places, stems) or labelled_texts.find([root], [f"{folder}_{s}" for s in stems])
        if path is not None:
            found[split] = path
    for split in ("train", "test"):
        if split not in found:
            stem = "train_full" if split == "train" and config.full else STEMS[split][0]
            raise DataError(f"{root}: no {folder}/{stem}.jsonl and no {folder}_{stem}.jsonl (or .gz)")
    return found


def _examples(records: Sequence[Record], form: Form, faults: list[str]) -> list[Example]:
    """The rows that are whole, with the texts that a model reads."""
    found = []
    for record in records:
        before = len(faults)
        label = label_of(record, "label", faults)
        made = texts_of(record, form.names, form.form, faults)
        classes = tuple(map(str, range(2))) if form.form == "because" else form.classes
        if label and label not in classes:
            faults.append(f"{record[0]}: the label '{label[:40]}' is none of {', '.join(classes)}")
        if len(faults) == before:
            found.append(Example(made, classes.index(label)))
    return found
