"""From a fitted estimator to a Model of its raw table: a pipeline that ends in a predictor, and what is around it.

The model's outputs are those of predict_proba for a classifier, or of decision_function where it has none, of predict
for a regressor, in float64. scikit-learn is not imported. Its inputs are the columns of the table that the predictor
comes to see, in raw units: numbers, and codes of categories, of which the model says what they stand for.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ihcli.errors import ModelError
from ihcli.files.foreign import AGAIN
from ihcli.models.estimators.columns import Column, Raw
from ihcli.models.estimators.composing import Steps, inner_steps, steps_of
from ihcli.models.estimators.layering import Front, front_of, has_categories, used_columns
from ihcli.models.estimators.outputs import undone
from ihcli.models.estimators.predictors import PREDICTORS, is_fitted, why_closed
from ihcli.models.estimators.reading import (
    MOST_STEPS,
    BrokenError,
    UnfittedError,
    UnfoldedError,
    class_of,
    fitted,
    parameter,
)
from ihcli.models.model import REGRESSION, Model
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import SEARCHES, TARGET
from ihcli.models.wrapping import Names, Source, place_module
from ihcli.vocabulary import Vocabulary
from ihcli.wording import article, printable

EXPECTED = (
    "a multi-layer perceptron, linear model, support vector machine or Gaussian process of scikit-learn, alone or in a "
    "Pipeline with scalers, imputers, encoders of categories and ColumnTransformer"
)
_MOST_WRAPPERS, _MOST_INPUTS = 64, 1 << 20


@dataclass(frozen=True)
class Parts:
    """An estimator taken apart.

    steps      before the predictor, in order
    predictor  a network, a linear model or a sum of kernels
    targets    transformers of its target, that of the innermost regressor first
    classes    what it was taken out of, the outermost first
    """

    steps: tuple[Any, ...]
    predictor: Record
    targets: tuple[Any, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Conversion:
    """Layers for an estimator.

    inputs  places of the model's inputs among the columns of the table
    names   of the inputs; None where the table was an array of numbers
    """

    layers: list[nn.Module]
    front: Front
    inputs: tuple[int, ...]
    names: tuple[str, ...] | None

    def vocabulary(self, source: Source) -> Vocabulary | None:
        """Return what the codes of its inputs stand for."""
        if self.names is None or not self.front.categories:
            return None
        named = {self.names[place]: category for place, category in self.front.categories.items()}
        return Vocabulary(
            {name: category.values for name, category in named.items()},
            {name: category.unknown for name, category in named.items() if category.unknown is not None},
            source=printable(source.path.name),
            advice="Try without that row, or a pipeline whose encoder was made with handle_unknown.",
        )


def convert(record: Record, source: Source) -> Model:
    """Return the Model of an estimator, in float64 unless the source asks otherwise.

    Raises UnfoldedError where no layers stand for a step, ModelError where it was never fitted, does not fit together,
    or does not end in a predictor.
    """
    with _named(source):
        parts = parts_of(record)
        found = converted(parts)
        names = Names(found.names, PREDICTORS[parts.predictor.name].names(parts.predictor), found.front.zero)
        wanted = Source(source.path, source.trust, source.device, source.dtype or torch.float64)
        model = place_module(nn.Sequential(*found.layers), wanted, _format(parts), names, n_inputs=len(found.inputs))
    task = REGRESSION if names.outputs is None else None
    return replace(model, vocabulary=found.vocabulary(source), fills=found.front.fills, task=task)


@contextmanager
def _named(source: Source) -> Iterator[None]:
    """Name the file in what is said of an object that was never fitted, or that does not fit together."""
    try:
        yield
    except UnfittedError as error:
        raise ModelError(f"{source.path}: {error}. Try calling fit before saving it.") from None
    except BrokenError as error:
        raise ModelError(f"{source.path}: {error}. {AGAIN}") from None


def why_unfolded(record: Record) -> str | None:
    """Return the step of an estimator that no layers stand for, in words; None where there is none to be seen.

    An estimator that was never fitted, or does not fit together, is none of them.
    """
    with suppress(UnfittedError, BrokenError, TypeError, ValueError, KeyError, IndexError):
        try:
            converted(parts_of(record))
        except UnfoldedError as error:
            return str(error)
    return None


def predictor_in(record: Record) -> Record | None:
    """Return the fitted predictor that an estimator ends in, or None: where there is none, or none that is smooth."""
    with suppress(UnfoldedError, UnfittedError, BrokenError):
        predictor = parts_of(record).predictor
        return predictor if is_fitted(predictor) and why_closed(predictor) is None else None
    return None


def parts_of(record: Record) -> Parts:
    """Take an estimator apart; raises UnfoldedError where it is, or ends in, another one."""
    steps: list[Any] = []
    targets: list[Any] = []
    classes: list[str] = []
    for _ in range(_MOST_WRAPPERS):
        if record.name in PREDICTORS:
            return Parts(tuple(steps), record, tuple(reversed(targets)), tuple(classes))
        classes.append(record.name)
        record = _inner(record, steps, targets)
    raise BrokenError(f"it has more than {_MOST_WRAPPERS} steps within each other")


def _inner(record: Record, steps: list[Any], targets: list[Any]) -> Record:
    """Return what an estimator ends in; what comes before is added to the steps, its target's to the targets."""
    if record.name == "Pipeline":
        found: list[Any] = [step for _, step in steps_of(record)]
        while found and not isinstance(found[-1], Record):
            _require_nothing(found.pop())
        if not found:
            raise UnfoldedError("no steps")
        *before, inner = found
        steps += before
    elif record.name == TARGET:
        targets.append(parameter(record, "transformer_"))
        inner = fitted(record, "regressor_")
    elif record.name in SEARCHES:
        inner = fitted(record, SEARCHES[record.name])
    else:
        raise UnfoldedError(class_of(record))
    if not isinstance(inner, Record):
        raise UnfoldedError(printable(type(inner).__name__, 60))
    return inner


