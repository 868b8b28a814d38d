"""Which columns of a table are features, keys and label, and whether their names and types fit."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from ihcli.data.formats.table import (
    LISTED_BY_HAND,
    TableFiles,
    has_dictionary,
    holds_lists,
    holds_text,
    is_nested,
    is_number,
)
from ihcli.errors import DataError, IhcliError, OptionError
from ihcli.quality import RESERVED, RESERVED_FOR_KEYS
from ihcli.vocabulary import Vocabulary
from ihcli.wording import argument, column_list, did_you_mean, listed, printable, quoted

MOST_NAME_LETTERS, NAMED_LETTERS = 10_000, 40  # every part of a run repeats the names
UNNAMED = re.compile(r"|Unnamed: \d+")
PANDAS_INDEX = re.compile(rf"__index_level_\d+__|{UNNAMED.pattern}")


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns: the D features in model order, the keys carried to every output, the label."""

    features: tuple[str, ...]
    keys: tuple[str, ...] = ()
    label: str | None = None


@dataclass(frozen=True)
class Roles:
    """What the user, and the model's file, said about columns.

    features        `features`, in that order; None: not given
    model_features  the names that the model was trained with; None: its file does not say
    vocabulary      of columns that are categories where they are features
    """

    keys: tuple[str, ...] = ()
    label: str | None = None
    exclude: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    model_features: tuple[str, ...] | None = None
    vocabulary: Vocabulary | None = None


def choose_columns(table: TableFiles, roles: Roles) -> Columns:
    """Settle which columns are features, keys and label.

    Features are those of `features`, else the model's own, else every column that has no other role.

    Raises:
        OptionError: an option names a column that the table lacks, or gives one column two roles.
        DataError: duplicate, unnamed or reserved names, a feature that is not a number, or the model's are missing.
    """
    if roles.features is None and roles.model_features is None:
        _refuse_header_of_numbers(table)
    _refuse_unfit_names(table)
    label = () if roles.label is None else (roles.label,)
    for option, names in (("key", roles.keys), ("label", label), ("exclude", roles.exclude)):
        _require_columns(table, option, names)
    _require_categories(table, roles)
    features = _choose_features(table, roles)
    _refuse_reserved(table.path, "`key`", roles.keys, RESERVED_FOR_KEYS)
    _refuse_reserved(table.path, "feature", features, RESERVED)
    _require_numbers(table, features, roles)
    return Columns(features, tuple(dict.fromkeys(roles.keys)), roles.label)


def choose_text_columns(
    table: TableFiles, texts: Sequence[str], keys: Sequence[str] = (), label: str | None = None
) -> Columns:
    """Settle which columns hold the texts (one, or a pair), the keys and the label; every other one is left alone.

    Raises OptionError for a column that is not there or has two roles, DataError for one that holds no text.
    """
    _refuse_unfit_names(table)
    options = ("text", "text_pair")
    for option, name in zip(options, texts, strict=False):
        _require_columns(table, option, (name,))
        _require_text(table, option, name)
    for option, names in (("key", keys), ("label", () if label is None else (label,))):
        _require_columns(table, option, names)
    if len(set(texts)) < len(texts):
        raise OptionError(f"`text_pair={texts[0]}`: is the column of `text` too. Expected another one.")
    if label in texts:
        raise OptionError(f"`label={label}`: is a column of texts. Expected the column of classes.")
    _refuse_reserved(table.path, "`key`", keys, RESERVED_FOR_KEYS)
    return Columns(tuple(texts), tuple(dict.fromkeys(keys)), label)


