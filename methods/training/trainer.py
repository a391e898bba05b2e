"""What a run drives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from ...datasets.core.table import Batch


@runtime_checkable
class Trainer(Protocol):
    """Trains an experience, predicts a batch, and says what it is between two steps.

    :class:`~holdfast.methods.training.strategy.MethodStrategy` is one, for the methods of this package; an Avalanche
    strategy named in a recipe (``AvalancheNative``, resumed by experience) and scikit-learn models without an
    optimizer (``Estimator``) have their place beside it in this folder.
    """

    def train(self, experience: Any, /) -> Any:
        """Train one experience of an Avalanche stream; after :meth:`load_state_dict` from where that state was."""

    def predict(self, batch: Batch) -> Mapping[str, Tensor]:
        """Predictions of a batch, name -> [B, ...], in the mode (training or evaluation) that the caller has set."""

    def state_dict(self) -> dict[str, Any] | None:
        """All that :meth:`train` needs to go on: tensors, numbers, strings; None where there is nothing between
        experiences.
        """

    def load_state_dict(self, state: Mapping[str, Any], *, experience: Any = None) -> None:
        """Restore what :meth:`state_dict` returned; ``experience``: the one in training (None: between two)."""
