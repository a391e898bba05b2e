"""Every data set reads what its files hold: two roots whose files agree in name, size and time are two data sets."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from holdfast.datasets.coconut import fsc as coconut_fsc
from holdfast.datasets.coconut import manifest as coconut_manifest
from holdfast.datasets.coconut import slurp as coconut_slurp
from holdfast.datasets.core.source import Source
from holdfast.datasets.core.table import Lazy, Ragged
from holdfast.suites.config import registry
from PIL import Image

from . import trees
from .sepclr import files as contrast
from .slimmable import files as several


def _wav(path: Path, gain: float) -> None:
    """16-bit samples whatever the name says: equal sizes."""
    samples, rate = soundfile.read(path)
    ramp = np.linspace(1, gain, len(samples))  # mean and scale are taken out of the features, a change over time is not
    soundfile.write(path, samples * ramp, rate, format="WAV", subtype="PCM_16")


def _bmp(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(path, format="BMP")


def _slurp(root: Path, k: int) -> None:
    for path in trees.slurp(root).rglob("*.flac"):
        _wav(path, 1 - 0.5 * k)


def _fsc(root: Path, k: int) -> None:
    for path in trees.fsc(root).rglob("*.wav"):
        _wav(path, 1 - 0.5 * k)


def _manifest(root: Path, k: int) -> None:
    for path in trees.manifest(root).rglob("*.wav"):
        _wav(path, 1 - 0.5 * k)


def _idx(root: Path, k: int) -> None:
    trees.idx(root, seed=k)


def _cifar(root: Path, k: int) -> None:
    trees.cifar(root, "bin")
    for path in root.rglob("*.bin"):
        raw = bytearray(path.read_bytes())
        raw[3072] = k
        path.write_bytes(raw)


def _bffhq(root: Path, k: int) -> None:
    for path in trees.disent(root, "bffhq", 32, classes=2).rglob("*.png"):
        _bmp(path, 50 + k)


def _folder(root: Path, k: int) -> None:
    lines = ["path,label,bias,split"]
    for n, split in enumerate(("train", "train", "valid", "test")):
        _bmp(root / f"{n}.bmp", 10 * n + k)
        lines.append(f"{n}.bmp,{'ab'[n % 2]},x,{split}")
    (root / "index.csv").write_text("\n".join(lines))


def _faces(name: str) -> Callable[[Path, int], None]:
    def make(root: Path, k: int) -> None:
        lines = ["age,path,split"]
        for n in range(6):
            _bmp(root / "faces" / f"{n}.jpg", 10 * n + k)
            lines.append(f"{20 + n},faces/{n}.jpg,{('train', 'train', 'train', 'train', 'val', 'test')[n]}")
        (root / name).write_text("\n".join(lines))

    return make


def _table(root: Path, k: int) -> None:
    (root / "t.csv").write_text("a,b,y\n" + "".join(f"{i},{(i * 7 + k) % 10},{i % 7}\n" for i in range(10, 60)))


def _series(root: Path, k: int) -> None:
    (root / "s.csv").write_text("a,y\n" + "".join(f"{i % 10},{(i * i + k) % 10}\n" for i in range(400)))


def _volumes(root: Path, k: int) -> None:
    (root / "volumes").mkdir()
    lines = ["id,age,split"]
    for n in range(6):
        np.save(root / "volumes" / f"v{n}.npy", np.random.default_rng(10 * n + k).normal(size=(5, 5, 5)))
        lines.append(f"v{n},{20 + n},{('train', 'train', 'train', 'train', 'val', 'test')[n]}")
    (root / "labels.csv").write_text("\n".join(lines))


def _pairs(root: Path, k: int) -> None:
    """Other words, the same pattern of words: no column tells the two apart."""
    word = ("cat", "dog")[k]
    for stem in ("train", "dev", "test"):
        rows = [f"the {word} sits\ta {word} runs\t{i}.0" for i in range(5)]
        (root / f"{stem}_new.tsv").write_text("\n".join(["sentence1\tsentence2\tscore", *rows]))


def _sentences(root: Path, k: int) -> None:
    word = ("cat", "dog")[k]
    for stem, n in (("train", 20), ("test", 4)):
        (root / f"own_{stem}.txt").write_text("\n".join(f"{i % 2}\t{stem} {word} {i}" for i in range(n)))


def _premises(root: Path, k: int) -> None:
    word, labels = ("cat", "dog")[k], ("entailment", "contradiction", "neutral")
    for stem, n in (("train", 30), ("val", 4)):
        rows = [{"premise": f"{stem} {word} {i}", "hypothesis": "it", "label": labels[i % 3]} for i in range(n)]
        (root / f"CB_{stem}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def _photographs(root: Path, k: int) -> None:
    _cifar(root, k)
    trees.idx(root)


def _sprites(root: Path, k: int) -> None:
    trees.idx(root, seed=k)
    contrast.dsprites(root)


def _pictures(root: Path, k: int) -> None:
    """Questions and captions of the same pictures, of which one pixel differs."""
    questions, captions = [], []
    for n, split in enumerate(("train", "valid", "test")):
        _bmp(root / "images" / f"{n}.bmp", 10 * n + k)
        row = {"image": f"{n}.bmp", "split": split}
        questions.append({**row, "text": "Is there a dog?", "label": ("yes", "no")[n % 2]})
        captions.append({**row, "objects": ["dog"]})
    (root / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)))
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, captions)))


SETS: dict[str, tuple[Callable[[Path, int], Any], dict[str, Any]]] = {
    "coconut/slurp": (_slurp, {}),
    "coconut/fsc": (_fsc, {}),
    "coconut/manifest": (_manifest, {"features": "waveform"}),
    "continual/mnist": (_idx, {"n_train": 20, "n_valid": 10}),
    "continual/permuted_mnist": (_idx, {"n_train": 20, "n_valid": 10}),
    "continual/cifar10": (_cifar, {"n_train": 20, "n_valid": 10}),
    "cdvg/cmnist": (_idx, {"n_train": 20, "n_valid": 10}),
    "cdvg/drift": (_idx, {"n_train": 20, "n_valid": 10}),
    "cdvg/ccifar10": (_cifar, {"n_train": 20, "n_valid": 10, "severity": 1}),
    "cdvg/bffhq": (_bffhq, {"size": 32}),
    "cdvg/folder": (_folder, {"size": 8}),
    "supremix/agedb": (_faces("agedb.csv"), {"size": 8}),
    "supremix/imdb_wiki": (_faces("imdb_wiki.csv"), {"size": 8}),
    "supremix/tabular": (_table, {}),
    "supremix/timeseries": (_series, {"window": 8, "horizon": 2}),
    "supremix/volumes": (_volumes, {"size": 4}),
    "supremix/stsb": (_pairs, {}),
    "sepclr/cifar_mnist": (_photographs, {"n_valid": 5}),
    "sepclr/celeba": (contrast.celeba, {"size": 8}),
    "sepclr/chexpert": (contrast.chexpert, {"size": 8}),
    "sepclr/odir": (contrast.odir, {"size": 8}),
    "sepclr/folder": (contrast.folders, {}),
    "sepclr/tabular": (contrast.tables, {"salient": ("kind",), "drop": ("patient", "site")}),
    "sepclr/dsprites": (_sprites, {"n_train": 60, "n_valid": 5, "n_test": 10}),
    "slimmable/multimnist": (_idx, {"n_train": 20, "n_valid": 10, "n_test": 10}),
    "slimmable/nyud": (several.nyud, {"height": 24, "width": 32}),
    "slimmable/pascal": (several.pascal, {"side": 32}),
    "slimmable/cifar100": (several.cifar100, {}),
    "peft/text": (_sentences, {"dataset": "own"}),
    "peft/superglue": (_premises, {}),
    "peft/tasks": (_premises, {"tasks": ("cb",)}),
    "decoding/image_questions": (_pictures, {"size": 8}),
    "decoding/image_captions": (_pictures, {"size": 8}),
    "slimmable/folder": (several.folder, {"tasks": {"seg": {"kind": "segmentation", "outputs": 3}}}),
}


# from scikit-learn, or generated: they refuse a root
NO_FILES = {
    *("continual/digits", "slimmable/scenes"),
    *("peft/toy_sentiment", "peft/toy_topic", "peft/toy_nli"),
    *("spoken_world/commands", "spoken_world/images", "spoken_world/contrast"),
    *("spoken_world/regression", "spoken_world/tasks", "spoken_world/sentences"),
    *("decoding/toy_facts", "decoding/toy_scenes", "decoding/toy_stories", "decoding/toy_constraints"),
}


def test_no_data_set_is_left_out() -> None:
    assert set(SETS) | NO_FILES == {entry.name for entry in registry.entries("datasets")}


def _values(source: Source) -> list[torch.Tensor]:
    columns = [c for split in ("train", "valid", "test") for _, c in sorted(source.splits[split].columns.items())]
    values = [c.values if isinstance(c, Ragged) else c for c in columns]
    return [v.gather(torch.arange(len(v))) if isinstance(v, Lazy) else v for v in values]


def _equal(a: Source[Any], b: Source[Any]) -> bool:
    words = [getattr(source.info, "pairs", None) and source.info.pairs.words for source in (a, b)]
    return all(_alike(x, y) for x, y in zip(_values(a), _values(b), strict=True)) and words[0] == words[1]


def _alike(x: torch.Tensor, y: torch.Tensor) -> bool:
    """Missing numbers are alike."""
    return torch.equal(x.nan_to_num(nan=-99.0), y.nan_to_num(nan=-99.0)) if x.is_floating_point() else torch.equal(x, y)


@pytest.mark.parametrize("name", SETS)
def test_two_roots_that_agree_in_names_sizes_and_times(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CACHE", str(tmp_path / "cache"))
    make, options = SETS[name]
    module = registry.dataset(name)
    facts = []
    for k, root in enumerate((tmp_path / "a", tmp_path / "b")):
        root.mkdir()
        make(root, k)
        for path in root.rglob("*"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
        facts.append(
            {str(p.relative_to(root)): (p.stat().st_size, p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}
        )
    assert facts[0] == facts[1]
    config = module.Config(**options)
    a, b, again = (module.load(config, tmp_path / which) for which in "aba")
    assert not _equal(a, b)
    assert a.checksum != b.checksum
    assert _equal(a, again)
    assert a.checksum == again.checksum
    shutil.rmtree(tmp_path / "a")  # the same root later holds other files
    (tmp_path / "b").rename(tmp_path / "a")
    later = module.load(config, tmp_path / "a")
    assert _equal(b, later)
    assert later.checksum == b.checksum


@pytest.mark.parametrize(
    "module", [coconut_slurp, coconut_fsc, coconut_manifest], ids=lambda m: m.__name__.rpartition(".")[2]
)
def test_voices_of_another_seed_are_other_data(module: Any) -> None:
    counts = {"n_train": 1, "n_valid": 1, "n_test": 1}
    small = {"coconut_slurp": {"scenarios": 2}, "coconut_fsc": {"intents": 2}}.get(
        module.__name__.rpartition(".")[2], {}
    )
    first, second = (module.load(module.Config(**counts, **small, seed=seed), None) for seed in (0, 1))
    assert not all(torch.equal(x, y) for x, y in zip(_values(first), _values(second), strict=False))
    assert first.checksum != second.checksum
    assert module.load(module.Config(**counts, **small), None).checksum == first.checksum


def test_rows_that_are_left_out_change_the_checksum(tmp_path: Path) -> None:
    trees.manifest(tmp_path, "jsonl")
    file = tmp_path / "manifest.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text(
        "\n".join(json.dumps({**x, "split": ("train", "train", "valid", "test")[k % 4]}) for k, x in enumerate(lines))
    )
    trees.tone(tmp_path / lines[0]["path"], 0, seconds=2.0, rate=8000)
    whole, cut = (coconut_manifest.load(coconut_manifest.Config(max_seconds=s), tmp_path) for s in (None, 1.0))
    assert (whole.info.too_long_dropped, cut.info.too_long_dropped) == (0, 1)
    assert whole.checksum != cut.checksum


def test_labels_are_part_of_the_checksum(tmp_path: Path) -> None:
    trees.manifest(tmp_path, "jsonl")
    before = coconut_manifest.load(coconut_manifest.Config(), tmp_path).checksum
    file = tmp_path / "manifest.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["entities"] = []
    file.write_text("\n".join(map(json.dumps, lines)))
    assert coconut_manifest.load(coconut_manifest.Config(), tmp_path).checksum != before
