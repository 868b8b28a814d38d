"""A second opinion: honest runs pass, and what only the model can tell turns it red; the independent rule is exact."""

import json
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from forgeries import FEATURES, TABLES, TEXTS, Folder, change, part, tell, value
from model_files import quietly
from problems import Polynomial, network, normal, random_polynomial, softplus
from torch import Tensor

from ihcli.data.sampling import AUTO
from ihcli.execution.pipeline import run
from ihcli.methods import METHODS
from ihcli.results.result import Result
from ihcli.runs.run import open_run
from ihcli.runs.totals import Observer
from ihcli.verification import FAILED, NOT_CHECKED, PASSED, Finding, verify_run
from ihcli.verification.described import Described
from ihcli.verification.findings import GROSS
from ihcli.verification.recomputation import Question, recompute
from ihcli.verification.recomputation.drawing import draw, prepare
from ihcli.verification.recomputation.independent import PlainPaths
from ihcli.verification.recomputation.judging import Judge, Truth

SAMPLE = 4
EXACT = 5e-10  # of differences with steps of 2e-5 in float64, and polynomials of degree 5, relative to the largest
ALWAYS = {
    "MODEL",
    "DATA",
    "keys",
    "setting",
    "sample",
    "predictions",
    "attributions, finer",
    "attributions, independent",
}
WITH_INTERACTIONS = {"interactions, finer", "interactions, independent"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("recomputed"))


def found(folder: Folder, path: Path, kind: str, sample: int = SAMPLE) -> dict[str, Finding]:
    asked = folder.request(kind)
    return {finding.check: finding for finding in recompute(path, Question(asked.model, asked.data, sample))}


def failed(findings: dict[str, Finding]) -> dict[str, str]:
    return {check: finding.detail for check, finding in findings.items() if finding.outcome == FAILED}


@pytest.mark.parametrize("kind", [*TABLES, *TEXTS])
def test_honest_runs_pass(folder: Folder, kind: str) -> None:
    sample = 2 if kind in TEXTS else SAMPLE
    findings = found(folder, folder.run(kind), kind, sample)
    assert failed(findings) == {}
    passed = {check for check, finding in findings.items() if finding.outcome == PASSED}
    if "kinks" not in kind:  # where nothing has second derivatives, rows may be left unjudged
        assert passed >= ALWAYS
        assert all(finding.checked for finding in findings.values() if finding.outcome == PASSED)
    asked = folder.request(kind)
    if METHODS[asked.method].second_order and "kinks" not in kind:
        assert (passed >= WITH_INTERACTIONS) == (asked.interactions != "none")
        assert ("row sums, finer" in passed) == (asked.interactions == "full")
        assert ("pairs, finer" in passed) == (asked.interactions != "none")
        assert ("stored error bars" in passed) == asked.interactions.startswith("top")
        assert ("stored standard errors" in passed) == (kind == "largest pairs of many")
    is_sampled = METHODS[asked.method].many_baselines and asked.baseline_rows != AUTO  # which takes all of few rows
    assert ("sampling error" in passed) == is_sampled
    assert ("sampling error of pairs" in passed) == (is_sampled and METHODS[asked.method].second_order)


def test_both_truths_agree_far_below_the_reported_error(folder: Folder) -> None:
    findings = found(folder, folder.run("ih of 3 steps"), "ih of 3 steps")
    finer, independent = findings["interactions, finer"], findings["interactions, independent"]
    assert finer.worst is not None
    assert finer.worst > 1e-3
    assert finer.worst == pytest.approx(independent.worst, rel=1e-3)


def test_matrices_are_held_to_their_own_error_and_pairs_to_their_bars(folder: Folder) -> None:
    findings = found(folder, folder.run("ih of 3 steps"), "ih of 3 steps", 14)
    assert failed(findings) == {}
    assert "0 of 14 rows beyond the reported error" in findings["interactions, finer"].detail
    assert findings["row sums, finer"].worst < findings["interactions, finer"].worst
    assert findings["pairs, finer"].checked == 14 * 10
    assert 0 < findings["pairs, finer"].worst <= findings["pairs, finer"].bound


UNDERSTATED = {"ih": {"interactions, finer", "pairs, finer"}, "largest pairs": {"stored error bars"}}


@pytest.mark.parametrize("kind", UNDERSTATED)
def test_an_understated_error_of_interactions_fails(folder: Folder, tmp_path: Path, kind: str) -> None:
    path = folder.copy(kind, tmp_path / "run")
    for number in range(4):
        change(part(path, number=number), lambda table: _scaled(table, "_interaction_error", 1e-4))
        if kind == "ih":
            change(part(path, "interactions", number), _all_larger)
    assert set(failed(found(folder, path, kind, 14))) >= UNDERSTATED[kind]


