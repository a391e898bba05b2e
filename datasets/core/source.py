"""What a data set hands to a run: tables, class names, and typed facts about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, cast

from typing_extensions import TypeVar

from .errors import DataError
from .inputs import Inputs

if TYPE_CHECKING:
    from torch import Tensor

    from .table import Table
    from .transcript import Tokenizer

Features = Literal["log_mel", "waveform"]
Modality = Literal["table", "image", "series", "volume", "text"]
Carrier = Literal["foreground", "background", "patch"]


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """Facts about the rows that no column holds. A data set gives a subclass; a network or an evaluator asks for the
    subclass that it reads with :func:`require`.

    A subclass with facts of each row overrides :meth:`with_rows`, so that they follow the rows.

    ``inputs``: how a file becomes a row, for ``suites predict``; None: the data set does not say.
    """

    inputs: Inputs | None = None

    def with_rows(self, split: str, other: DataInfo, other_split: str, rows: Tensor | None = None) -> Self:
        """These facts, where the rows of ``split`` are the rows ``rows`` [M] (None: all) of ``other_split`` in a data
        set with the facts ``other``. Raises DataError where those cannot be joined.
        """
        return self

    def fitted(self, table: Table, other: DataInfo) -> Table:
        """Rows of a data set with the facts ``other`` as rows of one with these."""
        return table


@dataclass(frozen=True, kw_only=True)
class ClassInfo(DataInfo):
    """Labelled classes and a second attribute, the bias.

    ``classes``: C, number of classes; networks size their head by it.
    ``usual``: number of the bias that is usual for each class, [C]; rows with it are aligned. Empty: bias c is that of
    class c. Read by the problem ``groups``, the translation check and ``suites data check``.
    ``biases``: names of the biases by number, [number of biases]; empty where they have none. ``suites data check``.
    """

    classes: int
    usual: tuple[int, ...] = ()
    biases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.usual:
            object.__setattr__(self, "usual", tuple(range(self.classes)))

    def fitted(self, table: Table, other: DataInfo) -> Table:
        """With a column ``usual`` where another bias is usual there."""
        if not isinstance(other, ClassInfo) or other.usual == self.usual or "usual" in table.columns:
            return table
        import torch

        label = table.columns["label"]
        assert isinstance(label, torch.Tensor)
        return type(table)({**table.columns, "usual": torch.tensor(other.usual)[label]})


@dataclass(frozen=True)
class Colours:
    """What carries the colour of a coloured set, for the oracle that repaints it.

    ``carrier``: the figure, the ground, or a corner of a quarter of the side. ``palette``: RGB in [0, 1] of each bias,
    [number of biases, 3].
    """

    carrier: Carrier
    palette: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, kw_only=True)
class ImageInfo(ClassInfo):
    """Square images: column ``image`` [N, channels, size, size], bytes.

    ``channels``: 3 for RGB. ``size``: side in pixels. Both are read by the network ``images``.
    ``colours``: what carries the bias where it is a colour, else None; read by ``cdvg_oracle`` alone.
    """

    channels: int
    size: int
    colours: Colours | None = None


@dataclass(frozen=True)
class Annotation:
    """What a recording says: ``scenario`` and ``action`` of its intent, the words, and ``entities`` as (type,
    filler).
    """

    id: str
    scenario: str
    action: str
    sentence: str
    entities: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Transcripts:
    """What a speech network adds when it prepares the data.

    ``tokenizer``: of the column ``tokens``. ``targets``: extended transcripts of each split, [rows of the split];
    empty for a trained model that is loaded without its data. ``d_acoustic``: width of the acoustic encoder's
    outputs. Read by the network itself, the problem ``speech`` and ``suites predict``.
    """

    tokenizer: Tokenizer
    targets: Mapping[str, Sequence[str]]
    d_acoustic: int


@dataclass(frozen=True, kw_only=True)
class SpeechInfo(DataInfo):
    """Recordings of commands: ragged column ``features``.

    ``features``: what its rows are: log-mel frames [T, 40] every 10 ms, or samples [n] at 16 kHz; networks choose their
    encoder by it. ``intents``: names by the number in the column ``intent``; ``annotations``: of each split,
    [rows of the split]. Both are read by speech networks when they prepare the data, annotations by the problem too.
    ``transcripts``: None until a network has prepared the data.
    ``faults_skipped``, ``unknown_intents_dropped``, ``too_long_dropped``: rows that were left out, for people.
    """

    features: Features = "log_mel"
    intents: tuple[str, ...] = ()
    annotations: Mapping[str, Sequence[Annotation]] = field(default_factory=dict)
    transcripts: Transcripts | None = None
    faults_skipped: int = 0
    unknown_intents_dropped: int = 0
    too_long_dropped: int = 0

    def with_rows(self, split: str, other: DataInfo, other_split: str, rows: Tensor | None = None) -> Self:
        if not isinstance(other, SpeechInfo) or (other.intents, other.features) != (self.intents, self.features):
            raise DataError("recordings can be joined where intents and features are the same in both data sets")
        return replace(self, annotations={**self.annotations, split: _picked(other.annotations[other_split], rows)})

    @property
    def prepared(self) -> Transcripts:
        """:attr:`transcripts`. Raises DataError where no network has prepared the data."""
        if self.transcripts is None:
            raise DataError("these recordings have no token column yet: a speech network prepares the data first")
        return self.transcripts


@dataclass(frozen=True)
class ShotBins:
    """Bins of a label and which of them have many, a medium number of, or few training rows.

    The bin of a label y is ``floor((y - origin) / width)``, clipped to 0..``last`` where that is given; ``width`` and
    ``origin`` are in units of the label. Fixed lists ``many`` and ``medium`` of bin numbers (the rest is few), or,
    where ``many`` is None, the bin's training rows: many above ``many_above``, few below ``few_below``. Read by the
    problem ``regression``.
    """

    width: float = 1.0
    origin: float = 0.0
    last: int | None = None
    many_above: int = 100
    few_below: int = 20
    many: frozenset[int] | None = None
    medium: frozenset[int] = frozenset()


@dataclass(frozen=True)
class TextPairs:
    """Pairs of sentences: ragged columns ``first`` and ``second`` of word numbers (0 pads, 1 is an unknown word).

    ``words``: number of each known word, from 2 on. ``texts``: the pairs of each split, [rows of the split]; networks
    with a tokenizer of their own read them instead of the columns.
    """

    words: Mapping[str, int]
    texts: Mapping[str, Sequence[tuple[str, str]]]

    @property
    def vocabulary(self) -> int:
        """Word numbers in all, padding and the unknown word included."""
        return len(self.words) + 2


@dataclass(frozen=True)
class Tokens:
    """A text model's own tokens, added when it prepares the data; read by the network ``regression``.

    ``pad``: the number that pads. ``kept``: special tokens that no view drops. ``unknown``: what a dropped token
    becomes. ``types``: whether there is a column ``pair_types`` [N, L] that says which text a token is of. ``size``:
    tokens known.
    """

    pad: int
    kept: tuple[int, ...]
    unknown: int
    types: bool
    size: int


@dataclass(frozen=True, kw_only=True)
class RegressionInfo(DataInfo):
    """Rows with a number as column ``label``; inputs in the column ``x``, of texts in ``first`` and ``second``.

    ``modality``: chooses encoder and views of the network ``regression``. ``input_shape``: of a row of ``x``; empty for
    texts. ``flip``: whether a mirrored image has the same label; views flip only then. ``label_name``: the target's
    name in pictures. ``shots``: None where the problem is to make no difference between frequent and rare labels.
    ``pairs``: of texts alone. ``tokens``: None unless a text model has prepared the data.
    """

    modality: Modality
    input_shape: tuple[int, ...] = ()
    flip: bool = False
    label_name: str = "label"
    shots: ShotBins | None = None
    pairs: TextPairs | None = None
    tokens: Tokens | None = None

    def with_rows(self, split: str, other: DataInfo, other_split: str, rows: Tensor | None = None) -> Self:
        if self.pairs is None:
            return self
        if not isinstance(other, RegressionInfo) or other.pairs is None or other.pairs.words != self.pairs.words:
            raise DataError("texts can be joined where words have the same numbers in both data sets")
        texts = {**self.pairs.texts, split: _picked(other.pairs.texts[other_split], rows)}
        return replace(self, pairs=replace(self.pairs, texts=texts))


V = TypeVar("V")


def _picked(values: Sequence[V], rows: Tensor | None) -> Sequence[V]:
    return values if rows is None else [values[row] for row in rows.tolist()]


I_co = TypeVar("I_co", bound=DataInfo, default=DataInfo, covariant=True)
K = TypeVar("K", bound=DataInfo)


def require(info: DataInfo, kind: type[K], who: str) -> K:
    """``info`` as the ``kind`` that ``who`` reads. Raises DataError where the data set gives another."""
    if not isinstance(info, kind):
        raise DataError(f"{who} reads data with a {kind.__name__}, and this data set gives a {type(info).__name__}")
    return info


@dataclass(frozen=True)
class Source(Generic[I_co]):
    """What a data set hands to a run.

    ``splits`` holds the tables ``train``, ``valid`` and ``test`` (and, of image sets, ``unbiased``); ``class_names``
    names the values of the column ``label``, by which class-incremental streams are split; ``info`` are the facts
    that networks and evaluators read; ``source`` is ``stand-in``, ``real`` or ``real-text-spoken``; ``checksum``
    identifies the data. ``random_split``: the data set's seed draws train and test anew from one table, so that the
    rows of two seeds overlap. ``sets``: splits that the recipe names as evaluation sets -> checksum of their data.
    ``drawn``: rows of the splits that a transform has changed, before it did.
    """

    splits: Mapping[str, Table]
    class_names: Sequence[str]
    info: I_co
    source: str
    checksum: str
    random_split: bool = False
    sets: Mapping[str, str] = field(default_factory=dict)
    drawn: Mapping[str, int] = field(default_factory=dict)

    def reading(self, kind: type[K], who: str) -> Source[K]:
        """This source, with the type of its ``info`` known. Raises DataError as :func:`require`."""
        require(self.info, kind, who)
        return cast("Source[K]", self)


def described(source: Source[DataInfo]) -> dict[str, Any]:
    """Rows and columns of every split: of ``label`` the rows of each class, or least, mean and largest value."""
    import torch

    document: dict[str, Any] = {"source": source.source}
    for split, table in source.splits.items():
        part: dict[str, Any] = {"rows": len(table), "columns": ", ".join(sorted(table.columns))}
        label = table.columns.get("label")
        if isinstance(label, torch.Tensor) and len(label):
            if source.class_names:
                counts = torch.bincount(label.long(), minlength=len(source.class_names)).tolist()
                part["classes"] = dict(zip(source.class_names, counts, strict=False))
            else:
                values = label.double()
                part |= {"least": float(values.min()), "mean": float(values.mean()), "largest": float(values.max())}
        document[split] = part
    return {**document, "faults": []}
