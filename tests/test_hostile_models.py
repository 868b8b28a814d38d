"""A corpus of hostile model files: none runs anything, each is refused in one message that names the culprit.

`test_models_pickles.ATTACKS` holds those that ask for a forbidden name in a pickle; here stand the other roads in:
TorchScript that touches files or hides that it does, programs of torch.export, bombs, absurd shapes, damage.
"""

import functools
import gzip
import io
import lzma
import os
import pickle
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import model_files
import numpy as np
import pytest
import torch
from refusing import MOST_SECONDS, assert_is_one_message, assert_refused_within_bounds
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_models_pickles import ATTACKS
from torch import Tensor, nn

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models import load_model

MIB = 1 << 20
Build = Callable[[Path, Path], None]


class Saving(nn.Module):
    """Writes its inputs to a file whenever it is called."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker

    def forward(self, inputs: Tensor) -> Tensor:
        torch.save(inputs, self.marker)
        return inputs


class Restoring(nn.Module):
    """Restores its state by code of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @torch.jit.export
    def __getstate__(self) -> tuple[int, bool]:
        return self.count, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]) -> None:
        self.count = state[0]
        self.training = state[1]
        while self.count < 1 << 62:
            self.count += 1

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


Change = Callable[[str, bytes], bytes]


def edit(path: Path, change: Change, compression: int = zipfile.ZIP_STORED) -> None:
    """Rewrite the records of a zip archive; a change that finds nothing to change would leave a harmless file."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    changed = {name: change(name, content) for name, content in records.items()}
    assert changed != records
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in changed.items():
            archive.writestr(name, content)


def is_of(record: str, name: str) -> bool:
    """Tell whether a record of an archive is the one meant; torch gives code of a class made before a longer name."""
    return record.removesuffix(".py") in name and name.endswith(Path(record).suffix)


def saving_by(call: bytes) -> Build:
    """A TorchScript file that saves by another spelling of torch.save."""

    def build(path: Path, marker: Path) -> None:
        model_files.save_script(Saving(str(marker)), path)
        if call != b"torch.save":
            edit(path, lambda name, content: content.replace(b"torch.save(", call + b"("))

    return build


def script_with(old: bytes, new: bytes, record: str = "container.py") -> Build:
    def build(path: Path, marker: Path) -> None:
        model_files.save_script(model_files.network(), path)
        edit(path, lambda name, content: content.replace(old, new, 1) if is_of(record, name) else content)

    return build


def restoring(path: Path, marker: Path) -> None:
    model_files.save_script(Restoring(), path)


def of_classes(path: Path, marker: Path) -> None:
    """TorchScript whose pickle names a C++ class."""
    model_files.save_script(model_files.network(), path)
    edit(
        path,
        lambda name, content: b"\x80\x02c__torch__.torch.classes.dist\nStore\n." if "data.pkl" in name else content,
    )


def program(path: Path, change: Change | None = None) -> None:
    exported = torch.export.export(model_files.network(), (model_files.rows(),))
    with path.open("wb") as stream:
        torch.export.save(exported, stream)
    if change is not None:
        edit(path, change)


def program_with_inputs(path: Path, marker: Path) -> None:
    """The first road into a program: its sample inputs are unpickled."""
    buffer = io.BytesIO()
    torch.save(model_files.touch(marker), buffer)
    program(path, lambda name, content: buffer.getvalue() if "sample_inputs" in name else content)


def program_with_weights(path: Path, marker: Path) -> None:
    """The second: weights may be pickled."""
    buffer = io.BytesIO()
    torch.save(model_files.touch(marker), buffer)

    def change(name: str, content: bytes) -> bytes:
        if name.endswith("weight_0"):
            return buffer.getvalue()
        return content.replace(b'"use_pickle": false', b'"use_pickle": true').replace(
            b'"use_pickle":false', b'"use_pickle":true'
        )

    program(path, change)


def program_with_symbols(path: Path, marker: Path) -> None:
    """The third: expressions of symbolic shapes are evaluated."""
    attack = f"__import__('pathlib').Path('{marker}').touch()"
    program(path, lambda name, content: content.replace(b'"as_int"', f'"as_expr":"{attack}","as_int"'.encode()))


def old_program(path: Path, marker: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", pickle.dumps(model_files.touch(marker)))


def program_posing_as_script(path: Path, marker: Path) -> None:
    """An archive of two formats: the more dangerous one decides."""
    program_with_inputs(path, marker)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/constants.pkl", b"\x80\x02).")


def traversing(path: Path, marker: Path) -> None:
    """A zip whose names climb out of any directory it were unpacked to."""
    torch.save(model_files.touch(marker), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"../../../../../..{marker}", b"x")


def weights_elsewhere(path: Path, marker: Path) -> None:
    """A storage whose key climbs out of its archive."""
    torch.save(nn.Linear(2, 2), path)
    edit(path, lambda name, content: content.replace(b"X\x01\x00\x00\x000", b"X\x0b\x00\x00\x00/etc/passwd"))


def bomb(compress: Callable[[bytes], bytes], mib: int = 400) -> Build:
    def build(path: Path, marker: Path) -> None:
        path.write_bytes(compress(b"\x80\x04B" + bytes(mib * MIB)))

    return build


def zip_bomb(record: str) -> Build:
    def build(path: Path, marker: Path) -> None:
        save = model_files.save_script if record.endswith(".py") else model_files.save_zip
        save(model_files.network(), path)
        zeros = b"#" + bytes(128 * MIB)
        edit(path, lambda name, old: old + zeros if is_of(record, name) else old, zipfile.ZIP_DEFLATED)

    return build


def overlapping(path: Path, marker: Path) -> None:
    """A zip whose many records are the same bytes of the file."""
    model_files.save_zip(nn.Linear(1000, 1000), path)
    with zipfile.ZipFile(path, "a") as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
        archive.filelist += [largest] * 500
        archive._didModify = True  # type: ignore[attr-defined]


def repeated(save: Callable[..., Path]) -> Build:
    """A tensor of one number repeated 400 million times: nothing until it is copied."""

    def build(path: Path, marker: Path) -> None:
        module = nn.Sequential(nn.Linear(2, 2).half())
        module[0].weight = nn.Parameter(torch.zeros(1).half().expand(20_000, 20_000))
        save(module, path)

    return build


def constructed(save: Callable[..., Path]) -> Build:
    return lambda path, marker: save(model_files.Call(nn.Linear, 40_000, 40_000), path) and None


def estimator(change: Callable[[object, object], object]) -> Build:
    def build(path: Path, marker: Path) -> None:
        x = np.random.default_rng(0).standard_normal((20, 3))
        pipeline = make_pipeline(
            StandardScaler(with_mean=False, with_std=False), MLPRegressor(hidden_layer_sizes=[3], max_iter=2)
        )
        model_files.quietly(pipeline.fit, x, x[:, 0])
        change(*(step for _, step in pipeline.steps))
        model_files.save_pickle(pipeline, path)

    return build


def count_of_inputs(scaler: StandardScaler, network: MLPRegressor) -> None:
    scaler.n_features_in_ = 2_000_000_000


def other_weights(scaler: StandardScaler, network: MLPRegressor) -> None:
    network.coefs_[1] = np.zeros((7, 1))


def no_weights(scaler: StandardScaler, network: MLPRegressor) -> None:
    network.coefs_ = [{}, "weights"]


def header_of_an_array(path: Path, marker: Path) -> None:
    """joblib's note about an array of 2**40 numbers, of which eight bytes follow."""
    model_files.save_joblib(np.zeros(3), path)
    path.write_bytes(path.read_bytes().replace(b"K\x03\x85", b"\x8a\x06" + (1 << 40).to_bytes(6, "little") + b"\x85"))


