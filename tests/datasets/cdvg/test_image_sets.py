"""The usual bias of a class: the majority of its training rows, whatever the words and their numbers; what is read
off a user's folder with it.
"""

from __future__ import annotations

import csv
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.probes import translation
from holdfast.analysis.probes.translation import TranslationCheck
from holdfast.analysis.problems.groups import Groups
from holdfast.datasets.cdvg import bffhq as cdvg_bffhq
from holdfast.datasets.cdvg import cmnist as cdvg_cmnist
from holdfast.datasets.cdvg import drift as cdvg_drift
from holdfast.datasets.cdvg import folder as cdvg_folder
from holdfast.datasets.cdvg.image_sets import counts, majority_bias
from holdfast.datasets.core.source import ImageInfo, Source
from PIL import Image

from .. import trees

# The class with a bright left half, that with a bright right half; the bias usual for the first (red), for the second
# (green).
WORDS = [
    ("young", "old", "female", "male"),
    ("old", "young", "female", "male"),
    ("a", "b", "x", "y"),
    ("a", "b", "y", "x"),
    ("0", "1", "1", "0"),
    ("0", "1", "0", "1"),
    ("1", "-1", "-1", "1"),
    ("female", "male", "male", "female"),
]


COLOURS = np.array([(255, 40, 40), (40, 255, 40)], np.uint8)


def picture(kind: int, colour: int, number: int) -> Any:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4 * kind : 4 * kind + 4] = COLOURS[colour] - np.uint8(number % 20)
    return image


