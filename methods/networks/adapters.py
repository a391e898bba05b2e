"""Tuners of the library peft: LoRA, DoRA, VeRA and OSF change projections of the encoder; prompt tuning and P-tuning
put trained vectors before its word embeddings.

The layers are put into the encoder where it stands; what they hold that is trained is a part of the tuner, so that a
state has it and nothing of the encoder. Sources: LoRA (Hu et al., ICLR 2022, arXiv 2106.09685), rsLoRA (Kalajdzievski
2023), DoRA (Liu et al., ICML 2024), VeRA (Kopiczko et al., ICLR 2024), OSF (Nayak et al. 2025, arXiv 2504.07097),
prompt tuning (Lester et al., EMNLP 2021), P-tuning (Liu et al. 2021, arXiv 2103.10385).
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..base import UnfitError
from .architectures import architecture_of, refuse_checkpointing
from .tuners import Hidden, Inputs, Tuner, forward

Targets = Literal["attention", "all"]


def import_peft() -> Any:
    """The library. Raises ModuleNotFoundError that says what to install."""
    try:
        import peft
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("this tuner needs the library peft: pip install 'holdfast[text]'") from error
    return peft


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of peft about names of transformers that it still uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Adapter(Tuner):
    """A tuner of peft around an encoder, which becomes frozen.

    Args:
        net: a model of ``transformers``.
        kind: its name.
        config: class of peft's configuration, by name.
        options: its fields.

    Raises:
        UnfitError: an architecture that is not known, gradient checkpointing, or what peft refuses.
    """

    def __init__(self, net: Any, kind: str, config: str, **options: Any) -> None:
        super().__init__()
        architecture_of(net, kind)
        refuse_checkpointing(net, kind)
        peft = import_peft()
        with _quiet():
            try:
                made = getattr(peft, config)(task_type="FEATURE_EXTRACTION", **options)
                self._peft = [peft.get_peft_model(net, made)]  # in a list: the encoder is no part of a tuner
            except ValueError as error:
                fitting = "prefix, prompt, ptuning, full, head"
                raise UnfitError(f"'{kind}' does not fit this backbone: {error}. What fits: {fitting}") from error
        self.wrapped = net

    @property
    def model(self) -> Any:
        """peft's own model around the encoder."""
        return self._peft[0]

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "wrapped":  # the encoder is no part of a tuner
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def save(self, net: Any, folder: Path) -> None:
        """As peft saves it, without anything of the encoder."""
        with _quiet():
            self.model.save_pretrained(str(folder), save_embedding_layers=False)


class LowRank(Adapter):
    """LoRA and its kin, which have no state beside their parameters.

    LoRA: ``y = x W^T + b + s drop(x) A^T B^T``, s = α/r, of rsLoRA α/√r; B is 0 at first. DoRA: the rows of W + s B A
    are brought to trained lengths. VeRA: A and B are random, frozen and shared; what is trained scales their rows.

    Trained parameters of a projection W [o, i]: LoRA r (i + o), DoRA r (i + o) + o, VeRA r + o.

    Args:
        rank, alpha, dropout: r, α, and p of x (VeRA has no α).
        root: rsLoRA's scale.
        targets: ``attention``: query and value projections; ``all``: every linear layer.
    """

    def __init__(
        self,
        net: Any,
        kind: Literal["lora", "dora", "vera"],
        *,
        rank: int = 8,
        alpha: float = 16,
        dropout: float = 0.1,
        root: bool = False,
        targets: Targets = "attention",
    ) -> None:
        where = targets_of(net, kind, targets)
        if kind == "vera":
            super().__init__(net, kind, "VeraConfig", r=rank, vera_dropout=dropout, target_modules=where)
        else:
            options = {"r": rank, "lora_alpha": alpha, "lora_dropout": dropout, "use_rslora": root}
            super().__init__(net, kind, "LoraConfig", use_dora=kind == "dora", target_modules=where, **options)
        self.parts = nn.ParameterDict(trained_by_name(net))

    kind = "low_rank"


