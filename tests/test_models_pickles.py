"""Pickled torch modules: every way of saving is read, and no file runs anything."""

import contextlib
import functools
import io
import os
import pickle
import struct
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import joblib
import model_files
import numpy as np
import pytest
import torch
from torch import nn

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models import load_model
from ihcli.models.pickles import streams

Attack = Callable[[Path], bytes]


def _dumps(content: object, protocol: int = 4) -> bytes:
    return pickle.dumps(content, protocol)


def _torch(content: object, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    model_files.quietly(torch.save, content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _joblib(content: object, **keywords: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(content, buffer, **keywords)
    return buffer.getvalue()


def _deep_joblib_array(marker: Path) -> bytes:
    outer = np.empty(1, dtype=object)
    outer[0] = model_files.object_array(marker)
    return _joblib({"weights": outer})


def _getattr_chain(marker: Path) -> bytes:
    """getattr(importlib.import_module("os"), "system")(command), each step a harmless looking call."""
    module = model_files.stack_global("importlib", "import_module") + model_files.text("os") + b"\x85R"
    function = model_files.stack_global("builtins", "getattr") + module + model_files.text("system") + b"\x86R"
    return model_files.opcodes(function + model_files.text(f"touch {marker}") + b"\x85R")


def _nested_torch_load(marker: Path) -> bytes:
    inner = io.BytesIO(_torch(model_files.touch(marker), zipped=True))
    load = functools.partial(torch.load, weights_only=False)
    return _dumps(model_files.Call(load, inner))


def _dotted(marker: Path) -> bytes:
    body = model_files.stack_global("torch.nn.modules.linear", "Linear.forward.__globals__")
    return model_files.opcodes(body)


def _dotted_module(marker: Path) -> bytes:
    function = model_files.stack_global("torch.nn.modules.module", "itertools.sys.modules.get")
    return model_files.opcodes(function + model_files.text("os") + b"\x85R")


def _class_pollution(marker: Path) -> bytes:
    """BUILD with slots on a class would set its attributes for the whole process."""
    state = b"N}\x8c\x07forward" + model_files.stack_global("torch.nn.functional", "relu") + b"s\x86"
    return model_files.opcodes(model_files.stack_global("torch.nn.modules.linear", "Linear") + state + b"b")


def _instance(marker: Path) -> bytes:
    return b"(S'touch " + str(marker).encode() + b"'\nios\nsystem\n."


def _object_opcode(marker: Path) -> bytes:
    return model_files.opcodes(b"(cos\nsystem\n" + model_files.text(f"touch {marker}") + b"o")


def _class_call(marker: Path) -> bytes:
    return model_files.opcodes(model_files.stack_global("torch.nn.modules.linear", "Linear") + b"K\x05K\x05\x86R")


def _function_call(marker: Path) -> bytes:
    return model_files.opcodes(model_files.stack_global("torch.nn.functional", "relu") + b"K\x05\x85R")


def _patched_source(marker: Path) -> bytes:
    """A legacy file whose persistent id brings a class along with the source to compare it with."""
    head = b"".join(_dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    return head + model_files.opcodes(b"(U\x06modulecos\nsystem\nU\x01aU\x01btQ", 2) + _dumps([], 2)


def _sklearn_estimator(marker: Path) -> bytes:
    body = (
        model_files.stack_global("sklearn.neural_network._multilayer_perceptron", "MLPClassifier") + b")\x81}\x8c\x01a"
    )
    return model_files.opcodes(body + pickle.dumps(model_files.touch(marker), 2)[2:-1] + b"sb")


def _touching(marker: Path) -> str:
    return f"__import__('pathlib').Path({str(marker)!r}).touch()"


ATTACKS: dict[str, tuple[Attack, str]] = {
    **{
        f"system, protocol {protocol}": (
            lambda marker, protocol=protocol: _dumps(model_files.touch(marker), protocol),
            "posix.system",
        )
        for protocol in model_files.PROTOCOLS
    },
    "eval": (lambda marker: _dumps(model_files.Call(eval, _touching(marker))), "builtins.eval"),
    "exec": (lambda marker: _dumps(model_files.Call(exec, _touching(marker))), "builtins.exec"),
    "eval, protocol 2": (lambda marker: _dumps(model_files.Call(eval, "1"), 2), "__builtin__.eval"),
    "Popen": (lambda marker: _dumps(model_files.Call(subprocess.Popen, ["touch", str(marker)])), "subprocess.Popen"),
    "open": (lambda marker: _dumps(model_files.Call(open, str(marker), "w")), "io.open"),
    "getattr chain": (_getattr_chain, "builtins.getattr"),
    "partial": (
        lambda marker: _dumps(model_files.Call(functools.partial(os.system, f"touch {marker}"))),
        "functools.partial",
    ),
    "nested torch.load": (_nested_torch_load, "functools.partial"),
    "torch.load": (lambda marker: _dumps(model_files.Call(torch.load, str(marker))), "torch.serialization.load"),
    "jit.load": (lambda marker: _dumps(model_files.Call(torch.jit.load, str(marker))), "torch.jit._serialization.load"),
    "joblib.load": (lambda marker: _dumps(model_files.Call(joblib.load, str(marker))), "joblib.numpy_pickle.load"),
    "numpy.load": (lambda marker: _dumps(model_files.Call(np.load, str(marker))), "numpy.load"),
    "storage in a pickle": (lambda marker: _dumps(model_files.embedded_storage(marker)), "posix.system"),
    "hook in a pickle": (lambda marker: _dumps(model_files.hooked_network(marker)), "posix.system"),
    "hook in a zip": (lambda marker: _torch(model_files.hooked_network(marker), zipped=True), "posix.system"),
    "zip": (lambda marker: _torch(model_files.touch(marker), zipped=True), "posix.system"),
    "legacy": (lambda marker: _torch(model_files.touch(marker), zipped=False), "posix.system"),
    "hook in a legacy file": (lambda marker: _torch(model_files.hooked_network(marker), zipped=False), "posix.system"),
    "joblib": (lambda marker: _joblib(model_files.touch(marker)), "posix.system"),
    "joblib, zlib": (lambda marker: _joblib(model_files.touch(marker), compress=("zlib", 3)), "posix.system"),
    "joblib, xz": (lambda marker: _joblib(model_files.touch(marker), compress=("xz", 3)), "posix.system"),
    "object array": (lambda marker: _dumps(model_files.object_array(marker)), "posix.system"),
    "joblib object array": (lambda marker: _joblib(model_files.object_array(marker)), "posix.system"),
    "joblib array in an array": (_deep_joblib_array, "posix.system"),
    "scikit-learn attribute": (_sklearn_estimator, "posix.system"),
    "dotted name": (_dotted, "torch.nn.modules.linear.Linear.forward.__globals__"),
    "name that a module imports": (_dotted_module, "torch.nn.modules.module.itertools.sys.modules.get"),
    "state of a class": (_class_pollution, "the state of a builtins.type"),
    "INST": (_instance, "os.system"),
    "OBJ": (_object_opcode, "os.system"),
    "call of a layer class": (_class_call, "a call of torch.nn.modules.linear.Linear"),
    "call of a function": (_function_call, "a call of torch.nn.functional.relu"),
    "source patch": (_patched_source, "os.system"),
    "extension code": (lambda marker: model_files.opcodes(b"\x82\x01", 2), "the extension code 1"),
    "persistent id": (lambda marker: model_files.opcodes(b"K\x01Q", 2), "a persistent id"),
    "unknown layer": (lambda marker: _dumps(_Layer()), f"{__name__}._Layer"),
    "unknown layer in a zip": (lambda marker: _torch(_Layer(), zipped=True), f"{__name__}._Layer"),
}


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.linear(inputs).square()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_by_name_and_runs_nothing(name: str, tmp_path: Path) -> None:
    attack, culprit = ATTACKS[name]
    marker, path = tmp_path / "marker", tmp_path / "model"
    path.write_bytes(attack(marker))
    with pytest.raises(UnsafeModelError) as caught:
        load_model(path)
    assert not marker.exists()
    assert culprit in str(caught.value)
    assert str(path) in str(caught.value)
    assert "`trust`" in str(caught.value)


ARMED = [
    *(name for name in ATTACKS if name.startswith(("system", "hook", "object", "joblib,", "joblib o", "joblib a"))),
    *("eval", "exec", "getattr chain", "partial", "storage in a pickle", "zip", "legacy", "joblib", "INST", "OBJ"),
]


@pytest.mark.parametrize("name", ARMED)
def test_the_same_attacks_work_with_trust(name: str, tmp_path: Path) -> None:
    attack, _ = ATTACKS[name]
    marker, path = tmp_path / "marker", tmp_path / "model"
    path.write_bytes(attack(marker))
    with contextlib.suppress(ModelError):
        model_files.quietly(load_model, path, trust=True)
    assert marker.exists()


def test_the_message_of_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    path = model_files.save_pickle(_Layer(), tmp_path / "model")
    with pytest.raises(UnsafeModelError) as caught:
        load_model(path)
    assert str(caught.value) == (
        f"{path}: asks for {__name__}._Layer, which is not on the list of what is loaded without running code. "
        "Expected layers of torch.nn or a multi-layer perceptron, linear model, support vector machine or Gaussian "
        "process of scikit-learn, alone or in a Pipeline with scalers, imputers, encoders of categories and "
        "ColumnTransformer. Nothing of the file was run. Try "
        "`code=net.py:Net` with the file of a class of yours, saving the model as TorchScript with "
        "torch.jit.script(model).save(path), or, only if you trust who made the file, the flag `trust`."
    )


@pytest.mark.parametrize("protocol", model_files.PROTOCOLS)
@pytest.mark.parametrize("save", [model_files.save_pickle, model_files.save_joblib])
def test_every_protocol_is_read(save: Callable[..., Path], protocol: int, tmp_path: Path) -> None:
    module, inputs = model_files.network(), model_files.rows()
    model = load_model(save(module, tmp_path / "model", protocol=protocol))
    assert torch.equal(model.outputs(inputs), module(inputs))


@pytest.mark.parametrize("compress", ["zlib", "gzip", "bz2", "lzma", "xz"])
def test_every_compression_of_joblib_is_read(compress: str, tmp_path: Path) -> None:
    module, inputs = model_files.network(), model_files.rows()
    model = load_model(model_files.save_joblib(module, tmp_path / "model", compress=(compress, 3)))
    assert torch.equal(model.outputs(inputs), module(inputs))


@pytest.mark.parametrize("save", [model_files.save_zip, model_files.save_legacy])
def test_both_formats_of_torch_save_are_read(save: Callable[..., Path], tmp_path: Path) -> None:
    module, inputs = model_files.network(), model_files.rows()
    model = load_model(save(module, tmp_path / "model"))
    assert torch.equal(model.outputs(inputs), module(inputs))
    assert (model.n_inputs, model.dtype, model.path) == (3, torch.float32, tmp_path / "model")
    assert not any(parameter.requires_grad for parameter in model.module.parameters())


@pytest.mark.parametrize("save", [model_files.save_zip, model_files.save_legacy, model_files.save_pickle])
def test_layers_with_activation_functions_and_recurrent_state_are_read(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    encoder = nn.TransformerEncoderLayer(4, 2, 8, activation=nn.functional.gelu, batch_first=True)
    module = nn.Sequential(nn.Unflatten(1, (2, 4)), encoder, nn.Flatten(), nn.LSTM(8, 2)).eval()
    inputs = model_files.rows(n_inputs=8)
    model = load_model(save(module, tmp_path / "model"))
    assert torch.allclose(model.module(inputs)[0], module(inputs)[0], atol=1e-6)


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    layer = nn.Linear(3, 3)
    for save in (model_files.save_pickle, model_files.save_legacy):
        module = load_model(save(nn.Sequential(layer, nn.Tanh(), layer), tmp_path / "model")).module
        assert module[0].weight is module[2].weight  # type: ignore[index]


def test_names_that_the_module_carries_are_read(tmp_path: Path) -> None:
    module = model_files.network()
    module.feature_names, module.output_names = ["a", "b", "c"], ["no", "yes"]  # type: ignore[assignment]
    for save in (model_files.save_pickle, model_files.save_zip):
        model = load_model(save(module, tmp_path / "model"))
        assert (model.feature_names, model.output_names) == (("a", "b", "c"), ("no", "yes"))


def test_half_precision_is_read_as_float32_and_other_dtypes_on_request(tmp_path: Path) -> None:
    path = model_files.save_zip(model_files.network().to(torch.bfloat16), tmp_path / "half")
    assert load_model(path).dtype is torch.float32
    model = load_model(path, dtype=torch.float64)
    assert model.outputs(model_files.rows(dtype=torch.float64)).dtype is torch.float64


@pytest.mark.parametrize("save", [model_files.save_zip, model_files.save_pickle, model_files.save_joblib])
def test_a_class_off_the_list_is_read_with_trust(save: Callable[..., Path], tmp_path: Path) -> None:
    module, inputs = _Layer(), model_files.rows()
    model = load_model(save(module, tmp_path / "model"), trust=True)
    assert torch.equal(model.outputs(inputs), module(inputs))


def test_a_trusted_class_that_is_not_importable_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(model_files.opcodes(model_files.stack_global("nowhere", "Net") + b")\x81"))
    with pytest.raises(ModelError, match=r"cannot be imported here \(No module named 'nowhere'\)\. Try installing"):
        load_model(path, trust=True)


def test_a_dictionary_of_one_model_and_notes_on_its_training_is_read(tmp_path: Path) -> None:
    module, inputs = model_files.network(), model_files.rows()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    content = {"model": module, "epoch": 3, "optimizer": optimizer.state_dict(), "criterion": nn.CrossEntropyLoss()}
    for save in (model_files.save_zip, model_files.save_pickle):
        model = load_model(save(content, tmp_path / "model"))
        assert torch.equal(model.outputs(inputs), module(inputs))
        assert model.format == "pickled torch module (of a dictionary, key 'model')"


@pytest.mark.parametrize("beside", [{"mean": 0.5}, {"threshold": 0.3}, {"ema": nn.Linear(3, 2)}, {"features": ["a"]}])
def test_a_dictionary_that_may_mean_more_than_its_model_is_not_read(beside: dict[str, object], tmp_path: Path) -> None:
    path = model_files.save_zip({"model": model_files.network(), **beside}, tmp_path / "model")
    with pytest.raises(ModelError, match=r"a dictionary \(keys 'model', '\w+'\), not a model"):
        load_model(path)


def test_other_objects_are_refused(tmp_path: Path) -> None:
    path = model_files.save_pickle([1, 2], tmp_path / "list")
    with pytest.raises(ModelError, match="holds a list, not a model"):
        load_model(path)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("save", [model_files.save_pickle, model_files.save_legacy, model_files.save_zip])
def test_a_truncated_file_is_one_message(save: Callable[..., Path], kept: float, tmp_path: Path) -> None:
    path = save(model_files.network(), tmp_path / "model")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ModelError, match=r"(breaks off|cannot be read).* Try saving or copying it again\."):
        load_model(path)


def test_a_small_file_cannot_decompress_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for compress in ("zlib", "bz2", "xz"):
        path = model_files.save_joblib(np.zeros(1_000_000), tmp_path / "model", compress=(compress, 9))
        monkeypatch.setattr(streams, "MAX_DECOMPRESSED_BYTES", 4_000_000)
        with pytest.raises(ModelError, match=r"decompresses to more than 4000000 bytes from \d+"):
            load_model(path)


def test_a_length_beyond_the_end_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for opcode in (b"\x8e", b"\x8d", b"\x96"):
        path.write_bytes(model_files.opcodes(opcode + struct.pack("<Q", 1 << 40) + b"ab", 5))
        with pytest.raises(ModelError, match="breaks off before its end"):
            load_model(path)


class _Array:
    """An array whose state is not what its pickle should say."""

    def __init__(self, *state: object) -> None:
        self.state = state

    def __reduce__(self) -> tuple[object, ...]:
        return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), self.state


@pytest.mark.parametrize(
    "content",
    [
        _Array(1, (1000,), np.dtype("f8"), False, b"short"),
        _Array(1, (1,), np.dtype("O"), False, b"12345678"),
        _Array(1, (1,), np.dtype("f8,i4"), False, b"123456789012"),
        _Array(1, (-1,), np.dtype("f8"), False, b""),
        model_files.Call(np._core.multiarray.scalar, np.dtype("O"), b"12345678"),
        model_files.Call(np._core.multiarray.scalar, np.dtype("f8"), b"123"),
    ],
)
def test_arrays_whose_bytes_do_not_fit_are_never_built(content: object, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read as a pickled model"):
        load_model(model_files.save_pickle(content, tmp_path / "model"))


def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path: Path) -> None:
    storage = model_files.quietly(torch.zeros(4).storage)
    content = model_files.Call(torch._utils._rebuild_tensor_v2, storage, 0, (1000,), (1,), False, OrderedDict())
    with pytest.raises(ModelError, match="out of bounds for storage"):
        load_model(model_files.save_pickle(content, tmp_path / "model"))


def test_a_layer_without_its_state_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(model_files.opcodes(model_files.stack_global("torch.nn.modules.linear", "Linear") + b")\x81"))
    with pytest.raises(ModelError, match="cannot be read as a pickled model"):
        load_model(path)
