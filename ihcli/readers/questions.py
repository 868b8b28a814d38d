"""What is asked of the rows of a table: where paths start, and which of the rows baselines are drawn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ihcli.data.baselines import MODE, ONE_ROW, ZEROS, drawn_rows, find_pool, resolve_baselines
from ihcli.data.drawing import Baselines, Drawing, Pool
from ihcli.data.frequencies import Frequencies, frequencies
from ihcli.data.groups import Groups
from ihcli.data.rows import Rows
from ihcli.data.sampling import AUTO, BASELINE_ROWS, BaselineRows, Sampling
from ihcli.data.stated import check_layer_names
from ihcli.data.survey import Survey
from ihcli.errors import OptionError
from ihcli.models.model import Model
from ihcli.models.signatures import Inputs, Signature, find_signature
from ihcli.openings import Layers, Openings, find_layers, find_openings
from ihcli.readers.layers import LayerReader
from ihcli.readers.opened_tables import OpenedTableReader, Start
from ihcli.readers.reader import REFINED_BYTES
from ihcli.readers.tables import TableReader
from ihcli.wording import listed

SAMPLE_ROWS = 256
"""Rows that lookups are found with."""
START, MOST = 50, 2000
"""Baselines that are drawn first, and at most, where their sampling error decides how many."""
HELD_BYTES, DRAWN_BYTES = 1 << 30, 128 << 20
"""Of one row's paths, and of baselines while they are drawn, at most: of wide tables they are fewer. Half of the memory
that a run has by default, and the same on every machine, as all shards of a run draw the same."""
BYTES_OF_VALUE = 16
"""Of a value of a baseline, while it is drawn."""


@dataclass(frozen=True)
class LayerQuestion:
    """Which layers are explained in the place of columns.

    layers   their names
    names    of all that they give, in order; None: the layers' own, numbered
    grouped  what puts such names into groups
    """

    layers: tuple[str, ...]
    names: tuple[str, ...] | None
    grouped: Callable[[Sequence[str]], Groups]

    @classmethod
    def of(
        cls, layers: Sequence[str], names: Sequence[str] | None, grouped: Callable[[Sequence[str]], Groups]
    ) -> "LayerQuestion | None":
        """Return what is asked, None where no layer is; raises OptionError for names that cannot be."""
        if isinstance(layers, str):
            raise OptionError(f"`layers`: is one string. Expected a list of names. Try [{layers!r}].")
        if names is not None:
            check_layer_names(tuple(names))
        return cls(tuple(layers), None if names is None else tuple(names), grouped) if layers else None

    def groups(self, found: Layers) -> Groups:
        """Return the groups of what the layers give; raises OptionError where other names are told."""
        own = found.names
        if self.names is None:
            return self.grouped(own)
        if len(self.names) != len(own):
            raise OptionError(
                f"`layer_names`: has {len(self.names)} names, where {listed(self.layers)} give {len(own)} values for "
                f"a row: {listed(own)}. Expected a name for each."
            )
        return self.grouped(self.names)


@dataclass(frozen=True)
class TableQuestion:
    """What is asked of a table beside the model and the method's settings.

    baseline, many  see `resolve_baselines`
    baseline_rows, seed  so many baselines are drawn with this seed, or "auto"
    groups    of its features
    limit     only so many rows, the first ones, are explained; None: all. Baselines are of all the data
    inputs    columns of each argument of the model, where it takes several
    layers    what is explained in the place of the columns, None: they are
    settled   what a run that goes on, or another shard of it, found out of "auto"
    thins     whether baselines are thinned from more that are drawn, see `ihcli.data.thinning`
    """

    baseline: str | np.ndarray | None
    many: bool
    groups: Groups
    baseline_rows: BaselineRows = BASELINE_ROWS
    seed: int = 0
    limit: int | None = None
    settled: Sampling | None = None
    inputs: Inputs | None = None
    layers: LayerQuestion | None = None
    thins: bool = True

    def survey(self, rows: Rows, least: int = TableReader.sample_records) -> Survey:
        """Scan the rows to explain and draw what explaining needs of them, at least so many, in one pass."""
        drawn = drawn_rows(self.baseline, self.many, self.drawing(rows))
        return rows.survey(max(least, drawn), self.seed, self.limit)

    def reader(self, model: Model, rows: Rows, survey: Survey) -> TableReader:
        """Resolve the baselines of the rows that were surveyed; raises what `resolve_baselines` raises.

        Of "auto" they are the first ones, until `ihcli.explainers.sampling.settle_baselines` is asked.
        """
        signature = self._signature(model, rows, survey)
        if signature is not None:
            model = signature.applied(model)
        if self.layers is not None:
            return self._of_layers(self.layers, model, rows, survey, signature)
        openings = self._openings(model, rows, survey)
        is_open = openings is not None and self.baseline is None and not self.many
        start = MODE if is_open else self.baseline
        opened_from = Start.of(start, self.many)
        averaged = isinstance(start, str) and start in ONE_ROW and start != ZEROS
        codes = frequencies(rows, _coded(rows, openings)) if averaged else ()
        baselines, pool = self._baselines(model, rows, survey, start, codes)
        if openings is None or not opened_from.is_no_code:
            baselines = baselines.told(rows)
        plain = TableReader(
            self.groups,
            baselines,
            pool=pool,
            fills=rows.fills,
            filled=survey.scan.filled,
            signature=signature,
            n_rows=survey.scan.n_complete,
        )
        if openings is None:
            return plain
        return OpenedTableReader(
            **vars(plain),
            openings=openings,
            start=opened_from,
            known=rows.vocabulary if model.vocabulary is None else None,
            codes=tuple(each for each in codes if each.column in openings.coded) if opened_from.is_no_code else (),
        )

    def _of_layers(
        self, asked: LayerQuestion, model: Model, rows: Rows, survey: Survey, signature: Signature | None
    ) -> LayerReader:
        found = find_layers(model, asked.layers, _sample(model, survey))
        baselines, pool = self._baselines(model, rows, survey, self.baseline)
        is_zero = isinstance(self.baseline, str) and self.baseline == ZEROS
        return LayerReader(
            asked.groups(found),
            baselines,
            pool=pool,
            fills=rows.fills,
            filled=survey.scan.filled,
            signature=signature,
            n_rows=survey.scan.n_complete,
            layers=found,
            from_zeros=is_zero or (self.baseline is None and not self.many),
        )

    def _signature(self, model: Model, rows: Rows, survey: Survey) -> Signature | None:
        """Return how the model is called, None where it takes one matrix of numbers."""
        sample = _sample(model, survey)
        return find_signature(model, rows.columns.features, sample, self.inputs) if len(sample) else None

    def _openings(self, model: Model, rows: Rows, survey: Survey) -> Openings | None:
        """Return what the model looks up of the rows, None where it looks nothing up."""
        features, sample = rows.columns.features, _sample(model, survey)
        if not len(sample) or model.n_inputs not in (None, len(features)):
            return None
        units = range(len(features)) if self.groups.index is None else self.groups.index.tolist()
        return find_openings(model, sample, features, units)

    def _baselines(
        self,
        model: Model,
        rows: Rows,
        survey: Survey,
        spec: str | np.ndarray | None,
        codes: Sequence[Frequencies] = (),
    ) -> tuple[Baselines, Pool | None]:
        """Return the baselines, and what more can be drawn from where it is not settled how many are enough."""
        surveyed, drawing = survey if self.limit is None else None, self.drawing(rows)
        if self.baseline_rows == AUTO:
            pool = find_pool(spec, rows, surveyed, drawing, auto=True)
            return (pool.draw(START), pool) if self.settled is None else (pool.settled(self.settled), None)
        baselines = resolve_baselines(
            spec,
            many=self.many,
            dataset=rows,
            survey=surveyed,
            zero=_zero(model, rows.columns.features),
            drawing=drawing,
            codes=codes,
        )
        return baselines, None

    def drawing(self, rows: Rows) -> Drawing:
        """Return how baselines are drawn of these rows, or of others with their columns."""
        width = len(rows.columns.features)
        if self.baseline_rows != AUTO:
            most = self.baseline_rows
        elif self.settled is not None:
            most = self.settled.rows
        else:
            held = HELD_BYTES // (REFINED_BYTES * len(self.groups.names))
            most = min(MOST, max(BASELINE_ROWS, min(held, DRAWN_BYTES // (BYTES_OF_VALUE * width))))
        return Drawing.thinned(most, self.seed, width) if self.thins else Drawing(most, self.seed)


def _sample(model: Model, survey: Survey) -> Tensor:
    """Return complete rows, as the model takes them."""
    return torch.as_tensor(survey.sample.values[:SAMPLE_ROWS], dtype=model.dtype, device=model.device)


def _coded(rows: Rows, openings: Openings | None) -> tuple[int, ...]:
    """Return the columns whose numbers stand for something: those that are looked up, and those of categories."""
    known = () if rows.vocabulary is None else rows.vocabulary.values
    named = {place for place, name in enumerate(rows.columns.features) if name in known}
    return tuple(sorted(named.union(() if openings is None else openings.coded)))


def _zero(model: Model, features: tuple[str, ...]) -> tuple[float, ...] | None:
    """Return the model's zero in the order of the features."""
    if model.zero is None or model.feature_names is None or set(model.feature_names) != set(features):
        return model.zero
    of_name = dict(zip(model.feature_names, model.zero, strict=True))
    return tuple(of_name[name] for name in features)
