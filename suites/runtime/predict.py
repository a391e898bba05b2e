"""What a trained run says about files of one's own, or about rows of its own data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import registry
from ..config.errors import Fault
from . import answers, build, speech
from .console import Console

if TYPE_CHECKING:
    from ...datasets.core.table import Batch, Table
    from ...datasets.readers.given import Row
    from .loading import TrainedRun

Document = dict[str, Any]


def of_files(run: TrainedRun, files: Sequence[Path], how: answers.How, console: Console) -> Iterator[Document]:
    """One document a row of the files, in order; ``file`` and ``error`` where one cannot be read.

    Raises Fault at once where there is no file, or the run takes none.
    """
    from ...datasets.core.errors import DataError
    from ...datasets.readers import given

    if run.recipe.problem == "speech" and (run.folder / "model.json").exists():
        return speech.of_files(run, _named(files))
    facts = run.facts
    if facts.info.inputs is None:
        what = f"the data set '{run.recipe.data.name}' does not say how a file becomes a row"
        raise Fault.usage(what, str(run.folder), f"suites predict {run.folder} --split test")
    suffixes = given.SUFFIXES[facts.info.inputs.kind]
    try:
        listed = given.listed(_named(files), suffixes)
    except DataError as error:
        raise Fault.data(str(error), str(run.folder), f"name files that end in {', '.join(suffixes)}") from error
    words = getattr(getattr(facts.info, "pairs", None), "words", {})
    return _Predictions(run, how, console).given(given.read(facts.info.inputs, words, listed))


def of_split(
    run: TrainedRun, split: str, rows: Sequence[int] | None, how: answers.How, console: Console
) -> Iterator[Document]:
    """One document a row of a split of the run's own data: ``split``, ``row``, what is predicted, and ``truth``.

    Raises Fault at once where the data is not what the run was trained on, or there is no such split or row.
    """
    run.check_data()
    splits = run.data.splits
    if split not in splits:
        raise Fault.usage(f"the data has no split '{split}'", "--split", f"--split {' or '.join(splits)}")
    count = len(splits[split])
    chosen = list(range(count)) if rows is None else list(rows)
    if wrong := [row for row in chosen if not 0 <= row < count]:
        raise Fault.usage(f"the split '{split}' has no row {wrong[0]}", "rows", f"rows are 0 to {count - 1}")
    return _Predictions(run, how, console).rows(split, chosen)


def _named(files: Sequence[Path]) -> list[Path]:
    if not files:
        raise Fault.usage("there is nothing to predict", "FILE", "name files or a folder, or: --split test")
    return [Path(file) for file in files]


class _Predictions:
    """A run's answers, batch by batch, in the words of its problem."""

    def __init__(self, run: TrainedRun, how: answers.How, console: Console) -> None:
        self.run, self.how, self.console = run, how, console
        _ = run.method  # what is wrong with the checkpoint is said before the first row

    @cached_property
    def _size(self) -> int:
        return self.run.recipe.evaluate.batch_size

    @cached_property
    def _answer(self) -> answers.Answer:
        """What turns outputs into documents; an interval's width is worked out once."""
        return answers.answer_of(self.run, self.how, self.console)

    def given(self, rows: Iterable[Row]) -> Iterator[Document]:
        """Documents of rows that were read from files."""
        stream = iter(rows)
        while part := list(islice(stream, self._size)):
            readable = [row for row in part if not row.error]
            made = iter(self._documents(self._batch(readable), len(readable)) if readable else ())
            for row in part:
                where = {"file": str(row.file), **({} if row.line is None else {"line": row.line})}
                yield {**where, "error": row.error} if row.error else {**where, **next(made)}

    def _batch(self, rows: Sequence[Row]) -> Batch:
        return build.batch_of(self._prepared(rows), range(len(rows)))

    def _prepared(self, rows: Sequence[Row]) -> Table:
        """The rows as the run's network prepared its data."""
        from ...datasets.core.source import RegressionInfo, Source
        from ...datasets.readers.given import stacked

        recipe, facts, table = self.run.recipe, self.run.facts, stacked(rows)
        network, info = registry.network(recipe.model.name), facts.info
        if not hasattr(network, "prepare"):
            return table
        if isinstance(info, RegressionInfo) and info.pairs is not None:
            texts = {"given": [row.texts for row in rows if row.texts is not None]}
            info = replace(info, pairs=replace(info.pairs, texts=texts))
        source = Source({"given": table}, facts.class_names, info, "given", "")
        prepared: Table = network.prepare(network.Config(**recipe.model.options), source).splits["given"]
        return prepared

    def rows(self, split: str, rows: Sequence[int]) -> Iterator[Document]:
        """Documents of rows of the run's own data."""
        table = self.run.data.splits[split]
        label: Any = None if self.run.recipe.problem == "speech" else table.columns.get("label")
        for start in range(0, len(rows), self._size):
            part = rows[start : start + self._size]
            documents = self._documents(build.batch_of(table, part), len(part))
            for row, document in zip(part, documents, strict=True):
                truth = {} if label is None else {"truth": answers.truth(label[row].item(), self.run.facts)}
                yield {"split": split, "row": row, **document, **truth}

    def _documents(self, batch: Batch, count: int) -> Iterator[Document]:
        outputs = {name: value.numpy() for name, value in self.run.outputs(batch).items()}
        for k in range(count):
            yield self._answer({name: value[k] for name, value in outputs.items()})