def choose_list_columns(table: TableFiles, roles: Roles) -> Columns:
    """Settle which columns of lists are channels of sequences, and which are keys and label.

    Raises what `choose_columns` raises, where a feature holds no lists, too, or one of several holds lists of lists.
    """
    _refuse_unfit_names(table)
    label = () if roles.label is None else (roles.label,)
    for option, names in (("key", roles.keys), ("label", label), ("exclude", roles.exclude)):
        _require_columns(table, option, names)
    features = _choose_features(table, roles)
    _refuse_reserved(table.path, "`key`", roles.keys, RESERVED_FOR_KEYS)
    _refuse_reserved(table.path, "feature", features, RESERVED)
    types = {name: table.schema.field(name).type for name in features}
    others = [name for name in features if not holds_lists(types[name])]
    if len(others) == len(features):
        raise DataError(
            f"{table.path}: no column holds lists of numbers, got {listed(features)}. Expected one for each channel, "
            "as `sequence=any` asks for. Try `sequence=TxF` where each number has a column of its own."
        )
    if others:
        raise DataError(
            f"{table.path}: column {quoted(others[0])} holds {_type_in_words(types[others[0]])}. Expected lists of "
            f"numbers in every feature, one entry for each step. Try `exclude={column_list(others)}`, or "
            f"`key={argument(others[0])}` to carry it along."
        )
    nested = [name for name in features if is_nested(types[name])]
    if nested and len(features) > 1:
        raise DataError(
            f"{table.path}: column {quoted(nested[0])} holds lists of lists, all channels in one. Expected it to "
            f"be the only feature, got {listed(features)}. Try `features={column_list(nested[:1])}`."
        )
    return Columns(features, tuple(dict.fromkeys(roles.keys)), roles.label)


def _choose_features(table: TableFiles, roles: Roles) -> tuple[str, ...]:
    if roles.features is not None:
        _require_columns(table, "features", roles.features)
        features = roles.features
    elif roles.model_features is not None:
        _require_model_columns(table, roles.model_features)
        features = roles.model_features
    else:
        return _all_others(table, roles)
    repeated = [name for name, count in Counter(features).items() if count > 1]
    if repeated:
        raise OptionError(f"`features`: column {repeated[0]!r} is listed twice. Expected each column once.")
    for option, names in (("key", roles.keys), ("exclude", roles.exclude)):
        for name in names:
            if name in features:
                raise OptionError(
                    f"`{option}={name}`: the column is also a feature. Expected one role for a column. "
                    f"Try without `{option}={name}`, or a list of `features` that leaves it out."
                )
    return features


def _all_others(table: TableFiles, roles: Roles) -> tuple[str, ...]:
    others = {*roles.keys, *roles.exclude, roles.label}
    features = tuple(name for name in table.schema.names if name not in others)
    if not features:
        raise DataError(
            f"{table.path}: no column is left for features. Expected at least one that is neither key, label nor "
            f"excluded, got columns {listed(table.schema.names)}."
        )
    indices = [name for name in features if PANDAS_INDEX.fullmatch(name) or name in table.index_columns]
    if indices:
        has_name = not UNNAMED.fullmatch(indices[0])
        what = "is the index that pandas stored" if has_name else "has no name, as the index that pandas writes"
        raise DataError(
            f"{table.path}: column {quoted(indices[0])} {what}. Expected features only. Try "
            f"{' '.join(f'`key={argument(name)}`' for name in indices)} to carry it along, "
            f"`exclude={column_list(indices)}` to leave it out, or `features` to list the features where it is one."
        )
    return features


def _refuse_header_of_numbers(table: TableFiles) -> None:
    name = table.header_of_numbers()
    if name is not None:
        raise DataError(
            f"{table.path}: its columns are called by numbers, such as {name!r}: does the file lack a header? Expected "
            f"names in the first line. Try {table.naming()}; or `features` with these names, where they are right."
        )


def _refuse_unfit_names(table: TableFiles) -> None:
    longest = max(table.schema.names, key=len, default="")
    if len(longest) > MOST_NAME_LETTERS:
        raise DataError(
            f"{table.path}: the name of a column has {len(longest)} letters. Expected at most {MOST_NAME_LETTERS}, got "
            f"{quoted(longest[:NAMED_LETTERS])}... Try to rename it."
        )
    repeated = [name for name, count in Counter(table.schema.names).items() if count > 1]
    if repeated:
        raise DataError(
            f"{table.path}: column name {quoted(repeated[0])} occurs {table.schema.names.count(repeated[0])} times. "
            "Expected each name once. Try to rename the columns."
        )


