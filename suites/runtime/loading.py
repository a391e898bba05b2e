"""A run from its folder: its recipe, its method with the weights of its end, its data, and what it predicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import run_files
from ..config.errors import Fault
from ..config.recipe import Recipe
from . import build, facts, folders, recipes
from .checkpoints import Checkpoints
from .console import Console, Silent

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...datasets.core.source import DataInfo, Source
    from ...methods.base import Method


PUT_BACK = "put the data back as it was, under the root that recipe.yaml names"


def folder_of(target: str, out: Path, example: str = "suites runs list") -> Path:
    """The folder of one run, by path, by name under ``out``, or ``last``. Raises Fault for an invocation of several."""
    invocation, names = folders.find(target, out.resolve())
    if len(names) != 1:
        what = f"'{target}' holds {len(names)} runs ({', '.join(names)})"
        one = invocation / names[0] if names else invocation
        raise Fault.usage(what, str(invocation), f"name one: {example.format(one)}")
    return invocation / names[0]


def trained(folder: Path, recipe: Recipe, info: Any) -> Method:
    """The method of the run in ``folder`` with the weights of its newest whole checkpoint, on the CPU, in eval mode.

    ``info``: of the data that it was trained on. Raises Fault where there is no whole checkpoint.
    """
    run = run_files.read(folder / "run.json", run_files.Trained)
    warnings: list[str] = []
    state = Checkpoints(folder / "checkpoint").load(warnings.append)
    if state is None:
        what = "there is no whole checkpoint" + "".join(f"; {warning}" for warning in warnings)
        raise Fault.data(what, str(folder), "suites resume last")
    method = build.method_of(recipe, run["method"], info, run["seed"])
    method.load_state_dict(state["strategy"]["method"])
    return method.eval()


class TrainedRun:
    """A run that has trained. Data and method are made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def state(self) -> dict[str, Any]:
        """The document ``run.json``: ``suite``, ``method``, ``seed``, ``status``, ``mlflow_run_id``."""
        return folders.state_of(self.folder)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The summary; empty where the run is not finished."""
        path = self.folder / "summary.json"
        return dict(run_files.read(path, run_files.Summary)) if path.exists() else {}

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe that the run was started with."""
        return recipes.of_run(self.folder)

    @cached_property
    def data(self) -> Source:
        """The data of the recipe, prepared as for training. Raises Fault where it cannot be had any more."""
        return build.prepare(self.recipe)

    @cached_property
    def facts(self) -> facts.Facts:
        """What the run kept of its data; of a run that kept nothing (an old one, recordings), from the data itself."""
        return facts.load(self.folder) or facts.of(self.data)

    def check_data(self) -> None:
        """Raise Fault where the data cannot be had any more, or is not what the run was trained on."""
        from ...datasets.core.errors import DataError

        known = run_files.read(self.folder / "environment.json", run_files.Environment)["data"].get("checksum")
        try:
            now = self.data.checksum
        except (DataError, OSError) as error:
            raise Fault.data(f"the run's data cannot be read: {error}", str(self.folder), PUT_BACK) from error
        if now != known:
            what = "the data is not what the run was trained on (its checksum differs)"
            raise Fault.data(what, str(self.folder), PUT_BACK)

    @cached_property
    def method(self) -> Method:
        """The method with the weights of the run's end, on the CPU, in eval mode."""
        return self.method_for(self.facts.info)

    def method_for(self, info: DataInfo) -> Method:
        """The method for data of this ``info``. Raises Fault where there is no whole checkpoint."""
        return trained(self.folder, self.recipe, info)

    @property
    def model(self) -> nn.Module:
        """The method's model."""
        return self.method.model

    def documents(
        self,
        files: Sequence[str | Path] = (),
        *,
        split: str | None = None,
        rows: Sequence[int] | None = None,
        top: int = 5,
        level: float = 0.9,
        console: Console | None = None,
    ) -> Iterator[dict[str, Any]]:
        """What the method says of files, or of rows of the run's own data, in words.

        Args:
            files: files of the kind that the run was trained on (folders stand for those in them): images, recordings,
                tables with the training table's columns, series, volumes, pairs of sentences. They become rows exactly
                as the run's data did (size, channels, scales); ``data.transforms`` are not applied.
            split: the split of the run's data whose ``rows`` (None: all) are taken in place of files.
            top: classes that are named, the likeliest first.
            level: share of rows that an interval is to hold.
            console: where is said what intervals rest on.

        Returns:
            One document a row, made as it is asked for: ``file`` (and ``line`` of a table) or ``split``, ``row`` and
            ``truth``; then, of classes, ``class``, ``probability`` and ``top`` (softmax, not calibrated); of a number,
            ``label``, ``value`` in the label's unit, and ``interval`` with ``low``, ``high`` and ``level`` (split
            conformal from the errors on the run's validation rows: for rows like those; None where there are none);
            of speech, ``scenario``, ``action``, ``intent``, ``entities``, ``transcript``. What cannot be read has an
            ``error`` instead.

        Raises Fault at once where nothing or both are named, a folder is empty, or the run has no whole checkpoint.
        """
        from . import predict
        from .answers import How

        how, shown = How(top, level), console or Silent()
        if split is None:
            return predict.of_files(self, [Path(file) for file in files], how, shown)
        if files:
            raise Fault.usage("files and a split are named", "--split", "name files, or a split")
        return predict.of_split(self, split, rows, how, shown)

    def predict(
        self, batch_or_rows: Mapping[str, Tensor] | Sequence[int] | Sequence[str | Path], split: str = "test"
    ) -> dict[str, Tensor] | list[dict[str, Any]]:
        """What the method predicts, in eval mode and without gradients.

        Args:
            batch_or_rows: a batch of columns [B, ...] as ``data.splits[split].gather(rows)`` gives it, or row ids of
                ``split``, or files.
            split: where row ids are from.

        Returns:
            Of a batch the method's outputs by name, [B, ...]; of row ids a mapping of arrays for each row, in their
            order; of files the documents of :meth:`documents`.
        """
        if isinstance(batch_or_rows, Mapping):
            return self.outputs(batch_or_rows)
        if files := [item for item in batch_or_rows if isinstance(item, str | Path)]:
            return list(self.documents(files))
        return list(self._rows([int(row) for row in batch_or_rows], split))  # type: ignore[arg-type]

    def outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The method's outputs of a batch by name, [B, ...], in eval mode and without gradients."""
        import torch

        with torch.no_grad():
            return dict(self.method.predict(dict(batch)))

    def _rows(self, rows: list[int], split: str) -> Iterator[dict[str, Any]]:
        table, size = self.data.splits[split], self.recipe.evaluate.batch_size
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            arrays = {name: value.numpy() for name, value in self.outputs(build.batch_of(table, part)).items()}
            yield from ({name: value[i] for name, value in arrays.items()} for i in range(len(part)))
