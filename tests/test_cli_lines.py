"""Progress in a pipe: a line every 30 seconds and none before, by a clock of the test's own."""

import io
import sys
import threading

import pytest
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TextColumn
from runs import made_up_explanation

from ihcli.cli.showing import narrators
from ihcli.cli.showing.bar import BarNarrator
from ihcli.cli.showing.lines import EVERY_S, Lines
from ihcli.cli.showing.narrators import LineNarrator, Narrator
from ihcli.cli.showing.words import progress_in_words
from ihcli.runs.progress import Progress


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def part(number: int, rows: int) -> Progress:
    return Progress.of_part(number, rows, made_up_explanation(rows))


def test_a_line_says_how_many_and_how_long() -> None:
    assert progress_in_words(312.7, 1500, "rows", 190.2) == "312 of 1,500 rows (20.8 %), 3 min 10 s left"
    assert progress_in_words(0, 7, "shards", None) == "0 of 7 shards (0.0 %)"


def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    narrator = LineNarrator(clock=clock)
    narrator.prepared(1500)
    for number in range(14):
        clock.now += 2
        narrator.explained(50.5)
        narrator.chunk_done(part(number, 100))
    clock.now += 1.9
    narrator.chunk_done(part(14, 100))
    assert capsys.readouterr() == ("", "")


def test_lines_come_every_30_seconds_and_count_rows_under_way(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    narrator = LineNarrator(clock=clock)
    narrator.prepared(1500)
    for _ in range(480):  # a minute of one chunk, of which something is heard eight times a second
        clock.now += 0.125
        narrator.explained((clock.now - 1000) * 10)
    assert capsys.readouterr().err.splitlines() == [
        "300 of 1,500 rows (20.0 %), 2 min 0 s left",
        "600 of 1,500 rows (40.0 %), 1 min 30 s left",
    ]
    clock.now += EVERY_S
    narrator.chunk_done(part(0, 1000))
    assert capsys.readouterr().err == "1,000 of 1,500 rows (66.7 %), 45.0 s left\n"


def test_rows_of_before_tell_nothing_of_the_pace(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    narrator = LineNarrator(clock=clock)
    narrator.prepared(1000)
    narrator.resumed(500)
    clock.now += 30
    narrator.explained(0)
    clock.now += 30
    narrator.explained(100)
    assert capsys.readouterr().err.splitlines() == [
        "500 of 1,000 rows (50.0 %)",
        "600 of 1,000 rows (60.0 %), 4 min 0 s left",
    ]


def test_checks_that_do_not_end_are_told_of_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that hangs on a row of the sample hangs before anything else is said."""
    monkeypatch.setattr(narrators, "CHECKS_S", 0.01)
    told, narrator = threading.Event(), LineNarrator()
    monkeypatch.setattr(narrator, "said", lambda text: (told.set(), print(text, file=sys.stderr)))
    with narrator.telling_of_checks():
        assert told.wait(60)
    assert capsys.readouterr().err == (
        "Still checking model and data: the model is tried on a sample of rows before any is explained.\n"
    )


def test_checks_that_end_are_not_told_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    narrator = LineNarrator()
    with narrator.telling_of_checks():
        narrator.prepared(10)
    narrator._still_checking()
    assert capsys.readouterr().err == ""


def test_quiet_narrators_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator()
    narrator.prepared(10)
    narrator.explained(5)
    narrator.chunk_done(part(0, 10))
    assert capsys.readouterr() == ("", "")


def test_shards_are_told_of_too(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = Lines(8, "shards", clock)
    clock.now += 60
    lines.show_share(0.5)
    assert capsys.readouterr().err == "4 of 8 shards (50.0 %), 1 min 0 s left\n"


def test_the_bar_moves_within_chunks_and_never_back() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=True)
    with Bar(TextColumn("{task.completed}"), console=console, auto_refresh=False) as bar:
        narrator = BarNarrator(bar)
        narrator.prepared(20)
        seen = []
        for event in (4.0, 9.5, 2.0, part(0, 10), 6.0, part(1, 10)):
            if isinstance(event, float):
                narrator.explained(event)
            else:
                narrator.chunk_done(event)
            seen.append(bar.tasks[0].completed)
    assert seen == [4, 9, 9, 10, 16, 20]
