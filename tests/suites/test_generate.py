"""``suites generate``: texts of a run's language model by several rules, of a local pretrained model, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from holdfast.suites import api
from holdfast.suites.config.errors import Fault

from .process import CommandLine

RECIPE = """
schema: 2
name: facts_here
family: decoding
title: facts in contexts, small
problem: generation
data: {name: toy_facts, experiences: 1, options: {entities: 4, relations: 1, values: 6, n_train: 400, n_false: 8,
  n_valid: 3, n_test: 9}}
model: {name: causal, options: {width: 32, layers: 2, heads: 2, feedforward: 32}}
methods:
  "*": {lm_epochs: 6, max_new_tokens: 4}
  greedy: {}
  cad: {}
defaults: [greedy]
train: {epochs: 1, batch_size: 16, threads: 1}
profiles: {smoke: {}, demo: {}, paper: {}}
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("generate")
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def run(out: Path) -> Path:
    recipe = out / "facts_here.yaml"
    recipe.write_text(RECIPE)
    return api.run(str(recipe), profile="smoke", out=out).folders[0]


def question(run: Path, row: int = 0) -> tuple[str, str, str]:
    """Context, question and right answer of a test row in conflict."""
    import torch

    source: Any = api.load_run(run).data
    batch = source.splits["test"].gather(torch.tensor([row]))
    prompt, answer = (source.info.words(batch[name][0].tolist()) for name in ("prompt", "answer"))
    context, asked = prompt.split(" ; ")
    return f"{context} ;", asked, answer


def test_the_run_answers_as_it_did_in_its_evaluation(run: Path) -> None:
    import torch

    context, asked, _ = question(run)
    (found,) = api.generate(run, asked, context=context)
    trained: Any = api.load_run(run)
    batch = trained.data.splits["test"].gather(torch.tensor([0]))
    tokens = trained.method.predict(batch)["tokens"][0].tolist()
    assert found["text"] == trained.data.info.words(tokens)
    assert found["rule"] == "greedy"
    assert found["context"] == context
    assert found["ended"] == (2 in tokens)
    assert found["forwards"] == found["tokens"] + found["ended"]


def test_rules_differ_by_what_they_contrast(run: Path) -> None:
    context, asked, _ = question(run)
    (plain,) = api.generate(run, asked, rule="cad", context=context, settings={"alpha": 0.0})
    (greedy,) = api.generate(run, asked, context=context)
    (cad,) = api.generate(run, asked, rule="cad", context=context, settings=["alpha=1.5"])
    assert plain["text"] == greedy["text"]
    assert plain["settings"]["alpha"] == 0
    assert cad["settings"] == {"alpha": 1.5, "max_new_tokens": 4}
    assert cad["forwards"] == 2 * (cad["tokens"] + cad["ended"])
    # what is away from the neutral pass: the same prompt on both sides leaves the plain model
    (same,) = api.generate(run, asked, rule="cad", context=context, neutral=f"{context} {asked}")
    assert same["text"] == greedy["text"]
    draws = [api.generate(run, [asked] * 6, rule="sampling", settings=["temperature=3.0"], seed=s) for s in (0, 0, 1)]
    texts = [[document["text"] for document in documents] for documents in draws]
    assert texts[0] == texts[1] != texts[2]
    assert len(set(texts[0])) > 1


def test_on_the_command_line(run: Path, out: Path, cli: CommandLine) -> None:
    context, asked, _ = question(run)
    arguments = ("generate", str(run), "--rule", "adacad", "--context", context, "--prompt", asked)
    found = json.loads(cli.here(*arguments, "--json", out=out).stdout)
    assert found["rule"] == "adacad"
    assert found["seconds"] > 0
    assert cli.here(*arguments, out=out).stdout == f"{asked} -> {found['text']}\n"


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of two layers with a tokenizer of whole words, in a folder."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    import torch

    words = ["<s>", "</s>", "<unk>", *"abcdefgh"]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("model")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            vocab_size=len(words), n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=1
        )
        transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_a_pretrained_model_is_decoded_as_the_library_does(pretrained: Path) -> None:
    import torch
    import transformers

    (found,) = api.generate(pretrained, "a b c", settings={"max_new_tokens": 8})
    model = transformers.AutoModelForCausalLM.from_pretrained(pretrained)
    tokenizer = transformers.AutoTokenizer.from_pretrained(pretrained)
    ids = torch.tensor([[0, *tokenizer("a b c", add_special_tokens=False)["input_ids"]]])
    whole = model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=1)[0, ids.shape[1] :].tolist()
    kept = whole[: whole.index(1)] if 1 in whole else whole
    assert found["text"] == tokenizer.decode(kept, skip_special_tokens=True)
    assert found["tokens"] == len(kept)
    (contrast,) = api.generate(pretrained, "a b", rule="adacad", context="c d e", settings={"max_new_tokens": 3})
    assert contrast["forwards"] == 2 * (contrast["tokens"] + contrast["ended"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "cat"}, "no such rule: cat"),
        ({"rule": "cad"}, "both are the same here"),
        ({"rule": "icd", "context": "q"}, "has weights or texts of its own"),
        ({"rule": "awrs"}, "needs data with a constraint"),
        ({"settings": ["alpha=1"]}, "alpha: Extra inputs are not permitted"),
        ({"settings": ["alpha"]}, "'alpha' is no setting"),
        ({"image": "x.png"}, "reads no pictures"),
        ({"prompts": "what is this"}, "does not know the word 'what'"),
        ({"prompts": []}, "there is no prompt"),
    ],
)
def test_what_does_not_fit_is_one_message(run: Path, options: dict[str, Any], message: str) -> None:
    arguments = {"prompts": "q ent1 rel0 ?", **options}
    with pytest.raises(Fault) as caught:
        api.generate(run, arguments.pop("prompts"), **arguments)
    assert message in caught.value.what
    assert caught.value.code == "usage"
    assert caught.value.next


@pytest.mark.parametrize("target", ["no/such", "nothing"])
def test_a_target_that_is_neither_run_nor_model(out: Path, target: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Fault) as caught:
        api.generate(target, "a", out=out)
    assert caught.value.code in ("usage", "data")