def _all_larger(table: pa.Table) -> pa.Table:
    field, column = table.schema.field("interactions"), table["interactions"].combine_chunks()
    larger = pa.FixedSizeListArray.from_arrays(
        pa.array(column.storage.values.to_numpy() * np.float32(1.001)), column.type.storage_type.list_size
    )
    return table.set_column(
        table.schema.get_field_index("interactions"), field, pa.ExtensionArray.from_storage(column.type, larger)
    )


def test_wider_and_narrower_bars_of_stored_pairs_fail(folder: Folder, tmp_path: Path) -> None:
    for factor in (0.5, 2.0):
        path = folder.copy("largest pairs", tmp_path / f"run {factor}")
        for number in range(4):
            change(part(path, "interactions", number), partial(_with_other_bars, factor=factor))
        assert set(failed(found(folder, path, "largest pairs", 14))) >= {"stored error bars"}


def _with_other_bars(table: pa.Table, factor: float) -> pa.Table:
    field, pairs = table.schema.field("interactions"), table["interactions"].to_pylist()
    for pair in chain.from_iterable(pairs):
        pair["error_bar"] *= factor
    return table.set_column(table.schema.get_field_index("interactions"), field, pa.array(pairs, field.type))


@pytest.mark.parametrize("kind", ["ih of 3 steps", "ig"])
def test_an_understated_error_fails(folder: Folder, tmp_path: Path, kind: str) -> None:
    path = folder.copy(kind, tmp_path / "run")
    findings = found(folder, path, kind)
    assert failed(findings) == {}
    for number in range(4):
        change(part(path, number=number), lambda table: _scaled(table, "_relative_error", 1e-6))
        change(part(path, number=number), lambda table: _scaled(table, "a", 1.001 if kind == "ig" else 1))
    wanted = {"attributions, finer", "attributions, independent"} if kind == "ig" else {"row sums, finer"}
    assert set(failed(found(folder, path, kind))) >= wanted


def _scaled(table: pa.Table, column: str, factor: float) -> pa.Table:
    position, field = table.schema.get_field_index(column), table.schema.field(column)
    return table.set_column(position, field, pa.array(table[column].to_numpy() * factor, field.type))


ALTERED = {
    "attributions": ("ih", "attributions", "c", {"attributions, finer", "attributions, independent"}),
    "interactions": ("ih", "interactions", "interactions", WITH_INTERACTIONS),
    "pairs": ("largest pairs", "interactions", "interactions", WITH_INTERACTIONS),
    "predictions": ("eg", "attributions", "_prediction", {"predictions"}),
    "drift": ("ih smoothed", "attributions", "_drift", {"predictions"}),
    "sampling errors": ("eg", "attributions", "_sampling_error", {"sampling error"}),
    "sampling errors of pairs": (
        *("eh", "attributions", "_interaction_sampling_error"),
        {"sampling error of pairs"},
    ),
    "texts": ("texts under ig", "attributions", "attributions", {"attributions, finer", "attributions, independent"}),
}


@pytest.mark.parametrize(("kind", "files", "column", "checks"), ALTERED.values(), ids=ALTERED)
def test_an_altered_value_fails(
    folder: Folder, tmp_path: Path, kind: str, files: str, column: str, checks: set[str]
) -> None:
    path = folder.copy(kind, tmp_path / "run")
    if kind == "largest pairs":
        change(part(path, files), _with_larger_pair)
    else:
        change(part(path, files), value(column, 0, 1000.0))
    assert set(failed(found(folder, path, kind, 14 if kind in TABLES else 5))) >= checks


def _with_larger_pair(table: pa.Table) -> pa.Table:
    field, pairs = table.schema.field("interactions"), table["interactions"].to_pylist()
    pairs[0][0]["value"] *= 30
    return table.set_column(table.schema.get_field_index("interactions"), field, pa.array(pairs, field.type))


@pytest.mark.parametrize(
    ("column", "new", "words"),
    [("id", "P99", "other keys"), ("_target", "1", "another target")],
)
def test_altered_keys_and_targets_fail(folder: Folder, tmp_path: Path, column: str, new: str, words: str) -> None:
    path = folder.copy("ig", tmp_path / "run")

    def alter(table: pa.Table) -> pa.Table:
        field = table.schema.field(column)
        return table.set_column(table.schema.get_field_index(column), field, pa.array([new] * len(table), field.type))

    change(part(path), alter)
    assert words in failed(found(folder, path, "ig", 14))["sample"]


