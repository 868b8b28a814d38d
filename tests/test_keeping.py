"""The state that resuming needs: written now and then, never more than a share of the time, and in the end."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ihcli.errors import RunError
from ihcli.runs import keeping
from ihcli.runs.keeping import STATE_S, STATE_TIMES, Keeper
from ihcli.runs.progress import Progress
from ihcli.runs.totals import Observer
from ihcli.runs.writer import RunWriter, create_run

PARTS = 100


class Timed:
    """A clock that only moves where something takes time, and a run that notes when its states are written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, run: Path, state_s: float) -> None:
        self.now, self.written, self.state_s = 1000.0, [], state_s
        monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(RunWriter, "write_state", lambda writer, part, state: self._write(part))
        self.keeper = Keeper(create_run(run), Observer(), Progress())

    def _write(self, part: int) -> None:
        self.written.append((self.now, part))
        self.now += self.state_s

    def add(self, part: int, part_s: float) -> None:
        self.now += part_s
        self.keeper.add(progress(part))


def progress(part: int) -> Progress:
    done = Progress()
    done.parts, done.rows = [range(part, part + 1)], 1
    return done


@pytest.mark.parametrize("part_s", [0.01, 0.3, 5.0])
@pytest.mark.parametrize("state_s", [0.001, 0.5, 4.0])
def test_states_take_a_share_of_the_time_at_most_and_are_as_fresh_as_that_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part_s: float, state_s: float
) -> None:
    timed = Timed(monkeypatch, tmp_path / "run", state_s)
    with timed.keeper.saving():
        for part in range(PARTS):
            timed.add(part, part_s)
        total_s = timed.now - 1000
    times = np.array([when for when, _ in timed.written])
    assert timed.written[-1][1] == PARTS - 1
    assert state_s * (len(times) - 1) <= total_s / STATE_TIMES + state_s
    oldest_s = max(STATE_S, STATE_TIMES * state_s) + state_s + 2 * part_s
    assert np.diff(times, prepend=1000).max() <= oldest_s
    assert len(timed.written) == len({part for _, part in timed.written})


def test_a_kill_costs_the_parts_of_a_second_at_most(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timed = Timed(monkeypatch, tmp_path / "run", 0.0)
    for part in range(PARTS):
        timed.add(part, 0.25)
        unsaved_s = timed.now - max((when for when, _ in timed.written), default=1000.0)
        assert unsaved_s <= 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, RunError])
def test_what_stops_a_run_costs_no_part_that_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: type[BaseException]
) -> None:
    timed = Timed(monkeypatch, tmp_path / "run", 0.01)

    def run_and_stop() -> None:
        with timed.keeper.saving():
            for part in range(3):
                timed.add(part, 0.01)
            raise error("stop")

    with pytest.raises(error):
        run_and_stop()
    assert [part for _, part in timed.written] == [2]


def test_rows_under_way_are_told_now_and_then_and_not_once_they_are_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heard: list[float] = []

    class Hearing(Observer):
        def explained(self, rows: float) -> None:
            heard.append(rows)

    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: now.s))
    keeper = Keeper(create_run(tmp_path / "run"), Hearing(), Progress())
    for seconds, part, rows in ((1.0, 0, 3.0), (1.01, 0, 4.0), (2.0, 1, 2.0), (3.0, 1, 1.0)):
        now.s = seconds
        keeper.hear(part, rows)
    keeper.add(progress(0))
    now.s = 4.0
    keeper.hear(1, 5.0)
    assert heard == [3.0, 6.0, 6.0, 5.0]  # the second came too soon; a part that is begun again does not go back
