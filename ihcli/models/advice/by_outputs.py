"""What to try for a predictor of scikit-learn that no layers stand for: its outputs alone say something of it too."""

import re

from ihcli.models.estimators.predictors import VOTES, why_closed
from ihcli.models.estimators.reading import class_of
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import AROUND, SUPPORT_CLASSIFIERS
from ihcli.models.steps import Loader, imports, python_line, quoted
from ihcli.wording import article

_MOST_AROUND = 64
_STEPPED = re.compile(r"(Tree|Forest|Boosting|AdaBoost|Neighbors|NearestCentroid)")
_CLASSIFIERS = re.compile(r"(Classifier|ClassifierCV|SVC|NB|DiscriminantAnalysis)$")
_REGRESSORS = re.compile(r"(Regressor|SVR|KernelRidge|PLSRegression)$")
NEEDS_NONE = "which needs no gradients; nor do `method=sii` and `method=occlusion`"


def innermost(record: Record) -> tuple[str, Record]:
    """Return what an estimator ends in, without what is around it, and the expression that leads there."""
    expression = ""
    for _ in range(_MOST_AROUND):
        step, inner = _inner(record)
        if not isinstance(inner, Record):
            break
        expression, record = expression + step, inner
    return expression, record


def _inner(record: Record) -> tuple[str, object]:
    name = class_of(record)
    if name == "Pipeline":
        steps = record.attributes.get("steps")
        last = steps[-1] if isinstance(steps, list) and steps else None
        return "[-1]", last[1] if isinstance(last, tuple) and len(last) == 2 else None
    return f".{AROUND.get(name)}", record.attributes.get(AROUND.get(name, ""))


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
    return f'ihcli.explain({function}, {table}, method="shapley")'


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
        steps = record.attributes.get("steps") if class_of(record) == "Pipeline" else None
        inner = steps[0][1] if isinstance(steps, list) and steps and isinstance(steps[0], tuple) else None
        inner = inner if steps else record.attributes.get(AROUND.get(class_of(record), ""))
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