class OSF(Adapter):
    """Every weight is its singular value decomposition; the ``preserved`` share of its top directions is frozen, the
    rest is trained, at right angles to what is frozen.

    :meth:`consolidate` begins a further task: what was learnt becomes the weight, and is decomposed anew, so that its
    top directions are preserved from there on. The encoder's weights change, so they belong to the state.

    Trained parameters of a projection W [o, i]: (o + i + 1) (min(o, i) - k), k = ⌊preserved min(o, i)⌋.

    Raises:
        UnfitError: nothing is left to train.
    """

    kind = "osf"
    whole = True

    def __init__(self, net: Any, *, preserved: float = 0.5, targets: Targets = "all") -> None:
        super().__init__(
            net, "osf", "OSFConfig", effective_rank=preserved, target_modules=targets_of(net, "osf", targets)
        )
        if not sum(p.numel() for p in self.trained(net)):
            raise UnfitError(f"osf: with preserved={preserved} nothing is left to train: lower it")
        self.consolidated = 0  # how often

    def _layers(self) -> list[Any]:
        return [part for part in self.wrapped.modules() if hasattr(part, "osf_svd_params")]

    @torch.no_grad()
    def consolidate(self) -> None:
        """What was learnt becomes the weight; decomposed anew in place."""
        from peft.tuners.osf.utils import decompose_weight_matrix

        for layer in self._layers():
            weight = layer.get_base_layer().weight
            weight += layer.get_delta_weight("default")
            parts = decompose_weight_matrix(weight.data, top_k=layer.effective_rank["default"])
            for name, trained in layer.osf_svd_params["default"].items():
                trained.copy_(parts[name])
            for name, held in _held(layer).items():
                held.copy_(parts[name])
        self.consolidated += 1

    def save(self, net: Any, folder: Path) -> None:
        """As peft saves it; once the weights below it have changed, the whole encoder with what was learnt."""
        if not self.consolidated:
            super().save(net, folder)
            return
        whole = copy.deepcopy(self.model).merge_and_unload()
        whole.save_pretrained(str(folder))

    def get_extra_state(self) -> dict[str, Tensor]:
        """What the decomposition froze: peft keeps it out of its states."""
        layers = enumerate(self._layers())
        held = {f"{number}/{name}": held for number, layer in layers for name, held in _held(layer).items()}
        return {**held, "consolidated": torch.tensor(self.consolidated)}

    @torch.no_grad()
    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.consolidated = int(state["consolidated"])
        for number, layer in enumerate(self._layers()):
            for name, held in _held(layer).items():
                held.copy_(state[f"{number}/{name}"])


def _held(layer: Any) -> dict[str, Tensor]:
    """The frozen tensors of a layer, by the names of the decomposition's parts."""
    names = {"U_low": "_osf_U_low_init", "S_low": "_osf_S_low_init", "V_low": "_osf_V_low_init"}
    names |= {"U_high": "_osf_U_high", "V_high": "_osf_V_high"}
    return {part: getattr(layer, name)["default"] for part, name in names.items() if "default" in getattr(layer, name)}


class Prompt(Adapter):
    """n trained vectors before the word embeddings: a table (prompt tuning), or a table through an MLP of inner width M
    (P-tuning). Positions of the text begin at n; the outputs of the prompt are left out.

    Parameters, E the width of word embeddings: n E; of P-tuning n E + E M + M + M² + M + M E + E.
    """

    kind = "prompt"

    def __init__(self, net: Any, *, length: int, inner: int | None = None) -> None:
        width = int(net.get_input_embeddings().embedding_dim)
        options = {"num_virtual_tokens": length, "token_dim": width}
        options |= {"num_layers": net.config.num_hidden_layers, "num_attention_heads": net.config.num_attention_heads}
        if inner is None:
            super().__init__(net, "prompt", "PromptTuningConfig", **options)
        else:
            super().__init__(net, "ptuning", "PromptEncoderConfig", encoder_hidden_size=inner, **options)
        net.requires_grad_(False)
        self.length = self.moved = length
        self.encoder = self.model.prompt_encoder

    def undecayed(self) -> list[nn.Parameter]:
        return [self.encoder["default"].embedding.weight]

    def forward(self, net: Any, inputs: Inputs, every_layer: bool = False) -> Hidden:
        n, batch = self.length, len(inputs.embedded)
        prompt = self.model.get_prompt(batch_size=batch).to(inputs.embedded.dtype)
        whole = Inputs(
            torch.cat([prompt, inputs.embedded], 1),
            F.pad(inputs.mask, (n, 0), value=1),
            None if inputs.types is None else F.pad(inputs.types, (n, 0)),
        )
        seen = forward(net, whole, every_layer)
        return Hidden(seen.last[:, n:], tuple(layer[:, n:] for layer in seen.layers))


def targets_of(net: Any, who: str, targets: Targets) -> list[str] | str:
    """Where peft puts its layers."""
    return list(architecture_of(net, who).targets) if targets == "attention" else "all-linear"


def trained_by_name(net: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters with a gradient; their names with slashes, since a state's have dots."""
    return {name.replace(".", "/"): p for name, p in net.named_parameters() if p.requires_grad}
