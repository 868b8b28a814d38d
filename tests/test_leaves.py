"""Leaves against the footers that pyarrow writes."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ihcli.files.leaves import leaves_of

TABLE = pa.table(
    {
        "a.b": [1.0],
        "a": pa.array([{"b": 1, "c": {"d": [2]}}]),
        "lists": pa.array([[[1.0]]]),
        "large": pa.array([["x"]], pa.large_list(pa.string())),
        "map": pa.array([[("x", 1)]], pa.map_(pa.string(), pa.int64())),
        "codes": pa.array(["x"]).dictionary_encode(),
        "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((1, 2, 2))),
        "": [True],
    }
)


def test_leaves_stand_where_parquet_stores_them(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet")
    footer = pq.read_metadata(tmp_path / "t.parquet")
    leaves = list(leaves_of(TABLE.schema))
    assert [leaf.path for leaf in leaves] == [footer.schema.column(i).path for i in range(footer.num_columns)]
    assert [leaf.is_nested for leaf in leaves] == [leaf.column not in ("a.b", "codes", "") for leaf in leaves]


def test_a_dotted_name_and_a_nested_column_of_the_same_path_are_told_apart():
    same = [leaf.column for leaf in leaves_of(TABLE.schema) if leaf.path == "a.b"]
    assert same == ["a.b", "a"]
