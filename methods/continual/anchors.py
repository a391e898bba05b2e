"""What EWC and SI keep of a model's trainable parameters between experiences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..losses.quadratic_penalty import quadratic_penalty


class Anchors(nn.Module):
    """Tensors by the name of each trainable parameter, in several tables (``anchor``, ``importance``, ...); all of it
    in ``state_dict``, on the device of the module.

    The model stands in a list: it is no sub-module, so its weights are not saved twice.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = [model]
        self.tables: dict[str, dict[str, Tensor]] = {}

    def parameters_by_name(self) -> dict[str, nn.Parameter]:
        """The trainable parameters of the model."""
        return {name: p for name, p in self._model[0].named_parameters() if p.requires_grad}

    def values(self) -> dict[str, Tensor]:
        """A copy of the parameters as they are now."""
        return {name: p.detach().clone() for name, p in self.parameters_by_name().items()}

    def zeros(self) -> dict[str, Tensor]:
        return {name: torch.zeros_like(p) for name, p in self.parameters_by_name().items()}

    def join(self, importance: dict[str, Tensor]) -> None:
        """Add a quadratic at the parameters as they are now. Importances Ω are summed with those that are held and the
        anchor becomes ΣΩθ*/ΣΩ, so that one quadratic has the gradient of all.
        """
        now = self.values()
        if not self.tables:
            self.tables = {"anchor": now, "importance": importance}
            return
        for name, new in importance.items():
            held, anchor = self.tables["importance"][name], self.tables["anchor"][name]
            both = held + new
            mean = (held * anchor + new * now[name]) / both.clamp(min=torch.finfo(both.dtype).tiny)
            self.tables["anchor"][name] = torch.where(both > 0, mean, now[name])
            self.tables["importance"][name] = both

    def penalty(self) -> Tensor:
        """``Σ Ω (θ - θ*)²`` of the tables ``importance`` and ``anchor``, with a graph to the parameters."""
        parameters = self.parameters_by_name()
        anchors, importances = ([self.tables[table][name] for name in parameters] for table in ("anchor", "importance"))
        return quadratic_penalty(list(parameters.values()), anchors, importances)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """``to(device)`` moves the tables too."""
        self.tables = {table: {name: fn(value) for name, value in held.items()} for table, held in self.tables.items()}
        return super()._apply(fn, recurse)

    def get_extra_state(self) -> dict[str, dict[str, Tensor]]:
        return self.tables

    def set_extra_state(self, state: dict[str, dict[str, Tensor]]) -> None:
        self.tables = {table: dict(held) for table, held in state.items()}
