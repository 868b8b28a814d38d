"""Names of columns are anybody's: a table whose names hold whatever names can hold, through every command."""

import json
import string
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from ihcli.cli import main
from ihcli.results.explained_data import feature_values
from ihcli.results.result import read

N_ROWS = 5
AMONG = [f"a{sign}b" for sign in string.punctuation]
ALONE = [*string.punctuation, " ", "\t"]
AT_THE_END = [f"{sign}x" for sign in ".-@#$ \t"] + [f"x{sign}" for sign in ".,= \t"]
PATHS = ["a", "a.b.c", "..", "x.list.element", "interactions.list.element", "../up", "C:\\x", "*?[x]", "~"]
OF_COLUMNS = ["row", "target", "feature", "feature_i", "rank", "share", "interactions", "attributions", "units"]
LIKE_NUMBERS = ["1", "1.5", "-2e5", "nan", "inf", "None", "null", "true", "NA"]
MARKUP = [
    "[red]",
    "[/]",
    "[bold]x[/bold]",
    "<script>alert(1)</script>",
    "</script>",
    "<!--",
    "&amp;",
    "$x_1$",
    "$\\frac{1",
]
FORMATS = ["{0}", "{", "%s", "%(x)s", "=HYPERLINK(1)", "`id`", "$HOME", "'; DROP", '"q"', "a\\nb", "__proto__"]
LETTERS = ["größe", "体重", "😀", "e\u0301", "line\nend", "\x1b[31m", "\u202eabc", "L" * 200, "L" * 199 + "M"]
NAMES = list(
    dict.fromkeys([*AMONG, *ALONE, *AT_THE_END, *PATHS, *OF_COLUMNS, *LIKE_NUMBERS, *MARKUP, *FORMATS, *LETTERS])
)
KEYS = [f"key{sign}" for sign in (".", "=", ",", " ", "[red]", "\n", "'", '"', "$", ".list.element")]
SHOWN = ["a.b", "$x_1$", "[/]", "\x1b[31m", " x", "😀", "<!--"]
"""Of which pictures of their own are drawn."""


class Explained(NamedTuple):
    folder: Path
    data: Path
    inputs: np.ndarray

    @property
    def model(self) -> Path:
        return self.folder / "model.pt"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def explain(self, name: str, *more: object) -> Path:
        keys = [part for key in KEYS for part in ("--key", key)]
        done("explain", self.model, self.data, "-o", self.folder / name, *keys, *more)
        return self.folder / name


ONCE = pytest.mark.parametrize("explained", ["csv"], indirect=True)
"""For pictures and rankings of a run, which holds the same whatever file it was made from."""


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, (arguments, result.output)
    return result.stdout


@pytest.fixture(scope="module", params=["csv", "parquet"])
def explained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Explained:
    folder = tmp_path_factory.mktemp("names")
    inputs = np.random.default_rng(0).normal(size=(N_ROWS, len(NAMES))).round(3)
    frame = pd.DataFrame(inputs, columns=NAMES)
    keys = pd.DataFrame({key: [f"{row}{key}" for row in range(N_ROWS)] for key in KEYS})
    frame, data = pd.concat([frame, keys], axis=1), folder / f"t.{request.param}"
    frame.to_csv(data, index=False) if request.param == "csv" else frame.to_parquet(data)
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(len(NAMES), 3), nn.Tanh(), nn.Linear(3, 1)).eval(), folder / "model.pt")
    found = Explained(folder, data, inputs)
    found.explain("run")
    return found


def test_names_are_kept_as_they_are(explained: Explained) -> None:
    result = read(explained.run)
    assert list(result.feature_names) == NAMES
    assert set(NAMES) <= set(result.attributions.columns)
    assert [result.record(2).keys[key] for key in KEYS] == [f"2{key}" for key in KEYS]
    assert np.array_equal(feature_values(result, NAMES, range(N_ROWS)).numbers, explained.inputs)


