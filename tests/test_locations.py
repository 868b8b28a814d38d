"""What paths and URLs name, which files match, and what is refused."""

import glob
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import NAMES

from ihcli.errors import OptionError, PackageError
from ihcli.files.locations import is_glob, is_reachable, is_url, locate, matching, parquet_file
from ihcli.files.stores import StorePath


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("run", Path("run")),
        ("C/run:1", Path("C/run:1")),
        ("file:///tmp/run", Path("/tmp/run")),
        (Path("run"), Path("run")),
    ],
)
def test_paths_are_paths(place: str | Path, expected: Path) -> None:
    assert locate(place) == expected


@pytest.mark.parametrize("path", ["run", "deep/run", "with space/ö+%20", "part-?.parquet", "x=1/*.parquet", "a?/b"])
def test_a_url_keeps_every_letter_of_its_path(bucket: StorePath, path: str) -> None:
    place = locate(f"{bucket}{path}")
    assert isinstance(place, StorePath)
    assert str(place) == f"{bucket}{path}"
    assert place.within == f"{bucket.within}/{path}"
    assert pickle.loads(pickle.dumps(place)) == place
    assert locate(place) == locate(str(place)) == place


def test_settings_of_a_store_stay_with_every_path_of_it(s3_server: str, bucket: StorePath) -> None:
    place = locate(f"{bucket}run?region=us-east-1&scheme=http&endpoint_override={s3_server}")
    assert isinstance(place, StorePath)
    below = place / "attributions" / "part-000000.parquet"
    assert str(below) == f"{bucket}run/attributions/part-000000.parquet?{place.store.query}"
    assert (below.name, below.stem, below.suffix) == ("part-000000.parquet", "part-000000", ".parquet")
    assert below.parent.parent == place == below.absolute().parent.parent
    assert below.with_name("run.json") == place / "attributions" / "run.json"


@pytest.mark.parametrize(
    "pattern",
    [
        "a/*.csv",
        "a/x-?.csv",
        "*.csv",
        "a/[xy]-[12].csv",
        "a/*/x*.csv",
        "**/*.csv",
        "a/**/y.csv",
        "*/.x*",
        "a/**",
        "a/.h/*",
    ],
)
def test_globs_are_those_of_directories(filled: StorePath, tmp_path: Path, pattern: str) -> None:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path for path in matching(filled / pattern) if isinstance(path, StorePath)]
    there = ["/".join(path.key.parts[len(filled.key.parts) :]) for path in found]
    here = [str(path.relative_to(tmp_path)) for path in matching(tmp_path / pattern) if isinstance(path, Path)]
    assert there == here
    assert there


def test_signs_of_globs_are_those_of_the_path(bucket: StorePath) -> None:
    assert is_glob(Path("data/*.csv"))
    assert is_glob(bucket / "part-?.csv")
    assert not is_glob(locate(f"{bucket}data.csv?region=us-east-1"))


def test_parquet_files_are_read_from_anywhere(store: StorePath, tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "t.parquet")
    (store / "t.parquet").write_bytes((tmp_path / "t.parquet").read_bytes())
    for place in (store, tmp_path):
        with parquet_file(place / "t.parquet", pre_buffer=False) as file:
            assert file.read() == table


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        ("nope://place/x", OptionError, "nope://place/x: cannot be opened: Protocol not known: nope. Expected a URL"),
        ("s3://b/x?colour=red", OptionError, "s3://b/x: cannot be opened: Unexpected query parameter"),
        (
            "memory://place/x?version=2",
            OptionError,
            "memory://place/x: takes no settings. Expected a plain path, got ?version=2.",
        ),
        ("hf://someone/model", OptionError, "hf://someone/model: is on a hub, which is never asked for anything."),
        ("sftp://host/x", PackageError, "sftp://host/x: needs a package that is not installed. "),
        ("s3://key:hunter2@b/x", OptionError, "s3://b/x: was given with a secret in the URL"),
        ("abfs://c@account/x?client_secret=hunter2", OptionError, "abfs://account/x: was given with a secret"),
        ("abfs://c@account/x?sv=2024&sig=hunter2", OptionError, "abfs://account/x: was given with a secret"),
    ],
)
def test_urls_that_cannot_be_used_are_one_message(url: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        locate(url)
    assert str(caught.value).startswith(text)
    assert "hunter2" not in str(caught.value)


def test_a_place_that_a_file_tells_of_is_followed_to_stores_that_the_user_named() -> None:
    assert is_url("s3://bucket/x")
    assert not is_url("x/s3://bucket")
    assert is_reachable("/data/rows.csv")
    assert is_reachable("s3://bucket/data", "model.pt", "s3://bucket/run")
    assert not is_reachable("s3://bucket/data")
    assert not is_reachable("s3://bucket/data", "s3://other/run", Path("run"))
    assert not is_reachable("s3://bucket/data?endpoint_override=evil.example", "s3://bucket/run")


def test_a_circle_of_links_gives_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "links" / "below" / ".hidden").mkdir(parents=True)
    for name in ("b.csv", "below/a.csv", "below/.hidden/c.csv"):
        (tmp_path / "links" / name).touch()
    for name in ("self", "again", "below/up"):  # every further level would double the names
        (tmp_path / "links" / name).symlink_to(tmp_path / "links")
    (tmp_path / "links" / "0.csv").symlink_to("b.csv")
    os.link(tmp_path / "links" / "b.csv", tmp_path / "links" / "z.csv")
    found = [tmp_path / "links" / name for name in ("0.csv", "below/a.csv")]
    assert matching(tmp_path / "links" / "**" / "*.csv") == found
    assert matching(tmp_path / "**" / "*.csv") == found
    assert matching(tmp_path / "links" / "**") == found


def test_two_stars_match_as_pythons_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x.csv", "a/x.csv", "a/b/x.csv", "a/b/y.txt", "c/.x.csv", "c/d/b/z.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    for pattern in (
        "**/*.csv",
        "**",
        "a/**",
        "**/b/*",
        "a/**/x.csv",
        "**/b/**/*.csv",
        "*/**/x.*",
        "no/**/x",
        "**/.x.csv",
    ):
        expected = sorted(Path(name) for name in set(glob.glob(pattern, recursive=True)) if Path(name).is_file())
        assert matching(Path(pattern)) == expected, pattern
