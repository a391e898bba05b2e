"""What the tuners must know of an encoder's architecture: its layers, its attention, its projections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from ..base import UnfitError

# How a prefix gets in front of keys and values: as past key values of a cache; through the attention function that the
# architecture looks up by name; or as rows before its input, whose keys and values are replaced.
Way = Literal["cache", "function", "rows"]


@dataclass(frozen=True)
class Architecture:
    """``way``: how a prefix is injected. ``attention``: name of the class of its self-attention. ``keys``, ``values``:
    names of its projections (of ``rows`` alone). ``targets``: query and value projections, which LoRA and its kin
    change. ``shared``: all layers are one module. ``local``: some layers see a
    window alone, and have masks of their own.
    """

    way: Way
    attention: str
    targets: tuple[str, ...]
    keys: str = ""
    values: str = ""
    shared: bool = False
    local: bool = False


KNOWN = {
    "bert": Architecture("cache", "BertSelfAttention", ("query", "value")),
    "roberta": Architecture("cache", "RobertaSelfAttention", ("query", "value")),
    "xlm-roberta": Architecture("cache", "XLMRobertaSelfAttention", ("query", "value")),
    "camembert": Architecture("cache", "CamembertSelfAttention", ("query", "value")),
    "electra": Architecture("cache", "ElectraSelfAttention", ("query", "value")),
    "distilbert": Architecture("function", "DistilBertSelfAttention", ("q_lin", "v_lin")),
    "albert": Architecture("function", "AlbertAttention", ("query", "value"), shared=True),
    "modernbert": Architecture("function", "ModernBertAttention", ("Wqkv",), local=True),
    "mpnet": Architecture("rows", "MPNetSelfAttention", ("attn.q", "attn.v"), "k", "v"),
    "deberta-v2": Architecture(
        "rows", "DisentangledSelfAttention", ("query_proj", "value_proj"), "key_proj", "value_proj"
    ),
}


def mask_of(net: Any, mask: Tensor) -> Tensor:
    """A mask [B, S] as the encoder takes it: [B, 1, 1, S] bool where it would only ask whether anything is masked, for
    which a GPU waits.
    """
    known = KNOWN.get(net.config.model_type)
    plain = known is None or known.way == "rows" or known.local
    return mask if plain or net.config._attn_implementation == "eager" else mask[:, None, None].bool()


def architecture_of(net: Any, who: str) -> Architecture:
    """Of a model of ``transformers``. Raises UnfitError with the names that fit where ``who`` does not know it."""
    kind = net.config.model_type
    if kind not in KNOWN:
        raise UnfitError(
            f"'{who}' does not know the architecture '{kind}' of this backbone (it knows: {', '.join(KNOWN)}); "
            "the tuners full and head take any encoder"
        )
    return KNOWN[kind]


def attentions_of(net: nn.Module, architecture: Architecture) -> list[nn.Module]:
    """Its self-attention modules in the order of the layers; one, where all layers share it."""
    return [part for part in net.modules() if type(part).__name__ == architecture.attention]


def layers_of(net: Any, who: str) -> list[nn.Module]:
    """The layers, one module each. Raises UnfitError where they are one module, or are not found."""
    depth = int(net.config.num_hidden_layers)
    for part in net.modules():
        if isinstance(part, nn.ModuleList) and len(part) == depth and net.config.model_type != "albert":
            return list(part)
    raise UnfitError(
        f"{who}: the layers of the architecture '{net.config.model_type}' cannot be reached one by one (it shares one "
        "between all, or keeps them elsewhere): mix sentences or embeddings"
    )


def refuse_checkpointing(net: nn.Module, who: str) -> None:
    """Raises UnfitError where activations are recomputed: a prefix would be counted twice in the backward pass."""
    if any(getattr(part, "gradient_checkpointing", False) for part in net.modules()):
        raise UnfitError(f"'{who}' does not work with gradient checkpointing: switch it off for this backbone")
