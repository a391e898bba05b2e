"""Image-text models of transformers: the library's own tokens, rows that do not leak, pictures altered as pixels."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from holdfast.datasets.core.language import LanguageInfo
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.table import Batch
from holdfast.datasets.decoding import toy_facts, toy_scenes
from holdfast.methods.base import UnfitError
from holdfast.methods.decoding.decoder import Decoder
from holdfast.methods.decoding.greedy import Greedy
from holdfast.methods.decoding.m3id import M3id
from holdfast.methods.decoding.pictures import noised_for, pixels
from holdfast.methods.decoding.ritual import Ritual
from holdfast.methods.decoding.vcd import Vcd
from holdfast.methods.decoding.vdd import Vdd
from holdfast.methods.networks import causal_pretrained, hub
from holdfast.methods.networks import image_text_pretrained as network
from holdfast.methods.networks.branches import Branch
from holdfast.methods.networks.image_text_prompts import Prompts
from holdfast.methods.networks.language import rows_of
from torch import Tensor

from . import tiny_image_text as tiny


class Runs:
    """Code that a pickle runs when it is read."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (self.code,)


KINDS = [
    pytest.param(kind, marks=pytest.mark.skipif(not tiny.here(kind), reason="its processor needs num2words"))
    for kind in network.KINDS
]


def world(questions: Literal["exist", "ask", "caption"] = "exist") -> Source[LanguageInfo]:
    return toy_scenes.load(toy_scenes.Config(questions=questions, n_train=20, n_valid=6, n_test=9), None)


def made(folder: Path, source: Source, **options: Any) -> tuple[Source, network.PretrainedImageText]:
    config = network.Config(pretrained=str(folder), **options)
    ready = network.prepare(config, source)
    return ready, network.build(config, ready.info, 0).eval()


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, network.PretrainedImageText]:
    return made(tiny.save(tmp_path_factory.mktemp("llava"), chat=tiny.CHAT), world())


def decoder(kind: type[Decoder], net: network.PretrainedImageText, **options: Any) -> Decoder:
    """A rule over the model as it is."""
    fields: dict[str, Any] = {"lm_epochs": 0, "max_new_tokens": 8, **options}
    return kind(kind.Config(**fields), net, 0)


def asked(source: Source, rows: list[int]) -> Batch:
    """The rows without their label: a decoder then writes."""
    batch = source.splits["test"].gather(torch.tensor(rows))
    return {name: value for name, value in batch.items() if name != "label"}


def library(net: network.PretrainedImageText, source: Source[LanguageInfo], rows: list[int], picture: Tensor) -> Tensor:
    """What the library generates for the questions of a source before it was prepared, [B, up to 8]."""
    old = source.splits["test"].gather(torch.tensor(rows))["prompt"]
    texts = [net.prompts.rendered(source.info.words(row.tolist())) for row in old]
    inputs = net.prompts.processor(
        images=[[one] for one in picture],
        text=texts,
        padding=True,
        padding_side="left",
        return_tensors="pt",
        do_rescale=not picture.is_floating_point(),
        add_special_tokens=not texts[0].startswith("<s>"),
    )
    options = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": 2, "pad_token_id": 0}
    found: Tensor = net.net.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_search_is_the_library_s_and_no_row_leaks_into_another(kind: str, tmp_path: Path) -> None:
    source = world("caption" if kind == "llava" else "ask")  # questions of unequal length
    ready, net = made(tiny.save(tmp_path, kind), source)
    greedy = decoder(Greedy, net)
    rows = [0, 1, 2, 3]
    batch = asked(ready, rows)
    found = greedy.predict(batch)["tokens"]
    wanted = library(net, source, rows, (pixels(batch) + 1) / 2)
    assert torch.equal(found[:, : wanted.shape[1]], wanted)
    assert len({tuple(row) for row in found.tolist()}) > 1, "every picture would say the same"
    for row in rows:
        assert torch.equal(greedy.predict(asked(ready, [row]))["tokens"][0], found[row])


