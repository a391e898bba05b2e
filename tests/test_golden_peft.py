"""Golden vectors of parameter-efficient tuning: prefixes, attention, LoRA, losses, Mixup, EDA, representations."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from holdfast.analysis.metrics import representation
from holdfast.datasets.transforms import eda
from holdfast.datasets.transforms import word_operations as words
from holdfast.methods.losses.contrastive_total import contrastive_total
from holdfast.methods.losses.mixup import mixed_mask, mixed_rows, mixed_targets, soft_cross_entropy
from holdfast.methods.losses.ntxent import ntxent
from holdfast.methods.losses.pair_margin import pair_margin
from holdfast.methods.losses.supcon import supcon, supcon_by_anchor
from holdfast.methods.networks.prefix import PrefixEncoder, key_values
from holdfast.methods.networks.prefix_attention import attend
from torch import Tensor, nn
from torch.nn import functional as F

from .golden_vectors import PRECISIONS, Vectors, folder


def prefixes(g: Vectors) -> None:
    for stem, match in g.groups(r"prefix_(emb|mlp)/\d+"):
        batch, length, layers, heads, width = g.get(f"{stem}/meta").tolist()
        for dtype, rtol in PRECISIONS:
            inner = g.tensor(f"{stem}/w0").shape[0] if match.group(2) == "mlp" else None
            encoder = PrefixEncoder(length, layers, heads * width, inner).to(dtype)
            parts = {"table": "emb"}
            if inner is not None:
                parts |= {"mlp.0.weight": "w0", "mlp.0.bias": "b0", "mlp.2.weight": "w1", "mlp.2.bias": "b1"}
            encoder.load_state_dict({name: g.tensor(f"{stem}/{entry}", dtype) for name, entry in parts.items()})
            g.agree(f"{stem}/kv", key_values(encoder(), batch, layers, heads), rtol)


def attention(g: Vectors) -> None:
    """Through the function that prefixes are injected by; probabilities are the context of unit values."""
    for stem, _ in g.groups(r"attn_prefix/\d+"):
        heads = int(g.get(f"{stem}/heads"))
        mask = g.tensor(f"{stem}/mask").bool()[:, None, None]
        for dtype, rtol in PRECISIONS:
            h, first, second = (g.tensor(f"{stem}/{name}", dtype) for name in ("h", "pk", "pv"))
            q, k, v = (
                F.linear(h, g.tensor(f"{stem}/W{name}", dtype), g.tensor(f"{stem}/b{name}", dtype))
                .unflatten(-1, (heads, -1))
                .transpose(1, 2)
                for name in "qkv"
            )
            scale = q.shape[-1] ** -0.5

            def seen(
                values: Tensor,
                before: Tensor,
                q: Tensor = q,
                k: Tensor = k,
                first: Tensor = first,
                scale: float = scale,
            ) -> Tensor:
                module = SimpleNamespace(prefix=[(first, before)], is_causal=False, training=False)
                made: Tensor = attend(module, q, k, values, mask, scaling=scale)[0]  # noqa: B023
                return made

            g.agree(f"{stem}/ctx", seen(v, second).flatten(2), rtol)
            length, n = h.shape[1], first.shape[2]
            unit = torch.eye(n + length, dtype=dtype).expand(len(h), heads, -1, -1)
            g.agree(f"{stem}/probs", seen(unit[:, :, n:], unit[:, :, :n]).transpose(1, 2), rtol)


def low_rank(g: Vectors) -> None:
    """Through the layer of peft that the tuner puts in."""
    import peft

    for stem, _ in g.groups(r"lora_fwd/\d+"):
        rank, alpha = int(g.get(f"{stem}/r")), float(g.get(f"{stem}/alpha"))
        for (dtype, rtol), (root, entry) in ((p, e) for p in PRECISIONS for e in ((False, "y"), (True, "y_rs"))):
            x, weight, bias = (g.tensor(f"{stem}/{name}", dtype) for name in ("x", "W", "b"))
            net = nn.ModuleDict({"part": nn.Linear(weight.shape[1], weight.shape[0])}).to(dtype)
            net["part"].load_state_dict({"weight": weight, "bias": bias})
            config = peft.LoraConfig(r=rank, lora_alpha=alpha, use_rslora=root, target_modules=["part"])
            layer = peft.inject_adapter_in_model(config, net).eval()["part"].to(dtype)
            with torch.no_grad():
                layer.lora_A["default"].weight.copy_(g.tensor(f"{stem}/A", dtype))
                layer.lora_B["default"].weight.copy_(g.tensor(f"{stem}/B", dtype))
            found = layer(x)
            g.agree(f"{stem}/{entry}", found, rtol)
            layer.merge()
            torch.testing.assert_close(layer(x), found, atol=1e-4, rtol=1e-4)
            if not root:
                g.agree(f"{stem}/Wm", layer.get_base_layer().weight, rtol)


def contrasts(g: Vectors) -> None:
    for stem, _ in g.groups(r"supcon_sup/\d+"):
        y, tau = g.tensor(f"{stem}/y"), float(g.get(f"{stem}/t"))
        for dtype, rtol in PRECISIONS:
            z = g.tensor(f"{stem}/z", dtype).requires_grad_()
            loss = supcon(z, y, temperature=tau, block=3)
            g.agree(f"{stem}/loss", loss, rtol)
            g.agree(f"{stem}/per", supcon_by_anchor(z, y, temperature=tau)[0], rtol)
            g.agree(f"{stem}/grad", torch.autograd.grad(loss, z)[0], rtol)
    for stem, _ in g.groups(r"joint_ce_sup/\d+"):
        y, tau, lam = g.tensor(f"{stem}/y"), float(g.get(f"{stem}/t")), float(g.get(f"{stem}/lam"))
        for dtype, rtol in PRECISIONS:
            logits, z = (g.tensor(f"{stem}/{name}", dtype).requires_grad_() for name in ("logits", "z"))
            loss = contrastive_total(F.cross_entropy(logits, y), supcon(z, y, temperature=tau), lam)
            g.agree(f"{stem}/loss", loss, rtol)
            for name, found in zip(
                ("logits", "z"), torch.autograd.grad(loss, (logits, z), materialize_grads=True), strict=True
            ):
                g.agree(f"{stem}/grad_{name}", found, rtol)
    for stem, _ in g.groups(r"pair_margin/\d+"):
        for dtype, rtol in PRECISIONS:
            z, y = g.tensor(f"{stem}/z", dtype), g.tensor(f"{stem}/y")
            g.agree(f"{stem}/loss", pair_margin(z, y, margin=float(g.get(f"{stem}/margin"))), rtol)
    for stem, _ in g.groups(r"ntx_inst/\d+"):
        for dtype, rtol in PRECISIONS:
            views = [g.tensor(f"{stem}/{name}", dtype).requires_grad_() for name in ("z1", "z2")]
            loss = ntxent(*views, temperature=float(g.get(f"{stem}/t")))
            g.agree(f"{stem}/loss", loss, rtol)
            for k, found in enumerate(torch.autograd.grad(loss, views), 1):
                g.agree(f"{stem}/grad{k}", found, rtol)


def mixtures(g: Vectors) -> None:
    for stem, _ in g.groups(r"mixup_vec/\d+"):
        order, lam, y = g.tensor(f"{stem}/perm"), float(g.get(f"{stem}/lam")), g.tensor(f"{stem}/y")
        for dtype, rtol in PRECISIONS:
            logits = g.tensor(f"{stem}/logits", dtype)
            targets = mixed_targets(y, order, lam, logits.shape[1], dtype)
            g.agree(f"{stem}/xm", mixed_rows(g.tensor(f"{stem}/x", dtype), order, lam), rtol)
            g.agree(f"{stem}/ym", targets, rtol)
            g.agree(f"{stem}/loss_soft", soft_cross_entropy(logits, targets), rtol)
    for stem, _ in g.groups(r"mixtok_emb/\d+"):
        order, lam = g.tensor(f"{stem}/perm"), float(g.get(f"{stem}/lam"))
        for dtype, rtol in PRECISIONS:
            g.agree(f"{stem}/em", mixed_rows(g.tensor(f"{stem}/e", dtype), order, lam), rtol)
        g.agree(f"{stem}/mm", mixed_mask(g.tensor(f"{stem}/mask"), order))


def representations(g: Vectors) -> None:
    for stem, _ in g.groups(r"rep_sep/\d+"):
        for name, value in representation.separation(g.get(f"{stem}/z"), g.get(f"{stem}/y")).items():
            if g.has(f"{stem}/{name}"):
                g.agree(f"{stem}/{name}", value)


class Recorded:
    """The draws of the authors' code, in their order; one of another kind or range is an error."""

    def __init__(self, draws: Sequence[Sequence[Any]]) -> None:
        self.draws = list(draws)

    def _next(self, kind: str, a: float, b: float) -> Any:
        name, low, high, value = self.draws.pop(0)
        assert (name, low, high) == (kind, a, b)
        return value

    def randint(self, a: int, b: int) -> int:
        return int(self._next("randint", a, b))

    def uniform(self, a: float, b: float) -> float:
        return float(self._next("uniform", a, b))

    def choice(self, values: Sequence[str]) -> str:
        raise AssertionError("the recorded operations choose no word")

    def shuffle(self, values: list[Any]) -> None:
        raise AssertionError("the recorded operations shuffle nothing")


