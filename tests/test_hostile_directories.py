"""A corpus of hostile Hugging Face directories: each is one message, within bounds of memory and time."""

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import pytest
from fuzzing import outcome
from prepared import python
from refusing import MOST_GROWTH_MIB, MOST_SECONDS

from ihcli.models import load_model
from ihcli.models.checkpoints.tokenization import check_pipeline

HUGE = 10**9
Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.save(tmp_path_factory.mktemp("good") / "bert")


def change(directory: Path, name: str, changes: dict[str, Any]) -> None:
    path = directory / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def settings(**changes: Any) -> Spoil:
    return lambda directory: change(directory, "config.json", changes)


def tokenizer(**changes: Any) -> Spoil:
    return lambda directory: change(directory, "tokenizer.json", changes)


def tokenizer_settings(**changes: Any) -> Spoil:
    return lambda directory: change(directory, "tokenizer_config.json", changes)


def content(name: str, text: str) -> Spoil:
    return lambda directory: (directory / name).write_text(text)


def pipe(name: str) -> Spoil:
    def spoil(directory: Path) -> None:
        (directory / name).unlink(missing_ok=True)
        os.mkfifo(directory / name)

    return spoil


def link(name: str, target: str) -> Spoil:
    def spoil(directory: Path) -> None:
        (directory / name).unlink(missing_ok=True)
        (directory / name).symlink_to(target)

    return spoil


def listening(directory: Path) -> None:
    """A socket; its name is short, as the system asks, and it is moved into place."""
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(directory)
        try:
            server.bind("socket")
        finally:
            os.chdir(before)


def pipe_below(directory: Path) -> None:
    (directory / "additional_chat_templates").mkdir()
    os.mkfifo(directory / "additional_chat_templates" / "default.jinja")


def header(edit: Callable[[dict[str, Any]], object]) -> Spoil:
    """Rewrite the header of the weights, in as many bytes as it takes."""

    def spoil(directory: Path) -> None:
        path = directory / "model.safetensors"
        raw = path.read_bytes()
        length = struct.unpack("<Q", raw[:8])[0]
        entries = json.loads(raw[8 : 8 + length])
        edit(entries)
        written = json.dumps(entries).encode()
        path.write_bytes(struct.pack("<Q", len(written)) + written + raw[8 + length :])

    return spoil


def header_length(length: int) -> Spoil:
    def spoil(directory: Path) -> None:
        path = directory / "model.safetensors"
        path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])

    return spoil


def tensor(**changes: Any) -> Spoil:
    return header(lambda entries: entries["classifier.weight"].update(changes))


def overlap(entries: dict[str, Any]) -> None:
    first, second = (name for name in entries if name in ("classifier.bias", "bert.pooler.dense.bias"))
    entries[second]["data_offsets"][0] = entries[first]["data_offsets"][0]


def shards(names: Any) -> Spoil:
    def spoil(directory: Path) -> None:
        (directory / "model.safetensors").rename(directory.parent / "outside.safetensors")
        (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))

    return spoil


def replacing(pattern: str, replacement: str, times: int = 1) -> dict[str, Any]:
    step = {"type": "Replace", "pattern": {"String": pattern}, "content": replacement}
    return {"type": "Sequence", "normalizers": [step] * times}


def charsmap(replacement: str) -> dict[str, Any]:
    table = struct.pack("<I", 4) + bytes(4) + b"a\0" + replacement.encode() + b"\0"
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}


