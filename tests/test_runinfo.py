"""Any run.json, and any file in place of a run's own, is a result or one message of every command that reads runs."""

import copy
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from forgeries import Folder, change, part

import ihcli
from ihcli.cli import main
from ihcli.errors import IhcliError, RunError
from ihcli.runs.info import RUNNING, RunInfo, read_info
from ihcli.runs.kinds import faults_of, kind_of
from ihcli.runs.origins import places_of
from ihcli.runs.request import RunRequest
from ihcli.runs.seals import is_sealed, question, question_sha256, sealed
from ihcli.runs.told import LEFT_OUT, UNTOLD
from ihcli.runs.totals import RunTotals

KINDS = ("ih", "largest pairs", "texts")
DEEP: list[Any] = []
for _ in range(40):
    DEEP = [DEEP]
ODD: tuple[Any, ...] = (None, "", -1, 0, 1e308, 10**18, True, [], {}, DEEP, "\x1b[2J", {"a": None}, [None])
ODDS_OF_A_VALUE = 3  # another three for each value, all of them in turn
COMMANDS: dict[str, list[str]] = {
    "verify": ["verify", "RUN"],
    "attributions": ["attributions", "RUN"],
    "attributions of a row": ["attributions", "RUN", "--row", "1"],
    "attributions of a key": ["attributions", "RUN", "--key", "id=P1"],
    "interactions": ["interactions", "RUN"],
    "interactions of a row": ["interactions", "RUN", "--row", "1"],
    "report": ["report", "RUN", "-o", "OUT/page.html", "--overwrite"],
    "plot": ["plot", "RUN", "convergence", "-o", "OUT/plot.png", "--overwrite"],
    "merge": ["merge", "RUN"],
}


QUICK = ("verify", "attributions of a row", "attributions of a key", "interactions", "interactions of a row")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("info"))


def ask(command: str, run: Path, out: Path) -> str:
    """Return the message of a command, nothing where it has a result; whatever else fails the test."""
    words = [word.replace("RUN", str(run)).replace("OUT", str(out)) for word in COMMANDS[command]]
    done = CliRunner().invoke(main, words)
    assert done.exit_code in (0, 1, 2), (command, done.output)
    assert "unexpected" not in done.output
    assert "Traceback" not in done.output
    if done.exit_code:
        assert done.stderr.count("\nError: ") + done.stderr.startswith("Error: ") == 1, done.stderr
    return done.stderr if done.exit_code else ""


