"""Category columns: what codes stand for, and values read as codes, by value, from any file."""

import itertools
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.data.baselines import resolve_baselines
from ihcli.data.categories import categories_of, read_categories
from ihcli.data.tables import open_dataset
from ihcli.errors import DataError, IhcliError, OptionError
from ihcli.vocabulary import MISSING, UNKNOWN, Vocabulary, label_index

JOBS = ("admin", "blue", "tech")
SOME = ["blue", None, "admin", "tech", "blue"]
CODES = [1.0, math.nan, 0.0, 2.0, 1.0]


def vocabulary(*values: object, **others: object) -> Vocabulary:
    return Vocabulary({"job": values}, source="vocab.toml", **others)


def codes(path: Path, known: Vocabulary | None) -> list[float]:
    return np.concatenate(list(open_dataset(path, features=["job"], vocabulary=known).inputs()))[:, 0].tolist()


def as_csv(path: Path, values: Sequence[object]) -> Path:
    pd.DataFrame({"job": pd.Series(values, dtype=object), "n": range(len(values))}).to_csv(path / "t.csv", index=False)
    return path / "t.csv"


def as_text(path: Path, values: Sequence[object]) -> Path:
    pq.write_table(pa.table({"job": pa.array(values), "n": range(len(values))}), path / "t.parquet")
    return path / "t.parquet"


def as_dictionaries(path: Path, values: Sequence[object]) -> Path:
    """Write row groups of two rows, each with a dictionary of its own, in an order of its own."""
    schema = pa.schema([("job", pa.dictionary(pa.int16(), pa.array(values).type))])
    with pq.ParquetWriter(path / "t.parquet", schema) as writer:
        for start in range(0, len(values), 2):
            some = values[start : start + 2]
            own = sorted({value for value in values if value is not None}, key=str, reverse=start % 4 == 0)
            places = pa.array([None if value is None else own.index(value) for value in some], pa.int16())
            column = pa.DictionaryArray.from_arrays(places, pa.array(own, schema.field(0).type.value_type))
            writer.write_table(pa.table({"job": column}, schema))
    return path / "t.parquet"


def as_two_files(path: Path, values: Sequence[object]) -> Path:
    (path / "d").mkdir()
    half = len(values) // 2
    pq.write_table(pa.table({"job": pa.array(values[:half])}), path / "d" / "1.parquet")
    pq.write_table(pa.table({"job": pa.array(values[half:]).dictionary_encode()}), path / "d" / "2.parquet")
    return path / "d"


WAYS: dict[str, Callable[[Path, Sequence[object]], Path]] = {
    "CSV": as_csv,
    "text of Parquet": as_text,
    "dictionaries that differ": as_dictionaries,
    "text in one file, a dictionary in another": as_two_files,
}


def equal(found: Sequence[float], expected: Sequence[float]) -> bool:
    return bool(np.array_equal(found, expected, equal_nan=True))


# Values become codes


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_text_becomes_its_place_in_the_vocabulary(tmp_path, write):
    assert equal(codes(write(tmp_path, SOME), vocabulary(*JOBS)), CODES)


@pytest.mark.parametrize("order", list(itertools.permutations(JOBS)))
def test_codes_follow_the_vocabulary_and_not_the_file(tmp_path, order):
    expected = [math.nan if value is None else float(order.index(value)) for value in SOME]
    assert equal(codes(as_dictionaries(tmp_path, SOME), vocabulary(*order)), expected)


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_missing_is_a_code_where_the_vocabulary_has_it(tmp_path, write):
    for nothing in (None, math.nan, np.float64("nan")):
        assert equal(codes(write(tmp_path, SOME), vocabulary(*JOBS, nothing)), [1, 3, 0, 2, 1])
        break_down(tmp_path)


def break_down(path: Path) -> None:
    for file in path.rglob("*"):
        if file.is_file():
            file.unlink()
    for directory in path.iterdir():
        directory.rmdir()


