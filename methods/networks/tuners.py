"""What every tuner of a text encoder is: a module beside the encoder, which holds what is trained and runs it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from .architectures import mask_of


@dataclass(frozen=True)
class Inputs:
    """Texts on their way into an encoder: word embeddings ``embedded`` [B, S, E], ``mask`` [B, S] (1 = token) and token
    ``types`` [B, S], None where the model has none.
    """

    embedded: Tensor
    mask: Tensor
    types: Tensor | None = None


class Hidden(NamedTuple):
    """``last`` [B, S, H]; ``layers`` [L + 1] of [B, S, H], the first after the word embeddings: where asked for."""

    last: Tensor
    layers: tuple[Tensor, ...] = ()


def forward(net: Any, inputs: Inputs, every_layer: bool = False, **changed: Any) -> Hidden:
    """The hidden states of a model of ``transformers``; ``changed``: arguments beside or instead of the usual ones."""
    arguments = {"inputs_embeds": inputs.embedded, "attention_mask": inputs.mask, **changed}
    arguments["attention_mask"] = mask_of(net, arguments["attention_mask"])
    if inputs.types is not None and "token_type_ids" in inspect.signature(_bare(net).forward).parameters:
        arguments.setdefault("token_type_ids", inputs.types)
    made = net(**arguments, output_hidden_states=every_layer)
    return Hidden(made.last_hidden_state, tuple(made.hidden_states) if every_layer else ())


def _bare(net: Any) -> Any:
    return getattr(net, "_orig_mod", net)


class Tuner(nn.Module):
    """What is trained of an encoder. The encoder itself is no part of it: it is given to every forward pass.

    ``kind``: its name. ``moved``: by how many places it moves the positions of the text. ``whole``: it changes weights
    of the encoder itself, which then belong to the state.
    """

    kind: ClassVar[str] = ""
    whole: ClassVar[bool] = False
    moved: int = 0

    def trained(self, net: nn.Module) -> list[nn.Parameter]:
        """All that is trained, each once."""
        return list({id(p): p for p in (*self.parameters(), *net.parameters()) if p.requires_grad}.values())

    def undecayed(self) -> list[nn.Parameter]:
        """Parameters without weight decay, beside biases and norms."""
        return []

    def forward(self, net: Any, inputs: Inputs, every_layer: bool = False) -> Hidden:
        """Hidden states of the texts; those of a prefix or a prompt are left out."""
        return forward(net, inputs, every_layer)

    def save(self, net: Any, folder: Path) -> None:
        """What was trained, in a form that peft or transformers reads alone; nothing where only a head was."""


class Full(Tuner):
    """Every weight of the encoder is trained."""

    kind = "full"
    whole = True

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        net.requires_grad_(True)

    def save(self, net: Any, folder: Path) -> None:
        """The whole encoder, for ``AutoModel.from_pretrained``."""
        net.save_pretrained(str(folder))


class Head(Tuner):
    """No weight of the encoder is trained."""

    kind = "head"

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        net.requires_grad_(False)
