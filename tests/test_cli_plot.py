"""`ihcli plot` as a user calls it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from runs import write_run, write_text_run

from ihcli.cli import main


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run")
    return tmp_path / "run"


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["plot", *map(str, arguments)])


def test_a_picture_is_written_and_named(run: Path, tmp_path: Path) -> None:
    done = ask(run, "bar", "-o", tmp_path / "bar.png")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"Picture written to {tmp_path / 'bar.png'}.\n"
    assert (tmp_path / "bar.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("bar", ["--pairs", "--main-effects", "--top-k", "2"]),
        ("heatmap", ["--by", "mean", "--main-effects"]),
        ("network", ["--top-k", "2", "--main-effects"]),
        ("rows", ["--sort", "prediction", "--points", "4"]),
        ("bar", ["--by", "_prediction:2", "--pairs"]),
        ("waterfall", ["--row", "0", "--top-k", "1"]),
        ("waterfall", ["--key", "patient=P0"]),
        ("convergence", ["--points", "3", "--seed", "0"]),
        ("effect", ["--pair", "age,pressure", "--against", "_prediction", "--where", "_prediction<100", "--all-rows"]),
    ],
)
def test_kinds_take_their_options(run: Path, tmp_path: Path, kind: str, options: list[str]) -> None:
    # The made-up run records no data, which a waterfall can do without only where it was recorded.
    info = (run / "run.json").read_text().replace('"keys"', '"data": {"path": "gone", "sha256": "", "rows": 6}, "keys"')
    (run / "run.json").write_text(info)
    done = ask(run, kind, "-o", tmp_path / "x.svg", *options)
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "x.svg").stat().st_size > 1000


def test_a_text_is_drawn(tmp_path: Path) -> None:
    write_text_run(tmp_path / "run")
    assert ask(tmp_path / "run", "text", "--row", 0, "-o", tmp_path / "x.png").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["beeswarm"], 2, "Invalid value for 'KIND': 'beeswarm' is not one of 'summary', 'bar', 'heatmap'"),
        (["beeswarm"], 2, "Did you mean 'summary'?"),
        (["summary", "--feature", "zz"], 2, "--feature: is not for summary. Expected with dependence, effect."),
        (["bar", "--row", "1"], 2, "--row: is not for bar. Expected with waterfall, text. Try without it."),
        (["bar", "--row", "0"], 2, "--row: is not for bar."),
        (["heatmap", "--pairs"], 2, "--pairs: is not for heatmap. Expected with summary, bar."),
        (
            ["heatmap", "--seed", "0"],
            2,
            "--seed: is not for heatmap. Expected with summary, rows, dependence, surface, effect, convergence.",
        ),
        (["bar", "--main-effects"], 2, "--main-effects: is for pairs. Try --pairs too."),
        (["bar", "--pairs", "--main-effects", "--by", "x"], 2, "--main-effects, --by: are not drawn together."),
        (["bar", "--data", "x.csv"], 2, "--data: is for --by, whose column it has. Try --by too."),
        (["heatmap", "--by", "age"], 1, "--by age: is not what a cell of a heatmap shows. Expected mean_abs or mean"),
        (["rows", "--sort", "age"], 2, "'age' is not one of 'similarity', 'prediction'."),
        (["surface", "--pair", "age,age"], 1, "Try ihcli plot RUN dependence with --feature age."),
        (["surface", "--pair", "age,presure"], 1, "Did you mean 'pressure'?"),
        (["waterfall", "--row", "1", "--key", "patient=P1"], 2, "--row, --key: both select a row."),
        (["waterfall"], 1, "--row: is not given. Expected which row waterfall shows. Try --row 0."),
        (["waterfall", "--row", "9"], 1, "--row 9: there is no such row. Expected 0 to 5."),
        (["waterfall", "--key", "patient"], 2, "--key patient: Expected COL=VALUE with a RUN"),
        (["dependence", "--feature", "presure"], 1, "Did you mean 'pressure'?"),
        (["bar", "--target", "rsk"], 1, "has no target 'rsk'. Expected one of 'risk'. Did you mean 'risk'?"),
        (["text", "--row", "1"], 1, "explains a table. Expected a run over texts. Try waterfall."),
        (["summary"], 1, "lacks 'data'."),
    ],
)
def test_what_cannot_be_drawn_is_a_message(
    run: Path, tmp_path: Path, arguments: list[str], exit_code: int, message: str
) -> None:
    done = ask(run, *arguments, "-o", tmp_path / "x.png")
    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert message in done.stderr
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.jpg", "is not a picture. Expected a name that ends in .png, .svg or .pdf."),
        ("x.pgn", "Did you mean '.png'?"),
        ("x", "is not a picture."),
        ("none/x.png", "there is no directory"),
        ("there.png", "exists already. Try --overwrite to replace it, or another -o."),
        ("folder.png", "is a directory. Expected the name of a file."),
    ],
)
def test_files_that_cannot_be_written_are_refused_before_any_work(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "there.png").touch()
    (tmp_path / "folder.png").mkdir()
    done = ask(tmp_path / "no-run", "bar", "-o", tmp_path / name)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: -o {tmp_path / name}: ")
    assert message in done.stderr


def test_a_picture_is_replaced_when_asked(run: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    assert ask(run, "bar", "-o", tmp_path / "x.png", "--overwrite").exit_code == 0
    assert (tmp_path / "x.png").stat().st_size > 0


def test_without_matplotlib_the_extra_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = ask(run, "bar", "-o", tmp_path / "x.png")
    assert done.exit_code == 1
    assert done.stderr == "Error: ihcli plot: needs the package matplotlib. Try pip install 'ihcli[plot]'.\n"
    assert list(tmp_path.iterdir()) == [run]


def test_drawing_imports_neither_torch_nor_pyplot(run: Path, tmp_path: Path) -> None:
    code = "import sys; from ihcli.cli import main; main(sys.argv[1:], standalone_mode=False); "
    code += "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    command = [sys.executable, "-c", code, "plot", str(run), "heatmap", "-o", str(tmp_path / "x.png")]
    subprocess.run(command, capture_output=True, check=True)


def test_help_needs_no_matplotlib() -> None:
    code = "import sys; from ihcli.cli import main; main(['plot', '--help'], standalone_mode=False); "
    code += "assert not {'torch', 'matplotlib', 'numpy', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
