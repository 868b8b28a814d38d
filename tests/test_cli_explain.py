"""`ihcli explain`: what it asks of the library, what it says while and after, and its exit codes."""

import io
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TextColumn
from runs import begun, made_up_explanation, on_terminal

from ihcli.cli import main
from ihcli.cli.showing.bar import BarNarrator
from ihcli.cli.showing.progress import _interruption
from ihcli.cli.showing.words import duration_in_words, number_in_words, share_in_words, size_in_words
from ihcli.runs.info import RunInfo
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest
from ihcli.runs.shards import Place
from ihcli.runs.totals import Estimate, Observer, RunTotals
from ihcli.runs.writer import create_run

SAMPLE = Path(__file__).parent.parent / "sample_data"
STOPS_WITHIN_S = 60  # a few on an idle machine; tests share theirs
ALL_OK = RunTotals(Path("run"), 569, 569, {"ok": 569}, 12_120, 3.21)


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["explain", "m.pt", "d.csv", *map(str, arguments)])


class FakeRun:
    """Stands for the library: remembers what it was asked, and tells the observer of one chunk."""

    def __init__(self) -> None:
        self.totals = ALL_OK
        self.error: BaseException | None = None
        self.rows_before = 0
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self, request: RunRequest, out: Path, observer: Observer, existing: str, *where: object) -> RunTotals:
        self.request, self.out, self.existing = request, out, existing
        self.where = where
        observer.warned("the gradient is zero.")
        observer.prepared(12)
        observer.resumed(self.rows_before)
        observer.chunk_done(Progress.of_part(0, 6, made_up_explanation()))
        self.meanwhile()
        if self.error is not None:
            raise self.error
        return self.totals


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    fake = FakeRun()
    monkeypatch.setattr("ihcli.cli.showing.progress.run", fake)
    monkeypatch.setattr("ihcli.execution.refusals.refuse_early", lambda *_, **__: None)  # nothing here is a file
    return fake


def test_without_options_the_request_has_its_defaults(fake: FakeRun) -> None:
    assert ask("-o", "run").exit_code == 0
    assert (fake.request, fake.out) == (RunRequest("m.pt", "d.csv"), Path("run"))
    assert fake.existing == "refuse"


def test_every_option_reaches_the_request(fake: FakeRun, tmp_path: Path) -> None:
    listed = tmp_path / "features.txt"
    listed.write_text("age, in years\n\nbmi\n")
    text = (
        "-m eg --baseline median --target 1 --tolerance 0.1 --smooth 5 --device cpu --memory 1.5GiB --key a --key b "
        "--label y --exclude c,d --exclude e --groups g.toml --groups-by = --missing flag --limit 9 --baseline-rows 50 "
        "--seed 3 --max-evaluations 100 --steps 16 --smooth-tolerance 0.2 --interactions top:5 --dtype float64 "
        "--chunk-rows 7 --trust --overwrite"
    )
    assert ask("-o", "run", "--features", f"@{listed}", *text.split()).exit_code == 0
    assert fake.existing == "replace"
    assert fake.request == RunRequest(
        model="m.pt",
        data="d.csv",
        method="eg",
        baseline="median",
        target="1",
        tolerance=0.1,
        smooth="5",
        device="cpu",
        memory_bytes=3 << 29,
        key=("a", "b"),
        label="y",
        exclude=("c", "d", "e"),
        features=("age, in years", "bmi"),
        groups="g.toml",
        groups_by="=",
        missing="flag",
        limit=9,
        baseline_rows=50,
        seed=3,
        max_evaluations=100,
        steps=16,
        smooth_tolerance=0.2,
        interactions="top:5",
        dtype="float64",
        chunk_rows=7,
        trust=True,
    )


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("2GiB", 2 << 30), ("512MiB", 512 << 20), ("1e9", 10**9), ("1GB", 10**9), ("64 kib", 64 << 10), ("1000", 1000)],
)
def test_memory_sizes_are_read(fake: FakeRun, text: str, size_bytes: int) -> None:
    ask("-o", "run", "--memory", text)
    assert fake.request.memory_bytes == size_bytes


def test_a_run_ends_with_one_line_on_standard_error(fake: FakeRun) -> None:
    done = ask("-o", "out/run")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        "Warning: the gradient is zero.\n"
        "Explained 569 rows in 3.2 s: 21.3 evaluations per row, 100.0 % within tolerance 0.01. "
        "Run written to out/run.\n"
    )


