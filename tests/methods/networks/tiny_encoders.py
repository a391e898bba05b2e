"""Random encoders of every architecture that the tuners know, of two or three layers and width 32."""

from __future__ import annotations

from typing import Any

import torch
import transformers

COMMON: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
DEBERTA = {
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_buckets": 8,
    "type_vocab_size": 0,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}
MODERN = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", {}),
    "roberta": ("Roberta", {"pad_token_id": 1}),
    "xlm-roberta": ("XLMRoberta", {"pad_token_id": 1}),
    "camembert": ("Camembert", {"pad_token_id": 1}),
    "electra": ("Electra", {"embedding_size": 16}),
    "distilbert": ("DistilBert", {}),
    "albert": ("Albert", {"embedding_size": 16}),
    "modernbert": ("ModernBert", {**MODERN, "local_attention": 4, "num_hidden_layers": 3}),
    "mpnet": ("MPNet", {"pad_token_id": 1}),
    "deberta-v2": ("DebertaV2", DEBERTA),
}


def made(architecture: str, **options: Any) -> Any:
    """A random encoder in evaluation mode."""
    name, own = CONFIGS[architecture]
    common = dict(COMMON)
    if architecture == "distilbert":
        common = {"vocab_size": 50, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
    if architecture == "modernbert":
        common.pop("max_position_embeddings")
    config = getattr(transformers, f"{name}Config")(**{**common, **own, **options})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return getattr(transformers, f"{name}Model")(config).eval()
