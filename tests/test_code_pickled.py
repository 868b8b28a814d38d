"""Whole networks of the user's own classes, pickled: read with --code in place of trust; nothing of the file runs."""

import io
import pickle
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files
import networks
import pytest
import torch
from torch import nn

from ihcli.errors import IhcliError
from ihcli.models import load_model

SAME = 1e-6


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The user's file in the current directory, and as a training script has it."""
    networks.write(tmp_path)
    (tmp_path / "net.py").write_text(networks.MODEL)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    return networks.imported(tmp_path)


def save(net: types.ModuleType, content: Any, way: Callable[..., Path], *more: Any) -> None:
    """Save what refers to the modules of a training script, which are forgotten again."""
    import sys

    names = {"net": net, "layers": sys.modules[__name__]}
    names["layers"] = types.ModuleType("layers")
    names["layers"].Block = net.Block  # type: ignore[attr-defined]
    sys.modules.update(names)
    try:
        model_files.quietly(way, content, Path("m.pt"), *more)
    finally:
        for name in names:
            del sys.modules[name]


def refused(code: str = "net.py:Net", **options: Any) -> str:
    with pytest.raises(IhcliError) as caught:
        load_model("m.pt", code=code, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def assert_same(module: nn.Module, code: str = "net.py:Net", **options: Any) -> None:
    rows = model_files.rows(5, 4)
    model = load_model("m.pt", code=code, **options)
    with torch.no_grad():
        assert (model.outputs(rows) - module(rows)).abs().max() < SAME


WRAPPED: dict[str, Callable[[nn.Module], tuple[Any, nn.Module]]] = {
    "alone": lambda net: (net, net),
    "with notes": lambda net: ({"net": net, "epoch": 3, "threshold": 0.3}, net),
    "parallel": lambda net: (nn.DataParallel(net), net),
    "among layers of torch": lambda net: (both := nn.Sequential(net, nn.Softmax(1)), both),
    "averaged": lambda net: (torch.optim.swa_utils.AveragedModel(net), net),
}
WAYS: dict[str, tuple[Any, ...]] = {
    "zip": (model_files.save_zip,),
    "legacy": (model_files.save_legacy,),
    "joblib": (model_files.save_joblib,),
    **{f"protocol {number}": (model_files.save_pickle, number) for number in model_files.PROTOCOLS},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_network_of_ones_own_classes_is_read_with_their_code(way: str, net: types.ModuleType) -> None:
    module = net.Net().eval()
    save(net, module, *WAYS[way])
    assert_same(module)


@pytest.mark.parametrize("name", WRAPPED)
def test_it_is_found_in_what_stands_around_it(name: str, net: types.ModuleType) -> None:
    content, expected = WRAPPED[name](net.Net().eval())
    save(net, content, model_files.save_zip)
    assert_same(expected.eval())


@pytest.mark.parametrize("home", ["__main__", "net", "project.models.net", "train"])
def test_it_may_have_been_saved_under_another_name(home: str, net: types.ModuleType) -> None:
    module = net.Net().eval()
    save(net, module, model_files.save_pickle, 0)
    content = Path("m.pt").read_bytes()
    Path("m.pt").write_bytes(content.replace(b"cnet\nNet\n", f"c{home}\nNet\n".encode()))
    assert_same(module)


def test_what_the_file_asks_for_beside_its_classes_leaves_the_weights(net: types.ModuleType) -> None:
    module = net.Logging(4).eval()
    save(net, module, model_files.save_zip)
    assert "Logging wants arguments that are not given ('width')" in refused("net.py:Logging")
    assert_same(module, "net.py:Logging", code_args=[4])


def test_one_of_several_networks_is_chosen(net: types.ModuleType) -> None:
    one, other = net.Net().eval(), net.Net().eval()
    save(net, {"best": one, "last": other}, model_files.save_zip)
    assert "holds 2 networks, at 'best', 'last'. Try `code_weights=best`" in refused()
    assert_same(other, code_weights="last")
    assert "Did you mean 'best'?" in refused(code_weights="bset")


def test_what_needs_no_code_or_no_arguments_is_told(net: types.ModuleType) -> None:
    torch.save(nn.Sequential(nn.Linear(4, 2)), "m.pt")
    assert "holds a network of torch's own layers, which needs no code. Try without `code`." in refused()
    save(net, net.Net(), model_files.save_zip)
    assert "Try without `code_args`." in refused(code_args=[4])


# Nothing of the file runs, with code as without


def stream(state: bytes, home: str = "net", name: str = "Net") -> None:
    """Write an instance of the user's class with a state of the attacker's."""
    Path("m.pt").write_bytes(model_files.opcodes(model_files.stack_global(home, name) + b")\x81" + state + b"b"))


def attribute(name: str, value: bytes) -> bytes:
    """Return the opcodes of a state with one attribute beside the tables of a layer."""
    tables = b"".join(model_files.text(table) + b"}s" for table in ("_parameters", "_buffers", "_modules"))
    return b"}" + tables + model_files.text(name) + value + b"s"


ATTACKS = {
    "a call": attribute("lr", model_files.stack_global("os", "system") + model_files.text("touch marker") + b"\x85R"),
    "a function of Python": attribute("lr", model_files.stack_global("os", "system")),
    "a function through the user's file": attribute("lr", model_files.stack_global("net", "torch.load")),
    "a module of the user's file": attribute("lr", model_files.stack_global("net", "argparse")),
    "forward": attribute("forward", model_files.stack_global("net", "double")),
    "a property": attribute("width", b"K\x04"),
    "a call of the user's function": attribute("lr", model_files.stack_global("net", "double") + b"K\x04\x85R"),
    "an instance with arguments": attribute("lr", model_files.stack_global("net", "Config") + b"K\x04\x85\x81"),
    "a method of a settings object": attribute(
        "config",
        model_files.stack_global("net", "Config")
        + b")\x81}"
        + model_files.text("__eq__")
        + model_files.stack_global("net", "double")
        + b"sb",
    ),
    "any attribute of torch": attribute(
        "lr",
        model_files.stack_global("builtins", "getattr")
        + model_files.stack_global("torch._C", "_VariableFunctionsClass")
        + model_files.text("from_file")
        + b"\x86Rb",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_file_that_reaches_for_more_runs_nothing(name: str, net: types.ModuleType, tmp_path: Path) -> None:
    stream(ATTACKS[name])
    message = refused()
    assert message.startswith("m.pt: ")
    assert not (tmp_path / "marker").exists()


def test_only_what_the_users_files_define_can_be_asked_for(net: types.ModuleType) -> None:
    from ihcli.files.code import Code
    from ihcli.models.code.importing import run_code

    ran = run_code(Code.of("net.py:Net"))
    assert ran.defined("net", "Net") is ran.value
    assert ran.defined("layers", "Block").__name__ == "Block"
    for module, name in (
        *(("net", "torch"), ("net", "nn.Module"), ("net", "torch.load"), ("net", "F.relu"), ("net", "Net.forward")),
        *(("os", "system"), ("builtins", "eval"), ("net", "__builtins__"), ("net", "Net.__init__.__globals__")),
        *(
            ("torch", "load"),
            ("subprocess", "Popen"),
            ("net", ""),
            ("", "Net.__class__"),
            ("net", "argparse.Namespace"),
        ),
    ):
        assert ran.defined(module, name) is None, (module, name)


def test_trust_and_code_do_not_make_the_file_run(net: types.ModuleType, tmp_path: Path) -> None:
    model_files.save_zip({"x": model_files.touch(tmp_path / "marker")}, Path("m.pt"))
    refused(trust=True)
    assert not (tmp_path / "marker").exists()


def test_the_attack_would_run_if_it_were_read_freely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call = model_files.stack_global("os", "system") + model_files.text("touch marker") + b"\x85R"
    pickle.load(io.BytesIO(model_files.opcodes(call)))
    assert (tmp_path / "marker").exists()