def stream(body: bytes, protocol: int = 4) -> Build:
    return lambda path, marker: path.write_bytes(model_files.opcodes(body, protocol)) and None


def doubled(times: int) -> bytes:
    """A tuple of two tuples of two tuples ... that are the same: exponentially large when it is looked through."""
    return b")\x94" + b"".join(2 * (b"h" + bytes([i])) + b"\x86\x94" for i in range(times))


def cyclic(save: Callable[..., Path]) -> Build:
    def build(path: Path, marker: Path) -> None:
        module = nn.Sequential(nn.Linear(2, 2))
        module._modules["again"] = module
        save(module, path)

    return build


def deep_modules(path: Path, marker: Path) -> None:
    """Ten thousand layers within each other, written by hand: pickle itself would not get so deep."""
    layer = model_files.stack_global("torch.nn.modules.container", "Sequential") + b")\x81}("
    layer += model_files.text("training") + b"\x88" + model_files.text("_modules") + b"}" + model_files.text("0")
    path.write_bytes(model_files.opcodes(10_000 * layer + b"N" + 10_000 * b"sub"))


def copied(path: Path, marker: Path) -> None:
    """A megabyte of text that is encoded a thousand times, which five bytes of the stream each ask for."""
    start = model_files.stack_global("_codecs", "encode") + b"\x940" + model_files.text("a" * MIB) + b"\x940"
    start += model_files.text("latin1") + b"\x940"
    path.write_bytes(model_files.opcodes(start + b"(" + 1000 * b"h\x00h\x01h\x02\x86R" + b"t"))


