"""Openings: places in a model whose tensor goes from the baseline's to the record's, where columns themselves cannot.

A column that a network looks up, or makes one-hot, has no gradient. What it is looked up as has one: the flat inputs of
a record are [numbers | every opened tensor, flattened | columns that are held], the network is run with its lookups
handed their part of them, and gates, panels and certificates never learn what was opened.
"""

from ihcli.openings.finding import find_openings
from ihcli.openings.openings import Opening, Openings

__all__ = ["Opening", "Openings", "find_openings"]
