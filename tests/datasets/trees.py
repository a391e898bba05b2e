"""Small trees in the released layouts, with generated tones as recordings and noise as images."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

SCENARIOS = {
    "alarm": ("set", "query"),
    "iot": ("hue_lightoff", "coffee"),
    "play": ("music", "radio"),
    "weather": ("query", "warn"),
}


def tone(path: Path, number: int, seconds: float = 0.4, rate: int = 16_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(seconds * rate)) / rate
    x = 0.3 * np.sin(2 * np.pi * (200 + 37 * (number % 50)) * t) + 0.01 * np.random.default_rng(number).standard_normal(
        len(t)
    )
    soundfile.write(path, x.astype(np.float32), rate)


def slurp(root: Path, per_intent: int = 3) -> Path:
    """dataset/slurp/*.jsonl, audio/slurp_real|slurp_synth/*.flac: two recordings a sentence."""
    number = 0
    for stem, count in (("train", per_intent), ("devel", 1), ("test", 2), ("train_synthetic", 1)):
        lines = []
        for scenario, actions in SCENARIOS.items():
            for action in actions:
                for k in range(count):
                    words = ["please", action.replace("_", " ").split()[-1], "it", f"at{k}", "O'Clock" if k else "noon"]
                    names = [f"audio-{stem}{number}{tail}.flac" for tail in ("-headset", "")]
                    if stem == "train_synthetic":
                        names = [f"audio-synth{number}.flac"]
                    number += 1
                    for name in names:
                        tone(root / "audio" / ("slurp_synth" if "synth" in name else "slurp_real") / name, number)
                    lines.append(
                        {
                            "slurp_id": number,
                            "sentence": " ".join(words).lower(),
                            "scenario": scenario,
                            "action": action,
                            "intent": f"{scenario}_other",
                            "tokens": [{"surface": w, "id": i} for i, w in enumerate(words)],
                            "entities": [{"span": [3, 4], "type": "time"}],
                            "recordings": [
                                {"file": name, "wer": 0.0, "ent_wer": None, "status": "correct"} for name in names
                            ],
                        }
                    )
        path = root / "dataset" / "slurp" / f"{stem}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def fsc(root: Path) -> Path:
    """data/*.csv with quoted commas, wavs/speakers/<speaker>/<n>.wav."""
    intents = [
        ("activate", "lights", "kitchen"),
        ("deactivate", "music", "none"),
        ("change language", "none", "none"),
        ("bring", "juice", "none"),
    ]
    base = root / "fluent_speech_commands_dataset"
    number = 0
    for split, count in (("train", 4), ("valid", 1), ("test", 2)):
        path = base / "data" / f"{split}_data.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["", "path", "speakerId", "transcription", "action", "object", "location"])
            for action, thing, place in intents:
                for k in range(count):
                    name = f"wavs/speakers/{split}{k}/{number}.wav"
                    tone(base / name, number)
                    writer.writerow(
                        [number, name, f"{split}{k}", f"Please, {action} the {thing} {k}", action, thing, place]
                    )
                    number += 1
    return root


def manifest(root: Path, kind: str = "csv", per_intent: int = 8) -> Path:
    """manifest.csv or .jsonl of three intents and four speakers, 8 kHz."""
    rows: list[dict[str, Any]] = []
    for c, word in enumerate(("one", "two", "three")):
        for k in range(per_intent):
            name = f"clips/{word}_{k}.wav"
            tone(root / name, 10 * c + k, rate=8000)
            rows.append(
                {
                    "path": name,
                    "transcription": f"number {word}",
                    "intent": word,
                    "speaker": f"s{k % 4}",
                    "entities": [{"type": "digit", "filler": word}],
                }
            )
    if kind == "jsonl":
        (root / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with (root / "manifest.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows([{**row, "entities": json.dumps(row["entities"])} for row in rows])
    return root


def cifar(root: Path, kind: str = "py", batches: int = 5, rows: int = 12) -> Path:
    """cifar-10-batches-py or -bin: ``rows`` images a batch, classes in turn, an image's first value its number."""
    folder = root / f"cifar-10-batches-{kind}"
    folder.mkdir(parents=True)
    for k, name in enumerate([*(f"data_batch_{b + 1}" for b in range(batches)), "test_batch"]):
        data = np.random.default_rng(k).integers(0, 256, (rows, 3072), dtype=np.uint8)
        data[:, 0] = np.arange(rows) + k * rows
        labels = (np.arange(rows) + k * rows) % 10
        if kind == "py":
            document = {
                b"batch_label": name.encode(),
                b"labels": labels.tolist(),
                b"data": data,
                b"filenames": [b"x.png"] * rows,
            }
            (folder / name).write_bytes(pickle.dumps(document, 2))
        else:
            (folder / f"{name}.bin").write_bytes(np.concatenate([labels[:, None].astype(np.uint8), data], 1).tobytes())
    return root


def disent(
    root: Path, name: str, side: int, share: str = "0.5pct", spelling: str = "conflict", classes: int = 10
) -> Path:
    """DisEnt's tree of one share: of each class two training images and one of each other split."""

    def put(where: str, y: int, b: int) -> None:
        path = root / name / where / f"image_{y}_{b}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((side, side, 3), 20 * y + b, np.uint8)).save(path)

    for y in range(classes):
        put(f"{share}/align/{y}", y, y)
        put(f"{share}/{spelling}/{y}", y, (y + 1) % classes)
        put("valid" if name == "bffhq" else f"{share}/valid", y, y)  # flat
        put("test" if name == "bffhq" else f"test/{y}", y, (y + 1) % classes)
    return root


def lff(root: Path, name: str, side: int, rows: int = 40) -> Path:
    """LfF's arrays in the folder ``name``: every fifth training image contradicts, half of ``valid``."""
    for k, part in enumerate(("train", "valid")):
        folder = root / name / part
        folder.mkdir(parents=True)
        labels = np.arange(rows) % 10
        bias = np.where(np.arange(rows) % (5, 2)[k] == 0, (labels + 3) % 10, labels)
        images = np.random.default_rng(k).integers(0, 256, (rows, side, side, 3), dtype=np.uint8)
        images[:, 0, 0, 0] = labels
        np.save(folder / "images.npy", images)
        np.save(folder / "attrs.npy", np.stack([labels, bias], 1).astype(np.uint8))
        (folder / "attr_names.pkl").write_bytes(b"not opened")
    return root


def idx(root: Path, train: int = 40, test: int = 10, seed: int = 0) -> Path:
    """MNIST's four idx files of noise; the digits 0 to 9 in turn."""
    for stem, count in (("train", train), ("t10k", test)):
        images = np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        head = b"\x00\x00\x08"
        shape = b"".join(n.to_bytes(4, "big") for n in images.shape)
        (root / f"{stem}-images-idx3-ubyte").write_bytes(head + b"\x03" + shape + images.tobytes())
        labels = (np.arange(count) % 10).astype(np.uint8)
        (root / f"{stem}-labels-idx1-ubyte").write_bytes(head + b"\x01" + count.to_bytes(4, "big") + labels.tobytes())
    return root
