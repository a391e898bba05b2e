"""What Avalanche asks of a strategy, answered for batches that are dicts of columns and optimizers that belong to
stages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from avalanche.training.templates.base_sgd import BaseSGDTemplate
from torch import Tensor

from .plugins import listens, refuse_class_metrics
from .sampler import evaluation_batches


class AvalancheShell(BaseSGDTemplate[Any, Any, Any]):
    """Avalanche's loop over experiences and its events, without its batches, optimizers and criterion."""

    def __init__(self, **arguments: Any) -> None:
        self._listeners: dict[str, list[Callable[..., Any]]] = {}
        super().__init__(**arguments)

    def trigger(self, event: str, **kwargs: Any) -> None:
        """Fire one of Avalanche's events at the plugins that listen to it."""
        if event not in self._listeners:
            self._listeners[event] = [getattr(p, event) for p in self.plugins if listens(p, event)]
        for listener in self._listeners[event]:
            listener(self, **kwargs)

    @property
    def mb_x(self) -> Any:
        batch: Any = self.mbatch
        return batch.get("x", batch)

    @property
    def mb_y(self) -> Tensor:
        batch: Any = self.mbatch
        return batch["label"]

    @property
    def mb_task_id(self) -> Tensor:
        batch: Any = self.mbatch
        return torch.zeros(len(batch["index"]), dtype=torch.int64, device=self.device)

    def train_dataset_adaptation(self, **kwargs: Any) -> None:
        self.adapted_dataset = self.experience.dataset

    def eval_dataset_adaptation(self, **kwargs: Any) -> None:
        self.adapted_dataset = self.experience.dataset

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """Batches are made an epoch at a time (:meth:`batches_of_epoch`)."""

    def make_eval_dataloader(self, **kwargs: Any) -> None:
        experience: Any = self.experience
        refuse_class_metrics(self.evaluator, experience.table)
        self.dataloader = evaluation_batches(experience.table, experience.rows, self.eval_mb_size, self.device)

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Optimizers belong to stages (:meth:`begin_stage`)."""

    def model_adaptation(self, model: Any = None) -> Any:
        return self.model

    def make_optimizer(self, **kwargs: Any) -> None:
        """Optimizers belong to stages (:meth:`begin_stage`)."""

    def _unpack_minibatch(self) -> None: ...

    def forward(self) -> Any:
        return self.model.predict(self.mbatch)

    def criterion(self) -> Tensor:
        return self._make_empty_loss()

    def _before_training_exp(self, **kwargs: Any) -> None:
        experience: Any = self.experience
        refuse_class_metrics(self.evaluator, experience.table)
        super()._before_training_exp(**kwargs)
