"""Every table fits a terminal of 80 columns: words are cut or go on below, and numbers stay whole."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from rich.cells import cell_len
from runs import on_terminal
from torch import nn

from ihcli.cli import main
from ihcli.cli.showing.drawn import Section, drawn
from ihcli.cli.showing.terminal import folded

COLUMNS = 80
NAMES = (
    "worst_concave_points_of_the_left_side_of_the_sample_as_measured",
    "größte_konkave_Punkte_auf_der_übernächsten_Seite_des_Präparats_X",
    "試料の左側で測定された最も凹んだ点の数とその平均値および標準偏差",
    "age",
)
GROUP = "clinic of the very long name that nobody shortens, 附属病院第二内科"
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
CUT_NUMBER = re.compile(r"(?:^|\s{2})[-+±]?[\d.e+-]*…[\d.e+-]*(?=\s{2}|$)")
"""Between blanks that set columns apart; words may hold numbers, and are cut."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a network, a table whose columns have long names, and two runs over it."""
    folder = tmp_path_factory.mktemp("width")
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval(), folder / "net.pt")
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((40, 4)) * 1e-3, columns=list(NAMES))
    table.insert(0, "patient", [f"patient_{row}_of_the_study_that_was_begun_long_ago" for row in range(40)])
    table[GROUP] = np.where(np.arange(40) % 2 == 0, "first clinic of the town 第一", "second clinic of the town 第二")
    table.to_csv(folder / "data.csv", index=False)
    for out, more in (("run", []), ("other", ["--baseline", "mean"])):
        of_model = ["explain", folder / "net.pt", folder / "data.csv", *OF_DATA]
        asked = [*of_model, "-o", folder / out, "--target", "all", *more]
        done = CliRunner().invoke(main, [str(each) for each in asked])
        assert done.exit_code == 0, done.output
    return folder


OF_DATA = ["--key", "patient", "--exclude", f'"{GROUP}"']
TABLES = {
    "attributions": ["attributions", "{run}"],
    "interactions": ["interactions", "{run}", "--main-effects"],
    "a row": ["interactions", "{run}", "--row", "3"],
    "attributions of a row": ["attributions", "{run}", "--row", "3"],
    "long attributions": ["attributions", "{run}", "--long"],
    "long interactions": ["interactions", "{run}", "--long", "--main-effects"],
    "compare": ["compare", "{run}", "{other}", "--of", "runs", "--of", "feature", "--of", "pair", "--of", "row"],
    "compare three": ["compare", "{run}", "{other}", "{run}"],
    "contrast": ["contrast", "{run}", "--by", GROUP],
    "contrast pairs": ["contrast", "{run}", "--by", "age:3", "--by", GROUP, "--of", "pair"],
    "drivers": ["drivers", "{run}", "--pair", f'"{NAMES[0]}","{NAMES[2]}"', "--target", "1"],
    "verify": ["verify", "{run}"],
    "evaluate": ["evaluate", "{run}", "{model}", "{data}", "--metrics", "mean,pairs", "--sample", "10", "-q"],
    "inspect": ["inspect", "{model}", "{data}", *OF_DATA],
    "forecast": ["explain", "{model}", "{data}", *OF_DATA, "--dry-run", "--smooth", "scan", "-q", "--limit", "8"],
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_fits_a_terminal(folder: Path, name: str) -> None:
    places = {"run": folder / "run", "other": folder / "other", "model": folder / "net.pt", "data": folder / "data.csv"}
    shown = on_terminal(*(word.format(**places) for word in TABLES[name]), columns=COLUMNS)
    lines = [line.rstrip() for line in CODES.sub("", shown).replace("\r", "").split("\n")]
    assert "Error" not in shown
    assert len(lines) > 5
    assert [line for line in lines if cell_len(line) > COLUMNS and not line.startswith("Warning: ")] == []
    assert [line for line in lines if CUT_NUMBER.search(line)] == []


def test_a_cut_number_is_noticed() -> None:
    for cut in ("0.12…", "-1.5e-…", "…234", "±1.6e…", "a  3.31…  x", "1.2…3"):
        assert CUT_NUMBER.search(cut), cut
    for whole in ("wors…ture", "größ…ts_X", "age …", "v2…sion", "a…2b", "x  0.1… 第一", "/tmp…0/run"):
        assert not CUT_NUMBER.search(whole), whole


def test_numbers_are_whole_where_they_take_more_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    monkeypatch.setenv("COLUMNS", "30")
    numbers = {f"statistic_{place}": [1.234e-100 * (place + 1)] for place in range(6)}
    shown = drawn([Section("title", pa.table({"feature": ["a" * 60], **numbers}))], True)
    assert all(f"{value[0]:.3e}" in CODES.sub("", shown) for value in numbers.values())


def test_a_line_goes_on_below_its_second_column() -> None:
    assert folded("Name      a b c", 80) == ["Name      a b c"]
    assert folded("Name      alpha beta gamma", 20) == ["Name      alpha beta", "          gamma"]
    assert folded("  name: alpha beta gamma", 20) == ["  name: alpha beta", "    gamma"]
    assert all(cell_len(line) <= 20 for line in folded("見出し  " + "試料の左側で測定された" * 3, 20))
    assert "".join(folded("/a/path/that/has/no/blank/and/is/long", 20)).replace(" ", "") == (
        "/a/path/that/has/no/blank/and/is/long"
    )
