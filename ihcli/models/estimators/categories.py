"""Encoders of categories: the numbers that each value of a column becomes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ihcli.models.estimators.columns import Coded, Codes, Column, Raw
from ihcli.models.estimators.reading import (
    UnfoldedError,
    broken,
    fitted,
    fitted_lists,
    fitted_numbers,
    is_missing,
    parameter,
    plain,
    require_width,
)
from ihcli.models.pickles.allow_list import Record

_MOST_AREA = 1 << 23  # of the table of one column: categories times the columns that they become


def encoded(encoder: Record, columns: Sequence[Column]) -> list[Column]:
    """Return what an encoder makes of columns of the table, in its order."""
    require_width(encoder, len(columns))
    categories = fitted_lists(encoder, "categories_", len(columns))
    found: list[Column] = []
    for place, column in enumerate(columns):
        if not isinstance(column, Raw | Coded):
            raise UnfoldedError(f"{encoder.name} of computed numbers")
        found += _EncodedColumn(encoder, place, _values(encoder, categories[place])).of(column)
    return found


def _values(encoder: Record, categories: Any) -> list[Any]:
    if not isinstance(categories, np.ndarray) or categories.ndim != 1 or categories.dtype.kind not in "OUbiuf":
        raise broken(encoder, "categories_")
    return [plain(value) for value in categories]


class _EncodedColumn:
    """One column of an encoder.

    Category i becomes row `codes[i]` of a table of numbers; what is not among them is `unknown`, which is None where
    the encoder raises. Codes are those of scikit-learn behind its grouping of infrequent categories.
    """

    def __init__(self, encoder: Record, place: int, categories: list[Any]) -> None:
        self._encoder, self._place, self._categories = encoder, place, categories
        self._mode = parameter(encoder, "handle_unknown", "error")
        self._infrequent, self._codes = self._grouped()

    def of(self, column: Raw | Coded) -> list[Column]:
        """Return the columns that it becomes."""
        table, unknown = _TABLES[self._encoder.name](self)
        pairs = list(zip(self._categories, table, strict=True))
        missing = [row for value, row in pairs if value is None]
        if len(missing) > 1:
            raise UnfoldedError(f"{self._encoder.name} with two kinds of missing values, None and NaN")
        known = {value: row for value, row in pairs if value is not None}
        values, given = _given(column, known)
        of_missing = missing[0] if missing else unknown
        rows = [
            None if value is _REFUSED else of_missing if is_missing(value) else known.get(value, unknown)
            for value in given
        ]
        blank = np.full(table.shape[1], np.nan)
        numbers = np.array([blank if row is None else row for row in rows]).reshape(len(rows), -1)
        codes = Codes(_index(column), values, np.array([row is not None for row in rows]))
        return [Coded(codes, numbers[:, place]) for place in range(table.shape[1])]

    def _grouped(self) -> tuple[int | None, np.ndarray]:
        """Return the code of infrequent categories, where some are grouped, and that of each category."""
        n, mappings = len(self._categories), parameter(self._encoder, "_default_to_infrequent_mappings")
        plain_codes = np.arange(n)
        mapping = mappings[self._place] if parameter(self._encoder, "_infrequent_enabled", False) and mappings else None
        if mapping is None:
            return None, plain_codes
        ignored = self._missing_place if self._encoder.name == "OrdinalEncoder" else None
        if not isinstance(mapping, np.ndarray) or mapping.dtype.kind != "i" or len(mapping) < n - (ignored is not None):
            raise broken(self._encoder, "_default_to_infrequent_mappings")
        codes = [int(mapping[code]) if code != ignored else code for code in range(n)]
        if not all(0 <= code < n for code in codes):
            raise broken(self._encoder, "_default_to_infrequent_mappings")
        return int(mapping.max()), np.array(codes)

    @property
    def _missing_place(self) -> int | None:
        found = parameter(self._encoder, "_missing_indices")
        place = found.get(self._place) if isinstance(found, dict) else None
        return None if place is None else int(place)

    def one_hot(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a row of 0 and 1 for each category, and that of unknown values."""
        n_codes, dropped = int(self._codes.max(initial=-1)) + 1, self._dropped()
        kept = [code for code in range(n_codes) if code != dropped]
        self._require_small(len(kept))
        rows = np.zeros((n_codes, len(kept)))
        rows[kept, np.arange(len(kept))] = 1
        if self._mode == "error":
            return rows[self._codes], None
        is_grouped = self._mode in ("infrequent_if_exist", "warn") and self._infrequent is not None
        return rows[self._codes], rows[self._infrequent] if is_grouped else np.zeros(len(kept))

    def _dropped(self) -> int | None:
        """Return the code that has no column."""
        grouped = parameter(self._encoder, "_drop_idx_after_grouping", parameter(self._encoder, "drop_idx_"))
        if grouped is None:
            return None
        if not isinstance(grouped, np.ndarray) or grouped.shape != (len(self._encoder.attributes["categories_"]),):
            raise broken(self._encoder, "drop_idx_")
        code = grouped[self._place]
        return None if code is None else int(code)

    def ordinal(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the code of each category as a number, and that of unknown values."""
        numbers = self._codes.astype(np.float64)
        if self._missing_place is not None:
            numbers[self._codes == self._missing_place] = float(
                parameter(self._encoder, "encoded_missing_value", np.nan)
            )
        takes_unknown = self._mode == "use_encoded_value"
        unknown = np.array([float(fitted(self._encoder, "unknown_value"))]) if takes_unknown else None
        return numbers[:, np.newaxis], unknown

    def by_target(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the means of the target for each category, of each class where there are many, and overall."""
        overall = np.atleast_1d(np.asarray(fitted(self._encoder, "target_mean_"), np.float64))
        k, n = len(overall), len(self._categories)
        every = fitted_lists(self._encoder, "encodings_", k * len(self._encoder.attributes["categories_"]))
        means = [
            Record(self._encoder.name, {"encodings_": each}) for each in every[self._place * k : self._place * k + k]
        ]
        return np.stack([fitted_numbers(each, "encodings_", n) for each in means], axis=1), overall

    def _require_small(self, width: int) -> None:
        if len(self._categories) * width > _MOST_AREA:
            raise UnfoldedError(f"{self._encoder.name} of a column with {len(self._categories)} categories")


_REFUSED, _OTHER = object(), object()
"""What an encoder before this one raises for, and what stands for all values that are not listed."""


def _given(column: Raw | Coded, known: Mapping[Any, np.ndarray]) -> tuple[tuple[Any, ...], list[Any]]:
    """Return the values of the table that are told apart, and what the encoder gets for each, a gap and all others."""
    if isinstance(column, Raw):
        markers = [each.marker for each in column.replaced if each.marker is not None]
        values = tuple(dict.fromkeys([*known, *markers]))
        return values, [*map(column.of, values), column.of(None), _OTHER]
    taken = column.codes.taken
    return column.codes.values, [
        plain(number) if is_taken else _REFUSED for number, is_taken in zip(column.numbers, taken, strict=True)
    ]


def _index(column: Raw | Coded) -> int:
    return column.index if isinstance(column, Raw) else column.codes.index


_TABLES = {
    "OneHotEncoder": _EncodedColumn.one_hot,
    "OrdinalEncoder": _EncodedColumn.ordinal,
    "TargetEncoder": _EncodedColumn.by_target,
}
ENCODERS = tuple(_TABLES)