def test_quiet_silences_the_summary_but_no_warning(fake: FakeRun) -> None:
    assert ask("-o", "run", "--quiet").stderr == "Warning: the gradient is zero.\n"


MISSES = {"ok": 557, "not_converged": 10, "rounding": 2}


def test_rows_that_missed_the_tolerance_are_counted(fake: FakeRun) -> None:
    fake.totals = replace(ALL_OK, statuses=MISSES)
    done = ask("-o", "run")
    assert done.exit_code == 0
    assert done.stderr.splitlines()[2] == (
        "12 of 569 rows missed the tolerance (not_converged 10, rounding 2); they are flagged in _status. "
        "Try a larger --max-evaluations or --tolerance, or --dtype float64 where rounding is in the way."
    )
    assert "97.9 % within tolerance" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "changes", "remedies"),
    [
        (["--steps", "8"], {}, "Try a larger --steps or --tolerance."),
        ([], {"jumps": "`smooth=auto`"}, "Try --smooth auto."),
        (["--steps", "8"], {"jumps": "`method=ig`"}, "Try --method ig."),
        ([], {"dtype": "float64"}, "Try a larger --max-evaluations or --tolerance."),
        (["--smooth", "none"], {}, "Try a larger --max-evaluations or --tolerance."),
    ],
)
def test_remedies_fit_what_was_asked_and_what_was_found(
    fake: FakeRun, arguments: list[str], changes: dict[str, str], remedies: str
) -> None:
    fake.totals = replace(ALL_OK, statuses={"ok": 568, "not_converged": 1}, **changes)
    assert ask("-o", "run", *arguments).stderr.rstrip().endswith(remedies)


def test_float64_is_not_proposed_to_a_run_in_float64(fake: FakeRun) -> None:
    fake.totals = replace(ALL_OK, statuses={"ok": 568, "rounding": 1}, dtype="float64")
    assert ask("-o", "run").stderr.rstrip().endswith("Try a larger --tolerance where rounding is in the way.")


def test_rows_without_values_are_counted_apart(fake: FakeRun) -> None:
    fake.totals = replace(ALL_OK, statuses={"ok": 566, "missing_input": 2, "non_finite": 1})
    assert ask("-o", "run").stderr.splitlines()[2:] == [
        "3 of 569 rows have no values (missing_input 2, non_finite 1); they are flagged in _status."
    ]


def test_several_targets_are_counted_as_pairs(fake: FakeRun) -> None:
    fake.totals = replace(ALL_OK, entries=1138, statuses={"ok": 1137, "not_converged": 1})
    lines = ask("-o", "run").stderr.splitlines()
    assert lines[1].startswith("Explained 569 rows (1138 row-target pairs) in 3.2 s: 21.3 evaluations per row, 99.9 %")
    assert lines[2].startswith("1 of 1138 row-target pairs missed the tolerance (not_converged 1);")


@pytest.mark.parametrize(("statuses", "exit_code"), [(MISSES, 3), ({"ok": 569}, 0)])
def test_strict_ends_with_3_when_rows_missed(fake: FakeRun, statuses: dict[str, int], exit_code: int) -> None:
    fake.totals = replace(ALL_OK, statuses=statuses)
    assert ask("-o", "run", "--strict").exit_code == exit_code


def test_an_interruption_names_what_is_kept(fake: FakeRun) -> None:
    fake.error = KeyboardInterrupt()
    done = ask("-o", "run")
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == (
        "Interrupted. The finished parts, 6 rows, are kept in run. Try the same command with --resume to continue."
    )


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("interrupted", "the first part of {out} was done. Try the same command with --resume to continue."),
        ("done", "any row was written; what {out} holds is kept. Try the same command to continue."),
        (None, "any row was written; nothing is kept."),
    ],
)
def test_an_interruption_before_any_row_tells_what_is_there(tmp_path: Path, status: str | None, told: str) -> None:
    out = tmp_path / "run"
    if status is not None:
        create_run(out).write_info(RunInfo.of({"status": status, "arguments": {}}))
    assert _interruption(Place(out), rows_done=0) == f"Interrupted before {told.format(out=out)}"


