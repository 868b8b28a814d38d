"""States of layers: every class of torch.nn is read, and none of its methods can be another's."""

import io
import pickle
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import layer_files
import model_files
import pytest
import torch
from prepared import python
from refusing import MOST_GROWTH_MIB, MOST_SECONDS
from torch import nn
from torch.nn import functional
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models import load_model
from ihcli.models.pickles.allow_list import ForbiddenError
from ihcli.models.pickles.restoring import MOST_LAYERS
from ihcli.models.pickles.unpickling import StrictUnpickler

ABSURD = 10**9
VALUES = ("threshold", "value")  # numbers that count nothing
EVERY = pytest.mark.parametrize("name", layer_files.CLASSES)


def read(content: bytes) -> Any:
    return StrictUnpickler(io.BytesIO(content)).load()


@EVERY
def test_a_layer_of_every_class_is_read_as_it_was(name: str) -> None:
    layer = layer_files.layer(layer_files.CLASSES[name])
    again = read(pickle.dumps(layer))
    assert type(again) is type(layer)
    assert vars(again).keys() == vars(layer).keys()
    assert str(again.state_dict()) == str(layer.state_dict())
    assert layer_files.counts(again) == layer_files.counts(layer)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what a file called: the class and the layer that the files put in place of methods tell."""
    names = list[str]()
    monkeypatch.setattr(nn.Flatten, "__init__", lambda self, *arguments, **keywords: names.append("class"))
    monkeypatch.setattr(nn.Sequential, "__call__", lambda self, *arguments, **keywords: names.append("layer"))
    return names


@EVERY
def test_no_method_of_a_layer_can_be_replaced(name: str, called: list[str]) -> None:
    """A callable under any name that the class, or Python, looks up: methods, properties, hooks, attributes."""
    layer = layer_files.layer(layer_files.CLASSES[name])
    called.clear()
    methods = {method for method in dir(type(layer)) if method not in ("__dict__", "__module__", "__doc__")}
    values = (nn.Flatten, nn.Sequential(), functional.tanh)
    for at, attribute in enumerate(sorted(methods | vars(layer).keys() - {"activation"})):
        with pytest.raises((ForbiddenError, ValueError)):
            read(layer_files.changed(layer, **{attribute: values[at % len(values)]}))
    assert called == []


@EVERY
def test_no_child_weight_or_buffer_can_stand_for_a_method(name: str) -> None:
    layer = layer_files.layer(layer_files.CLASSES[name])
    tables = {"_modules": nn.Flatten(), "_parameters": nn.Parameter(torch.zeros(1)), "_buffers": torch.zeros(1)}
    for table, value in tables.items():
        for method in ("forward", "__call__", "__setstate__", "train", "_apply"):
            with pytest.raises(ForbiddenError, match=f"{method} of a {name}$"):
                read(layer_files.changed(layer, **{table: {**vars(layer)[table], method: value}}))


def test_counts_without_end_are_refused_within_bounds_for_every_class(tmp_path: Path) -> None:
    """In a process of its own, where what it takes can be told."""
    paths = []
    for name, cls in layer_files.CLASSES.items():
        layer = layer_files.layer(cls)
        for count, value in layer_files.counts(layer).items():
            absurd = ABSURD if type(value) is int else (ABSURD,) * len(value)
            if absurd and count not in VALUES:
                paths.append(tmp_path / f"{name}.{count}")
                paths[-1].write_bytes(layer_files.changed(layer, **{count: absurd}))
    code = (
        "import resource, sys, time\n"
        "from ihcli.errors import ModelError\n"
        "from ihcli.models import load_model\n"
        "before, slowest, accepted = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0, []\n"
        "for path in sys.stdin.read().split():\n"
        "    started = time.process_time()\n"
        "    try:\n"
        "        load_model(path)\n"
        "        accepted.append(path)\n"
        "    except ModelError:\n"
        "        pass\n"
        "    slowest = max(slowest, time.process_time() - started)\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(grown // 1024, slowest, *accepted)"
    )
    done = subprocess.run(
        [python(), "-c", code], input="\n".join(map(str, paths)), capture_output=True, text=True, check=True
    )
    grown_mib, slowest, *accepted = done.stdout.split()
    assert len(paths) > 200
    assert accepted == []
    assert int(grown_mib) < MOST_GROWTH_MIB
    assert float(slowest) < MOST_SECONDS


def test_the_layer_that_a_first_state_puts_in_place_of_setstate_is_never_called(called: list[str]) -> None:
    """Two states, one after the other: the first one gives the instance a `__setstate__` of its own."""
    layer = layer_files.with_state(nn.Sequential, vars(nn.Sequential()))
    first = layer_files.changed(layer, __setstate__=nn.Flatten)
    again = pickle.dumps((1, 2), 2)[2:-1] + b"b."
    for content in (first[:-1] + again, first):
        with pytest.raises(ForbiddenError):
            read(content)
    assert called == []


def test_a_state_cannot_be_changed_once_it_was_looked_at(called: list[str]) -> None:
    """The dictionary of hooks is filled behind the state that holds it."""
    state = b"".join(model_files.text(table) + b"}" for table in ("_parameters", "_buffers", "_modules"))
    state += model_files.text("_forward_hooks") + b"h\x00"
    layer = model_files.stack_global("torch.nn.modules.linear", "Identity") + b")\x81}(" + state + b"ub"
    hook = b"h\x00K\x00" + model_files.stack_global("torch.nn.modules.flatten", "Flatten") + b"s0"
    assert read(model_files.opcodes(b"}\x940" + layer))(1) == 1  # and it is whole, though its file left the rest out
    late = model_files.opcodes(b"}\x940" + layer + hook)
    with pytest.raises(ForbiddenError, match="_forward_hooks of a Identity"):
        read(late)
    assert called == []


@pytest.mark.parametrize("hooks", sorted(name for name in vars(nn.Module()) if name.endswith("hooks")))
def test_hooks_are_refused_by_name(hooks: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(layer_files.changed(nn.Linear(2, 1), **{hooks: OrderedDict({0: nn.Tanh()})}))
    with pytest.raises(UnsafeModelError, match=f"holds {hooks} of a Linear, which torch.nn does not put there"):
        load_model(path)


Misfit = Callable[[], nn.Module]


def misfit(layer: nn.Module, **changes: Any) -> Misfit:
    """A layer of which a part was replaced, past the setters of torch."""

    def build() -> nn.Module:
        for name, value in changes.items():
            table = next(
                (table for table in (layer._parameters, layer._buffers, layer._modules) if name in table), None
            )
            if table is None:
                vars(layer)[name] = value
            else:
                table[name] = value
        return layer

    return build


def weights(*shape: int, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    return nn.Parameter(torch.ones(shape, dtype=dtype), requires_grad=dtype.is_floating_point)


def nested(depth: int) -> nn.Module:
    module: nn.Module = nn.Linear(2, 1)
    for _ in range(depth):
        module = nn.Sequential(module)
    return module


def doubled(times: int) -> nn.Module:
    """A network of a few layers that calls its first one 2**times times."""
    module: nn.Module = nn.Tanh()
    for _ in range(times):
        module = nn.Sequential(module, module)
    return module


def same_memory(times: int) -> nn.Module:
    flat = torch.zeros(1 << 20)
    parts = [misfit(nn.Linear(1 << 20, 1, bias=False), weight=nn.Parameter(flat.view(1, -1)))() for _ in range(times)]
    return nn.Sequential(*parts)


ENCODER = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
MISFITS: dict[str, tuple[Misfit, str]] = {
    "linear of another width": (
        misfit(nn.Linear(5, 3), weight=weights(3, 7)),
        r"shape \(3, 7\), but its sizes ask for \(3, 5\)",
    ),
    "linear without weights": (misfit(nn.Linear(5, 3), weight=None), "weight has the shape none"),
    "linear of a long bias": (misfit(nn.Linear(5, 3), bias=weights(4)), "whose bias has the shape"),
    "linear of integers": (
        misfit(nn.Linear(2, 2), weight=weights(2, 2, dtype=torch.int64)),
        "not floating point numbers",
    ),
    "linear of half a feature": (misfit(nn.Linear(2, 2), in_features=2.5), "in_features is not a count"),
    "bilinear of another width": (misfit(nn.Bilinear(2, 3, 4), weight=weights(4, 2, 2)), "a Bilinear whose weight"),
    "norm of other statistics": (misfit(nn.BatchNorm1d(3), running_mean=torch.zeros(4)), "whose running_mean has"),
    "norm of another weight": (misfit(nn.LayerNorm(3), weight=weights(4)), "a LayerNorm whose weight"),
    "norm of odd groups": (misfit(nn.GroupNorm(2, 4), num_groups=3), "4 channels in 3 groups"),
    "norm of no groups": (misfit(nn.GroupNorm(2, 4), num_groups=0), "4 channels in 0 groups"),
    "convolution of odd groups": (misfit(nn.Conv1d(4, 4, 3), groups=3), "4 and 4 channels in 3 groups"),
    "convolution of groups without weights": (misfit(nn.Conv1d(4, 4, 3), groups=2), r"sizes ask for \(4, 2, 3\)"),
    "convolution of another kernel": (misfit(nn.Conv2d(1, 1, 3), kernel_size=(3, 4)), "a Conv2d whose weight"),
    "convolution turned round": (
        misfit(nn.ConvTranspose1d(2, 4, 3), weight=weights(4, 2, 3)),
        "a ConvTranspose1d whose",
    ),
    "embedding of more words": (misfit(nn.Embedding(3, 2), num_embeddings=4), "an? Embedding whose weight"),
    "slopes of other channels": (misfit(nn.PReLU(3), weight=weights(2)), "a PReLU whose weight"),
    "lstm of more layers": (misfit(nn.LSTM(2, 2), num_layers=2), "a LSTM whose weight_ih_l1"),
    "lstm of a million layers": (misfit(nn.LSTM(2, 2), num_layers=1_000_000), "more layers than it has weights"),
    "lstm that is a gru": (misfit(nn.LSTM(2, 2), mode="GRU"), "a LSTM whose mode is another's"),
    "lstm of another width": (misfit(nn.LSTM(2, 2), hidden_size=3), "a LSTM whose weight_ih_l0"),
    "gru cell of another width": (misfit(nn.GRUCell(2, 2), hidden_size=1), "a GRUCell whose weight_ih"),
    "attention of odd heads": (misfit(nn.MultiheadAttention(4, 2), num_heads=3), "of width 4 in 3 heads"),
    "attention of another width": (
        misfit(nn.MultiheadAttention(4, 2), in_proj_weight=weights(12, 3)),
        "whose in_proj_weight",
    ),
    "attention of another exit": (misfit(nn.MultiheadAttention(4, 2), out_proj=nn.Tanh()), "whose out_proj is a Tanh"),
    "transformer of another norm": (
        misfit(nn.TransformerEncoderLayer(4, 2, 8), norm1=nn.BatchNorm1d(4)),
        "whose norm1 is a BatchNorm1d",
    ),
    "transformer of two activations": (misfit(ENCODER, activation=functional.silu), "another activation than it has"),
    "layers too deep": (lambda: nested(150), "nested more than 200 deep"),
    "layers called without end": (lambda: doubled(40), f"more than {MOST_LAYERS} layers"),
    "one layer a million times": (
        lambda: nn.Sequential(*[nn.Tanh()] * (MOST_LAYERS + 1)),
        f"more than {MOST_LAYERS} layers",
    ),
    "padding of gigabytes": (
        misfit(nn.ZeroPad2d(1), padding=(9_000, 9_000, 9_000, 9_000)),
        "whose padding is far beyond",
    ),
    "output of gigabytes": (
        misfit(nn.AdaptiveAvgPool2d(1), output_size=(9_000, 9_000)),
        "whose output_size is far beyond",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_layer_whose_parts_do_not_fit_is_one_message(name: str, tmp_path: Path) -> None:
    build, words = MISFITS[name]
    for save in (model_files.save_pickle, model_files.save_zip, model_files.save_legacy):
        with pytest.raises(ModelError, match=rf"/model: cannot be read .*{words}"):
            load_model(save(build(), tmp_path / "model"))


def test_weights_cannot_be_the_same_memory_many_times(tmp_path: Path) -> None:
    for save in (model_files.save_zip, model_files.save_legacy):
        load_model(save(same_memory(2), tmp_path / "model"))
        with pytest.raises(ModelError, match="weights that are the same memory many times over"):
            load_model(save(same_memory(6), tmp_path / "model"))


def test_a_weight_cannot_hide_behind_an_attribute_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(layer_files.changed(nn.Linear(2, 1), weight=torch.zeros(1, 2)))
    with pytest.raises(ModelError, match="a Linear whose weight is not a weight of it"):
        load_model(tmp_path / "model")


HONEST: dict[str, Misfit] = {
    "old convolution": misfit(nn.Conv1d(1, 2, 3)),
    "transformer of its own activation": lambda: nn.TransformerEncoderLayer(4, 2, 8, activation=nn.SiLU()),
    "transformer of a function": lambda: nn.TransformerEncoderLayer(4, 2, 8, activation=functional.silu),
    "encoder": lambda: nn.TransformerEncoder(ENCODER_OF_TWO, 2),
    "attention of keys and values": lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=5, bias=False, add_bias_kv=True),
    "lstm both ways": lambda: nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2),
    "gru without bias": lambda: nn.GRU(3, 4, 2, bias=False),
    "rnn of relu": lambda: nn.RNN(3, 4, nonlinearity="relu"),
    "convolution of groups": lambda: nn.Conv2d(4, 8, (3, 5), groups=2, padding="same", padding_mode="circular"),
    "convolution turned round": lambda: nn.ConvTranspose2d(4, 8, 3, groups=4, bias=False),
    "norm without weights": lambda: nn.BatchNorm1d(3, affine=False, track_running_stats=False),
    "norm of an image": lambda: nn.LayerNorm((2, 3), bias=False),
    "one layer twice": lambda: nn.Sequential(nn.Linear(3, 3), *[nn.Tanh()] * 2),
    "attributes of its own": misfit(
        nn.Sequential(nn.Linear(2, 1)), created=1_700_000_000, notes={"a": [1, (2.0, None)]}
    ),
    "an exit of its own": misfit(nn.MultiheadAttention(4, 2), out_proj=NonDynamicallyQuantizableLinear(4, 4)),
}
ENCODER_OF_TWO = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)


@pytest.mark.parametrize("name", HONEST)
def test_what_torch_makes_is_still_read(name: str, tmp_path: Path) -> None:
    layer = HONEST[name]()
    for save in (model_files.save_pickle, model_files.save_zip, model_files.save_legacy):
        again = load_model(save(layer, tmp_path / "model")).module
        for (key, tensor), (other, wanted) in zip(again.state_dict().items(), layer.state_dict().items(), strict=True):
            assert key == other
            assert torch.equal(tensor, wanted)


def test_layers_that_were_scripted_before_are_read(tmp_path: Path) -> None:
    network = model_files.network()
    model_files.quietly(torch.jit.script, network)  # leaves an empty __overloads__ in every layer
    torch.save(network, tmp_path / "m.pt")
    rows = model_files.rows()
    assert torch.equal(load_model(tmp_path / "m.pt").module(rows), network.eval()(rows))


def test_states_of_old_versions_of_torch_are_completed() -> None:
    """Attributes that layers once did without."""
    old = {nn.LSTM(2, 2): ("proj_size", 0), nn.Conv1d(1, 1, 1): ("padding_mode", "zeros"), nn.Softmax(): ("dim", None)}
    for layer, (name, value) in old.items():
        state = {key: kept for key, kept in vars(layer).items() if key not in (name, "_state_dict_pre_hooks")}
        again = read(layer_files.changed(layer_files.with_state(type(layer), state)))
        assert getattr(again, name) == value
        assert again._state_dict_pre_hooks == {}


def test_the_advice_on_a_hook_is_right(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 1))
    handle = module[0].register_forward_hook(functional.relu)
    path = model_files.save_zip(module, tmp_path / "model")
    with pytest.raises(UnsafeModelError, match=r"Try taking it off the model before it is saved.* the flag `trust`\.$"):
        load_model(path)
    load_model(path, trust=True)
    handle.remove()
    load_model(model_files.save_zip(module, path))
