"""Image-text models of a few thousand weights, made from configs, as folders that ``transformers`` has saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

SIDE, PATCH = 32, 8  # of the vision towers
TEXTS = ("is there a square ? Yes", "USER: ASSISTANT: No", " Yes No yes no", "caption : a red disc and a blue ring") * 3
LANGUAGE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
TOWER = {"hidden_size": 12, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
CHAT = (  # of the form that hub models bring
    "{{ bos_token }}{% for message in messages %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    " ASSISTANT:{% endfor %}"
)


def tokenizer(special: Sequence[str], named: Mapping[str, str] | None = None) -> Any:
    """Byte pairs of a few texts; ``special``: tokens of the model's own, ``named``: those with a name."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=["<pad>", "<s>", "</s>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    ends = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, extra_special_tokens=named or list(special), **ends)


def _language(tokens: Any, **more: Any) -> dict[str, Any]:
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    sizes = {"vocab_size": len(tokens), "num_key_value_heads": 1, "max_position_embeddings": 512}
    return {**LANGUAGE, **sizes, **ends, **more}


def _number(tokens: Any) -> Callable[[str], int]:
    return tokens.convert_tokens_to_ids


def _llava(kind: str = "Llava") -> tuple[Any, Any]:
    import transformers as tr

    tokens = tokenizer(["<image>"])
    tower = tr.CLIPVisionConfig(**TOWER, image_size=SIDE, patch_size=PATCH)
    more: dict[str, Any] = {}
    crop = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    if kind == "LlavaNext":
        more = {"image_grid_pinpoints": [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]}
    if kind == "VipLlava":
        more = {"vision_feature_layers": [-2, -1]}
    config = getattr(tr, f"{kind}Config")(
        vision_config=tower,
        text_config=tr.LlamaConfig(**_language(tokens)),
        image_token_id=_number(tokens)("<image>"),
        **more,
    )
    pictures = tr.LlavaNextImageProcessor(**crop, **more) if kind == "LlavaNext" else tr.CLIPImageProcessor(**crop)
    form = {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    processor = tr.LlavaNextProcessor if kind == "LlavaNext" else tr.LlavaProcessor
    return config, processor(pictures, tokens, **form)


def _llava_onevision() -> tuple[Any, Any]:
    import transformers as tr

    tokens = tokenizer(["<image>", "<video>"])
    places = [[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    size = {"height": SIDE, "width": SIDE}
    config = tr.LlavaOnevisionConfig(
        vision_config=tr.SiglipVisionConfig(**TOWER, image_size=SIDE, patch_size=PATCH, vision_use_head=False),
        text_config=tr.Qwen2Config(**_language(tokens)),
        image_token_id=_number(tokens)("<image>"),
        video_token_id=_number(tokens)("<video>"),
        image_grid_pinpoints=places,
    )
    pictures = tr.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=places)
    videos = tr.LlavaOnevisionVideoProcessor(size=size)
    form = {"num_image_tokens": (SIDE // PATCH) ** 2, "vision_feature_select_strategy": "full"}
    return config, tr.LlavaOnevisionProcessor(pictures, tokens, videos, **form)


def _idefics3(kind: str = "Idefics3") -> tuple[Any, Any]:
    import transformers as tr

    places = [f"<row_{i}_col_{j}>" for i in range(1, 4) for j in range(1, 4)]
    tokens = tokenizer(["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *places])
    config = getattr(tr, f"{kind}Config")(
        vision_config={**TOWER, "image_size": SIDE, "patch_size": PATCH},
        text_config=tr.LlamaConfig(**_language(tokens)),
        image_token_id=_number(tokens)("<image>"),
        scale_factor=2,
    )
    size = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    more: dict[str, Any] = {}
    if kind == "SmolVLM":
        sampling = {"fps": 1, "max_frames": 4, "video_size": {"longest_edge": SIDE}}
        more = {"video_processor": tr.SmolVLMVideoProcessor(**size, video_sampling=sampling)}
    pictures = getattr(tr, f"{kind}ImageProcessor")(**size)
    return config, getattr(tr, f"{kind}Processor")(pictures, tokens, image_seq_len=4, **more)


def _qwen(kind: str = "Qwen2VL") -> tuple[Any, Any]:
    import transformers as tr

    names = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    tokens = tokenizer(names)
    patch, merge = 4, 2
    shared = {"depth": 2, "num_heads": 2, "patch_size": patch, "spatial_merge_size": merge, "temporal_patch_size": 2}
    tower: dict[str, Any] = {**shared, "embed_dim": 16, "hidden_size": 16, "mlp_ratio": 2}
    if kind == "Qwen2_5_VL":
        sizes = {"hidden_size": 16, "out_hidden_size": 16, "intermediate_size": 16}
        tower = {**shared, **sizes, "window_size": 16, "fullatt_block_indexes": [1]}
    turns = {"type": "mrope", "rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10_000.0}
    fields = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    config = getattr(tr, f"{kind}Config")(
        vision_config=tower,
        text_config=_language(tokens, rope_parameters=turns),
        **dict(zip(fields, map(_number(tokens), names), strict=True)),
    )
    cut = {"patch_size": patch, "merge_size": merge, "temporal_patch_size": 2}
    pictures = tr.Qwen2VLImageProcessor(**cut, min_pixels=64, max_pixels=4096)
    return config, getattr(tr, f"{kind}Processor")(pictures, tokens, tr.Qwen2VLVideoProcessor(**cut))


def _internvl() -> tuple[Any, Any]:
    import transformers as tr

    named = {
        "context_image_token": "<IMG_CONTEXT>",
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "video_token": "<video>",
    }
    tokens = tokenizer(list(named.values()), named)
    config = tr.InternVLConfig(
        vision_config=tr.InternVLVisionConfig(**TOWER, image_size=[SIDE, SIDE], patch_size=[PATCH, PATCH]),
        text_config=tr.Qwen2Config(**_language(tokens)),
        image_token_id=_number(tokens)("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    pictures = tr.GotOcr2ImageProcessor(size={"height": SIDE, "width": SIDE})
    return config, tr.InternVLProcessor(pictures, tokens, tr.InternVLVideoProcessor(), image_seq_length=4)


MAKERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "llava": _llava,
    "llava_next": lambda: _llava("LlavaNext"),
    "llava_onevision": _llava_onevision,
    "vipllava": lambda: _llava("VipLlava"),
    "internvl": _internvl,
    "idefics3": _idefics3,
    "smolvlm": lambda: _idefics3("SmolVLM"),
    "qwen2_vl": _qwen,
    "qwen2_5_vl": lambda: _qwen("Qwen2_5_VL"),
}


def here(kind: str) -> bool:
    """Whether what a kind's processor imports is installed."""
    return kind != "smolvlm" or find_spec("num2words") is not None


def save(folder: Path, kind: str = "llava", chat: str | None = None) -> Path:
    """A model with large random weights, so that its logits differ clearly, and its processor."""
    from transformers import AutoModelForImageTextToText

    config, processor = MAKERS[kind]()
    if chat is not None:
        processor.chat_template = chat.replace("IMAGE", processor.image_token)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = AutoModelForImageTextToText.from_config(config)
        with torch.no_grad():
            for weight in net.parameters():
                if weight.dim() > 1:
                    weight.normal_(0, 0.4)
    net.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