def paths_of(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the place of every value within JSON, the first entry of lists alone."""
    if place:
        yield place
    entries = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from paths_of(entry, (*place, key))


def altered(info: dict[str, Any], place: tuple[Any, ...], new: Any) -> dict[str, Any]:
    found = changed = copy.deepcopy(info)
    for key in place[:-1]:
        found = found[key]
    found[place[-1]] = new
    return changed


def info_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "run.json").read_text())
    return found


@pytest.mark.parametrize("command", ["attributions of a row", "interactions", "verify", "merge"])
@pytest.mark.parametrize("kind", KINDS)
def test_odd_values_in_a_run_json_are_results_or_one_message(
    folder: Folder, tmp_path: Path, kind: str, command: str
) -> None:
    path = folder.copy(kind, tmp_path / "run")
    info = info_of(path)
    for number, place in enumerate(paths_of(info)):
        for new in (ODD * 2)[number % len(ODD) :][:ODDS_OF_A_VALUE]:
            (path / "run.json").write_text(json.dumps(altered(info, place, new)))
            ask(command, path, tmp_path)


@pytest.mark.parametrize("command", ["report", "plot", "attributions of a key"])
def test_odd_values_of_every_type_reach_no_page_and_no_picture(folder: Folder, tmp_path: Path, command: str) -> None:
    path = folder.copy("ih", tmp_path / "run")
    info = info_of(path)
    for number, place in enumerate(list(paths_of(info))[:: 2 if command == "plot" else 1]):
        (path / "run.json").write_text(json.dumps(altered(info, place, ODD[number % len(ODD)])))
        ask(command, path, tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_json_that_lacks_a_key_is_a_result_or_names_it(folder: Folder, tmp_path: Path, command: str) -> None:
    path = folder.copy("ih", tmp_path / "run")
    info = info_of(path)
    for name in list(info)[:: 4 if command == "plot" else 1]:  # a picture takes its time
        (path / "run.json").write_text(json.dumps({key: value for key, value in info.items() if key != name}))
        ask(command, path, tmp_path)


TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "no object": b"[]",
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "many digits": b'{"status": ' + b"9" * 100_000 + b"}",
    "NaN": b'{"status": NaN}',
    "another encoding": '{"status": "größe"}'.encode("utf-16"),
    "half a letter": b'{"status": "\xff"}',
    "half a pair": b'{"status": "\\ud800"}',
    "a key twice": b'{"status": "done", "status": "done"}',
    "null": b"null",
    "an empty object": b"{}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_is_no_run_json_is_one_message(folder: Folder, tmp_path: Path, text: bytes) -> None:
    path = folder.copy("ih", tmp_path / "run")
    (path / "run.json").write_bytes(text)
    for command in COMMANDS:
        told = ask(command, path, tmp_path)
        assert told or text == b"{}"
    with pytest.raises(IhcliError):
        ihcli.read(path).n_rows, ihcli.read(path).feature_names


def test_resuming_reads_no_odd_run_json(folder: Folder, tmp_path: Path) -> None:
    path, asked = folder.copy("ih", tmp_path / "run"), folder.request("ih")
    info = {**info_of(path), "status": "interrupted"}
    words = ["explain", asked.model, asked.data, "-o", str(path), "--resume", "--key", "id", "--label", "label"]
    for place in paths_of(info):
        for new in (None, [], "x", -1):
            (path / "run.json").write_text(json.dumps(altered(info, place, new)))
            done = CliRunner().invoke(main, [*words, "--tolerance", "0.5"])  # so that none goes on
            assert done.exit_code == 1, (place, new, done.output)
            assert "unexpected" not in done.output


@pytest.mark.parametrize("kind", ["eh of all targets, grouped", *KINDS, "ih smoothed", "eg of enough baselines"])
def test_every_value_of_a_real_run_json_has_a_type(folder: Folder, kind: str) -> None:
    info = info_of(folder.run(kind))
    known = kind_of(RunInfo)
    assert list(faults_of(info, known)) == []
    assert set(info) <= set(known.keys)
    assert set(info["arguments"]) == {field.name for field in fields(RunRequest) if field.metadata != LEFT_OUT} | (
        {"sampling_tolerance"} if kind == "eg of enough baselines" else set()
    )
    for place in paths_of(info):
        assert len(list(faults_of(altered(info, place, [1.5]), known))) == 1, place


WRITTEN = {file.stem: file for file in sorted((Path(__file__).parent / "run_infos").glob("*.json"))}
"""As ihcli wrote them when run.json was a plain dictionary."""
SAME = {"groups": "eh of all targets, grouped", "texts": "texts", "smoothed": "ih smoothed"}


@pytest.mark.parametrize("file", WRITTEN.values(), ids=WRITTEN)
def test_a_run_json_of_before_is_read_and_written_to_the_byte(file: Path) -> None:
    info = read_info(file)
    assert info.text() == file.read_text()
    if info.is_done:
        assert is_sealed(info)
        assert sealed(info).text() == file.read_text()
        assert question_sha256(info) == info.sha256.question
        assert not is_sealed(info.but(target="another"))


def test_a_run_that_was_interrupted_before_asks_what_it_asks_once_resumed() -> None:
    interrupted, resumed = (read_info(WRITTEN[name]) for name in ("interrupted", "resumed"))
    assert question_sha256(interrupted) == resumed.sha256.question
    anew = interrupted.but(status=RUNNING, finished=UNTOLD, error=UNTOLD)
    going_on = anew.continuing(interrupted, *resumed.resumed)
    done = sealed(going_on.done(resumed.finished, resumed.totals, resumed.sha256))
    assert done.text() == WRITTEN["resumed"].read_text()


def names_in(value: Any) -> Any:
    """Return the keys of objects within each other, in their order."""
    return [(name, names_in(entry)) for name, entry in value.items()] if isinstance(value, dict) else None


@pytest.mark.parametrize(("written", "kind"), SAME.items(), ids=SAME)
def test_a_new_run_json_has_the_keys_of_before_in_their_order(folder: Folder, written: str, kind: str) -> None:
    info = info_of(folder.run(kind))
    assert list(info.pop("integrals")) == ["tolerance", "sampling_share"]
    assert info["sha256"]["summary"].pop("model")
    assert (info["baseline"].pop("drawn_from", None) is None) == ("grouped" not in kind)
    assert names_in(info) == names_in(json.loads(WRITTEN[written].read_text()))


def test_a_run_json_without_newer_keys_is_read_as_it_was_meant() -> None:
    content = json.loads(WRITTEN["groups"].read_text())
    for name in ("origins", "sha256", "groups", "engine"):
        del content[name]
    del content["totals"]["truncated"], content["arguments"]["text"], content["arguments"]["units"]
    info = RunInfo.of(content)
    assert (info.units, info.resumed, info.shards, info.failed_chunks) == (None, (), (), ())
    told = read_info(WRITTEN["groups"]).arguments
    assert (told.units, info.arguments.units) == ("word", None)  # which was said where nobody asked
    assert info.arguments == replace(told, units=None)
    assert RunTotals.told(Path("run"), info.totals).truncated == 0
    assert places_of(info, "model", Path("run")) == [content["model"]["path"]]
    assert info.seals.content() == {}
    assert not is_sealed(info)
    assert info.content() == content
    assert question(info)["engine name"] is None
    assert "text" not in question(info)


def test_what_a_run_json_tells_beside_what_is_known_stays_in_it(tmp_path: Path) -> None:
    content = {"colour": [1, {"a": None}], "model": {"path": "m", "weight": 0.5}, "status": "done"}
    (tmp_path / "run.json").write_text(json.dumps(content))
    info = read_info(tmp_path / "run.json")
    assert info.content() == content
    assert info.but(target="x").content() == content | {"target": "x"}
    with pytest.raises(TypeError, match="RunInfo has no colour"):
        info.but(colour="red")


def test_a_fault_names_the_place_and_both_types(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"totals": {"rows": [1]}}))
    with pytest.raises(RunError) as caught:
        read_info(tmp_path / "run.json")
    assert str(caught.value) == (
        f"{tmp_path}/run.json: 'totals.rows' is a list of 1. Expected a whole number of at least 0. Try run.json as "
        "ihcli explain wrote it, or ihcli explain again with `overwrite`."
    )


LACKING: dict[Callable[[RunInfo], Any], str] = {
    lambda told: told.status: "status",
    lambda told: told.totals.rows: "totals.rows",
    lambda told: told.shards[0].device: "shards[0].device",
    lambda told: told.feature_names: "features",
    lambda told: told.n_parts: "data",
}


def test_what_is_not_told_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"totals": {}, "shards": [{}]}))
    told = read_info(tmp_path / "run.json")
    for ask, name in LACKING.items():
        with pytest.raises(RunError) as caught:
            ask(told)
        assert str(caught.value) == (
            f"{tmp_path}/run.json: lacks '{name}'. Expected what ihcli explain writes. Try run.json as ihcli "
            "explain wrote it, or ihcli explain again with `overwrite`."
        )


def _a_link(file: Path) -> None:
    target = file.with_name("elsewhere")
    file.rename(target)
    file.symlink_to(target)


def _a_socket(file: Path) -> None:
    os.chdir(file.parent)  # its name may have some hundred letters at most
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(file.name)


IN_PLACE: dict[str, Callable[[Path], None]] = {
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)),
    "a directory": lambda file: (file.unlink(), file.mkdir()),
    "a socket": lambda file: (file.unlink(), _a_socket(file)),
    "a link": _a_link,
    "a link to a device": lambda file: (file.unlink(), file.symlink_to("/dev/zero")),
    "a link to nothing": lambda file: (file.unlink(), file.symlink_to("gone")),
    "a link to its directory": lambda file: (file.unlink(), file.symlink_to(".")),
}
PLACES = {
    "attributions": lambda run: part(run),
    "interactions": lambda run: part(run, "interactions"),
    "summary": lambda run: run / "summary" / "attributions.parquet",
    "summary of pairs": lambda run: run / "summary" / "interactions.parquet",
    "run.json": lambda run: run / "run.json",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("odd", IN_PLACE)
def test_what_is_no_file_of_the_run_is_never_opened(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = folder.copy("ih", tmp_path / "run")
    IN_PLACE[odd](PLACES[place](path))
    told = {command: ask(command, path, tmp_path) for command in (*QUICK, "report")}
    assert told["verify"]
    if place != "attributions":
        return
    assert "is a " in told["report"]
    asked = folder.request("ih")
    done = CliRunner().invoke(main, ["verify", str(path), asked.model, asked.data, "--sample", "14"])
    assert done.exit_code == 1
    assert "unexpected" not in done.output


def test_a_directory_that_is_a_link_is_refused_and_a_copy_of_it_is_read(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    (path / "attributions").rename(tmp_path / "elsewhere")
    (path / "attributions").symlink_to(tmp_path / "elsewhere")
    told = ask("attributions of a row", path, tmp_path)
    assert "attributions: is a link" in told
    assert "Try cp -rL RUN COPY" in told
    shutil.copytree(path, tmp_path / "copy", symlinks=False)
    assert ask("attributions of a row", tmp_path / "copy", tmp_path) == ""
    assert ask("verify", tmp_path / "copy", tmp_path) == ""


def test_a_run_that_is_named_by_a_link_is_read(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder.run("ih"))
    assert ask("attributions of a row", tmp_path / "link", tmp_path) == ""


@pytest.mark.parametrize("name", [".lock", ".states"])
def test_a_pipe_as_lock_or_state_is_not_waited_for(folder: Folder, tmp_path: Path, name: str) -> None:
    path, asked = folder.copy("ih", tmp_path / "run"), folder.request("ih")
    (path / "run.json").write_text(json.dumps({**info_of(path), "status": "interrupted"}))
    shutil.rmtree(path / "summary")
    pipe = path / name / "000001.npz" if name == ".states" else path / name
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    for command in COMMANDS:
        ask(command, path, tmp_path)
    words = ["explain", asked.model, asked.data, "-o", str(path), "--key", "id", "--label", "label"]
    done = CliRunner().invoke(main, [*words, "--chunk-rows", "4", "--resume"])
    assert "unexpected" not in done.output


def _cast(name: str, type_: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def alter(table: pa.Table) -> pa.Table:
        new = pa.array([None] * len(table), type_)
        return table.set_column(table.schema.get_field_index(name), name, new)

    return alter


def _without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns(name)


def _of_other_shape(table: pa.Table) -> pa.Table:
    values = pa.array(np.zeros(len(table) * 9, np.float32))
    storage = pa.FixedSizeListArray.from_arrays(values, 9)
    tensors = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), (3, 3)), storage)
    return table.set_column(table.schema.get_field_index("interactions"), "interactions", tensors)


def _with_metadata(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({b"feature_names": b"\xff[", b"\x1b": b"\x00"})


COLUMNS = {
    "attributions": ["_row", "id", "_target", "_prediction", "_relative_error", "_evaluations", "_status", "a"],
    "interactions": ["_row", "_target", "interactions"],
    "summary": ["target", "feature", "rank", "mean_abs", "mean", "share", "rows"],
    "summary of pairs": ["target", "feature_i", "feature_j", "rank", "mean_abs", "std", "rows"],
}
MUTATED: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    **{f"{place} without {name}": (place, _without(name)) for place in COLUMNS for name in COLUMNS[place]},
    **{
        f"{place}, {name} as {type_}": (place, _cast(name, type_))
        for place in COLUMNS
        for name in COLUMNS[place]
        for type_ in (pa.string(), pa.list_(pa.int8()), pa.null())
    },
    **{f"{place} of no rows": (place, lambda table: table.slice(0, 0)) for place in COLUMNS},
    **{f"{place} with metadata of a stranger": (place, _with_metadata) for place in COLUMNS},
    "interactions of another shape": ("interactions", _of_other_shape),
}


@pytest.mark.parametrize(("place", "alter"), MUTATED.values(), ids=MUTATED)
def test_mutated_tables_are_results_or_one_message(
    folder: Folder, tmp_path: Path, place: str, alter: Callable[[pa.Table], pa.Table]
) -> None:
    path = folder.copy("ih", tmp_path / "run")
    change(PLACES[place](path), alter)
    told = {command: ask(command, path, tmp_path) for command in QUICK}
    assert told["verify"]


def test_bytes_of_a_part_at_random_are_results_or_one_message(folder: Folder, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place in COLUMNS:
        path = folder.copy("ih", tmp_path / place)
        file = PLACES[place](path)
        content = file.read_bytes()
        for _ in range(6):
            damaged = bytearray(content)
            for at in rng.integers(4, len(content) - 8, 3):
                damaged[at] = rng.integers(256)
            file.write_bytes(bytes(damaged))
            for command in ("verify", "attributions of a row", "interactions of a row", "interactions"):
                ask(command, path, tmp_path)