def split(expression: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def template(times: int, ids: int) -> dict[str, Any]:
    token = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [token] * times + [{"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2] * ids, "tokens": ["[CLS]"] * ids}},
    }


def labels(count: int) -> dict[str, str]:
    return {str(i): str(i) for i in range(count)}


DEEP = '{"a":' * 100_000
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
CORPUS: dict[str, tuple[Spoil, str]] = {
    "10 million layers": (
        settings(num_hidden_layers=10_000_000),
        "its num_hidden_layers is 10000000, more than the number",
    ),
    "more layers than tensors": (settings(num_hidden_layers=60), "its num_hidden_layers is 60, more than the number"),
    "a billion labels": (settings(num_labels=HUGE, id2label=None, label2id=None), "its num_labels is 1000000000"),
    "100,000 labels by name": (settings(id2label=labels(100_000)), "its length of id2label is 100000"),
    "100,000 names of labels": (
        settings(label2id=dict.fromkeys(labels(100_000), 0)),
        "its length of label2id is 100000",
    ),
    "a billion words": (settings(vocab_size=HUGE), "its vocab_size is 1000000000, more than any size"),
    "a billion hidden units": (settings(hidden_size=HUGE), "its hidden_size is 1000000000"),
    "a billion positions": (settings(max_position_embeddings=HUGE), "its max_position_embeddings is 1000000000"),
    "a billion units within": (settings(intermediate_size=HUGE), "its intermediate_size is 1000000000"),
    "a billion heads": (settings(num_attention_heads=HUGE), "its num_attention_heads is 1000000000"),
    "a billion segments": (settings(type_vocab_size=HUGE), "its type_vocab_size is 1000000000"),
    "a billion somewhere deep": (settings(text_config={"hidden_size": [HUGE]}), "its hidden_size is 1000000000"),
    "100,000 by 100,000": (settings(hidden_size=100_000, intermediate_size=100_000), "asks for a model of"),
    "sizes left to the defaults": (
        content("config.json", '{"architectures": ["BertForSequenceClassification"], "model_type": "bert"}'),
        "asks for a model of",
    ),
    "no heads": (settings(num_attention_heads=0), ": cannot be "),
    "negative heads": (settings(num_attention_heads=-2), "cannot be explained by its token embeddings"),
    "architectures that are none": (settings(architectures=[None]), "its architectures are not names"),
    "architectures of lists": (
        settings(architectures=[["BertForSequenceClassification"]]),
        "its architectures are not names",
    ),
    "architectures of terminal codes": (settings(architectures=["\x1b[2J"]), r"\x1b[2J. Expected a text classifier"),
    "deep settings": (content("config.json", DEEP), "config.json: not JSON (lists and objects are nested more than 64"),
    "settings of a long number": (
        content("config.json", '{"a": ' + "9" * 5000 + "}"),
        "config.json: not JSON (Exceeds",
    ),
    "settings twice": (content("config.json", '{"a": 1, "a": 2}'), "holds the key 'a' twice"),
    "settings of 5 MB": (content("config.json", " " * 5_000_000 + "{}"), "config.json: holds more than"),
    "weights named by settings": (settings(transformers_weights="../x.safetensors"), "names its weights itself"),
    "a negative length": (tokenizer_settings(model_max_length=-5), "its model_max_length is -5"),
    "a length that is a word": (tokenizer_settings(model_max_length="x"), "its model_max_length is 'x'"),
    "a length that is a list": (tokenizer_settings(model_max_length=[[1]]), "its model_max_length is [[1]]"),
    "a tokenizer of two": (tokenizer_settings(tokenizer_class="RagTokenizer"), "tokenizer"),
    "a tokenizer of another package": (tokenizer_settings(tokenizer_class="MistralCommonBackend"), "tokenizer"),
    "a tokenizer's file elsewhere": (
        tokenizer_settings(tokenizer_file="/etc/passwd"),
        "names a file elsewhere (tokenizer_file)",
    ),
    "deep settings of the tokenizer": (content("tokenizer_config.json", DEEP), "tokenizer_config.json: not JSON"),
    "a deep tokenizer": (content("tokenizer.json", DEEP), "tokenizer.json: not JSON"),
    "deep special tokens": (content("special_tokens_map.json", DEEP), "special_tokens_map.json: not JSON"),
    "deep added tokens": (content("added_tokens.json", "[" * 100_000), "added_tokens.json: not JSON"),
    "a thousand letters of one, four times": (
        tokenizer(normalizer=replacing("a", "a" * 1000, 4)),
        "makes more than 256 letters",
    ),
    "two letters of one, ten times": (tokenizer(normalizer=replacing("a", "aa", 10)), "makes more than 256 letters"),
    "letters out of nothing": (tokenizer(normalizer=replacing("", "a" * 300)), "makes more than 256 letters"),
    "letters before each": (
        tokenizer(normalizer={"type": "Prepend", "prepend": "a" * 300}),
        "makes more than 256 letters",
    ),
    "letters of a table": (tokenizer(normalizer=charsmap("b" * 300)), "makes more than 256 letters"),
    "a table that is none": (
        tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "!"}),
        "its tokenizer",
    ),
    "bytes of bytes": (
        tokenizer(pre_tokenizer={"type": "Sequence", "pretokenizers": [BYTES] * 5}),
        "makes more than 256 letters",
    ),
    "a pattern without end": (tokenizer(pre_tokenizer=split("(a+)+$")), "repeats what it repeats"),
    "a deep pattern without end": (tokenizer(pre_tokenizer=split("((?:a*)b?)*c")), "its tokenizer"),
    "a thousand tokens around each text": (tokenizer(post_processor=template(1, 1000)), "adds more than 64 tokens"),
    "tokens of tokens": (tokenizer(post_processor=template(60, 60)), "adds more than 64 tokens"),
    "steps that are not known": (tokenizer(normalizer={"type": "Exec"}), "of a kind that is not known (Exec)"),
    "steps that are no steps": (tokenizer(pre_tokenizer=[1]), "of a kind that is not known (list)"),
    "words of a billion letters": (
        tokenizer(
            model={
                "type": "WordPiece",
                "max_input_chars_per_word": HUGE,
                "unk_token": "[UNK]",
                "vocab": {"[UNK]": 0},
                "continuing_subword_prefix": "##",
            }
        ),
        "words of up to 1000000000 letters",
    ),
    **{
        f"a pipe as {name}": (pipe(name), f"/{name}: a pipe or device")
        for name in (
            "tokenizer_config.json",
            "tokenizer.json",
            "special_tokens_map.json",
            "model.safetensors",
            "vocab.txt",
            "notes.md",
        )
    },
    "a pipe below": (pipe_below, "/default.jinja: a pipe or device"),
    "a socket": (listening, "/socket: a pipe or device"),
    "a device by a link": (link("generation_config.json", "/dev/zero"), "/generation_config.json: a pipe or device"),
    "a link to nothing": (link("added_tokens.json", "nowhere"), "/added_tokens.json: a link to nothing"),
    "a link to itself": (link("vocab.txt", "vocab.txt"), "/vocab.txt: a link to nothing"),
    "a header beyond the file": (header_length(1 << 40), "cannot be read as safetensors (a header of"),
    "a header of nothing": (header_length(0), "cannot be read as safetensors (a header of 0"),
    "a header of other text": (header_length(20), "model.safetensors: not JSON"),
    "a tensor beyond the file": (tensor(data_offsets=[0, 1 << 40]), "has other bytes than its shape asks for"),
    "a tensor of another shape": (tensor(shape=[2, 1 << 40]), "has other bytes than its shape asks for"),
    "a tensor of a negative side": (tensor(shape=[-2, -16]), "has no dtype, shape and place"),
    "a tensor of no dtype": (tensor(dtype=["F32"]), "has no dtype, shape and place"),
    "a tensor that is a word": (header(lambda entries: entries.update({"x": "y"})), "has no dtype, shape and place"),
    "tensors that overlap": (header(overlap), "cannot be read as safetensors"),
    "weights outside": (shards({"a": "../outside.safetensors"}), "names '../outside.safetensors'"),
    "weights by an absolute path": (shards({"a": "/etc/passwd"}), "names '/etc/passwd'"),
    "weights that are a number": (shards({"a": 5}), "names '5'"),
    "weights that are a list": (shards(["a"]), "no weight_map"),
}
"""How each directory is spoilt, and what the message says."""
MEASURED = """
import json, resource, sys, time
from ihcli.errors import ModelError
from ihcli.models import load_model
good, *paths = sys.argv[1:]
load_model(good)
for path in paths:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    message = "no error"
    try:
        load_model(path)
    except ModelError as error:
        message = str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([grown // 1024, time.process_time() - started, message]))
"""


