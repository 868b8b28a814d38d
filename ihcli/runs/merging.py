"""Shards made one run: checked to be whole and of one kind, summaries merged, run.json written; no torch."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from ihcli.advance import Tell, unheard, within
from ihcli.errors import RunError
from ihcli.files.durable import remove_tree
from ihcli.files.locations import Location
from ihcli.files.lock import is_locked, locked
from ihcli.runs.info import RunInfo
from ihcli.runs.names import ATTRIBUTIONS, INFO, INTERACTIONS, SHARDS, part_name
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest
from ihcli.runs.run import open_run
from ihcli.runs.seals import question, question_sha256
from ihcli.runs.shards import PART, Shard, home_of, shards_of
from ihcli.runs.states import StateFiles
from ihcli.runs.totals import RunTotals
from ihcli.runs.writer import RunWriter
from ihcli.wording import column_list

VERSIONS = ("ihcli", "torch")
LISTS = ("features", "output_names")  # options whose names stand in one argument


@dataclass(frozen=True)
class _FinishedShard:
    shard: Shard
    info: RunInfo
    progress: Progress


def merge(path: Location, warned: Callable[[str], None], tell: Tell = unheard) -> RunTotals:
    """Make one run of the shards in a directory; what is there of them but their parts is removed in the end.

    The parts stay as they are; summaries are those of one run up to rounding and the order of targets, in whatever
    order the shards ran. Of a run that is merged already the totals are returned.

    `tell` hears what share is done: of the seconds that reading and adding up wide summaries can take.

    Raises RunError where a shard is missing or unfinished, saying which and how to run it, or where shards differ.
    """
    if (path / INFO).is_file() and not (path / SHARDS).is_dir():
        return _merged_before(path)
    if not shards_of(path):
        raise RunError(f"{path}: holds no shards of a run. Expected a directory that ihcli explain `shard=I/N` wrote.")
    with locked(path, warned):
        shards = _require_all(path, within(tell, 0, 0.5))
        _require_same(path, shards)
        progress = Progress()
        for done, finished in enumerate(shards, 1):
            progress.merge(finished.progress)
            tell((1 + done / len(shards)) / 2)
        _require_parts(path, shards[0].info, progress)
        return _write(path, shards, progress, warned)


def _merged_before(path: Location) -> RunTotals:
    run = open_run(path)
    if not run.info.is_done:
        raise RunError(f"{path}: is one run, not shards of one. Try ihcli explain with `resume`.")
    return RunTotals.told(path, run.info.totals)


def _write(
    path: Location, shards: list[_FinishedShard], progress: Progress, warned: Callable[[str], None]
) -> RunTotals:
    infos = [finished.info for finished in shards]
    writer, totals = RunWriter(path), RunTotals.of(path, progress).under(infos[0])
    tables = progress.tables()
    summary = writer.write_summary(*tables)
    for text in tables.doubts():
        warned(text)
    seals = progress.seals(writer.digests_of).but(question=question_sha256(infos[0]), summary=summary)
    writer.write_info(infos[0].merged(infos, totals.stored(), seals))
    remove_tree(path / SHARDS)
    return totals


def _require_all(path: Location, tell: Tell) -> list[_FinishedShard]:
    begun = shards_of(path)
    counts = {shard.count for shard in begun}
    if len(counts) > 1:
        raise RunError(f"{path}: holds shards of runs cut into {' and '.join(map(str, sorted(counts)))}. Expected one.")
    found, count = [], begun[0].count
    for index in range(1, count + 1):
        found.append(_examine(path, Shard(index, count)))
        tell(index / count)
    missing = [words for words in found if isinstance(words, str)]
    if missing:
        raise RunError(
            f"{path}: {len(missing)} of {count} shards are not done: {'; '.join(missing)}. Try {_command(path, begun)}"
        )
    return [finished for finished in found if isinstance(finished, _FinishedShard)]


def _examine(path: Location, shard: Shard) -> _FinishedShard | str:
    """Return a finished shard, or in words why it is none."""
    home = home_of(path, shard)
    if not (home / INFO).is_file():
        return f"{shard} was not begun"
    info = open_run(home).info
    if is_locked(home):
        return f"{shard} is still running"
    if not info.is_done:
        return f"{shard} did not finish (status {info.status})"
    parts = shard.parts(info.n_parts)
    state = StateFiles(home).newest(parts)
    progress = Progress() if state is None else Progress.of_state(state)
    if len(parts) != sum(map(len, progress.parts)):
        return f"{shard} lost the record of its parts, and needs `overwrite`"
    progress.wall_s = info.totals.wall_s
    return _FinishedShard(shard, info, progress)


def _command(path: Location, begun: list[Shard]) -> str:
    """Return the command that does what is missing, from what one of the shards was begun with."""
    infos = (open_run(home_of(path, shard)).info for shard in begun if (home_of(path, shard) / INFO).is_file())
    asked = next((info.arguments for info in infos if info.tells("arguments")), None)
    if asked is None:
        return f"ihcli explain again with `out={path}` `shard=I/{begun[0].count}` `resume`."
    options = (*_options(asked), f"`out={shlex.quote(str(path))}`", f"`shard=I/{begun[0].count}`", "`resume`")
    return " ".join((shlex.join(["ihcli", "explain", asked.model, asked.data]), *options))


def _options(asked: RunRequest) -> Iterator[str]:
    """Yield the options that are not as by default."""
    for field in fields(RunRequest):
        value = getattr(asked, field.name)
        default = None if field.default is MISSING else field.default
        if field.name in ("model", "data") or value in (None, False, ()) or value == default:
            continue
        if field.name in LISTS:
            yield f"`{field.name}={column_list(value)}`"
            continue
        if isinstance(value, Mapping):
            yield from (f"`{field.name}={name}={column_list(names)}`" for name, names in value.items())
            continue
        for single in value if isinstance(value, tuple) else [value]:
            yield f"`{field.name}`" if single is True else f"`{field.name}={shlex.quote(str(single))}`"


def _require_same(path: Location, shards: list[_FinishedShard]) -> None:
    first = shards[0]
    for other in shards[1:]:
        expected, got = _settings(first.info), _settings(other.info)
        for name in [*expected, *(got.keys() - expected.keys())]:
            if expected.get(name) != got.get(name):
                raise RunError(
                    f"{path}: shards {first.shard} and {other.shard} are not of one run. Expected the same {name}, got "
                    f"{expected.get(name)!r} and {got.get(name)!r}. Try to run one of them again with `overwrite`."
                )


def _settings(info: RunInfo) -> dict[str, Any]:
    """Return what shards of one run share."""
    return {**question(info), **{f"versions {name}": getattr(info.versions, name) for name in VERSIONS}}


def _require_parts(path: Location, info: RunInfo, progress: Progress) -> None:
    n_parts = info.n_parts
    matrices = info.second_order and info.arguments.interactions != "none"
    for directory in (ATTRIBUTIONS, INTERACTIONS) if matrices else (ATTRIBUTIONS,):
        there = {file.name for file in (path / directory).glob("part-*.parquet")}
        first = next((part for part in range(n_parts) if part_name(part) not in there), None)
        if first is not None:
            numbers = {int(found[1]) for name in there if (found := PART.fullmatch(name))}
            lost = n_parts - sum(number < n_parts for number in numbers)
            raise RunError(
                f"{path / directory}: lacks {lost} of {n_parts} parts, the first is {part_name(first)}. "
                "Try to run the shards they belong to again with `overwrite`."
            )
