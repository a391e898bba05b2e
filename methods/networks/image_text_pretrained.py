"""Image-text models of ``transformers``, from a local folder or the hub, as the methods of decoding take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from ...datasets.core.language import LanguageInfo
from ...datasets.core.source import DataInfo, Source, require
from ...datasets.core.table import Batch
from ..base import UnfitError
from . import causal_pretrained, hub
from .causal_pretrained import PretrainedCausal
from .image_text_prompts import Prompts, own_side
from .protocols import CausalModel
from .retokenised import ends_of, info_of, retokenised

PROVIDES = (CausalModel,)
# Kinds whose pictures become embeddings among the tokens of a causal language model, and nothing else.
KINDS = (
    *("llava", "llava_next", "llava_onevision", "vipllava", "internvl"),
    *("idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl"),
)
NO_YES = ("No", "Yes")
TINY = 1e-6


class Config(causal_pretrained.Config):
    """Which model, and how it is asked."""

    pretrained: str = Field(min_length=1, description="an image-text model of transformers: folder or hub name")
    template: str | None = Field(
        None,
        description="prompt, with {image} and behind it {prompt}; null: the model's chat template, else a line each",
    )
    no_yes: tuple[str, str] | None = Field(
        NO_YES, description="words of the answers no and yes, as the model writes them; null: those of the data"
    )


class _Reached(Exception):  # noqa: N818  no error: the language model has been reached, and need not run
    """What the language model inside was given."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.given = given


