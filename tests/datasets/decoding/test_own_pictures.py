"""Questions about and captions of a user's own images: fields, groups, splits, pictures, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from holdfast.analysis.problems.generation import Generation
from holdfast.datasets.core import limits
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.language import EOS, NamedObjects
from holdfast.datasets.core.table import Lazy
from holdfast.datasets.decoding import image_captions, image_questions
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path_factory.mktemp("cache")))


def image(path: Path, value: int = 200, width: int = 8, height: int = 4) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)
    return path.name


def written(root: Path, rows: Sequence[dict[str, Any]], name: str = "questions.jsonl") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for row in rows:
        if isinstance(row.get("image"), str) and "/" not in row["image"]:
            image(root / "images" / row["image"])
    (root / name).write_text("\n".join(map(json.dumps, rows)))
    return root


def asked(split: str = "", number: int = 0, **fields: Any) -> dict[str, Any]:
    row = {"image": f"{number}.png", "text": "Is there a dog in the image?", "label": ("yes", "no")[number % 2]}
    return {**row, **({"split": split} if split else {}), **fields}


def load(root: Path, **options: Any) -> Any:
    return image_questions.load(image_questions.Config(**{"size": 8, **options}), root)


def text(source: Any, split: str, column: str, row: int) -> str:
    batch = source.splits[split].gather(torch.tensor([row]))
    return str(source.info.words(batch[column][0].tolist()))


def test_rows_with_splits_become_questions_with_their_pictures(tmp_path: Path) -> None:
    rows = [asked(split, n) for n, split in enumerate(("train", "val", "test", "test"))]
    rows[3]["text"] = "Is there\na  cat ?"
    source = load(written(tmp_path, rows))
    assert source.source == "real"
    assert source.info.image == (3, 8)
    assert {split: len(table) for split, table in source.splits.items()} == {"train": 1, "valid": 1, "test": 2}
    assert text(source, "test", "prompt", 0) == "Is there a dog in the image?"
    assert text(source, "test", "prompt", 1) == "Is there a cat ?"
    assert text(source, "test", "tokens", 0) == "Is there a dog in the image? yes"
    batch = source.splits["test"].gather(torch.tensor([0, 1]))
    assert batch["label"].tolist() == [1, 0]
    assert [source.info.vocabulary[token] for token in source.info.yes_no] == ["no", "yes"]
    assert isinstance(source.splits["test"].columns["image"], Lazy)
    picture = batch["image"][0]  # 8 x 4 pixels in the middle of a grey square
    assert picture.shape == (3, 8, 8)
    assert picture[:, 2:6].unique().tolist() == [200]
    assert picture[:, :2].unique().tolist() == [127] == picture[:, 6:].unique().tolist()
    assert load(tmp_path, fit="stretch").splits["test"].gather(torch.tensor([0]))["image"].unique().tolist() == [200]


def test_the_files_of_pope_are_groups_and_all_their_rows_are_the_test(tmp_path: Path) -> None:
    for name in ("random", "popular"):
        written(tmp_path, [asked(number=n) for n in range(4)], f"coco_pope_{name}.json")
    files = ("coco_pope_random.json", "coco_pope_popular.json")
    with pytest.warns(UserWarning, match="no rows for train and valid.*lm_epochs=0"):
        source = load(tmp_path, files=files)
    assert source.info.groups == ("coco_pope_random", "coco_pope_popular")
    assert len(source.splits["test"]) == 8
    assert source.splits["test"].dense("group").tolist() == [0] * 4 + [1] * 4
    assert [len(source.splits[split]) for split in ("train", "valid")] == [1, 1]
    with pytest.warns(UserWarning, match="no rows for"):
        alone = load(tmp_path, files=files[:1])
    assert alone.info.groups == ()
    assert alone.checksum != source.checksum


def test_drawn_splits_share_no_image(tmp_path: Path) -> None:
    rows = [asked(number=n, question_id=k) for n in range(20) for k in range(3)]
    source = load(written(tmp_path, rows), test=0.5, valid=0.2)
    sizes = {split: len(table) for split, table in source.splits.items()}
    assert sizes == {"train": 18, "valid": 12, "test": 30}
    picked = [set(source.splits[s].columns["image"].picked.tolist()) for s in sizes]
    assert not picked[0] & picked[1]
    assert not (picked[0] | picked[1]) & picked[2]
    assert load(tmp_path, test=0.5, valid=0.2).checksum == source.checksum
    assert load(tmp_path, test=0.5, valid=0.2, seed=1).checksum != source.checksum


def test_leading_questions_point_at_the_row_that_asks_neutrally(tmp_path: Path) -> None:
    plain = "Is there a dog?"
    lead = f"I think the answer is no. {plain}"
    rows = [asked("train"), asked("valid")]
    rows += [asked("test", 0, text=lead, neutral=plain, group="lead_wrong")]
    rows += [asked("test", n, text=plain, group="neutral") for n in (1, 0)]
    rows[:2] = [{**row, "group": "neutral"} for row in rows[:2]]
    source = load(written(tmp_path, rows))
    assert source.splits["test"].dense("neutral_row").tolist() == [2, -1, -1], "the one about the same image"
    assert text(source, "test", "neutral", 0) == plain == text(source, "test", "prompt", 1)
    assert text(source, "test", "prompt", 0) == lead


def test_any_answers(tmp_path: Path) -> None:
    rows = [asked(split, n, label="a red ball") for n, split in enumerate(("train", "valid", "test"))]
    source = load(written(tmp_path, rows), answers="text")
    assert source.info.yes_no is None
    assert "label" not in source.splits["test"].columns
    assert text(source, "test", "answer", 0) == "a red ball"
    with pytest.raises(DataError, match=r"neither yes nor no.*answers=text"):
        load(tmp_path)


def test_without_a_root_scenes_are_generated() -> None:
    small = {"n_train": 20, "n_valid": 6, "n_test": 6}
    source = image_questions.load(image_questions.Config(**small), None)
    assert source.source == "stand-in"
    assert source.info.yes_no is not None
    plain = image_questions.load(image_questions.Config(**small, answers="text"), None)
    assert plain.info.yes_no is None
    captions = image_captions.load(image_captions.Config(**small), None)
    assert "shown" in captions.splits["test"].columns


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"image": "../outside.png"}, "leads out of"),
        ({"image": "/etc/hostname"}, "absolute or leads out"),
        ({"image": "a\0b.png"}, "is no path"),
        ({"image": "sub/none.png"}, "no file"),
        ({"image": 3}, "int, not text"),
        ({"image": "link.png"}, "leads out of"),
        ({"image": "broken.png"}, "no readable image"),
        ({"image": "huge.png"}, "pixels are more than"),
        ({"text": " "}, "is empty"),
        ({"label": None}, "no label"),
        ({"label": "perhaps"}, "neither yes nor no"),
        ({"split": "later"}, "none of train"),
    ],
)
def test_a_bad_row_is_told_with_its_line(row: dict[str, Any], told: str, tmp_path: Path) -> None:
    root = written(tmp_path / "data", [asked("train"), asked("valid")])
    image(tmp_path / "outside.png")
    (root / "images" / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("1", (9000, 9000)).save(root / "images" / "huge.png")
    lines = (root / "questions.jsonl").read_text().splitlines()
    (root / "questions.jsonl").write_text("\n".join([*lines, json.dumps({**asked("test"), **row})]))
    with pytest.raises(DataError, match=told) as caught:
        load(root)
    assert "line 3" in str(caught.value) or ".png" in str(caught.value)


def test_paths_outside_are_read_where_they_are_allowed(tmp_path: Path) -> None:
    image(tmp_path / "outside.png")
    rows = [asked("train"), asked("valid"), asked("test", image=str(tmp_path / "outside.png"))]
    root = written(tmp_path / "data", rows)
    assert len(load(root, outside_paths=True).splits["test"]) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"files": ("none.jsonl",)}, "missing"),
        ({"files": ("../questions.jsonl",)}, r"data\.options\.files"),
        ({"images": ".."}, "leads out of"),
    ],
)
def test_options_that_lead_nowhere(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    root = written(tmp_path / "data", [asked("train"), asked("valid"), asked("test")])
    written(tmp_path, [asked("test")])
    with pytest.raises(DataError, match=told):
        load(root, **options)
    with pytest.raises(DataError, match="no such folder"):
        load(tmp_path / "none")


def test_files_that_are_no_rows(tmp_path: Path) -> None:
    root = written(tmp_path, [asked("train"), asked("valid")])
    with pytest.raises(DataError, match="no row is of the split test"):
        load(root)
    written(root, [asked("train"), asked("")])
    with pytest.raises(DataError, match="line 2: no split"):
        load(root)
    written(root, [asked("train", group="a"), asked("test")])
    with pytest.raises(DataError, match="line 2: no group"):
        load(root)
    (root / "questions.jsonl").write_text("[1, 2]\n{")
    with pytest.raises(DataError, match="no JSON"):
        load(root)
    (root / "questions.jsonl").write_text("")
    with pytest.raises(DataError, match="empty"):
        load(root)


def test_no_more_memory_than_is_allowed(tmp_path: Path) -> None:
    root = written(tmp_path, [asked("train"), asked("valid"), asked("test")])
    image(root / "images" / "0.png", width=3000, height=2000)
    with limits.using(0.01), pytest.raises(DataError, match=r"data\.max_gib"):
        load(root)


def captions(root: Path, rows: Sequence[dict[str, Any]], **options: Any) -> Any:
    written(root, rows, "captions.jsonl")
    return image_captions.load(image_captions.Config(**{"size": 8, **options}), root)


def described(split: str, number: int, objects: Any, **fields: Any) -> dict[str, Any]:
    return {"image": f"{number}.png", "objects": objects, "split": split, **fields}


def test_captions_are_scored_by_the_names_of_objects_and_their_plurals(tmp_path: Path) -> None:
    (tmp_path / "synonyms.txt").write_text("person, man, child\ndining table, table\nteddy bear\nbear\n")
    rows = [described("train", 0, ["man"]), described("valid", 1, ["bear"])]
    rows += [described("test", 2, ["person", "Table"], caption="Two men at dining tables. A teddy bear, a child!")]
    source = captions(tmp_path, rows, synonyms="synonyms.txt")
    assert source.splits["test"].dense("shown").tolist() == [[1, 1, 0, 0]]
    assert text(source, "test", "prompt", 0) == "Please describe this image in detail."
    said = text(source, "test", "answer", 0)
    assert source.info.oracle.mentioned(said) == [1, 2, 0], "men is no plural of s"
    problem = Generation(source)
    measurement = problem.measurement("test")
    tokens = source.splits["test"].gather(torch.tensor([0]))["answer"].numpy()
    measurement.update({"tokens": tokens}, np.array([0]))
    found = measurement.compute()
    assert found["chair_i"] == pytest.approx(1 / 3)
    assert found["chair_s"] == 1 == found["object_recall"] == found["exact_match"]


def test_captions_without_a_list_of_names(tmp_path: Path) -> None:
    rows = [described("train", 0, []), described("valid", 1, ["Cat"]), described("test", 2, ["dog", "cat"])]
    source = captions(tmp_path, rows)
    assert source.info.oracle == NamedObjects((("cat",), ("dog",)))
    assert source.splits["test"].dense("shown").tolist() == [[1, 1]]
    assert source.splits["test"].gather(torch.tensor([0]))["answer"].tolist() == [[EOS]]
    table = "image,objects,split\n0.png,dog; cat,train\n1.png,cat,valid\n2.png,dog,test\n"
    (tmp_path / "captions.csv").write_text(table)
    again = captions(tmp_path, rows, files=("captions.csv",))
    assert again.splits["train"].dense("shown").tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("objects", "options", "told"),
    [
        (None, {}, "no list of names"),
        ([1], {}, "no list of names"),
        (["zebra"], {"synonyms": "synonyms.txt"}, r"line 3: the object 'zebra' is not in synonyms\.txt"),
        (["dog"], {"synonyms": "../s.txt"}, r"data\.options\.synonyms"),
        (["dog"], {"synonyms": "empty.txt"}, "no object"),
    ],
)
def test_objects_that_are_refused(objects: Any, options: dict[str, Any], told: str, tmp_path: Path) -> None:
    (tmp_path / "synonyms.txt").write_text("dog\n")
    (tmp_path / "empty.txt").write_text(" ,\n")
    rows = [described("train", 0, ["dog"]), described("valid", 1, ["dog"]), described("test", 2, objects)]
    with pytest.raises(DataError, match=told):
        captions(tmp_path, rows, **options)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("A dog.", [0]),
        ("dogs and DOG", [0, 0]),
        ("hotdogs", []),
        ("two hot dogs", [1]),
        ("cherries on benches", [2, 3]),
        ("", []),
    ],
)
def test_names_in_a_text(said: str, found: list[int]) -> None:
    assert NamedObjects((("dog",), ("hot dog", "hotdog stand"), ("cherry",), ("bench",))).mentioned(said) == found
