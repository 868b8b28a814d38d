"""Pairs that weights let come together: the formula written out, in the library and on the command line."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner, Result
from model_files import save_script
from problems import normal
from torch import nn

from ihcli.cli import main
from ihcli.derivatives.chain import find_chain
from ihcli.integration.compared.nid import strengths


def network(*widths: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [layer for k, m in pairwise(widths) for layer in (nn.Linear(k, m), nn.Tanh())]
    return nn.Sequential(*layers[:-1]).double().eval()


def written_out(net: nn.Sequential, output: int, i: int, j: int) -> float:
    weights = [layer.weight.detach().abs().numpy() for layer in net if isinstance(layer, nn.Linear)]
    reach = weights[-1][output]
    for weight in weights[-2:0:-1]:
        reach = [sum(reach[m] * weight[m, k] for m in range(len(weight))) for k in range(weight.shape[1])]
    return float(sum(z * min(unit[i], unit[j]) for z, unit in zip(reach, weights[0], strict=True)))


def test_strengths_are_those_of_the_formula() -> None:
    net = network(4, 6, 5, 2)
    found = strengths(find_chain(net, normal(3, 4, seed=0)))
    assert found.shape == (2, 4, 4)
    for output in range(2):
        for i in range(4):
            for j in range(4):
                expected = 0.0 if i == j else written_out(net, output, i, j)
                np.testing.assert_allclose(found[output, i, j], expected, rtol=1e-12)


def test_a_single_layer_lets_nothing_come_together() -> None:
    assert not strengths(find_chain(network(3, 2), normal(3, 3, seed=0))).any()


def ask(path: Path, module: nn.Module) -> Result:
    return CliRunner().invoke(main, ["inspect", str(save_script(module.float(), path / "model.pt")), "--nid"])


def test_inspect_lists_the_strongest_pairs_of_every_output(tmp_path: Path) -> None:
    net = network(3, 5, 2)
    done = ask(tmp_path, net)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "output 0"
    assert lines[4] == "output 1"
    listed = [line.split(None, 1) for line in lines[1:4]]
    expected = sorted(
        ((written_out(net, 0, i, j), f"{i}, {j}") for i, j in ((0, 1), (0, 2), (1, 2))), key=lambda pair: -pair[0]
    )
    assert [pair for _, pair in listed] == [pair for _, pair in expected]
    np.testing.assert_allclose([float(strength) for strength, _ in listed], [s for s, _ in expected], rtol=1e-3)


def test_networks_that_are_no_chain_are_told_what_to_do(tmp_path: Path) -> None:
    done = ask(tmp_path, nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 1)))
    assert done.exit_code == 1
    assert "Expected a chain of affine layers for --nid. Try ihcli interactions." in done.stderr


def test_networks_without_pairs_of_numbers_are_told_what_to_do(tmp_path: Path) -> None:
    one = ask(tmp_path, network(1, 4, 1).float())
    assert one.exit_code == 1
    assert one.stderr.rstrip().endswith("takes one input, which makes no pair. Expected two. Try ihcli attributions.")
    codes = ask(tmp_path, nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 1)))
    assert codes.exit_code == 1
    assert "looks up columns. Expected a chain of affine layers for --nid. Try ihcli interactions." in codes.stderr
