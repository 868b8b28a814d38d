"""Arguments and lines for a shell: what a shell and our own options make of them is what was meant."""

import shlex
import subprocess
from pathlib import Path

import pytest
from test_names import NAMES

from ihcli.cli.asking.values import ColumnList
from ihcli.data.formats.conversions import by_recoding
from ihcli.wording import argument, column_list

PRINTABLE = [name for name in NAMES if name.isprintable() and len(name) < 200]


@pytest.mark.parametrize("name", PRINTABLE)
def test_a_list_of_columns_is_read_as_it_was_meant(name: str) -> None:
    (given,) = shlex.split(column_list([name, "other"]))
    assert ColumnList().convert(given, None, None) == (name, "other")
    assert shlex.split(argument(name)) == [name]


def test_lists_without_quotes_are_cut_at_commas() -> None:
    assert ColumnList().convert(' a , b"c,, "d", x" y"', None, None) == ("a", 'b"c', "d", 'x" y"')


def test_a_line_works_in_a_directory_of_any_name(tmp_path: Path) -> None:
    file = tmp_path / 'a b\'c "$HOME"' / "t.v2.csv"
    file.parent.mkdir()
    file.write_bytes("é".encode("latin-1"))
    made = by_recoding(file, "LATIN1")
    subprocess.run(made.line, shell=True, check=True)
    assert Path(made.made).read_text(encoding="utf-8") == "é"
    assert Path(made.made) == file.with_name("t-converted.csv")