ALIKE = {
    "whole numbers": ([10, 20, 30], [20, 10, 30]),
    "numbers as text of the file": (["10", "20", "30"], [20, 10, 30]),
    "whole numbers stored with gaps": ([10, 20, 30], [20.0, 10.0, 30.0]),
    "text of numbers": (["10", "20", "30"], ["20", "10", "30"]),
    "fractions": ([0.5, 1.5, 2.5], [1.5, 0.5, 2.5]),
    "one of them a word": (["10", "20", "other"], ["20", "10", "other"]),
    "negative numbers": ([-1, 0, 1], [0, -1, 1]),
}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("listed", "stored"), ALIKE.values(), ids=ALIKE)
def test_numbers_are_mapped_by_value(tmp_path, write, listed, stored):
    assert codes(write(tmp_path, stored), vocabulary(*listed)) == [1, 0, 2]


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("listed", [[False, True], ["False", "True"], ["false", "true"], [0, 1], ["no", "yes"]])
def test_booleans_are_mapped_by_value_or_are_codes(tmp_path, write, listed):
    assert codes(write(tmp_path, [True, False, True, True]), vocabulary(*listed)) == [1, 0, 1, 1]


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_numbers_are_codes_where_the_vocabulary_has_words_alone(tmp_path, write):
    assert codes(write(tmp_path, [2, 0, 1, 1]), vocabulary(*JOBS)) == [2, 0, 1, 1]


def test_text_of_a_number_is_no_code_among_words(tmp_path):
    with pytest.raises(DataError, match="'2' is not in vocab"):
        codes(as_text(tmp_path, ["admin", "2"]), vocabulary(*JOBS))


def test_identifiers_with_leading_zeros_are_text(tmp_path):
    assert codes(as_csv(tmp_path, ["007", "7", "07"]), vocabulary("7", "07", "007")) == [2, 0, 1]


@pytest.mark.parametrize("blank", ["", "NA", "nan", "None", "<NA>", "null"])
def test_what_pandas_reads_as_missing_is_missing_in_csv(tmp_path, blank):
    (tmp_path / "t.csv").write_text(f"job,n\nblue,1\n{blank},2\n", encoding="utf-8")
    assert equal(codes(tmp_path / "t.csv", vocabulary(*JOBS)), [1, math.nan])
    assert equal(codes(tmp_path / "t.csv", vocabulary(*JOBS, None)), [1, 3])
    assert equal(codes(tmp_path / "t.csv", vocabulary(*JOBS, blank)), [1, 3]), "a value that is listed is no gap"


def test_a_column_without_any_value_is_missing(tmp_path):
    pq.write_table(pa.table({"job": pa.nulls(3)}), tmp_path / "t.parquet")
    assert equal(codes(tmp_path / "t.parquet", vocabulary(*JOBS)), [math.nan] * 3)
    assert codes(tmp_path / "t.parquet", vocabulary(None, *JOBS)) == [0, 0, 0]


def test_values_that_occur_once_in_many_batches_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr("ihcli.data.formats.parquet.BATCH_VALUES", 7)
    monkeypatch.setattr("ihcli.data.formats.csv.CSV_BLOCK_BYTES", 100)
    values = [f"value {i}" for i in range(200)]
    for write in (as_csv, as_text, as_dictionaries):
        assert codes(write(tmp_path, values), vocabulary(*reversed(values))) == list(range(199, -1, -1))


def test_numbers_beside_categories_stay_as_they_are(tmp_path):
    frame = pd.DataFrame({"a": [0.5, 1.5], "job": ["tech", "blue"], "b": [True, False], "id": ["x", "y"], "y": [1, 0]})
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"t.{suffix}"
        getattr(frame, f"to_{suffix}")(path, index=False)
        dataset = open_dataset(path, keys=["id"], label="y", vocabulary=vocabulary(*JOBS))
        assert dataset.columns.features == ("a", "job", "b")
        chunk = dataset.head(2)
        assert chunk.inputs.tolist() == [[0.5, 2, 1], [1.5, 1, 0]]
        assert chunk.keys["id"].to_pylist() == ["x", "y"]
        assert chunk.labels.tolist() == [1, 0]
        assert next(dataset.inputs()).tolist() == chunk.inputs.tolist()


def test_a_key_stays_text_though_the_vocabulary_has_it(tmp_path):
    dataset = open_dataset(as_csv(tmp_path, SOME), keys=["job"], vocabulary=vocabulary(*JOBS))
    assert dataset.vocabulary is None
    assert dataset.head(5).keys["job"].to_pylist() == ["blue", "", "admin", "tech", "blue"]


# Values that are not listed


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_an_unknown_value_is_an_error_that_names_it_with_column_and_row(tmp_path, write):
    path = write(tmp_path, [*SOME, "astronaut", "blue"])
    with pytest.raises(DataError) as caught:
        codes(path, vocabulary(*JOBS, advice="Try another."))
    assert str(caught.value) == (
        f"{path}: column 'job', row 5: 'astronaut' is not in vocab.toml. Expected one of 3: 'admin', 'blue', 'tech'. "
        "Try another."
    )


