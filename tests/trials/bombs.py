"""Files that are small and promise to be large, and files that run what they hold."""

from __future__ import annotations

import functools
import gzip
import io
import os
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

HUGE = 2**37  # bytes that are promised: 128 GiB


class Runs:
    """A pickle of it runs a command when it is loaded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.canary}",)


def pickled(canary: Path) -> bytes:
    return pickle.dumps({"a": Runs(canary)}, 2)


def zeros_gzip(gib: float = 4.0) -> bytes:
    """A gzip of zeros: 1,000 times smaller than what comes out."""
    file = io.BytesIO()
    block = b"0" * 2**24
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as out:
        for _ in range(int(gib * 64)):
            out.write(block)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data or zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def png_text() -> bytes:
    """An image with a compressed comment of 1 GiB."""
    squeezed = zlib.compressobj(9)
    text = b"".join(squeezed.compress(b"x" * 2**24) for _ in range(64)) + squeezed.flush()
    whole = png(9, 9, zlib.compress((b"\0" + b"\x80" * 27) * 9))
    return whole[:33] + chunk(b"zTXt", b"Comment\0\0" + text) + whole[33:]


def png_real(side: int = 20_000) -> bytes:
    """A whole image of one colour that takes ``3 side**2`` bytes: 1.2 GB of 20,000."""
    squeezed = zlib.compressobj(9)
    row = b"\0" * (3 * side + 1)
    return png(side, side, b"".join(squeezed.compress(row) for _ in range(side)) + squeezed.flush())


def psd() -> bytes:
    return b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 30_000, 30_000, 8, 3) + struct.pack(">III", 0, 0, 0) + b"\0\0"


def bmp() -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


def gif() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + b"\0" * 6 + b"\x2c" + b"\0" * 9 + b"\x02\0;"


def tiff() -> bytes:
    fields = [(256, 4, 100_000), (257, 4, 100_000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 10)]
    body = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in fields)
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", 0)


def npy(shape: str, dtype: str = "<f8", tail: bytes = b"\0" * 64) -> bytes:
    head = f"{{'descr': {dtype if dtype.startswith('[') else repr(dtype)}, 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head) + 1) + head.encode() + b"\n" + tail


def npy_objects(canary: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Runs(canary)], dtype=object), allow_pickle=True)
    return file.getvalue()


def nifti(shape: tuple[int, ...] = (32_767, 32_767, 32_767, 1), kind: int = 64, bits: int = 64) -> bytes:
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<hh", head, 70, kind, bits)
    struct.pack_into("<8f", head, 76, *[1.0] * 8)
    struct.pack_into("<f", head, 108, 352.0)
    head[344:348] = b"n+1\0"
    return bytes(head) + b"\0" * 64


def wav(rate: int = 16_000, channels: int = 1, promised: int | None = None, bits: int = 16, kind: int = 1) -> bytes:
    """0.4 s of noise, or what the header says of it."""
    data = np.random.default_rng(0).integers(-3000, 3000, max(1, min(rate, 96_000) * 2 // 5)).astype("<i2").tobytes()
    size = len(data) if promised is None else promised
    block = channels * bits // 8
    head = struct.pack("<HHIIHH", kind, channels, rate, (rate * block) & 0xFFFFFFFF, block & 0xFFFF, bits)
    return (
        b"RIFF"
        + struct.pack("<I", (36 + size) & 0xFFFFFFFF)
        + b"WAVEfmt \x10\0\0\0"
        + head
        + (b"data" + struct.pack("<I", size & 0xFFFFFFFF) + data)
    )


def rf64(promised: int = HUGE) -> bytes:
    plain = wav()
    sizes = struct.pack("<QQQI", promised, promised, promised // 2, 0)
    return (
        b"RF64\xff\xff\xff\xffWAVEds64"
        + struct.pack("<I", len(sizes))
        + sizes
        + plain[12:40]
        + b"\xff" * 4
        + plain[44:]
    )


def wav_floats(value: float) -> bytes:
    data = np.full(6400, value, "<f4").tobytes()
    head = struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt \x10\0\0\0"
        + head
        + b"data"
        + (struct.pack("<I", len(data)) + data)
    )


def flac(samples: int = 2**36 - 1, rate: int = 16_000) -> bytes:
    """The header of a FLAC file: 20 bits of rate, 36 of samples."""
    packed = (rate << 44) | (0 << 41) | (15 << 36) | samples
    info = struct.pack(">HH", 4096, 4096) + b"\0" * 6 + packed.to_bytes(8, "big") + b"\0" * 16
    return b"fLaC\x80" + len(info).to_bytes(3, "big") + info + b"\xff\xf8" + b"\0" * 64


def idx(shape: tuple[int, ...] = (2**31 - 1, 28, 28)) -> bytes:
    return b"\0\0\x08" + bytes([len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + b"\0" * 100


SOUNDS: dict[str, Callable[[], bytes]] = {
    **{f"{rate} Hz": functools.partial(wav, rate) for rate in (1, 7, 44_101, 48_001, 192_000, 2**31 - 1, 2**32 - 1)},
    "no rate": lambda: wav(0),
    "no channels": lambda: wav(channels=0),
    "1,000 channels": lambda: wav(channels=1000),
    "65,535 channels": lambda: wav(channels=65_535),
    "4 GiB promised": lambda: wav(promised=2**32 - 1),
    "no sound": lambda: wav(promised=0)[:44],
    "128 GiB promised": rf64,
    "FLAC of 2^36 samples": flac,
    "FLAC of 1 Hz": lambda: flac(10**6, 1),
    "no numbers": lambda: wav_floats(float("nan")),
    "infinity": lambda: wav_floats(float("inf")),
    "over all measure": lambda: wav_floats(3e38),
    "an unknown code": lambda: wav(kind=0x7777),
    "0 bits": lambda: wav(bits=0),
}
IMAGES: dict[str, Callable[[], bytes]] = {
    "PNG of 10^10 pixels": lambda: png(100_000, 100_000),
    "PNG of 2^31 columns": lambda: png(2**31 - 1, 1),
    "PNG without a pixel": lambda: png(0, 0),
    "PNG of 1.2 GB": png_real,
    "PNG with a comment of 1 GiB": png_text,
    "PSD": psd,
    "BMP": bmp,
    "GIF": gif,
    "TIFF": tiff,
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "SVG": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
}
ARRAYS: dict[str, Callable[[], bytes]] = {
    "128 GiB promised": lambda: npy(f"({HUGE // 8},)"),
    "a negative size": lambda: npy("(-1, 5, 5)"),
    "more than 2^63": lambda: npy("(4294967296, 4294967296, 4294967296)"),
    "a header of brackets": lambda: npy("(" * 5000 + ")" * 5000),
    "a header that computes": lambda: npy("(9**9**9,)"),
    "objects": lambda: npy("(1,)", "|O"),
    "text": lambda: npy("(16,)", "<U1"),
    "no numbers": lambda: npy("(5, 5, 5)", tail=np.full(125, np.nan).tobytes()),
    "dates": lambda: npy("(8,)", "<M8[s]"),
    "no dimensions": lambda: npy("()"),
    "64 dimensions": lambda: npy("(" + "1," * 64 + ")"),
}
VOLUMES: dict[str, Callable[[], bytes]] = {
    "NIfTI of 2^45 voxels": nifti,
    "NIfTI with a negative size": lambda: nifti((-5, 5, 5)),
    "NIfTI without voxels": lambda: nifti((0, 0, 0)),
    "NIfTI of an unknown kind": lambda: nifti((5, 5, 5), kind=1234),
}


def _alone(make: Callable[[], bytes]) -> Callable[[Path], bytes]:
    return lambda _: make()


def of_suffix(suffix: str) -> Iterator[tuple[str, Callable[[Path], bytes]]]:
    """The bombs for a file of this name, each a function of the canary's path."""
    kinds: list[dict[str, Callable[[], bytes]]] = []
    if suffix in (".wav", ".flac"):
        kinds = [SOUNDS]
    elif suffix in (".png", ".jpg", ".jpeg", ".bmp"):
        kinds = [IMAGES]
    elif suffix in (".npy", ".npz", ".nii"):
        kinds = [ARRAYS, VOLUMES]
        yield "objects that run", npy_objects
    for kind in kinds:
        yield from ((name, _alone(make)) for name, make in kind.items())
    if suffix in (".gz", ".npz", ".csv", ".txt", ".jsonl", ""):
        yield "a gzip of 4 GiB", lambda _: zeros_gzip()
    if suffix in ("", ".npz", ".npy", ".pt", ".pkl", ".bin"):
        yield "a pickle that runs", pickled
        yield "an idx of 2^31 images", lambda _: idx()
