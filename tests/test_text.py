"""Texts in files: every way in which a column can hold them, streamed and sampled like any rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.data.survey import Missing
from ihcli.data.texts import TextDataset, as_texts, have_words, open_texts
from ihcli.errors import DataError, OptionError

TEXTS = ["not bad", None, "", "a good\nfilm", " \t\u00a0", "na\u00efve \N{GRINNING FACE}", "NA", '"quoted", with comma']
ROWS = 1000


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    table = pa.table(
        {
            "plain": TEXTS,
            "large": pa.array(TEXTS, pa.large_string()),
            "dictionary": pa.array(TEXTS).dictionary_encode(),
            "view": pa.array(TEXTS, pa.string_view()),
            "null": pa.nulls(len(TEXTS)),
            "number": range(len(TEXTS)),
            "when": pd.to_datetime(["2024-01-01"] * len(TEXTS)),
            "id": [f"T{i}" for i in range(len(TEXTS))],
            "label": ["good", "bad"] * 4,
        }
    )
    pq.write_table(table, tmp_path / "texts.parquet", row_group_size=3)
    return tmp_path / "texts.parquet"


def read(texts: TextDataset, chunk_rows: int = 100, limit: int | None = None) -> list[list[str | None]]:
    return [row.tolist() for chunk in texts.chunks(chunk_rows, limit) for row in chunk.inputs]


@pytest.mark.parametrize("column", ["plain", "large", "dictionary", "view"])
@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
def test_texts_come_as_they_are_however_they_are_stored(parquet: Path, column: str, chunk_rows: int) -> None:
    texts = open_texts(parquet, column)
    assert read(texts, chunk_rows) == [[text] for text in TEXTS]
    assert [chunk.first_row for chunk in texts.chunks(3)] == [0, 3, 6]


def test_csv_keeps_what_looks_like_null_or_a_number(tmp_path: Path) -> None:
    table = pd.DataFrame({"text": ["null", "", "12", "nan", "a, b", 'say "x"', "two\nlines"], "id": range(7)})
    table.to_csv(tmp_path / "texts.csv", index=False)
    assert read(open_texts(tmp_path / "texts.csv", "text")) == [[text] for text in table["text"]]


def test_pairs_come_side_by_side(parquet: Path) -> None:
    texts = open_texts(parquet, "plain", "id")
    assert read(texts) == [[text, f"T{i}"] for i, text in enumerate(TEXTS)]
    scan = texts.scan()
    assert (scan.n_rows, scan.n_complete) == (8, 5)


def test_keys_and_labels_are_carried(parquet: Path) -> None:
    texts = open_texts(parquet, "plain", keys=("id", "plain", "number"), label="label")
    (chunk,) = texts.chunks(100)
    assert chunk.keys.column_names == ["id", "plain", "number"]
    assert chunk.keys["plain"].to_pylist() == TEXTS
    assert chunk.keys["number"].type == pa.int64()
    assert chunk.labels.tolist() == ["good", "bad"] * 4
    assert open_texts(parquet, "plain").head(2).labels is None


def test_the_scan_counts_texts_without_words(parquet: Path) -> None:
    texts = open_texts(parquet, "plain")
    scan = texts.scan()
    assert (scan.n_rows, scan.n_complete, scan.missing) == (8, 5, (Missing("plain", 3, 1, "empty or null"),))
    limited = texts.scan(1)
    assert (limited.n_rows, limited.n_complete, limited.missing) == (1, 1, ())
    assert open_texts(parquet, "null").scan().n_complete == 0


def test_a_limit_is_of_rows(parquet: Path) -> None:
    assert read(open_texts(parquet, "plain"), 3, limit=5) == [[text] for text in TEXTS[:5]]


def test_words_are_told_from_space() -> None:
    texts = np.array([["a"], [None], [""], ["\u2003\n"], ["\0"], ["."]], dtype=object)
    assert have_words(texts).tolist() == [True, False, False, False, True, True]
    pairs = np.array([["a", "b"], ["a", None], [" ", "b"]], dtype=object)
    assert have_words(pairs).tolist() == [True, False, False]


# Samples


@pytest.fixture
def many(tmp_path: Path) -> TextDataset:
    """Texts that tell their row; every third is empty."""
    table = pd.DataFrame({"text": [f"row {i}" if i % 3 else None for i in range(ROWS)]})
    table.to_parquet(tmp_path / "many.parquet", row_group_size=64)
    return open_texts(tmp_path / "many.parquet", "text")


def rows_of(sample: np.ndarray) -> list[int]:
    return [int(text.removeprefix("row ")) for text in sample[:, 0]]


def test_a_sample_is_seeded_ordered_and_of_texts_with_words(many: TextDataset) -> None:
    rows = rows_of(many.survey(50, seed=1).sample.values)
    assert len(set(rows)) == 50
    assert rows == sorted(rows)
    assert all(row % 3 for row in rows)
    assert rows == rows_of(many.survey(50, seed=1).sample.values) != rows_of(many.survey(50, seed=2).sample.values)


def test_a_sample_is_uniform(many: TextDataset) -> None:
    samples = (many.survey(66, seed=seed).sample.values for seed in range(100))
    draws = np.bincount(np.concatenate([rows_of(sample) for sample in samples]), minlength=ROWS)
    quarters = draws.reshape(4, -1).sum(axis=1)
    assert draws.max() < 30  # of 100 draws at a rate of 0.1: beyond six standard deviations
    assert (np.abs(quarters - 1650) < 200).all()  # 6600 draws in quarters, four standard deviations of one


def test_a_sample_of_more_than_there_are_is_all_of_them(many: TextDataset) -> None:
    assert rows_of(many.survey(10_000, seed=0).sample.values) == [row for row in range(ROWS) if row % 3]
    assert rows_of(many.survey(10_000, seed=0, limit=5).sample.values) == [1, 2, 4]
    assert many.survey(4, seed=0, limit=1).sample.values.shape == (0, 1)


# What is no text


@pytest.mark.parametrize(("column", "kind"), [("number", "int64 values"), ("when", "timestamps")])
@pytest.mark.parametrize("option", ["text", "pair"])
def test_a_column_without_text_is_refused(parquet: Path, column: str, kind: str, option: str) -> None:
    named = (column,) if option == "text" else ("plain", column)
    name = {"text": "text", "pair": "text_pair"}[option]
    with pytest.raises(DataError) as caught:
        open_texts(parquet, *named)
    assert str(caught.value) == (
        f"`{name}={column}`: holds {kind} in {parquet}. Expected text. "
        "Try one of the columns of text: 'plain', 'large', 'dictionary', 'view', 'id', 'label'."
    )


def test_a_table_without_any_text_says_so(tmp_path: Path) -> None:
    pd.DataFrame({"n": [1, 2]}).to_parquet(tmp_path / "n.parquet")
    with pytest.raises(DataError, match=r"Expected text, and no column holds any\.$"):
        open_texts(tmp_path / "n.parquet", "n")


def test_a_column_that_is_not_there_proposes_the_nearest(parquet: Path) -> None:
    for named, option in ((("plane",), "`text=plane`"), (("plain", "plane"), "`text_pair=plane`")):
        with pytest.raises(OptionError) as caught:
            open_texts(parquet, *named)
        assert str(caught.value).startswith(f"{option}: {parquet} has no such column.")
        assert str(caught.value).endswith("Did you mean 'plain'?")


def test_a_column_has_one_role(parquet: Path) -> None:
    with pytest.raises(OptionError, match=r"^`text_pair=plain`: is the column of `text` too\. Expected another one\."):
        open_texts(parquet, "plain", "plain")
    with pytest.raises(OptionError, match=r"^`label=plain`: is a column of texts\. Expected the column of classes\."):
        open_texts(parquet, "plain", label="plain")
    with pytest.raises(OptionError, match=r"^`key=nope`: .* has no such column"):
        open_texts(parquet, "plain", keys=("nope",))
    with pytest.raises(OptionError, match=r"^`label=nope`: .* has no such column"):
        open_texts(parquet, "plain", label="nope")


def test_a_key_may_not_be_named_like_a_column_of_the_run(tmp_path: Path) -> None:
    pd.DataFrame({"text": ["a"], "units": [1]}).to_parquet(tmp_path / "units.parquet")
    with pytest.raises(DataError, match=r"`key` 'units' has the name of a column that a run writes"):
        open_texts(tmp_path / "units.parquet", "text", keys=("units",))


def test_bytes_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("text,id\ncaf\u00e9,1\n".encode("latin-1"))
    with pytest.raises(DataError) as caught:
        open_texts(tmp_path / "latin.csv", "text")
    assert "UTF-8" in str(caught.value)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("text\n")
    with pytest.raises(DataError, match=r"has no rows\. Expected at least one\."):
        open_texts(tmp_path / "empty.csv", "text")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (pd.DataFrame({"a": ["bad"]}), r"is a table\. Expected one column of it\. Try texts\['COLUMN'\]\.$"),
        ({"a": ["bad"]}, "is a table"),
        (None, r"are not given\. .* Try \['a text'\]\.$"),
        (3, "are not given"),
        ([], "has 0 strings"),
        ([3], "not a string"),
    ],
)
def test_what_are_no_texts_is_told(texts: Any, message: str) -> None:
    """The names of a frame's columns were explained as if they were texts."""
    with pytest.raises(DataError, match=rf"^texts: .*{message}"):
        as_texts(texts, None)


def test_gaps_of_frames_are_no_texts() -> None:
    for gap in (None, float("nan"), np.float64("nan"), pd.NA):
        assert as_texts(pd.Series(["bad", gap], dtype=object), None)[:, 0].tolist() == ["bad", None]
    assert as_texts(pd.Series(["bad", None], dtype="str"), None)[:, 0].tolist() == ["bad", None]