def test_keys_of_any_name_find_their_row(explained: Explained) -> None:
    for key in KEYS:
        assert '"_row": 3' in done("attributions", explained.run, "--key", f"{key}=3{key}", "--format", "jsonl")


@ONCE
@pytest.mark.parametrize("command", ["attributions", "interactions"])
@pytest.mark.parametrize("format_name", ["table", "csv", "jsonl", "parquet", "arrow"])
def test_rankings_hold_every_name(explained: Explained, command: str, format_name: str, tmp_path: Path) -> None:
    column = "feature" if command == "attributions" else "feature_i"
    for more in ([], ["--row", "1"]):
        file, rows = tmp_path / f"ranked{len(more)}", 200 if format_name == "table" else len(NAMES) ** 2
        done(command, explained.run, *more, "--top-k", rows, "--format", format_name, "-o", file)
        if format_name == "table":  # for people, and slow to lay out
            assert file.read_text().count("\n") > min(rows, len(NAMES))
            continue
        readers = {
            "csv": lambda file: list(pd.read_csv(file, keep_default_na=False)[column]),
            "jsonl": lambda file: [json.loads(line)[column] for line in file.read_text().split("\n")[:-1]],
            "parquet": lambda file: pq.read_table(file)[column].to_pylist(),
            "arrow": lambda file: pa.ipc.open_stream(file.read_bytes()).read_all()[column].to_pylist(),
        }
        missing = set(NAMES) - set(readers[format_name](file))
        assert len(missing) <= (0 if command == "attributions" else 1)  # the last of all is first of no pair


def test_every_name_can_be_asked_for(explained: Explained) -> None:
    for name in NAMES:
        assert f'"feature": {json.dumps(name, ensure_ascii=False)}' in done(
            "attributions", explained.run, "--feature", name, "--format", "jsonl"
        )


@ONCE
@pytest.mark.parametrize("kind", ["summary", "bar", "heatmap", "waterfall", "convergence"])
def test_pictures_hold_names_of_any_kind(explained: Explained, kind: str, tmp_path: Path) -> None:
    more = {"waterfall": ["--row", "1"], "bar": ["--pairs"]}.get(kind, [])
    top_k = [] if kind == "convergence" else ["--top-k", "200"]
    done("plot", explained.run, kind, *more, *top_k, "-o", tmp_path / "picture.svg")
    ET.parse(tmp_path / "picture.svg")


@ONCE
@pytest.mark.parametrize("name", SHOWN)
def test_a_feature_of_any_name_is_drawn(explained: Explained, name: str, tmp_path: Path) -> None:
    done("plot", explained.run, "dependence", "--feature", name, "--color-by", "a.b.c", "-o", tmp_path / "picture.svg")
    ET.parse(tmp_path / "picture.svg")


def test_a_report_and_both_verifications_take_any_name(explained: Explained, tmp_path: Path) -> None:
    done("report", explained.run, "-o", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    done("verify", explained.run)
    done("verify", explained.run, explained.model, explained.data, "--sample", "1")


def test_shards_with_any_names_are_merged(explained: Explained) -> None:
    for shard in ("1/2", "2/2"):
        run = explained.explain("shards", "--shard", shard, "--chunk-rows", "2")
    done("merge", run)
    done("verify", run)


@pytest.mark.parametrize("more", [["-m", "eh"], ["--interactions", "top:3"], ["--interactions", "none"], ["-m", "ig"]])
def test_runs_of_every_kind_take_any_name(explained: Explained, more: list[str]) -> None:
    run = explained.explain("-".join(more).replace(":", ""), *more)
    done("verify", run)
    if more[0] != "-m" or more[1] == "eh":
        done("interactions", run)
        assert invoke("interactions", run, "--row", "1").exit_code == ("none" in more)


def test_a_forecast_takes_any_name(explained: Explained) -> None:
    explained.explain("none", "--dry-run")
    assert not (explained.folder / "none").exists()
