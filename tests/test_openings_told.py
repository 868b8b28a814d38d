"""What is opened is told: one sentence before a run and under --dry-run, nothing in Python."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from category_models import NAMES, EntityMlp, FtTransformer, OneMatrix, category_rows
from click.testing import CliRunner, Result
from model_files import save_script
from torch import Tensor, nn
from torch.nn import functional as F

import ihcli
from ihcli.cli import main
from ihcli.library import IhcliWarning
from ihcli.models import wrap_module
from ihcli.openings import find_openings
from ihcli.openings.words import opened_in_words

DATA = category_rows(60)
LOOKED_UP = "'job', 'marital', 'month' and 'education' are looked up (7, 3, 12 and 5 codes): each goes from "
USUAL = "the most frequent code's vector"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("told")
    torch.manual_seed(0)
    save_script(OneMatrix(EntityMlp().eval()), path / "net.pt")
    pd.DataFrame(DATA, columns=list(NAMES)).to_csv(path / "bank.csv", index=False)
    pd.DataFrame(DATA[:1], columns=list(NAMES)).to_csv(path / "one.csv", index=False)
    return path


def explain(folder: Path, *words: object) -> Result:
    files = [str(folder / "net.pt"), str(folder / "bank.csv")]
    return CliRunner().invoke(main, ["explain", *files, "--target", "0", *map(str, words)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "start"),
    [
        (["-m", "ig"], USUAL),
        (["-m", "ig", "--baseline", "median"], USUAL),
        (["-m", "ig", "--baseline", "mean"], "the mean vector over the data"),
        (["-m", "ig", "--baseline", "zeros"], "a vector of zeros"),
        (["-m", "ig", "--baseline", "one.csv"], "the baseline's vector"),
        (["-m", "eg"], "each baseline's vector"),
    ],
)
def test_a_run_says_what_is_looked_up_and_from_where(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], start: str
) -> None:
    monkeypatch.chdir(folder)

    run = explain(folder, *options, "--limit", "5", "-o", tmp_path / "run")
    foreseen = explain(folder, *options, "--limit", "5", "--dry-run")
    quiet = explain(folder, *options, "--limit", "5", "-o", tmp_path / "quiet", "--quiet")

    said = f"{LOOKED_UP}{start} to the row's."
    assert said in run.stderr.splitlines()
    assert said in foreseen.stdout.splitlines()
    assert (quiet.stdout, quiet.stderr) == ("", "")
    assert "Warning" not in run.stderr


def test_ordinary_lookups_are_no_warning_in_python() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ihcli.explain(OneMatrix(EntityMlp()), DATA, method="ig", target=0)


def test_lists_that_lack_codes_of_the_model_are_told() -> None:
    """As one made of a table that lacks some values of the training's: those behind them have other codes then."""
    places, sizes = ((0, 7), (1, 3), (2, 12), (3, 5)), {}
    frame = pd.DataFrame(DATA, columns=list(NAMES))
    for place, size in places:
        frame[NAMES[place]] = [f"{int(code):02d}" for code in DATA[:, place]]
        sizes[NAMES[place]] = [f"{code:02d}" for code in range(size)]
    net = OneMatrix(EntityMlp().eval())
    some = [each for each in sizes[NAMES[2]] if each in set(frame[NAMES[2]]) and each != "05"]
    frame = frame[frame[NAMES[2]] != "05"]
    told = rf"fewer values are listed in .* than the model has codes of 'month' \({len(some)} of 12\)\. Where training"
    with pytest.warns(IhcliWarning, match=told):
        ihcli.explain(net, frame, method="ig", target=0, categories=sizes | {NAMES[2]: some})
    holder = [*sizes[NAMES[2]][:5], "(none)", *sizes[NAMES[2]][6:]]
    ihcli.explain(net, frame, method="ig", target=0, categories=sizes | {NAMES[2]: holder})


class Reading(nn.Module):
    """Codes of 4 in all columns but the last, read as told."""

    def __init__(self, read: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        return (self.read(x[:, :-1].long()).flatten(1).to(x.dtype)).cos().sum(1) * x[:, -1]


def words_of(module: nn.Module, n_codes: int, names: list[str] | None = None) -> str:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 4, (200, n_codes)), rng.normal(size=200)])
    called = [*(names or [f"c{i}" for i in range(n_codes)]), "age"]
    found = find_openings(wrap_module(module), torch.as_tensor(rows), called, range(n_codes + 1))
    assert found is not None
    return opened_in_words(found, USUAL)


def table(n: int) -> Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_one_column_is_told_as_one() -> None:
    said = words_of(Reading(lambda codes: table(4)[codes[:, 0]]), 1)
    assert said == f"'c0' is looked up (4 codes): it goes from {USUAL} to the row's."


def test_columns_of_one_table_are_told_with_its_size() -> None:
    said = words_of(Reading(lambda codes: F.embedding(codes + torch.tensor([0, 4]), table(8))), 2)
    assert said == f"'c0' and 'c1' are looked up (a table of 8 codes): each goes from {USUAL} to the row's."


def test_whole_numbers_and_flags_are_told_apart_from_lookups() -> None:
    def read(codes: Tensor) -> Tensor:
        flags = (codes[:, 1:2] == torch.arange(4)).to(torch.float64)
        return torch.cat([table(4)[codes[:, 0]], flags, (codes[:, 2:] > 1).to(torch.float64)], 1)

    said = words_of(Reading(read), 3)

    assert said == (
        "'c0' is looked up (4 codes), and 'c1' and 'c2' are read as whole numbers or flags (4 and 1 values): each goes "
        f"from {USUAL} to the row's."
    )


def test_the_sentence_of_a_wide_table_stays_short() -> None:
    n = 40
    each = [table(4) for _ in range(n)]
    module = Reading(lambda codes: torch.cat([one[codes[:, i]] for i, one in enumerate(each)], 1))

    said = words_of(module, n)

    assert said.startswith("'c0', 'c1', 'c2', 'c3', 'c4' and 35 more are looked up (4, 4, 4, 4, 4 and 35 more codes): ")
    assert len(said) < 160


def test_an_ft_transformer_is_told_by_its_one_table() -> None:
    module = OneMatrix(FtTransformer()).eval().requires_grad_(False)
    found = find_openings(wrap_module(module), torch.as_tensor(DATA).float(), NAMES, range(7))
    assert found is not None
    assert "(a table of 27 codes)" in opened_in_words(found, USUAL)
