"""Deep prefixes (P-tuning v2): n trainable keys and values before those of the text, in every layer.

Source: Liu et al., P-Tuning v2, ACL 2022, arXiv 2110.07602; Li and Liang, Prefix-Tuning, ACL 2021, section 4.3 (the
MLP). Shapes and order are those of the released code of P-tuning v2 (docs/methods/peft.md).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .architectures import architecture_of, refuse_checkpointing
from .dropout import Dropout
from .prefix_attention import prefixed
from .tuners import Hidden, Inputs, Tuner, forward


def key_values(flat: Tensor, batch: int, layers: int, heads: int) -> Tensor:
    """A flat prefix [n, 2 L H] as keys and values of a batch, [2 L, B, heads, n, d_head]: 2 l is the key of layer l,
    2 l + 1 its value. Every row has the same.
    """
    n, width = flat.shape
    parts = flat.view(n, 2 * layers, heads, width // (2 * layers * heads))
    return parts.permute(1, 2, 0, 3)[:, None].expand(-1, batch, -1, -1, -1)


class PrefixEncoder(nn.Module):
    """The flat prefix [n, 2 L H]: a table, or a table [n, H] through Linear, tanh, Linear.

    Parameters: n 2 L H, or n H + H M + M + M 2 L H + 2 L H with an MLP of inner width M.

    Args:
        length: n.
        layers, width: L and H of the encoder.
        inner: M; None: no MLP.
        deviation: of the normal draws that fill the table.
    """

    def __init__(self, length: int, layers: int, width: int, inner: int | None = None, deviation: float = 1.0) -> None:
        super().__init__()
        flat = 2 * layers * width
        self.table = nn.Parameter(deviation * torch.randn(length, flat if inner is None else width))
        self.mlp = None if inner is None else nn.Sequential(nn.Linear(width, inner), nn.Tanh(), nn.Linear(inner, flat))

    def forward(self) -> Tensor:
        return self.table if self.mlp is None else self.mlp(self.table)


class PrefixTuner(Tuner):
    """The encoder is frozen; a prefix stands before keys and values of every layer, with dropout while it trains.

    Where the architecture takes past key values, positions of the text begin at n, as in the released code and in peft;
    elsewhere the prefix is put in at the attention (:mod:`.prefix_attention`) and positions stay. The cache is made
    anew in every forward pass, since a forward pass changes it. Token types are kept.

    Args:
        net: a model of ``transformers``; it becomes frozen.
        length, inner, deviation: of :class:`PrefixEncoder`.
        dropout: p of every number of a row's prefix.

    Raises:
        UnfitError: an architecture that is not known, or gradient checkpointing.
    """

    kind = "prefix"

    def __init__(
        self, net: Any, *, length: int, inner: int | None = None, deviation: float = 1.0, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.architecture = architecture_of(net, "prefix")
        refuse_checkpointing(net, "prefix")
        net.requires_grad_(False)
        config = net.config
        self.layers, self.heads, self.length = int(config.num_hidden_layers), int(config.num_attention_heads), length
        self.encoder = PrefixEncoder(length, self.layers, int(config.hidden_size), inner, deviation)
        self.dropout = Dropout(dropout)
        self.moved = length if self.architecture.way == "cache" else 0

    def undecayed(self) -> list[nn.Parameter]:
        return [self.encoder.table]

    def forward(self, net: Any, inputs: Inputs, every_layer: bool = False) -> Hidden:
        refuse_checkpointing(net, "prefix")
        batch = len(inputs.embedded)
        values = self.dropout(key_values(self.encoder().float(), batch, self.layers, self.heads))
        pairs = [(values[2 * layer], values[2 * layer + 1]) for layer in range(self.layers)]
        if not self.length:
            return forward(net, inputs, every_layer)
        if self.architecture.way == "cache":
            from transformers import DynamicCache

            seen = torch.cat([inputs.mask.new_ones(batch, self.length), inputs.mask], 1)
            return forward(net, inputs, every_layer, attention_mask=seen, past_key_values=DynamicCache(pairs))
        with prefixed(net, self.architecture, pairs):
            return forward(net, inputs, every_layer)

    @torch.no_grad()
    def save(self, net: Any, folder: Path) -> None:
        """As peft saves a prefix: the flat table. An MLP is worked out once and dropped; peft loads it where the
        architecture takes past key values.
        """
        from safetensors.torch import save_file

        flat = self.encoder().detach().cpu().contiguous()
        config = {
            "peft_type": "PREFIX_TUNING",
            "task_type": "FEATURE_EXTRACTION",
            "num_virtual_tokens": self.length,
            "num_layers": self.layers,
            "num_attention_heads": self.heads,
            "token_dim": flat.shape[1] // (2 * self.layers),
            "num_transformer_submodules": 1,
            "prefix_projection": False,
            "inference_mode": True,
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file({"prompt_embeddings": flat}, folder / "adapter_model.safetensors")