def _require_columns(table: TableFiles, option: str, names: Sequence[str]) -> None:
    if option == "features" and not names:
        raise OptionError("`features`: names no column. Expected at least one.")
    there = frozenset(table.schema.names)
    for name in names:
        if name not in there:
            raise _missing_column(OptionError, f"`{option}={printable(name)}`", name, table)


def _require_categories(table: TableFiles, roles: Roles) -> None:
    if roles.vocabulary is None:
        return
    there = {*table.schema.names, *(roles.model_features or ())}
    for name in roles.vocabulary.values:
        if name not in there:
            raise _missing_column(OptionError, f"{roles.vocabulary.source}: column {quoted(name)}", name, table)


def _missing_column(kind: type[IhcliError], start: str, name: str, table: TableFiles) -> IhcliError:
    names = table.schema.names
    return kind(
        f"{start}: {table.path} has no such column. Expected one of its {len(names)} columns: {listed(names)}."
        f"{did_you_mean(name, names)}"
    )


def _require_model_columns(table: TableFiles, features: Sequence[str]) -> None:
    names = table.schema.names
    missing = [name for name in features if name not in names]
    if missing:
        raise DataError(
            f"{table.path}: lacks {len(missing)} of the {len(features)} columns that the model takes: "
            f"{listed(missing)}. Expected {listed(features)}, got {len(names)} columns: {listed(names)}."
            f"{did_you_mean(missing[0], names)} "
            "Try `features` to list other columns in the model's order."
        )


def _refuse_reserved(path: str, role: str, names: Sequence[str], reserved: Sequence[str]) -> None:
    for name in names:
        if name in reserved:
            raise DataError(
                f"{path}: {role} {quoted(name)} has the name of a column that a run writes. "
                f"Expected none of {', '.join(reserved)}. Try to rename the column, or `exclude={column_list([name])}`."
            )


def _require_numbers(table: TableFiles, features: Sequence[str], roles: Roles) -> None:
    known = () if roles.vocabulary is None else roles.vocabulary.values
    types = {name: table.schema.field(name).type for name in features if name not in known}
    others = [name for name, type_ in types.items() if not (is_number(type_) or has_dictionary(type_))]
    if not others:
        return
    first = others[0]
    example = table.text_example(first)
    words = _type_in_words(table.schema.field(first).type) + ("" if example is None else f", such as {quoted(example)}")
    more = "" if len(others) == 1 else f" No numbers either: {listed(others[1:])}."
    advice = "Try to encode it as numbers."
    if roles.features is None and roles.model_features is None:
        advice = (
            f"Try `key={argument(first)}` to carry it along, `exclude={column_list([first])}`, or `features` to list "
            "the features."
        )
    if holds_lists(types[first]):
        advice = "Where a row is a sequence, one entry for each step, try `sequence=any`."
    kept = [*roles.keys, *([] if roles.label is None else [roles.label])]
    texts = [name for name in others if holds_text(table.schema.field(name).type)]
    listing = f" Where it is a category, {table.listing(texts) or LISTED_BY_HAND}" if texts else ""
    raise DataError(
        f"{table.path}: column {quoted(first)} holds {words}.{more} Expected numbers or booleans in every feature. "
        f"{table.conversion(others, kept) or f'{advice}{listing}'}"
    )


def _require_text(table: TableFiles, option: str, name: str) -> None:
    type_ = table.schema.field(name).type
    if holds_text(type_) or pa.types.is_null(type_):
        return
    others = [field.name for field in table.schema if holds_text(field.type)]
    advice = f". Try one of the columns of text: {listed(others)}." if others else ", and no column holds any."
    encoding = " in UTF-8" if pa.types.is_binary(type_) else ""  # in a CSV file other encodings come as bytes
    raise DataError(
        f"`{option}={name}`: holds {_type_in_words(type_)} in {table.path}. Expected text{encoding}{advice}"
    )


def _type_in_words(type_: pa.DataType) -> str:
    if holds_text(type_):
        return "text"
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    if pa.types.is_date(type_):
        return "dates"
    return "timestamps" if pa.types.is_timestamp(type_) else f"{type_} values"
