"""Texts after prompts of one's own, by a decoding rule: from the language model of a run, or a pretrained one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import registry
from ..config.documents import parsed
from ..config.errors import Fault
from .asked import out_of

if TYPE_CHECKING:
    from torch import nn

    from ...datasets.core.language import LanguageInfo
    from ...datasets.core.table import Batch
    from ...methods.base import Method
    from .loading import TrainedRun

FAMILY = "decoding"
NEW_TOKENS = 40  # of a pretrained model, where nobody says how many


@dataclass(frozen=True)
class Writer:
    """A language model and how texts become its tokens. ``method``: the decoder of the run, None without a run;
    ``tokenizer``: of ``transformers``, None where a token is a word; ``fit``: how a picture is brought to its size
    (:class:`~holdfast.datasets.core.inputs.ImageInputs`).
    """

    name: str
    model: nn.Module
    info: LanguageInfo
    tokenizer: Any = None
    method: Method | None = None
    fit: Any = "stretch"

    def asked(self, text: str) -> list[int]:
        """Tokens of a prompt: what follows the picture in the model's form of a question where it has one, else the
        begin token and the text. Raises Fault as :meth:`tokens`, and for a text that has a picture's own token.
        """
        from ...methods.base import UnfitError

        prompts: Any = getattr(self.model, "prompts", None)
        if prompts is None:
            return [self.info.bos, *self.tokens(text)]
        try:
            return list(prompts.question(text))
        except UnfitError as error:
            raise Fault.usage(str(error), "--prompt", "--prompt with another text") from error

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text. Raises Fault for a word that the model does not know."""
        if self.tokenizer is not None:
            return [int(t) for t in self.tokenizer(text, add_special_tokens=False)["input_ids"]]
        try:
            return self.info.tokens(text)
        except KeyError as error:
            known = self.info.vocabulary[3:]
            some = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
            raise Fault.usage(f"the model does not know the word {error}", "--prompt", f"its words: {some}") from error

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as a text."""
        if self.tokenizer is None:
            return self.info.words(list(tokens))
        found: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return found


def generate(
    target: str | Path,
    prompts: str | Sequence[str],
    *,
    rule: str | None = None,
    context: str | None = None,
    neutral: str | None = None,
    image: str | Path | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    seed: int = 0,
    out: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Continue prompts by a decoding rule.

    Args:
        target: a run of a decoding suite (a path, a name under ``out``, or ``last``), or a causal language model of
            ``transformers`` (a folder or a hub name).
        prompts: one or several; each gets the same context.
        rule: a method of ``decoding``; None: that of the run, of a model ``greedy``.
        context: text before every prompt; rules that contrast run a second pass without it.
        neutral: the prompt of that second pass; None: the prompt without its context.
        image: a picture, for a model that reads one.
        settings: fields of the rule's Config, as a mapping or ``alpha=0.5`` each.
        seed: of all draws.

    Returns:
        A document a prompt: ``prompt``, ``context``, ``rule``, ``settings`` that differ from the rule's defaults,
        ``text``, ``tokens``, ``ended``, what the rule says beside (``forwards``, ``logprob``, ...), ``seconds``.

    Raises Fault for a target that is neither, an unknown rule, field or word, and a rule that lacks what it contrasts.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not texts:
        raise Fault.usage("there is no prompt", "--prompt", "--prompt TEXT, several times for several texts")
    if rule is not None:
        _named(rule)
    writer = writer_of(target, out)
    method = decoder_of(writer, rule, _fields(settings), seed)
    picture = _picture(writer, image)
    _check_contrast(method, context, neutral, picture is not None)
    found = []
    for number, text in enumerate(texts):
        batch = batch_of(writer, text, context, neutral, number)
        if picture is not None:
            batch["image"] = picture
        found.append({"prompt": text, **_written(writer, method, batch, context)})
    return found


def writer_of(target: str | Path, out: str | Path | None = None) -> Writer:
    """The language model of a run or of ``transformers``. Raises Fault for a run of another kind, and where there is
    neither.
    """
    from .loading import TrainedRun, folder_of

    folder = Path(target)
    if not (folder / "config.json").is_file():
        try:
            return _of_run(TrainedRun(folder_of(str(target), out_of(out), "suites generate {} --prompt TEXT")))
        except Fault as fault:
            if folder.exists() or str(target) == "last" or str(target).count("/") != 1 or "holds" in fault.what:
                raise
    return _pretrained(str(target))


def _of_run(run: TrainedRun) -> Writer:
    from ...datasets.core.language import LanguageInfo

    kind = registry.kind_of(run.recipe, run.state["method"])
    if kind.__module__.split(".")[-2] != FAMILY:
        what = f"the method '{run.state['method']}' of this run writes no texts"
        raise Fault.usage(what, str(run.folder), f"name a run of a suite of the family {FAMILY}")
    info = run.facts.info
    if not isinstance(info, LanguageInfo):
        raise Fault.usage("the data of this run holds no texts", str(run.folder), "name a run of a decoding suite")
    tokenizer = None
    if "pretrained" in run.recipe.model.options:
        tokenizer = _tokenizer(run.recipe.model.options["pretrained"], run.recipe.model.options.get("revision"))
    data = registry.dataset(run.recipe.data.name, run.recipe.family)
    fit = getattr(data.Config(**run.recipe.data.options), "fit", "stretch")
    return Writer(str(run.folder), run.method.model, info, tokenizer, run.method, fit)


def _pretrained(name: str) -> Writer:
    from ...datasets.core.language import LanguageInfo
    from ...methods.networks import causal_pretrained, image_text_pretrained
    from ...methods.networks.retokenised import ends_of, info_of

    with _unfound(name):
        pictured = image_text_pretrained.reads(name)
    if pictured:
        with _unfound(name):
            reader, tokens = image_text_pretrained.alone(image_text_pretrained.Config(pretrained=name))
        return Writer(name, reader.eval(), reader.info, tokens, fit="pad")
    tokenizer = _tokenizer(name, None)
    if tokenizer.eos_token_id is None:
        raise Fault.usage(f"the tokenizer of '{name}' has no end token", name, "name another model")
    info = info_of(LanguageInfo(vocabulary=(), longest=0), tokenizer, ends_of(tokenizer, name))
    with _unfound(name):
        model = causal_pretrained.build(causal_pretrained.Config(pretrained=name), info, 0)
    return Writer(name, model.eval(), info, tokenizer)


def _tokenizer(name: str, revision: str | None) -> Any:
    from ...methods.networks import hub

    with _unfound(name):
        return hub.tokenizer(name, revision, hub.PRETRAINED)


class _unfound:  # noqa: N801  a context manager
    """What libraries say of a model that is not there, as one message."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from ...methods.base import UnfitError

        if isinstance(error, ModuleNotFoundError):
            raise Fault.usage(str(error), self.name, "pip install 'holdfast[text]'") from error
        if isinstance(error, OSError | UnfitError | ValueError | KeyError):
            reason = next(iter(str(error).splitlines()), "")
            what = f"there is no such run, and no language model of that name: {reason}"
            raise Fault.usage(what, self.name, "name a run (suites runs list), or a folder or hub name") from error


