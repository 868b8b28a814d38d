"""Kinds of records: one reader each, behind one protocol; whatever explains knows no kind."""

from ihcli.readers.encoded import Encoded, EncodedRecord, Shape
from ihcli.readers.reader import Reader

__all__ = ["Encoded", "EncodedRecord", "Reader", "Shape"]
