"""Openings: places in a model whose tensor goes from the baseline's to the record's, where columns themselves do not.

A column that a network looks up, or makes one-hot, has no gradient. What it is looked up as has one: the flat inputs of
a record are [numbers | every opened tensor, flattened | columns that are held], the network is run with its lookups
handed their part of them, and gates, panels and certificates never learn what was opened. What an inner layer gives is
opened in the same way, where the network is to be explained from there on.
"""

from ihcli.openings.finding import find_openings
from ihcli.openings.layers import Layers, find_layers
from ihcli.openings.openings import Opening, Openings

__all__ = ["Layers", "Opening", "Openings", "find_layers", "find_openings"]
