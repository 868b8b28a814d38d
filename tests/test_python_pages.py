"""Pages for people who write Python: what they show runs, and gives what they say."""

import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import ihcli
from ihcli.cli import main

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
SAME_METHOD = 1e-5
"""Of integrals of a smooth network in float32 on other rules."""


def run_page(name: str) -> tuple[dict[str, Any], list[str]]:
    """Run the blocks of a page in their order, and return the names that they leave, and the texts that they show."""
    names: dict[str, Any] = {}
    shown: list[str] = []
    for language, text in BLOCK.findall((ROOT / "docs" / name).read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(text, name, "exec"), names)
        elif language == "console":
            for line in text.splitlines():
                done = CliRunner().invoke(main, shlex.split(line.removeprefix("$ "))[1:], catch_exceptions=False)
                assert done.exit_code == 0, f"{line}: {done.stderr}"
        else:
            shown.append(text)
    return names, shown


def test_the_tour_runs_as_shown(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, (line,) = run_page("python.md")
    assert capsys.readouterr().out.startswith(line)
    assert len(names["run"]) == len(names["explanation"]) == 442
    np.testing.assert_array_equal(names["run"][3].attributions, names["record"].attributions)
    assert (checkout / "diabetes.html").is_file()
    assert names["sick"].prediction.min() > 200


@pytest.mark.filterwarnings("ignore:Input Tensor .* did not already", "ignore:Setting forward, backward hooks")
def test_calls_of_captum_have_calls_here_that_give_the_same(checkout: Path) -> None:
    pytest.importorskip("captum")
    names, _ = run_page("coming_from_captum.md")
    for theirs, ours in (("theirs", "ours"), ("each", "ours_each"), ("of_layer", "ours_layer"), ("deeplift",) * 2):
        found = names[ours if ours != theirs else "ours_deeplift"]
        np.testing.assert_allclose(found.attributions, names[theirs].detach(), atol=SAME_METHOD)
    both = np.concatenate([part.detach() for part in names["theirs_two"]], axis=1)
    np.testing.assert_allclose(names["ours_two"].attributions, both, atol=SAME_METHOD)
    ablated = names["ablated"].detach().numpy()
    np.testing.assert_allclose(names["ours_ablated"].attributions, ablated[:, 1:], atol=SAME_METHOD)
    for theirs, ours in zip(names["baselines"], names["same"], strict=True):
        np.testing.assert_allclose(ours.attributions, theirs.detach(), atol=SAME_METHOD)
    assert set(names["ours_all"].target) == {"low", "mid", "high"}
    assert set(names["ours_deeplift"].status) == {"uncertified"}
    assert len(names["saved"]) == 50


@pytest.mark.filterwarnings("ignore:Input Tensor .* did not already", "ignore:Setting forward, backward hooks")
def test_calls_of_shap_have_calls_here(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, _ = run_page("coming_from_shap.md")
    assert names["expected"].attributions.shape == (60, 4)
    change = names["expected"].prediction - names["expected"].baseline_prediction
    np.testing.assert_allclose(names["expected"].attributions.sum(axis=1), change, atol=SAME_METHOD)
    assert len(names["men"]) == int((names["x"]["sex"] > 0).sum())
    assert (checkout / "swarm.png").is_file()
    monkeypatch.setitem(sys.modules, "shap", SimpleNamespace(Explanation=SimpleNamespace))
    values, interactions, words = names["objects_of_shap"]()
    np.testing.assert_allclose(values.data, names["x"], rtol=1e-6)
    assert values.feature_names == list(names["x"].columns)
    np.testing.assert_array_equal(interactions.values, names["pairs"].interactions)
    assert [list(some) for some in words.data] == [["not ", "good ", "not ", "bad "], ["fine "], []]


def test_pages_name_calls_that_exist() -> None:
    for name in ("python.md", "coming_from_shap.md", "coming_from_captum.md"):
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        for called in re.findall(r"ihcli\.(\w+)\(", text):
            assert called in ihcli.__all__, f"{name}: {called}"
