"""A suite of the family peft through the command line's own functions: a run, its export, and what it says of texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from holdfast.suites import api
from holdfast.suites.api import load_run

SMALL = ["data.options.rows=40", "data.options.shots=8", "train.epochs=1"]


@pytest.mark.slow  # transformers and peft take ten seconds to import
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_run_trains_exports_its_adapter_and_says_the_class_of_texts(tmp_path: Path) -> None:
    import peft
    from holdfast.methods.networks.backbones import tiny_model

    results = api.run("peft_text", methods=["prefix_eda_contrast"], profile="smoke", overrides=SMALL, out=tmp_path)
    (folder,) = [path.parent for path in Path(results.path).rglob("summary.json")]
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert {"accuracy/last", "macro_f1/last", "eda_30/accuracy/last", "robustness/last"} <= summary.keys()
    assert summary["cost/trained_parameters"] == 8 * 2 * 2 * 32 + 66
    assert {path.name for path in (folder / "export").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "head.safetensors",
    }
    assert peft.PeftModel.from_pretrained(tiny_model(), str(folder / "export")).active_adapter == "default"
    texts = tmp_path / "texts.txt"
    texts.write_text("the film is great\nnot a good plot\n", encoding="utf-8")
    found = list(load_run(folder).documents([texts]))
    assert [(each["line"], each["class"] in ("negative", "positive")) for each in found] == [(1, True), (2, True)]


@pytest.mark.slow  # as above
def test_the_world_s_sentences_are_recognised_augmented_and_evaluated_at_a_word_error_rate(tmp_path: Path) -> None:
    small = ["data.options.text=recognised", "data.options.word_error_rate=0.1", "train.epochs=1"]
    results = api.run("peft_world", methods=["prefix_errors"], profile="smoke", overrides=small, out=tmp_path)
    (run,) = results.runs
    assert {"accuracy/last", "wer_30/accuracy/last", "robustness/last"} <= run["metrics"].keys()
    facts = json.loads((Path(results.path) / "invocation.json").read_text(encoding="utf-8"))["data"]
    assert facts["rows"] == {"train": 72, "valid": 12, "test": 36, "wer_30": 36}
    assert facts["drawn"] == {"train": 24}  # of each an original, altered words, errors
