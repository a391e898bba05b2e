"""Options of a problem (``evaluate.options``): checked with the recipe, shown, and followed by the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from holdfast.analysis.problems import text_features
from holdfast.suites import api
from holdfast.suites.config import catalog, registry
from holdfast.suites.config.errors import Fault
from holdfast.suites.reports import fields

SUITE = "simctg_toystories"


def resolved(suite: str, *overrides: str) -> None:
    catalog.resolve(catalog.recipe(suite, "smoke", list(overrides)))


@pytest.mark.parametrize(
    ("suite", "override", "message"),
    [
        (SUITE, "text_distanc=mauve", "evaluate.options.text_distanc: no such field - did you mean 'text_distance'"),
        (SUITE, "text_distance=near", "evaluate.options.text_distance: "),
        (SUITE, "mauve_rows=1", "evaluate.options.mauve_rows: "),
        ("lqcd_toyscenes", "text_distance=frechet", "evaluate.options.text_distance: no such field"),
        ("split_digits", "anything=1", "evaluate.options.anything: no such field"),
    ],
)
def test_an_option_that_the_problem_does_not_have_is_refused(suite: str, override: str, message: str) -> None:
    with pytest.raises(Fault, match=message) as error:
        resolved(suite, f"evaluate.options.{override}")
    assert error.value.exit_code == 2


def test_what_an_option_needs_is_refused_with_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_features, "find_spec", lambda name: None if name == "mauve" else True)
    with pytest.raises(Fault, match=r"evaluate.options.text_distance: .* pip install 'holdfast\[mauve\]'") as error:
        resolved(SUITE, "evaluate.options.text_distance=mauve")
    assert error.value.exit_code == 2
    resolved(SUITE, "evaluate.options.text_distance=frechet")
    resolved(SUITE)


def test_every_problem_s_options_have_defaults_and_are_shown() -> None:
    assert all(registry.problem(entry.name).Config() for entry in registry.entries("problems"))
    recipe = catalog.recipe(SUITE, "smoke", ["evaluate.options.mauve_rows=7"])
    shown = fields.of_sections(recipe, {})["evaluate.options"]
    assert shown["mauve_rows"]["value"] == 7
    assert shown["text_distance"]["value"] == "none"
    assert "options" not in fields.of_sections(recipe, {})["evaluate"]
    assert fields.of_sections(catalog.recipe("split_digits", "smoke"), {})["evaluate.options"] == {}


def test_a_run_measures_what_was_asked_and_nothing_else_changes(tmp_path: Path) -> None:
    def summary(**options: Any) -> dict[str, float]:
        overrides = {"evaluate.options": options} if options else {}
        results = api.run(SUITE, methods=["greedy"], profile="smoke", overrides=overrides, out=tmp_path)
        found: dict[str, float] = json.loads((results.folders[0] / "summary.json").read_text())
        return {name: value for name, value in found.items() if "seconds" not in name}

    plain, asked = summary(), summary(text_distance="frechet", text_features="words")
    new = set(asked) - set(plain)
    assert new == {f"{split}frechet/{way}" for split in ("", "valid/") for way in ("average", "last")}
    assert all(asked[name] > 0 for name in new)
    assert {name: asked[name] for name in plain} == plain


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of two layers with a tokenizer of bytes and their pairs, in a folder."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    import torch

    folder = tmp_path_factory.mktemp("model")
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    texts = [f"name{k} verb{k}_{k} the noun{k}_{k} . report :" for k in range(4)]
    tokenizer.train_from_iterator(texts, vocab_size=300, special_tokens=["<s>", "</s>"], show_progress=False)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, bos_token="<s>", eos_token="</s>"
    )
    fast.save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"vocab_size": len(fast), "n_positions": 400, "n_embd": 16, "n_layer": 2, "n_head": 2}
        config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=1)
        transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_a_pretrained_model_s_texts_are_compared_and_its_layers_measured(pretrained: Path, tmp_path: Path) -> None:
    overrides = [
        "model.name=causal_pretrained",
        f"model.options={{pretrained: {pretrained}}}",
        "methods.*.lm_epochs=0",
        "methods.*.isotropy=true",
        "evaluate.options.text_distance=frechet",
    ]
    results = api.run(SUITE, methods=["greedy"], profile="smoke", overrides=overrides, out=tmp_path)
    found = json.loads((results.folders[0] / "summary.json").read_text())
    layers = [found[f"isotropy/{k}/last"] for k in range(3)]
    assert len(set(layers)) == 3
    assert found["isotropy/last"] == layers[-1]
    assert "isotropy/3/last" not in found
    assert (results.folders[0] / "plots" / "isotropy.png").is_file()
    assert found["frechet/last"] > 0.1  # an untrained model
