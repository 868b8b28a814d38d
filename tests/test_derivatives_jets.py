"""Jets agree with automatic differentiation in value, slope and second derivative, entry by entry of their tables."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from problems import normal
from torch import Tensor

from ihcli.derivatives.jets import ARITHMETIC, UNARY, Jet, apply, aten
from ihcli.derivatives.room import Room

EXACT = 1e-12
"""Float64, relative to the largest entry or 1: a handful of operations on each side, in another order."""
SINGLE = 5e-6
"""The same in float32, where 1 - tanh^2 loses a digit or two far out."""

Arguments = tuple[Any, ...]
GRID = torch.cat([torch.linspace(-7, 7, 57), torch.tensor([0.0, 1.0, -1.0, 6.0, 2.5, 1e-3, -1e-3])]).double()
NOWHERE_ZERO = torch.linspace(0.2, 4, 20).double()
# Operation without its in-place mark: settings after the input, and options. The grid holds 0 and every bound.
SETTINGS: dict[str, list[tuple[Arguments, dict[str, Any]]]] = {
    "softplus": [((), {}), ((3.0,), {}), ((10.0, 40.0), {}), ((8.0, 20.0), {}), ((1.0, 2.5), {}), ((2.0, -3.0), {})],
    "tanh": [((), {})],
    "sigmoid": [((), {})],
    "silu": [((), {})],
    "gelu": [((), {}), ((), {"approximate": "none"}), ((), {"approximate": "tanh"})],
    "elu": [((), {}), ((0.5,), {}), ((1.67326, 1.0507, 1.0), {}), ((2.0, 1.5, 0.7), {})],
    "celu": [((), {}), ((0.5,), {}), ((2.0,), {})],
    "relu": [((), {})],
    "leaky_relu": [((), {}), ((0.2,), {}), ((0.9,), {})],
    "hardtanh": [((), {}), ((-0.5, 0.7), {}), ((0.0, 6.0), {})],
    "pow": [((1,), {}), ((2,), {}), ((3,), {}), ((4.0,), {})],
}


def plain(operation: Any) -> str:
    return operation.overloadpacket.__name__.removesuffix("_")


def off_the_bend(operation: Any, settings: Arguments) -> Tensor:
    """Return the grid without the point where the second derivative jumps, and either side's is right."""
    if plain(operation) == "softplus":
        beta, threshold = (*settings, *(1.0, 20.0)[len(settings) :])
        return GRID[beta * GRID != threshold]
    return GRID[GRID != 0] if plain(operation) in ("elu", "celu") else GRID


def derivatives(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return an element-wise function's value and first two derivatives by autograd."""
    at = at.clone().requires_grad_()
    value = function(at)
    first = torch.autograd.grad(value.sum(), at, create_graph=True)[0]
    bends = first.requires_grad
    second = torch.autograd.grad(first.sum(), at, allow_unused=True)[0] if bends else None
    return value.detach(), first.detach(), torch.zeros_like(at) if second is None else second


def parts(jet: Jet) -> tuple[Tensor, Tensor, Tensor]:
    shape = torch.broadcast_shapes(jet.value.shape, jet.first.shape)
    second = torch.zeros_like(jet.first) if jet.second is None else jet.second
    return jet.value.expand(shape), jet.first.expand(shape), second.expand(shape)


def assert_equal(got: Jet, expected: tuple[Tensor, Tensor, Tensor], tolerance: float = EXACT) -> None:
    for ours, theirs in zip(parts(got), expected, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= tolerance * max(1.0, float(theirs.abs().max()))


def in_torch(operation: Any, arguments: Arguments, options: dict[str, Any]) -> Tensor:
    """Call the operation itself; what works in place gets a copy."""
    first, *rest = arguments
    return operation(first.clone() if operation._schema.name.endswith("_") else first, *rest, **options)


UNARY_CASES = [
    pytest.param(operation, settings, options, id=f"{operation}{settings}{options or ''}")
    for operation in UNARY
    for settings, options in SETTINGS.get(plain(operation), [])
]


def test_every_function_of_the_table_is_compared_below() -> None:
    assert {plain(operation) for operation in UNARY} == set(SETTINGS)


@pytest.mark.parametrize(("operation", "settings", "options"), UNARY_CASES)
def test_a_function_has_the_derivatives_of_autograd(operation: Any, settings: Arguments, options: dict) -> None:
    grid = off_the_bend(operation, settings)
    expected = derivatives(lambda z: in_torch(operation, (z, *settings), options), grid)
    assert_equal(apply(operation, (Jet.of(grid), *settings), options), expected)


@pytest.mark.parametrize(("operation", "settings", "options"), UNARY_CASES)
def test_a_function_of_a_function_has_the_derivatives_of_autograd(
    operation: Any, settings: Arguments, options: dict
) -> None:
    a = normal(40, 3, seed=1)
    inner = apply(aten.silu.default, (Jet.of(a),), {})
    expected = derivatives(lambda z: in_torch(operation, (torch.nn.functional.silu(z), *settings), options), a)
    assert_equal(apply(operation, (inner, *settings), options), expected)


@pytest.mark.parametrize(("operation", "settings", "options"), UNARY_CASES)
def test_a_function_is_the_same_in_arrays_that_are_given_to_it(
    operation: Any, settings: Arguments, options: dict
) -> None:
    grid = off_the_bend(operation, settings)
    room, before = Room(), grid.clone()
    found = apply(operation, (Jet.of(grid), *settings), options, out=room.of_layer(grid))
    expected = parts(apply(operation, (Jet.of(grid), *settings), options))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(parts(found), expected, strict=True))
    assert torch.equal(grid, before)


@pytest.mark.parametrize(("operation", "settings", "options"), UNARY_CASES)
def test_derivatives_stay_where_the_next_layer_writes_its_values(
    operation: Any, settings: Arguments, options: dict
) -> None:
    grid, room = off_the_bend(operation, settings), Room()
    found = apply(operation, (Jet.of(grid), *settings), options, out=room.of_layer(grid))
    before = [part.clone() for part in parts(found)[1:]]
    room.of_layer(grid)().fill_(torch.nan)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(parts(found)[1:], before, strict=True))


