"""Paths that stand in files of the data: files under the data root, or an explicit option; and values that are none."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from holdfast.datasets.cdvg import folder as cdvg_folder
from holdfast.datasets.coconut import fsc as coconut_fsc
from holdfast.datasets.coconut import manifest as coconut_manifest
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.core.paths import is_file_name, within
from holdfast.datasets.supremix import agedb as supremix_agedb
from holdfast.datasets.supremix import tabular as supremix_tabular
from holdfast.datasets.supremix import timeseries as supremix_timeseries
from holdfast.datasets.supremix import volumes as supremix_volumes
from PIL import Image

from .. import trees


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def edit(file: Path, change: Callable[[dict[str, Any]], Any], row: int = 0) -> None:
    """Change a row of JSON lines."""
    lines = file.read_text().splitlines()
    document = json.loads(lines[row])
    change(document)
    lines[row] = json.dumps(document)
    file.write_text("\n".join(lines))


def edit_csv(file: Path, column: str, value: str) -> None:
    with file.open(newline="") as source:
        rows = list(csv.DictReader(source))
    rows[0][column] = value
    with file.open("w", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def fsc(root: Path) -> None:
    """The corpus in the root itself."""
    trees.fsc(root.parent / "made")
    for path in (root.parent / "made" / "fluent_speech_commands_dataset").iterdir():
        path.rename(root / path.name)


def faces(root: Path) -> None:
    lines = ["age,path,split"]
    for n in range(6):
        Image.fromarray(np.full((9, 9), 30 * n, np.uint8)).save(root / f"{n}.png")
        lines.append(f"{20 + n},{n}.png,{('train', 'train', 'train', 'train', 'val', 'test')[n]}")
    (root / "agedb.csv").write_text("\n".join(lines))


def folder(root: Path) -> None:
    lines = ["path,label,bias,split"]
    for n, split in enumerate(("train", "train", "valid", "test")):
        Image.fromarray(np.full((9, 9), 30 * n, np.uint8)).save(root / f"{n}.png")
        lines.append(f"{n}.png,{'ab'[n % 2]},x,{split}")
    (root / "index.csv").write_text("\n".join(lines))


SETS: dict[str, tuple[Any, Callable[[Path], Any], Any, str, str]] = {
    "manifest": (coconut_manifest, trees.manifest, coconut_manifest.Config(), "manifest.csv", "clips/one_0.wav"),
    "fsc": (coconut_fsc, fsc, coconut_fsc.Config(), "data/train_data.csv", "wavs/speakers/train0/0.wav"),
    "faces": (supremix_agedb, faces, supremix_agedb.Config(size=8), "agedb.csv", "0.png"),
    "folder": (cdvg_folder, folder, cdvg_folder.Config(size=8), "index.csv", "0.png"),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("how", ["absolute", "..", "link to a file", "link to a folder"])
def test_a_path_that_leads_out_needs_the_option(name: str, how: str, root: Path) -> None:
    module, make, config, index, old = SETS[name]
    make(root)
    away = root.parent / "away"
    away.mkdir()
    (root / old).rename(away / "x")
    text = {"absolute": str(away / "x"), "..": "../away/x", "link to a file": "link", "link to a folder": "link/x"}[how]
    if "link" in text:
        (root / "link").symlink_to(away / "x" if text == "link" else away)
    edit_csv(root / index, "path", text)
    with pytest.raises(DataError, match=r"line 2.*data\.options\.outside_paths=true"):
        module.load(config, root)
    assert module.load(config.model_copy(update={"outside_paths": True}), root).source == "real"


@pytest.mark.parametrize("name", SETS)
def test_a_link_that_stays_in_the_root_and_dots_that_come_back_are_read(name: str, root: Path) -> None:
    module, make, config, index, old = SETS[name]
    make(root)
    (root / "store").mkdir()
    (root / old).rename(root / "store" / "x")
    (root / old).symlink_to(root / "store" / "x")
    module.load(config, root)
    edit_csv(root / index, "path", "store/../store/./x")
    module.load(config, root)


HOSTILE = ["C:\\x.wav", "D:x", "\\\\server\\x", "a\x00b", "\x1b[31mx", "x" * 300, "circle"]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("outside", [False, True])
def test_a_path_that_is_none_is_one_message(name: str, text: str, outside: bool, root: Path) -> None:
    module, make, config, index, _ = SETS[name]
    make(root)
    (root / "circle").symlink_to(root / "circle")
    edit_csv(root / index, "path", text)
    with pytest.raises(DataError, match=r"line 2|: missing") as caught:
        module.load(config.model_copy(update={"outside_paths": outside}), root)
    assert all(c.isprintable() or c == "\n" for c in str(caught.value))


def test_within() -> None:
    here = Path(__file__).parents[1]
    assert within(here, "shared.py") == here / "shared.py"
    for text in ("..", "../x", str(here / "shared.py"), "/etc/hostname"):
        with pytest.raises(ValueError, match="leads out"):
            within(here, text)
        assert within(here, text, outside=True) == here / text
    assert [n for n in ("..", "", "a/b", "/a", "a\n", "x" * 300) if is_file_name(n)] == []
    assert is_file_name("audio-1.flac")


@pytest.mark.parametrize(
    "text", ["../x.flac", "/etc/hostname", "..", "a/b.flac", "", None, 3.5, ["x"], "a\x00.flac"], ids=ascii
)
def test_slurps_recordings_are_names(text: Any, root: Path) -> None:
    trees.slurp(root)
    edit(root / "dataset/slurp/train.jsonl", lambda d: d["recordings"][0].update(file=text))
    with pytest.raises(DataError, match=r"train\.jsonl line 1|3\.5: missing"):
        coconut_slurp.load(coconut_slurp.Config(), root)


@pytest.mark.parametrize("name", ["../x", "..", "/etc/hostname", "a\x1b", ""], ids=ascii)
@pytest.mark.parametrize(("module", "inner"), [(supremix_volumes, "volumes"), (supremix_timeseries, "eeg")])
def test_ids_are_names(module: Any, inner: str, name: str, root: Path) -> None:
    (root / inner).mkdir()
    (root / "labels.csv").write_text(f"id,age,split\n{name},3,train\n")
    with pytest.raises(DataError, match=r"line 2: .* is no name of a file"):
        module.load(module.Config(), root)


@pytest.mark.parametrize("module", [supremix_tabular, supremix_timeseries])
def test_a_table_named_in_a_recipe_lies_in_the_root(module: Any, root: Path) -> None:
    (root.parent / "t.csv").write_text("a,y\n1,2\n" * 9)
    for text in ("../t.csv", str(root.parent / "t.csv")):
        with pytest.raises(DataError, match=r"data\.options\.file"):
            module.load(module.Config(file=text), root)


@pytest.mark.parametrize("field", ["path", "transcription", "intent"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "no {}"),
        ("", "no {}"),
        ("  ", "no {}"),
        (True, "'{}' is true, no text"),
        (["a"], "'{}' is"),
        ({}, "'{}' is"),
        (float("nan"), "'{}' is NaN, no text"),
    ],
    ids=ascii,
)
def test_a_field_that_is_null_is_absent(field: str, value: Any, message: str, root: Path) -> None:
    trees.manifest(root, "jsonl")
    edit(root / "manifest.jsonl", lambda d: d.update({field: value}), row=4)
    _, faults = coconut_manifest.read(coconut_manifest.Config(), root)
    assert len(faults) == 1
    assert faults[0].startswith("manifest.jsonl line 5: " + message.format(field))


def test_null_beside_the_required_fields_is_no_word(root: Path) -> None:
    trees.manifest(root, "jsonl")
    for row in range(24):
        edit(root / "manifest.jsonl", lambda d: d.update(speaker=None, scenario=None, entities=None, split=None), row)
    rows, faults = coconut_manifest.read(coconut_manifest.Config(), root)
    assert faults == []
    assert {(row.speaker, row.entities) for row in rows} == {("", ())}
    assert {row.scenario for row in rows} == {"one", "two", "three"}
    edit(root / "manifest.jsonl", lambda d: d.update(intent=7))
    assert "7" in {row.intent for row in coconut_manifest.read(coconut_manifest.Config(), root)[0]}


@pytest.mark.parametrize(
    "entity", [{"type": None, "filler": "x"}, {"type": "x", "filler": None}, {"type": "x"}, None, "x", 3]
)
def test_an_entity_with_null_is_a_fault_of_its_line(entity: Any, root: Path) -> None:
    trees.manifest(root, "jsonl")
    edit(root / "manifest.jsonl", lambda d: d.update(entities=[entity]), row=2)
    faults = coconut_manifest.read(coconut_manifest.Config(), root)[1]
    assert [fault.startswith("manifest.jsonl line 3: entities are") for fault in faults] == [True]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(sentence=None),
        lambda d: d.update(scenario=None),
        lambda d: d.update(action=None),
        lambda d: d["tokens"][0].update(surface=None),
        lambda d: d["entities"][0].update(type=None),
        lambda d: d["recordings"][0].update(file=None),
    ],
)
def test_null_in_slurps_lines_is_a_fault_of_its_line(change: Any, root: Path) -> None:
    trees.slurp(root)
    edit(root / "dataset/slurp/train.jsonl", change, row=1)
    faults = coconut_slurp.released(coconut_slurp.Config(), root)[1]
    assert len(faults) == 1
    assert faults[0].startswith("train.jsonl line 2: ")
    assert "is null" in faults[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_a_recording_of_no_numbers_is_named(value: float, subtype: str, root: Path) -> None:
    trees.manifest(root)
    x = np.zeros(4000)
    x[1000] = value
    soundfile.write(root / "clips" / "one_0.wav", x, 8000, subtype=subtype)
    config = coconut_manifest.Config()
    message = r"manifest\.csv line 2: .*one_0\.wav: 1 samples are NaN or infinite, the first at 0\.125 s"
    with pytest.raises(DataError, match=message):
        coconut_manifest.load(config, root)
    assert len(coconut_manifest.check(config, root)["faults"]) == 1
    assert coconut_manifest.load(config.model_copy(update={"on_fault": "skip"}), root).info.faults_skipped == 1


@pytest.mark.parametrize(
    ("module", "make", "file"),
    [
        (coconut_slurp, trees.slurp, "audio/slurp_real/audio-train0.flac"),
        (coconut_fsc, trees.fsc, "fluent_speech_commands_dataset/wavs/speakers/train0/0.wav"),
    ],
)
def test_a_recording_of_no_numbers_in_a_corpus(module: Any, make: Any, file: str, root: Path) -> None:
    make(root)
    soundfile.write(root / file, np.full(4000, np.nan), 16_000, format="WAV", subtype="FLOAT")
    with pytest.raises(DataError, match=f"{file}: 4000 samples are NaN"):
        module.load(module.Config(), root)


def test_a_recording_too_loud_for_its_features_is_named(root: Path) -> None:
    trees.manifest(root)
    soundfile.write(root / "clips" / "one_0.wav", np.full(4000, 1e30), 8000, subtype="DOUBLE")
    with pytest.raises(DataError, match=r"one_0\.wav: too loud"):
        coconut_manifest.load(coconut_manifest.Config(), root)


@pytest.mark.parametrize("row", ["0.png,,x,train", "0.png,a,,train", "0.png,a", "0.png"])
def test_an_absent_label_or_bias_of_an_image_is_a_fault(row: str, root: Path) -> None:
    folder(root)
    (root / "index.csv").write_text(f"path,label,bias,split\n{row}\n")
    with pytest.raises(DataError, match=r"index\.csv: line 2: needs a label, a bias"):
        cdvg_folder.load(cdvg_folder.Config(size=8), root)


@pytest.mark.parametrize("text", ["", "nan", "null", "None", "inf", "?"])
def test_an_absent_target_is_a_fault(text: str, root: Path) -> None:
    rows = [f"{i},{i * i % 7}" for i in range(20)]
    rows[3] = f"3,{text}"
    (root / "t.csv").write_text("a,y\n" + "\n".join(rows))
    with pytest.raises(DataError, match=r"t\.csv line 5: .*target"):
        supremix_tabular.load(supremix_tabular.Config(), root)


@pytest.mark.parametrize("text", ["", "nan", "null", "?"])
def test_an_absent_category_is_no_category(text: str, root: Path) -> None:
    rows = [f"{i},{'red' if i % 2 else 'blue'},{i * i % 7}" for i in range(20)]
    rows[3] = f"3,{text},2"
    (root / "t.csv").write_text("a,colour,y\n" + "\n".join(rows))
    with pytest.raises(DataError, match=r"t\.csv line 5: no value in column 'colour'"):
        supremix_tabular.load(supremix_tabular.Config(), root)
    source = supremix_tabular.load(supremix_tabular.Config(missing="median", valid=0.1, test=0.1), root)
    assert source.info.input_shape[0] in (3, 4)  # the number, two colours, and the absent one where training has it
