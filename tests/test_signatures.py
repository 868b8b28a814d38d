"""Networks of several arguments, of dictionaries and of integers take the columns that they are told."""

from pathlib import Path

import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from category_models import (
    ARCHITECTURES,
    FORMS,
    N_CODES,
    NAMES,
    Form,
    OneMatrix,
    built,
    category_rows,
    saved,
)
from click.testing import CliRunner
from torch import Tensor, nn

import ihcli
from ihcli.cli import main
from ihcli.errors import DataError, ModelError
from ihcli.models import load_model, signatures, wrap_module
from ihcli.models.signatures import find_signature

DATA = category_rows(60)
TABLE = pd.DataFrame(DATA, columns=NAMES)
INPUTS = {"codes": NAMES[:N_CODES], "numbers": NAMES[N_CODES:]}
CODES, NUMBERS = torch.as_tensor(DATA[:3, :N_CODES]).long(), torch.as_tensor(DATA[:3, N_CODES:])


def in_one_matrix(architecture: str) -> ihcli.Explanation:
    return ihcli.explain(OneMatrix(built(architecture)), TABLE[:6], target=0, tolerance=1e-3)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_two_arguments_give_what_one_matrix_of_both_gives(architecture: str, form: Form) -> None:
    module = saved(built(architecture), form, (CODES, NUMBERS))

    got = ihcli.explain(module, TABLE[:6], inputs=INPUTS, target=0, tolerance=1e-3)

    wanted = in_one_matrix(architecture)
    assert np.abs(got.interactions - wanted.interactions).max() <= 1e-9 * np.abs(wanted.interactions).max()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_exported_programs_of_two_inputs_tell_their_columns_themselves(architecture: str, tmp_path: Path) -> None:
    dims = torch.export.Dim("rows", min=2)
    program = torch.export.export(
        built(architecture), (CODES, NUMBERS), dynamic_shapes={"codes": {0: dims}, "numbers": {0: dims}}
    )
    with (tmp_path / "model.pt2").open("wb") as stream:
        torch.export.save(program, stream)
    model = load_model(tmp_path / "model.pt2", trust=True)

    plain = ihcli.explain(model, TABLE[:6], target=0, tolerance=1e-3)
    told = ihcli.explain(model, TABLE[list(NAMES[::-1])][:6], inputs=INPUTS, target=0, tolerance=1e-3)

    wanted = in_one_matrix(architecture)
    assert model.n_inputs == len(NAMES)
    for got in (plain, told):
        assert np.abs(got.interactions - wanted.interactions).max() <= 1e-6 * np.abs(wanted.interactions).max()


class Recommender(nn.Module):
    """A user and an item, each (N,), and their embeddings' product."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("users", torch.randn(7, 4, generator=generator, dtype=torch.float64))
        self.register_buffer("items", torch.randn(12, 4, generator=generator, dtype=torch.float64))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return torch.sigmoid((self.users[user] * self.items[item]).sum(1))


class Dictionary(nn.Module):
    """What libraries of tabular networks take: one dictionary of both."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.inner(batch["categorical"], batch["continuous"])


class OnlyCodes(nn.Module):
    """One matrix of integers, as nn.Embedding takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = built("entity MLP")
        self.register_buffer("numbers", torch.zeros(1, 3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, self.numbers.expand(x.shape[0], -1))


def test_single_columns_may_come_flat() -> None:
    got = ihcli.explain(
        Recommender(), TABLE[:20], inputs={"user": ["job"], "item": ["month"]}, method="ih", tolerance=1e-3
    )

    assert got.feature_names == ("job", "month")
    assert set(got.status) == {"ok"}
    assert got.interactions[:, 0, 1].any()


def test_a_dictionary_has_the_keys_that_are_told() -> None:
    inputs = {"categorical": NAMES[:N_CODES], "continuous": NAMES[N_CODES:]}

    got = ihcli.explain(Dictionary(built("entity MLP")), TABLE[:6], inputs=inputs, target=0, tolerance=1e-3)

    wanted = in_one_matrix("entity MLP")
    assert np.abs(got.interactions - wanted.interactions).max() <= 1e-9 * np.abs(wanted.interactions).max()


class ByColumn(nn.Module):
    """Takes each column by its name, (N,) each, in one dictionary or as keywords."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        codes, numbers = ([batch[name] for name in names] for names in INPUTS.values())
        return self.inner(torch.stack(codes, 1), torch.stack(numbers, 1))


class ByKeyword(ByColumn):
    def forward(self, **columns: Tensor) -> Tensor:
        return super().forward(columns)


def test_a_dictionary_of_columns_needs_nothing() -> None:
    wanted = in_one_matrix("entity MLP")
    for table in (TABLE[:6], {name: TABLE[name][:6].to_numpy() for name in NAMES}):
        got = ihcli.explain(ByColumn(built("entity MLP")), table, target=0, tolerance=1e-3)
        assert np.abs(got.interactions - wanted.interactions).max() <= 1e-9 * np.abs(wanted.interactions).max()


