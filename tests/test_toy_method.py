"""A method is one row and one function: with both, all that ihcli has works, and claims nothing that is not known.

The row and the function are the blocks of code of docs/how_it_works.md, under "Where do I add a method?".
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from model_files import network, rows, save_script

from ihcli.methods import METHODS, Method, error_in_words, uncertified
from ihcli.quality import Status
from ihcli.verification.checking import verify_run
from ihcli.verification.findings import FAILED

PAGE = Path(__file__).parents[1] / "docs" / "how_it_works.md"
QUESTION = "Where do I add a method?"
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
# What a newcomer would do by hand: the row into the table, the function into its module; then commands and the library.
ADDING = """
import json, sys, types
row, function, commands, x = json.load(sys.stdin)
from ihcli import methods
method = eval(row, vars(methods))
methods.METHODS[method.name] = method
module = types.ModuleType(method.computed_by.partition(":")[0])
exec(function, vars(module))
sys.modules[module.__name__] = module
import ihcli
import numpy as np
from click.testing import CliRunner
from ihcli.cli import main
from ihcli.errors import RunError
done = [CliRunner().invoke(main, command) for command in commands]
try:
    ihcli.read(commands[0][-1]).to_shap()
    refusal = ""
except RunError as error:
    refusal = str(error)
found = ihcli.explain(ihcli.load_model(commands[0][1]), np.array(x), method=method.name, target=0)
names = "attributions", "prediction", "relative_error", "completeness_gap", "status"
library = {name: getattr(found, name).tolist() for name in names}
json.dump([[(one.exit_code, one.stdout, one.stderr) for one in done], refusal, library], sys.stdout)
"""
FEATURES = ("age", "bmi", "dose")
N_ROWS = 6


def section() -> str:
    """Return what the page says under the question."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(QUESTION)
    return rest.partition("\n## ")[0]


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Tried:
    """A run by the toy method, what every command made of it, and what the library says of the same rows."""

    run: Path
    inputs: np.ndarray
    done: dict[str, Done]
    refusal: str
    library: dict[str, list[Any]]

    @property
    def entries(self) -> pa.Table:
        return pq.read_table(self.run / "attributions")


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Tried:
    path = tmp_path_factory.mktemp("toy")
    model, data, run = save_script(network(), path / "model.pt"), path / "data.parquet", path / "run"
    inputs = rows(N_ROWS).numpy()
    pq.write_table(pa.table({name: inputs[:, i] for i, name in enumerate(FEATURES)}), data)
    asked = [str(model), str(data), "-m", "gx", "--target", "0"]
    commands = {
        "explain": ["explain", *asked, "-o", str(run)],
        "dry run": ["explain", *asked, "--dry-run"],
        "help": ["explain", "--help"],
        "attributions": ["attributions", str(run)],
        "one row": ["attributions", str(run), "--row", "2"],
        "interactions": ["interactions", str(run)],
        "interactions at once": ["interactions", *asked],
        "verify": ["verify", str(run)],
        "recompute": ["verify", str(run), str(model), str(data)],
        **{
            kind: ["plot", str(run), kind, "-o", str(path / f"{kind}.svg")]
            for kind in ("summary", "bar", "convergence")
        },
        "waterfall": ["plot", str(run), "waterfall", "--row", "2", "-o", str(path / "waterfall.svg")],
        "report": ["report", str(run), "-o", str(path / "report.html")],
    }
    row, function = BLOCK.findall(section())
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", ADDING],
        input=json.dumps([row, function, list(commands.values()), inputs.tolist()]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    done, refusal, library = json.loads(ran.stdout)
    return Tried(run, inputs, {name: Done(*one) for name, one in zip(commands, done, strict=True)}, refusal, library)


def truth(inputs: np.ndarray) -> np.ndarray:
    """Return x_g df/dx_g of output 0, the baseline being zeros."""
    x = torch.tensor(inputs, requires_grad=True)
    network()(x)[:, 0].sum().backward()
    assert x.grad is not None
    return (x * x.grad).detach().numpy()


def test_commands_explain_and_rank_by_it(tried: Tried) -> None:
    values = np.stack([tried.entries[name].to_numpy() for name in FEATURES], axis=1)
    np.testing.assert_allclose(values, truth(tried.inputs), rtol=1e-5)
    assert tried.done["attributions"].out.splitlines()[1].startswith("0,bmi,1,")
    assert len(tried.done["one row"].out.splitlines()) == 1 + len(FEATURES)


def test_the_library_gives_the_same(tried: Tried) -> None:
    np.testing.assert_allclose(tried.library["attributions"], truth(tried.inputs), rtol=1e-5)
    assert np.isnan(tried.library["relative_error"]).all()
    assert np.isnan(tried.library["completeness_gap"]).all()
    assert set(tried.library["status"]) == {Status.UNCERTIFIED}


def test_what_is_not_known_is_null(tried: Tried) -> None:
    entries = tried.entries
    for name in ("_relative_error", "_completeness_gap"):
        assert entries[name].null_count == N_ROWS, name
    assert set(entries["_status"].to_pylist()) == {Status.UNCERTIFIED}
    assert entries["_prediction"].null_count == entries["_baseline_prediction"].null_count == 0
    definitions = {field.name: field.metadata[b"definition"].decode() for field in entries.schema}
    last = uncertified()[-1]
    assert definitions["_relative_error"] == error_in_words().replace(f" and {last}", f", {last} and gx")
    assert definitions["_status"] == "ok, not_converged, rounding, uncertified, missing_input or non_finite"


def test_no_command_claims_a_tolerance(tried: Tried) -> None:
    assert "1.0 evaluations per row, and gx knows no error." in tried.done["explain"].err
    assert "within tolerance" not in tried.done["explain"].err
    assert tried.done["dry run"].out.startswith("From a pilot")
    assert "Within tolerance" not in tried.done["dry run"].out
    assert "relative error" not in tried.done["one row"].err


def test_help_offers_it(tried: Tried) -> None:
    words = " ".join(tried.done["help"].out.split())
    assert "eg, eh and deeplift-shap: the mean over many baselines, others: one. ih, eh, " in words
    assert "|feature-ablation|gx]" in words


def test_it_gives_no_interactions_and_says_which_do(tried: Tried) -> None:
    others = ", eh, hessian, hessian-input, dfim, cd, occlusion-pairs or sii."
    assert f"Expected a run of ih{others} Try ihcli explain with --method ih." in tried.done["interactions"].err
    assert f"--method gx: gives no interactions. Expected ih{others} Try --method ih." in (
        tried.done["interactions at once"].err
    )


@pytest.mark.parametrize("command", ["verify", "recompute"])
def test_verification_fails_nothing_and_says_what_it_left_out(tried: Tried, command: str) -> None:
    done = tried.done[command]
    assert done.code == 0, done.out
    left_out = [line[12:] for line in done.out.splitlines() if line.startswith("not checked")]
    assert f"{'tolerance':28}gx knows no error" in left_out
    assert f"{'completeness gap':28}the values of gx are not meant to add up" in left_out
    assert not [line for line in done.out.splitlines() if line.startswith("passed") and "gap" in line]


@pytest.mark.parametrize("kind", ["summary", "bar", "waterfall"])
def test_pictures_are_entitled_by_the_row(tried: Tried, kind: str) -> None:
    assert tried.done[kind].code == 0, tried.done[kind].err
    picture = (tried.run.parent / f"{kind}.svg").read_text(encoding="utf-8")
    assert "Gradient at x" in picture
    assert ("need not add up to the prediction" in picture) == (kind == "waterfall")


def test_there_is_no_convergence_to_draw(tried: Tried) -> None:
    assert tried.done["convergence"].code == 1
    assert "gx knows no error, so there is no convergence to draw" in tried.done["convergence"].err


def test_the_report_shows_no_share_within_the_tolerance(tried: Tried) -> None:
    assert tried.done["report"].code == 0, tried.done["report"].err
    page = (tried.run.parent / "report.html").read_text(encoding="utf-8")
    assert f'"{Status.UNCERTIFIED}":{N_ROWS}' in page.replace(" ", "")
    assert "if (!trust.statuses.uncertified) yield tile" in page


def test_values_that_do_not_add_up_are_not_handed_to_plots_that_say_so(tried: Tried) -> None:
    assert "the values of gx do not add up to the prediction" in tried.refusal


@pytest.mark.parametrize(
    ("column", "wrong", "check"),
    [("_relative_error", 0.0, "nulls"), ("_completeness_gap", 0.0, "nulls"), ("_status", "ok", "statuses")],
)
def test_a_claim_that_the_method_does_not_make_fails(
    tried: Tried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, wrong: object, check: str
) -> None:
    row, _ = BLOCK.findall(section())
    method = eval(row, {"Method": Method})
    monkeypatch.setitem(METHODS, method.name, method)
    run = shutil.copytree(tried.run, tmp_path / "run")
    part = run / "attributions" / "part-000000.parquet"
    entries = pq.read_table(part)
    place = entries.schema.get_field_index(column)
    forged = pa.array([wrong] * N_ROWS, entries.schema.field(place).type)
    pq.write_table(entries.set_column(place, entries.schema.field(place), forged), part)
    failed = {finding.check: finding.detail for finding in verify_run(run) if finding.outcome == FAILED}
    assert column == "_status" or f"figures in {column}, which gx does not know" in failed[check]
    assert column != "_status" or "6 ok beyond the tolerance" in failed[check]
