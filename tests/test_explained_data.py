"""Values of features in the explained data: how little is asked of a table with very many columns."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pages import write_table_run

from ihcli.data.formats.opening import open_table
from ihcli.data.formats.table import TableFiles
from ihcli.results import explained_data
from ihcli.results.explained_data import feature_values

FEATURES = tuple(f"x{i}" for i in range(40))


class Listed:
    """A schema that counts how often all of its names are listed, which takes as long as there are columns."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema, self.times = schema, 0

    @property
    def names(self) -> list[str]:
        self.times += 1
        return self.schema.names

    def __getattr__(self, name: str) -> Any:
        return getattr(self.schema, name)


@pytest.mark.parametrize("is_named", [False, True])
def test_names_are_not_listed_for_each_feature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool) -> None:
    result, _, values = write_table_run(tmp_path / "made", FEATURES, ("risk",))
    tables: list[TableFiles] = []

    def opened(path: str) -> TableFiles:
        table = open_table(path)
        table.schema = Listed(table.schema)
        tables.append(table)
        return table

    monkeypatch.setattr(explained_data, "open_table", opened)
    data = str(tmp_path / "made" / "data.parquet") if is_named else None
    found = feature_values(result, FEATURES, range(len(values)), data)
    np.testing.assert_array_equal(found.numbers, values)
    assert sum(table.schema.times for table in tables) <= 2