def test_an_interruption_of_checks_tells_what_may_hang(fake: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def hanging(*_: object) -> RunTotals:
        raise KeyboardInterrupt

    monkeypatch.setattr("ihcli.cli.showing.progress.run", hanging)
    done = ask("-o", "run")
    assert done.exit_code == 130
    assert done.stderr.startswith("Interrupted while model and data were checked, before any row was explained; ")
    assert done.stderr.endswith("a row of the sample that it is tried on, try --limit 1, and more from there.\n")


def test_an_interruption_of_a_resumed_run_counts_the_rows_before(fake: FakeRun) -> None:
    fake.error, fake.rows_before = KeyboardInterrupt(), 100
    assert "The finished parts, 106 rows, are kept in run." in ask("-o", "run", "--resume").stderr


def test_being_ended_is_an_interruption_with_its_own_exit_code(fake: FakeRun) -> None:
    fake.meanwhile = lambda: os.kill(os.getpid(), signal.SIGTERM)
    before = signal.getsignal(signal.SIGTERM)
    done = ask("-o", "run")
    assert done.exit_code == 143
    assert done.stderr.splitlines()[-1].startswith("Interrupted. The finished parts, 6 rows, are kept in run.")
    assert signal.getsignal(signal.SIGTERM) is before


def test_more_signals_do_not_disturb_what_stops(fake: FakeRun) -> None:
    calm = []

    def meanwhile() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), number)
            calm.append(True)

    fake.meanwhile = meanwhile
    assert ask("-o", "run").exit_code == 130
    assert calm == [True]


def test_a_signal_counts_again_when_stopping_takes_long(fake: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.cli.showing.stopping.GRACE_S", 0.0)

    def meanwhile() -> None:
        with suppress(KeyboardInterrupt):  # as Python does where an exception has nowhere to go
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    fake.meanwhile = meanwhile
    assert ask("-o", "run").exit_code == 143


def test_signals_that_the_caller_ignores_stay_ignored(fake: FakeRun) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fake.meanwhile = lambda: os.kill(os.getpid(), signal.SIGINT)
        assert ask("-o", "run").exit_code == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_resuming_a_finished_run_says_so(fake: FakeRun) -> None:
    fake.totals = replace(ALL_OK, was_done=True, statuses=MISSES)
    done = ask("-o", "run", "--resume")
    assert fake.existing == "resume"
    assert (done.exit_code, done.stderr.splitlines()[1:]) == (
        0,
        ["The run in run is finished already, 569 rows; nothing is left to do."],
    )
    assert ask("-o", "run", "--resume", "--strict").exit_code == 3
    assert ask("-o", "run", "--resume", "--quiet").stderr == "Warning: the gradient is zero.\n"


def test_resuming_and_overwriting_exclude_each_other(fake: FakeRun) -> None:
    done = ask("-o", "run", "--resume", "--overwrite")
    assert done.exit_code == 2
    assert "--resume keeps the run that is there, --overwrite replaces it. Try one of them." in done.stderr


def test_the_bar_of_a_resumed_run_begins_where_it_was_stopped() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=True)
    columns = ("{task.completed}/{task.total}", "{task.fields[figures]}")
    with Bar(*map(TextColumn, columns), console=console, auto_refresh=False) as progress:
        narrator = BarNarrator(progress)
        narrator.prepared(112)
        narrator.resumed(100)
        narrator.chunk_done(Progress.of_part(0, 6, made_up_explanation()))
        progress.refresh()
    assert "106/112 8.0 evaluations per row, 100.0 % within tolerance" in text.getvalue()


def test_the_bar_shows_rows_evaluations_and_share_converged() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=True)
    columns = ("{task.description}", "{task.completed}/{task.total}", "{task.fields[figures]}")
    with Bar(*map(TextColumn, columns), console=console, auto_refresh=False) as progress:
        narrator = BarNarrator(progress)
        narrator.prepared(12)
        narrator.warned("[red]odd")
        narrator.chunk_done(Progress.of_part(0, 6, made_up_explanation()))
        narrator.chunk_done(Progress.of_part(0, 3, made_up_explanation(n_rows=3, status="rounding")))
        progress.refresh()
    assert "Explaining 9/12 8.0 evaluations per row, 66.7 % within tolerance" in text.getvalue()
    assert "Warning: [red]odd" in text.getvalue()


def test_a_terminal_gets_a_bar_that_the_summary_replaces(tmp_path: Path) -> None:
    model, data = str(SAMPLE / "diabetes_softplus.pkl"), str(SAMPLE / "diabetes.csv")
    text = on_terminal("explain", model, data, "-o", str(tmp_path / "run"), "--limit", "20", "--chunk-rows", "10")
    assert "Checking model and data" in text
    assert "20/20" in text
    assert "evaluations per row, 100.0 % within tolerance" in text
    assert text.splitlines()[-1].partition("Explained 20 rows in ")[1]