def counts(case: dict[str, Any]) -> dict[str, Any]:
    """Words that an operation changes, or candidates of an operation and rows that are returned for one text."""
    if "alpha" in case:
        return {**case, "n": words.changes(case["alpha"], case["num_words"])}
    config = eda.Config(strict_reference=True, copies=case["num_aug"])
    returned = eda.eda("the acting is dull and the plot is thin", config, lambda word: ["x"], random.Random(0))
    return {**case, "per_technique": words.candidates(case["num_aug"]), "returned": len(returned)}


def easy_data_augmentation(g: Vectors) -> None:
    """The whole JSON document, made again from its inputs."""
    document = json.loads(str(g.get("eda_json")))
    found: dict[str, Any] = {
        "clean": [[text, words.clean(text)] for text, _ in document["clean"]],
        "counts": [counts(each) for each in document["counts"]],
    }
    for name in document.keys() - found.keys():
        found[name] = []
        for case in document[name]:
            draws: Any = Recorded(case["draws"]) if "draws" in case else random.Random(0)
            known = case.get("synonyms", {})

            def synonyms(word: str, known: dict[str, list[str]] = known) -> list[str]:
                return known.get(word, [])

            match name:
                case "swap":
                    out = words.swap(case["words"], case["n"], draws)
                case "delete":
                    out = words.delete(case["words"], case["p"], draws)
                case "replace":
                    out = words.replace(case["words"], case["n"], synonyms, draws)
                case "insert":
                    out = words.insert(case["words"], case["n"], synonyms, draws)
                case _:
                    raise AssertionError(f"the operation '{name}' is not known")
            assert not getattr(draws, "draws", []), "draws are left over"
            found[name].append({**case, "out": out})
    wrong = [name for name in document if found[name] != document[name]]
    g.faults += [f"eda_json: {name} differs" for name in wrong]
    g.checked.add("eda_json")


@pytest.mark.golden
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_every_value_of_peft(record_property: Any) -> None:
    g = Vectors(folder() / "peft_augment.npz")
    g.run([prefixes, attention, low_rank, contrasts, mixtures, representations, easy_data_augmentation])
    record_property("golden", g.close())
