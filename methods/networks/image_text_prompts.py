"""How a question stands around its picture in the prompt of an image-text model of ``transformers``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..base import UnfitError

PLAIN = "{image}\n{prompt}"  # of a model without a chat template
IMAGE, PROMPT = "{image}", "{prompt}"
FIELD = "model.options.template"
SIDE, LARGEST = 336, 2048  # of a picture in pixels
LONGEST = 100_000  # characters of a rendered prompt: what a chat template may make of a question


def own_side(processor: Any) -> int:
    """Side in pixels that a processor brings pictures to, :data:`SIDE` where it keeps their size."""
    pictures = processor.image_processor
    for name in ("crop_size", "size"):
        size = getattr(pictures, name, None) or {}
        sides = [size.get(side) for side in ("height", "width", "shortest_edge")]
        known = [int(side) for side in sides if side]
        if known and max(known) <= LARGEST:
            return max(known)
    return SIDE


class Prompts:
    """Prompts of one form: what stands before the question (``head``, the picture in it) is the same for all.

    ``bare`` [p]: the tokens before the picture. ``head`` [P]: those up to its end, as many placeholders as the model
    has embeddings of a picture of ``size`` pixels a side; tokens of its own that frame the picture are in ``head``
    alone.

    Args:
        processor: the model's processor of pictures and words.
        template: a text with ``{image}`` and, behind it, ``{prompt}``; None: the processor's chat template, without one
            ``{image}``, a line break and ``{prompt}``.
        size: side of the pictures in pixels.

    Raises:
        UnfitError: a template in another form, or a chat template that makes no such prompt.
    """

    def __init__(self, processor: Any, template: str | None, size: int) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.chat = template is None and bool(getattr(processor, "chat_template", None))
        self.template = PLAIN if template is None else template
        if self.template.count(IMAGE) != 1 or self.template.count(PROMPT) != 1:
            raise UnfitError(f"{FIELD}: {{image}} and {{prompt}} must each stand in it once")
        if self.template.index(IMAGE) > self.template.index(PROMPT):
            raise UnfitError(f"{FIELD}: {{image}} must stand before {{prompt}}: its embeddings are a prefix")
        self.picture = str(processor.image_token)
        self.picture_id = int(self.tokenizer.convert_tokens_to_ids(self.picture))
        self._before: list[int] | None = None
        self._before = self._split("a")[0]
        _, frame, tail = self._split("a")
        self.bare = torch.tensor(self._before[: len(self._before) - frame], dtype=torch.int64)
        probe = torch.zeros(1, 3, size, size)
        whole = self.inputs(probe, self.rendered("a"))["input_ids"][0]
        self.head = whole[: len(whole) - len(tail)]
        fits = whole[len(self.head) :].tolist() == tail and self.head[: len(self.bare)].tolist() == self.bare.tolist()
        if not tail or not fits or not bool((self.head == self.picture_id).any()):
            raise UnfitError(
                f"{FIELD}: the prompts of this model cannot be cut behind the picture; give another template"
            )

    def rendered(self, prompt: str) -> str:
        """The whole text, with the picture's placeholder once. Raises UnfitError for a chat template that fails."""
        if not self.chat:
            before, after = self.template.split(PROMPT)
            return before.replace(IMAGE, self.picture) + prompt + after
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        try:
            made = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
        except Exception as error:  # the template is a program of its own, in the library's sandbox
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            hint = "give one, for example 'USER: {image} {prompt} ASSISTANT:'"
            raise UnfitError(f"{FIELD}: the model's chat template fails ({reason}); {hint}") from error
        if len(made) > LONGEST + len(prompt):
            raise UnfitError(f"{FIELD}: the model's chat template makes {len(made)} characters of a question")
        return str(made)

    def _special(self, text: str) -> bool:
        """Whether the tokenizer is to add its begin token: not where the chat template has written it."""
        begin = self.tokenizer.bos_token
        return not (begin and text.startswith(begin))

    def ids(self, text: str) -> list[int]:
        """Tokens of a whole text."""
        return [int(t) for t in self.tokenizer(text, add_special_tokens=self._special(text))["input_ids"]]

    def _split(self, prompt: str) -> tuple[list[int], int, list[int]]:
        """Tokens before the placeholder, how many of them frame the picture, and those behind it and its frame.

        Raises UnfitError where the picture's own token is in the prompt, or what stands before it differs.
        """
        ids = self.ids(self.rendered(prompt))
        if ids.count(self.picture_id) != 1:
            raise UnfitError(
                f"the prompt {prompt[:60]!r} has the picture's own token {self.picture!r}, or the template none"
            )
        at = ids.index(self.picture_id)
        before, behind = ids[:at], ids[at + 1 :]
        framed = bool(before and behind and self._frames(before[-1]) and self._frames(behind[0]))
        if self._before is not None and before != self._before:
            raise UnfitError(f"{FIELD}: what stands before the picture depends on the question {prompt[:60]!r}")
        return before, int(framed), behind[int(framed) :]

    def _frames(self, token: int) -> bool:
        """Whether a token beside the picture belongs to it: a special one that begins and ends nothing else."""
        own = {self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id}
        return token in set(self.tokenizer.all_special_ids) - own

    def question(self, prompt: str) -> list[int]:
        """Tokens that follow the picture: the question and what stands behind it."""
        return self._split(prompt)[2]

    def answer(self, prompt: str, answer: str) -> list[int]:
        """Tokens of an answer behind its prompt; a blank stands between them unless the prompt ends in one."""
        whole = self.rendered(prompt)
        known, blank = self.ids(whole), "" if whole[-1:].isspace() else " "
        ids = self.ids(whole + blank + answer)
        if ids[: len(known)] == known:
            return ids[len(known) :]
        return [int(t) for t in self.tokenizer(blank + answer, add_special_tokens=False)["input_ids"]]

    def inputs(self, pixels: Tensor, text: str) -> dict[str, Tensor]:
        """What the model takes of pictures [B, C, S, S] of numbers in [0, 1] (noise may lead out of it) under one text
        each.
        """
        made = self.processor(
            images=[[picture] for picture in pixels],
            text=[text] * len(pixels),
            do_rescale=False,
            add_special_tokens=self._special(text),
            return_tensors="pt",
        )
        return {name: value for name, value in made.items() if isinstance(value, Tensor)}

    def statistics(self) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and deviation by which the model normalises its pixels, of numbers in [-1, 1]."""
        pictures = self.processor.image_processor
        if not getattr(pictures, "do_normalize", False):
            return (0.0,), (1.0,)
        return [2 * float(m) - 1 for m in pictures.image_mean], [2 * float(s) for s in pictures.image_std]
