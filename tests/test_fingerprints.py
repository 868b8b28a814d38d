"""Fingerprints: equal for copies, different for everything else."""

from pathlib import Path

import numpy as np

from ihcli.files.fingerprints import Snapshot, files_fingerprint, path_fingerprint, values_fingerprint
from ihcli.files.stores import StorePath


def test_copies_have_one_fingerprint_and_changes_another(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "in").mkdir(parents=True)
        (tmp_path / folder / "in" / "a").write_text("a")
        (tmp_path / folder / "b").write_text("b")
    one, two = tmp_path / "one", tmp_path / "two"
    assert path_fingerprint(one) == path_fingerprint(two)
    assert path_fingerprint(one / "b") == path_fingerprint(two / "b")
    (two / "in" / "a").write_text("A")
    assert path_fingerprint(one) != path_fingerprint(two)


def test_names_and_order_of_files_count(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("same")
    a, b = tmp_path / "a", tmp_path / "b"
    assert len({files_fingerprint(files) for files in ([a], [b], [a, b], [b, a])}) == 4


def test_shape_and_type_of_values_count() -> None:
    values = np.arange(6.0)
    others = (values.reshape(2, 3), values.astype(np.float32), values + 1e-12)
    assert len({values_fingerprint(each) for each in (values, *others)}) == 4
    wide = np.arange(12.0).reshape(2, 6)
    assert values_fingerprint(wide[:, ::2]) == values_fingerprint(wide[:, ::2].copy())


def test_a_snapshot_tells_what_was_written_came_or_went(tmp_path: Path) -> None:
    same, written, came, went = (tmp_path / name for name in ("same", "written", "came", "went"))
    for file in (same, written, went):
        file.write_text("one")
    snapshot = Snapshot.of([same, written, came, went])
    assert snapshot.changed() == []
    written.write_text("two")
    came.write_text("one")
    went.unlink()
    assert snapshot.changed() == [written, came, went]


def test_a_snapshot_of_a_store_tells_what_was_written(store: StorePath) -> None:
    store.mkdir()
    files = [store / "same", store / "written"]
    for file in files:
        file.write_bytes(b"one")
    snapshot = Snapshot.of(files)
    assert snapshot.changed() == []
    files[1].write_bytes(b"longer")
    assert snapshot.changed() == files[1:]
