"""What every executor promises: tests that the file of each inherits."""

import json
import signal
from pathlib import Path

import pandas as pd
import pytest
from small_runs import N_ROWS, Hearing, Stopping, assert_same_run, request_of

from ihcli.errors import DataError
from ihcli.execution.pipeline import run
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.totals import Observer


class ExecutorContract:
    """Where chunks run makes no difference to what is written, told or raised.

    workforce  what chooses the executor
    """

    workforce: Workforce

    def asked(self, folder: Path, **options: object) -> RunRequest:
        return request_of(folder, self.workforce.workers or 1, **options)

    def test_the_run_is_that_of_one_process_heard_of_in_order(
        self, small_inputs: Path, run_alone: Path, tmp_path: Path
    ) -> None:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before, heard = [signal.getsignal(number) for number in numbers], Hearing()
        totals = run(self.asked(small_inputs), tmp_path / "run", heard, workforce=self.workforce)
        assert_same_run(tmp_path / "run", run_alone)
        assert (heard.before, heard.rows) == (0, [2] * 20 + [1])
        assert totals.rows == N_ROWS
        assert totals.wall_s > 0
        assert [signal.getsignal(number) for number in numbers] == before

    def test_an_interrupted_run_goes_on_with_one_process(
        self, small_inputs: Path, run_alone: Path, tmp_path: Path
    ) -> None:
        out, heard = tmp_path / "run", Hearing()
        with pytest.raises(KeyboardInterrupt):
            run(self.asked(small_inputs), out, Stopping(after=4), workforce=self.workforce)
        assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
        assert not list(out.rglob(".part-*"))
        run(request_of(small_inputs), out, heard, existing="resume")
        assert heard.before == 8
        assert_same_run(out, run_alone)

    def test_a_label_that_is_no_output_ends_the_run_with_its_message(self, small_inputs: Path, tmp_path: Path) -> None:
        table = pd.read_parquet(small_inputs / "table.parquet")
        table.loc[30, "label"] = 7
        table.to_parquet(tmp_path / "odd.parquet")
        asked = self.asked(small_inputs, data=str(tmp_path / "odd.parquet"), target="label")
        with pytest.raises(DataError, match="7"):
            run(asked, tmp_path / "run", Observer(), workforce=self.workforce)
        assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"
