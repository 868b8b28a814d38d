"""What to try for a predictor of scikit-learn that no layers stand for: its outputs alone say something of it too."""

import re

from ihcli.methods import without_gradients
from ihcli.models.estimators.kernel_machines import VOTES
from ihcli.models.estimators.predictors import why_closed
from ihcli.models.estimators.reading import class_of
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import AROUND, SUPPORT_CLASSIFIERS
from ihcli.models.steps import Loader, imports, python_line, quoted
from ihcli.wording import article

_MOST_AROUND = 64
_STEPPED = re.compile(r"(Tree|Forest|Boosting|AdaBoost|Neighbors|NearestCentroid)")
_CLASSIFIERS = re.compile(r"(Classifier|ClassifierCV|SVC|NB|DiscriminantAnalysis)$")
_REGRESSORS = re.compile(r"(Regressor|SVR|KernelRidge|PLSRegression)$")
NEEDS_NONE = f"which needs no gradients; nor does `method={without_gradients(order=2)}`"


def innermost(record: Record) -> tuple[str, Record]:
    """Return what an estimator ends in, without what is around it, and the expression that leads there."""
    expression = ""
    for _ in range(_MOST_AROUND):
        step, inner = _inner(record, -1)
        if not isinstance(inner, Record):
            break
        expression, record = expression + step, inner
    return expression, record


def _inner(record: Record, place: int) -> tuple[str, object]:
    """Return what stands within an estimator, at this place of a pipeline, and the expression that leads there."""
    name = class_of(record)
    if name == "Pipeline":
        steps = record.attributes.get("steps")
        step = steps[place] if isinstance(steps, list) and steps else None
        return f"[{place}]", step[1] if isinstance(step, tuple) and len(step) == 2 else None
    attribute = AROUND.get(name, "")
    return f".{attribute}", record.attributes.get(attribute)


def in_words(record: Record) -> str | None:
    """Return why a predictor that an estimator ends in is not read, as a clause; None where it ends in none."""
    _, predictor = innermost(record)
    is_own = "." in predictor.name and not predictor.name.startswith("sklearn.")
    name = class_of(predictor)
    if is_own or not (_CLASSIFIERS.search(name) or _REGRESSORS.search(name)):
        return None
    if _STEPPED.search(name):
        return "which is piecewise constant: it has no gradients"
    return why_closed(predictor) or "which is not read"


def described(record: Record) -> str | None:
    """Return the same with what the estimator is; None where it ends in no predictor."""
    reason, (_, predictor) = in_words(record), innermost(record)
    if reason is None:
        return None
    if predictor is record:
        return f"{article(class_of(record))} {class_of(record)}, {reason}"
    name, inner = class_of(record), class_of(predictor)
    return f"{article(name)} {name} that ends in {article(inner)} {inner}, {reason}"


def step_in_memory(record: Record, whole: str = "model") -> str:
    """Return what to try in Python, as it follows on "Try "."""
    expression, predictor = innermost(record)
    if why_closed(predictor) == VOTES:
        return f'{whole}{expression}.decision_function_shape = "ovo", which gives a number for every two classes'
    return f"{called(record, whole, 'x')}, {NEEDS_NONE}"


def called(record: Record, whole: str, table: str) -> str:
    """Return the call that explains an estimator by its outputs."""
    function = f"lambda x: torch.as_tensor({whole}.{_method(record)}(x.detach().numpy()))"
    return f'ihcli.explain({function}, {table}, method="{without_gradients(order=1)}")'


def step_of_file(record: Record, loader: Loader) -> str:
    """Return the line for a shell, as it follows on "Try "."""
    expression, predictor = innermost(record)
    load = f"m = {loader.expression()}"
    if why_closed(predictor) == VOTES:
        written = loader.written(".joblib")
        line = python_line(
            imports("joblib", loader.package),
            load,
            f'm{expression}.decision_function_shape = "ovo"',
            f"joblib.dump(m, {quoted(written)})",
        )
        return f"try {line}, and {written} as MODEL, with a number for every two classes."
    names = "[m.feature_names_in_]" if "feature_names_in_" in _first(record).attributes else ""
    call = called(record, "m", f'pandas.read_csv("DATA.csv"){names}')
    line = python_line(imports("ihcli", "pandas", "torch", loader.package), load, f'{call}.save("run")')
    return f"try, with your table of numbers as DATA.csv, {line}, {NEEDS_NONE}."


def _first(record: Record) -> Record:
    """Return the first step of a pipeline, which knows the columns of the table."""
    for _ in range(_MOST_AROUND):
        _, inner = _inner(record, 0)
        if not isinstance(inner, Record):
            break
        record = inner
    return record


def _method(record: Record) -> str:
    """Return the method whose outputs are numbers; an outline may have no attributes, but tells the class."""
    name = class_of(innermost(record)[1])
    if name in SUPPORT_CLASSIFIERS:
        return "decision_function"
    return "predict_proba" if _CLASSIFIERS.search(name) else "predict"
