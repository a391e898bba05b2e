"""Paths and stores of the tests: nothing is read from or written to the developer's own cache and runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .refusals import recorded


def _cache(factory: pytest.TempPathFactory) -> Path:
    """Prepared data of the session, which the processes of pytest-xdist share: to speak a stand-in takes seconds."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return factory.mktemp("cache")
    folder = factory.getbasetemp().parent / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_CACHE", str(_cache(tmp_path_factory)))
        patch.setenv("HOLDFAST_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("COLUMNS", "200")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with recorded():
            yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "golden":
                terminalreporter.write_line(f"golden: {value}")


@pytest.fixture(scope="session")
def store_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where :func:`empty_store` lies, or will lie once a test needs it."""
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture(scope="session")
def empty_store(store_template: Path) -> Path:
    """MLflow's SQLite store with its tables and nothing in it; tests copy it."""
    from holdfast.suites.tracking.store import client_class

    if not store_template.exists():
        client_class()(tracking_uri=f"sqlite:///{store_template}").search_experiments()
    return store_template


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A port of the loopback that nothing listens on."""

    def find() -> int:
        with closing(socket.socket()) as s:
            s.bind(("127.0.0.1", 0))
            return int(s.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def tiny_bert() -> Callable[..., Path]:
    """``tiny_bert(folder, texts)``: a BERT of two layers with random weights, and a tokenizer of their words."""
    pytest.importorskip("transformers")

    def write(folder: Path, texts: Iterable[str], *, hidden: int = 16, embeddings: int | None = None) -> Path:
        import torch
        import transformers
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

        words = sorted({word for text in texts for word in text.lower().split()})
        letters = sorted({letter for word in words for letter in word})
        pieces = [
            "[PAD]",
            "[UNK]",
            "[CLS]",
            "[SEP]",
            "[MASK]",
            *letters,
            *(f"##{letter}" for letter in letters),
            *words,
        ]
        known = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
        tokenizer = Tokenizer(models.WordPiece(known, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            pad_token="[PAD]",
            unk_token="[UNK]",
            cls_token="[CLS]",
            sep_token="[SEP]",
            mask_token="[MASK]",
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        ).save_pretrained(folder)
        config = transformers.BertConfig(
            vocab_size=embeddings or len(known),
            hidden_size=hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=2 * hidden,
            max_position_embeddings=64,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            transformers.BertModel(config).save_pretrained(folder)
        return folder

    return write
