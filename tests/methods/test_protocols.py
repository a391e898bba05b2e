"""What methods ask of models: networks provide the protocols that they name, methods name what they need."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.source import DataInfo, ImageInfo, RegressionInfo, SpeechInfo, Transcripts, require
from holdfast.datasets.core.transcript import Tokenizer
from holdfast.methods.networks import images, regression, slu
from holdfast.methods.networks.protocols import (
    Classifier,
    Learner,
    Predictor,
    Regressor,
    Requires,
    SequenceModel,
    fits,
)
from holdfast.suites.config import registry

METHODS = [entry.name for entry in registry.entries("methods")]
NETWORKS = [entry.name for entry in registry.entries("networks")]


def of_images(model: images.ImageClassifier) -> Classifier:
    """The type checker holds the network to its protocol; so below."""
    return model


def of_speech(model: slu.SpokenLanguageModel) -> SequenceModel:
    return model


def of_regression(model: regression.RegressionModel) -> Regressor:
    return model


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_needs_and_some_network_provides_it(name: str) -> None:
    required = registry.method(name).requires
    assert required.model is not None
    assert any(fits(name, required, registry.network(network)) == [] for network in NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_says_what_it_is(name: str) -> None:
    assert registry.network(name).PROVIDES


def test_what_is_missed_is_said_in_sentences() -> None:
    needs = Requires(model=Classifier, columns=("image", "bias"), facts=("colours",))
    info = ImageInfo(classes=2, channels=3, size=8)
    assert fits("m", needs, images, None, None) == []
    assert fits("m", needs, images, info, ["image", "bias"], ["bias"]) == [
        "m needs to know the data's 'colours', which this data set does not say",
        "m needs the column 'bias', which is hidden from training: run it alone, with data.hidden_from_training=[]",
    ]
    assert fits("m", needs, slu, None, ["bias", "x"]) == [
        "m needs a Classifier, the network 'slu' is a SequenceModel",
        "m needs the column 'image', which the training data does not have (it has: bias, x)",
    ]


def test_a_protocol_that_another_extends_is_enough() -> None:
    for network in (images, slu):
        for kind in (Predictor, Learner):
            assert fits("m", Requires(model=kind), network) == []
    assert fits("m", Requires(model=Predictor), regression)


def test_a_network_that_does_not_say_what_it_is_and_a_method_that_needs_nothing_are_taken_as_they_are() -> None:
    assert fits("m", Requires(model=Classifier), ModuleType("theirs")) == []
    assert fits("m", Requires(), images, DataInfo(), ["x"]) == []


@pytest.mark.parametrize(
    ("module", "info"),
    [(images, SpeechInfo()), (slu, RegressionInfo(modality="table")), (regression, DataInfo())],
)
def test_a_network_refuses_facts_of_other_data(module: Any, info: DataInfo) -> None:
    with pytest.raises(
        DataError, match=rf"the network '.*' reads data with a \w+Info, .* gives a {type(info).__name__}"
    ):
        module.build(module.Config(), info, 0)


def test_facts_that_are_no_facts_are_refused() -> None:
    wrong: Any = {"classes": 2}
    with pytest.raises(DataError, match="gives a dict"):
        require(wrong, ImageInfo, "the test")
    with pytest.raises(DataError, match="no token column yet"):
        slu.build(slu.Config(), SpeechInfo(), 0)


def test_biases_are_numbered_like_the_classes_unless_the_data_says_otherwise() -> None:
    assert ImageInfo(classes=3, channels=1, size=4).usual == (0, 1, 2)
    assert ImageInfo(classes=2, channels=1, size=4, usual=(1, 0)).usual == (1, 0)


def test_a_model_document_is_read_back_also_one_of_an_earlier_version() -> None:
    """Runs write it beside their weights; it has had these three fields since the first version."""
    text = Tokenizer.build(["a_b _SEP ten"], ["a_b"], kind="word", size=64)
    given = SpeechInfo(features="waveform", transcripts=Transcripts(text, {"train": ["a_b _SEP ten"]}, 7))
    document = slu.to_document(given)
    assert set(document) == {"tokenizer", "features", "d_acoustic"}
    found = slu.from_document(document)
    assert (found.features, found.prepared.d_acoustic) == ("waveform", 7)
    assert found.prepared.tokenizer.to_json() == text.to_json()
