"""`ihcli interactions`: ranked pairs of a run, or of a model and data, in five formats."""

import csv
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from runs import made_up_explanation, on_terminal, write_run

from ihcli.cli import main
from ihcli.cli.words import number_in_words
from ihcli.output import create_run, open_run
from ihcli.request import Observer, RunRequest, RunTotals

BOTH = ("benign", "malignant")


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["interactions", *map(str, arguments)])


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", targets=BOTH)
    return tmp_path / "run"


def test_a_pipe_gets_csv_with_all_digits(run: Path) -> None:
    done = ask(run)
    expected = open_run(run).summary_interactions()
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "target,feature_i,feature_j,rank,mean_abs,mean,std,share,rows"
    assert [float(record["mean_abs"]) for record in records(done.stdout)] == expected["mean_abs"].to_pylist()


def test_top_k_counts_within_every_target(run: Path) -> None:
    found = records(ask(run, "--top-k", 2).stdout)
    assert [(record["target"], record["rank"]) for record in found] == [
        *(("benign", "1"), ("benign", "2")),
        *(("malignant", "1"), ("malignant", "2")),
    ]


def test_target_shows_one_target(run: Path) -> None:
    assert {record["target"] for record in records(ask(run, "--target", "malignant").stdout)} == {"malignant"}
    assert {record["target"] for record in records(ask(run, "--target", "all").stdout)} == set(BOTH)


def test_an_unknown_target_lists_the_valid_ones(run: Path) -> None:
    done = ask(run, "--target", "cat")
    assert done.exit_code == 1
    assert done.stderr == f"Error: --target: {run} has no target 'cat'. Expected benign, malignant or all, got cat.\n"