def test_a_consistent_run_of_another_model_passes_alone_and_fails_with_the_model(
    folder: Folder, tmp_path: Path
) -> None:
    other = tmp_path / "other.pt"
    net = torch.load(folder.path / "net.pt", weights_only=False)
    net[0].weight.data *= 1.2
    torch.save(net, other)
    run(replace(folder.request("eh"), model=str(other)), tmp_path / "run", Observer())
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    tell(tmp_path / "run", model={**info["model"], "sha256": open_run(folder.run("eh")).info.model.sha256})
    tell(tmp_path / "run", arguments={**info["arguments"], "model": str(folder.path / "net.pt")})
    alone = {finding.check for finding in verify_run(tmp_path / "run") if finding.outcome == FAILED}
    assert alone == {"model file", "question"}
    together = failed(found(folder, tmp_path / "run", "eh"))
    assert set(together) >= {"predictions", "attributions, finer", "interactions, finer", *WITH_INTERACTIONS}


def test_other_figures_beside_labels_fail(folder: Folder, tmp_path: Path) -> None:
    copy = folder.copy("ih", tmp_path / "run")
    judged = found(folder, copy, "ih")["accuracy and other figures of the model"]
    assert (judged.outcome, judged.checked) == (PASSED, 4)

    def better(table: pa.Table) -> pa.Table:
        frame = table.to_pandas()
        frame.loc[frame["figure"] == "accuracy", "value"] += 0.25
        return pa.Table.from_pandas(frame, schema=table.schema, preserve_index=False)

    change(copy / "summary" / "model.parquet", better)
    told = failed(found(folder, copy, "ih"))
    assert set(told) == {"accuracy and other figures of the model"}
    assert "1 beyond their bound, the worst accuracy" in told["accuracy and other figures of the model"]


@pytest.mark.parametrize("check", ["MODEL", "DATA"])
def test_other_files_are_named_and_nothing_is_computed(folder: Folder, check: str) -> None:
    asked = folder.request("ih")
    model = str(folder.path / "relu.pt") if check == "MODEL" else asked.model
    data = str(folder.path / "holes.parquet") if check == "DATA" else asked.data
    findings = {finding.check: finding for finding in recompute(folder.run("ih"), Question(model, data))}
    assert set(failed(findings)) == {check}
    assert "is not what the run was made from" in findings[check].detail
    assert findings["recomputation"].outcome == NOT_CHECKED
    assert set(findings) == {"MODEL", "DATA", "recomputation"}


def test_copies_of_model_and_data_will_do(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "copied.pt").write_bytes((folder.path / "net.pt").read_bytes())
    question = Question(str(tmp_path / "copied.pt"), folder.request("ig").data, 2)
    assert all(finding.outcome == PASSED for finding in recompute(folder.run("ig"), question))