def test_a_hostile_directory_is_one_message_within_bounds(good: Path, tmp_path: Path) -> None:
    """All of them in one process, which a hang would hold up and what is kept would fill."""
    paths = []
    for at, (spoil, _) in enumerate(CORPUS.values()):
        paths.append(tmp_path / str(at) / "model")
        shutil.copytree(good, paths[-1])
        spoil(paths[-1])
    done = subprocess.run(
        [python(), "-c", MEASURED, str(good), *map(str, paths)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    for (name, (_, words)), path, line in zip(CORPUS.items(), paths, done.stdout.splitlines(), strict=True):
        grown_mib, seconds, message = json.loads(line)
        assert words in message, name
        assert message.startswith(str(path)), name
        assert message.isprintable(), name
        assert len(message) < 1500, name
        assert grown_mib < MOST_GROWTH_MIB, name
        assert seconds < MOST_SECONDS, name


VALUES: tuple[Any, ...] = (None, "x", -1, HUGE, [], {}, [[None]], 0.5, True, "", {"a": {"b": [1]}}, 0)


@pytest.mark.parametrize("at", range(4))
def test_settings_of_any_kind_are_a_model_or_one_message(at: int, good: Path, tmp_path: Path) -> None:
    """Every key of a good config.json and tokenizer_config.json with a third of the values; all, over the four."""
    for name in ("config.json", "tokenizer_config.json"):
        for number, key in enumerate(json.loads((good / name).read_text())):
            value = VALUES[(number + 3 * at) % len(VALUES)]
            directory = tmp_path / f"{name}-{key}"
            shutil.copytree(good, directory)
            change(directory, name, {key: value})
            assert outcome(load_model, directory) is None, (key, value)
            shutil.rmtree(directory)


def test_links_to_files_are_read_as_a_cache_has_them(good: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for file in good.iterdir():
        (tmp_path / "model" / file.name).symlink_to(file)
    assert load_model(tmp_path / "model").n_inputs is None


LAST = r"[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
HONEST: dict[str, dict[str, Any]] = {
    "T5": {
        "normalizer": {"type": "Sequence", "normalizers": [charsmap("ﷺ" * 18), replacing("  ", "▁")["normalizers"][0]]},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁"}],
        },
    },
    "Llama 3": {
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                split(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?" + LAST),
                BYTES,
            ],
        },
        "decoder": BYTES,
    },
    "GPT-4o": {
        "pre_tokenizer": split(r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]*[\p{Ll}\p{Lm}]+(?i:'s|'t|'re)?|\p{N}{1,3}| ?" + LAST)
    },
    "Gemma": {
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
    },
    "XLNet": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                *replacing("``", '"', 2)["normalizers"],
                {"type": "NFKD"},
                {"type": "StripAccents"},
                charsmap("ﷺ" * 18),
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        }
    },
    "DeBERTa": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Strip", "strip_left": True, "strip_right": True},
                charsmap("ﷺ" * 18),
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        }
    },
    "nothing": {},
}


@pytest.mark.parametrize("name", HONEST)
def test_tokenizers_as_they_are_published_pass(name: str) -> None:
    check_pipeline(HONEST[name], name)


@pytest.mark.parametrize("name", checkpoints.ARCHITECTURES)
def test_tokenizers_of_every_architecture_pass(name: str) -> None:
    tokenizer, _ = checkpoints.ARCHITECTURES[name].tokenizer()
    check_pipeline(json.loads(tokenizer.to_str()), name)