@pytest.mark.parametrize("kind", [ByColumn, ByKeyword])
def test_each_column_may_be_an_argument_where_there_are_many(kind: type[ByColumn]) -> None:
    module = kind(built("entity MLP"))
    assert len(NAMES) > signatures._MOST_MIXED

    got = ihcli.explain(module, TABLE[:6], inputs={name: [name] for name in NAMES}, target=0, tolerance=1e-3)

    wanted = in_one_matrix("entity MLP")
    assert np.abs(got.interactions - wanted.interactions).max() <= 1e-9 * np.abs(wanted.interactions).max()


def test_numbers_stay_numbers_where_their_values_are_whole() -> None:
    table = TABLE.assign(**{name: TABLE[name].round() for name in NAMES[N_CODES:]})
    module = ByColumn(built("entity MLP"))

    got = ihcli.explain(module, table[:6], inputs={name: [name] for name in NAMES}, target=0, tolerance=1e-3)

    wanted = ihcli.explain(OneMatrix(built("entity MLP")), table[:6], target=0, tolerance=1e-3)
    assert np.abs(got.interactions - wanted.interactions).max() <= 1e-9 * np.abs(wanted.interactions).max()


def test_a_dictionary_in_whose_place_one_comes_out_is_refused_for_that() -> None:
    class Keyed(ByColumn):
        def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"logits": super().forward(batch)}

    for inputs in (None, {name: [name] for name in NAMES}):
        with pytest.raises(ModelError, match=r"returns a dict for 7 rows, called with .* Expected one tensor"):
            ihcli.explain(Keyed(built("entity MLP")), TABLE[:6], inputs=inputs)


def test_a_network_of_integers_alone_gets_them_without_being_asked() -> None:
    got = ihcli.explain(OnlyCodes(), TABLE[list(NAMES[:N_CODES])][:10], target=0, tolerance=1e-3)

    assert set(got.status) == {"ok"}
    assert (np.abs(got.attributions) > 0).any(axis=0).all()


def test_a_module_may_say_itself_which_columns_its_arguments_take() -> None:
    module = built("entity MLP")
    module.inputs = {name: list(columns) for name, columns in INPUTS.items()}

    got = ihcli.explain(module, TABLE[:6], target=0, tolerance=1e-3)

    assert got.feature_names == NAMES
    assert np.allclose(got.attributions, in_one_matrix("entity MLP").attributions)


def test_names_of_inputs_that_are_no_lists_are_refused() -> None:
    module = built("entity MLP")
    module.inputs = {"codes": "job"}

    with pytest.raises(ModelError, match=r"its inputs are .*Expected a list of columns for each argument"):
        ihcli.explain(module, TABLE[:6])


def test_one_matrix_of_numbers_needs_nothing() -> None:
    model = wrap_module(nn.Linear(7, 1, dtype=torch.float64))

    assert find_signature(model, NAMES, torch.as_tensor(DATA), None) is None


def test_what_several_arguments_take_is_asked_for_with_a_line_that_works(tmp_path: Path) -> None:
    class TwoArguments(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = built("entity MLP")

        def forward(self, x_cat: Tensor, x_num: Tensor) -> Tensor:
            return self.inner(x_cat, x_num)

    model_files.save_script(TwoArguments(), tmp_path / "two.pt")
    TABLE.astype(dict.fromkeys(NAMES[:N_CODES], int)).to_csv(tmp_path / "bank.csv", index=False)
    command = ["explain", str(tmp_path / "two.pt"), str(tmp_path / "bank.csv"), "-o", str(tmp_path / "run")]

    refused = CliRunner().invoke(main, command)

    told = refused.stderr.partition("Try ")[2].rstrip(".\n").split(" and ")
    assert refused.exit_code != 0
    assert "its forward takes 2 arguments, x_cat and x_num" in refused.stderr
    assert told == ["--inputs x_cat=job,marital,month,education", "--inputs x_num=age,balance,days"]
    again = CliRunner().invoke(main, [*command, *(word for line in told for word in line.split())])
    assert again.exit_code == 0, again.stderr
    verified = CliRunner().invoke(main, ["verify", str(tmp_path / "run"), *command[1:3], "--sample", "3"])
    assert verified.exit_code == 0, verified.stdout


def test_a_column_that_the_table_lacks_is_named_with_its_argument(tmp_path: Path) -> None:
    model_files.save_script(OneMatrix(built("entity MLP")), tmp_path / "m.pt")
    TABLE.to_csv(tmp_path / "bank.csv", index=False)
    command = ["explain", str(tmp_path / "m.pt"), str(tmp_path / "bank.csv"), "-o", str(tmp_path / "run")]

    refused = CliRunner().invoke(main, [*command, "--inputs", "x=job,maritl"])

    assert "--inputs x=...: " in refused.stderr
    assert "has no column 'maritl'" in refused.stderr
    assert "Did you mean 'marital'?" in refused.stderr


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ({"codes": ["job", "gone"], "numbers": ["age"]}, DataError, "lacks 1 of the model's features"),
        ({"codes": NAMES[:2], "numbers": NAMES[N_CODES:]}, ModelError, "cannot be called with codes=job,marital and"),
        ({"a": NAMES[:N_CODES], "numbers": NAMES[N_CODES:3]}, ModelError, "Expected its arguments 'codes', 'numbers'"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_words(inputs: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        ihcli.explain(built("entity MLP"), TABLE[:6], inputs=inputs)
