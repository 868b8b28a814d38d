"""Words of strangers reach a terminal printable, whoever prints them; in files and pipes they are as they were."""

import csv
import io
import json
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from nasty import FEATURES, KEY, WORD, shown_on_terminal, unsafe_in, write_model, write_table

from ihcli.cli import main
from ihcli.cli.showing import failures, terminal
from ihcli.cli.showing.terminal import MOST_LINE, escaped, line, lines, printable_streams
from ihcli.errors import RunError

ARGUMENT = WORD.replace("\0", "")  # which no argument can hold
NO_FILE = f"none{ARGUMENT}\udcff"
COMMANDS = {
    "inspect": ["inspect", "m.pkl"],
    "explain": ["explain", "m.pkl", "t.parquet", "-o", "again", "--key", "short"],
    "explain, with a warning": ["explain", "m.pkl", "t.parquet", "-o", f"warned{ARGUMENT}", "--key", "short"],
    "explain, into another's run": ["explain", "m.pkl", "t.parquet", "-o", "run"],
    "explain, a column that is not there": ["explain", "m.pkl", "t.parquet", "-o", "no", "--exclude", ARGUMENT],
    "explain, columns that do not fit": ["explain", "m.pkl", "t.parquet", "-o", "no", "--label", FEATURES[0]],
    "explain, words as numbers": ["explain", "m.pkl", "t.parquet", "-o", "no"],
    "a forecast": ["explain", "m.pkl", "t.parquet", "--dry-run", "--key", "short"],
    "attributions": ["attributions", "run"],
    "attributions in csv": ["attributions", "run", "--format", "csv"],
    "attributions in jsonl": ["attributions", "run", "--format", "jsonl"],
    "attributions of a row": ["attributions", "run", "--row", "1"],
    "attributions of a row in csv": ["attributions", "run", "--row", "1", "--format", "csv"],
    "attributions of a feature that is not there": ["attributions", "run", "--feature", ARGUMENT],
    "attributions of a key that is not there": ["attributions", "run", "--key", f"{ARGUMENT}=1"],
    "attributions of a key without value": ["attributions", "run", "--key", ARGUMENT],
    "attributions, computed": ["attributions", "m.pkl", "t.parquet", "--key", "short"],
    "interactions": ["interactions", "run"],
    "interactions of a row": ["interactions", "run", "--row", "1"],
    "interactions of a target that is not there": ["interactions", "run", "--target", ARGUMENT],
    "groups of rows": ["contrast", "run", "--by", "short"],
    "groups of rows in csv": ["contrast", "run", "--by", "short", "--format", "csv"],
    "groups by a column that is not there": ["contrast", "run", "--by", ARGUMENT],
    "groups where nothing is compared": ["contrast", "run", "--by", "short", "--where", ARGUMENT],
    "groups where no row is left": ["contrast", "run", "--by", "short", "--where", f"short={ARGUMENT}"],
    "columns that go with an effect": ["drivers", "run", "--feature", FEATURES[0]],
    "columns that go with an effect in jsonl": ["drivers", "run", "--feature", FEATURES[0], "--format", "jsonl"],
    "columns that go with a pair that is not there": ["drivers", "run", "--pair", f"a,{ARGUMENT}"],
    "verify": ["verify", "run"],
    "verify in lines": ["verify", "run", "--format", "lines"],
    "verify in csv": ["verify", "run", "--format", "csv"],
    "verify in jsonl": ["verify", "run", "--format", "jsonl"],
    "verify of what is edited": ["verify", "edited", "--format", "lines"],
    "merge": ["merge", NO_FILE],
    "plot": ["plot", "run", "bar", "-o", f"{ARGUMENT}.png"],
    "plot of a feature that is not there": ["plot", "run", "dependence", "--feature", ARGUMENT, "-o", "d.png"],
    "report": ["report", "run", "-o", f"{ARGUMENT}.html"],
    "a file that is not there": ["verify", NO_FILE],
    "a file that is not there, with its traceback": ["verify", NO_FILE, "--debug"],
    "a command that is not there": [ARGUMENT],
    "an option that is not there": ["verify", f"--{ARGUMENT}"],
    "a value that does not fit": ["attributions", "run", "--top-k", ARGUMENT],
    "an argument too many": ["merge", "run", ARGUMENT],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of a nasty name with a nasty model, table and run."""
    path = tmp_path_factory.mktemp("nasty") / "place\x1b[2J\u202e"
    path.mkdir()
    write_table(path / "t.parquet")
    write_model(path / "m.pkl")
    table = pq.read_table(path / "t.parquet")
    pq.write_table(table.append_column("short", table[KEY]).drop_columns(KEY), path / "t.parquet")
    run(path, "run")
    run(path, "edited")
    info = json.loads((path / "edited" / "run.json").read_text())
    info["model"] = {**info["model"], "path": ARGUMENT}
    (path / "edited" / "run.json").write_text(json.dumps({**info, "features": list(FEATURES[::-1])}))
    return path


def run(path: Path, out: str) -> None:
    asked = ["explain", str(path / "m.pkl"), str(path / "t.parquet"), "-o", str(path / out), "--key", "short"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def shown(place: Path) -> dict[str, str]:
    told = shown_on_terminal(list(COMMANDS.values()), place / "commands.json", place)
    return dict(zip(COMMANDS, told, strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_terminal_obeys_no_word_of_a_stranger(shown: dict[str, str], command: str) -> None:
    assert shown[command].strip()
    assert unsafe_in(shown[command]) == []
    assert re.search(r"unexpected \w*(Error|Exception)", shown[command]) is None
    if "traceback" not in command:
        assert "\nall checks passed" not in shown[command].replace("\r\n", "\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_codes_of_rich_are_words_like_any_other(shown: dict[str, str], command: str) -> None:
    assert "😄" not in shown[command]


def test_a_table_shows_codes_of_rich_as_they_are_written(place: Path) -> None:
    told = CliRunner().invoke(main, ["attributions", str(place / "run"), "--format", "table"]).stdout
    assert "markup[red]:smile:[/red]" in told


def test_files_and_pipes_hold_words_as_they_were(place: Path) -> None:
    asked = ["attributions", str(place / "run"), "--row", "1"]
    text = CliRunner().invoke(main, [*asked, "--format", "csv"]).stdout_bytes.decode()
    assert {record["feature"] for record in csv.DictReader(io.StringIO(text, newline=""))} == set(FEATURES)
    text = CliRunner().invoke(main, [*asked, "--format", "jsonl"]).stdout_bytes.decode()
    records = [json.loads(record) for record in text.split("\n")[:-1]]
    assert {record["feature"] for record in records} == set(FEATURES)
    assert {record["short"] for record in records} == {f"{WORD}1"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def terminals() -> Iterator[Terminal]:
    shown = Terminal()
    with redirect_stdout(shown), redirect_stderr(shown):
        yield shown


def test_what_libraries_print_warn_and_log_reaches_a_terminal_printable() -> None:
    with terminals() as shown, printable_streams():
        print(WORD)
        sys.stdout.writelines([WORD, "\n"])
        sys.stderr.write(warnings.formatwarning(f"warned {WORD}", UserWarning, "file.py", 1))
        logging.StreamHandler().emit(logging.makeLogRecord({"msg": f"logged {WORD}"}))
    told = shown.getvalue()
    assert "warned" in told
    assert "logged" in told
    assert unsafe_in(told) == []


def test_streams_are_given_back_and_not_filtered_twice() -> None:
    with terminals() as shown:
        with printable_streams():
            inner = sys.stdout
            with printable_streams():
                assert sys.stdout is inner
            assert terminal.unfiltered(sys.stderr) is shown
        assert sys.stdout is shown
        assert terminal.unfiltered(sys.stderr) is shown


def test_a_stream_that_is_no_terminal_is_left_alone() -> None:
    with redirect_stdout(io.StringIO()) as piped, printable_streams():
        print(WORD)
    assert piped.getvalue() == f"{WORD}\n"


def test_a_line_is_one_line_and_keeps_both_ends() -> None:
    assert line("größe 年齢 🙂") == "größe 年齢 🙂"
    assert unsafe_in(line(WORD)) == []
    assert "\n" not in line("a\nb")
    long = line(f"begins {'x' * 1_000_000}\x1b ends")
    assert long.startswith("begins")
    assert long.endswith("\\x1b ends")
    assert len(long) < MOST_LINE + 100


def test_lines_keep_their_ends_and_nothing_else() -> None:
    assert lines("a\n\tb\r\x1b") == "a\n\tb\\r\\x1b"


def test_json_that_is_made_printable_means_the_same() -> None:
    text = json.dumps({WORD: "\U000e0001\ud800"}, ensure_ascii=False)
    assert unsafe_in(escaped(text)) == []
    assert json.loads(escaped(text)) == json.loads(text)


def test_a_message_has_no_line_but_its_own() -> None:
    context = click.Context(main)
    with (
        pytest.raises(click.ClickException) as caught,
        failures.failures_are_printable(),
        failures.failures_are_messages(context),
    ):
        raise RunError(f"x{WORD}: is wrong.")
    assert caught.value.format_message() == f"x{line(WORD)}: is wrong."


def test_a_traceback_is_printable() -> None:
    try:
        raise ValueError(WORD)
    except ValueError as error:
        told = (type(error), error, error.__traceback__)
    with terminals() as shown:
        failures._show_traceback(*told)
    assert "Traceback" in shown.getvalue()
    assert unsafe_in(shown.getvalue()) == []
    assert unsafe_in("".join(traceback.format_exception(*told))) != []