def _require_nothing(step: Any) -> None:
    if step is not None and step != "passthrough":
        raise UnfoldedError(printable(type(step).__name__, 60))


def converted(parts: Parts) -> Conversion:
    """Return the layers of an estimator; raises UnfoldedError, BrokenError or UnfittedError."""
    kind = PREDICTORS[parts.predictor.name]
    n_predictor = kind.width(parts.predictor)
    names, width = _table_of(parts, n_predictor)
    columns: list[Column] = [Raw(place) for place in range(width)]
    worker = Steps()
    for step in parts.steps:
        columns = worker.through(step, columns)
    if len(columns) != n_predictor:
        raise BrokenError(
            f"the steps before its {parts.predictor.name} give {len(columns)} columns, but it takes {n_predictor}"
        )
    inputs, names = _inputs(columns, names, width)
    front = front_of(columns, inputs)
    layers = [*front.layers, *kind.layers(parts.predictor, front.order)]
    for target in parts.targets:
        layers += undone(target, kind.n_outputs(parts.predictor))
    return Conversion(layers, front, inputs, names)


def _inputs(
    columns: Sequence[Column], names: tuple[str, ...] | None, width: int
) -> tuple[tuple[int, ...], tuple[str, ...] | None]:
    """Return which columns of the table the model takes, and their names: those that come to anything.

    Of an array of numbers it takes all, as only their places tell them apart; with categories columns have names, and
    are called by their places then.
    """
    if names is None and not has_categories(columns):
        return tuple(range(width)), None
    called = names or tuple(map(str, range(width)))
    used = tuple(used_columns(columns))
    return used, tuple(called[place] for place in used)


def _table_of(parts: Parts, n_predictor: int) -> tuple[tuple[str, ...] | None, int]:
    """Return the names of the columns of the table that the estimator was fitted to, and how many there are."""
    first = next((step for step in _first_steps(parts.steps) if "n_features_in_" in step.attributes), parts.predictor)
    found, width = first.attributes.get("feature_names_in_"), first.attributes.get("n_features_in_", n_predictor)
    if not isinstance(width, int | np.integer) or not 0 < width <= _MOST_INPUTS:
        raise BrokenError(f"its {first.name} takes {printable(repr(width), 40)} inputs")
    if found is None:
        return None, int(width)
    names = tuple(str(name) for name in found)
    if len(names) != width:
        raise BrokenError(f"its {first.name} has {len(names)} names for {width} inputs")
    return names, int(width)


def _first_steps(steps: tuple[Any, ...]) -> Iterator[Record]:
    """Yield the steps in the order in which the table meets them."""
    pending = list(reversed(steps))
    for _ in range(MOST_STEPS):
        if not pending:
            return
        step = pending.pop()
        if isinstance(step, Record) and step.name in ("Pipeline", "FeatureUnion"):
            pending += reversed(inner_steps(step))
        elif isinstance(step, Record):
            yield step


def _format(parts: Parts) -> str:
    """Return what the file is, in words."""
    name = parts.predictor.name
    return f"scikit-learn {f'{parts.classes[0]} with {article(name)} ' if parts.classes else ''}{name}"
