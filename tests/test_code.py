"""Weights alone, with the user's own code: every saving and every shape of class, and one message for what is wrong."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import model_files
import networks
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import Tensor, nn

import ihcli
from ihcli.cli import main
from ihcli.errors import IhcliError, ModelError, OptionError, RunError
from ihcli.execution.preparation import prepare_run
from ihcli.execution.refusals import parse
from ihcli.files.code import Code, changed_code
from ihcli.models import load_model
from ihcli.runs.request import RunRequest

SAME = 0.0
"""The same weights in the same code: not even rounding differs."""
HALF = 2e-3
FOLDED = 1e-6
"""A norm is computed once, in another order than at every call."""

State = dict[str, Tensor]


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The user's file, in the current directory, as a training script has it."""
    networks.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    return networks.imported(tmp_path)


def trained(module: nn.Module, width: int = 4) -> nn.Module:
    """Give a network buffers that have seen data, and weights unlike those that it is made with."""
    module.train()
    model_files.quietly(module, torch.randn(30, width))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module.eval()


def assert_same(model: ihcli.Model, module: nn.Module, tolerance: float = SAME, width: int = 4) -> None:
    rows = model_files.rows(9, width, model.dtype)
    with torch.no_grad():
        found, expected = model.outputs(rows), module(rows.to(next(module.parameters()).dtype)).to(model.dtype)
    assert (found - expected.reshape(found.shape)).abs().max() <= tolerance
    assert found.std() > 0.01


def refused(path: str, code: str, **options: Any) -> str:
    with pytest.raises(IhcliError) as caught:
        load_model(path, code=code, **options)
    message = str(caught.value)
    assert message.isprintable()
    assert "Try " in message or "try " in message or "Did you mean" in message
    return message


# Savings: the same network in every file that people write

