import json
import os
from pathlib import Path
from typing import Any

import pytest

from ihcli.errors import IhcliError, ModelError, RunError
from ihcli.files.foreign import MOST_NESTING, foreign_json, one_message, parsed_json

VALUES = [{}, [], None, 5, "a", {"a": [1, {"b": None}], "c": -0.5, "d": 10**300, "e": "\U0001f642"}, [[1.0]] * 1000]
BAD = {
    "": "Expecting value",
    "{": "Expecting property name",
    "nonsense": "Expecting value",
    "5 5": "Extra data",
    "[" * 100_000: "nested more than 64 deep",
    '{"a":' * 100_000: "nested more than 64 deep",
    "[" * 65 + "]" * 65: "nested more than 64 deep",
    '{"a":' * 65 + "1" + "}" * 65: "nested more than 64 deep",
    "9" * 5_000: "Exceeds the limit (4300 digits) for integer string conversion",
    "1e999": "the number 1e999 is too large",
    "[NaN]": "NaN is not a number of JSON",
    "-Infinity": "-Infinity is not a number of JSON",
    '{"a": 1, "b": 2, "a": 3}': "holds the key 'a' twice",
    '{"\\u001b[2J": 1, "\\u001b[2J": 2}': "holds the key '\\x1b[2J' twice",
    '["\\ud800"]': "surrogates not allowed",
    '{"\\udfff": 1}': "surrogates not allowed",
    '"a\nb"': "Invalid control character",
    "\ufeff{}": "Unexpected UTF-8 BOM",
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("ascii", [True, False])
def test_what_python_writes_is_read_back(value: Any, ascii: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps(value, ensure_ascii=ascii), encoding="utf-8")
    assert foreign_json(tmp_path / "file", ModelError) == value


@pytest.mark.parametrize(("text", "words"), BAD.items(), ids=range(len(BAD)))
def test_anything_else_is_one_message_that_names_the_file(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RunError) as caught:
        foreign_json(path, RunError, advice="Try again.")
    message = str(caught.value)
    assert message.startswith(f"{path}: not JSON (")
    assert message.endswith("). Try again.")
    assert words in message
    assert message.isprintable()
    assert len(message) < 600


def test_bytes_of_another_encoding_are_one_message() -> None:
    for content in (b"\xff\xfe{\x00}\x00", b'"\xe9"', b"\x00\x00"):
        with pytest.raises(ModelError, match=r"^it: not JSON \("):
            parsed_json(content, "it", ModelError)


def test_nesting_up_to_the_bound_is_read() -> None:
    assert parsed_json("[" * MOST_NESTING + "]" * MOST_NESTING, "it", ModelError)


def test_infinity_is_read_where_it_may_be_there() -> None:
    assert parsed_json("[-Infinity, 1e999]", "it", ModelError, finite=False) == [-float("inf"), float("inf")]


def test_no_more_is_read_than_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(" " * 98 + "[]")
    assert foreign_json(path, ModelError, at_most_bytes=100) == []
    with pytest.raises(ModelError, match="holds more than 99 bytes"):
        foreign_json(path, ModelError, at_most_bytes=99)


def test_a_key_that_is_there_twice_is_found_among_many() -> None:
    many = ",".join(f'"{i}":0' for i in range(200_000))
    with pytest.raises(ModelError, match="holds the key '7' twice"):
        parsed_json("{" + many + ',"7":1}', "it", ModelError)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ModelError, match=f"^{path}: a pipe or device"):
            foreign_json(path, ModelError)
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ModelError, match=rf"^{path}: cannot be opened \("):
            foreign_json(path, ModelError)


def test_a_symbolic_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("[1]")
    (tmp_path / "link").symlink_to("blob")
    assert foreign_json(tmp_path / "link", ModelError) == [1]


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (KeyError("a"), "KeyError: 'a'"),
        (ValueError(), "ValueError"),
        (MemoryError(), "MemoryError"),
        (RecursionError("too\ndeep"), "RecursionError: too"),
        (OSError("\x1b[2J"), r"OSError: \x1b[2J"),
    ],
)
def test_whatever_is_raised_becomes_one_message(raised: Exception, reason: str) -> None:
    with pytest.raises(RunError) as caught, one_message("file", RunError, "read as a run", "Try another."):
        raise raised
    assert str(caught.value) == f"file: cannot be read as a run ({reason}). Try another."


def test_errors_of_ours_are_left_as_they_are() -> None:
    error = IhcliError("words")
    with pytest.raises(IhcliError) as caught, one_message("file", RunError, "read"):
        raise error
    assert caught.value is error
