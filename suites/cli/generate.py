"""``suites generate``: texts after prompts of one's own, by a decoding rule."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Annotated

import typer

from .shared import output


def generate(
    target: Annotated[str, typer.Argument(metavar="RUN|MODEL")],
    prompt: Annotated[list[str], typer.Option("--prompt", help="What is continued; may be given several times.")],
    rule: Annotated[
        str | None, typer.Option("--rule", help="A method of decoding (default: the run's, of a model greedy).")
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", help="Text before the prompts; a contrast is made with and without it.")
    ] = None,
    neutral: Annotated[
        str | None, typer.Option("--neutral", help="Prompt of the contrasted pass (default: without the context).")
    ] = None,
    image: Annotated[Path | None, typer.Option("--image", help="A picture, for a model that reads one.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A field of the rule, alpha=0.5; may be given several times.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all draws.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="A JSON line a prompt, with costs and settings.")] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Where runs lie (default: HOLDFAST_RUNS, else ./runs).")
    ] = None,
) -> None:
    """Texts by a decoding rule. Example: suites generate RUN --rule cad --context "..." --prompt "..."

    From the language model of a run of a decoding suite, or a causal model of transformers (a folder or a hub name).
    """
    from .. import api

    documents = api.generate(
        target,
        prompt,
        rule=rule,
        context=context,
        neutral=neutral,
        image=image,
        settings=settings or [],
        seed=seed,
        out=runs,
    )
    if json:
        output().write("".join(json_.dumps(document, ensure_ascii=False) + "\n" for document in documents))
    else:
        output().write("".join(f"{document['prompt']} -> {document['text']}\n" for document in documents))