@pytest.mark.parametrize(("operation", "settings", "options"), UNARY_CASES)
def test_a_function_keeps_its_derivatives_in_float32(operation: Any, settings: Arguments, options: dict) -> None:
    grid = off_the_bend(operation, settings).float()
    expected = derivatives(lambda z: in_torch(operation, (z, *settings), options), grid)
    jet = apply(operation, (Jet.of(grid), *settings), options)
    assert {part.dtype for part in parts(jet)} == {torch.float32}
    assert_equal(jet, expected, SINGLE)


@pytest.mark.parametrize("operation", [op for op in UNARY if plain(op) in ("elu", "celu")], ids=str)
def test_elu_at_zero_has_a_slope_of_one_and_a_second_derivative_of_either_side(operation: Any) -> None:
    jet = apply(operation, (Jet.of(torch.zeros(1).double()),), {})
    value, first, second = parts(jet)
    assert (value.item(), first.item()) == (0.0, 1.0)
    assert second.item() in (0.0, 1.0)


@pytest.mark.parametrize("exponent", [0.5, 1.5, -1.0, -2, 0])
def test_powers_that_are_no_whole_numbers_or_negative_agree_above_zero(exponent: float) -> None:
    operation = aten.pow.Tensor_Scalar
    expected = derivatives(lambda z: operation(z, exponent), NOWHERE_ZERO)
    assert_equal(apply(operation, (Jet.of(NOWHERE_ZERO), exponent), {}), expected)


@pytest.mark.parametrize("exponent", [1, 2, 3, 2.0])
def test_powers_at_zero_have_finite_derivatives(exponent: float) -> None:
    zero = torch.zeros(2).double()
    expected = derivatives(lambda z: aten.pow.Tensor_Scalar(z, exponent), zero)
    assert_equal(apply(aten.pow.Tensor_Scalar, (Jet.of(zero), exponent), {}), expected)


def test_softplus_beyond_its_threshold_is_the_identity_derivatives_and_all() -> None:
    z = torch.tensor([2.0, 2.0 + 1e-9, 5.0], dtype=torch.float64)
    value, first, second = parts(apply(aten.softplus.default, (Jet.of(z), 10.0, 20.0), {}))
    assert value[1:].tolist() == z[1:].tolist()
    assert first[1:].tolist() == [1.0, 1.0]
    assert second[1:].tolist() == [0.0, 0.0]
    assert first[0] < 1
    assert second[0] > 0


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "gelu", "softplus", "elu"])
@pytest.mark.parametrize("far", [-800.0, 800.0])
def test_functions_are_finite_far_out(name: str, far: float) -> None:
    z = torch.full((2,), far).double()
    jet = apply(getattr(aten, name).default, (Jet.of(z),), {})
    assert all(part.isfinite().all() for part in parts(jet))
    assert parts(jet)[2].abs().max() < EXACT


