"""The columns beside the values: who an entry is and how well it was explained, and the statuses that say how it ended.

A column is a field of `Entries`: its type, unit and definition here are what part files, their documentation, reports
and verification say of it. What fills it is one line in `ihcli.explainers`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import numpy as np

from ihcli.methods import error_in_words, uncertified
from ihcli.wording import either

if TYPE_CHECKING:
    import pyarrow as pa

OUTPUT_UNIT = "units of the explained output"
NO_UNIT = "1"

# Names of columns in the files of a run: those beside the values, and those of the values that have names of their own.
ROW, TARGET, STATUS = "_row", "_target", "_status"
PREDICTION, BASELINE_PREDICTION = "_prediction", "_baseline_prediction"
COMPLETENESS_GAP, RELATIVE_ERROR = "_completeness_gap", "_relative_error"
INTERACTION_ERROR, INTERACTION_SAMPLING_ERROR = "_interaction_error", "_interaction_sampling_error"
DRIFT, SAMPLING_ERROR = "_drift", "_sampling_error"
EVALUATIONS, TRUNCATED, IMPUTED = "_evaluations", "_truncated", "_imputed"
UNITS, ATTRIBUTIONS, INTERACTIONS = "units", "attributions", "interactions"

WORD, TOKEN = CUTS = "word", "token"
"""What texts are cut into."""

Trait = Literal["interactions", "smoothed", "subsampled", "texts", "imputed"]
"""What a run may be that decides which columns it has: of second order, of a smoothed model, of baselines drawn from
more of them, over texts, of a model that fills missing numbers itself."""


@dataclass(frozen=True)
class Circumstances:
    """What a remedy depends on.

    steps  nodes of a fixed rule; None where the tolerance decides
    dtype  what the model computes in
    jumps  what helps where the checks before a run found what no evaluations mend, in words: jumps, or what is too
           steep for float32; empty: none found
    """

    steps: int | None = None
    dtype: str = "float32"
    jumps: str = ""


@dataclass(frozen=True)
class Remedy:
    """What helps rows that missed the tolerance, in words, and where it does; `told` is said in place of the words."""

    words: str
    helps: Callable[[Circumstances], bool]
    told: Callable[[Circumstances], str] | None = None

    def under(self, circumstances: Circumstances) -> str:
        """Return it in words, empty where it does not help."""
        if not self.helps(circumstances):
            return ""
        return self.words if self.told is None else self.told(circumstances)


class Status(StrEnum):
    """How explaining an entry ended.

    meaning   in words
    values    whether it has figures, in words;  has_values tells the same
    remedies  what may bring it within the tolerance
    """

    _value_: str
    meaning: str
    values: str
    remedies: tuple[Remedy, ...]

    OK = "ok", "the relative error is within the tolerance", "yes"
    NOT_CONVERGED = (
        "not_converged",
        "refinement ended before that, at `max_evaluations` or the narrowest panel, or `steps` allowed none",
        "yes, with the error they have",
        Remedy("a larger `max_evaluations` or `tolerance`", lambda found: found.steps is None and not found.jumps),
        Remedy("a larger `steps` or `tolerance`", lambda found: found.steps is not None and not found.jumps),
        Remedy(
            "what the warning before the run says of jumps", lambda found: bool(found.jumps), lambda found: found.jumps
        ),
    )
    ROUNDING = (
        "rounding",
        "more points would not help: what is left is rounding in the model's precision",
        "yes, with the error they have",
        Remedy("`dtype=float64` where rounding is in the way", lambda found: found.dtype != "float64"),
        Remedy("a larger `tolerance` where rounding is in the way", lambda found: found.dtype == "float64"),
    )
    UNCERTIFIED = (
        "uncertified",
        "the method knows no error, as derivatives at a single point",
        "yes, without an error",
    )
    MISSING_INPUT = "missing_input", "an input is missing or infinite (`missing=flag`), or a text is empty", "null"
    NON_FINITE = "non_finite", "the model, or a derivative of it, is not finite on the path", "null"

    def __new__(cls, value: str, meaning: str, values: str, *remedies: Remedy) -> "Status":
        """Make a member that compares and is stored as its name in files."""
        status = str.__new__(cls, value)
        status._value_, status.meaning, status.values, status.remedies = value, meaning, values, remedies
        return status

    @property
    def has_values(self) -> bool:
        """Whether entries of this status have figures."""
        return self.values != "null"


STATUSES = tuple(status.value for status in Status)
MISSED = tuple(status for status in Status if status.has_values and status not in (Status.OK, Status.UNCERTIFIED))
WITHOUT_VALUES = tuple(status.value for status in Status if not status.has_values)


def remedies_in_words(statuses: Collection[str], found: Circumstances) -> str:
    """Return what may bring rows of these statuses within the tolerance, where it does."""
    remedies = (remedy.under(found) for status in MISSED if status in statuses for remedy in status.remedies)
    return ", or ".join(filter(None, remedies))


def _statuses_in_words() -> str:
    return either([status for status in STATUSES if status != Status.UNCERTIFIED or uncertified()])


def has_values(status: np.ndarray) -> np.ndarray:
    """Return which of the entries of these statuses (N,) have figures, (N,) bool."""
    return ~np.isin(status, WITHOUT_VALUES)


@dataclass(frozen=True)
class QualityColumn:
    """A column that stands beside the values.

    name        in files;  attribute is its name in `Entries`
    type        Arrow's name of it
    present     traits of the runs that have it, all of them; none: every run
    trust       whether a report draws how it is distributed ("chart"), tells figures of it ("figure"), or neither
    """

    name: str
    type: str
    unit: str
    definition: str
    present: frozenset[Trait] = frozenset()
    trust: Literal["chart", "figure"] | None = None

    @property
    def attribute(self) -> str:
        """Name in Python, of `Entries` and of a record's figures."""
        return self.name.removeprefix("_")

    @property
    def is_measure(self) -> bool:
        """Whether it is a number that entries without values lack."""
        return self.type == "double"

    @property
    def is_relative(self) -> bool:
        """Whether it is a share, of which powers of ten tell."""
        return self.is_measure and self.unit == NO_UNIT

    @property
    def arrow_type(self) -> "pa.DataType":
        """Type in files."""
        import pyarrow as pa

        return pa.type_for_alias(self.type)

    @property
    def metadata(self) -> dict[str, str]:
        """What the field of a file says of itself."""
        return field_metadata(self.definition, self.unit)


