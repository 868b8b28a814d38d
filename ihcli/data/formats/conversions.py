"""What makes a table out of a file that is none: lines for a shell, and arguments of ours, that work as they stand."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ihcli.files.locations import Location
from ihcli.wording import printable


@dataclass(frozen=True)
class Conversion:
    """A line for a shell, and the file that it writes."""

    line: str
    made: str

    def __str__(self) -> str:
        return printable(f"{self.line} and {shlex.quote(self.made)}", None)

    @classmethod
    def by_python(cls, code: str, made: str) -> "Conversion":
        """Return the line that runs code."""
        return cls(f"python -c {shlex.quote(code)}", made)


def converted(file: Location, suffix: str, what: str = "converted") -> str:
    """Return a name beside the file's own, for what is made of it."""
    stem = re.sub(r"(\.[A-Za-z0-9]{1,8}){1,2}$", "", file.name) or file.name
    return str(file.parent / f"{stem}-{what}{suffix}")


def by_pandas(file: Location, read: str, suffix: str = ".parquet", change: str = "") -> Conversion:
    """Read a file with an expression of pandas, change the table `t`, and write it beside.

    Parameters:
        read: holds FILE where the name of the file goes.
    """
    made = converted(file, suffix)
    write = "to_csv" if suffix == ".csv" else "to_parquet"
    others = "".join(f"{name}, " for name in ("numpy", "pyarrow", "sqlite3", "torch") if f"{name}." in read)
    table = read.replace("FILE", literal(str(file)))
    return Conversion.by_python(
        f"import {others}pandas; t = {table}; {change}t.{write}({literal(made)}, index=False)", made
    )


def by_reading_csv(
    file: Location, options: Mapping[str, Any], suffix: str = ".parquet", change: str = ""
) -> Conversion:
    """Read a CSV with options of pandas; see `by_pandas`."""
    given = "".join(f", {name}={literal(value)}" for name, value in options.items())
    return by_pandas(file, f"pandas.read_csv(FILE{given})", suffix, change)


def by_listing(file: Location, read: str, names: Sequence[str]) -> Conversion:
    """Read a file with an expression of pandas, and write the sorted values of columns as `categories` reads them."""
    made = converted(file, ".toml", "categories")
    written = "{dump(c, ensure_ascii=False)} = {dump(sorted(t[c].dropna().unique()), ensure_ascii=False)}"
    lines = f'*(f"{written}" for c in {literal(list(names))})'
    table = read.replace("FILE", literal(str(file)))
    code = f'import pandas; from json import dumps as dump; t = {table}; print("[categories]", {lines}, sep="\\n")'
    return Conversion(f"{Conversion.by_python(code, made).line} > {shlex.quote(made)}", made)


def by_recoding(file: Location, encoding: str, is_gzip: bool = False) -> Conversion:
    """Write a file of text anew in UTF-8."""
    name, made = shlex.quote(str(file)), converted(file, ".csv")
    recode, write = f"iconv -f {encoding} -t UTF-8", f"> {shlex.quote(made)}"
    return Conversion(f"gzip -dc {name} | {recode} {write}" if is_gzip else f"{recode} {name} {write}", made)


def by_unpacking(file: Location, opened: str, suffix: str = ".csv") -> Conversion:
    """Unpack a file that an expression opens, which begins with a module and holds FILE."""
    made, module = converted(file, suffix), opened.partition(".")[0]
    copy = f'shutil.copyfileobj({opened.replace("FILE", literal(str(file)))}, open({literal(made)}, "wb"))'
    return Conversion.by_python(f"import {module}, shutil; {copy}", made)


def by_unzipping(file: Location) -> Conversion:
    """Unpack an archive of zip into a directory."""
    made = converted(file, "")
    return Conversion.by_python(
        f'import shutil; shutil.unpack_archive({literal(str(file))}, {literal(made)}, "zip")', made
    )


def literal(value: Any) -> str:
    """Return a value as Python reads it, without the quotes that a shell would need escaped."""
    return "None" if value is None else json.dumps(value, ensure_ascii=False)