def _named(rule: str) -> type[Method]:
    full = rule if "/" in rule else f"{FAMILY}/{rule}"
    known = sorted(e.name for e in registry.entries("methods") if e.name.startswith(f"{FAMILY}/"))
    if full not in known:
        names = ", ".join(name.partition("/")[2] for name in known)
        raise Fault.usage(f"no such rule: {rule}", "--rule", f"--rule with one of {names}")
    kind: type[Method] = registry.method(full)
    return kind


def _fields(settings: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """``alpha=0.5`` each, values as in YAML. Raises Fault for anything without a name and a value."""
    if isinstance(settings, Mapping):
        return dict(settings)
    import yaml

    found = {}
    for text in settings:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise Fault.usage(f"'{text}' is no setting", "--set", "--set alpha=0.5")
        try:
            found[name] = parsed(value)
        except yaml.YAMLError as error:
            raise Fault.usage(
                f"'{text}' is no setting: its value cannot be read", "--set", "--set alpha=0.5"
            ) from error
    return found


def decoder_of(writer: Writer, rule: str | None, settings: Mapping[str, Any], seed: int) -> Method:
    """The rule over the writer's model. The run's own rule keeps what it has fitted; another one must have nothing of
    its own to fit. Raises Fault.
    """
    import torch
    from pydantic import ValidationError

    from ...methods.base import UnfitError
    from ...methods.decoding.decoder import Decoder

    own = writer.method
    kind = _named(rule) if rule is not None else type(own) if own is not None else _named("greedy")
    base: dict[str, Any] = {}
    if own is not None and isinstance(own, kind):
        base = own.config.model_dump()
    elif own is not None:
        base = {"max_new_tokens": own.config.max_new_tokens}  # type: ignore[attr-defined]
    else:
        base = {"max_new_tokens": NEW_TOKENS}
    try:
        config = kind.Config(**{**base, **settings, "lm_epochs": 0})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        fields = ", ".join(name for name in kind.Config.model_fields if not name.startswith("lm_"))
        raise Fault.usage(f"{where}: {first['msg']}", "--set", f"fields of {kind.name}: {fields}") from error
    method = kind(config, writer.model, seed)
    if own is not None and isinstance(own, kind):
        method.load_state_dict(own.state_dict())
    elif not issubclass(kind, Decoder) or kind.fit_rows is not Decoder.fit_rows:
        what = f"the rule '{kind.name}' has weights or texts of its own, which are fitted to training texts"
        raise Fault.usage(what, "--rule", f"name a run of {kind.name}, or another rule")
    method.fitted["draw_seed"] = torch.tensor(seed)  # type: ignore[operator,index]
    try:
        if hasattr(method, "constraint"):
            method.constraint()  # type: ignore[operator]
    except UnfitError as error:
        raise Fault.usage(str(error), "--rule", "--rule with another one") from error
    return method.eval()


def _check_contrast(method: Method, context: str | None, neutral: str | None, image: bool) -> None:
    """Raise Fault where a rule lacks what it contrasts with: it would be the plain model."""
    columns = type(method).requires.columns
    if "neutral" in columns and context is None and neutral is None:
        what = f"the rule '{method.name}' contrasts the prompt with one without context, and both are the same here"
        raise Fault.usage(what, "--context", "--context TEXT before the prompt, or --neutral TEXT in its place")
    if "image" in columns and not image:
        raise Fault.usage(f"the rule '{method.name}' contrasts pictures", "--image", "--image FILE")


def _picture(writer: Writer, image: str | Path | None) -> Any:
    """The picture as a batch of one, bytes [1, C, S, S]; None without one. Raises Fault."""
    if image is None:
        return None
    import torch

    from ...datasets.core.errors import DataError
    from ...datasets.core.inputs import ImageInputs
    from ...datasets.readers.images import fitted

    if writer.info.image is None:
        raise Fault.usage("this model reads no pictures", "--image", "leave --image out")
    try:
        pixels = fitted(Path(image), ImageInputs(column="image", size=writer.info.image[1], fit=writer.fit))
    except (DataError, OSError) as error:
        raise Fault.data(f"the picture cannot be read: {error}", str(image), "name a PNG or JPEG file") from error
    return torch.tensor(pixels).movedim(-1, 0)[None].contiguous()


def batch_of(writer: Writer, prompt: str, context: str | None, neutral: str | None, number: int) -> Batch:
    """A batch of one prompt, with the columns that decoders read."""
    import torch

    from ...datasets.core.table import Ragged, Table
    from .build import batch_of as gathered

    between = "\n" if writer.tokenizer is not None else " "
    whole = prompt if context is None else f"{context}{between}{prompt}"
    rows = {"prompt": writer.asked(whole), "neutral": writer.asked(neutral or prompt)}
    rows["tokens"] = rows["prompt"]
    columns = {name: Ragged.from_list([torch.tensor(row)]) for name, row in rows.items()}
    batch: Batch = gathered(Table(columns), [0])
    batch["index"] = torch.tensor([number])  # draws of one prompt are not those of the next
    return batch


def _written(writer: Writer, method: Method, batch: Batch, context: str | None) -> dict[str, Any]:
    begun = time.perf_counter()
    outputs = method.predict(batch)
    seconds = time.perf_counter() - begun
    tokens = outputs["tokens"][0].tolist()
    ended = writer.info.eos in tokens
    kept = tokens[: tokens.index(writer.info.eos)] if ended else [t for t in tokens if t != writer.info.pad]
    more = {
        name: value[0].item()
        for name, value in outputs.items()
        if name != "tokens" and value.dim() == 1 and not name.startswith("cosine")
    }
    plain = type(method).Config()
    changed = {name: value for name, value in method.config if value != getattr(plain, name) and name[:3] != "lm_"}
    return {
        **({} if context is None else {"context": context}),
        "rule": method.name,
        "settings": changed,
        "text": writer.text(kept),
        "tokens": len(kept),
        "ended": ended,
        **more,
        "seconds": seconds,
    }
