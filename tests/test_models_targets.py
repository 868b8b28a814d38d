"""Which output is explained: names, indices, predictions, labels."""

import numpy as np
import pytest

from ihcli.errors import DataError, ModelError, OptionError
from ihcli.models.targets import Target, resolve_target

OUTPUTS = np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0], [0.0, 0.1, 0.9]])
NAMES = ("setosa", "versicolor", "virginica")


def _chosen(target: Target, labels: list[object] | None = None) -> list[int]:
    given = None if labels is None else np.array(labels, dtype=object)
    rows, outputs = target.select(OUTPUTS, given)
    assert rows.tolist() == [0, 1, 2]
    assert (rows.dtype, outputs.dtype) == (np.int64, np.int64)
    return outputs.tolist()


def test_the_default_is_the_predicted_output_or_the_only_one() -> None:
    assert resolve_target(None, 3, NAMES) == Target("predicted", NAMES)
    single = resolve_target(None, 1, None)
    assert single == Target("prediction", ("prediction",))
    assert single.select(OUTPUTS[:, :1], None)[1].tolist() == [0, 0, 0]


def test_predicted_is_the_first_of_the_largest() -> None:
    assert _chosen(resolve_target("predicted", 3, None)) == [1, 0, 2]


def test_all_is_every_output_of_every_row_row_by_row() -> None:
    rows, outputs = resolve_target("all", 3, None).select(OUTPUTS[:2], None)
    assert rows.tolist() == [0, 0, 0, 1, 1, 1]
    assert outputs.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_name_or_an_index_is_the_same_target() -> None:
    assert resolve_target("versicolor", 3, NAMES) == resolve_target(1, 3, NAMES) == resolve_target("1", 3, NAMES)
    assert _chosen(resolve_target(1, 3, NAMES)) == [1, 1, 1]


def test_a_name_goes_before_an_index() -> None:
    assert _chosen(resolve_target("1", 3, ("3", "2", "1"))) == [2, 2, 2]
    target = resolve_target(0, 3, ("a", "b", "c"))
    assert resolve_target(target.spec, 3, ("a", "b", "c")) == target


@pytest.mark.parametrize("spec", ["setsoa", "3", 3, "-1", -1, "1.0", ""])
def test_a_target_out_of_range_lists_the_valid_ones(spec: str | int) -> None:
    with pytest.raises(OptionError) as caught:
        resolve_target(spec, 3, NAMES)
    assert str(caught.value) == (
        f"`target`: {spec!r} is not an output of the model. Expected one of 'setosa', 'versicolor', 'virginica', "
        "an index from 0 to 2, predicted, all or label."
    )


def test_a_long_list_of_names_is_cut() -> None:
    with pytest.raises(OptionError, match=r"'9', \.\.\. \(200 in all\), an index from 0 to 199"):
        resolve_target("x", 200, None)


def test_labels_are_class_names_or_indices() -> None:
    assert _chosen(resolve_target("label", 3, NAMES), ["virginica", "setosa", "setosa"]) == [2, 0, 0]
    assert _chosen(resolve_target("label", 3, NAMES), [2, np.int64(0), 1.0]) == [2, 0, 1]
    assert _chosen(resolve_target("label", 3, None), ["2", 0, np.float64(1)]) == [2, 0, 1]


def test_labels_of_numbered_classes_are_their_names_and_never_indices() -> None:
    target = resolve_target("label", 3, ("3", "5", "9"))
    assert _chosen(target, [9, "3", 5.0]) == [2, 0, 1]
    with pytest.raises(DataError, match="row 1 of the data holds 0,"):
        _chosen(target, [9, 0, 5])


def test_labels_that_are_booleans_name_boolean_classes() -> None:
    target = resolve_target("label", 2, ("False", "True"))
    _, outputs = target.select(OUTPUTS[:, :2], np.array([True, False, np.True_], dtype=object))
    assert outputs.tolist() == [1, 0, 1]


@pytest.mark.parametrize("value", ["Setosa", None, float("nan"), 3, -1, 0.5])
def test_a_label_that_names_no_output_is_named_with_its_row(value: object) -> None:
    with pytest.raises(DataError) as caught:
        _chosen(resolve_target("label", 3, NAMES), ["setosa", value, "setosa"])
    assert str(caught.value) == (
        f"`label`: row 1 of the data holds {value!r}, which is not an output of the model. Expected 'setosa', "
        "'versicolor', 'virginica', or an index below 3 where these are not numbers."
    )


def test_label_needs_a_label_column_and_several_outputs() -> None:
    with pytest.raises(DataError, match=r"`target=label`: the data has no label column\. Try `label=COLUMN`\."):
        resolve_target("label", 3, None).select(OUTPUTS, None)
    with pytest.raises(OptionError, match="the model has one output, which no label chooses"):
        resolve_target("label", 1, None)


def test_names_that_do_not_fit_the_outputs_are_refused() -> None:
    with pytest.raises(ModelError, match="carries 3 output names but has 2 outputs"):
        resolve_target(None, 2, NAMES)
