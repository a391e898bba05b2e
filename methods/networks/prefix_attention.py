"""A prefix in front of the keys and values of encoders that take no past key values.

``function``: the architecture calls an attention function by the name in its config; for the time of a forward pass
that name is ours. ``rows``: rows are put before the input of each self-attention, their keys and values are replaced by
the prefix, and their outputs dropped. Neither moves the positions of the text, and a relative position between a
prefix and a token counts nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .architectures import Architecture, attentions_of

NAME = "prefix_before_sdpa"
Pair = tuple[Tensor, Tensor]  # keys and values of a layer, each [B, heads, n, d_head]


@contextmanager
def prefixed(net: Any, architecture: Architecture, prefix: Sequence[Pair]) -> Iterator[None]:
    """Within it a forward pass of ``net`` sees ``prefix``, one pair a layer."""
    attentions = attentions_of(net, architecture)
    with ExitStack() as stack:
        if architecture.way == "function":
            stack.enter_context(_through_function(net, attentions, prefix))
        else:
            for attention, pair in zip(attentions, prefix, strict=True):
                _through_rows(stack, attention, architecture, pair)
        yield


@contextmanager
def _through_function(net: Any, attentions: Sequence[nn.Module], prefix: Sequence[Pair]) -> Iterator[None]:
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if NAME not in ALL_ATTENTION_FUNCTIONS:
        ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
        ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)
    configs = {id(part.config): part.config for part in [net, *attentions]}.values()
    was = [config._attn_implementation for config in configs]
    for config in configs:
        config._attn_implementation = NAME
    for number, attention in enumerate(attentions):  # a module that all layers share takes one pair a call
        object.__setattr__(attention, "prefix", list(prefix) if len(attentions) == 1 else [prefix[number]])
    try:
        yield
    finally:
        for config, name in zip(configs, was, strict=True):
            config._attn_implementation = name
        for attention in attentions:
            object.__delattr__(attention, "prefix")


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """``softmax(Q [P^K; K]^T / √d + M') [P^V; V]``: what transformers' own function makes of keys and values with the
    next prefix of ``module`` before them; M' is 0 there.

    Args:
        query, key, value: [B, heads, S, d_head].
        attention_mask: None, or what broadcasts to [B, heads, S, S]: bool (True = seen) or added.

    Returns:
        The context [B, S, heads, d_head], and None for the probabilities.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    first, second = module.prefix.pop(0)
    if attention_mask is not None:
        n = first.shape[2]
        seen = True if attention_mask.dtype == torch.bool else 0.0
        attention_mask = F.pad(attention_mask, (n, 0), value=seen)
    key, value = torch.cat([first, key], 2), torch.cat([second, value], 2)
    made: tuple[Tensor, Tensor | None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return made


def _through_rows(stack: ExitStack, attention: Any, architecture: Architecture, pair: Pair) -> None:
    """Hooks on one self-attention, which ``stack`` takes off again."""
    n = pair[0].shape[2]

    def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = dict(inspect.signature(module.forward).bind(*args, **kwargs).arguments)
        further = given.pop("kwargs", {})
        hidden = given["hidden_states"]
        given["hidden_states"] = F.pad(hidden, (0, 0, n, 0))
        mask = given.get("attention_mask")
        if mask is not None:
            given["attention_mask"] = _with_rows(mask, n)
        if given.get("position_bias") is not None:
            given["position_bias"] = F.pad(given["position_bias"], (n, 0, n, 0))
        if hasattr(module, "disentangled_attention_bias"):
            module.disentangled_attention_bias = _bias_of_text(module, n)
        return (), {**given, **further}

    def after(module: Any, args: Any, output: tuple[Any, ...]) -> tuple[Any, ...]:
        module.__dict__.pop("disentangled_attention_bias", None)
        return (output[0][:, n:], *output[1:])

    for name, each in ((architecture.keys, pair[0]), (architecture.values, pair[1])):
        rows = each.transpose(1, 2).flatten(2)  # [B, n, heads d_head]
        stack.callback(getattr(attention, name).register_forward_hook(_Replaced(rows)).remove)
    stack.callback(attention.register_forward_pre_hook(before, with_kwargs=True).remove)
    stack.callback(attention.register_forward_hook(after).remove)


class _Replaced:
    """The first rows of a projection's output replaced, in its first call: DeBERTa projects its positions by the same
    weights after that.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows: Tensor | None = rows

    def __call__(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        rows, self.rows = self.rows, None
        return output if rows is None else torch.cat([rows.to(output.dtype), output[:, rows.shape[1] :]], 1)


def _with_rows(mask: Tensor, n: int) -> Tensor:
    """A mask [B, 1, 1 or S, S] over n rows more, which every row sees."""
    if mask.is_floating_point():  # added to the scores
        return F.pad(mask, (n, 0, n if mask.shape[-2] > 1 else 0, 0), value=0.0)
    return F.pad(mask, (n, 0, n if mask.shape[-2] > 1 else 0, 0), value=1)


def _bias_of_text(module: Any, n: int) -> Any:
    """DeBERTa's bias by relative position, of the text's own rows; 0 where a prefix is one of both."""

    def bias(query: Tensor, key: Tensor, *further: Any) -> Tensor:
        whole: Tensor = type(module).disentangled_attention_bias(module, query[:, n:], key[:, n:], *further)
        return F.pad(whole, (n, 0, n, 0))

    return bias
