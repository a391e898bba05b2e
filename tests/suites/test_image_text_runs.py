"""The rules for pictures over an image-text model of transformers, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.suites import api
from PIL import Image

from ..methods.networks import tiny_image_text as tiny
from .process import CommandLine

LM = "methods.*.lm_epochs=0"
SUITES = {  # rules by the suite that compares them
    "debias_toyscenes": ("greedy", "posthoc_debias", "posthoc_unk", "vdd", "vdd_unk", "vdd_both"),
    "ritual_toyscenes": ("sampling", "ritual", "ritual_identity", "vcd", "m3id"),
    "captions_toyscenes": ("greedy", "vcd", "vdd", "m3id", "ritual"),
    "lqcd_toyscenes": ("neutral", "lqcd", "vcd"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("model"), chat=tiny.CHAT)


@pytest.fixture
def out(tmp_path: Path, empty_store: Path) -> Path:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


def asked(suite: str, model: Path, *overrides: str) -> tuple[str, ...]:
    named = ("model.name=image_text_pretrained", f"model.options.pretrained={model}")
    return ("run", suite, "--profile", "smoke", *named, *overrides)


def summaries(out: Path, suite: str) -> dict[str, dict[str, Any]]:
    """The summary of each method's run."""
    runs = [path for path in out.glob(f"{suite}-*/**/summary.json") if "-s" in path.parent.name]
    return {path.parent.name.rpartition("-s")[0]: json.loads(path.read_text()) for path in runs}


@pytest.mark.parametrize("suite", SUITES)
def test_every_rule_for_pictures_runs_on_a_model_of_the_library(
    suite: str, model: Path, out: Path, cli: CommandLine
) -> None:
    methods = [text for name in SUITES[suite] for text in ("--method", name)]
    cli(*asked(suite, model, LM, *methods), out=out)
    found = summaries(out, suite)
    assert set(found) == set(SUITES[suite])
    (folder,) = [f for f in out.glob(f"{suite}-*") if f.is_dir()]
    runs = api.results(folder)
    assert len(runs.folders) == len(SUITES[suite])
    loaded: Any = api.load_run(next(f for f in runs.folders if f.name.startswith(SUITES[suite][0])))
    batch = loaded.data.splits["test"].gather(torch.arange(3))
    told = loaded.method.predict(batch)
    again = loaded.method.predict({name: value[:1] for name, value in batch.items()})
    for name in told:
        assert torch.allclose(told[name][:1].double(), again[name].double(), atol=1e-5), "a row depends on others"


def test_the_language_model_is_trained_once_and_taken_from_the_cache(model: Path, out: Path, cli: CommandLine) -> None:
    arguments = asked("debias_toyscenes", model, "--method", "greedy", "--method", "vdd")
    cli(*arguments, out=out, HOLDFAST_CACHE=str(out / "cache"))
    kinds = [json.loads(path.read_text()) for path in (out / "cache").rglob("manifest.json")]
    assert sum("language model" in str(key) for key in kinds) == 1


def test_questions_and_captions_of_ones_own_images(model: Path, out: Path, cli: CommandLine) -> None:
    root = out / "data"
    (root / "images").mkdir(parents=True)
    questions, captions = [], []
    for n in range(4):
        pixels = np.random.default_rng(n).integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{n}.png")
        questions.append({"image": f"{n}.png", "text": "Is there a dog?", "label": ("yes", "no")[n % 2]})
        captions.append({"image": f"{n}.png", "objects": ["square", "red disc"]})
    (root / "coco_pope_random.json").write_text("\n".join(map(json.dumps, questions)))
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, captions)))
    own = ("--data-root", str(root), LM, "data.options.size=32")
    pope = (*own, "data.options.files=[coco_pope_random.json]", "--method", "vdd")
    done = cli(*asked("questions_images", model, *pope), out=out)
    assert "lm_epochs=0" in done.stderr + done.stdout, "that nothing may be trained on the test's row"
    assert "vdd" in summaries(out, "questions_images")
    cli(*asked("captions_images", model, *own, "--method", "ritual"), out=out)
    assert "ritual" in summaries(out, "captions_images")
    frozen = ("model.options.frozen=true", "--method", "vcd_greedy")
    cli(*asked("questions_images", model, *pope[:-2], *frozen), out=out)
    (run,) = [path for path in out.glob("questions_images-*/vcd_greedy-s0") if path.is_dir()]
    held = max(path.stat().st_size for path in (run / "checkpoint").iterdir())
    assert held < (model / "model.safetensors").stat().st_size / 2, "the weights are not in the checkpoint"
    loaded: Any = api.load_run(run)
    with pytest.warns(UserWarning, match="no rows for train and valid"):
        table = loaded.data.splits["test"]
    assert loaded.method.predict(table.gather(torch.tensor([0])))["label"].shape == (1,)
    for method in ("vcd", "lm"):
        arguments = asked("questions_images", model, "model.options.frozen=true", "--method", method)
        assert "methods.*.lm_epochs=0" in cli(*arguments, out=out, code=2).stderr
    done = cli.here(*asked("questions_images", model, *own, "--method", "vdd"), out=out, code=3)
    assert "questions.jsonl: missing" in done.stderr


