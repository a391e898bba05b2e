"""Files whose headers promise more than they hold, or than memory may take: refused before anything is allocated."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import struct
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
import soundfile
import torch
from holdfast.datasets.core import limits
from holdfast.datasets.core.errors import DataError
from holdfast.datasets.readers.arrays import load_array
from holdfast.datasets.readers.audio import fault_of, read_audio
from holdfast.datasets.readers.images import read_image
from holdfast.datasets.readers.volumes import nifti
from PIL import Image

MIB = 1 / 1024  # in GiB


def npy(path: Path, shape: tuple[int, ...], held: int) -> Path:
    """A ``.npy`` file of float64 whose header says ``shape``, with ``held`` bytes behind it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        file.write(bytes(held))
    return path


def test_an_array_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="promises 8796093022208 bytes of values, and it holds 64"):
        load_array(npy(tmp_path / "a.npy", (2**40,), 64))
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(DataError, match="no regular file"):
        load_array(tmp_path / "pipe.npy")


def test_an_array_that_memory_may_not_take(tmp_path: Path) -> None:
    path = npy(tmp_path / "a.npy", (2**17,), 2**20)
    assert load_array(path).shape == (2**17,)
    with limits.using(MIB), pytest.raises(DataError, match=r"a\.npy.*about 2 MiB.*data\.max_gib"):
        load_array(path)


def volume(shape: tuple[int, ...], behind: int = 0, claimed: tuple[int, ...] = ()) -> bytes:
    raw = bytearray(nibabel.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)).to_bytes())
    if claimed:
        struct.pack_into(f"<{len(claimed)}h", raw, 42, *claimed)
    return bytes(raw) + bytes(behind)


def test_a_volume_that_unpacks_without_end(tmp_path: Path) -> None:
    bomb, whole = tmp_path / "bomb.nii.gz", tmp_path / "whole.nii.gz"
    bomb.write_bytes(gzip.compress(volume((4, 4, 4), behind=2**26)))
    whole.write_bytes(gzip.compress(volume((4, 4, 4), behind=100)))
    assert nifti(whole).shape == (4, 4, 4)
    tracemalloc.start()
    with pytest.raises(DataError, match="more than 1 MiB behind the last of its 64 values"):
        nifti(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_a_volume_that_promises_more_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.nii"
    path.write_bytes(volume((4, 4, 4), claimed=(30_000, 30_000, 30_000)))
    with pytest.raises(DataError, match=r"27000000000000 values: about .* GiB"):
        nifti(path)


def flac(frames: int) -> bytes:
    """A FLAC file of a tenth of a second whose header promises ``frames``."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1600, np.float32), 16_000, format="FLAC")
    raw = bytearray(file.getvalue())
    promised = int.from_bytes(raw[18:26], "big") & ~(2**36 - 1) | frames
    raw[18:26] = promised.to_bytes(8, "big")
    return bytes(raw)


def test_a_recording_that_promises_more_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac(2**36 - 1))
    said = r"68719476735 frames take about .* GiB of memory, and data\.max_gib allows"
    with pytest.raises(DataError, match=said):
        read_audio(path)
    assert "68719476735 frames" in str(fault_of(path))


def test_a_recording_that_promises_more_than_it_holds_takes_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(flac(50_000_000))
    tracemalloc.start()
    with contextlib.suppress(DataError):  # libsndfile may refuse it
        assert len(read_audio(tmp_path / "a.flac")) == 1600
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


@pytest.mark.parametrize("rate", [44_101, 48_001, 7_999])
def test_a_rate_that_does_not_reduce(rate: int, tmp_path: Path) -> None:
    """A tone keeps its height and its strength, as it does at the rate beside it that reduces."""
    n = rate // 2
    tone = np.sin(2 * np.pi * 440 * np.arange(n) / rate).astype(np.float32) * 0.5
    soundfile.write(tmp_path / "a.wav", tone, rate, subtype="FLOAT")
    x = read_audio(tmp_path / "a.wav")
    assert abs(len(x) - n * 16_000 / rate) <= 1
    expected = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(len(x)) / 16_000)
    assert (x - expected)[400:-400].abs().max() < 5e-3


def test_a_rate_that_is_none_of_speech(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(10, np.float32), 1)
    with pytest.raises(DataError, match="a rate of 1 Hz; speech needs 2000 Hz or more"):
        read_audio(tmp_path / "a.wav")
    assert "1 Hz" in str(fault_of(tmp_path / "a.wav"))


def test_an_image_that_memory_may_not_take(tmp_path: Path) -> None:
    Image.new("L", (1000, 1000)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 8).shape == (8, 8, 3)
    with limits.using(MIB), pytest.raises(DataError, match=r"1000 x 1000 pixels: about .*data\.max_gib"):
        read_image(tmp_path / "a.png", 8)


def test_the_limit_is_half_of_the_machine_and_the_innermost_counts() -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert limits.largest() == machine // 2
    with limits.using(2), limits.using(0.5):
        assert limits.largest() == 2**29
        limits.require(2**29, "just fits")
        with pytest.raises(DataError, match=r"one more: about 512 MiB"):
            limits.require(2**29 + 1, "one more")
    assert limits.largest() == machine // 2
