"""Models and tokenizers of ``transformers`` by name: a local folder, else the hub's cache on this machine, else the
hub.

What is loaded is untrusted: code that a model brings is never run (nor is the user asked), weights are safetensors or
a pickle of tensors alone.
"""

from __future__ import annotations

import pickle
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from ..base import UnfitError

FIELD = "model.options.encoder_name"
PRETRAINED = "model.options.pretrained"
MAY_LACK = ("pooler.", "masked_spec_embed")  # that pretraining often has not; a pooler is left out then


def model(name: str, revision: str | None = None) -> Any:
    """``AutoModel`` in float32, without a pooler where the files hold none; torch's generators are where they were.
    Raises as :func:`_found` does, and UnfitError where the files lack weights, which would be random.
    """
    import_transformers()
    from transformers import AutoModel

    return _weights(AutoModel.from_pretrained, name, revision)


def causal(name: str, revision: str | None = None) -> Any:
    """``AutoModelForCausalLM`` in float32; torch's generators are where they were. Raises as :func:`model` does."""
    import_transformers()
    from transformers import AutoModelForCausalLM

    return _weights(AutoModelForCausalLM.from_pretrained, name, revision, PRETRAINED)


def image_text(name: str, revision: str | None = None) -> Any:
    """``AutoModelForImageTextToText`` in float32; torch's generators are where they were. Raises as :func:`model`."""
    import_transformers()
    from transformers import AutoModelForImageTextToText

    return _weights(AutoModelForImageTextToText.from_pretrained, name, revision, PRETRAINED)


def _weights(load: Callable[..., Any], name: str, revision: str | None, field: str = FIELD) -> Any:
    from transformers.utils import logging as progress

    with torch.random.fork_rng(devices=[]):  # a freshly made head must not move the run's generator
        shown = progress.is_progress_bar_enabled()
        progress.disable_progress_bar()  # standard error is ours
        try:
            options = {"dtype": torch.float32, "weights_only": True, "output_loading_info": True}
            loaded, report = _found(load, name, revision, field, **options)
        finally:
            if shown:
                progress.enable_progress_bar()
    absent = sorted(report["missing_keys"])
    if any(key.startswith("pooler.") for key in absent):
        loaded.pooler = None
    lost = [key for key in absent if not key.startswith(MAY_LACK)]
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise UnfitError(
            f"{field}: '{name}' lacks weights of its model: {', '.join(lost[:3])}{more}; they would be random. "
            "Save the model again, whole"
        )
    return loaded


def tokenizer(name: str, revision: str | None = None, field: str = FIELD) -> Any:
    """``AutoTokenizer``. Raises as :func:`_found` does."""
    import_transformers()
    from transformers import AutoTokenizer

    return _found(AutoTokenizer.from_pretrained, name, revision, field)


def processor(name: str, revision: str | None = None) -> Any:
    """``AutoProcessor``, whose pictures torchvision prepares: it takes pixels that are no bytes, as Pillow does not.

    Raises as :func:`_found` does, and UnfitError where the files describe none, one without pictures and words, or one
    that needs another package.
    """
    import_transformers()
    from transformers import AutoProcessor

    try:
        found = _found(AutoProcessor.from_pretrained, name, revision, PRETRAINED, backend="torchvision")
    except (ImportError, AttributeError, TypeError, KeyError) as error:  # of the library's own processors
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UnfitError(f"{PRETRAINED}: the processor of '{name}' cannot be made: {reason}") from error
    pictures, words = (getattr(found, part, None) for part in ("image_processor", "tokenizer"))
    if pictures is None or words is None:
        raise UnfitError(f"{PRETRAINED}: '{name}' has no processor of pictures and words")
    if type(pictures).__name__.endswith("Pil"):
        raise UnfitError(f"{PRETRAINED}: the pictures of '{name}' cannot be prepared by torchvision")
    return found


def config(name: str, revision: str | None = None, field: str = FIELD) -> Any:
    """``AutoConfig``. Raises as :func:`_found` does."""
    import_transformers()
    from transformers import AutoConfig

    return _found(AutoConfig.from_pretrained, name, revision, field)


def import_transformers() -> None:
    """Raises ModuleNotFoundError that says what to install."""
    try:
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("pretrained encoders need transformers: pip install 'holdfast[text]'") from error


def _found(load: Callable[..., Any], name: str, revision: str | None, field: str = FIELD, **options: Any) -> Any:
    """What ``load`` makes of the name: from this machine, and only where it is not here from the hub. ``field``: of the
    recipe, that names it.

    Raises:
        FileNotFoundError: no such model in a folder, in the cache or on the hub, or nothing that can be read.
        UnfitError: the model asks for code of its own, or its weights are a pickle that names more than tensors.
    """
    from safetensors import SafetensorError

    failed = (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError)  # not there, cut, hostile
    # False, not the default: with None the library asks on the terminal, and runs the code where the answer is yes
    local = {"revision": revision or "main", "trust_remote_code": False, **options}
    location = str(Path(name).expanduser()) if name.startswith("~") else name
    try:
        return load(location, local_files_only=True, **local)
    except failed as error:
        first = error
    if not Path(location).exists() and not name.startswith((".", "/", "~")) and _answers():
        try:
            return load(location, **local)
        except failed as error:
            first = error
    if "trust_remote_code" in str(first):
        raise UnfitError(
            f"{field}: '{name}' needs code that comes with the model, and such code is never run: it "
            "could do anything on this machine. "
            "Name a model that the library transformers knows by itself"
        ) from first
    if isinstance(first, pickle.UnpicklingError):
        raise UnfitError(
            f"{field}: the weights of '{name}' are read where they are safetensors or a pickle of "
            "tensors alone, and these are neither: "
            "another pickle could run code. Save the model again with safetensors"
        ) from first
    reason = next(iter(str(first).splitlines()), type(first).__name__)
    raise FileNotFoundError(
        f"there is no readable transformers model '{name}': neither a folder here, nor in the hub's "
        "cache, nor a name that the hub gives out "
        f"({reason}). Where there is no internet, save the model in a folder and name that in {field}"
    ) from first


def _answers() -> bool:
    """Whether somebody listens where the hub is (or a proxy is asked): without one its client would try for most of a
    minute.
    """
    from huggingface_hub import constants

    if urllib.request.getproxies():
        return True
    endpoint = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection(
            (endpoint.hostname or "", endpoint.port or (80 if endpoint.scheme == "http" else 443)), timeout=5
        ).close()
    except OSError:
        return False
    return True
