"""What a resumed run shares with the run that was begun, and what it takes over from it; no torch."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib.metadata import version
from typing import Any

from ihcli.data.baselines import is_file
from ihcli.data.formats.opening import open_table
from ihcli.data.sampling import AUTO, TOLERANCE
from ihcli.errors import RunError
from ihcli.files.code import changed_code
from ihcli.files.fingerprints import files_fingerprint, path_fingerprint
from ihcli.files.locations import Location
from ihcli.integration.effort import NODES
from ihcli.runs.computation import scan_told
from ihcli.runs.info import RunInfo
from ihcli.runs.members import require_no_mean
from ihcli.runs.names import INFO
from ihcli.runs.request import ParsedRequest, RunRequest
from ihcli.runs.run import open_run
from ihcli.runs.shards import Place, home_of, shards_of
from ihcli.runs.told import if_told, plain
from ihcli.runs.totals import RunTotals
from ihcli.wording import listed

# The first five are compared by content, the device as it is chosen; the last three do not change what is explained.
NOT_COMPARED = ("model", "data", "groups", "categories", "code", "device", "chunk_rows", "memory_bytes", "trust")
VERSIONS = ("ihcli", "torch")
# What the same options can come to mean otherwise: another device, or a file of baselines that changed.
MEANINGS: Mapping[str, Callable[[RunInfo], str]] = {
    "`device={}`": lambda info: info.device,
    "`dtype={}`": lambda info: info.dtype,
    "`engine={}`": lambda info: info.engine.name,
    "baselines of SHA-256 {:.12}": lambda info: info.baseline.sha256,
}


@dataclass(frozen=True)
class BegunRun:
    """A run on disk that was begun, by whatever it was stopped."""

    path: Location
    info: RunInfo

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.info.is_done

    def settle(self, asked: ParsedRequest) -> ParsedRequest:
        """Return the request with the chunks, baselines and outputs of the begun run.

        Its memory is that of the run, too, where none is asked for.

        Chunks and memory decide which rows are computed together, and so how sums are rounded. The tolerance is that of
        the begun run, be it one of before, when rows of drawn baselines were held to TOLERANCE as well. So are the
        nodes that paths begin with, which were NODES where nothing is told of them, and its way to draw baselines.
        """
        chunked = asked.in_chunks(self.info.chunk_rows, asked.text.memory_bytes or self.info.memory_bytes)
        named = chunked.text.of_run(self.info.model.outputs)
        text = replace(named, tolerance=self.info.arguments.tolerance)
        start = if_told(lambda: self.info.integrals.nodes) or NODES
        return replace(
            chunked,
            text=text,
            sampling=self.info.sampling,
            thins=self.info.baseline.drawn_from is not None,
            scan=scan_told(self.info.smoothing),
            start=start,
        )

    def require_same_question(self, asked: ParsedRequest) -> None:
        """Raise RunError where options, model, data or version are not those of the begun run; reads both files."""
        require_no_mean(self.path, if_told(lambda: self.info.members) or (), "`overwrite` to start over")
        files = (*self._groups(asked), *self._categories(asked), *self._contents(asked), *self._code(asked))
        self._require_none([*self._options(asked.text), *files, *self._versions()])

    def require_same_meaning(self, info: RunInfo) -> None:
        """Raise RunError where the options have come to mean something else; `info` is what run.json would say now."""
        differences = []
        for words, ask in MEANINGS.items():
            old, new = if_told(partial(ask, self.info)), if_told(partial(ask, info))
            if old != new:
                differences.append(_words(words.format(old or "unknown"), words.format(new or "unknown")))
        self._require_none(differences)

    def totals(self) -> RunTotals:
        """Return the totals of a run that is done."""
        return RunTotals.told(self.path, self.info.totals)

    def _options(self, request: RunRequest) -> Iterator[str]:
        for name in (each.name for each in fields(request)):
            begun, value = (_asked(name, plain(getattr(each, name))) for each in (self.info.arguments, request))
            are_files = name == "baseline" and is_file(begun) and is_file(value)  # later, by their values
            is_default = name == "tolerance" and value is None and begun == TOLERANCE  # as runs of before told it
            if name not in NOT_COMPARED and begun != value and not are_files and not is_default:
                yield _words(_option(name, begun), _option(name, value))
        if request.chunk_rows not in (None, self.info.chunk_rows):
            yield _words(_option("chunk_rows", self.info.chunk_rows), _option("chunk_rows", request.chunk_rows))

    def _contents(self, asked: ParsedRequest) -> Iterator[str]:
        request, told = asked.text, self.info
        if not asked.model.exists() or path_fingerprint(asked.model) != told.model.sha256:
            yield _words(f"the model {told.model.path} as it was", f"other content in {request.model}")
        if files_fingerprint(open_table(request.data).files) != told.data.sha256:
            yield _words(f"the data {told.data.path} as they were", f"other content in {request.data}")

    def _code(self, asked: ParsedRequest) -> Iterator[str]:
        """Compare code by name and content; nothing of it is run."""
        begun, now = self.info.arguments.code, asked.code
        told = if_told(lambda: self.info.model.code)
        if begun is None or now is None:
            if begun != asked.text.code:
                yield _words(_option("code", begun), _option("code", asked.text.code))
            return
        if begun.rpartition(":")[2] != now.name:
            yield _words(_option("code", begun), _option("code", asked.text.code))
        elif told is not None and (changed := changed_code(told.files, now)):
            yield _words(f"the code {begun} as it was", f"other content in {listed(changed, 3)}")

    def _groups(self, asked: ParsedRequest) -> Iterator[str]:
        begun, now, file = self.info.arguments.groups, asked.text.groups, asked.groups
        if begun is None or file is None:
            if begun != now:
                yield _words(_option("groups", begun), _option("groups", now))
            return
        if not file.exists() or path_fingerprint(file) != self.info.groups_sha256:
            yield _words(f"the groups of {begun} as they were", f"other content in {now}")

    def _categories(self, asked: ParsedRequest) -> Iterator[str]:
        begun, now = self.info.arguments.categories, asked.text.categories
        told, stated = self.info.categories, asked.vocabulary
        if begun is None or told is None or stated is None:
            if begun != now:
                yield _words(_option("categories", begun), _option("categories", now))
            return
        if stated.of(told.values).sha256 != told.stated().sha256:
            yield _words(f"the categories of {begun} as they were", f"others in {now}")

    def _versions(self) -> Iterator[str]:
        for name in VERSIONS:
            begun = getattr(self.info.versions, name)
            if begun != version(name):
                yield _words(f"{name} {begun}", version(name))

    def _require_none(self, differences: list[str]) -> None:
        if differences:
            raise RunError(
                f"{self.path}: `resume` continues a run with its original settings, but {len(differences)} "
                f"{'differs' if len(differences) == 1 else 'differ'}. {'; '.join(differences)}. "
                "Try the original command, or `overwrite` to start over."
            )


def find_begun(path: Location) -> BegunRun | None:
    """Return the run that was begun at a path, or None where there is none, or one that was killed while it was made.

    Raises RunError where run.json cannot be read, or does not tell what was asked.
    """
    if not (path / INFO).is_file():
        return None
    info = open_run(path).info
    if info.is_new:
        return None
    if not info.tells("arguments"):
        raise RunError(f"{path / INFO}: does not say how the run was started. Try `overwrite` to start over.")
    return BegunRun(path, info)


def settled_by_others(asked: ParsedRequest, place: Place) -> ParsedRequest:
    """Return the request with what another shard of the run settled on, so that a tie falls the same way for all."""
    if asked.text.baseline_rows != AUTO and not asked.scans:
        return asked
    for shard in shards_of(place.path):
        with suppress(RunError):  # a shard of another question, or one that is being made, has no say
            begun = None if shard == place.shard else find_begun(home_of(place.path, shard))
            if begun is not None:
                begun.require_same_question(asked)
                return replace(asked, sampling=begun.info.sampling, scan=scan_told(begun.info.smoothing))
    return asked


def _asked(name: str, value: Any) -> Any:
    """Return what an option asks for; a run of before says word where nobody said units."""
    return None if (name, value) == ("units", "word") else value


def _words(expected: str, got: str) -> str:
    return f"Expected {expected}, got {got}"


def _option(name: str, value: Any) -> str:
    if value is None or value == []:
        return f"no `{name}`"
    return f"`{name}={','.join(map(str, value)) if isinstance(value, list) else value}`"