def test_a_close_value_is_proposed_and_long_vocabularies_are_cut(tmp_path):
    path = as_csv(tmp_path, ["admni"])
    with pytest.raises(DataError, match=r"one of 103: 'admin', .* and 91 more\. Did you mean 'admin'\?"):
        codes(path, vocabulary(*JOBS, *map(str, range(100))))


def test_rows_are_counted_over_all_files(tmp_path):
    with pytest.raises(DataError, match="row 3: 'tech' is not in"):
        codes(as_two_files(tmp_path, SOME), vocabulary("admin", "blue"))


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_unknown_values_have_the_code_that_is_said(tmp_path, write):
    path = write(tmp_path, [*SOME, "astronaut"])
    assert equal(codes(path, vocabulary("(other)", *JOBS, unknown=0)), [2, math.nan, 1, 3, 2, 0])
    assert equal(codes(path, vocabulary(*JOBS, unknown={"job": 3})), [*CODES, 3])


@pytest.mark.parametrize("bad", [3, -1, 0.5])
def test_a_number_that_is_no_code_is_an_error(tmp_path, bad):
    with pytest.raises(
        DataError, match=f"{bad} is not a code of vocab.toml. Expected a whole number from 0 to 2, or one"
    ):
        codes(as_csv(tmp_path, [0, bad, 1]), vocabulary(*JOBS))
    assert codes(as_csv(tmp_path, [0, bad, 1]), vocabulary(*JOBS, unknown=3)) == ([0, 3, 1])