def test_json_lines_hold_one_record_a_line(run: Path) -> None:
    lines = ask(run, "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == open_run(run).summary_interactions().to_pylist()


def test_parquet_and_arrow_hold_the_same_table(run: Path) -> None:
    expected = open_run(run).summary_interactions()
    assert pq.read_table(io.BytesIO(ask(run, "--format", "parquet").stdout_bytes)).equals(expected)
    assert pa.ipc.open_stream(ask(run, "--format", "arrow").stdout_bytes).read_all().equals(expected)


def test_the_name_of_the_file_chooses_the_format(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    done = ask(run, "-o", file)
    assert (done.exit_code, done.stdout) == (0, "")
    assert pq.read_table(file).equals(open_run(run).summary_interactions())


def test_a_file_that_exists_is_replaced_only_when_asked(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("precious")
    done = ask(run, "-o", file)
    assert done.exit_code == 1
    assert done.stderr == f"Error: -o {file}: exists already. Try --overwrite to replace it, or another -o.\n"
    assert file.read_text() == "precious"
    assert ask(run, "-o", file, "--overwrite").exit_code == 0
    assert len(records(file.read_text())) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.csv", "run"]


def test_a_directory_that_is_missing_is_named(run: Path, tmp_path: Path) -> None:
    done = ask(run, "-o", tmp_path / "nowhere" / "pairs.csv")
    assert done.exit_code == 1
    assert f"there is no directory {tmp_path / 'nowhere'}. Try creating it first." in done.stderr


def test_a_table_has_four_digits_and_a_title_per_target(run: Path) -> None:
    text = ask(run, "--format", "table").stdout
    first = open_run(run).summary_interactions().to_pylist()[0]
    assert "target benign, 6 rows" in text
    assert "target malignant, 6 rows" in text
    row = next(line for line in text.splitlines() if line.split()[:1] == ["1"])
    assert row.split()[:4] == ["1", first["feature_i"], first["feature_j"], number_in_words(first["mean_abs"])]


def test_a_terminal_gets_a_table_that_breaks_names_before_numbers(run: Path) -> None:
    lines = on_terminal("interactions", str(run), "--target", "benign", columns=50).splitlines()
    sizes = [number_in_words(size) for size in open_run(run).summary_interactions()["mean_abs"].to_pylist()[:3]]
    assert "target benign, 6 rows" in lines[0]
    assert any("mean_abs" in line for line in lines)
    for rank, size in enumerate(sizes, 1):
        assert any(line.split()[:1] == [str(rank)] and size in line for line in lines)


def test_binary_formats_are_refused_on_a_terminal(run: Path) -> None:
    text = on_terminal("interactions", str(run), "--format", "arrow")
    assert "Error: --format arrow: is not for a terminal. Try -o FILE, or a pipe." in text


def test_names_with_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    write_run(tmp_path / "run", targets=("[bold]x",))
    assert "target [bold]x, 6 rows" in ask(tmp_path / "run", "--format", "table").stdout


def test_a_closed_pipe_ends_quietly(run: Path) -> None:
    shell = f"{sys.executable} -m ihcli interactions {run} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_head_gets_the_first_line(run: Path) -> None:
    shell = f"{sys.executable} -m ihcli interactions {run} | head -1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("target,feature_i,feature_j")
    assert done.stderr == ""


def test_ranking_a_run_does_not_import_torch(run: Path) -> None:
    code = "import sys; from ihcli.cli import main; main(sys.argv[1:], standalone_mode=False); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "interactions", str(run)], capture_output=True, check=True)


def test_a_run_without_interactions_names_the_methods_that_give_them(tmp_path: Path) -> None:
    write_run(tmp_path / "run", second_order=False)
    done = ask(tmp_path / "run")
    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: {tmp_path / 'run'}: has no interactions, only attributions. Expected a run of ih or eh. "
        "Try ihcli explain with --method ih.\n"
    )


def test_a_run_that_did_not_finish_says_so(tmp_path: Path) -> None:
    create_run(tmp_path / "run")
    done = ask(tmp_path / "run")
    assert done.exit_code == 1
    assert "the run did not finish (status running), so it has no summary. " in done.stderr
    assert "Try the same ihcli explain with --resume" in done.stderr


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = ask(tmp_path / "none")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {tmp_path / 'none'}: no such run.")


def test_a_model_without_data_is_a_usage_error(tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    model.touch()
    done = ask(model)
    assert done.exit_code == 2
    assert f"Missing argument 'DATA': {model} is a file, not a run. Try ihcli interactions MODEL DATA." in done.stderr


def test_options_of_a_computation_are_refused_for_a_run(run: Path) -> None:
    done = ask(run, "-m", "eh", "--tolerance", 0.1)
    assert done.exit_code == 2
    assert (
        "--method, --tolerance: for MODEL and DATA only; a RUN is computed already. Try again without." in done.stderr
    )


def test_first_order_methods_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.cli.progress.run", lambda *_: pytest.fail("computed"))
    done = ask("m.pt", "d.csv", "-m", "eg")
    assert done.exit_code == 1
    assert done.stderr == "Error: --method eg: gives no interactions. Expected ih or eh. Try --method eh.\n"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RunRequest, Path]]:
    """Let computations write a made-up run of which two rows missed; returns what was asked."""
    asked = []

    def compute(request: RunRequest, out: Path, observer: Observer, *_: bool) -> RunTotals:
        asked.append((request, out))
        write_run(out)
        observer.chunk_done(6, made_up_explanation())
        return RunTotals(out, 6, 6, {"ok": 4, "not_converged": 2}, 48, 0.25)

    monkeypatch.setattr("ihcli.cli.progress.run", compute)
    return asked


def test_model_and_data_are_explained_first_and_nothing_is_kept(computed: list[tuple[RunRequest, Path]]) -> None:
    done = ask("m.pt", "d.csv", "-m", "eh", "--target", "risk", "--exclude", "a,b", "--top-k", 1)
    request, out = computed[0]
    assert done.exit_code == 0
    assert request == RunRequest("m.pt", "d.csv", method="eh", target="risk", exclude=("a", "b"), interactions="none")
    assert len(records(done.stdout)) == 1
    assert done.stderr == (
        "Explained 6 rows in 0.2 s: 8.0 evaluations per row, 66.7 % within tolerance 0.01.\n"
        "2 of 6 rows missed the tolerance (not_converged 2). Try a larger --max-evaluations or --tolerance.\n"
    )
    assert not out.exists()
    assert out.parent.parent == Path(tempfile.gettempdir())


def test_strict_ends_with_3_after_the_table(computed: list[tuple[RunRequest, Path]]) -> None:
    done = ask("m.pt", "d.csv", "--strict", "--quiet")
    assert done.exit_code == 3
    assert len(records(done.stdout)) == 3
    assert done.stderr == ""
