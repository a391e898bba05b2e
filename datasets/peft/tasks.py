"""Tasks in sequence, each an experience with classes of its own (``data.split: given``).

A task is one of SuperGLUE's (boolq, cb, rte, wic), a stand-in (toy_sentiment, toy_topic, toy_nli), or the name of text
files as :mod:`.text` reads them. Files lie under the root or in a folder there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, field_validator

from ..core import texts
from ..core.errors import DataError
from ..core.inputs import SentenceInputs, TaskInputs
from ..core.source import Source
from ..core.table import Column, Ragged, Table
from ..core.texts import TextInfo
from . import superglue, text, toy_nli, toy_sentiment, toy_topic
from .rows import TextData, checksum

STAND_INS: dict[str, Any] = {"toy_sentiment": toy_sentiment, "toy_topic": toy_topic, "toy_nli": toy_nli}
COPA = "copa"


class Config(TextData):
    """Which tasks, in their order; the other fields hold for each of them."""

    tasks: tuple[str, ...] = Field(
        ("toy_sentiment", "toy_topic", "toy_nli", "boolq"),
        min_length=1,
        description="tasks in order: boolq, cb, rte, wic, toy_sentiment, toy_topic, toy_nli, or NAME of text files",
    )
    full: bool = Field(False, description="train on TASK_train_full of a task of SuperGLUE where it is there")
    rows: int = Field(
        1000, ge=60, le=200_000, description="stand-ins: rows of a task, of which three in ten are the test"
    )

    @field_validator("tasks")
    @classmethod
    def _different(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a task comes twice")
        if COPA in names:
            raise ValueError("copa chooses between alternatives and has no classes to add to those of other tasks")
        return names


def load(config: Config, root: Path | None, progress: Callable[[int, int], None] | None = None) -> Source[TextInfo]:
    """The tasks' rows with the columns ``task`` and ``experience``, and classes TASK/CLASS. Raises DataError for a task
    whose files are missing, and where there is no root, for one that has no stand-in.
    """
    sources = [_loaded(config, name, root) for name in config.tasks]
    fields = ("first", "second") if any(len(s.info.fields) > 1 for s in sources) else ("first",)
    tables = {split: _joined([s.splits[split] for s in sources], sources, fields) for split in sources[0].splits}
    names = [f"{task}/{name}" for task, s in zip(config.tasks, sources, strict=True) for name in s.class_names]
    info = TextInfo(
        classes=len(names),
        fields=fields,
        tasks=config.tasks,
        task_classes=tuple(_classes(sources)),
        inputs=_inputs(config.tasks, sources, fields),
    )
    kinds = {s.source for s in sources}
    kind = kinds.pop() if len(kinds) == 1 else "real and stand-in"
    return Source(tables, tuple(names), info, kind, checksum(tables, names))


def _inputs(
    tasks: tuple[str, ...], sources: Sequence[Source[TextInfo]], fields: tuple[str, ...]
) -> SentenceInputs | TaskInputs | None:
    """How a file becomes rows: of one task as of that task alone; None where a task does not say."""
    each = tuple(told for source in sources if isinstance(told := source.info.inputs, SentenceInputs))
    if len(each) < len(sources):
        return None
    return each[0] if len(each) == 1 else TaskInputs(tasks=tasks, each=each, columns=fields)


def _loaded(config: Config, name: str, root: Path | None) -> Source[TextInfo]:
    shared = {field: getattr(config, field) for field in TextData.model_fields}
    if name in STAND_INS:
        module = STAND_INS[name]
        found: Source[TextInfo] = module.load(module.Config(**shared, rows=config.rows), None)
        return found
    if name in superglue.FORMS:
        settings = superglue.Config(**shared, task=name, rows=config.rows)
        if root is None:
            return superglue.load(settings, None)
        place = _place(root, superglue.FORMS[name].folder)
        if config.full and any(place.glob(f"**/{superglue.FORMS[name].folder}_train_full.*")):
            settings = settings.model_copy(update={"full": True})
        return superglue.load(settings, place)
    if root is None:
        there = ", ".join([*STAND_INS, *(task for task in superglue.FORMS if task != COPA)])
        raise DataError(
            f"the task '{name}' has no stand-in (there are: {there}); --data-root names the folder of its files"
        )
    return text.load(text.Config(**shared, dataset=name), _place(root, name))


def _place(root: Path, stem: str) -> Path:
    """The root, or a folder in it, that holds the files or the folder of a task."""
    if not root.is_dir():
        raise DataError(f"{root}: no folder; --data-root names the folder of the tasks' files")
    for place in [root, *sorted(path for path in root.iterdir() if path.is_dir())]:
        if (place / stem).is_dir() or any(place.glob(f"{stem}_train*")):
            return place
    raise DataError(f"{root}: no {stem}_train and no folder {stem}, there or in a folder there")


def _classes(sources: Sequence[Source[TextInfo]]) -> list[tuple[int, ...]]:
    """The classes of each task, numbered one task after the other."""
    found, start = [], 0
    for source in sources:
        found.append(tuple(range(start, start + source.info.classes)))
        start += source.info.classes
    return found


def _joined(tables: Sequence[Table], sources: Sequence[Source[TextInfo]], fields: Sequence[str]) -> Table:
    classes = _classes(sources)
    columns: dict[str, Column] = {field: _texts(tables, field) for field in fields}
    first_source = 0
    labels, ids, task = [], [], []
    for k, (table, source) in enumerate(zip(tables, sources, strict=True)):
        labels.append(table.dense("label") + classes[k][0])
        ids.append(table.dense("source_id") + first_source)
        task.append(torch.full((len(table),), k))
        first_source += 1 + max(int(part.dense("source_id").max()) for part in source.splits.values())
    columns["label"], columns["source_id"] = torch.cat(labels), torch.cat(ids)
    columns["altered"] = torch.zeros(len(columns["label"]), dtype=torch.int64)
    columns["task"] = torch.cat(task)
    columns["experience"] = torch.cat(task)
    return Table(columns)


def _texts(tables: Sequence[Table], field: str) -> Ragged:
    """The text column of all tables; empty where a table has none."""
    parts = [t.columns[field] if field in t.columns else texts.packed([""] * len(t)) for t in tables]
    values = torch.cat([part.values for part in parts if isinstance(part, Ragged)])
    lengths = torch.cat([part.lengths for part in parts if isinstance(part, Ragged)])
    return Ragged(values, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))
