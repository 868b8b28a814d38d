"""Features that are explained as one: named groups, stated in a TOML file or by a separator in the column names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.data.columns import Columns
from ihcli.data.stated import read_toml
from ihcli.errors import OptionError
from ihcli.files.locations import Location, locate
from ihcli.quality import RESERVED
from ihcli.wording import did_you_mean, listed

FORM = 'Expected a [groups] table with lines such as color = ["color_red", "color_blue"].'


@dataclass(frozen=True)
class Groups:
    """G named groups over D inputs: `index[i]` is the group of input i, or None when every input is its own group.

    features  names of the D inputs, where they are not those of the groups
    """

    names: tuple[str, ...]
    index: np.ndarray | None
    features: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the D inputs."""
        return self.features or self.names

    @classmethod
    def of(cls, features: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None) -> "Groups":
        """Put features into named groups, checked before; the others stay alone. Order: first appearance."""
        if not groups:
            return cls(tuple(features), None)
        group_of = {feature: name for name, members in groups.items() for feature in members}
        labels = [group_of.get(feature, feature) for feature in features]
        names = tuple(dict.fromkeys(labels))
        position = {name: i for i, name in enumerate(names)}
        return cls(names, np.array([position[label] for label in labels]), tuple(features))

    def members(self, features: Sequence[str]) -> dict[str, list[str]]:
        """Return the features of each group, without those that are one feature under its own name."""
        found: dict[str, list[str]] = {}
        for feature, group in zip(features, [] if self.index is None else self.index.tolist(), strict=False):
            found.setdefault(self.names[group], []).append(feature)
        return {name: members for name, members in found.items() if members != [name]}


def read_groups(path: str | Location, columns: Columns | None = None) -> dict[str, tuple[str, ...]]:
    """Read group name -> features from a TOML file; features in no group stay alone.

    Raises OptionError where the file is not of that form, a feature is in two groups, or a group is empty; with
    `columns` also where a feature is unknown or a group's name is taken.
    """
    option = f"`groups={path}`"
    file = locate(path)
    stated = read_toml(option, file, FORM)
    groups = stated.get("groups")
    if not isinstance(groups, dict) or not groups:
        raise OptionError(f"{option}: states no groups. {FORM}")
    for name, features in groups.items():
        if not isinstance(features, list) or not all(isinstance(feature, str) for feature in features):
            raise OptionError(f"{option}: group {name!r} is not a list of column names. {FORM}")
    read = {name: tuple(features) for name, features in groups.items()}
    _refuse_overlaps(read, option)
    if columns is not None:
        check_groups(read, columns, option)
    return read


def groups_by_prefix(features: Sequence[str], separator: str) -> dict[str, tuple[str, ...]]:
    """Group features by what stands before a separator: "color=red", "color=blue" -> "color".

    The group of a feature is the longest text that ends before a separator and begins another feature's name as well:
    by "_" "marital_status_single" and "marital_status_married" are of "marital_status", "a_b_x", "a_b_y", "a_c_x" and
    "a_c_y" of "a_b" and "a_c". What stands behind "=" is a value, which may hold the next one: a separator with "=" in
    it cuts at the first. A feature that is left alone in its group keeps its own full name.

    Raises OptionError where the separator is empty, makes no group, or a group would have the name of a feature.
    """
    option = f"`groups_by={separator}`"
    if not separator:
        raise OptionError("`groups_by`: the separator is empty. Expected text such as = or _.")
    beginnings = {feature: _beginnings(feature, separator) for feature in features}
    shared = Counter(beginning for found in beginnings.values() for beginning in found)
    members: dict[str, list[str]] = {}
    for feature, found in beginnings.items():
        if longest := next((beginning for beginning in reversed(found) if shared[beginning] > 1), None):
            members.setdefault(longest, []).append(feature)
    groups = {name: tuple(found) for name, found in members.items() if len(found) > 1}
    if not groups:
        raise OptionError(f"{option}: no two features share a prefix, got {listed(features)}. Try another separator.")
    check_groups(groups, Columns(tuple(features)), option)
    return groups


def _beginnings(feature: str, separator: str) -> list[str]:
    """Return what a name begins with, up to each separator, the shortest first; nothing made of separators alone."""
    words = feature.split(separator, 1 if "=" in separator else -1)
    beginnings = (separator.join(words[:end]) for end in range(1, len(words)))
    return [beginning for beginning in beginnings if beginning.replace(separator, "")]


def check_groups(groups: Mapping[str, Sequence[str]], columns: Columns, option: str = "`groups`") -> None:
    """Refuse groups that do not fit the columns.

    Raises OptionError naming the group and column: a feature that is unknown or in two groups, an empty group, a group
    named like a feature outside it, a key, or a column that a run writes.
    """
    _refuse_overlaps(groups, option)
    grouped = {feature: name for name, features in groups.items() for feature in features}
    for feature, name in grouped.items():
        if feature not in columns.features:
            raise OptionError(
                f"{option}: group {name!r} names {feature!r}, which is not a feature. Expected some of "
                f"{listed(columns.features)}.{did_you_mean(feature, columns.features)}"
            )
    is_by_prefix = option.startswith("`groups_by")
    remedy = "`groups=FILE`, which names groups as you like" if is_by_prefix else "another name for the group"
    for name in groups:
        taken = {
            "a feature outside it": name in columns.features and name not in grouped,
            "a key": name in columns.keys,
            "a column that a run writes": name in RESERVED,
        }
        for words, is_taken in taken.items():
            if is_taken:
                raise OptionError(f"{option}: group {name!r} has the name of {words}. Try {remedy}.")


def _refuse_overlaps(groups: Mapping[str, Sequence[str]], option: str) -> None:
    owner: dict[str, str] = {}
    for name, features in groups.items():
        if not features:
            raise OptionError(f"{option}: group {name!r} is empty. Expected at least one feature in every group.")
        for feature in features:
            if feature in owner:
                raise OptionError(
                    f"{option}: feature {feature!r} is in {owner[feature]!r} and in {name!r}. "
                    "Expected each feature in one group."
                )
            owner[feature] = name
