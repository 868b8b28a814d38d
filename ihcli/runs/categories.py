"""What run.json tells of category columns: what their codes stand for."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from ihcli.errors import OptionError
from ihcli.runs.kinds import Count, Kind
from ihcli.runs.told import Told, left_out, record
from ihcli.vocabulary import Vocabulary


def _is_value(value: Any) -> bool:
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


Value = Annotated[Any, Kind("text, a number, true, false or null", _is_value)]


@record
class CategoriesInfo(Told):
    """The categories of features: values in the order of their codes, null for missing ones.

    source   where they are from, in words
    own      columns whose codes are the places in dictionaries of the data
    unknown  codes of values that are not listed, where these are no errors
    """

    source: str
    sha256: str
    own: tuple[str, ...] = left_out(())
    values: Mapping[str, tuple[Value, ...]]
    unknown: Mapping[str, Count]

    @classmethod
    def of(cls, vocabulary: Vocabulary, own: tuple[str, ...]) -> Self:
        """Return what is told of a vocabulary."""
        return cls(source=vocabulary.source, sha256=vocabulary.sha256, own=own, **vocabulary.content())

    def vocabulary(self) -> Vocabulary:
        """Return what the codes stand for; raises RunError where that is not told, or cannot be."""
        try:
            found = Vocabulary(self.values, self.unknown, source=self.source)
        except OptionError as error:
            raise self.lacks("values") from error
        return found

    def stated(self) -> Vocabulary:
        """Return what was stated of it, which the data do not bring."""
        known = self.vocabulary()
        return known.of([name for name in known.values if name not in self.own])
