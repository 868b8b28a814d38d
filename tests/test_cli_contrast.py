"""`ihcli contrast` and `ihcli drivers`: from a model and a table to groups that differ and columns that say why."""

import csv
import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from model_files import save_script, save_trace
from runs import write_text_run
from torch import Tensor, nn

from ihcli.cli import main

PATHWAYS, DRUGS = 6, ("drug_a", "drug_b", "drug_c")


class Heart(nn.Module):
    """Logits of age, vessels and sex: more vessels are worse in the old, but only in men."""

    feature_names = ("age", "vessels", "male")

    def forward(self, x: Tensor) -> Tensor:
        age, vessels, male = x[:, :1], x[:, 1:2], x[:, 2:]
        return 0.3 * age + 0.5 * torch.sigmoid(3 * age * vessels) * male + 0.2 * torch.tanh(vessels)


class Screen(nn.Module):
    """Growth of cell lines (Integrated Hessians, section 5.3, on made-up data): two drugs act together by pathway 1."""

    def forward(self, x: Tensor) -> Tensor:
        pathways, drugs = x[:, :PATHWAYS], x[:, PATHWAYS:]
        both = drugs[:, :1] * drugs[:, 1:2]
        alone = 0.4 * drugs.sum(1, keepdim=True) + 0.3 * torch.tanh(pathways[:, 2:3]) * pathways[:, 3:4]
        return alone - 1.5 * both * torch.sigmoid(3 * pathways[:, :1])


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def told(*arguments: str) -> str:
    done = ask(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def table_of(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told(*arguments, "--format", "jsonl").splitlines()]


@pytest.fixture(scope="module")
def heart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over patients in a directory with an unusual name; sex as a word, the clinic and noise are no features."""
    folder, rng = tmp_path_factory.mktemp("a b'c"), np.random.default_rng(0)
    male, n = rng.integers(0, 2, 300), 300
    columns = {"age": rng.normal(1, 0.5, n), "vessels": rng.integers(0, 4, n), "male": male}
    more = {"sex": np.where(male == 1, "M", "F"), "clinic": rng.choice(["x", "y", "z"], n), "noise": rng.normal(size=n)}
    pd.DataFrame({"id": [f"P{i}" for i in range(n)], **columns, **more}).to_csv(folder / "heart.csv", index=False)
    save_script(Heart(), folder / "heart.pt")
    model, data = str(folder / "heart.pt"), str(folder / "heart.csv")
    told("explain", model, data, "--key", "id", "--features", "age,vessels,male", "--quiet", "-o", str(folder / "run"))
    return folder


@pytest.fixture(scope="module")
def drugs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over cell lines: pathways and drugs are features, genes are not."""
    folder, rng, n = tmp_path_factory.mktemp("drugs"), np.random.default_rng(1), 240
    pathways, given = rng.normal(size=(n, PATHWAYS)), (rng.random((n, len(DRUGS))) < 0.7).astype(float)
    columns = {f"pathway_{i + 1}": pathways[:, i] for i in range(PATHWAYS)}
    columns |= {name: given[:, i] for i, name in enumerate(DRUGS)}
    columns |= {f"gene_{i}": rng.normal(size=n) for i in range(5)}
    columns["gene_of_1"] = pathways[:, 0] + 0.5 * rng.normal(size=n)
    pd.DataFrame(columns).to_parquet(folder / "cells.parquet")
    save_trace(Screen(), torch.zeros(2, PATHWAYS + len(DRUGS)), folder / "screen.pt")
    model, data = str(folder / "screen.pt"), str(folder / "cells.parquet")
    told("explain", model, data, "--exclude", ",".join([*columns][-6:]), "--quiet", "-o", str(folder / "run"))
    return folder


def test_an_interaction_that_differs_by_sex_is_found_in_one_command(heart: Path) -> None:
    found = table_of("contrast", heart / "run", "--by", "sex", "--of", "pair")
    first = next(line for line in found if (line["feature_i"], line["feature_j"]) == ("age", "vessels"))
    assert first["q"] < 0.01
    assert (first["group"], first["against"], first["mean_against"]) == ("sex=M", "sex=F", pytest.approx(0, abs=1e-6))
    by_clinic = table_of("contrast", heart / "run", "--by", "clinic", "--pair", "age,vessels")
    assert all(line["q"] > 0.05 for line in by_clinic)


def test_a_table_says_what_is_compared(heart: Path) -> None:
    shown = told("contrast", heart / "run", "--by", "sex", "--where", "age>=0", "--top-k", "3", "--format", "table")
    table = pd.read_csv(heart / "heart.csv").query("age >= 0")
    men, women = ((table["sex"] == sex).sum() for sex in "MF")
    title, _, header, *_ = shown.splitlines()
    assert title == (
        f"target prediction, age>=0: sex=M ({men}) against sex=F ({women}); Welch's t, q among "
        f"{len(table_of('contrast', heart / 'run', '--by', 'sex', '--where', 'age>=0'))}"
    )
    assert header.split() == [
        *("rank", "of", "feature_i", "feature_j", "group", "mean", "mean_against", "difference", "p", "q")
    ]
    more = told("contrast", heart / "run", "--by", "clinic", "--test", "mann-whitney", "--format", "table")
    assert "each of 3 groups against the rest: clinic=x (" in more
    assert "Mann-Whitney's U" in more


@pytest.mark.parametrize("format_name", ["csv", "jsonl", "parquet", "arrow"])
def test_every_format_holds_the_same_lines(heart: Path, tmp_path: Path, format_name: str) -> None:
    expected = table_of("contrast", heart / "run", "--by", "sex")
    file = tmp_path / f"found.{format_name}"
    assert told("contrast", heart / "run", "--by", "sex", "-o", file) == ""
    read = {
        "csv": lambda: [
            {name: value or None for name, value in line.items()}
            for line in csv.DictReader(io.StringIO(file.read_text()))
        ],
        "jsonl": lambda: [json.loads(line) for line in file.read_text().splitlines()],
        "parquet": lambda: pq.read_table(file).to_pylist(),
        "arrow": lambda: pa.ipc.open_stream(file).read_all().to_pylist(),
    }[format_name]()
    words = [{name: None if value is None else str(value) for name, value in line.items()} for line in expected]
    assert (read if format_name == "csv" else [{**line} for line in read]) == (
        words if format_name == "csv" else expected
    )


def test_columns_of_a_file_say_what_they_are(heart: Path, tmp_path: Path) -> None:
    for command in (("contrast", heart / "run", "--by", "sex"), ("drivers", heart / "run", "--feature", "age")):
        told(*command, "-o", tmp_path / "found.parquet", "--overwrite")
        for field in pq.read_schema(tmp_path / "found.parquet"):
            assert field.metadata[b"definition"], field.name


def test_notes_are_said_beside_a_file_and_below_a_table(heart: Path, tmp_path: Path) -> None:
    note = "age holds many numbers: cut into halves. --by age:4 makes quarters."
    assert note in told("contrast", heart / "run", "--by", "age", "--format", "table")
    done = ask("contrast", heart / "run", "--by", "age", "-o", tmp_path / "found.csv")
    assert done.stderr.strip() == note
    assert {line["against"] for line in table_of("contrast", heart / "run", "--by", "age:4")} == {"rest"}


def test_the_drugs_that_act_together_are_first_and_their_pathway_is_found(drugs: Path) -> None:
    (pair,) = table_of("interactions", drugs / "run", "--top-k", "1")
    assert (pair["feature_i"], pair["feature_j"]) == ("drug_a", "drug_b")
    assert pair["mean"] < 0
    both = ("--where", "drug_a=1", "--where", "drug_b=1")
    found = table_of("drivers", drugs / "run", "--pair", "drug_a,drug_b", *both)
    pathways = {line["column"]: line for line in found if line["column"].startswith("pathway")}
    assert found[0]["column"] == "pathway_1"
    assert pathways["pathway_1"]["correlation"] < -0.5
    assert all(
        abs(line["correlation"]) < 0.5 and line["q"] > 0.05 for name, line in pathways.items() if name != "pathway_1"
    )
    assert (found[1]["column"], found[1]["role"]) == ("gene_of_1", "no feature")
    active = table_of("contrast", drugs / "run", "--by", "pathway_1>=0", *both, "--pair", "drug_a,drug_b")
    assert active[0]["p"] < 1e-3
    assert active[0]["difference"] < 0


def test_what_model_it_is_stands_above_the_table(heart: Path, tmp_path: Path) -> None:
    table = pd.read_csv(heart / "heart.csv")
    table["ill"] = (table["age"] > 1).astype(int)
    table.to_csv(tmp_path / "ill.csv", index=False)
    run, features = tmp_path / "run", ("--features", "age,vessels,male", "--quiet")
    told("explain", heart / "heart.pt", tmp_path / "ill.csv", *features, "--label", "ill", "-o", run)
    above = told("attributions", run, "--format", "table").splitlines()[0]
    assert above.startswith("Model, on 300 rows with labels: R2")
    for command in (("contrast", run, "--by", "sex"), ("drivers", run, "--pair", "age,vessels")):
        assert told(*command, "--format", "table").splitlines()[0] == above
        assert above not in told(*command, "--format", "csv")


def test_drivers_say_of_what_they_are(drugs: Path) -> None:
    shown = told("drivers", drugs / "run", "--pair", "drug_a,drug_a", "--where", "drug_b=0", "--format", "table")
    assert re.match(r"target prediction, main effect of drug_a: \d+ rows, drug_b=0\n", shown)
    assert "rank  column" in shown
    shown = told("drivers", drugs / "run", "--feature", "pathway_3", "--top-k", "2", "--format", "table")
    assert shown.startswith("target prediction, attribution of pathway_3: 240 rows\n")
    assert len(table_of("drivers", drugs / "run", "--feature", "pathway_3")) == 15


WRONG = [
    (["contrast", "RUN"], 2, "Missing option '--by'", None),
    (["contrast", "RUN", "--by", "sxe"], 1, "--by sxe: there is no column 'sxe' in", None),
    (["contrast", "RUN", "--by", "noise:40"], 1, "Expected 2 to 20. Try --by noise:4.", ["--by", "noise:4"]),
    (
        ["contrast", "RUN", "--by", "clinic:4"],
        1,
        "holds words. Expected numbers, which can be cut into bins. Try --by clinic, where words are few, or --data",
        ["--by", "clinic"],
    ),
    (
        ["contrast", "RUN", "--by", "sex", "--where", "age"],
        1,
        "--where age: is not a condition. Expected COLUMN=VALUE, or one of <=, >=, !=, ==, <, >, = in place of =",
        ["--by", "sex", "--where", "age>=0.5"],
    ),
    (["contrast", "RUN", "--by", "sex", "--pair", "age"], 2, "Expected two features A,B, got 1 in 'age'", None),
    (["contrast", "RUN", "--by", "sex", "--pair", "age,bmi"], 1, "--pair: there is no feature 'bmi'", None),
    (
        ["contrast", "RUN", "--by", "sex", "--target", "no"],
        1,
        "has no target 'no'. Expected 'prediction' or all.",
        None,
    ),
    (["drivers", "RUN"], 2, "--pair, --feature: neither names the effect.", None),
    (["drivers", "RUN", "--pair", "age,male", "--feature", "age"], 2, "--pair, --feature: both name the effect.", None),
    (["drivers", "RUN", "--feature", "noise"], 1, "--feature: there is no feature 'noise'", None),
]


@pytest.mark.parametrize(("arguments", "code", "words", "tried"), WRONG)
def test_wrong_uses_are_told_and_what_is_tried_works(
    heart: Path, arguments: list[str], code: int, words: str, tried: list[str] | None
) -> None:
    done = ask(*(str(heart / "run") if word == "RUN" else word for word in arguments))
    assert done.exit_code == code
    assert words in done.stderr
    assert done.stdout == ""
    if tried is not None:
        assert table_of("contrast", heart / "run", *tried)


def test_what_the_help_shows_is_understood(heart: Path) -> None:
    examples = re.findall(
        r"^  ihcli (contrast|drivers) run (.+)$", told("contrast", "--help") + told("drivers", "--help"), re.M
    )
    assert len(examples) == 7
    for command, options in examples:
        main.commands[command].make_context(command, ["run", *shlex.split(options)])


def test_texts_and_what_is_no_run_are_refused(tmp_path: Path) -> None:
    write_text_run(tmp_path / "texts")
    for arguments in (
        ("contrast", tmp_path / "texts", "--by", "id"),
        ("drivers", tmp_path / "texts", "--feature", "a"),
    ):
        done = ask(*arguments)
        assert done.exit_code == 1
        assert "units differ from row to row" in done.stderr
        advice = done.stderr.partition("Try ihcli ")[2].strip().removesuffix(".").split()
        assert ask(*advice).exit_code == 0
    assert "no such run" in ask("contrast", tmp_path / "none", "--by", "id").stderr