def test_piecewise_linear_functions_of_linear_ones_know_that_they_do_not_bend() -> None:
    z = Jet.of(normal(5, 3, seed=2))
    for operation in (aten.relu.default, aten.leaky_relu.default, aten.hardtanh.default):
        assert apply(operation, (z,), {}).second is None
    assert apply(aten.mul.Tensor, (apply(aten.add.Tensor, (z, 2.0), {}), 3.0), {}).second is None


P, M = 11, 4
WIDE = normal(M, seed=3) + 3
X, Y = "the first jet", "the second jet"
NUMBERS: list[Any] = [2.5, -3, torch.tensor(1.5).double(), WIDE, WIDE[None], torch.tensor([0.5]).double()]
ARITHMETIC_CASES: list[tuple[str, str, Arguments, dict[str, Any]]] = [
    *(("mul", "Tensor", (X, number), {}) for number in NUMBERS),
    ("mul", "Tensor", (WIDE, X), {}),
    ("mul", "Tensor", (X, Y), {}),
    ("mul", "Tensor", (X, X), {}),
    ("mul", "Scalar", (X, -1.5), {}),
    *(("add", "Tensor", (X, number), {}) for number in NUMBERS),
    *(("add", "Tensor", (X, number), {"alpha": 3}) for number in NUMBERS[2:]),
    ("add", "Tensor", (WIDE, X), {}),
    ("add", "Tensor", (WIDE, X), {"alpha": -2}),
    ("add", "Tensor", (X, Y), {}),
    ("add", "Tensor", (X, Y), {"alpha": 0.5}),
    ("add", "Scalar", (X, 2.5), {}),
    ("add", "Scalar", (X, 2.5, 3), {}),
    *(("sub", "Tensor", (X, number), {}) for number in NUMBERS),
    ("sub", "Tensor", (WIDE, X), {}),
    ("sub", "Tensor", (WIDE, X), {"alpha": 3}),
    ("sub", "Tensor", (X, Y), {}),
    ("sub", "Tensor", (X, Y), {"alpha": 2}),
    ("sub", "Scalar", (X, 2.5), {}),
    ("sub", "Scalar", (X, 2.5, 3), {}),
    *(("rsub", "Tensor", (X, number), {}) for number in NUMBERS[2:]),
    ("rsub", "Tensor", (X, WIDE), {"alpha": 3}),
    ("rsub", "Tensor", (X, Y), {"alpha": 2}),
    ("rsub", "Tensor", (WIDE, X), {}),
    ("rsub", "Scalar", (X, 1.0), {}),
    ("rsub", "Scalar", (X, 1.0, 4), {}),
    *(("div", "Tensor", (X, number), {}) for number in NUMBERS),
    ("div", "Scalar", (X, 4.0), {}),
    ("neg", "default", (X,), {}),
    ("clone", "default", (X,), {}),
    ("clone", "default", (X,), {"memory_format": torch.contiguous_format}),
    ("alias", "default", (X,), {}),
    ("copy_", "default", (X, Y), {}),
]


def told(argument: Any) -> str:
    if isinstance(argument, Tensor):
        return f"tensor{list(argument.shape)}"
    return {X: "x", Y: "y"}.get(argument, str(argument))


def arithmetic_cases() -> list[Any]:
    """Return every case, and again in place where torch has that form and the first argument is a jet."""
    cases = []
    for name, overload, arguments, options in ARITHMETIC_CASES:
        for spelling in (name, f"{name}_"):
            packet = getattr(aten, spelling, None)
            if packet is None or (spelling != name and arguments[0] is not X) or overload not in packet.overloads():
                continue
            if getattr(packet, overload) not in ARITHMETIC:
                continue
            words = f"{spelling}.{overload}({', '.join(map(told, arguments))}, {options or ''})"
            cases.append(pytest.param(getattr(packet, overload), arguments, options, id=words))
    return cases


def some_x(z: Tensor) -> Tensor:
    return torch.nn.functional.silu(z)


def some_y(z: Tensor) -> Tensor:
    return torch.tanh(z + 0.3)


def some_jets(a: Tensor) -> dict[str, Jet]:
    shifted = apply(aten.add.Tensor, (Jet.of(a), 0.3), {})
    return {X: apply(aten.silu.default, (Jet.of(a),), {}), Y: apply(aten.tanh.default, (shifted,), {})}


def put(arguments: Arguments, values: dict[str, Any]) -> Arguments:
    return tuple(values[argument] if isinstance(argument, str) else argument for argument in arguments)


