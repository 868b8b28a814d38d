"""Values that options take, read from text: sizes, lists of columns, numbers above 0, and words with numbers."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ihcli.cli.showing.spelling import spelled
from ihcli.data.sampling import AUTO
from ihcli.methods import METHODS, meant_by

UNITS = {"": 1, "B": 1}
UNITS |= {f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", 1)}
UNITS |= {f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", 1)}


class PositiveNumber(click.ParamType):
    """A finite number above 0."""

    name = "number"

    def __init__(self, example: float = 0.01) -> None:
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number = _number(value)
        if number is None or not (math.isfinite(number) and number > 0):
            self.fail(f"Expected a finite number above 0, got {value!r}. Try {self.example:g}.", param, ctx)
        return number


class WholeNumber(click.ParamType):
    """A whole number that is not below a minimum."""

    name = "integer"

    def __init__(self, minimum: int) -> None:
        self.minimum = minimum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        number = int(value) if re.fullmatch(r"[+-]?[0-9]+", str(value)) else None
        if number is None or number < self.minimum:
            self.fail(f"Expected a whole number of at least {self.minimum}, got {value!r}.", param, ctx)
        return number


class MethodName(click.Choice[str]):
    """A name of the table of methods; under other names that people know it by, it is proposed."""

    def __init__(self) -> None:
        super().__init__(list(METHODS))

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return what click says, and which method may be meant."""
        return f"{super().get_invalid_choice_message(value, ctx)}{spelled(meant_by(str(value)))}"


class BaselineRowsSetting(click.ParamType):
    """A number of baselines, or auto."""

    name = "setting"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or the word."""
        number = int(value) if re.fullmatch(r"[+-]?[0-9]+", str(value)) else None
        if value != AUTO and (number is None or number < 1):
            self.fail(f"Expected a whole number of at least 1, or {AUTO}, got {value!r}. Try {AUTO}.", param, ctx)
        return number or value


class CodeArguments(click.ParamType):
    """Arguments of code: JSON, or @FILE of JSON; kept as JSON."""

    name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return JSON of them."""
        from ihcli.errors import OptionError
        from ihcli.files.code import read_arguments

        try:
            return json.dumps(read_arguments(value), ensure_ascii=False)
        except OptionError as error:
            self.fail(spelled(str(error).removeprefix("`code_args`: ")), param, ctx)


class MemorySize(click.ParamType):
    """An amount of memory in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        if isinstance(value, int):
            return value
        parts = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*", value)
        number = _number(parts[1]) if parts else None
        unit = UNITS.get(parts[2].upper()) if parts else None
        if number is None or unit is None or not 1 <= number * unit < math.inf:
            self.fail(f"Expected a size such as 2GiB, 512MiB or 1e9 (bytes), got {value!r}.", param, ctx)
        return int(number * unit)


class SmoothSetting(click.ParamType):
    """auto, scan, none, or the beta of SoftPlus."""

    name = "setting"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the setting as text."""
        number = _number(value)
        if value not in ("auto", "scan", "none") and (number is None or not (math.isfinite(number) and number > 0)):
            self.fail(f"Expected auto, scan, none or a number above 0 (beta), got {value!r}. Try auto.", param, ctx)
        return value


class UnitsSetting(click.ParamType):
    """What is explained of a text or a sequence."""

    name = "setting"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the setting as text."""
        if not re.fullmatch(r"word|token|step(:0*[1-9][0-9]{0,8})?|channel|column", value):
            self.fail(
                f"Expected word or token of a text; step, step:K with K at least 1, channel or column of a sequence, "
                f"got {value!r}. Try word, or step.",
                param,
                ctx,
            )
        return value


class InteractionsSetting(click.ParamType):
    """full, top:K, or none."""

    name = "setting"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the setting as text."""
        if not re.fullmatch(r"full|none|top:0*[1-9][0-9]*", value):
            self.fail(f"Expected full, none or top:K with K at least 1, got {value!r}. Try top:20.", param, ctx)
        return value


class ShardOfRun(click.ParamType):
    """A share of a run, I/N."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the shard."""
        from ihcli.errors import OptionError
        from ihcli.runs.shards import Shard

        try:
            return value if isinstance(value, Shard) else Shard.parse(value)
        except OptionError as error:
            self.fail(str(error).removeprefix("`shard`: "), param, ctx)


class ColumnList(click.ParamType):
    """Names separated by commas, or @FILE with one a line; "in quotes" where they hold commas or blanks."""

    name = "columns"

    def __init__(self, what: str = "column name") -> None:
        self.what = what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        entries = self._lines(value[1:], param, ctx) if value.startswith("@") else _entries(value)
        names = [_unquoted(entry) for entry in entries if entry.strip()]
        if not names:
            self.fail(f"Expected a,b,c or @FILE with one {self.what} a line, got no name in {value!r}.", param, ctx)
        return tuple(names)

    def _lines(self, path: str, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        try:
            if Path(path).exists() and not Path(path).is_file():
                self.fail(f"{path} is not a file. Expected one with a {self.what} a line.", param, ctx)
            return re.split(r"\r?\n", Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            self.fail(f"{path} cannot be read: {reason}. Expected a file with one {self.what} a line.", param, ctx)


class RowSelection(ColumnList):
    """all, or numbers of rows and ranges of them, or @FILE with one a line."""

    name = "rows"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the numbers in the order of rows, each once; None for all."""
        if value is None or value == "all":
            return None
        names = super().convert(value, param, ctx)
        found = [re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", str(name)) for name in names]
        wrong = next((name for name, one in zip(names, found, strict=True) if one is None or _is_backwards(one)), None)
        if wrong is not None:
            told = f"Expected all, or numbers of rows from 0 and ranges of them, got {wrong!r}. Try 0,5,10-19."
            self.fail(told, param, ctx)
        ranges = (range(int(one[1]), int(one[2] or one[1]) + 1) for one in found if one is not None)
        return tuple(sorted(set().union(*ranges)))


def _is_backwards(found: re.Match[str]) -> bool:
    return int(found[2] or found[1]) < int(found[1])


class InputColumns(ColumnList):
    """NAME=a,b,c: the columns of one argument."""

    name = "input"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name and its columns."""
        if isinstance(value, tuple):
            return value
        name, sign, columns = value.partition("=")
        if not (sign and name.strip()):
            self.fail(f"Expected NAME=a,b,c, got {value!r}. Try x_cat=job,city.", param, ctx)
        return name.strip(), super().convert(columns, param, ctx)


def _entries(text: str) -> list[str]:
    """Cut at the commas that are not in quotes."""
    return [entry[0] for entry in re.finditer(r'\s*"(?:[^"]|"")*"\s*(?=,|$)|[^,]+', text)]


def _unquoted(entry: str) -> str:
    name = entry.strip()
    is_quoted = re.fullmatch(r'"(?:[^"]|"")*"', name) is not None
    return name[1:-1].replace('""', '"') if is_quoted else name


def values_of_keys(columns: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """Return the value of each key column from COL=VALUE, for the key columns that there are."""
    return dict(_value_of_key(key, columns) for key in keys)


def _value_of_key(key: str, columns: Sequence[str]) -> tuple[str, str]:
    """Split COL=VALUE at the first = behind a key column, as names may hold one, too."""
    if "=" not in key:
        raise click.UsageError(f"--key {key}: Expected COL=VALUE with a RUN, got {key!r}. Try --key {key}=VALUE.")
    column = next((name for name in columns if key.startswith(f"{name}=")), key.partition("=")[0])
    return column, key[len(column) + 1 :]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