def field_metadata(definition: str, unit: str = NO_UNIT) -> dict[str, str]:
    """Return what a field of a file says of itself."""
    return {"definition": definition, "unit": unit}


@dataclass(frozen=True, kw_only=True)
class Entries:
    """What is known of N explained rows beside their attributions; None where the run has no such figure.

    One entry along N is one (row, target) pair: with `target="all"` a row of the data appears once per output.
    """

    row: Annotated[np.ndarray, QualityColumn(ROW, "int64", NO_UNIT, "index of the row in the data, from 0")]
    target: Annotated[
        np.ndarray,
        QualityColumn(
            *(TARGET, "string", NO_UNIT),
            "explained output: its name, or its index where the model has no names; null where a row has no prediction",
        ),
    ]
    prediction: Annotated[
        np.ndarray,
        QualityColumn(
            *(PREDICTION, "double", OUTPUT_UNIT),
            "f(x): explained output of the row, smoothed where the model was smoothed",
        ),
    ]
    baseline_prediction: Annotated[
        np.ndarray,
        QualityColumn(BASELINE_PREDICTION, "double", OUTPUT_UNIT, "mean of f(x') over the baselines x'"),
    ]
    completeness_gap: Annotated[
        np.ndarray,
        QualityColumn(
            *(COMPLETENESS_GAP, "double", OUTPUT_UNIT),
            "sum of the attributions minus (_prediction - _baseline_prediction), signed",
            trust="figure",
        ),
    ]
    relative_error: Annotated[
        np.ndarray,
        QualityColumn(
            *(RELATIVE_ERROR, "double", NO_UNIT),
            error_in_words(),
            trust="chart",
        ),
    ]
    interaction_error: Annotated[
        np.ndarray | None,
        QualityColumn(
            *(INTERACTION_ERROR, "double", NO_UNIT),
            "certified relative L1 error of the interactions, over all entries of the matrix",
            present=frozenset({"interactions"}),
            trust="chart",
        ),
    ]
    drift: Annotated[
        np.ndarray | None,
        QualityColumn(
            *(DRIFT, "double", OUTPUT_UNIT),
            "f_smooth(x) - f(x): what the SoftPlus replacement changed",
            present=frozenset({"smoothed"}),
            trust="chart",
        ),
    ]
    sampling_error: Annotated[
        np.ndarray | None,
        QualityColumn(
            *(SAMPLING_ERROR, "double", NO_UNIT),
            "relative L1 standard error of the attributions over subsampled baselines",
            present=frozenset({"subsampled"}),
            trust="chart",
        ),
    ]
    interaction_sampling_error: Annotated[
        np.ndarray | None,
        QualityColumn(
            *(INTERACTION_SAMPLING_ERROR, "double", NO_UNIT),
            "relative L1 standard error of the interactions over subsampled baselines, over all entries of the matrix",
            present=frozenset({"interactions", "subsampled"}),
            trust="chart",
        ),
    ]
    evaluations: Annotated[
        np.ndarray, QualityColumn(EVALUATIONS, "int32", NO_UNIT, "path points at which a gradient was taken")
    ]
    truncated: Annotated[
        np.ndarray | None,
        QualityColumn(
            *(TRUNCATED, "bool", NO_UNIT),
            "whether the text was longer than the model takes, so that its end was left out",
            present=frozenset({"texts"}),
        ),
    ] = None
    imputed: Annotated[
        np.ndarray | None,
        QualityColumn(
            *(IMPUTED, "int32", NO_UNIT),
            "missing numbers of the row in whose place the model's own imputer put others, which are explained",
            present=frozenset({"imputed"}),
        ),
    ] = None
    status: Annotated[
        np.ndarray,
        QualityColumn(STATUS, "string", NO_UNIT, _statuses_in_words()),
    ]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def leading_sampling_error(self) -> np.ndarray | None:
        """Return the sampling error of what the method is for: of interactions where it gives them, (N,) or None."""
        of_pairs = self.interaction_sampling_error
        return self.sampling_error if of_pairs is None else of_pairs

    @property
    def has_values(self) -> np.ndarray:
        """Return which entries have figures, (N,) bool; the others have missing or non-finite inputs."""
        return has_values(self.status)


COLUMNS: tuple[QualityColumn, ...] = tuple(get_args(column.type)[1] for column in fields(Entries))
"""All of them, in the order of files."""
IDENTITY, FIGURES = COLUMNS[:2], COLUMNS[2:]
"""Row and target, which both kinds of parts have, with the keys between them; and what is known of the values."""
Entries.__doc__ = "\n".join(
    [(Entries.__doc__ or "").rstrip(), "", *(f"    {c.attribute:20} (N,) {c.type}: {c.definition}" for c in COLUMNS)]
)
WITHOUT_INTERACTION_ERROR = ("0.1.0",)
"""Versions whose runs lack the columns of interactions."""
RESERVED = tuple(column.name for column in COLUMNS)
RESERVED_FOR_KEYS = (*RESERVED, INTERACTIONS, ATTRIBUTIONS, UNITS)
"""Names of columns that stand beside the keys but never beside the features."""


def columns_of(traits: Collection[Trait]) -> tuple[QualityColumn, ...]:
    """Return the columns of a run with these traits, in the order of files."""
    return tuple(column for column in COLUMNS if column.present <= set(traits))
