"""Real data beside the checkout in released layouts: ``python tests/datasets/shared.py NAME SHARED_DATA OUT``.

NAME is fsdd, slurp, cifar10 or rotated. ``fsdd`` writes the Free Spoken Digit Dataset as WAV files and a manifest;
``slurp`` the annotations of SLURP in the released layout, with the training sentences from MASSIVE's en-US text
(same ids; no entities, no recordings there); ``cifar10`` the binary files of CIFAR-10 (two training batches, a
tenth of the test batch: what is there); ``rotated`` two folders in AgeDB's layout, ``mnist`` and ``digits``
(scikit-learn's), whose images are turned by the "age" in degrees: a source and a target of transfer. MNIST's idx
files are there as released.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from holdfast.datasets.readers.idx import read_idx
from holdfast.datasets.supremix.faces import ANGLES, rotate

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def data_root() -> Path | None:
    """The shared data: HOLDFAST_SHARED_DATA, else ../shared/data beside the checkout; None where there is none."""
    path = Path(os.environ.get("HOLDFAST_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    return path if path.is_dir() else None


def fsdd(data: Path, out: Path, takes: int | None = None, split: str = "speaker") -> Path:
    """WAV files at 8 kHz and ``manifest.csv``.

    ``split="speaker"`` writes no split, so that the data set leaves speakers out; ``"take"`` writes the released one,
    the same six speakers in every split: test the takes 0 to 4, valid 5 to 7, train the rest (up to ``takes``).
    """
    sound = np.load(io.BytesIO(lzma.decompress((data / "fsdd" / "audio_int16_8k.npy.xz").read_bytes())))
    (out / "clips").mkdir(parents=True, exist_ok=True)
    with (
        gzip.open(data / "fsdd" / "clips.csv.gz", "rt") as file,
        (out / "manifest.csv").open("w", newline="") as target,
    ):
        writer = csv.writer(target)
        writer.writerow(["path", "transcription", "intent", "speaker", *(["split"] if split == "take" else [])])
        for row in csv.DictReader(file):
            take = int(row["take"])
            if takes is not None and take >= takes:
                continue
            part = row["split"] if row["split"] == "test" else "valid" if take < 8 else "train"
            start, length = int(row["offset"]), int(row["length"])
            soundfile.write(out / "clips" / row["file"], sound[start : start + length], 8000)
            word = WORDS[int(row["digit"])]
            writer.writerow([f"clips/{row['file']}", word, word, row["speaker"], *([part] if split == "take" else [])])
    return out


def slurp(data: Path, out: Path) -> Path:
    """``dataset/slurp/{train,devel,test}.jsonl``."""
    folder = out / "dataset" / "slurp"
    folder.mkdir(parents=True, exist_ok=True)
    for stem in ("devel", "test"):
        (folder / f"{stem}.jsonl").write_bytes(gzip.decompress((data / "slurp" / f"{stem}.jsonl.gz").read_bytes()))
    with (
        gzip.open(data / "slurp" / "massive_en_us_train.jsonl.gz", "rt") as file,
        (folder / "train.jsonl").open("w") as target,
    ):
        for line in file:
            row = json.loads(line)
            scenario, _, action = row["label_text"].partition("_")
            document = {
                "slurp_id": int(row["id"]),
                "sentence": row["text"],
                "scenario": scenario,
                "action": action,
                "tokens": [],
                "entities": [],
                "recordings": [],
            }
            target.write(json.dumps(document) + "\n")
    return out


def cifar_part(data: Path, part: str) -> tuple[Any, Any]:
    """Planes [N, 3, 32, 32] uint8 and labels [N]; the file holds differences of (g, r - g, b - g), modulo 256."""
    raw = np.frombuffer(gzip.decompress((data / "cifar10" / f"{part}.rgb2d.gz").read_bytes()), np.uint8).reshape(
        3, -1, 32, 32
    )
    g, r, b = np.cumsum(np.cumsum(raw, axis=3, dtype=np.uint8), axis=2, dtype=np.uint8)
    with np.load(data / "cifar10" / "labels.npz") as labels:
        return np.stack([r + g, g, b + g], 1), labels[part]


def cifar10(data: Path, out: Path, rows: int | None = None) -> Path:
    """``cifar-10-batches-bin/{data_batch_1,data_batch_2,test_batch}.bin``; ``rows``: at most so many images a batch."""
    folder = out / "cifar-10-batches-bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, parts in (("data_batch_1", "01"), ("data_batch_2", "23"), ("test_batch", ("test_0",))):
        split = [cifar_part(data, part if part.startswith("test") else f"train_{part}") for part in parts]
        images, labels = (np.concatenate(arrays)[:rows] for arrays in zip(*split, strict=True))
        lines = np.concatenate([labels[:, None].astype(np.uint8), images.reshape(len(images), -1)], 1)
        (folder / f"{name}.bin").write_bytes(lines.tobytes())
    return out


def rotated(data: Path, out: Path, train: int = 4000, held_out: int = 610) -> Path:
    """``mnist`` (4,000 training images) and ``digits`` (1,200), 16 px, angles 0 to 60; no digit is in two splits."""
    from PIL import Image
    from sklearn.datasets import load_digits

    real = read_idx(data / "mnist" / "train-images-idx3-ubyte.gz").astype(np.float32) / 255
    made = np.asarray(load_digits().images, dtype=np.float32) / 16
    for name, images, n in (("mnist", real, train), ("digits", made, min(train, 1200))):
        (out / name / "AgeDB").mkdir(parents=True, exist_ok=True)
        parts = np.split(
            np.random.default_rng(0).permutation(len(images)), [len(images) * 6 // 10, len(images) * 8 // 10]
        )
        rows = ["age,path,split"]
        for split, part, count in zip(("train", "val", "test"), parts, (n, held_out, held_out), strict=True):
            angle = torch.arange(count) % ANGLES
            chosen = torch.from_numpy(images[part[np.arange(count) % len(part)]])[:, None]
            turned = rotate(chosen, angle.float()).numpy()[:, 0]
            for i, (image, degrees) in enumerate(zip(turned, angle.tolist(), strict=True)):
                path = f"AgeDB/{split}{i}_Digit_{degrees}_m.png"
                Image.fromarray(image).save(out / name / path)
                rows.append(f"{degrees},{path},{split}")
        (out / name / "agedb.csv").write_text("\n".join(rows) + "\n")
    return out


if __name__ == "__main__":
    {"fsdd": fsdd, "slurp": slurp, "cifar10": cifar10, "rotated": rotated}[sys.argv[1]](
        Path(sys.argv[2]), Path(sys.argv[3])
    )
