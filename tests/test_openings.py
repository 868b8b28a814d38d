"""What networks look codes up as is opened: against networks by hand, in every form, and what cannot be is told."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from category_models import (
    ARCHITECTURES,
    CARDINALITIES,
    FORMS,
    NAMES,
    ByHand,
    EntityMlp,
    Form,
    OneMatrix,
    built,
    category_rows,
    saved,
    sharpened,
)
from torch import Tensor, nn
from torch.nn import functional as F

import ihcli
from ihcli.errors import ModelError
from ihcli.models import wrap_module
from ihcli.openings import Openings, find_openings
from ihcli.openings.lookups import Handing

DATA = category_rows(200)
ROWS = 6


@cache
def by_hand(architecture: str, method: str) -> ihcli.Explanation:
    """Return what the network by hand gives, from the most frequent codes and the mean of numbers."""
    hand = ByHand(built(architecture))
    baseline = hand.flat(usual_row(DATA[:ROWS])[None])
    many = hand.flat(DATA[-5:])
    return ihcli.explain(
        hand,
        hand.flat(DATA[:ROWS]),
        method=method,
        baseline=many if method in ("eg", "eh") else baseline[0],
        target=0,
        tolerance=0.001,
        groups=hand.groups,
        engine="autograd",
    )


def usual_row(rows: np.ndarray) -> np.ndarray:
    """Return the most frequent codes and the mean of numbers."""
    modes = [np.bincount(rows[:, i].astype(int)).argmax() for i in range(len(CARDINALITIES))]
    return np.array([*modes, *rows[:, len(CARDINALITIES) :].mean(axis=0)])


def in_form(module: nn.Module, form: Form) -> nn.Module:
    return saved(OneMatrix(module), form, (torch.as_tensor(DATA[:3]),))


@pytest.mark.parametrize(
    ("form", "method"),
    [*((form, "ih") for form in FORMS), *((FORMS[0], method) for method in ("ig", "eg", "eh"))],
    ids=str,
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_explanations_are_those_of_the_network_by_hand(architecture: str, form: Form, method: str) -> None:
    many = method in ("eg", "eh")

    got = ihcli.explain(
        in_form(built(architecture), form),
        DATA[:ROWS],
        method=method,
        baseline=DATA[-5:] if many else None,
        target=0,
        tolerance=0.001,
    )

    wanted = by_hand(architecture, method)
    assert (got.status == "ok").all()
    assert_near(got.attributions, in_order(wanted.attributions, wanted))
    if got.interactions is not None:
        assert_near(got.interactions, in_order(in_order(wanted.interactions, wanted).transpose(0, 2, 1), wanted))
        assert_near(got.interactions.sum(axis=1), got.attributions, 1e-3)
    assert np.abs(got.completeness_gap).max() <= 1e-3 * np.abs(got.attributions).sum(axis=1).max()


def in_order(values: np.ndarray, of: ihcli.Explanation) -> np.ndarray:
    """Return values with the last axis in the order of the columns."""
    return values[..., [of.feature_names.index(name) for name in NAMES]]


def assert_near(got: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-6) -> None:
    assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max()


def found_in(module: nn.Module, rows: np.ndarray = DATA, units: list[int] | None = None) -> Openings | None:
    names = [f"c{i}" for i in range(rows.shape[1])]
    return find_openings(wrap_module(module), torch.as_tensor(rows), names, units or list(range(rows.shape[1])))


class Reading(nn.Module):
    """Three columns: two codes of 4, read as told, and a number."""

    def __init__(self, read: Callable[["Reading", Tensor, Tensor], Tensor], width: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.read = read
        self.register_buffer("table", torch.randn(16, 3, generator=generator, dtype=torch.float64))
        self.register_buffer("weight", torch.randn(width + 1, 8, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        made = self.read(self, x[:, :2].long(), x)
        return torch.tanh(torch.cat([made, x[:, 2:]], 1) @ self.weight).sum(1)


def reading_rows(n: int = 120) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.column_stack([rng.integers(0, 4, (n, 2)), rng.normal(size=n)]).astype(float)


WAYS: dict[str, tuple[Callable[[Reading, Tensor, Tensor], Tensor], int]] = {
    "table[codes]": (lambda own, codes, x: own.table[codes].flatten(1), 6),
    "table[:, code]": (lambda own, codes, x: own.table.T[:, codes[:, 0]].T * 1 + own.table[codes[:, 1]], 3),
    "index_select": (
        lambda own, codes, x: torch.index_select(own.table, 0, codes[:, 0]) * own.table.index_select(0, codes[:, 1]),
        3,
    ),
    "embedding of all at once": (lambda own, codes, x: F.embedding(codes, own.table).flatten(1), 6),
    "one table with offsets": (
        lambda own, codes, x: F.embedding(codes + torch.tensor([0, 4]), own.table).flatten(1),
        6,
    ),
    "flattened index": (lambda own, codes, x: F.embedding(codes.flatten(), own.table).reshape(len(x), 6), 6),
    "transposed index": (lambda own, codes, x: F.embedding(codes.T, own.table).transpose(0, 1).flatten(1), 6),
    "one-hot": (lambda own, codes, x: F.one_hot(codes, 4).flatten(1).double(), 8),
    "one-hot by comparing": (
        lambda own, codes, x: (codes.unsqueeze(2) == torch.arange(4)).to(x.dtype).flatten(1),
        8,
    ),
    "one-hot into a table": (
        lambda own, codes, x: (F.one_hot(codes, 4).to(x.dtype) @ own.table[:4]).flatten(1),
        6,
    ),
    "whole numbers as numbers": (lambda own, codes, x: codes.to(x.dtype), 2),
    "codes of thirds": (lambda own, codes, x: F.embedding((3 * x[:, :2]).long() // 3, own.table).flatten(1), 6),
}


BAGS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "sums": (
        lambda table, codes: F.embedding_bag(codes, table, mode="sum"),
        lambda table, codes: table[codes].sum(1),
    ),
    "means by offsets": (
        lambda table, codes: F.embedding_bag(codes.flatten(), table, torch.arange(0, codes.numel(), 2), mode="mean"),
        lambda table, codes: table[codes].mean(1),
    ),
    "maxima, with the end of the last": (
        lambda table, codes: F.embedding_bag(
            codes.flatten(), table, torch.arange(0, codes.numel() + 1, 2), mode="max", include_last_offset=True
        ),
        lambda table, codes: table[codes].amax(1),
    ),
    "sums without one code": (
        lambda table, codes: F.embedding_bag(codes, table, mode="sum", padding_idx=1),
        lambda table, codes: torch.cat([table[:1], 0 * table[1:2], table[2:]])[codes].sum(1),
    ),
    "weighted sums": (
        lambda table, codes: F.embedding_bag(
            codes,
            table,
            mode="sum",
            per_sample_weights=torch.tensor([0.3, -2.0], dtype=torch.float64).expand(codes.shape),
        ),
        lambda table, codes: 0.3 * table[codes[:, 0]] - 2 * table[codes[:, 1]],
    ),
    "one code a bag": (
        lambda table, codes: F.embedding_bag(codes[:, :1], table) * F.embedding_bag(codes[:, 1:], table),
        lambda table, codes: table[codes[:, 0]] * table[codes[:, 1]],
    ),
}
"""Bags, and the same made of plain lookups."""


@pytest.mark.parametrize("way", BAGS)
@pytest.mark.parametrize("method", ["ig", "ih"])
def test_bags_are_opened_as_what_they_are_made_of(way: str, method: str) -> None:
    rows = reading_rows()
    bags, plain = (Reading(lambda own, codes, _, read=read: read(own.table, codes), 3) for read in BAGS[way])

    found = found_in(bags, rows)
    got, wanted = (
        ihcli.explain(module, rows[:8], method=method, baseline=np.zeros(3), max_evaluations=40)
        for module in (bags, plain)
    )

    assert found is not None
    assert (found.coded, found.held) == ((0, 1), ())
    assert_near(got.attributions, wanted.attributions, 1e-12)
    if method == "ih":
        assert_near(got.interactions, wanted.interactions, 1e-12)


@pytest.mark.parametrize(
    "bag",
    [
        lambda table, codes, _: F.embedding_bag(codes, table, mode="mean", padding_idx=1),
        lambda table, codes, x: F.embedding_bag(codes, table, mode="sum", per_sample_weights=x[:, 2:].expand(-1, 2)),
    ],
    ids=["a mean that leaves out", "weights of another column"],
)
def test_bags_that_are_not_opened_are_named(bag: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    module, rows = Reading(lambda own, codes, x: bag(own.table, codes, x), 3), reading_rows()

    with pytest.warns(ihcli.IhcliWarning, match="the output moves with columns '0', '1', but no gradient reaches them"):
        ihcli.explain(module, rows[:8], method="ig", baseline=np.zeros(3), max_evaluations=40)


def test_bags_of_different_sizes_are_refused() -> None:
    def read(own: Reading, codes: Tensor, _: Tensor) -> Tensor:
        three = torch.cat([codes, codes[:, :1]], 1).flatten()
        ends = torch.arange(0, len(three), 3)
        return F.embedding_bag(three, own.table, torch.stack([ends, ends + 1, ends + 1], 1).flatten()).reshape(-1, 9)

    with pytest.raises(ModelError, match="looks '0', '1' up in a way that cannot be opened"):
        ihcli.explain(Reading(read, 9), reading_rows(), baseline=np.zeros(3))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_looking_up_is_opened(way: str) -> None:
    read, width = WAYS[way]
    module, rows = Reading(read, width), reading_rows()

    found = found_in(module, rows)
    got = ihcli.explain(module, rows[:8], baseline=np.zeros(3), target=0, tolerance=1e-3, method="ih")

    assert found is not None
    assert (found.coded, found.held) == ((0, 1), ())
    assert (got.status == "ok").all()
    with torch.no_grad():
        wanted = module(torch.as_tensor(rows[:8])) - module(torch.zeros(1, 3, dtype=torch.float64))
    assert got.prediction - got.baseline_prediction == pytest.approx(wanted.numpy(), abs=1e-12)
    assert (got.attributions[rows[:8, 0] == 0, 0] == 0).all()  # the same code as the baseline's
    assert (got.attributions[rows[:8, 0] != 0, 0] != 0).any()


def test_networks_of_numbers_have_no_openings() -> None:
    positions = nn.Embedding(3, 1, dtype=torch.float64)

    class Positions(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * positions(torch.arange(3))[:, 0]).sum(1)

    for module in (nn.Linear(3, 1, dtype=torch.float64), Positions()):
        assert found_in(module, reading_rows()) is None


def test_a_relu_made_of_a_mask_is_no_opening() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * (x > 0).to(x.dtype)).sum(1)

    assert found_in(Masked(), reading_rows()) is None


def test_a_mask_of_codes_is_held_and_told() -> None:
    class Masked(Reading):
        def forward(self, x: Tensor) -> Tensor:
            codes = x[:, :2].long()
            made = self.table[codes].masked_fill((codes == 1).unsqueeze(2), 0.5)
            return torch.tanh(torch.cat([made.flatten(1), x[:, 2:]], 1) @ self.weight).sum(1)

    rows = reading_rows()
    module = Masked(lambda own, codes, x: x, 6)

    found = found_in(module, rows)
    with pytest.warns(ihcli.IhcliWarning, match=r"reads '0', '1' in another way besides looking them up"):
        got = ihcli.explain(module, rows[:8], baseline=np.zeros(3), target=0, tolerance=1e-3)

    assert found is not None
    assert found.held == (0, 1)
    assert (got.status == "ok").all()
    assert got.attributions.sum(axis=1) == pytest.approx(got.prediction - got.baseline_prediction, rel=1e-3)


def test_columns_looked_up_as_one_code_are_named_and_open_as_one_group() -> None:
    module, rows = Reading(lambda own, codes, x: own.table[4 * codes[:, 0] + codes[:, 1]], 3), reading_rows()

    with pytest.raises(ModelError, match=r"columns '0' and '1' are looked up together, as one code.*Try `groups`"):
        ihcli.explain(module, rows[:8], baseline=np.zeros(3))
    got = ihcli.explain(module, rows, baseline=np.zeros(3), groups={"both": ["0", "1"]}, tolerance=1e-3)

    assert got.feature_names == ("both", "2")
    assert (got.status == "ok").all()


def test_a_column_that_is_compared_and_looked_up_nowhere_is_named() -> None:
    class Compared(Reading):
        def forward(self, x: Tensor) -> Tensor:
            sign = torch.where(x[:, 1:2] > 1.5, 1.0, -1.0)
            return torch.tanh(torch.cat([self.table[x[:, 0].long()] * sign, x[:, 2:]], 1) @ self.weight).sum(1)

    module, rows = Compared(lambda own, codes, x: x, 3), reading_rows()

    with pytest.warns(ihcli.IhcliWarning, match="the output moves with column '1', but no gradient reaches it"):
        got = ihcli.explain(module, rows, baseline=np.zeros(3), tolerance=1e-3)

    assert (got.attributions[:, 1] == 0).all()


def test_a_lookup_whose_table_asks_for_gradients_is_not_handed_anything() -> None:
    table = torch.randn(4, 2, requires_grad=True)

    with pytest.raises(ValueError, match="a table asks for gradients"), Handing({0: torch.zeros(3, 2)}):
        F.embedding(torch.tensor([0, 1, 2]), table)


@pytest.mark.parametrize("baseline", ["zeros", "mean", "mode", None])
def test_lookups_start_from_what_the_baseline_asks_for(baseline: str | None) -> None:
    module, rows = EntityMlp().double().eval(), DATA[:50]
    hand = ByHand(module)
    flat = hand.flat(rows)
    usual = hand.flat(usual_row(rows)[None])[0]
    start = {"zeros": np.zeros(flat.shape[1]), "mean": flat.mean(axis=0)}.get(baseline or "", usual)

    got = ihcli.explain(OneMatrix(module), rows, method="ig", baseline=baseline, target=0, tolerance=1e-4)

    wanted = ihcli.explain(hand, flat, method="ig", baseline=start, target=0, tolerance=1e-4, groups=hand.groups)
    assert got.baseline_prediction[0] == pytest.approx(wanted.baseline_prediction[0], rel=1e-9)
    assert_near(got.attributions, in_order(wanted.attributions, wanted), 1e-4)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_networks_of_kinks_are_followed_and_smoothed_behind_lookups(form: Form) -> None:
    module = saved(OneMatrix(sharpened(EntityMlp(nn.ReLU), gain=1.0)), form, (torch.as_tensor(DATA[:3]),))

    followed = ihcli.explain(module, DATA[:20], method="ig", target=0, tolerance=1e-6)
    smoothed = ihcli.explain(module, DATA[:20], method="ih", target=0, tolerance=1e-2)

    assert (followed.status == "ok").all()
    assert np.abs(followed.completeness_gap).max() < 1e-6
    assert (smoothed.status == "ok").mean() > 0.9
    assert smoothed.drift is not None


@pytest.mark.filterwarnings("ignore:the explained output is saturated")
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_saturated_probabilities_behind_lookups_keep_their_accuracy(form: Form) -> None:
    class Probability(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return torch.softmax(20 * self.inner(x), dim=1)

    plain = OneMatrix(sharpened(EntityMlp(), gain=1.0))
    module = saved(Probability(plain), form, (torch.as_tensor(DATA[:3]),))

    exact = ihcli.explain(module, DATA[:20], method="ig", target=0, tolerance=1e-3)
    single = ihcli.explain(module.float(), DATA[:20], method="ig", target=0, tolerance=1e-3)

    counted = single.status == "ok"
    off = np.abs(single.attributions - exact.attributions).sum(axis=1) / np.abs(exact.attributions).sum(axis=1)
    assert counted.mean() > 0.9
    assert (off[counted] < 1e-2).all()


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_an_entity_network_is_served_in_closed_form(form: Form) -> None:
    module = in_form(built("entity MLP"), form)

    closed, general = (ihcli.explain(module, DATA[:20], target=0, engine=engine) for engine in ("mlp", "autograd"))

    assert_near(closed.interactions, general.interactions, 1e-12)
    assert np.array_equal(closed.evaluations, general.evaluations)


def test_what_is_not_affine_before_the_first_layer_is_no_front() -> None:
    class Squared(nn.Module):
        def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 1, dtype=torch.float64)
            self.change = change

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(torch.cat([self.change(x), x], 1)).tanh()

    rows = np.random.default_rng(0).normal(size=(20, 3))
    for change in (torch.square, lambda x: x * x.flip(1), torch.relu, lambda x: 1 / (3 + x.abs())):
        with pytest.raises(ihcli.errors.OptionError, match="`engine=mlp`: cannot serve this model"):
            ihcli.explain(Squared(change), rows, engine="mlp", method="ig")
    found = ihcli.explain(Squared(lambda x: 2 * x.flip(1)), rows, engine="mlp")
    assert set(found.status) == {"ok"}


def test_a_column_of_one_value_keeps_what_it_is_looked_up_as() -> None:
    generator = torch.Generator().manual_seed(0)
    table, layer = torch.randn(9, 3, generator=generator), nn.Linear(9, 1)

    class Codes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(layer(F.embedding(x.long(), table).flatten(1)))

    row = [3.0, 4.0, 5.0]
    alone, beside, varied = (
        ihcli.explain(Codes(), np.array(rows), baseline="zeros", method="ig").attributions[0]
        for rows in ([row], [row, [3, 4, 6]], [row, [1, 2, 6]])
    )

    assert (varied != 0).all()
    assert np.array_equal(beside, varied)
    assert np.array_equal(alone, varied)


def test_explanations_are_the_same_where_gradients_are_switched_off() -> None:
    module = OneMatrix(built("entity MLP"))

    with torch.no_grad():
        got = ihcli.explain(module, DATA[:5], target=0)

    assert np.array_equal(got.attributions, ihcli.explain(module, DATA[:5], target=0).attributions)


@pytest.mark.parametrize("names", [None, ["first", "second", "number"]])
def test_codes_beyond_a_table_are_named_with_a_step_that_works(names: list[str] | None) -> None:
    module = Reading(lambda own, codes, x: own.table[:4][codes].flatten(1), 6)
    if names is not None:
        module.feature_names = names
    rows = reading_rows()
    beyond = pd.DataFrame(rows + np.array([0, 7, 0]), columns=names or ["0", "1", "2"])
    second = "column 2" if names is None else "'second'"

    with pytest.raises(ModelError, match=rf"Not all are codes that it has: {second} \(7 to 10\)\. Try codes from 0 on"):
        ihcli.explain(module, beyond)
    got = ihcli.explain(module, beyond, categories={beyond.columns[1]: [7, 8, 9, 10]})

    wanted = ihcli.explain(module, rows)
    assert_near(got.interactions, wanted.interactions)