def test_a_rule_on_a_picture_and_a_prompt_of_ones_own(model: Path, out: Path, cli: CommandLine) -> None:
    picture = out / "x.png"
    pixels = np.random.default_rng(0).integers(0, 255, (tiny.SIDE, tiny.SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(picture)
    settings = {"max_new_tokens": 6}
    (greedy,) = api.generate(model, "is it ?", image=picture, settings=settings)
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor, net = AutoProcessor.from_pretrained(model), AutoModelForImageTextToText.from_pretrained(model)
    text = f"<s>USER: {processor.image_token}is it ? ASSISTANT:"
    inputs = processor(images=[Image.open(picture)], text=text, return_tensors="pt", add_special_tokens=False)
    ids = net.generate(**inputs, max_new_tokens=6, do_sample=False, eos_token_id=2, pad_token_id=0)
    said = ids[0, inputs["input_ids"].shape[1] :]
    assert greedy["text"] == processor.tokenizer.decode(said, skip_special_tokens=True)
    (vcd,) = api.generate(model, "is it ?", rule="vcd", image=picture, settings=settings)
    assert vcd["forwards"] == 2 * (vcd["tokens"] + vcd["ended"])
    (blind,) = api.generate(model, "is it ?", settings=settings)
    assert blind["logprob"] != greedy["logprob"]
    refused = cli.here("generate", str(model), "--rule", "vcd", "--prompt", "is it ?", out=out, code=2)
    assert "contrasts pictures" in refused.stderr
    refused = cli.here("generate", str(model), "--prompt", "<image> ?", "--image", str(picture), out=out, code=2)
    assert "the picture's own token" in refused.stderr


def test_what_does_not_fit_is_refused_before_anything_runs(model: Path, out: Path, cli: CommandLine) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2)).save_pretrained(out / "gpt")
    done = cli.here(*asked("debias_toyscenes", out / "gpt", LM), out=out, code=2)
    assert "kind 'gpt2'" in done.stderr
    assert "llava" in done.stderr
    done = cli.here(*asked("lol_toyfacts", model, LM), out=out, code=2)
    assert "causal_pretrained" in done.stderr
    causal = ("model.name=causal_pretrained", f"model.options.pretrained={model}")
    done = cli.here("run", "debias_toyscenes", "--profile", "smoke", *causal, out=out, code=2)
    assert "image_text_pretrained" in done.stderr
    done = cli.here(*asked("debias_toyscenes", model, "model.options.template='{prompt}'"), out=out, code=2)
    assert "{image}" in done.stderr
    assert not [path for path in out.glob("debias_toyscenes-*") if any(path.rglob("checkpoint*"))]


def test_a_network_named_by_an_override_takes_no_options_of_the_recipe_s(out: Path, cli: CommandLine) -> None:
    """The recipe's network has patches of 6 pixels; another network is told its own options in any order."""
    shown = cli.here(
        "show", "debias_toyscenes", "--all", "model.options.pretrained=a/b", "model.name=image_text_pretrained", out=out
    ).stdout
    assert "pretrained: a/b" in shown
    assert "patch" not in shown
    same = cli.here("show", "debias_toyscenes", "--all", "model.name=causal", out=out).stdout
    assert "patch: 6" in same
