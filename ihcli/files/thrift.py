"""Thrift's compact protocol, in which Parquet keeps its footers and the headers of its pages.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. Maps, which Parquet does not
use, are left out.
"""

import io
from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _, STRUCT = range(1, 13)
SHORT = 15
"""Lists of fewer items, and fields that follow by at most so many numbers, are announced in one byte."""


@dataclass(frozen=True)
class Typed:
    """A value and the type it is written in; of a list the value is a pair, the type of its items and the items."""

    type: int
    value: Any


Struct = dict[int, Typed]
"""Fields by their numbers, which ascend."""


def decoded(content: bytes) -> Struct:
    """Return the structure with which some bytes begin, which are trusted to be whole."""
    return _struct(io.BytesIO(content))


def encoded(fields: Struct) -> bytes:
    """Return the bytes of a structure."""
    out, last = bytearray(), 0
    for number, field in fields.items():
        step = number - last
        out += bytes([step << 4 | field.type]) if step <= SHORT else bytes([field.type]) + _value_bytes(I16, number)
        out += b"" if field.type in (TRUE, FALSE) else _value_bytes(field.type, field.value)
        last = number
    return bytes(out) + b"\0"


def varint(value: int) -> bytes:
    """Return a number of at least 0 as seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _struct(content: io.BytesIO) -> Struct:
    fields: Struct = {}
    number = 0
    while head := _byte(content):
        step, type_ = divmod(head, 16)
        number = number + step if step else _whole(content)
        fields[number] = Typed(type_, None if type_ in (TRUE, FALSE) else _value(type_, content))
    return fields


def _value(type_: int, content: io.BytesIO) -> Any:
    if type_ in (TRUE, FALSE, BYTE):
        return _byte(content)
    if type_ in (I16, I32, I64):
        return _whole(content)
    if type_ == DOUBLE:
        return content.read(8)
    if type_ == BINARY:
        return content.read(_natural(content))
    if type_ in (LIST, SET):
        count, of_items = divmod(_byte(content), 16)
        count = _natural(content) if count == SHORT else count
        return of_items, [_value(of_items, content) for _ in range(count)]
    return _struct(content)


def _value_bytes(type_: int, value: Any) -> bytes:
    if type_ in (TRUE, FALSE, BYTE):
        return bytes([value])
    if type_ in (I16, I32, I64):
        return varint(value << 1 if value >= 0 else (-value << 1) - 1)
    if type_ == DOUBLE:
        return bytes(value)
    if type_ == BINARY:
        return varint(len(value)) + value
    if type_ in (LIST, SET):
        of_items, items = value
        head = bytes([len(items) << 4 | of_items]) if len(items) < SHORT else bytes([SHORT << 4 | of_items])
        head += varint(len(items)) if len(items) >= SHORT else b""
        return head + b"".join(_value_bytes(of_items, item) for item in items)
    return encoded(value)


def _natural(content: io.BytesIO) -> int:
    value = shift = 0
    while (byte := _byte(content)) > 0x7F:
        value |= (byte & 0x7F) << shift
        shift += 7
    return value | byte << shift


def _whole(content: io.BytesIO) -> int:
    value = _natural(content)
    return value >> 1 ^ -(value & 1)


def _byte(content: io.BytesIO) -> int:
    return content.read(1)[0]
