"""Explanations in memory saved as runs: what every command takes, and verification passes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.errors import RunError
from ihcli.explanation import Explanation as Plain
from ihcli.verification import FAILED, NOT_CHECKED, verify_run

ROWS = pd.DataFrame(np.random.default_rng(0).standard_normal((24, 4)), columns=["a", "b", "c", "d"])
JOBS = np.array(["cook", "smith", "clerk"] * 8)
LABELS = np.arange(24) % 2


def network(activation: type[nn.Module] = nn.Softplus, inputs: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 8), activation(), nn.Linear(8, 2))


def with_jobs() -> pd.DataFrame:
    return ROWS[["a", "b", "c"]].assign(job=JOBS)


CASES: dict[str, tuple[Callable[[], Any], Mapping[str, Any]]] = {
    "plain": (lambda: ROWS, {}),
    "array": (lambda: ROWS.to_numpy(np.float32), {"target": 1}),
    "smoothed": (lambda: ROWS, {"smooth": 200.0}),
    "every target": (lambda: ROWS, {"target": "all", "output_names": ["no", "yes"], "labels": LABELS}),
    "by label": (lambda: ROWS, {"target": "label", "labels": LABELS, "method": "ig"}),
    "a target each": (lambda: ROWS, {"target": LABELS}),
    "drawn": (lambda: ROWS, {"method": "eh", "baseline_rows": 10, "seed": 3, "target": 0}),
    "mean": (lambda: ROWS, {"baseline": "mean", "target": 0}),
    "numbers": (lambda: ROWS, {"baseline": 0.5, "target": 0}),
    "many numbers": (lambda: ROWS, {"method": "eg", "baseline": np.eye(4), "target": 0}),
    "groups": (lambda: ROWS, {"groups": {'of "two"': ["a", "b"]}, "target": 0}),
    "categories": (with_jobs, {"categories": {"job": ["clerk", "cook", "smith"]}, "target": 0}),
    "own categories": (lambda: with_jobs().astype({"job": "category"}), {"target": 0}),
    "layer": (lambda: ROWS, {"layers": ["0"], "layer_names": list("pqrstuvw"), "target": 0}),
    "gradient": (lambda: ROWS, {"method": "gradient", "target": 0}),
    "sequence": (lambda: ROWS, {"sequence": "2x2", "target": 0}),
}


def model_of(name: str) -> nn.Module:
    if name == "sequence":
        return nn.Sequential(nn.Flatten(), network())
    return network(nn.ReLU if name == "smoothed" else nn.Softplus)


def run_verify(*arguments: Path) -> list[str]:
    """Return the lines of `ihcli verify`, none of which failed."""
    done = CliRunner().invoke(main, ["verify", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:.*takes rows as .N, T, F.")
def test_what_python_explained_is_a_run_that_verification_recomputes(name: str, tmp_path: Path) -> None:
    make, options = CASES[name]
    torch.save(model_of(name), tmp_path / "net.pt")
    explanation = ihcli.explain(tmp_path / "net.pt", make(), **options)
    saved = explanation.save(tmp_path / "run")
    np.testing.assert_array_equal(saved.to_frame()["_relative_error"], explanation.relative_error)
    lines = run_verify(tmp_path / "run", tmp_path / "net.pt", tmp_path / "run" / "data.parquet")
    outcomes = {line[12:40].strip(): line[:12].strip() for line in lines}
    assert outcomes["MODEL"] == outcomes["DATA"] == outcomes["setting"] == outcomes["sample"] == "passed"
    assert outcomes["SHA-256"] == outcomes["question"] == "passed"
    if name not in ("layer", "gradient"):
        assert outcomes["attributions, independent"] == "passed"


def test_a_run_of_a_model_in_memory_says_so_and_is_verified_with_one(tmp_path: Path) -> None:
    ihcli.explain(network(), ROWS, target=0).save(tmp_path / "run")
    found = {finding.check: finding for finding in verify_run(tmp_path / "run")}
    assert found["model file"].outcome == NOT_CHECKED
    assert "the model was in memory" in found["model file"].detail
    assert not [finding for finding in found.values() if finding.outcome == FAILED]
    torch.save(network(), tmp_path / "net.pt")
    assert any("was made in memory" in line for line in run_verify(*verified(tmp_path)))
    torch.manual_seed(1)
    torch.save(nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 2)), tmp_path / "net.pt")
    done = CliRunner().invoke(main, ["verify", *map(str, verified(tmp_path))])
    assert done.exit_code == 1
    assert "attributions, independent" in done.stderr


def verified(folder: Path) -> tuple[Path, Path, Path]:
    return folder / "run", folder / "net.pt", folder / "run" / "data.parquet"


def test_a_model_that_changed_since_is_not_told_as_the_one_explained(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "net.pt")
    explanation = ihcli.explain(tmp_path / "net.pt", ROWS, target=0)
    torch.save(network(nn.Tanh), tmp_path / "net.pt")
    saved = explanation.save(tmp_path / "run")
    assert not saved.told.model.tells("sha256")


def test_a_saved_run_moves_with_its_data(tmp_path: Path) -> None:
    ihcli.explain(network(), ROWS, target=0).save(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    done = CliRunner().invoke(
        main, ["attributions", str(tmp_path / "moved"), "--format", "csv"], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert ihcli.read(tmp_path / "moved").plot("summary").axes


def test_some_rows_are_saved_as_a_run_over_them(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "net.pt")
    explanation = ihcli.explain(tmp_path / "net.pt", ROWS, baseline="mean", target="all", labels=LABELS)
    saved = explanation[8:20].save(tmp_path / "run")
    np.testing.assert_array_equal(saved.attributions["a"], explanation.attributions[8:20, 0])
    data = pq.read_table(tmp_path / "run" / "data.parquet").to_pandas()
    np.testing.assert_array_equal(data["b"], ROWS["b"][4:10])
    run_verify(*verified(tmp_path))
    with pytest.raises(RunError, match="does not hold every target of each of its rows"):
        explanation[9:20].save(tmp_path / "other")
    with pytest.raises(RunError, match="in their order"):
        explanation[::-1].save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_large_explanations_are_cut_into_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.library.finishing.MOST_CHUNK_ROWS", 7)
    whole = ihcli.explain(network(), ROWS, target="all")
    saved = whole.save(tmp_path / "run")
    assert len(list((tmp_path / "run" / "attributions").iterdir())) == 4
    np.testing.assert_array_equal(saved.attributions["c"], whole.attributions[:, 2])
    run_verify(tmp_path / "run")


def test_rows_without_values_are_saved_as_such(tmp_path: Path) -> None:
    holed = ROWS.copy()
    holed.loc[3, "b"] = np.nan
    with pytest.warns(ihcli.IhcliWarning, match="missing_input"):
        explanation = ihcli.explain(network(), holed, target=0)
    saved = explanation.save(tmp_path / "run")
    assert saved[3].quality["status"] == explanation[3].quality["status"] == "missing_input"
    run_verify(tmp_path / "run")


def test_texts_are_saved_with_their_words(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "bert", "bert")
    found = ihcli.explain_texts(tmp_path / "bert", ["not bad at all", "good"], target=0)
    saved = found.save(tmp_path / "run")
    assert saved[0].names == found.units[0]
    run_verify(tmp_path / "run", tmp_path / "bert", tmp_path / "run" / "data.parquet")


def test_a_run_that_is_there_stays_unless_it_may_go(tmp_path: Path) -> None:
    explanation = ihcli.explain(network(), ROWS, target=0)
    explanation.save(tmp_path / "run")
    with pytest.raises(RunError, match=r"holds a run already\. Try `overwrite`"):
        explanation.save(tmp_path / "run")
    assert len(explanation[:5].save(tmp_path / "run", overwrite=True)) == 5
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="is a file"):
        explanation.save(tmp_path / "file", overwrite=True)


def test_a_copy_of_a_run_is_the_same_run(tmp_path: Path) -> None:
    first = ihcli.explain(network(), ROWS, target=0).save(tmp_path / "run")
    copy = first.save(tmp_path / "copy")
    pd.testing.assert_frame_equal(copy.to_frame(), first.to_frame())
    run_verify(tmp_path / "copy")


def test_an_explanation_put_together_by_hand_is_not_saved(tmp_path: Path) -> None:
    made = ihcli.explain(network(), ROWS, target=0)
    by_hand = ihcli.Explanation(**{name: getattr(made, name) for name in Plain.__dataclass_fields__})
    assert repr(by_hand).startswith("<Explanation: unknown method, 24 rows")
    with pytest.raises(RunError, match=r"^explanation: how it came about is not told\."):
        by_hand.save(tmp_path / "run")


def test_runs_of_networks_in_memory_have_a_mean(tmp_path: Path) -> None:
    networks = [network(), network(nn.Tanh)]
    for place, each in enumerate(networks):
        ihcli.explain(each, ROWS, target=0).save(tmp_path / str(place))
    command = ["compare", str(tmp_path / "0"), str(tmp_path / "1"), "--mean", "-o", str(tmp_path / "mean")]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    both = ihcli.explain(lambda x: (networks[0](x) + networks[1](x)) / 2, ROWS, target=0)
    np.testing.assert_allclose(ihcli.read(tmp_path / "mean").attributions["a"], both.attributions[:, 0], atol=1e-4)
    run_verify(tmp_path / "mean")
