"""The table of methods is the only one: whoever asks what a method is, or calls it by name, reads a row."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from ihcli.errors import OptionError
from ihcli.integration.assembly import explain_rows
from ihcli.integration.computing import computation_of
from ihcli.methods import (
    DEFAULT,
    ELSEWHERE,
    METHODS,
    Method,
    error_in_words,
    meant_by,
    method_named,
    names_of,
    partner,
    require_one_baseline,
)
from ihcli.plots.canvas import source
from ihcli.runs.request import RunRequest
from ihcli.wording import all_of

PACKAGE = Path(__file__).parents[1] / "ihcli"
WORDS = ("gradient", "hessian", "occlusion", "cd")
"""Names that are words as well, and titles too."""
CALLED = [method for method in METHODS.values() if method.name not in WORDS]
NAMES = re.compile("|".join([rf"\b({'|'.join(each.name for each in CALLED)})\b", *(each.title for each in CALLED)]))
INTEGRALS = [method for method in METHODS.values() if method.is_integral]
OLD_DEFINITION = (
    "certified relative L1 error of the attributions (ig, eg) or of the row sums of the interactions (ih, eh)"
)


def words_of(file: Path) -> Iterator[str]:
    """Yield what a module says: its strings, but those that stand alone and so document; of a page, all of it."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        yield text
        return
    tree = ast.parse(text)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


def test_no_other_module_names_a_method_or_its_title() -> None:
    files = [file for file in PACKAGE.rglob("*.*") if file.suffix in (".py", ".js", ".html", ".css")]
    assert len(files) > 100
    for file in files:
        if file != PACKAGE / "methods.py":
            assert not [words for words in words_of(file) if NAMES.search(words)], file


def test_a_name_in_a_message_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""Documents ig."""\nraise ValueError(f"try {1} or ih")\n')
    assert [words for words in words_of(file) if NAMES.search(words)] == [" or ih"]


def test_the_table_fits_on_a_screen() -> None:
    table = (PACKAGE / "methods.py").read_text(encoding="utf-8")
    assert len(table[table.index("class Method") : table.index("def method_named")].splitlines()) <= 86


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_row_names_who_computes_it(method: object) -> None:
    assert isinstance(method, Method)
    assert (computation_of(method) is explain_rows) == method.is_integral


def test_computing_is_looked_up_where_the_row_says() -> None:
    module, _, name = METHODS[DEFAULT].computed_by.partition(":")
    assert getattr(import_module(module), name) is explain_rows


def test_a_partner_differs_in_what_was_asked_for_alone() -> None:
    assert partner(METHODS["eh"], order=1).name == "eg"
    assert partner(METHODS["ih"], order=1).name == "ig"
    assert partner(METHODS["ig"], order=2).name == "ih"
    assert partner(METHODS["eh"], many_baselines=False).name == "ih"


def test_names_are_chosen_by_what_the_rows_say() -> None:
    assert names_of() == list(METHODS)
    assert names_of(order=2) == ["ih", "eh", "hessian", "hessian-input", "dfim", "cd", "occlusion-pairs", "sii"]
    assert names_of(order=1, many_baselines=True) == ["eg", "deeplift-shap"]


def test_the_meaning_of_the_error_is_that_of_runs_written_before() -> None:
    certified, *others = error_in_words().split("; ")
    assert certified == OLD_DEFINITION
    assert others[-1] == f"null for {all_of([m.name for m in METHODS.values() if m.error_of is None])}"
    assert "gradient, gradient-input, hessian, hessian-input" in others[-1]


def test_the_default_is_a_row() -> None:
    assert RunRequest("model.pt", "data.csv").method == DEFAULT in METHODS


def test_a_name_that_is_none_is_answered_with_those_there_are() -> None:
    with pytest.raises(OptionError, match=r"'limes' is not a method\. Expected one of ig, eg, ih, eh, gradient, "):
        method_named("limes")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("shap", "'eg', 'shapley' or 'kernel-shap'"),
        ("integrated_hessians", "'ih'"),
        ("IntegratedGradients", "'ig'"),
        ("ExpectedHessians", "'eh'"),
        ("expected_gradients", "'eg'"),
        ("GradientShap", "'eg'"),
        ("kernelshap", "'kernel-shap'"),
        ("KernelExplainer", "'kernel-shap'"),
        ("deepshap", "'deeplift-shap'"),
        ("DeepLiftShap", "'deeplift-shap'"),
        ("Lime", "'lime'"),
        ("saliency", "'gradient'"),
        ("grad_x_input", "'gradient-input'"),
        ("InputXGradient", "'gradient-input'"),
        ("ShapleyValueSampling", "'shapley-sampling'"),
        ("GuidedBackprop", "'guided-backprop'"),
        ("integrated gradeints", "'ig'"),
    ],
)
def test_a_method_that_is_known_by_another_name_is_proposed(name: str, meant: str) -> None:
    with pytest.raises(OptionError, match=rf" Did you mean {meant}\?$"):
        method_named(name)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_title_means_its_method(method: Method) -> None:
    for written in (method.title, method.title.upper(), method.title.replace(" ", "_"), method.title.replace(" ", "")):
        assert meant_by(written) == f" Did you mean {method.name!r}?"


def test_other_names_are_of_methods_and_are_none_themselves() -> None:
    assert ELSEWHERE.keys() <= METHODS.keys()
    for method, others in ELSEWHERE.items():
        for other in others:
            assert repr(method) in meant_by(other)
            assert other not in METHODS


def test_what_is_no_method_is_named_with_the_command_that_has_it() -> None:
    for name in ("nid", "NID", "Neural-Interaction-Detection"):
        with pytest.raises(OptionError, match="try ihcli inspect MODEL `nid`"):
            method_named(name)


def test_texts_are_offered_the_same_order_over_one_baseline() -> None:
    with pytest.raises(OptionError, match="Try `method=ih`"):
        require_one_baseline(METHODS["eh"])


class _Result:
    def __init__(self, method: str) -> None:
        self.method = method


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_pictures_call_every_method_by_its_title(method: object) -> None:
    assert source(_Result(method.name)) == f"{method.title}."  # type: ignore[arg-type, attr-defined]


def test_pictures_of_a_method_that_is_not_known_give_its_name() -> None:
    assert source(_Result("limes")) == "limes."  # type: ignore[arg-type]


def test_a_title_says_over_how_many_baselines_and_of_which_order() -> None:
    assert [method.name for method in INTEGRALS] == ["ig", "eg", "ih", "eh"]
    for method in INTEGRALS:
        first = "Expected" if method.many_baselines else "Integrated"
        assert method.title == f"{first} {'Hessians' if method.second_order else 'Gradients'}"
