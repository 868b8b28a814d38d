"""Footers of Parquet files are read and written to the byte."""

import io
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ihcli.files.thrift import BINARY, FALSE, I32, I64, LIST, TRUE, Typed, decoded, encoded

TABLES = {
    "no columns that are told of": pa.table({"a": pa.array([], pa.int32())}),
    "every kind of key": pa.table(
        {
            "text": ["a", None],
            "number": [-1, 2**40],
            "real": [0.5, float("nan")],
            "money": [Decimal("1.25"), None],
            "when": [datetime(2020, 1, 1, tzinfo=UTC)] * 2,
            "listed": [[1], []],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
        }
    ),
    "many columns": pa.table({f"column {i}": [i] for i in range(300)}),
    "long words": pa.table({"a": ["b" * 500]}).replace_schema_metadata({"told": "c" * 70_000}),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("written", [{}, {"row_group_size": 1, "compression": "zstd", "write_page_index": True}])
def test_footers_stay_what_they_were(name: str, written: dict[str, object]) -> None:
    with io.BytesIO() as file:
        pq.write_table(TABLES[name], file, **written)
        content = file.getvalue()
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") : -8]
    assert encoded(decoded(footer)) == footer


def test_what_footers_seldom_hold_is_kept_too() -> None:
    fields = {
        1: Typed(TRUE, None),
        2: Typed(FALSE, None),
        40: Typed(I32, -3),
        2000: Typed(I64, 1 << 62),
        2001: Typed(LIST, (BINARY, [b"", b"x" * 200])),
        2002: Typed(LIST, (TRUE, [1, 2])),
    }
    assert decoded(encoded(fields) + b"more") == fields