def test_columns_of_other_types_are_refused(tmp_path):
    pq.write_table(pa.table({"job": pa.array([[1], [2]])}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column 'job' holds list.* values\. Expected text, numbers or booleans, as"):
        codes(tmp_path / "t.parquet", vocabulary(*JOBS))


# Dictionaries of a column's own


def test_text_with_a_dictionary_of_its_own_needs_no_vocabulary(tmp_path):
    column = pd.Categorical(SOME, categories=["tech", "never", "blue", "admin"])
    pd.DataFrame({"job": column}).to_parquet(tmp_path / "t.parquet", row_group_size=2)
    dataset = open_dataset(tmp_path / "t.parquet")
    assert dataset.own_categories == ("job",)
    assert dataset.vocabulary.values == {"job": ("tech", "never", "blue", "admin")}
    assert equal(np.concatenate(list(dataset.inputs()))[:, 0], [2, math.nan, 3, 0, 2])


def test_a_vocabulary_goes_before_the_dictionary_of_a_column(tmp_path):
    pd.DataFrame({"job": pd.Categorical(SOME)}).to_parquet(tmp_path / "t.parquet")
    dataset = open_dataset(tmp_path / "t.parquet", vocabulary=vocabulary(*reversed(JOBS)))
    assert dataset.own_categories == ()
    assert equal(np.concatenate(list(dataset.inputs()))[:, 0], [1, math.nan, 2, 0, 1])


def test_own_dictionaries_that_differ_are_refused_and_the_line_that_helps_works(tmp_path):
    path = as_dictionaries(tmp_path, ["blue", None, "admin", "tech", "blue"])
    with pytest.raises(
        DataError, match=r"has the dictionary 'admin', 'blue', 'tech' from row 2 on\. Expected one"
    ) as caught:
        codes(path, None)
    assert equal(codes(path, read_categories(followed(caught.value))), CODES)


def followed(error: IhcliError) -> str:
    """Run the line of a message that writes a file of categories, and return the name of the file."""
    line, _, rest = str(error).partition("try ")[2].partition(" and `categories=")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(line, shell=True, check=True, env=os.environ | {"PATH": path})
    return shlex.split(rest.partition("`")[0])[0]


@pytest.mark.parametrize("directory", ["plain", "a b'c"])
@pytest.mark.parametrize("write", [as_csv, as_text])
def test_text_is_refused_with_a_line_that_writes_its_categories(tmp_path, write, directory):
    (tmp_path / directory).mkdir()
    path = write(tmp_path / directory, ["blue", None, 'ad"min', "tech\\", "ünïcode 😀"])
    with pytest.raises(DataError, match=r"Where it is a category, try python -c .* and `categories=") as caught:
        open_dataset(path)
    known = read_categories(followed(caught.value))
    assert known.values == {"job": ('ad"min', "blue", "tech\\", "ünïcode 😀")}
    assert equal(codes(path, known), [1, math.nan, 0, 2, 3])


# What a vocabulary says


def test_codes_are_shown_as_their_values():
    known = vocabulary("admin", False, 2.0, 0.5, True, None, unknown=6)
    assert known.names("job") == ("admin", "False", "2", "0.5", "True", MISSING, UNKNOWN)
    assert known.size("job") == 7
    assert vocabulary(*JOBS, unknown=0).names("job") == JOBS


def test_vocabularies_are_told_apart_by_what_they_say():
    same = Vocabulary({"job": list(JOBS)}, unknown={"job": 1, "other": 2}, source="elsewhere")
    assert vocabulary(*JOBS, unknown=1).sha256 == same.sha256
    others = [vocabulary(*JOBS), vocabulary(*JOBS, unknown=0), vocabulary(*reversed(JOBS)), vocabulary(*JOBS, None)]
    assert len({known.sha256 for known in [same, *others]}) == 5
    assert vocabulary(1, 2).sha256 != vocabulary("1", "2").sha256


WRONG = {
    "no values": ((), "error", "lists no value"),
    "a value twice": (("a", "b", "a"), "error", "lists 'a' twice, as codes 0 and 2"),
    "two gaps": ((None, "a", math.nan), "error", "lists None twice, as codes 0 and 2"),
    "a number as two types": ((1, 1.0), "error", "lists 1 twice"),
    "a list": ((["a"],), "error", r"lists \['a'\], of type list"),
    "infinity": ((1.0, math.inf), "error", r"lists inf, of type float\. Expected text, finite numbers, true or"),
    "bytes": ((b"a",), "error", "lists b'a', of type bytes"),
    "a code beyond": (
        ("a", "b"),
        3,
        "has 3 as the code of .* Expected error, or a code from 0 to 1, or 2",
    ),
    "a negative code": (("a", "b"), {"job": -1}, "has -1 as the code"),
}


@pytest.mark.parametrize(("values", "unknown", "words"), WRONG.values(), ids=WRONG)
def test_vocabularies_that_cannot_be_are_refused(values, unknown, words):
    with pytest.raises(OptionError, match=f"^vocab.toml: column 'job' {words}"):
        vocabulary(*values, unknown=unknown)


# Files of categories


def write_toml(path: Path, text: str) -> str:
    (path / "vocab.toml").write_text(text, encoding="utf-8")
    return str(path / "vocab.toml")


def test_categories_are_read_from_toml(tmp_path):
    (tmp_path / "marital.txt").write_text("single\r\nmarried, or not\r\n", encoding="utf-8-sig")
    path = write_toml(
        tmp_path,
        '[categories]\njob = ["admin", "blue"]\nmarital = { file = "marital.txt", unknown = 1 }\n'
        'edu = { values = [1, 2.5, "c", nan], unknown = "error" }\nunknown = 0\n',
    )
    known = read_categories(path)
    assert known.values == {
        "job": ("admin", "blue"),
        "marital": ("single", "married, or not"),
        "edu": (1, 2.5, "c", None),
    }
    assert {name: known.code_of_unknown(name) for name in known.values} == {"job": 0, "marital": 1, "edu": None}
    assert known.source == "vocab.toml"


def test_a_column_may_be_called_as_the_setting(tmp_path):
    assert read_categories(write_toml(tmp_path, '[categories]\nunknown = ["a", "b"]\n')).values == {
        "unknown": ("a", "b")
    }


def test_python_states_categories_as_a_mapping_or_a_file(tmp_path):
    path = write_toml(tmp_path, '[categories]\njob = ["admin", "blue"]\nunknown = 1\n')
    stated = {"job": np.array(["admin", "blue"]), "unknown": np.int64(1)}
    assert categories_of(stated).sha256 == categories_of(path).sha256 == categories_of(Path(path)).sha256
    known = vocabulary(*JOBS)
    assert categories_of(known) is known


MALFORMED = {
    "no TOML": ("job: admin", "is not TOML: "),
    "no table": ('job = ["a"]', "states no categories. Expected a \\[categories\\] table with lines such as job = "),
    "another table": (
        '[category]\njob = ["a"]',
        r"states no .* Try \[categories\] in place of \[category\]\.",
    ),
    "an empty table": ("[categories]\n", "states no categories"),
    "nothing but the setting": ('[categories]\nunknown = "error"', "names no column"),
    "a word": ('[categories]\njob = "admin"', "column 'job' is 'admin', text. Expected a list of its values"),
    "a number": ("[categories]\njob = 3", "column 'job' is 3, int. Expected a list"),
    "an empty list": ("[categories]\njob = []", "column 'job' lists no value"),
    "a value twice": ('[categories]\njob = ["a", "a"]', "column 'job' lists 'a' twice"),
    "a date": ("[categories]\njob = [2024-01-02]", "lists datetime.date.*, of type date. Expected text, finite"),
    "a list in a list": ('[categories]\njob = [["a"]]', "of type list"),
    "a wrong key": (
        '[categories]\njob = { value = ["a"] }',
        "has 'value'. .* Did you mean 'values'",
    ),
    "both": ('[categories]\njob = { values = ["a"], file = "x" }', "has both of values and file"),
    "neither": ("[categories]\njob = { unknown = 0 }", "has neither of values and file"),
    "no file": ('[categories]\njob = { file = "jobs.txt" }', "jobs.txt cannot be opened: No such file"),
    "a file that is none": ("[categories]\njob = { file = 3 }", "file of column 'job' is 3, int"),
    "another word for unknown": (
        '[categories]\njob = ["a"]\nunknown = "skip"',
        "unknown of column 'job' is 'skip'",
    ),
    "a truth value for unknown": ('[categories]\njob = ["a"]\nunknown = true', "is True, true or false"),
    "a code beyond": ('[categories]\njob = ["a"]\nunknown = 2', "has 2 as the code of unknown values"),
}


@pytest.mark.parametrize(("text", "words"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_refused_in_one_message(tmp_path, text, words):
    with pytest.raises(OptionError, match=r"^`categories=.*vocab\.toml`: .*" + words) as caught:
        read_categories(write_toml(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_unreadable_are_refused(tmp_path):
    with pytest.raises(OptionError, match=r"vocab\.toml`: cannot be opened: No such file"):
        read_categories(str(tmp_path / "vocab.toml"))
    with pytest.raises(OptionError, match="is not a file"):
        read_categories(str(tmp_path))
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="is not text in UTF-8"):
        read_categories(write_toml(tmp_path, '[categories]\njob = { file = "a.txt" }'))
    (tmp_path / "b.txt").write_text("a\n\nb\n", encoding="utf-8")
    with pytest.raises(OptionError, match=r"b.txt: line 2 is empty\. Expected one value a line\."):
        read_categories(write_toml(tmp_path, '[categories]\njob = { file = "b.txt" }'))


def test_a_column_that_the_table_lacks_is_refused(tmp_path):
    known = Vocabulary({"jobb": JOBS}, source="vocab.toml")
    with pytest.raises(OptionError, match=r"^vocab.toml: column 'jobb': .* has no such column\..* Did you mean 'job'"):
        open_dataset(as_csv(tmp_path, SOME), vocabulary=known)


def test_the_advice_for_an_unknown_value_works(tmp_path):
    path = as_csv(tmp_path, ["admin", "astronaut"])
    text = '[categories]\njob = ["(other)", "admin"]\n'
    with pytest.raises(DataError, match=r"'astronaut' is not in vocab.toml\..* Try unknown = 0 in \[categories\]"):
        codes(path, read_categories(write_toml(tmp_path, text)))
    assert codes(path, read_categories(write_toml(tmp_path, f"{text}unknown = 0\n"))) == [1, 0]


# Baselines


def test_baselines_of_a_file_hold_words(tmp_path):
    frame = pd.DataFrame({"a": [0.5, 1.5], "job": ["tech", "blue"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.iloc[:1].to_parquet(tmp_path / "one.parquet")
    dataset = open_dataset(tmp_path / "t.csv", vocabulary=vocabulary(*JOBS))
    assert resolve_baselines(str(tmp_path / "one.parquet"), many=False, dataset=dataset).values.tolist() == [[0.5, 2]]
    found = resolve_baselines(str(tmp_path / "t.csv"), many=True, dataset=dataset)
    assert found.values.tolist() == [[0.5, 2], [1.5, 1]]


@pytest.mark.parametrize("number", [int, float, np.int8, np.int64, np.uint16, np.float32, np.float64])
def test_a_label_names_an_output_whatever_type_its_number_has(number: Callable[[int], object]) -> None:
    assert label_index(number(2), ("low", "middle", "high")) == 2
    assert label_index(number(2), ("1", "2", "3")) == 1
    assert label_index(number(3), ("low", "middle", "high")) is None


@pytest.mark.parametrize("value", [True, np.True_, "true", "True", "TRUE"])
def test_true_and_false_are_1_and_0_in_whatever_file_they_stand(value: object) -> None:
    assert label_index(value, ("0", "1")) == 1
    assert label_index(value, ("no", "yes")) == 1
    assert label_index(value, ("True", "False")) == 0