def named_by(names: bytes) -> Build:
    """A layer that carries something else as the names of its inputs."""

    def build(path: Path, marker: Path) -> None:
        state = b"".join(model_files.text(table) + b"}" for table in ("_parameters", "_buffers", "_modules"))
        layer = model_files.stack_global("torch.nn.modules.linear", "Identity") + b")\x81}("
        state += model_files.text("feature_names") + names
        path.write_bytes(model_files.opcodes(layer + state + b"ub"))

    return build


HOSTILE: dict[str, tuple[Build, str]] = {
    "script that saves": (saving_by(b"torch.save"), "uses save"),
    "script that saves by another namespace": (saving_by(b"ops.aten.save"), "uses save"),
    "script that joins a name": (saving_by(b'getattr(torch, "sa" "ve")'), "uses getattr"),
    "script that joins a name over lines": (saving_by(b'getattr(torch,\n    "sa"\n    "ve")'), "uses getattr"),
    "script that escapes a name": (saving_by(b'getattr(torch, "s\\141ve")'), "uses getattr"),
    "script that escapes a name twice": (saving_by(b'getattr(getattr(ops, "aten"), "s\\141ve")'), "uses getattr"),
    "script that loads a tensor": (
        script_with(b"return ", b'ops.debugprims.load_tensor("x")\n    return '),
        "load_tensor",
    ),
    "script of another namespace": (script_with(b"return ", b"ops.c10d.barrier()\n    return "), "operators of c10d"),
    "script of C++ classes": (
        script_with(b"return ", b"a = __torch__.torch.classes.x.Y()\n    return "),
        "C++ classes",
    ),
    "script data of C++ classes": (of_classes, "C++ classes"),
    "script that never ends loading": (restoring, "defines __setstate__"),
    "script of deep brackets": (script_with(b"return ", b"return " + 200_000 * b"("), "nests more than 200"),
    "script of deep blocks": (
        script_with(b"return ", b"".join(b"if True:\n" + b"  " * (3 + i) for i in range(1000)) + b"return "),
        "nests more than 200",
    ),
    "program": (lambda path, marker: program(path), "torch.export program"),
    "program with sample inputs": (program_with_inputs, "torch.export program"),
    "program with pickled weights": (program_with_weights, "torch.export program"),
    "program with symbolic shapes": (program_with_symbols, "torch.export program"),
    "program of an old version": (old_program, "torch.export program"),
    "program that poses as a script": (program_posing_as_script, "torch.export program"),
    "zip with names that climb": (traversing, "posix.system"),
    "weights outside of the archive": (weights_elsewhere, "cannot be read"),
    "zlib bomb": (bomb(functools.partial(zlib.compress, level=1)), "decompresses to more than"),
    "gzip bomb": (bomb(functools.partial(gzip.compress, compresslevel=1)), "decompresses to more than"),
    "xz bomb": (bomb(functools.partial(lzma.compress, preset=0), 200), "decompresses to more than"),
    "bomb in a bomb": (bomb(lambda content: gzip.compress(gzip.compress(content, 1), 1)), "holds no pickle"),
    "zip bomb of weights": (zip_bomb("data/0"), "a zip archive that unpacks to"),
    "zip bomb of a pickle": (zip_bomb("data.pkl"), "a zip archive that unpacks to"),
    "zip bomb of code": (zip_bomb("container.py"), "a zip archive that unpacks to"),
    "zip of overlapping records": (overlapping, "a zip archive that unpacks to"),
    "tensor repeated in a zip": (repeated(model_files.save_zip), "out of bounds for storage"),
    "tensor repeated in a pickle": (repeated(model_files.save_pickle), "out of bounds for storage"),
    "tensor repeated in a legacy file": (repeated(model_files.save_legacy), "out of bounds for storage"),
    "huge layer made in a zip": (constructed(model_files.save_zip), "a call of torch.nn.modules.linear.Linear"),
    "huge layer made in a pickle": (constructed(model_files.save_pickle), "a call of torch.nn.modules.linear.Linear"),
    "scaler of two billion inputs": (estimator(count_of_inputs), "takes 2000000000 inputs"),
    "weights that do not fit": (estimator(other_weights), "do not fit each other"),
    "weights that are none": (estimator(no_weights), "do not fit each other"),
    "array of 2**40 numbers": (header_of_an_array, "cannot be read"),
    "tensor of 2**40 numbers": (
        lambda path, marker: _tensor(path, (1 << 20, 1 << 20), (0, 0)),
        "out of bounds for storage",
    ),
    "tensor of negative strides": (lambda path, marker: _tensor(path, (2, 2), (-1, 1)), "cannot be read"),
    "deep lists": (stream(100_000 * b"]" + 99_999 * b"a"), "nested more than 200 deep"),
    "deep tuples": (stream(b")" + 100_000 * b"\x85"), "nested more than 200 deep"),
    "deep layers": (deep_modules, "cannot be read"),
    "doubled tuples": (stream(doubled(60)), "repeats its parts without end"),
    "doubled tuples as a shape": (
        stream(model_files.stack_global("torch", "Size") + doubled(60) + b"\x85R"),
        "a call of tuple",
    ),
    "layer within itself": (cyclic(model_files.save_pickle), "a Sequential that holds itself"),
    "layer within itself in a zip": (cyclic(model_files.save_zip), "a Sequential that holds itself"),
    "integer of 20 million bytes": (
        stream(b"\x8b" + struct.pack("<i", 20 * MIB) + bytes([1]) * 20 * MIB),
        "holds a int",
    ),
    "integer of a million digits": (stream(b"L" + b"9" * MIB + b"L\n", 0), "cannot be read"),
    "memo of 2**32 entries": (stream(b"Nr\xff\xff\xff\xff"), "holds a NoneType"),
    "name of terminal codes": (stream(b"cos\x1b[2J\nsys\x07tem\n", 2), r"asks for os\x1b[2J.sys\x07tem,"),
    "name of a million letters": (stream(b"c" + b"o" * MIB + b"\nsystem\n", 2), "ooo..., which is not on the list"),
    "extension registry": (stream(b"\x83\xff\xff"), "the extension code 65535"),
    "20 million sets": (stream(20_000_000 * b"\x8f"), "it makes more than 500000 objects"),
    "10 million marks": (stream(10_000_000 * b"("), "it makes more than 500000 objects"),
    "a million layers without states": (
        stream(model_files.stack_global("torch.nn.modules.linear", "Linear") + b"\x94" + 1_000_000 * b"h\x00)\x81"),
        "it makes more than 500000 objects",
    ),
    "bytes copied without end": (copied, "its calls copy far more than the stream holds"),
    "doubled tuples as a key": (stream(doubled(60) + b"}h<Ns"), "a tuple as a key"),
    "doubled tuples in a set": (stream(doubled(60) + b"\x8f(h<\x90"), "a tuple as a key"),
    "doubled tuples in a frozen set": (stream(b"(" + doubled(60) + b"\x91"), "a tuple as a key"),
    "doubled tuples in an old dictionary": (stream(b"(" + doubled(60) + b"Nd"), "a tuple as a key"),
    "doubled tuples as a dtype": (
        stream(doubled(60) + model_files.stack_global("numpy", "dtype") + b"h<\x85R"),
        "a dtype without its code",
    ),
    "doubled tuples as an encoding": (
        stream(doubled(60) + model_files.stack_global("_codecs", "encode") + model_files.text("a") + b"h<\x86R"),
        "text in another encoding",
    ),
    "doubled tuples as names": (named_by(b"(" + doubled(60) + b"t"), "repeats its parts without end"),
    "names that are a layer": (
        named_by(model_files.stack_global("torch.nn.modules.linear", "Linear")),
        "as the feature",
    ),
    "pipe": (lambda path, marker: os.mkfifo(path), "a pipe or device"),
}


