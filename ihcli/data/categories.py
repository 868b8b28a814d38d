"""Categories as users state them: a TOML file or a mapping of columns to lists of values, read into a vocabulary."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ihcli.data.stated import read_toml
from ihcli.errors import OptionError
from ihcli.files.locations import Location, locate, neighbour_of
from ihcli.vocabulary import ERROR, Vocabulary
from ihcli.wording import did_you_mean, listed, printable, quoted

FORM = 'Expected a [categories] table with lines such as job = ["admin", "blue"], the value of code 0 first.'
CATEGORIES = "categories"
UNKNOWN, VALUES, FILE = "unknown", "values", "file"
IN_FILE = f"Try {UNKNOWN} = 0 in [categories], with the code of all values that are not listed in place of 0."
IN_MAPPING = f'Try "{UNKNOWN}": 0 in `categories`, with the code of all values that are not listed in place of 0.'


def read_categories(path: str | Location) -> Vocabulary:
    """Read which values the codes of category columns stand for from a TOML file.

    A column is a list of values, or a table with `values`, or with `file`: text with a value a line, found beside the
    TOML file. `unknown` is "error" or the code of all values that are not listed, of all columns or in the table of
    one. In a list nan stands for missing values.

    Raises OptionError where files cannot be read, or are not of that form.
    """
    option, file = f"`categories={path}`", locate(path)
    stated = read_toml(option, file, FORM)
    categories = stated.get(CATEGORIES)
    if not isinstance(categories, dict) or not categories:
        meant = next((name for name in stated if did_you_mean(name, [CATEGORIES]) and name != CATEGORIES), None)
        close = "" if meant is None else f" Try [{CATEGORIES}] in place of [{printable(meant)}]."
        raise OptionError(f"{option}: states no categories. {FORM}{close}")
    return _Statement(option, file.parent, file.name, IN_FILE).vocabulary(categories)


def categories_of(stated: str | Location | Mapping[str, Any] | Vocabulary) -> Vocabulary:
    """Return the vocabulary that `categories` means in Python: a file, or what stands in its [categories]."""
    if isinstance(stated, Vocabulary):
        return stated
    if not isinstance(stated, Mapping):
        return read_categories(stated)
    if not stated:
        raise OptionError('`categories`: names no column. Expected a mapping such as {"job": ["admin", "blue"]}.')
    return _Statement("`categories`", Path(), "`categories`", IN_MAPPING).vocabulary(stated)


class _Statement:
    """What was stated, by an option, and where the files that it names are."""

    def __init__(self, option: str, directory: Location, source: str, advice: str) -> None:
        self._option = option
        self._directory = directory
        self._source, self._advice = source, advice

    def vocabulary(self, stated: Mapping[str, Any]) -> Vocabulary:
        """Read columns, and what becomes of unknown values."""
        common = ERROR if _is_column(stated.get(UNKNOWN)) else stated.get(UNKNOWN, ERROR)
        columns = {name: told for name, told in stated.items() if name != UNKNOWN or _is_column(told)}
        if not columns:
            raise OptionError(f"{self._option}: names no column. {FORM}")
        values = {name: tuple(self._values(name, told)) for name, told in columns.items()}
        unknown = {name: self._unknown(name, told, common) for name, told in columns.items()}
        try:
            codes = {name: code for name, code in unknown.items() if code is not None}
            return Vocabulary(values, codes, source=self._source, advice=self._advice)
        except OptionError as error:
            raise OptionError(f"{self._option}: {str(error).removeprefix(f'{self._source}: ')}") from None

    def _values(self, name: str, told: Any) -> Sequence[Any]:
        if not _is_column(told):
            raise OptionError(
                f"{self._option}: column {quoted(name)} is {_in_words(told)}. Expected a list of its values. {FORM}"
            )
        if not isinstance(told, Mapping):
            return list(told)
        self._require_keys(name, told)
        if FILE in told:
            return self._lines(name, told[FILE])
        return self._values(name, told[VALUES])

    def _require_keys(self, name: str, told: Mapping[str, Any]) -> None:
        others = [key for key in told if key not in (VALUES, FILE, UNKNOWN)]
        if others:
            close = did_you_mean(str(others[0]), (VALUES, FILE, UNKNOWN))
            raise OptionError(
                f"{self._option}: column {quoted(name)} has {listed(others)}. Expected {VALUES} or {FILE}, and "
                f"{UNKNOWN}.{close}"
            )
        if (VALUES in told) == (FILE in told):
            got = "both" if VALUES in told else "neither"
            raise OptionError(f"{self._option}: column {quoted(name)} has {got} of {VALUES} and {FILE}. Expected one.")

    def _unknown(self, name: str, told: Any, common: Any) -> int | None:
        code = told.get(UNKNOWN, common) if isinstance(told, Mapping) else common
        if isinstance(code, str) and code == ERROR:
            return None
        if isinstance(code, bool) or not isinstance(code, int | np.integer):
            raise OptionError(
                f"{self._option}: {UNKNOWN} of column {quoted(name)} is {_in_words(code)}. Expected "
                f'"{ERROR}" or the code of values that are not listed, a whole number.'
            )
        return int(code)

    def _lines(self, name: str, told: Any) -> list[str]:
        if not isinstance(told, str):
            raise OptionError(
                f"{self._option}: {FILE} of column {quoted(name)} is {_in_words(told)}. Expected the name of a file."
            )
        file = self._directory / told
        where = f"{self._option}: column {quoted(name)}: {printable(str(file))}"
        try:
            with file.open("rb") as stream:
                lines = stream.read().decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n").split("\n")
        except OSError as error:
            near = neighbour_of(file) if isinstance(error, FileNotFoundError) else ""
            raise OptionError(
                f"{where} cannot be opened: {error.strerror}. Expected a file with one value a line.{near}"
            ) from error
        except UnicodeDecodeError as error:
            raise OptionError(f"{where} is not text in UTF-8. Expected a file with one value a line.") from error
        if "" in lines:
            raise OptionError(f"{where}: line {lines.index('') + 1} is empty. Expected one value a line.")
        return lines


def _is_column(told: Any) -> bool:
    """Return whether that states the values of a column: a list of them, or a table that leads to one."""
    is_list = hasattr(told, "__iter__") and hasattr(told, "__len__") and not isinstance(told, str | bytes)
    return bool(is_list)


def _in_words(told: Any) -> str:
    kind = {bool: "true or false", str: "text"}.get(type(told), type(told).__name__)
    return f"{printable(repr(told), 60)}, {kind}"
