"""Wrappers and computed weights: a module that torch wrapped gives the outputs of what it wraps, without trust."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import model_files
import pytest
import torch
from torch import nn
from torch.nn.utils import prune, spectral_norm, weight_norm
from torch.optim.swa_utils import AveragedModel

from ihcli.errors import ModelError
from ihcli.models import load_model
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.plain_layers import unwrapped

SAVINGS = [model_files.save_zip, model_files.save_legacy, model_files.save_pickle]
ROUNDING = 1e-6  # a weight is computed once by us and once by torch
MAKERS: dict[str, Callable[[], nn.Module]] = {}


def maker(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    MAKERS[make.__name__] = make
    return make


@maker
def data_parallel() -> nn.Module:
    return nn.DataParallel(model_files.network())


@maker
def layers_in_data_parallel_of_a_machine_with_gpus() -> nn.Module:
    inner = nn.DataParallel(nn.Sequential(nn.Linear(3, 5), nn.Tanh()))
    inner.device_ids, inner.output_device = [0, 1], 0
    return nn.Sequential(inner, nn.Linear(5, 2))


@maker
def averaged() -> nn.Module:
    model = AveragedModel(model_files.network())
    model.update_parameters(model_files.network(seed=1))
    model.update_parameters(model_files.network(seed=2))
    return model


@maker
def averaged_in_data_parallel() -> nn.Module:
    return nn.DataParallel(AveragedModel(model_files.network()))


@maker
def weight_normed() -> nn.Module:
    module = model_files.network()
    model_files.quietly(weight_norm, module[0])
    model_files.quietly(weight_norm, module[4], dim=None)
    trained(module[0].weight_g)
    return module


@maker
def weight_normed_recurrent() -> nn.Module:
    layer = nn.LSTM(3, 2)
    model_files.quietly(weight_norm, layer, "weight_hh_l0")
    trained(layer.weight_hh_l0_g)
    return layer


@maker
def spectral_normed() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Unflatten(1, (1, 5)), nn.ConvTranspose1d(1, 2, 3))
    for layer in (module[0], module[3]):
        model_files.quietly(spectral_norm, layer)
    module(model_files.rows())
    trained(module[0].weight_orig)
    return module


@maker
def pruned() -> nn.Module:
    module = model_files.network()
    prune.l1_unstructured(module[0], "weight", 0.5)
    prune.random_unstructured(module[0], "weight", 0.3)
    prune.ln_structured(module[4], "weight", 0.5, n=2, dim=1)
    prune.identity(module[4], "bias")
    trained(module[4].weight_orig)
    return module


@maker
def compiled_in_place() -> nn.Module:
    module = model_files.network()
    model_files.quietly(module.compile)
    return module


class First(nn.Module):
    """A class that no list holds."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self.layer(inputs)
        return outputs[0] if isinstance(outputs, tuple) else outputs


def trained(weight: torch.Tensor) -> None:
    """Change a weight as an optimiser would: what was computed of it is stale until the next call."""
    with torch.no_grad():
        weight += torch.linspace(0.1, 0.7, weight.numel()).reshape(weight.shape)


def outputs_of(module: nn.Module) -> torch.Tensor:
    """Return what torch itself gives on this machine, which may lack the devices that a wrapper wants."""
    for part in module.modules():
        if isinstance(part, nn.DataParallel):
            part.device_ids = []
    outputs: torch.Tensor = First(module).eval()(model_files.rows())
    return outputs


def check(module: nn.Module, path: Path, **options: bool) -> None:
    """Compare what was saved with what is read, which has neither hooks nor wrappers left."""
    model = load_model(path, **options)
    outputs = First(model.module)(model_files.rows())
    torch.testing.assert_close(outputs, outputs_of(module), rtol=0, atol=ROUNDING)
    assert not any(part._forward_pre_hooks for part in model.module.modules())
    assert not any(isinstance(part, (nn.DataParallel, AveragedModel)) for part in model.module.modules())


@pytest.mark.parametrize("save", SAVINGS)
@pytest.mark.parametrize("name", MAKERS)
def test_a_wrapped_module_gives_the_outputs_of_the_bare_one(
    name: str, save: Callable[..., Path], tmp_path: Path
) -> None:
    module = MAKERS[name]()
    check(module, model_files.quietly(save, module, tmp_path / "model"))


@pytest.mark.parametrize("name", MAKERS)
def test_a_trusted_class_around_a_wrapped_module_gives_them_too(name: str, tmp_path: Path) -> None:
    module = First(MAKERS[name]())
    check(module, model_files.quietly(model_files.save_zip, module, tmp_path / "model"), trust=True)


def test_a_distributed_module_is_read_without_its_group(tmp_path: Path) -> None:
    with a_group_of_one():
        module = nn.parallel.DistributedDataParallel(model_files.network())
        path = model_files.save_zip(module, tmp_path / "model")
    check(module.module, path)


@contextmanager
def a_group_of_one() -> Iterator[None]:
    distributed = torch.distributed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
        try:
            yield
        finally:
            distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["weight_normed", "spectral_normed", "pruned"])
def test_parts_of_a_weight_that_do_not_fit_are_one_message(name: str, tmp_path: Path) -> None:
    module = MAKERS[name]()
    for weights in (module[0]._parameters, module[0]._buffers):
        for part in ("weight_g", "weight_u", "weight_mask"):
            if part in weights:
                weights[part] = nn.Parameter(torch.ones(1, 7)) if part == "weight_g" else torch.ones(7)
    path = model_files.quietly(model_files.save_zip, module, tmp_path / "model")
    with pytest.raises(ModelError, match="the parts of 'weight' do not fit each other"):
        load_model(path)


def test_a_wrapper_around_itself_or_around_nothing_is_no_module() -> None:
    endless = Record("DataParallel")
    endless.attributes["_modules"] = {"module": endless}
    assert unwrapped(endless) is endless
    assert unwrapped(Record("DataParallel")) is None
    assert unwrapped(model_files) is model_files


@pytest.mark.parametrize("save", [model_files.save_zip, model_files.save_legacy])
def test_a_compiled_module_gives_the_outputs_of_what_was_compiled(save: Callable[..., Path], tmp_path: Path) -> None:
    module = model_files.network()
    check(module, model_files.quietly(save, model_files.quietly(torch.compile, module), tmp_path / "model"))