def _tensor(path: Path, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    storage = model_files.quietly(torch.zeros(4).storage)
    model_files.save_pickle(
        model_files.Call(torch._utils._rebuild_tensor_v2, storage, 0, size, stride, False, {}), path
    )


CORPUS = HOSTILE | {
    f"{name} (pickle)": ((lambda path, marker, attack=attack: path.write_bytes(attack(marker)) and None), culprit)
    for name, (attack, culprit) in ATTACKS.items()
}
HEAVY = [
    name
    for name in HOSTILE
    if "bomb" in name or any(word in name for word in ("repeated", "huge", "billion", "deep", "million", "without end"))
]


def test_the_corpus_is_as_large_as_the_documents_say() -> None:
    assert (len(HOSTILE), len(CORPUS)) == (66, 109)
    words = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
    assert f"{len(CORPUS)} hostile files" in words


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in HEAVY])
def test_a_hostile_file_runs_nothing_and_is_one_message(name: str, tmp_path: Path) -> None:
    build, culprit = HOSTILE[name]
    path, marker = tmp_path / "model", tmp_path / "marker"
    build(path, marker)
    marker.unlink(missing_ok=True)
    started = time.process_time()
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert not marker.exists()
    assert_is_one_message(str(caught.value), path, culprit)
    assert time.process_time() - started < MOST_SECONDS