class PretrainedImageText(PretrainedCausal):
    """An image-text model of ``transformers`` with the steps of a :class:`~.protocols.CausalModel`.

    The prefix is what stands before a question: begin token, words of the template, and the picture. It is what the
    library's own forward pass hands to the language model inside it, so that towers, projectors and the layout of
    tiles are the library's. Pictures are numbers in [-1, 1] until the model's own processor resizes and normalises
    them: a picture that a method alters goes through the vision tower as altered pixels.
    """

    def __init__(self, net: Any, info: LanguageInfo, prompts: Prompts, config: Config) -> None:
        super().__init__(net, info, config)
        self.prompts, self.kind = prompts, str(net.config.model_type)
        self.decoder_inside = [net.get_decoder()]  # in a list: its weights are the net's already
        mean, deviation = (torch.tensor(values)[:, None, None] for values in prompts.statistics())
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_deviation", deviation, persistent=False)
        self.places: dict[int, Tensor] = {}  # positions [3, P] of a prefix of P embeddings, where they are no count

    def prefix(self, batch: Batch) -> Tensor | None:
        """Embeddings [B, P, d] of what stands before the question, with the batch's pictures; without pictures those
        of the words alone, None where there are none.
        """
        if "image" in batch:
            image = batch["image"]
            return self.embed_pictures(image if image.is_floating_point() else image.float() / 127.5 - 1)
        bare = self.prompts.bare.to(self.net.device)
        rows = len(batch["index"]) if "index" in batch else len(batch["tokens"])
        return self.net.get_input_embeddings()(bare.expand(rows, -1)) if len(bare) else None

    def embed_pictures(self, image: Tensor) -> Tensor:
        """Embeddings [B, P, d] of what stands before the question, pictures [B, C, S, S] in [-1, 1] included."""
        given = self.prompts.inputs((image + 1) / 2, self.prompts.rendered("a"))
        head = self.prompts.head
        if given["input_ids"].shape[1] < len(head) or not bool((given["input_ids"][:, : len(head)] == head).all()):
            raise UnfitError(f"pictures of {image.shape[-1]} pixels do not have the size that this model was built for")
        given = {name: value.to(image.device) for name, value in given.items()}
        given["pixel_values"] = self._seen(given["pixel_values"])
        for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            if name in given:
                given[name] = given[name][:, : len(head)]
        inside = self._inside(given)
        positions = inside.get("position_ids")
        if positions is not None and positions.dim() == 3:
            self.places[len(head)] = positions[-3:, 0]
        embeddings: Tensor = inside["inputs_embeds"]
        return embeddings

    def _seen(self, pixels: Tensor) -> Tensor:
        """Idefics' code takes a picture of zeros alone, which grey is, for one that is not there."""
        if self.kind not in ("idefics3", "smolvlm"):
            return pixels
        none = (pixels == 0).flatten(2).all(2)
        return torch.where(none[:, :, None, None, None], torch.full_like(pixels, TINY), pixels)

    def _inside(self, given: dict[str, Tensor]) -> dict[str, Any]:
        """What the library hands to its language model of these inputs; that one does not run."""

        def reached(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            raise _Reached(kwargs)

        hook = self.decoder_inside[0].register_forward_pre_hook(reached, with_kwargs=True)
        try:
            self.net(**given, use_cache=False)
        except _Reached as found:
            return found.given
        finally:
            hook.remove()
        raise UnfitError(f"model.options.pretrained: a model of the kind '{self.kind}' has no language model inside")

    def positions(self, counted: Tensor, prefix: int, shift: int) -> tuple[Tensor, int]:
        """Counted, but for kinds (Qwen-VL) whose picture has places of height and width: [3, B, T]."""
        if not self.kind.startswith("qwen"):
            return counted, shift
        places = self.places.get(prefix) if prefix else None
        if places is None:
            return (counted + shift).expand(3, -1, -1), shift
        shift = int(places.max()) + 1 - prefix
        rows = places.to(counted)[:, None].expand(-1, len(counted), -1)
        later = (counted[:, prefix:] + shift).expand(3, -1, -1)
        return torch.cat([rows, later], 2), shift


def reads(name: str, revision: str | None = None) -> bool:
    """Whether a model of that name is of one of the kinds here. Raises as :func:`.hub.config`."""
    return str(hub.config(name, revision, hub.PRETRAINED).model_type) in KINDS


def alone(config: Config) -> tuple[PretrainedImageText, Any]:
    """The model without data, for pictures of the side that its own processor brings them to, and its tokenizer.

    Raises as :func:`build`.
    """
    processor = hub.processor(config.pretrained, config.revision)
    empty = LanguageInfo(vocabulary=(), longest=0, image=(3, own_side(processor)))
    info = info_of(empty, processor.tokenizer, ends_of(processor.tokenizer, config.pretrained))
    return build(config, info, 0), processor.tokenizer


def _kind(config: Config) -> None:
    kind = str(hub.config(config.pretrained, config.revision, hub.PRETRAINED).model_type)
    if kind not in KINDS:
        raise UnfitError(
            f"model.options.pretrained: '{config.pretrained}' is a model of the kind '{kind}', and this network knows "
            f"those that read a picture as embeddings among their tokens: {', '.join(KINDS)}"
        )


def _prompts(config: Config, info: LanguageInfo) -> Prompts:
    if info.image is None:
        raise UnfitError(
            "model.name: an image-text model needs pictures, and this data has none; use 'causal_pretrained'"
        )
    if info.image[0] != 3:
        raise UnfitError(
            f"model.name: an image-text model reads pictures in colour, and this data's have {info.image[0]} channel"
        )
    return Prompts(hub.processor(config.pretrained, config.revision), config.template, info.image[1])


def prepare(config: Config, source: Source) -> Source:
    """The source with its texts as the model's own tokens: a prompt is what follows the picture in the model's form of
    a question, an answer is told from it by a blank. A text that begins as the row's prompt does is that prompt with
    its answer, another one is a prompt.

    Raises:
        UnfitError: a model of another kind, data without pictures, a template or tokenizer that does not fit, answers
            no and yes that begin alike.
    """
    old = require(source.info, LanguageInfo, "the network 'image_text_pretrained'")
    _kind(config)
    prompts = _prompts(config, old)
    ends = ends_of(prompts.tokenizer, config.pretrained)

    def code(column: str, row: Sequence[int], prompt: Sequence[int]) -> list[int]:
        end = [ends[2]] if old.eos in row else []
        if column in ("prompt", "neutral"):
            return prompts.question(old.words(list(row)))
        asked = old.words(list(prompt))
        if column != "tokens":
            return prompts.answer(asked, old.words(list(row))) + end
        if list(row[: len(prompt)]) != list(prompt):
            return prompts.question(old.words(list(row))) + end
        return prompts.question(asked) + prompts.answer(asked, old.words(list(row[len(prompt) :]))) + end

    return retokenised(source, old, prompts.tokenizer, code, ends, _no_yes(config, old, prompts))


def _no_yes(config: Config, old: LanguageInfo, prompts: Prompts) -> tuple[int, int] | None:
    if old.yes_no is None:
        return None
    words = config.no_yes or tuple(old.words([token]) for token in old.yes_no)
    no, yes = (prompts.answer("a", word)[0] for word in words)
    if no == yes:
        raise UnfitError(
            f"model.options.no_yes: {words[0]!r} and {words[1]!r} begin with one token of this model; name other words"
        )
    return no, yes


def build(config: Config, info: DataInfo, seed: int) -> PretrainedImageText:
    """The model with its own weights.

    Raises FileNotFoundError where there is no such model, UnfitError as :func:`prepare`.
    """
    known = require(info, LanguageInfo, "the network 'image_text_pretrained'")
    _kind(config)
    prompts = _prompts(config, known)
    return PretrainedImageText(hub.image_text(config.pretrained, config.revision), known, prompts, config)
