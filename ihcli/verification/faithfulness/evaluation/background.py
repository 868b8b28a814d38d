"""Rows that stand for what inputs usually are: of the data, or of a table that is named."""

from math import prod

import numpy as np

from ihcli.data.baselines import KEYWORDS
from ihcli.data.formats.opening import open_table
from ihcli.data.rows import Rows
from ihcli.data.tables import open_dataset
from ihcli.errors import DataError, OptionError
from ihcli.execution.preparation import PreparedRun
from ihcli.wording import listed

MOST_ROWS, MOST_NUMBERS = 10_000, 50_000_000
"""Of a larger table so many rows are drawn, of wide ones fewer."""


def background_rows(prepared: PreparedRun, file: str | None, seed: int) -> np.ndarray | None:
    """Return complete rows of the data or of a file, (B, C); None where the columns of rows are not the same."""
    if prepared.explainer.reader.columns is None:
        if file is not None:
            raise OptionError(f"`background={file}`: is for rows of a table, which these are not. Try without it.")
        return None
    dataset = prepared.dataset
    rows = dataset if file is None else _opened(file, dataset)
    widest = max(len(dataset.columns.features), prod(prepared.explainer.largest))
    most = max(1, min(MOST_ROWS, MOST_NUMBERS // widest))
    survey = rows.survey(most, seed, prepared.request.limit if file is None else None)
    if not survey.scan.n_complete:
        raise DataError(f"`background={file}`: no row is complete. Expected one without gaps. Try without it.")
    return survey.sample.values


def _opened(file: str, like: Rows) -> Rows:
    """Open a table with the features of another one."""
    if file in KEYWORDS:
        raise OptionError(f"`background={file}`: is a baseline. Expected a table with the features. Try without it.")
    features, there = like.columns.features, open_table(file).schema.names
    missing = [name for name in features if name not in there]
    if missing:
        raise DataError(
            f"`background={file}`: lacks {len(missing)} of the {len(features)} features: {listed(missing)}. Expected "
            "the feature columns of the data. Try without it, which takes the data."
        )
    table = open_dataset(file, features=features, vocabulary=like.vocabulary)
    table.fills = like.fills
    return table
