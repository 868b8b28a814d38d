"""Arrays made of buffers are those that pyarrow makes, and pandas is not imported for them."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from ihcli.files.arrays import numbers, strings, values_of

NUMBERS = (
    np.array([1.5, np.nan, -0.0, np.inf]),
    np.array([1.5, 2, 3, 4], np.float32),
    np.arange(4),
    np.arange(8)[::2],
    np.array([True, False, True, True]),
    np.arange(4, dtype=np.int32),
    np.zeros(0),
)
SOME = np.array([False, True, False, True])


@pytest.mark.parametrize("values", NUMBERS, ids=lambda values: str(values.dtype))
def test_numbers_are_what_pyarrow_makes_of_them(values: np.ndarray) -> None:
    ours, theirs = numbers(values), pa.array(values)
    ours.validate(full=True)
    assert ours.type == theirs.type
    assert str(ours) == str(theirs)  # equals takes no NaN for another


@pytest.mark.parametrize("values", [values for values in NUMBERS if len(values)], ids=lambda values: str(values.dtype))
def test_numbers_under_a_mask_are_null(values: np.ndarray) -> None:
    ours = numbers(values, is_null=SOME)
    ours.validate(full=True)
    assert ours.is_null().to_pylist() == SOME.tolist()
    assert str(ours) == str(pa.array(values, mask=SOME))


def test_numbers_are_cast_to_the_type_asked_for() -> None:
    assert numbers(np.arange(3), pa.int32()).equals(pa.array([0, 1, 2], pa.int32()))


@pytest.mark.parametrize("values", [[], ["a", "", "ä\u00df", None, "x" * 300], [None, None], ["🙂"]])
def test_strings_are_what_pyarrow_makes_of_them(values: list[str | None]) -> None:
    ours = strings(values)
    ours.validate(full=True)
    assert ours.equals(pa.array(values, pa.string()))


def test_a_lone_surrogate_is_refused_as_by_pyarrow() -> None:
    for make in (strings, pa.array):
        with pytest.raises(UnicodeEncodeError):
            make(["\ud800"])


def test_values_are_those_that_were_stored() -> None:
    for values in NUMBERS:
        if values.dtype != bool:
            np.testing.assert_array_equal(values_of(numbers(values).slice(1)), values[1:])


def test_pandas_is_not_imported_for_them() -> None:
    code = (
        "import sys, numpy as np\n"
        "from ihcli.files.arrays import numbers, strings, values_of\n"
        "values_of(numbers(np.arange(3.0)))\n"
        "numbers(np.arange(3.0), is_null=np.arange(3) > 1), strings(['a', None]).take(numbers(np.zeros(3, int)))\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