def folder(
    root: Path, words: tuple[str, str, str, str], share: float = 0.95, rows: int = 200, unbiased: int = 0
) -> Path:
    """``share`` of the training and validation images of a class are aligned, half of the test images (and of
    ``unbiased`` ones).
    """
    root.mkdir()
    with (root / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "bias", "split"])
        for split, part, count in (
            ("train", share, rows),
            ("valid", share, 40),
            ("test", 0.5, 40),
            ("unbiased", 0.5, unbiased),
        ):
            for n in range(count):
                kind, number = n % 2, n // 2
                colour = kind if number < round(part * (count // 2)) else 1 - kind
                name = f"{split}-{n}.png"
                Image.fromarray(picture(kind, colour, n)).save(root / name)
                writer.writerow([name, words[kind], words[2 + colour], split])
    return root


def load(root: Path) -> Source[ImageInfo]:
    return cdvg_folder.load(cdvg_folder.Config(size=8), root)


def red(images: Any) -> Any:
    """Whether images [N, 3, S, S] are red, [N]."""
    return images[:, 0].amax((1, 2)) > images[:, 1].amax((1, 2))


def test_renamed_words_give_the_same_numbers(tmp_path: Path) -> None:
    """One that answers by the bias alone, and one that knows the class of half of the images: aligned, conflict and
    gap do not know the words.
    """
    found: list[list[dict[str, float]]] = []
    for number, words in enumerate(WORDS):
        source = load(folder(tmp_path / str(number), words))
        problem = Groups(source)
        columns: Any = source.splits["test"].columns
        first = source.class_names.index(words[0])
        by_bias = torch.where(red(columns["image"]), first, 1 - first)
        half = torch.where(torch.arange(40) % 4 < 2, columns["label"], by_bias)
        found.append([problem.measure({"label": p.numpy()}, np.arange(40), "test").compute() for p in (by_bias, half)])
    for one in found:
        assert one == found[0]
    biased = found[0][0]
    assert (biased["aligned"], biased["conflict"], biased["gap"]) == (1, 0, 1)
    assert (biased["aligned_group_mean"], biased["conflict_group_mean"]) == (1, 0)


@pytest.mark.parametrize("words", WORDS)
def test_the_check_of_a_folder_says_what_is_aligned(words: tuple[str, str, str, str], tmp_path: Path) -> None:
    found = counts(load(folder(tmp_path / "data", words)))
    assert found["train"] == {"rows": 200, "aligned": 0.95}
    assert found["test"]["aligned"] == 0.5
    assert found["usual"] == {words[0]: words[2], words[1]: words[3]}


@pytest.mark.parametrize("words", [WORDS[1], *(pytest.param(WORDS[k], marks=pytest.mark.slow) for k in (3, 4))])
def test_bias_moved_is_that_of_the_usual_bias(
    words: tuple[str, str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A translator that paints every image in the usual colour of the mode moves the bias of all."""
    monkeypatch.setattr(translation, "STEPS", 100)  # bright squares: they are soon learned
    source = load(folder(tmp_path / "data", words, unbiased=100))
    first = source.class_names.index(words[0])

    def translate(x: Any, mode: Any) -> Any:
        value = x.amax(1, keepdim=True)
        dark = torch.full_like(value, -0.8).minimum(value)
        red, green = torch.cat([value, dark, dark], 1), torch.cat([dark, value, dark], 1)
        return torch.where((mode == first)[:, None, None, None], red, green)

    gate = {"action": "stop", "max_content_moved": 0.3, "min_content_kept": 0.6}
    method = SimpleNamespace(translate=translate, modes=(0, 1), gate=gate)
    found = TranslationCheck(source).after_stage(method, SimpleNamespace(number=0), tmp_path)
    assert found["bias_moved"] > 0.95
    assert found["content_kept"] > 0.95


def test_the_majority_does_not_depend_on_numbers() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    bias = np.array([2, 2, 0, 0, 0, 2, 1, 1, 3, 3])
    for names in permutations(range(4)):
        found = majority_bias(labels, np.array(names)[bias], 3)
        assert found[:2] == (names[2], names[0])


def test_ties_of_the_majority() -> None:
    """The class's own name, else the bias with fewer rows in all, else the one that comes first in the table."""
    labels = np.array([0, 0, 1, 1, 1, 1, 1])
    for names in permutations(range(4)):
        number = np.array(names)
        tied = number[np.array([2, 1, 1, 1, 0, 3, 3])]
        assert majority_bias(labels, tied, 2) == (names[2], names[3])  # bias 1 has three rows; so has no other
        assert majority_bias(labels, tied, 2, {0: names[1]}) == (names[1], names[3])
        assert majority_bias(labels[:2], number[np.array([3, 0])], 2) == (names[3], -1)


def test_biases_of_generated_sets_and_archives_are_numbered_like_the_classes(tmp_path: Path) -> None:
    """There bias c is class c's by construction, even where the majority of the rows says otherwise."""
    for source in (
        cdvg_cmnist.load(cdvg_cmnist.Config(rho=0.0), None),
        cdvg_folder.load(cdvg_folder.Config(rho=0.1), None),
        cdvg_bffhq.load(cdvg_bffhq.Config(rho=0.1), None),
    ):
        assert source.info.usual == tuple(range(len(source.class_names)))
    trees.disent(tmp_path, "bffhq", 8, classes=2)
    for n in range(3):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f"bffhq/0.5pct/conflict/0/more{n}_0_1.png")
    archive = cdvg_bffhq.load(cdvg_bffhq.Config(size=8), tmp_path)
    assert archive.info.usual == (0, 1)
    assert counts(archive)["train"] == {"rows": 7, "aligned": round(2 / 7, 4)}


def test_an_archive_without_images_of_some_bias_keeps_its_numbers(tmp_path: Path) -> None:
    """No image has bias 0: bias 1 stays number 1."""
    trees.disent(tmp_path, "bffhq", 8, classes=2)
    for path in sorted((tmp_path / "bffhq").rglob("*_0.png")):
        path.rename(path.with_name(path.name[:-5] + "1.png"))
    source = cdvg_bffhq.load(cdvg_bffhq.Config(size=8), tmp_path)
    assert set(source.splits["train"].columns["bias"].tolist()) == {1}  # type: ignore[union-attr]


def test_where_the_bias_drifts_the_column_says_what_is_usual(tmp_path: Path) -> None:
    source = cdvg_drift.load(cdvg_drift.Config(n_train=200, shift=3), None)
    found = counts(source)
    assert found["train"]["aligned"] == 1
    assert found["test"]["aligned"] < 0.2
    score = Groups(source).measure({"label": np.zeros(100, int)}, np.arange(100), "valid").compute()
    assert score["aligned"] > 0
    assert not {"aligned_group_mean", "conflict_group_mean"} & set(score)  # no group is one or the other
    columns: Any = source.splits["train"].columns
    rows = (columns["experience"] == 1).nonzero().flatten()
    experience = SimpleNamespace(table=source.splits["train"], rows=rows, number=1)
    assert TranslationCheck(source).usual(range(10), experience) == {m: (m + 3) % 10 for m in range(10)}
