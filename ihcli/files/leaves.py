"""Leaves: what Parquet stores of a table, one or several of each column, and the paths by which it calls them."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Leaf:
    """One stored column.

    column  name of the table's column that it is of
    path    what Parquet calls it: that name, and of nested types more behind a dot. Names hold dots too, so a path
            does not tell the column
    """

    column: str
    path: str
    type: pa.DataType

    @property
    def is_nested(self) -> bool:
        """Whether it is a part of its column."""
        return self.path != self.column


def leaves_of(schema: pa.Schema) -> Iterator[Leaf]:
    """Give the leaves of every column, in the order in which Parquet stores them."""
    for column in schema:
        for path, type_ in _paths(column.name, column.type):
            yield Leaf(column.name, path, type_)


def _paths(path: str, type_: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    if isinstance(type_, pa.BaseExtensionType):
        type_ = type_.storage_type
    if not type_.num_fields:  # most columns, of which wide tables have thousands
        yield path, type_
    elif pa.types.is_struct(type_):
        for child in type_:
            yield from _paths(f"{path}.{child.name}", child.type)
    elif pa.types.is_map(type_):
        yield from _paths(f"{path}.key_value.key", type_.key_type)
        yield from _paths(f"{path}.key_value.value", type_.item_type)
    elif any(check(type_) for check in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)):
        yield from _paths(f"{path}.list.element", type_.value_type)
    else:
        yield path, type_