def test_what_cannot_be_recomputed_has_failed(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    info = json.loads((path / "run.json").read_text())
    tell(path, arguments={**info["arguments"], "baseline": str(tmp_path / "gone.csv")})
    assert "gone.csv" in failed(found(folder, path, "ih"))["recomputation"]
    tell(path, arguments={**info["arguments"], "baseline": "mean"})
    assert failed(found(folder, path, "ih"))["setting"] == "1 other baselines"
    tell(path, arguments={**info["arguments"], "colour": "red"})
    assert "another version" in failed(found(folder, path, "ih"))["recomputation"]
    tell(path, status="interrupted")
    assert [finding.outcome for finding in found(folder, path, "ih").values()] == [NOT_CHECKED]


def test_weights_that_are_constants_are_computed_in_their_precision(folder: Folder, tmp_path: Path) -> None:
    net = torch.load(folder.path / "net.pt", weights_only=False).eval()
    frozen = quietly(lambda: torch.jit.freeze(torch.jit.script(net)))
    quietly(frozen.save, str(tmp_path / "frozen.pt"))
    asked = replace(folder.request("ih"), model=str(tmp_path / "frozen.pt"))
    run(asked, tmp_path / "run", Observer())
    findings = {finding.check: finding for finding in recompute(tmp_path / "run", Question(asked.model, asked.data, 3))}
    assert failed(findings) == {}
    assert "in float32" in findings["interactions, independent"].detail
    assert findings["interactions, independent"].checked == 3


def test_rows_are_computed_in_float64_at_the_numbers_that_the_run_saw(folder: Folder) -> None:
    opened, asked = open_run(folder.run("eg")), folder.request("eg")
    described, question = Described.of(opened.info), Question(asked.model, asked.data, 3)
    prepared = prepare(described, question, opened.path)
    for drawn in draw(Result(opened), described, prepared, question):
        assert drawn.paths is not None
        for values in (drawn.paths.inputs, drawn.paths.baselines):
            assert values.dtype == torch.float64
            assert torch.equal(values, values.float().double())
    assert not np.array_equal(prepared.sample, prepared.sample.astype(np.float32))


def test_the_sample_follows_the_seed(folder: Folder) -> None:
    asked = folder.request("ig")

    def details(seed: int) -> list[float | None]:
        question = Question(asked.model, asked.data, 2, seed)
        return [finding.worst for finding in recompute(folder.run("ig"), question)]

    assert details(1) == details(1) != details(2)


def _paths(function: object, x: Tensor, baselines: Tensor, group_of: list[int]) -> PlainPaths:
    def explained(z: Tensor) -> Tensor:
        return function(z)[:, 0]  # type: ignore[operator]

    return PlainPaths(explained, x, baselines, torch.tensor(group_of), max(group_of) + 1)


@pytest.mark.parametrize("n_baselines", [1, 3])
def test_the_independent_rule_is_exact_for_polynomials(n_baselines: int) -> None:
    polynomial: Polynomial = random_polynomial(4, 5, 6, seed=1)
    x, baselines = normal(1, 4, seed=2), normal(n_baselines, 4, seed=3)
    paths = _paths(polynomial, x[0], baselines, [0, 1, 2, 3])
    phi, gamma = paths.attributions(1e-12), paths.interactions(np.arange(4), 1e-9, 4)
    np.testing.assert_allclose(phi.value, polynomial.attributions(x, baselines)[0], atol=1e-12)
    truth = polynomial.interactions(x, baselines)[0]
    np.testing.assert_allclose(gamma.value, truth, rtol=0, atol=EXACT * np.abs(truth).max())


def test_groups_add_up_in_the_independent_rule() -> None:
    polynomial = random_polynomial(4, 5, 6, seed=4)
    x, baselines = normal(1, 4, seed=5), normal(2, 4, seed=6)
    paths = _paths(polynomial, x[0], baselines, [0, 1, 0, 1])
    membership = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    alone = polynomial.interactions(x, baselines)[0]
    gamma = paths.interactions(np.array([1]), 1e-9, 4)
    truth = (membership.T @ alone @ membership)[:, [1]]
    np.testing.assert_allclose(gamma.value, truth, rtol=0, atol=EXACT * np.abs(truth).max())


def test_the_independent_rule_refines_until_two_rules_agree() -> None:
    module = network([6, 12, 12], lambda: softplus(50), seed=1, scale=2.0)
    paths = _paths(module, normal(1, 6, seed=2)[0], normal(1, 6, seed=3), list(range(6)))
    rough, fine = paths.attributions(1e-2), paths.attributions(1e-10)
    assert rough.panels < fine.panels
    assert fine.uncertainty <= 1e-10 * np.abs(fine.value).sum()
    assert np.abs(rough.value - fine.value).sum() <= rough.uncertainty


def _truth(reported: float = 0.01) -> Truth:
    return Truth(reported, floor=0.0, rounding=0.0, tolerance=0.01, name="row 1, target 0")


def judged(*errors: float, uncertainty: float = 0.0, is_certified: bool = True) -> Finding:
    judge = Judge("check", "true error", is_certified)
    for error in errors:
        judge.see(_truth(), error, 1.0, uncertainty)
    return judge.finding()


def test_one_row_in_a_hundred_may_miss_but_not_by_far() -> None:
    assert judged(*[0.005] * 19, 0.02).outcome == PASSED
    assert judged(*[0.005] * 18, 0.02, 0.02).outcome == FAILED
    assert judged(*[0.005] * 197, 0.02, 0.02, 0.02).outcome == FAILED
    assert judged(*[0.005] * 198, 0.02, 0.02).outcome == PASSED
    assert judged(*[0.005] * 99, 0.011 * GROSS).outcome == FAILED
    assert judged(*[0.005] * 99, float("nan")).outcome == FAILED


def test_matrices_are_held_to_four_times_the_reported_error() -> None:
    assert judged(0.03, 0.03, is_certified=False).outcome == PASSED
    assert judged(0.05, 0.05, is_certified=False).outcome == FAILED
    assert judged(0.03, 0.03).outcome == FAILED


def test_rows_whose_truth_is_unknown_are_not_judged() -> None:
    finding = judged(0.5, uncertainty=0.02)
    assert finding.outcome == NOT_CHECKED
    assert "1 rows not judged" in finding.detail


def test_features_of_the_forged_runs_are_those_of_the_table(folder: Folder) -> None:
    assert list(pd.read_parquet(folder.path / "table.parquet").columns[1:6]) == list(FEATURES)
