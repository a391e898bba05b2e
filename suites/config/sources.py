"""Where recipes lie (built in, in installed packages, in a user's file), and what each extends."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from . import registry, scratch
from .documents import suggestion
from .errors import Fault
from .layers import Layer, chain

LARGEST = 4 * 2**20  # bytes of a recipe

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Stored:
    """A recipe by name: its text, the folder whose files it may extend (None: none), the package that it is from."""

    name: str
    text: str
    folder: Traversable | None
    origin: str


def is_file(target: str) -> bool:
    """Whether a recipe's name means a file."""
    return target.endswith(SUFFIXES) or "/" in target


def stored() -> dict[str, Stored]:
    """All recipes by name, built-in ones first. A third party's that has a built-in name is left out with a warning."""
    every: dict[str, Stored] = {}
    root = resources.files(f"{registry.PACKAGE}.suites") / "recipes"
    folders = [folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("_")]
    files = [(file, folder) for folder in folders for file in folder.iterdir() if file.name.endswith(".yaml")]
    for file, folder in sorted(files, key=lambda pair: pair[0].name):
        if not file.name.startswith("_"):
            name = file.name.removesuffix(".yaml")
            every[name] = Stored(name, file.read_text(encoding="utf-8"), folder, registry.PACKAGE)
    for point in registry.entry_points("suites"):
        try:
            given = registry.load_foreign(point)
            if not isinstance(given, str | Path):
                raise TypeError(f"it gives no recipe's text or path, but {type(given).__name__}")
            text = read_file(given) if isinstance(given, Path) else given
        except Exception as error:  # a third party's fault must not be ours
            warnings.warn(
                f"the entry point '{point.name}' ({point.value}) is broken and left out: {error}", stacklevel=2
            )
            continue
        origin = registry.origin(point)
        if point.name in every:
            other = every[point.name].origin
            warnings.warn(
                f"two suites are called '{point.name}': that of {origin} is left out beside that of {other}",
                stacklevel=2,
            )
            continue
        every[point.name] = Stored(point.name, text, given.parent if isinstance(given, Path) else None, origin)
    return every


def find(name: str) -> Stored:
    """A recipe by name. Raises Fault with what was probably meant."""
    known = stored()
    if name not in known:
        raise Fault.usage(f"unknown suite '{name}'{suggestion(name, known)}", name, "suites list")
    return known[name]


def read_file(path: Path) -> str:
    """The text of a recipe's file. Raises Fault where it cannot be read, is no regular file or has over 4 MiB."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")
        if path.stat().st_size > LARGEST:
            raise OSError(f"it has {path.stat().st_size} bytes, and a recipe has at most {LARGEST}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Fault.usage(f"cannot read the recipe: {error}", str(path), "suites list") from error


def layers(target: str) -> list[Layer]:
    """The recipe of a name or a file, and below it all that it extends."""
    if not is_file(target):
        return layers_of(find(target))
    locator = _Locator({}, {target: Path(target).parent})
    return _pinned(chain(read_file(Path(target)), target, locator), locator)


def layers_of(recipe: Stored) -> list[Layer]:
    """A stored recipe, and below it all that it extends."""
    locator = _Locator({recipe.name: recipe.folder}, {})
    return _pinned(chain(recipe.text, recipe.name, locator), locator)


def _pinned(layers: list[Layer], locator: _Locator) -> list[Layer]:
    """The layers, with the files of the user's own that they name (:mod:`.scratch`) by whole path and hash."""
    for layer in layers:
        scratch.pin_document(layer.document, locator.own.get(layer.where), layer.where)
    return layers


class _Locator:
    """Reads what a recipe extends: a suite by name, or a file beside it (a user's file: any path from there)."""

    def __init__(self, stored: dict[str, Traversable | None], own: dict[str, Path]) -> None:
        self.stored, self.own = stored, own  # where a text stands -> its folder, of packages and of the user

    def __call__(self, parent: str, where: str) -> tuple[str, str]:
        if not is_file(parent):
            recipe = find(parent)
            self.stored[recipe.name] = recipe.folder
            return recipe.text, recipe.name
        if where in self.own:
            path = self.own[where] / parent
            self.own[str(path)] = path.parent
            return read_file(path), str(path)
        folder = self.stored[where]
        if folder is None or "/" in parent or not (folder / parent).is_file():
            raise Fault.recipe(
                f"extends: there is no file '{parent}' beside this recipe", where, "extend a suite by its name"
            )
        name = f"{folder.name}/{parent}"
        self.stored[name] = folder
        return (folder / parent).read_text(encoding="utf-8"), name