@pytest.mark.parametrize("name", HEAVY)
def test_a_bomb_is_refused_within_bounds_of_memory_and_time(name: str, tmp_path: Path) -> None:
    build, culprit = HOSTILE[name]
    path = tmp_path / "model"
    build(path, tmp_path / "marker")
    assert_refused_within_bounds(path, culprit)


ARMED = ["script that saves", "script that joins a name", "script that escapes a name"]


@pytest.mark.parametrize("name", ARMED)
def test_the_scripts_really_write_when_they_are_trusted(name: str, tmp_path: Path) -> None:
    path, marker = tmp_path / "model", tmp_path / "marker"
    HOSTILE[name][0](path, marker)
    marker.unlink(missing_ok=True)
    load_model(path, trust=True).outputs(model_files.rows())
    assert marker.exists()


@pytest.mark.parametrize("name", ["program with sample inputs", "program with pickled weights"])
def test_programs_are_refused_for_a_reason(name: str, tmp_path: Path) -> None:
    path, marker = tmp_path / "model", tmp_path / "marker"
    HOSTILE[name][0](path, marker)
    with pytest.raises(ModelError):
        model_files.quietly(load_model, path, trust=True)
    assert marker.exists()


def test_scripts_with_names_of_any_kind_are_still_read(tmp_path: Path) -> None:
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(3, 1, 8, batch_first=True), 2, enable_nested_tensor=False
    )
    module = nn.Sequential(nn.Sequential(nn.Unflatten(1, (1, 3)), encoder), nn.Flatten(), nn.Linear(3, 1)).eval()
    rows = model_files.rows()
    for path in (
        model_files.save_script(module, tmp_path / "scripted"),
        model_files.save_trace(module, rows, tmp_path / "traced"),
    ):
        try:
            assert torch.allclose(load_model(path).outputs(rows), module(rows), atol=1e-5)
        except UnsafeModelError as error:  # pragma: no cover
            pytest.fail(str(error))
