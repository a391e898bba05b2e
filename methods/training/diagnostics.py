"""What the loss terms of a step ask of the weights: norms of their gradients, and each term's share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

PREFIX = "loss/"  # a method's logs of this name are terms of its loss


def gradient_shares(
    loss: Tensor, logs: Mapping[str, Tensor], compared: Sequence[nn.Parameter], others: Sequence[nn.Parameter]
) -> dict[str, Tensor]:
    """Norm and share of the gradient that each term of ``loss`` sends into ``compared``.

    A term L_i is a scalar ``loss/<i>`` of ``logs`` with a graph. With its weight w_i = ∂L/∂L_i (what the method
    multiplied it with) and θ the parameters, ``gradient/<i>`` = ‖w_i ∂L_i/∂θ‖ and ``gradient/<i>/share`` = that over
    the sum of all terms' norms. What the terms leave of the loss's gradient is the term ``rest`` (only where it is
    more than a thousandth); without any term the loss is the one term.

    Args:
        loss: scalar, before scaling and accumulation; its graph is kept.
        compared: θ, the parameters where terms are compared (an encoder); where the loss reaches none of them
            ``others`` are taken.

    Returns:
        Scalars, detached. Neither ``.grad`` nor any generator is touched. Empty where the loss has no graph.
    """
    if not loss.requires_grad:
        return {}
    terms = {
        name.removeprefix(PREFIX): value
        for name, value in logs.items()
        if name.startswith(PREFIX) and value.requires_grad and value.dim() == 0
    }
    for parameters in (list(compared), list(others)):
        total = _gradient(loss, loss, parameters)
        if total is not None:
            break
    else:
        return {}
    vectors: dict[str, Tensor] = {}
    for name, value in terms.items():
        vector = _gradient(loss, value, parameters)
        if vector is not None:
            vectors[name] = vector
    if not vectors:
        vectors["loss"] = total
    rest = total - torch.stack(list(vectors.values())).sum(0)
    norms = {name: vector.norm() for name, vector in vectors.items()}
    if bool(rest.norm() > 1e-3 * total.norm()):
        norms["rest"] = rest.norm()
    whole = torch.stack(list(norms.values())).sum().clamp(min=torch.finfo(torch.float32).tiny)
    result = {f"gradient/{name}": norm for name, norm in norms.items()}
    return result | {f"gradient/{name}/share": norm / whole for name, norm in norms.items()}


def _gradient(loss: Tensor, term: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor | None:
    """``∂loss/∂term · ∂term/∂parameters`` as one float32 vector; None where the loss does not hold the term or it
    reaches no parameter.
    """
    weight: Tensor | None
    if term is loss:
        weight = torch.ones_like(loss)
    else:
        (weight,) = torch.autograd.grad(loss, term, retain_graph=True, allow_unused=True)
    if weight is None or not parameters:
        return None
    parts = torch.autograd.grad(term, parameters, grad_outputs=weight, retain_graph=True, allow_unused=True)
    if all(part is None for part in parts):
        return None
    return torch.cat(
        [
            (torch.zeros_like(parameter) if part is None else part).flatten().float()
            for parameter, part in zip(parameters, parts, strict=True)
        ]
    )
