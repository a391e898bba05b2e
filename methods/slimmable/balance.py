"""How the gradients of several tasks are weighed against each other; usable by every method of the family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ..base import UnfitError, Update
from ..losses import gradnorm, uncertainty_weighted

Kind = Literal["equal", "uncertainty", "gradnorm", "upgrad", "mgda", "pcgrad", "cagrad"]


class Balance(nn.Module):
    """Weighs losses [N], which have been multiplied by the tasks' fixed weights; of a sequence of tasks those in
    training, whose weights alone move.

    - ``equal``: their sum. ``uncertainty``: log variances that are learnt (Kendall, Gal and Cipolla 2018).
    - ``gradnorm``: weights, of the mean 1, that equalise gradient norms on the encoder's last weight (Chen et al.
      2018); they make a gradient step of ``rate`` at each widest pass.
    - ``upgrad``, ``mgda``, ``pcgrad``, ``cagrad``: torchjd's aggregators of the tasks' gradients on the encoder; the
      decoders get the gradient of the sum.
    """

    weights: Tensor
    first: Tensor

    def __init__(self, kind: Kind, tasks: Sequence[str], alpha: float = 1.5, rate: float = 0.025) -> None:
        super().__init__()
        self.kind, self.tasks, self.alpha, self.rate = kind, tuple(tasks), alpha, rate
        n = len(self.tasks)
        if kind in ("upgrad", "mgda", "pcgrad", "cagrad"):
            _aggregator_of(kind)  # what is missing is said before anything is trained
        if kind == "uncertainty":
            self.log_variances = nn.Parameter(torch.zeros(n))
        if kind == "gradnorm":
            self.register_buffer("weights", torch.ones(n))
            self.register_buffer("first", torch.full((n,), torch.nan))

    def update(
        self,
        losses: Mapping[str, Tensor],
        encoder: Sequence[nn.Parameter],
        *,
        extra: Tensor | None = None,
        widest: bool = True,
        step: bool = True,
        logs: Mapping[str, Tensor] | None = None,
    ) -> Update:
        """The Update of one pass. ``extra``: a loss that is no task's (distillation): added with weight 1, its gradient
        is not aggregated. ``widest``: whether this is the pass whose losses GradNorm follows.
        """
        logs = dict(logs or {})
        if self.kind in ("equal", "uncertainty", "gradnorm"):
            loss = self._weighted(losses, encoder, widest)
            return Update(loss if extra is None else loss + extra, step=step, logs=logs)
        named = {**losses, **({} if extra is None else {"distillation": extra})}
        return Update(losses=named, step=step, logs=logs, aggregator=self._aggregator(encoder))

    def _weighted(self, losses: Mapping[str, Tensor], encoder: Sequence[nn.Parameter], widest: bool) -> Tensor:
        if self.kind == "equal":
            head, *others = losses.values()
            return sum(others, start=head)
        stacked = torch.stack([loss.float() for loss in losses.values()])
        chosen = torch.tensor([self.tasks.index(name) for name in losses], device=stacked.device)
        if self.kind == "uncertainty":
            return uncertainty_weighted(stacked, self.log_variances[chosen])
        if widest:
            self._follow(stacked, encoder, chosen)
        return (self.weights[chosen] * stacked).sum()

    def _follow(self, losses: Tensor, encoder: Sequence[nn.Parameter], chosen: Tensor) -> None:
        """One gradient step of GradNorm's weights of the tasks ``chosen``, which then are scaled to the mean 1."""
        last = [parameter for parameter in encoder if parameter.dim() > 1][-1]
        norms = torch.stack([torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in losses])
        now, first = losses.detach(), self.first[chosen]
        unknown = first.isnan() & (now > 0)  # a task may have no label in the first batches
        first = torch.where(unknown, now, first)
        weights = self.weights[chosen].requires_grad_()
        with torch.enable_grad():
            objective = gradnorm(norms, now, first.nan_to_num(), weights, self.alpha)
            (gradient,) = torch.autograd.grad(objective, weights)
        moved = (weights.detach() - self.rate * gradient).clamp(min=1e-3)
        self.first = self.first.index_copy(0, chosen, first)
        self.weights = self.weights.index_copy(0, chosen, moved * len(moved) / moved.sum())

    def _aggregator(
        self, encoder: Sequence[nn.Parameter]
    ) -> Callable[[Mapping[str, Tensor], Sequence[nn.Parameter]], None]:
        def backward(losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> None:
            direction_of = _aggregator_of(self.kind)
            shared = {id(parameter) for parameter in encoder}
            common = [parameter for parameter in parameters if id(parameter) in shared]
            own = [parameter for parameter in parameters if id(parameter) not in shared]
            rows, extra = list[Tensor](), list[Tensor]()
            for name, loss in losses.items():
                row = torch.autograd.grad(loss, common, retain_graph=True, materialize_grads=True)
                flat = torch.cat([each.reshape(-1) for each in row])
                (rows if name in self.tasks else extra).append(flat)
            direction = direction_of(torch.stack(rows))
            _add(common, sum(extra, start=direction))
            head, *others = losses.values()
            found = torch.autograd.grad(sum(others, start=head), own, materialize_grads=True)
            _add(own, torch.cat([each.reshape(-1) for each in found]))

        return backward


def _aggregator_of(kind: Kind) -> Callable[[Tensor], Tensor]:
    """torchjd's aggregator: from the tasks' gradients [N, P] to a direction [P]. Raises UnfitError where what it needs
    is not installed.
    """
    from torchjd import aggregation

    made: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
        "upgrad": lambda: aggregation.UPGrad(),
        "mgda": lambda: aggregation.MGDA(),
        "pcgrad": lambda: aggregation.PCGrad(),
        "cagrad": lambda: aggregation.CAGrad(c=0.5),
    }
    try:
        return made[kind]()
    except ImportError as error:
        raise UnfitError(f"balance={kind} needs more of torchjd: pip install 'torchjd[{kind}]' ({error})") from error


def _add(parameters: Sequence[nn.Parameter], flat: Tensor) -> None:
    """Add a flat gradient to ``.grad`` of the parameters, in their order."""
    start = 0
    for parameter in parameters:
        part = flat[start : start + parameter.numel()].view_as(parameter)
        parameter.grad = part.clone() if parameter.grad is None else parameter.grad + part
        start += parameter.numel()
