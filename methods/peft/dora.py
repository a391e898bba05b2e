"""DoRA: LoRA for the direction of a weight's rows, and their lengths trained apart (arXiv 2402.09353)."""

from __future__ import annotations

from typing import ClassVar, Literal

from .lora import LoRA


class DoRA(LoRA):
    """W + s B A with rows brought to trained lengths."""

    name: ClassVar[str] = "dora"
    summary: ClassVar[str] = "DoRA: LoRA with trained lengths of the rows"
    form: ClassVar[Literal["lora", "dora", "vera"]] = "dora"


METHOD = DoRA
