"""Encoders of images, and what augmentation shows of an image."""

from __future__ import annotations

import torch
from holdfast.datasets.core.seeds import generator
from holdfast.datasets.core.source import ImageInfo
from holdfast.datasets.core.table import Batch
from holdfast.methods.networks import images


def test_crop_and_flip_show_parts_of_the_image() -> None:
    net = images.build(images.Config(augment="crop_flip", width=4), ImageInfo(classes=2, channels=3, size=8), 0)
    x = torch.rand(64, 3, 8, 8)
    made = net.views(x, generator(0, "a"))
    assert made.shape == x.shape
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4), value=-1.0)
    for i in range(64):
        windows = [padded[i, :, r : r + 8, c : c + 8] for r in range(9) for c in range(9)]
        assert any(torch.equal(made[i], w) or torch.equal(made[i], w.flip(2)) for w in windows)


def test_every_encoder_gives_logits() -> None:
    for encoder in ("cnn", "mlp", "resnet20", "resnet18"):
        net = images.build(images.Config(encoder=encoder, normalize=True), ImageInfo(classes=4, channels=3, size=32), 0)
        batch: Batch = {
            "image": torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8),
            "label": torch.tensor([0, 3]),
        }
        assert net.eval().predict(batch)["label"].shape == (2,)
        assert net.features(batch).shape == (2, net.features_out)


def test_predictions_are_label_scores_and_probabilities_of_all_classes() -> None:
    net = images.build(images.Config(width=4), ImageInfo(classes=4, channels=3, size=8), 0).eval()
    batch: Batch = {"image": torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)}
    predicted = net.predict(batch)
    logits = net.classify(net.features(batch))
    assert torch.equal(predicted["label"], logits.argmax(1))
    assert torch.equal(predicted["scores"], logits)
    expected = logits.double().exp() / logits.double().exp().sum(1, keepdim=True)
    torch.testing.assert_close(predicted["probabilities"].double(), expected, rtol=1e-6, atol=1e-7)
