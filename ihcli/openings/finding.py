"""Finding what a model looks up, and which column each entry of it is of: by changing columns and watching it run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ihcli.derivatives.calling import gradient
from ihcli.errors import ModelCallError, ModelError
from ihcli.models.model import Model
from ihcli.openings.lookups import Lookup, Watch
from ihcli.openings.openings import Opening, Openings
from ihcli.wording import all_of, listed, quoted

_ROWS, _FEWER = 61, 59
"""Rows of two runs, of which no width, and no number of columns, is likely to be both."""
_FEW = 8
"""Rows that tell whether there are lookups: a model may do on others what no check before a run can wait for."""
_PLACES = (0.0, 0.5, 1.0)
"""On the way from one row to another, where gradients are taken."""
_AGREEMENT = {torch.float32: 1e-4, torch.float64: 1e-9}


def find_openings(model: Model, sample: Tensor, names: Sequence[str], unit_of: Sequence[int]) -> Openings | None:
    """Find the lookups of columns that no gradient reaches; None where the network makes none.

    A lookup is opened where a column feeds it. Whole numbers that become floating point ones are opened where they are
    made of columns that no gradient reaches otherwise.

    Parameters:
        sample: (n, C) valid rows, in the model's dtype and on its device.
        names: of the C columns;  unit_of is the group that each is explained in.

    Cost: two calls of the model with a few rows; where it makes lookups about four more for each column that they read.
    Raises ModelError where columns of different groups are looked up as one, or the network, its lookups handed what
    they gave, gives other outputs.
    """
    finder = _Finder(model, sample, tuple(names), tuple(unit_of))
    try:
        few = sample[:_FEW]
        _outputs(model, few)  # unwatched, as what is found out of a model once is found out on its first call
        if not finder.watched(few):
            return None
        found = finder.openings(finder.watched(finder.rows))
    except (ModelCallError, _LookupsChangeError):
        return None
    if found is None:
        return None
    _check_same(model, found, finder.rows)
    return found


class _LookupsChangeError(Exception):
    """The network makes other lookups for other rows."""


@dataclass(frozen=True)
class _Feeds:
    """Which columns feed which entries of a lookup's index.

    lookup  as it was seen with _ROWS rows
    axis    of its index on which the rows are;  fold so many entries of a row stand side by side there
    moved   column: which entries moved with it, of the shape of the index without rows, but for the fold: bool
    """

    lookup: Lookup
    axis: int
    fold: int
    moved: dict[int, Tensor]


@dataclass(frozen=True)
class _Finder:
    model: Model
    sample: Tensor
    names: tuple[str, ...]
    unit_of: tuple[int, ...]

    @property
    def rows(self) -> Tensor:
        return self.sample[torch.arange(_ROWS, device=self.sample.device) % len(self.sample)]

    def watched(self, rows: Tensor) -> list[Lookup]:
        """Return the lookups of a run."""
        rows = rows.clone()
        watch = Watch(rows)
        with torch.no_grad(), watch:
            self.model.outputs(rows)
        return watch.seen

    def openings(self, seen: list[Lookup]) -> Openings | None:
        """Return the openings that there are; raises _LookupsChangeError."""
        rows = self.rows
        axes = [_rows_axis(*pair) for pair in zip(seen, self._same(self.watched(rows[:_FEWER]), seen), strict=True)]
        there = [i for i, axis in enumerate(axes) if axis is not None]
        moved = self._moved(rows, [seen[i] for i in there])
        feeds = [_feeds(seen[i], axes[i], found) for i, found in zip(there, moved, strict=True) if found]
        reached = self._reached(rows)
        wanted = [feed for feed in feeds if self._is_opened(feed, reached)]
        if not wanted:
            return None
        lookups = tuple(_opening(feed) for feed in wanted)
        looked_up = {column for lookup in lookups for column in lookup.columns}
        numeric = tuple(c for c in range(len(self.names)) if c not in looked_up or reached[c])
        found = Openings(self.names, numeric, lookups, (), rows[0].clone())
        return replace(found, held=self._held(replace(found, held=found.coded), rows))

    def _same(self, seen: list[Lookup], others: list[Lookup]) -> list[Lookup]:
        if [lookup.number for lookup in seen] != [lookup.number for lookup in others]:
            raise _LookupsChangeError
        return seen

    def _moved(self, rows: Tensor, seen: list[Lookup]) -> list[dict[int, Tensor]]:
        """Return for each lookup the columns that move its index, tried together and then halved, and where."""
        found: list[dict[int, Tensor]] = [{} for _ in seen]
        is_constant = (self.sample == self.sample[0]).all(0).cpu()
        for column in is_constant.nonzero()[:, 0].tolist():
            for place, change in enumerate(self._changed_by_neighbours(rows, seen, column)):
                if change.any():
                    found[place][column] = change
        pending = [(~is_constant).nonzero()[:, 0]]
        while pending:
            columns = pending.pop()
            near, far = (self._changed(seen, changed) for changed in _with_others(rows, self.sample, columns))
            changes = [one | other for one, other in zip(near, far, strict=True)]
            if len(columns) > 1 and any(change.any() for change in changes):
                pending.extend(columns.tensor_split(2))
            elif len(columns) == 1:
                for place, change in enumerate(changes):
                    if change.any():
                        found[place][int(columns)] = change
        return found

    def _changed_by_neighbours(self, rows: Tensor, seen: list[Lookup], column: int) -> list[Tensor]:
        """Return where lookups change with a column that the sample has one value of: the codes beside it are tried.

        Without this the values that such a column is looked up as would be taken for those of another one.
        """
        found = [torch.zeros_like(lookup.call.index, dtype=torch.bool) for lookup in seen]
        for step in (1, -1):
            changed = rows.clone()
            changed[:, column] += step
            try:
                found = [before | now for before, now in zip(found, self._changed(seen, changed), strict=True)]
            except (ModelCallError, _LookupsChangeError):  # a code that there is not
                continue
        return found

    def _changed(self, seen: list[Lookup], rows: Tensor) -> list[Tensor]:
        numbers = {lookup.number for lookup in seen}
        others = [lookup for lookup in self.watched(rows) if lookup.number in numbers]
        pairs = zip(seen, self._same(others, seen), strict=True)
        if any(lookup.call.index.shape != other.call.index.shape for lookup, other in pairs):
            raise _LookupsChangeError
        return [lookup.call.index != other.call.index for lookup, other in zip(seen, others, strict=True)]

    def _reached(self, rows: Tensor) -> list[bool]:
        """Return for each column whether a gradient reaches it."""
        others = rows.roll(len(rows) // 2, 0)
        points = torch.cat([rows + t * (others - rows) for t in _PLACES]).detach().requires_grad_()
        with torch.enable_grad():
            outputs = self.model.outputs(points)
            weights = torch.cos(torch.arange(outputs.shape[1], dtype=outputs.dtype, device=outputs.device))
            value = (outputs * weights).sum()
            found = gradient(value, points) if value.requires_grad else None
        return [False] * len(self.names) if found is None else (found != 0).any(0).tolist()

    def _is_opened(self, feed: _Feeds, reached: list[bool]) -> bool:
        """Return whether a lookup is opened; raises ModelError for one of unreached columns of different groups."""
        crossed = {column for column, moved in feed.moved.items() if (moved & self._by_others(feed, column)).any()}
        if not crossed:
            return feed.lookup.call.table is not None or not any(reached[column] for column in feed.moved)
        if feed.lookup.call.table is None or any(reached[column] for column in crossed):
            return False
        together = [quoted(self.names[column]) for column in sorted(crossed)]
        raise ModelError(
            f"{self.model.subject}: columns {all_of(together)} are looked up together, as one code. Expected a lookup "
            f"for each column. Try `groups` with {all_of(together)} in one group."
        )

    def _by_others(self, feed: _Feeds, column: int) -> Tensor:
        """Return which entries columns of other groups move."""
        unit, moved = self.unit_of[column], feed.moved[column]
        others = [other for c, other in feed.moved.items() if self.unit_of[c] != unit]
        return torch.stack(others).any(0) if others else torch.zeros_like(moved)

    def _held(self, all_held: Openings, rows: Tensor) -> tuple[int, ...]:
        """Return the columns with which the output still moves where every lookup is handed what it gave."""
        with torch.no_grad():
            flat, _ = all_held.flat(all_held.recording(self.model), rows)
        opened = all_held.opened(self.model)
        before, first, held = _outputs(opened, flat), flat.shape[1] - len(all_held.held), all_held.held
        found: list[int] = []
        pending = [torch.arange(len(held))]
        while pending:
            places = pending.pop()
            changes = False
            for changed in _with_others(rows, self.sample, torch.tensor(held)[places]):
                other = flat.clone()
                other[:, first + places] = changed[:, torch.tensor(held)[places]]
                changes |= not torch.equal(_outputs(opened, other), before)
            if changes and len(places) > 1:
                pending.extend(places.tensor_split(2))
            elif changes:
                found.append(held[int(places)])
        return tuple(sorted(found))


def _rows_axis(lookup: Lookup, fewer: Lookup) -> tuple[int, int] | None:
    """Return the axis of an index that its rows are on, and how many entries each has there; None: there is none."""
    shape, other = lookup.call.index.shape, fewer.call.index.shape
    differing = [axis for axis, (size, fewer_) in enumerate(zip(shape, other, strict=False)) if size != fewer_]
    if len(shape) != len(other) or len(differing) != 1:
        return None
    fold = shape[differing[0]] // _ROWS
    is_of_rows = (shape[differing[0]], other[differing[0]]) == (fold * _ROWS, fold * _FEWER)
    return (differing[0], fold) if is_of_rows else None


def _feeds(lookup: Lookup, axis_and_fold: tuple[int, int] | None, changed: dict[int, Tensor]) -> _Feeds:
    if axis_and_fold is None:
        raise ValueError("a lookup without an axis of rows")
    axis, fold = axis_and_fold
    moved = {column: index.unflatten(axis, (_ROWS, fold)).any(axis) for column, index in changed.items()}
    return _Feeds(lookup, axis, fold, moved)


def _opening(feed: _Feeds) -> Opening:
    call, value = feed.lookup.call, feed.lookup.value
    rows_axis = call.axis + feed.axis
    before = () if call.table is None else call.table.shape[: call.axis]
    behind = () if call.table is None else call.table.shape[call.axis + 1 :]
    owner = _owners(feed)
    owner = owner.reshape(*[1] * len(before), *owner.shape, *[1] * len(behind)).expand(*before, *owner.shape, *behind)
    return Opening(
        number=feed.lookup.number,
        shape=(*value.shape[:rows_axis], *value.shape[rows_axis + 1 :]),
        axis=rows_axis,
        fold=feed.fold,
        owner=owner.flatten(),
        codes=call.rows,
    )


def _owners(feed: _Feeds) -> Tensor:
    """Return the column of every entry; those that no change moved are of the column before them, as in one-hot codes.

    Such an entry belongs to a value that the sample lacks.
    """
    columns = torch.tensor(sorted(feed.moved))
    moved = torch.stack([feed.moved[int(column)] for column in columns]).cpu()
    owner = columns[moved.to(torch.int64).argmax(0)]
    is_known, flat = moved.any(0).flatten(), owner.flatten()
    places = torch.where(is_known, torch.arange(len(flat)), 0).cummax(0).values
    places = torch.where(is_known[places], places, is_known.to(torch.int64).argmax())
    return flat[places].reshape(owner.shape)


def _with_others(rows: Tensor, sample: Tensor, columns: Tensor) -> Iterator[Tensor]:
    """Yield rows in which these columns have other values of theirs: the next one, and one far away."""
    for is_far in (False, True):
        changed = rows.clone()
        for column in columns.tolist():
            values = sample[:, column].unique()
            step = max(1, len(values) // 2) if is_far else 1
            place = torch.searchsorted(values, rows[:, column].contiguous())
            changed[:, column] = values[(place + step) % len(values)]
        yield changed


def _outputs(model: Model, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return model.outputs(rows)


def _check_same(model: Model, found: Openings, rows: Tensor) -> None:
    with torch.no_grad():
        flat, wanted = found.flat(found.recording(model), rows)
        try:
            outputs = found.opened(model).outputs(flat)
        except ModelCallError as error:
            raise ModelError(_unlike(model, found, error.reason)) from error
    if not (outputs - wanted).abs().max() <= _AGREEMENT[model.dtype] * wanted.abs().max().clamp_min(1e-30):
        raise ModelError(_unlike(model, found, "its outputs are others then"))


def _unlike(model: Model, found: Openings, reason: str) -> str:
    names = listed([found.names[column] for column in found.coded])
    return (
        f"{model.subject}: looks {names} up in a way that cannot be opened ({reason}). Expected lookups that are the "
        "same calls for all rows, whose values alone reach the output. Try one-hot columns in place of codes."
    )