@pytest.mark.parametrize("kind", KINDS)
def test_logits_with_and_without_a_picture_are_the_library_s(kind: str, tmp_path: Path) -> None:
    ready, net = made(tiny.save(tmp_path, kind, chat=tiny.CHAT), world())
    batch = asked(ready, [0])
    tokens, mask = rows_of(batch, "prompt")
    text = net.prompts.rendered("a")
    inputs = net.prompts.inputs((pixels(batch) + 1) / 2, text)
    head = net.prompts.head
    whole = torch.cat([head[None], tokens], 1)
    given = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}
    if "mm_token_type_ids" in given:
        given["mm_token_type_ids"] = (whole == net.prompts.picture_id).to(given["mm_token_type_ids"].dtype)
    seen = net.net(input_ids=whole, attention_mask=torch.ones_like(whole), **given).logits[:, -1]
    step = net.step(tokens, mask, prefix=net.prefix(batch))
    assert torch.allclose(step.logits[:, -1], seen, atol=1e-4)
    last = net.last_step(tokens, mask, prefix=net.prefix(batch))
    assert torch.allclose(last.logits[:, -1], seen, atol=1e-4)

    bare = {name: value for name, value in batch.items() if name != "image"}
    prefix = net.prefix(bare)
    assert prefix is not None
    assert prefix.shape[1] == len(net.prompts.bare) > 0
    net.net.model.rope_deltas = None  # the library remembers the picture of the pass before
    blind = net.net(input_ids=torch.cat([net.prompts.bare[None], tokens], 1)).logits[:, -1]
    assert torch.allclose(net.step(tokens, mask, prefix=prefix).logits[:, -1], blind, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cached_step_is_the_whole_pass_and_rows_of_a_cache_can_be_chosen(kind: str, tmp_path: Path) -> None:
    ready, net = made(tiny.save(tmp_path, kind), world())
    batch = asked(ready, [0, 1])
    tokens, mask = rows_of(batch, "tokens")
    with torch.no_grad():
        whole = net.step(tokens, mask, prefix=net.prefix(batch)).logits[:, -1]
        branch = Branch(net, tokens[:, :-1], mask[:, :-1], prefix=net.prefix(batch))
        swapped = branch.select(torch.tensor([1, 0, 1]))
        branch.advance(tokens[:, -1])
        swapped.advance(tokens[[1, 0, 1], -1])
    assert torch.allclose(branch.logits, whole, atol=1e-4)
    assert torch.allclose(swapped.logits, whole[[1, 0, 1]], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_altered_picture_passes_the_vision_tower_as_pixels(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, net = made(tiny.save(tmp_path, kind), world())
    batch = asked(ready, [0, 1])
    seen: list[Tensor] = []
    whole = net.net.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("pixel_values") is not None:
            seen.append(kwargs["pixel_values"])
        return whole(*args, **kwargs)

    monkeypatch.setattr(net.net, "forward", watched)
    embeddings = []
    rules: tuple[tuple[type[Decoder], dict[str, Any]], ...]
    rules = ((Vcd, {}), (Ritual, {"views": ("vflip",)}), (Vdd, {"without": "unk"}))
    for rule, options in rules:
        seen.clear()
        method = decoder(rule, net, **options)
        (other,) = method.branches(batch)
        altered = seen[-1]
        main = method.main(batch)
        assert altered.shape == seen[-1].shape
        assert not torch.allclose(altered, seen[-1], atol=0.1)
        assert not torch.allclose(main.logits, other.logits, atol=1e-3)
        embeddings.append(altered)
    assert float(embeddings[2].flatten(1).std(1).max()) < 1, "grey is the same everywhere"
    seen.clear()
    decoder(M3id, net).branches(batch)
    assert not seen, "without a picture the tower is not asked"


def test_a_picture_of_the_model_s_own_size_is_the_library_s_from_its_bytes(tmp_path: Path) -> None:
    source = world()
    big = {
        split: copy.copy(table) for split, table in source.splits.items()
    }  # 12 pixels a side become the tower's 32, as bytes
    for split, table in big.items():
        image = torch.nn.functional.interpolate(table.dense("image").float(), tiny.SIDE).to(torch.uint8)
        big[split] = type(table)({**table.columns, "image": image})
    source = copy.copy(source)
    object.__setattr__(source, "splits", big)
    object.__setattr__(source, "info", type(source.info)(**{**vars(source.info), "image": (3, tiny.SIDE)}))
    ready, net = made(tiny.save(tmp_path), source)
    batch = asked(ready, [0, 1, 2])
    found = decoder(Greedy, net).predict(batch)["tokens"]
    wanted = library(net, source, [0, 1, 2], batch["image"])
    assert torch.equal(found[:, : wanted.shape[1]], wanted)


def test_noise_has_the_size_that_it_has_on_the_model_s_own_pixels(llava: Any) -> None:
    net = llava[1]
    x, rows = torch.zeros(2, 3, 8, 8), torch.tensor([3, 4])
    mean, deviation = net.pixel_mean, net.pixel_deviation
    assert torch.allclose((mean.flatten() + 1) / 2, torch.tensor([0.48145466, 0.4578275, 0.40821073]))  # CLIP's
    found = (noised_for(net, x, rows, 999, 0) - mean) / deviation
    assert float(found.std()) == pytest.approx(1, abs=0.1)
    assert torch.equal(noised_for(object(), x, rows, 500, 0)[1:], noised_for(object(), x[1:], rows[1:], 500, 0))


def test_a_prompt_is_the_chat_template_s_and_answers_follow_it(llava: Any) -> None:
    ready, net = llava
    prompts = net.prompts
    read = net.prompts.tokenizer.decode
    assert prompts.rendered("is it ?") == "<s>USER: <image>is it ? ASSISTANT:"
    assert read(prompts.bare) == "<s>USER: "
    row = asked(ready, [0])
    question = world().info.words(world().splits["test"].gather(torch.tensor([0]))["prompt"][0].tolist())
    assert read(row["prompt"][0, : int(row["prompt_lengths"][0])]) == f"{question} ASSISTANT:"
    answer = read(row["answer"][0])
    assert answer in (" yes</s>", " no</s>")
    assert read(row["tokens"][0, : int(row["tokens_lengths"][0])]) == f"{question} ASSISTANT:{answer}"
    assert [read([token]) for token in ready.info.yes_no] == [" No", " Yes"]
    assert ready.info.words(row["answer"][0].tolist()) == answer.removesuffix("</s>")


def test_tokens_that_frame_the_picture_go_with_it(tmp_path: Path) -> None:
    chat = tiny.CHAT.replace("IMAGE", "<|vision_start|>IMAGE<|vision_end|>")
    ready, net = made(tiny.save(tmp_path, "qwen2_vl", chat=chat), world())
    read = net.prompts.tokenizer.decode
    assert read(net.prompts.bare) == "<s>USER: "
    assert read(net.prompts.head).startswith("<s>USER: <|vision_start|><|image_pad|>")
    assert read(net.prompts.head).endswith("<|image_pad|><|vision_end|>")
    assert "vision" not in read(asked(ready, [0])["prompt"][0])


def test_the_loss_trains_what_the_picture_shows(llava: Any) -> None:
    ready, net = llava
    batch = ready.splits["train"].gather(torch.arange(4))
    loss, _ = net.loss(batch)
    loss.backward()
    towers = [p.grad for name, p in net.named_parameters() if "vision" in name and p.grad is not None]
    assert towers
    assert any(float(gradient.abs().max()) > 0 for gradient in towers)
    net.zero_grad()
    assert float(net.loss({**batch, "image": 255 - batch["image"]})[0].detach()) != float(loss.detach())


def test_a_frozen_model_is_kept_by_its_name_and_not_by_value(tmp_path: Path) -> None:
    folder, source = tiny.save(tmp_path / "model"), world()
    ready, net = made(folder, source, frozen=True)
    _, whole = made(folder, source)
    state = decoder(Greedy, net).state_dict()
    assert not [name for name in state if "net." in name]
    assert [value["name"] for name, value in state.items() if "reference" in name] == [str(folder)]
    batch = asked(ready, [0, 1])
    wanted = decoder(Greedy, whole).predict(batch)["tokens"]
    assert torch.equal(decoder(Greedy, copy.deepcopy(net)).predict(batch)["tokens"], wanted)
    again = decoder(Greedy, made(folder, source, frozen=True)[1])
    again.load_state_dict(state)
    assert torch.equal(again.predict(batch)["tokens"], wanted)
    with torch.no_grad():
        _, other = made(folder, source, frozen=True)
        next(other.net.parameters()).add_(1)
    with pytest.raises(UnfitError, match="has other weights"):
        decoder(Greedy, other).load_state_dict(state)


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    folder = tiny.save(tmp_path / "model")
    scenes, facts = world(), toy_facts.load(toy_facts.Config(n_train=50, n_valid=6, n_test=6), None)
    config = network.Config(pretrained=str(folder))
    with pytest.raises(UnfitError, match="causal_pretrained"):
        network.prepare(config, facts)
    with pytest.raises(UnfitError, match="image_text_pretrained"):
        causal_pretrained.prepare(causal_pretrained.Config(pretrained=str(folder)), scenes)
    for template, told in (("USER: {prompt}", "each stand in it once"), ("{prompt} {image}", "before {prompt}")):
        with pytest.raises(UnfitError, match=told):
            network.prepare(network.Config(pretrained=str(folder), template=template), scenes)
    with pytest.raises(UnfitError, match="begin with one token"):
        network.prepare(network.Config(pretrained=str(folder), no_yes=("Yes", "Yes it is")), scenes)
    with pytest.raises(UnfitError, match="the picture's own token"):
        Prompts(hub.processor(str(folder)), None, 12).question("is <image> there ?")

    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2)).save_pretrained(tmp_path / "gpt")
    with pytest.raises(UnfitError, match=r"kind 'gpt2'.*llava.*qwen2_5_vl"):
        network.prepare(network.Config(pretrained=str(tmp_path / "gpt")), scenes)
    (folder / "processor_config.json").unlink()
    with pytest.raises((UnfitError, FileNotFoundError), match="model"):
        network.prepare(config, scenes)
    with pytest.raises(FileNotFoundError, match=r"no readable transformers model.*model\.options\.pretrained"):
        network.prepare(network.Config(pretrained=str(tmp_path / "none")), scenes)


def test_code_of_the_model_s_own_and_pickles_are_never_run(tmp_path: Path) -> None:
    folder, witness = tiny.save(tmp_path / "model"), tmp_path / "witness"
    source = world()
    code = f"open({str(witness)!r}, 'w').close()"
    for name, kind in (("processor_config.json", "AutoProcessor"), ("config.json", "AutoConfig")):
        kept = (folder / name).read_text()
        document = {**json.loads(kept), "auto_map": {kind: "own.Own"}, "model_type": "own", "processor_class": "Own"}
        (folder / name).write_text(json.dumps(document))
        (folder / "own.py").write_text(f"{code}\nclass Own: ...")
        with pytest.raises(UnfitError, match=r"model\.options\.pretrained: .*never run"):
            network.prepare(network.Config(pretrained=str(folder)), source)
        (folder / name).write_text(kept)
    ready = network.prepare(network.Config(pretrained=str(folder)), source)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"lm_head.weight": Runs(code)}, protocol=2))
    with pytest.raises((UnfitError, FileNotFoundError)):
        network.build(network.Config(pretrained=str(folder)), ready.info, 0)
    assert not witness.exists()


@pytest.mark.parametrize(
    ("chat", "told"),
    [
        ("{{ raise_exception('no') }}", "chat template fails"),
        ("{{ messages[0]['content'][1]['text'] }}", "or the template none"),
        ("{{ messages[0]['content'][1]['text'] }}IMAGE", "cannot be cut|depends on the question"),
    ],
)
def test_a_chat_template_that_makes_no_such_prompt(chat: str, told: str, tmp_path: Path) -> None:
    folder = tiny.save(tmp_path, chat=chat)
    with pytest.raises(UnfitError, match=told):
        network.prepare(network.Config(pretrained=str(folder)), world())
    network.prepare(network.Config(pretrained=str(folder), template="{image} {prompt} :"), world())