ADAM = {"state": {0: {"exp_avg": torch.ones(8, 4)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


class Options(dict):  # type: ignore[type-arg]
    pass


def lightning(state: State, **more: Any) -> dict[str, Any]:
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.1",
        "state_dict": {f"model.{name}": value for name, value in state.items()},
        "callbacks": {"EarlyStopping{'monitor': 'val'}": {"best_score": torch.tensor(0.3), "patience": 3}},
        "optimizer_states": [ADAM],
        "lr_schedulers": [],
        "loops": {"fit_loop": {"state_dict": {}}},
        "hparams_name": "kwargs",
        "hyper_parameters": {"width": 4, "hidden": 8, "lr": 0.01},
        **more,
    }


def with_prefix(state: State, prefix: str) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


SAVINGS: dict[str, Callable[[nn.Module], Any]] = {
    "state_dict": lambda net: net.state_dict(),
    "checkpoint": lambda net: {"epoch": 3, "model_state_dict": net.state_dict(), "optimizer_state_dict": ADAM},
    "a name of one's own": lambda net: {"hello": net.state_dict(), "acc": 0.9},
    "deep in it": lambda net: {"a": {"b": [1, {"c": net.state_dict()}]}},
    "a list": lambda net: [net.state_dict(), 3],
    "objects of the script beside it": lambda net: {"net": net.state_dict(), "options": Options(a=1)},
    "paths beside it": lambda net: {"net": net.state_dict(), "path": Path("x"), "when": {Options: 1}},
    "notes among the weights": lambda net: {**net.state_dict(), "epoch": 3, "loss": 0.1},
    "arrays": lambda net: {name: value.numpy() for name, value in net.state_dict().items()},
    "Lightning": lambda net: lightning(net.state_dict()),
    "Lightning with a loss": lambda net: lightning(
        {}, state_dict=with_prefix(net.state_dict(), "model.") | {"loss.weight": torch.ones(2)}
    ),
    "DataParallel": lambda net: nn.DataParallel(net).state_dict(),
    "compiled": lambda net: with_prefix(net.state_dict(), "_orig_mod."),
    "compiled inside": lambda net: {
        name.replace("first.", "first._orig_mod."): value for name, value in net.state_dict().items()
    },
    "parallel inside": lambda net: {
        name.replace("first.", "first.module."): value for name, value in net.state_dict().items()
    },
    "both around Lightning": lambda net: {"state_dict": with_prefix(net.state_dict(), "module.model._orig_mod.")},
    "averaged": lambda net: torch.optim.swa_utils.AveragedModel(net).state_dict(),
    "without counts of batches": lambda net: {
        name: value for name, value in net.state_dict().items() if "num_batches" not in name
    },
    "twice the same": lambda net: {"model": net.state_dict(), "best": dict(net.state_dict())},
    "beside another network": lambda net: {"model": net.state_dict(), "other": nn.Linear(7, 3).state_dict()},
}
WAYS: dict[str, Callable[[Any, Path], Path]] = {
    "zip": model_files.save_zip,
    "legacy": model_files.save_legacy,
    "pickle": model_files.save_pickle,
    "joblib": model_files.save_joblib,
}


@pytest.mark.parametrize("name", SAVINGS)
def test_weights_are_found_wherever_they_stand(name: str, net: ModuleType) -> None:
    module = trained(net.Net(4))
    way = list(WAYS)[list(SAVINGS).index(name) % len(WAYS)]
    for each in {"zip", way}:
        if name == "paths beside it" and each == "joblib":
            continue
        path = WAYS[each](SAVINGS[name](module), Path("m.pt"))
        model = load_model(path, code="net.py:Net", code_args={"width": 4})
        assert_same(model, module)
        assert model.n_inputs == 4
        assert bool(model.notes) is (name in ("Lightning with a loss", "averaged"))


def test_nothing_of_the_file_runs(net: ModuleType, tmp_path: Path) -> None:
    module, marker = trained(net.Net(4)), tmp_path / "marker"
    for way in WAYS.values():
        way({"net": module.state_dict(), "evil": model_files.touch(marker)}, Path("m.pt"))
        assert_same(load_model("m.pt", code="net.py:Net", code_args=[4]), module)
        assert not marker.exists()


def test_safetensors_are_read_one_file_or_many(net: ModuleType, tmp_path: Path) -> None:
    module = trained(net.Net(4))
    state = module.state_dict()
    save_file(state, "one.safetensors")
    names, shards = list(state), ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    parts = {shards[0]: names[:3], shards[1]: names[3:]}
    (tmp_path / "many").mkdir()
    for file, some in parts.items():
        save_file({name: state[name] for name in some}, tmp_path / "many" / file)
    places = {name: file for file, some in parts.items() for name in some}
    index = {"metadata": {"total_size": 9}, "weight_map": places}
    (tmp_path / "many" / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    for path in ("one.safetensors", "many", "many/model.safetensors.index.json"):
        assert_same(load_model(path, code="net.py:Net", code_args=[4]), module)
        with pytest.raises(
            ModelError, match=r"without the network\. .*Try `code=net\.py:Net`, with the file and class"
        ):
            load_model(path)
    (tmp_path / "many" / shards[1]).unlink()
    assert f"{shards[1]} missing, which model.safetensors.index.json names" in refused("many", "net.py:Net")


def test_settings_beside_safetensors_are_proposed_as_arguments(net: ModuleType, tmp_path: Path) -> None:
    """As a hub's mixin saves a class: config.json has what it was called with."""
    (tmp_path / "hub").mkdir()
    module = trained(net.Net(4, 16))
    save_file(module.state_dict(), tmp_path / "hub" / "model.safetensors")
    (tmp_path / "hub" / "config.json").write_text(json.dumps({"width": 4, "hidden": 16}))
    message = refused("hub", "net.py:Net")
    assert "Try `code_args='{\"width\": 4}'`, as the file has it." in message
    assert_same(load_model("hub", code="net.py:Net", code_args={"width": 4, "hidden": 16}), module)


def test_a_script_gives_its_weights(net: ModuleType) -> None:
    module = trained(net.Small())
    model_files.save_script(module, Path("m.pt"))
    assert_same(load_model("m.pt", code="net.py:Small"), module)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_keep_their_precision_and_half_ones_are_widened(dtype: torch.dtype, net: ModuleType) -> None:
    module = trained(net.Net(4))
    torch.save(module.to(dtype).state_dict(), "m.pt")
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    model = load_model("m.pt", code="net.py:Net", code_args=[4])
    assert model.dtype == wanted
    assert_same(model, module.to(wanted))
    assert load_model("m.pt", code="net.py:Net", code_args=[4], dtype=torch.float64).dtype == torch.float64


# Code: every way to make a network

CODES: dict[str, tuple[str, Any, str]] = {
    "class": ("net.py:Net", [4], "Net(4)"),
    "by name": ("net.py:Net", {"width": 4, "hidden": 6}, "Net(4, 6)"),
    "JSON": ("net.py:Net", '{"width": 4, "hidden": 6}', "Net(4, 6)"),
    "a file of JSON": ("net.py:Net", "@args.json", "Net(4, 6)"),
    "positions and defaults": ("net.py:Net", [4, 6, 3, "tanh"], "Net(4, 6, 3, 'tanh')"),
    "a list as argument": ("net.py:MLP", [[4, 9, 7, 2]], "MLP([4, 9, 7, 2])"),
    "function": ("net.py:make_net", [4, 5], "make_net(4, 5)"),
    "function that compiles": ("net.py:compiled", [4], "make_net(4)"),
    "function that spreads": ("net.py:parallel", [4], "make_net(4)"),
    "any keywords": ("net.py:keywords", {"width": 4}, "make_net(4)"),
    "a network": ("net.py:ready", None, "Small()"),
    "a class in a class": ("net.py:Outer.Inner", None, "Small()"),
    "module": ("net:Net", [4], "Net(4)"),
    "package": ("kinds.small:Tiny", None, "Small()"),
    "file of a package": ("kinds/small.py:Tiny", None, "Small()"),
    "a name that is no name": ("03 net-v2.py:Net", [4], "Net(4)"),
    "a name of Python's own": ("types.py:Net", [4], "Net(4)"),
    "a file that runs nothing as a module": ("train.py:Net", [4], "Net(4)"),
    "tied weights": ("net.py:Tied", None, "Tied()"),
    "a buffer that is not saved": ("net.py:Masked", None, "Masked()"),
    "settings as one argument": ("net.py:Lit", {"hidden": 6}, "Lit(hidden=6)"),
    "layers of a width to come": ("net.py:Lazy", None, "Lazy()"),
}


@pytest.mark.parametrize("name", CODES)
def test_code_of_every_kind_makes_the_network(name: str, net: ModuleType, tmp_path: Path) -> None:
    code, arguments, made = CODES[name]
    (tmp_path / "args.json").write_text('{"width": 4, "hidden": 6}')
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "__init__.py").touch()
    (tmp_path / "kinds" / "base.py").write_text(networks.NET.replace("from layers", "from .layers"))
    (tmp_path / "kinds" / "layers.py").write_text(networks.LAYERS)
    (tmp_path / "kinds" / "small.py").write_text("from .base import Small\n\n\nclass Tiny(Small):\n    pass\n")
    for copy in ("03 net-v2.py", "types.py"):
        (tmp_path / copy).write_text(networks.NET)
    (tmp_path / "train.py").write_text(f'{networks.NET}\nif __name__ == "__main__":\n    raise SystemExit(1)\n')
    module = trained(eval(made, vars(net)))
    torch.save(module.state_dict(), "m.pt")
    model = load_model("m.pt", code=code, code_args=arguments)
    assert_same(model, module)
    assert model.code is not None
    assert model.code.name == code
    file = code.rpartition(":")[0].replace(".", "/").replace("/py", ".py")
    assert any(place.startswith(file.partition("/")[0]) for place in model.code.files)


def test_files_beside_the_code_are_known_by_their_hashes(net: ModuleType, tmp_path: Path) -> None:
    torch.save(trained(net.Net(4)).state_dict(), "m.pt")
    before = load_model("m.pt", code="net.py:Net", code_args=[4]).code
    assert before is not None
    assert list(before.files) == ["layers.py", "net.py"]
    assert json.loads(before.arguments or "") == [4]
    (tmp_path / "layers.py").write_text(networks.LAYERS + "\n# another\n")
    after = load_model("m.pt", code="net.py:Net", code_args=[4]).code
    assert after is not None
    assert after.files["net.py"] == before.files["net.py"]
    assert after.files["layers.py"] != before.files["layers.py"]


def test_code_of_the_same_names_elsewhere_is_other_code(net: ModuleType, tmp_path: Path) -> None:
    torch.save(trained(net.Net(4)).state_dict(), "m.pt")
    for folder, factor in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(networks.NET)
        (tmp_path / folder / "layers.py").write_text(networks.LAYERS.replace("(inputs)", f"(inputs) * {factor}", 2))
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / "net.py").write_text(networks.NET)
    rows = model_files.rows(5, 4)
    outputs = [load_model("m.pt", code=f"{each}/net.py:Net", code_args=[4]).outputs(rows) for each in ("one", "two")]
    assert not torch.equal(*outputs)
    assert "No module named 'layers'" in refused("m.pt", "three/net.py:Net", code_args=[4])


def test_nothing_of_the_process_is_left_otherwise(net: ModuleType, tmp_path: Path) -> None:
    noisy = "torch.set_grad_enabled(False)\nprint('hello')\ntorch.manual_seed(9)\n"
    (tmp_path / "net.py").write_text(f"{networks.NET}\n{noisy}")
    torch.save(trained(net.Net(4)).state_dict(), "m.pt")
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_model("m.pt", code="net.py:Net", code_args=[4])
    assert torch.equal(torch.rand(2), expected)
    assert torch.is_grad_enabled()
    assert str(tmp_path) not in sys.path[:-1]


@pytest.mark.parametrize("kind", ["OldNorm", "NewNorm"])
def test_norms_of_weights_are_computed_once(kind: str, net: ModuleType) -> None:
    module = trained(model_files.quietly(getattr(net, kind)))
    torch.save(module.state_dict(), "m.pt")
    model = load_model("m.pt", code=f"net.py:{kind}")
    assert_same(model, module, FOLDED)
    assert not [name for name in model.module.state_dict() if "original" in name or name.endswith(("_g", "_orig"))]


def test_tied_weights_may_be_stored_once(net: ModuleType) -> None:
    module = trained(net.Tied())
    state = {name: value for name, value in module.state_dict().items() if name != "decode.weight"}
    save_file(state, "m.safetensors")
    model = load_model("m.safetensors", code="net.py:Tied")
    assert_same(model, module)
    assert model.module.decode.weight is model.module.encode.weight


def test_a_buffer_that_the_class_no_longer_saves_is_taken_from_the_file(net: ModuleType) -> None:
    module = trained(net.Masked())
    module.mask[1] = 5.0
    torch.save(module.state_dict() | {"mask": module.mask}, "m.pt")
    assert_same(load_model("m.pt", code="net.py:Masked"), module)


def test_weights_of_what_a_class_wraps_are_put_into_it(net: ModuleType) -> None:
    module = trained(net.Lit())
    torch.save(module.model.state_dict(), "m.pt")
    assert_same(load_model("m.pt", code="net.py:Lit"), module)


# Arguments that a Lightning checkpoint has


def test_arguments_of_a_lightning_checkpoint_are_taken_and_may_be_overruled(net: ModuleType) -> None:
    module = trained(net.Lit(4, 6))
    content = lightning({}, state_dict=module.state_dict(), hyper_parameters={"width": 4, "hidden": 6, "other": 1})
    torch.save(content, "m.ckpt")
    assert_same(load_model("m.ckpt", code="net.py:Lit"), module)
    assert_same(load_model("m.ckpt", code="net.py:Net"), module)
    content["hyper_parameters"]["hidden"] = 99
    torch.save(content, "m.ckpt")
    assert_same(load_model("m.ckpt", code="net.py:Lit", code_args={"hidden": 6}), module)


def test_settings_of_a_lightning_checkpoint_are_one_argument_where_they_were(net: ModuleType) -> None:
    module = trained(net.Configured(type("C", (dict,), {"width": 4})(classes=3)))
    told = {"hparams_name": "config", "hyper_parameters": {"width": 4, "classes": 3}}
    torch.save(lightning({}, state_dict=module.state_dict(), **told), "m.ckpt")
    model = load_model("m.ckpt", code="net.py:Configured")
    assert_same(model, module)
    assert model.code is not None
    assert json.loads(model.code.arguments or "") == {"config": {"width": 4, "classes": 3}}


def test_an_argument_that_is_an_object_of_the_file_is_asked_for(net: ModuleType) -> None:
    module = trained(net.Lit(4, 6))
    content = lightning({}, state_dict=module.model.state_dict(), hyper_parameters={"width": Options(a=1), "hidden": 6})
    torch.save(content, "m.ckpt")
    assert "wants arguments that are not given ('width')" in refused("m.ckpt", "net.py:Net")
    assert_same(load_model("m.ckpt", code="net.py:Net", code_args={"width": 4}), module)


# What is wrong, in one message


def save(module: nn.Module) -> nn.Module:
    torch.save(module.state_dict(), "m.pt")
    return module


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no name": ("net.py", {}, "no name in it. Expected FILE.py:NAME or package.module:NAME"),
    "no file": ("nte.py:Net", {}, "`code=nte.py:Net`: nte.py: no such file."),
    "a notebook": ("net.ipynb:Net", {}, "a notebook."),
    "a URL": ("s3://bucket/net.py:Net", {}, "a URL. Expected"),
    "a directory": ("./:Net", {}, "Expected FILE.py:NAME"),
    "no Python": ("broken.py:Net", {}, "`code=broken.py:Net`: broken.py is not Python ('(' was never closed, line 2)"),
    "no such class": ("net.py:Nte", {}, "`code=net.py:Nte`: has no Nte. Expected FILE.py:NAME"),
    "no such module": ("nowhere.net:Net", {}, "fails where it is imported: ModuleNotFoundError: No module named 'now"),
    "a package that is missing": ("missing.py:Net", {}, "No module named 'nonesuch' (missing.py, line 1)."),
    "an import that raises": (
        "raises.py:Net",
        {},
        "fails where it is imported: ZeroDivisionError: division by zero (ra",
    ),
    "an import that ends Python": ("exits.py:Net", {}, "fails where it is imported: SystemExit: 3 (exits.py, line 2)."),
    "a constructor that raises": (
        "net.py:broken",
        {"code_args": [7]},
        "fails where it is called: ValueError: no such w",
    ),
    "not a network": ("net.py:nothing", {}, "gives a dict. Expected a torch module"),
    "a class": ("net.py:a_class", {}, "gives the class Net, not a network."),
    "a number": ("net.py:constant", {}, "is an int. Expected a class or function that makes a torch module."),
    "arguments of a network": (
        "net.py:ready",
        {"code_args": [4]},
        "`code_args`: `code=net.py:ready` is a network, and",
    ),
    "no arguments": (
        "net.py:Net",
        {},
        "Net wants arguments that are not given ('width'). Try `code_args='{\"width\": ...",
    ),
    "another argument": (
        "net.py:Net",
        {"code_args": {"widht": 4}},
        "Net takes no 'widht'. Expected of 'width', 'hidden'",
    ),
    "too many": ("net.py:Net", {"code_args": [1] * 9}, "`code_args`: 9 values, but Net takes 4: 'width', 'hidden'"),
    "broken JSON": ("net.py:Net", {"code_args": '{"a"'}, "`code_args`: not JSON"),
    "a number of JSON": (
        "net.py:Net",
        {"code_args": "4"},
        "`code_args`: one int. Expected a list of values, or an obj",
    ),
    "no file of JSON": ("net.py:Net", {"code_args": "@a.json"}, "a.json: cannot be opened (No such file"),
    "no such weights": ("net.py:Net", {"code_args": [4], "code_weights": "ema"}, "m.pt has no weights there. Expected"),
    "weights at random": ("net.py:Fourier", {}, "makes 'frequencies' at random, and it is not among the weights"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_message(name: str, net: ModuleType, tmp_path: Path) -> None:
    code, options, words = WRONG[name]
    (tmp_path / "broken.py").write_text("x = 1\nclass Net(\n")
    (tmp_path / "missing.py").write_text("import nonesuch\n")
    (tmp_path / "raises.py").write_text("x = 1\ny = x / 0\n")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit(3)\n")
    save(net.Fourier() if name == "weights at random" else net.Net(4))
    assert words in refused("m.pt", code, **options)


def follow(message: str) -> Any:
    """Return the arguments that a message proposes."""
    (told,) = re.findall(r"`code_args='([^']*)'`", message)
    return told


DIFFERENT: dict[str, tuple[str, Any, str, str]] = {
    "width of a layer": ("Net(4, 16)", {"width": 4}, "hidden 16 in the file, 8 in the code: try", "Net"),
    "by position": ("Net(4, 16)", [4], "hidden 16 in the file, 8 in the code: try", "Net"),
    "two at once": ("Net(4, 16, 3)", [4], "hidden 16 in the file, 8 in the code, classes 3 in the file, 2", "Net"),
    "the inputs": ("Net(5)", [4], "width 5 in the file, 4 in the code", "Net"),
    "a list": ("MLP([4, 9, 2])", [[4, 7, 2]], "sizes [4, 9, 2] in the file, [4, 7, 2] in the code", "MLP"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_argument_that_differs_is_named_and_what_is_proposed_fits(name: str, net: ModuleType) -> None:
    made, given, words, kind = DIFFERENT[name]
    module = save(trained(eval(made, vars(net)), 5 if name == "the inputs" else 4))
    message = refused("m.pt", f"net.py:{kind}", code_args=given)
    assert words in message
    assert "of another shape" in message
    model = load_model("m.pt", code=f"net.py:{kind}", code_args=follow(message))
    assert_same(model, module, width=5 if name == "the inputs" else 4)


def test_the_arguments_that_a_checkpoint_notes_are_proposed(net: ModuleType) -> None:
    module = trained(net.Net(4, 8))
    torch.save({"args": Options(width=4), "config": {"width": 4}, "model": module.state_dict()}, "m.pt")
    assert_same(load_model("m.pt", code="net.py:Net", code_args=follow(refused("m.pt", "net.py:Net"))), module)


def test_tensors_that_are_missing_or_strange_are_named(net: ModuleType) -> None:
    state = trained(net.Net(4)).state_dict()
    torch.save({name.replace("last", "head"): value for name, value in state.items()}, "m.pt")
    message = refused("m.pt", "net.py:Net", code_args=[4])
    assert message.startswith("m.pt: its weights do not fit Net of net.py: of 9 tensors ")
    assert "2 are not in the file ('last.weight', 'last.bias')" in message
    assert "2 are not in the code ('head.weight', 'head.bias')" in message


def test_a_class_that_would_leave_weights_out_is_refused(net: ModuleType) -> None:
    module = net.Small()
    torch.save(module.state_dict() | {"head.weight": torch.ones(2, 2)}, "m.pt")
    assert "1 is not in the code ('head.weight')" in refused("m.pt", "net.py:Small")


def test_one_of_several_is_chosen_by_its_key(net: ModuleType) -> None:
    one, other = trained(net.Net(4)), trained(net.Net(4))
    torch.save({"model": one.state_dict(), "ema": {"shadow": other.state_dict(), "decay": 0.9}}, "m.pt")
    message = refused("m.pt", "net.py:Net", code_args=[4])
    assert "holds 2 sets of weights that fit Net, 'model', 'ema.shadow'. Try `code_weights=model`" in message
    for key, module in (("model", one), ("ema.shadow", other), ("ema", other), ("shadow", other)):
        assert_same(load_model("m.pt", code="net.py:Net", code_args=[4], code_weights=key), module)
    assert "Did you mean 'ema.shadow'?" in refused("m.pt", "net.py:Net", code_args=[4], code_weights="ema.shadw")


def test_one_of_several_prefixes_is_chosen_by_it(net: ModuleType) -> None:
    one, other = trained(net.Net(4)), trained(net.Net(4))
    torch.save(with_prefix(one.state_dict(), "model.") | with_prefix(other.state_dict(), "model_ema."), "m.pt")
    assert "'model', 'model_ema'" in refused("m.pt", "net.py:Net", code_args=[4])
    for key, module in (("model", one), ("model_ema", other)):
        assert_same(load_model("m.pt", code="net.py:Net", code_args=[4], code_weights=key), module)


def test_weights_that_the_code_ties_and_the_file_does_not_are_refused(net: ModuleType) -> None:
    state = net.Tied().state_dict()
    torch.save(state | {"decode.weight": state["decode.weight"] + 1}, "m.pt")
    assert "has different weights for 'encode.weight' and 'decode.weight'" in refused("m.pt", "net.py:Tied")


def test_a_file_called_config_beside_weights_may_be_anything(net: ModuleType) -> None:
    module = save(trained(net.Net(4)))
    Path("config.json").write_text("no JSON")
    assert_same(load_model("m.pt", code="net.py:Net", code_args=[4]), module)


def test_a_path_that_climbs_is_the_same_code(net: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = save(trained(net.Net(4)))
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    model = load_model("../m.pt", code="../net.py:Net", code_args=[4])
    assert_same(model, module)
    assert model.code is not None
    assert changed_code(model.code.files, Code.of("../net.py:Net")) == []
    assert changed_code({"/etc/passwd": "0", "../net.py": "0"}, Code.of("../net.py:Net")) == [
        "/etc/passwd",
        "../net.py",
    ]


def test_a_file_without_weights_is_told(net: ModuleType) -> None:
    torch.save({"epoch": 3}, "m.pt")
    assert "holds no tensors by name" in refused("m.pt", "net.py:Small")


def test_a_damaged_file_is_told_as_ever(net: ModuleType) -> None:
    save(net.Small())
    content = Path("m.pt").read_bytes()
    Path("m.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="breaks off"):
        load_model("m.pt", code="net.py:Small")


def test_a_network_of_the_file_needs_no_code(net: ModuleType) -> None:
    (Path("bert")).mkdir()
    (Path("bert") / "config.json").write_text("{}")
    assert "bert: holds no weights (safetensors)" in refused("bert", "net.py:Net")


# What the engines make of it

ENGINES = {"GPT": ("operations", "none"), "Skip": ("operations", "relu x2"), "Chain": ("mlp", "relu x2")}
"""Who takes derivatives, and what is smoothed; of others inspect does not know how many inputs they take."""


@pytest.mark.parametrize("kind", [*ENGINES, "LSTM", "Encoder"])
def test_a_class_is_explained_as_the_network_in_memory_is(kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    """ReLU is smoothed, also where forward calls functions, and a chain of layers gets the closed form."""
    (tmp_path / "net.py").write_text(networks.ZOO)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    module = save(trained(getattr(networks.imported(tmp_path), kind)()))
    rows = model_files.rows(6, 4).numpy()
    model = load_model("m.pt", code=f"net.py:{kind}")
    found, expected = (ihcli.explain(each, rows, target=0) for each in (model, module))
    np.testing.assert_array_equal(found.interactions, expected.interactions)
    assert np.abs(found.interactions).max() > 0
    assert (found.status == "ok").all()
    if kind in ENGINES:
        engine, replaced = ENGINES[kind]
        shown = CliRunner().invoke(main, ["inspect", "m.pt", "--code", f"net.py:{kind}"]).stdout
        assert f"Replaced by SoftPlus  {replaced}\n" in shown
        assert f"Derivative engine     {engine}: " in shown


def test_a_recurrent_class_equals_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.py").write_text(networks.ZOO)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    module = networks.imported(tmp_path).LSTM().double().eval()
    torch.save(module.state_dict(), "m.pt")
    model_files.save_script(module, tmp_path / "script.pt")
    rows = model_files.rows(5, 4, torch.float64).numpy()
    one, other = (
        ihcli.explain(model, rows) for model in (load_model("m.pt", code="net.py:LSTM"), load_model("script.pt"))
    )
    np.testing.assert_allclose(one.interactions, other.interactions, rtol=0, atol=1e-12)


def test_code_that_changes_between_driver_and_worker_is_refused(net: ModuleType, tmp_path: Path) -> None:
    save(trained(net.Net(4)))
    pd.DataFrame(model_files.rows(6, 4).numpy(), columns=list("abcd")).to_csv("d.csv", index=False)
    prepared = prepare_run(parse(RunRequest("m.pt", "d.csv", code="net.py:Net", code_args="[4]")))
    recipe = prepared.recipe("cpu", 1 << 26)
    assert recipe.explainer().original.code == prepared.explainer.original.code
    (tmp_path / "layers.py").write_text(networks.LAYERS.replace("(inputs)\n", "(inputs) * 2\n"))
    with pytest.raises(RunError, match=r"`code=net\.py:Net`: was changed while the run read it"):
        recipe.explainer()
    with pytest.raises(RunError, match=r"layers\.py: was changed"), prepared.unchanged():
        pass


def test_options_are_those_of_the_library() -> None:
    with pytest.raises(OptionError, match="no name in it"):
        load_model(__file__, code="net")
