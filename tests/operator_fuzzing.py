"""Every operator that a TorchScript file may use, called with odd arguments: none may crash the process.

    python tests/operator_fuzzing.py CALLS [SEED]     so many calls of each

Calls run in processes of their own, which say before each what they are about to do: one that dies is named and left
out, one that takes long is ended and counted apart, as time is not defended.
"""

import os
import random
import resource
import select
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from ihcli.models.scripts.operators import is_allowed

DTYPES = (
    *(torch.float32,) * 4,
    *(torch.int64,) * 3,
    *(torch.float64, torch.int32, torch.bool, torch.complex64, torch.uint8),
)
SHAPES = (
    *((), (0,), (1,), (3,), (5,), (64,), (2, 3), (3, 3), (1, 3), (0, 3), (4, 64)),
    *((2, 3, 4), (1, 0, 2), (1, 2, 3, 4), (2, 2, 3, 3), (1, 1, 2, 2, 2)),
)
WHOLE = ((0, 1, 2), (-1, 0, 5, 10**6, -(10**6)), (-4_000_000, 4_000_000, 10**9))
REAL = (0.0, 0.5, -1.0, 1e30, -1e30, float("inf"), float("nan"))
SMALL, LARGE = (0, 1, -1, 2, 3), (-(10**6), -2, 5, 10**5, 4 * 10**6, 2**31, 2**40)
WORDS = ("", "mean", "sum", "a", "reflect", "linear", "none", "constant", "amax", "ij", "lower", "same", "zeros")
DTYPE_NUMBERS = (3, 4, 6, 7, 11)
MOST_BYTES, MOST_S = 6 << 30, 20.0  # seconds that also starting may take


def overloads() -> list[Any]:
    """Return the schemas of what is allowed and writes into none of its arguments by keyword."""
    schemas = [schema for schema in torch._C._jit_get_all_schemas() if schema.name.startswith("aten::")]
    return [schema for schema in schemas if is_allowed(schema.name) and not any(map(_is_output, schema.arguments))]


def odd_arguments(schema: Any, chance: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments of the right kinds, and of odd shapes, sizes and values."""
    positional = [odd(a.type, a.name, chance) for a in schema.arguments if not a.kwarg_only]
    named = [a for a in schema.arguments if a.kwarg_only and chance.random() < 0.3]
    return positional, {a.name: odd(a.type, a.name, chance) for a in named}


def odd(type_: Any, name: str, chance: random.Random) -> Any:
    """Return an odd value of a type."""
    kind = type_.kind()
    if kind == "OptionalType":
        return None if chance.random() < 0.45 else odd(type_.getElementType(), name, chance)
    if kind == "ListType":
        return [odd(type_.getElementType(), name, chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4, 6)))]
    values = {
        "TensorType": lambda: odd_tensor(chance),
        "IntType": lambda: chance.choice(DTYPE_NUMBERS if "dtype" in name else chance.choice((SMALL, SMALL, LARGE))),
        "FloatType": lambda: chance.choice(REAL),
        "NumberType": lambda: chance.choice((*SMALL, 10**6, 2.5, float("nan"))),
        "BoolType": lambda: chance.random() < 0.5,
        "StringType": lambda: chance.choice(WORDS),
        "DeviceObjType": lambda: torch.device("cpu"),
    }
    return values[kind]()


def odd_tensor(chance: random.Random) -> torch.Tensor:
    """Return a tensor of any dtype and shape, sometimes a view whose numbers lie in no order."""
    dtype, shape = chance.choice(DTYPES), chance.choice(SHAPES)
    values = chance.choice((*WHOLE, REAL) if dtype.is_floating_point else WHOLE)
    numbers = [chance.choice(values) for _ in range(torch.Size(shape).numel())]
    tensor = torch.tensor(numbers, dtype=torch.float64).to(dtype).reshape(shape)
    view = chance.randrange(6)
    if view == 0 and tensor.dim() > 1:
        return tensor.transpose(0, -1)
    return tensor[:1].expand(len(tensor)) if view == 1 and tensor.dim() == 1 and len(tensor) else tensor


def call_all(first: int, calls: int, seed: int, told: int) -> None:
    """Call every overload from one on, and write before each call which it is."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for number, schema in enumerate(overloads()[first:], first):
        operator = getattr(torch.ops.aten, schema.name.removeprefix("aten::"))
        for call in range(calls):
            os.write(told, f"{number}\n".encode())
            positional, named = odd_arguments(schema, random.Random(f"{seed} {number} {call}"))
            try:
                getattr(operator, schema.overload_name or "default")(*positional, **named)
            except Exception:  # refusing odd arguments is right
                continue


def died_and_hung(calls: int, seed: int) -> Iterator[tuple[str, bool]]:
    """Yield the overloads that end their process, and whether it had to be ended because it took long."""
    schemas, first = overloads(), 0
    while first < len(schemas):
        number, code, hung = _attempt(first, calls, seed)
        if code == 0:
            return
        yield f"{schemas[number].name}.{schemas[number].overload_name}", hung
        first = number + 1


def _attempt(first: int, calls: int, seed: int) -> tuple[int, int, bool]:
    reading, writing = os.pipe()
    command = [sys.executable, __file__, "child", *map(str, (first, calls, seed, writing))]
    environment = {**os.environ, "MALLOC_PERTURB_": "165"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, pass_fds=(writing,), env=environment, stdout=quiet, stderr=quiet) as child:
        os.close(writing)
        told, hung = b"", False
        while content := _read(reading):
            told = (told + content)[-64:]
        if content is None:
            hung = True
            child.kill()
    os.close(reading)
    lines = told.split(b"\n")
    return int(lines[-2]) if len(lines) > 1 else first, child.returncode, hung


def _read(descriptor: int) -> bytes | None:
    """Return what comes, nothing at the end, None where nothing comes for long."""
    return os.read(descriptor, 1 << 16) if select.select([descriptor], [], [], MOST_S)[0] else None


def _is_output(argument: Any) -> bool:
    return bool(argument.kwarg_only and argument.alias_info is not None and argument.alias_info.is_write)


if __name__ == "__main__":
    if sys.argv[1] == "child":
        call_all(*map(int, sys.argv[2:]))
        sys.exit()
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32
    ended = list(died_and_hung(int(sys.argv[1]), chosen))
    print("\n".join(f"{'hangs' if hung else 'DIES':6}{name}" for name, hung in ended))
    died = sum(not hung for _, hung in ended)
    tried = f"{len(overloads())} overloads, {sys.argv[1]} calls of each, seed {chosen}"
    print(f"{tried}: {died} died, {len(ended) - died} hung")
    sys.exit(bool(died))
