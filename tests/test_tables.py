"""Tables written a piece at a time, in every format."""

from collections.abc import Iterator
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ihcli.cli.asking.tables import destination_options
from ihcli.cli.showing.drawn import Section
from ihcli.cli.showing.tables import FORMATS, Destination, Shown

SCHEMA = pa.schema([("of", pa.string()), ("value", pa.float64())])
PIECES = [{"of": ["row", "row"], "value": [1.5, float("nan")]}, {"of": ["feature"], "value": [2.5]}]


def shown(made: list[int] | None = None) -> Shown:
    def pieces() -> Iterator[pa.Table]:
        for number, piece in enumerate(PIECES):
            (made if made is not None else []).append(number)
            yield pa.table(piece, SCHEMA)

    return Shown(SCHEMA, pieces(), [Section("rows", pa.table(PIECES[0], SCHEMA), ["a note"]), Section("no table")])


def test_pieces_are_one_table_in_every_format_of_files(tmp_path: Path) -> None:
    for name in ("csv", "jsonl", "parquet", "arrow"):
        Destination(str(tmp_path / f"out.{name}")).write(shown())
    assert (tmp_path / "out.csv").read_text() == "of,value\nrow,1.5\nrow,\nfeature,2.5\n"
    assert (tmp_path / "out.jsonl").read_text().splitlines()[2] == '{"of": "feature", "value": 2.5}'
    with pa.ipc.open_stream(tmp_path / "out.arrow") as stream:
        streamed = stream.read_all()
    for table in (pq.read_table(tmp_path / "out.parquet"), streamed):
        assert table["of"].to_pylist() == ["row", "row", "feature"]


def test_a_person_sees_sections_and_no_piece_is_made(tmp_path: Path) -> None:
    made: list[int] = []
    Destination(str(tmp_path / "out"), "table").write(shown(made))
    text = (tmp_path / "out").read_text()
    assert text.index("rows") < text.index("1.5") < text.index("a note") < text.index("no table")
    assert not made


def test_nothing_is_left_of_a_file_whose_pieces_fail(tmp_path: Path) -> None:
    def failing() -> Iterator[pa.Table]:
        yield pa.table(PIECES[0], SCHEMA)
        raise ValueError("torn")

    for name in ("csv", "parquet"):
        with pytest.raises(ValueError, match="torn"):
            Destination(str(tmp_path / f"out.{name}")).write(Shown(SCHEMA, failing(), []))
    assert not list(tmp_path.iterdir())


def test_a_command_receives_the_options_as_its_destination() -> None:
    @click.command()
    @destination_options
    def command(destination: Destination) -> None:
        click.echo(f"{destination.file} {destination.format_name} {destination.overwrite}")

    assert CliRunner().invoke(command, []).output == "- None False\n"
    asked = CliRunner().invoke(command, ["--format", "jsonl", "-o", "x", "--overwrite"])
    assert asked.output == "x jsonl True\n"
    wrong = CliRunner().invoke(command, ["--format", "xml"]).output
    assert all(name in wrong for name in FORMATS)
