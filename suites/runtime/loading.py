"""A run from its folder: its recipe, its method with the weights of its end, its data, and what it predicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.errors import Fault
from ..config.recipe import Recipe
from . import build, folders, recipes
from .checkpoints import Checkpoints

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...datasets.core.source import Source
    from ...methods.base import Method


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
    warnings: list[str] = []
    state = Checkpoints(folder / "checkpoint").load(warnings.append)
    if state is None:
        what = "there is no whole checkpoint" + "".join(f"; {warning}" for warning in warnings)
        raise Fault.data(what, str(folder), "suites resume last")
    run = folders.read_json(folder / "run.json")
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
        return dict(folders.read_json(path)) if path.exists() else {}

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe that the run was started with."""
        return recipes.parse((self.folder / "recipe.yaml").read_text(encoding="utf-8"))

    @cached_property
    def data(self) -> Source:
        """The data of the recipe, prepared as for training. Raises Fault where it cannot be had any more."""
        return build.prepare(self.recipe)

    @cached_property
    def method(self) -> Method:
        """The method with the weights of the run's end, on the CPU, in eval mode."""
        return trained(self.folder, self.recipe, self.data.info)

    @property
    def model(self) -> nn.Module:
        """The method's model."""
        return self.method.model

    def predict(
        self, batch_or_rows: Mapping[str, Tensor] | Sequence[int], split: str = "test"
    ) -> dict[str, Tensor] | list[dict[str, Any]]:
        """What the method predicts, in eval mode and without gradients.

        Args:
            batch_or_rows: a batch of columns [B, ...] as ``data.splits[split].gather(rows)`` gives it, or row ids of
                ``split``.
            split: where row ids are from.

        Returns:
            Of a batch the method's outputs by name, [B, ...]; of row ids a mapping of arrays for each row, in their
            order.
        """
        if isinstance(batch_or_rows, Mapping):
            return self._outputs(batch_or_rows)
        return list(self._rows(list(batch_or_rows), split))

    def _outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        import torch

        with torch.no_grad():
            return dict(self.method.predict(dict(batch)))

    def _rows(self, rows: list[int], split: str) -> Iterator[dict[str, Any]]:
        import torch

        table, size = self.data.splits[split], self.recipe.evaluate.batch_size
        for start in range(0, len(rows), size):
            part = torch.tensor(rows[start : start + size], dtype=torch.int64)
            batch = {**table.gather(part), "is_memory": torch.zeros(len(part), dtype=torch.bool)}
            arrays = {name: value.numpy() for name, value in self._outputs(batch).items()}
            yield from ({name: value[i] for name, value in arrays.items()} for i in range(len(part)))