@pytest.mark.parametrize(("operation", "arguments", "options"), arithmetic_cases())
def test_arithmetic_has_the_derivatives_of_autograd(operation: Any, arguments: Arguments, options: dict) -> None:
    a = normal(P, M, seed=4)
    expected = derivatives(lambda z: in_torch(operation, put(arguments, {X: some_x(z), Y: some_y(z)}), options), a)
    jets = some_jets(a)
    before = [part.clone() for part in parts(jets[X])]
    assert_equal(apply(operation, put(arguments, jets), options), expected)
    assert all(torch.equal(*pair) for pair in zip(before, parts(jets[X]), strict=True)), "a jet was overwritten"


def test_arithmetic_on_lines_has_the_derivatives_of_autograd() -> None:
    """A jet without bend is told from one with: every case of two lines, and of a line and a curve."""
    a = normal(P, M, seed=5)
    line, curve = Jet.of(a), some_jets(a)[X]
    for name in ("mul", "add", "sub", "rsub"):
        operation = getattr(aten, name).Tensor
        assert_equal(apply(operation, (line, line), {}), derivatives(lambda z, op=operation: op(z, z), a))
        assert_equal(apply(operation, (line, curve), {}), derivatives(lambda z, op=operation: op(z, some_x(z)), a))
        assert_equal(apply(operation, (curve, line), {}), derivatives(lambda z, op=operation: op(some_x(z), z), a))


def test_every_arithmetic_operation_is_compared_above() -> None:
    compared = {case.values[0] for case in arithmetic_cases()} | {aten.native_batch_norm.default}
    assert set(ARITHMETIC) <= compared


@pytest.mark.parametrize("affine", [True, False])
def test_batch_normalisation_in_eval_mode_agrees(affine: bool) -> None:
    a = normal(P, M, seed=6)
    weight, bias = (normal(M, seed=7), normal(M, seed=8)) if affine else (None, None)
    settings = (weight, bias, normal(M, seed=9), normal(M, seed=10) ** 2, False, 0.1, 1e-3)
    operation = aten.native_batch_norm.default
    expected = derivatives(lambda z: operation(some_x(z), *settings)[0], a)
    assert_equal(apply(operation, (some_jets(a)[X], *settings), {}), expected)


def test_a_long_composition_has_the_derivatives_of_autograd() -> None:
    a = normal(P, M, seed=11)
    steps: list[tuple[Any, Arguments, dict[str, Any]]] = [
        (aten.mul.Tensor, (WIDE,), {}),
        (aten.gelu.default, (), {"approximate": "tanh"}),
        (aten.sub.Tensor, (0.4,), {}),
        (aten.softplus_.default if hasattr(aten, "softplus_") else aten.softplus.default, (3.0, 40.0), {}),
        (aten.div.Tensor, (WIDE,), {}),
        (aten.pow.Tensor_Scalar, (3,), {}),
        (aten.rsub.Scalar, (1.0,), {}),
        (aten.elu.default, (0.8,), {}),
        (aten.neg.default, (), {}),
        (aten.sigmoid.default, (), {}),
    ]
    jet = Jet.of(a)
    for operation, settings, options in steps:
        jet = apply(operation, (jet, *settings), options)

    def whole(z: Tensor) -> Tensor:
        for operation, settings, options in steps:
            z = operation(z, *settings, **options)
        return z

    assert_equal(jet, derivatives(whole, a))


def test_hinges_of_a_smoothed_activation_agree() -> None:
    """What smoothing makes of ReLU6: constants, two SoftPlus, and x times a gate for hard swish."""
    a = 4 * normal(P, M, seed=12)

    def hinge(jet: Jet, knee: float) -> Jet:
        return apply(aten.softplus.default, (apply(aten.sub.Tensor, (jet, knee), {}), 5.0, 40.0), {})

    gate = apply(aten.sub.Tensor, (hinge(Jet.of(a), -3.0), hinge(Jet.of(a), 3.0)), {})
    jet = apply(aten.mul.Tensor, (Jet.of(a), apply(aten.div.Tensor, (gate, 6), {})), {})

    def hardswish(z: Tensor) -> Tensor:
        knee = torch.nn.functional.softplus
        return z * (knee(z + 3, 5.0, 40.0) - knee(z - 3, 5.0, 40.0)) / 6

    assert_equal(jet, derivatives(hardswish, a))


def test_an_operation_that_is_not_in_the_tables_is_refused() -> None:
    with pytest.raises(KeyError):
        apply(aten.sin.default, (Jet.of(torch.zeros(1)),), {})