@pytest.mark.parametrize("out", [[], ["-o", "run"]])
def test_a_forecast_is_printed_and_nothing_computed(
    fake: FakeRun, monkeypatch: pytest.MonkeyPatch, out: list[str]
) -> None:
    foreseen = Estimate(
        *(569, 32, 30, 1, 21.25, 0.96875, 1.2, 7.72, 70.0, 2_200_000, 3_000_000, 900_000_000),
        notes=("SoftPlus with beta 50",),
    )
    monkeypatch.setattr("ihcli.cli.showing.progress.estimate", lambda *asked: foreseen)
    done = ask("--dry-run", *out)
    assert done.exit_code == 0
    assert done.stdout == (
        "From a pilot of 32 rows:\n"
        "Rows                    569\n"
        "Features                30\n"
        "Targets per row         1\n"
        "Evaluations per row     21.2\n"
        "Within tolerance 0.01   96.9 %\n"
        "Rows per second         73.7\n"
        "Expected time           1 min 19 s (checks 1.2 s, rows 7.7 s, summary 1 min 10 s)\n"
        "Expected size on disk   5.0 MiB (rows 2.1 MiB, summary 2.9 MiB)\n"
        "Expected memory         858.3 MiB at most\n"
        "SoftPlus with beta 50\n"
    )
    assert not hasattr(fake, "request")


def test_figures_read_well() -> None:
    numbers = (0, 0.123456, -12.3456, 1234.56, 12345.6, 9999.96, 0.00012345, 1.5e-7, 3e12)
    assert [number_in_words(number) for number in numbers] == [
        *("0", "0.1235", "-12.35", "1235", "12350", "10000", "0.0001234", "1.500e-07", "3.000e+12"),
    ]
    assert [duration_in_words(seconds) for seconds in (3.21, 59.99, 250, 7500)] == [
        *("3.2 s", "1 min 0 s", "4 min 10 s", "2 h 5 min"),
    ]
    assert [size_in_words(size) for size in (0, 512, 1024, 1536, 5 << 30)] == [
        *("0 B", "512 B", "1.0 KiB", "1.5 KiB", "5.0 GiB"),
    ]
    assert [share_in_words(*share) for share in ((0, 9), (1, 9999), (9998, 9999), (9, 9))] == [
        *("0.0 %", "0.1 %", "99.9 %", "100.0 %"),
    ]


def test_sample_data_is_explained_from_end_to_end(tmp_path: Path) -> None:
    model, data = str(SAMPLE / "diabetes_softplus.pkl"), str(SAMPLE / "diabetes.csv")
    done = CliRunner().invoke(main, ["explain", model, data, "-o", str(tmp_path / "run"), "--limit", "20"])
    assert done.exit_code == 0, done.stderr
    assert done.stderr.startswith("Explained 20 rows in ")
    assert pq.read_table(tmp_path / "run" / "attributions").num_rows == 20
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "done"
    ranked = CliRunner().invoke(main, ["interactions", str(tmp_path / "run"), "--top-k", "1"])
    assert ranked.stdout.startswith("target,feature_i,feature_j,rank")


def test_control_c_stops_in_seconds_and_resuming_goes_on(tmp_path: Path) -> None:
    run, model, data = tmp_path / "run", SAMPLE / "breast_cancer_relu.pt", SAMPLE / "breast_cancer.parquet"
    command = ["explain", str(model), str(data), "-o", str(run), "--chunk-rows", "5", "--limit", "60"]
    with begun(*command, until=(run / "attributions" / "part-000002.parquet").exists) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=STOPS_WITHIN_S)
    assert process.returncode == 130, errors
    assert f"are kept in {run}. Try the same command with --resume to continue." in errors
    assert "Traceback" not in errors
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    resumed = CliRunner().invoke(main, [*command, "--resume"])
    assert resumed.exit_code == 0, resumed.stderr
    assert resumed.stderr.startswith("Explained 60 rows in ")
    assert pq.read_table(run / "attributions")["_row"].to_pylist() == list(range(60))


def test_control_c_stops_in_the_middle_of_a_large_chunk(tmp_path: Path) -> None:
    model, data = SAMPLE / "breast_cancer_relu.pt", SAMPLE / "breast_cancer.parquet"
    minutes = ("-m", "eh", "--tolerance", "1e-6", "--max-evaluations", "1000000")  # in one chunk
    run = tmp_path / "run"
    with begun("explain", model, data, "-o", run, *minutes, until=(run / "run.json").exists) as process:
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=STOPS_WITHIN_S)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "Interrupted before any row was written; nothing is kept."
    assert not run.exists()
