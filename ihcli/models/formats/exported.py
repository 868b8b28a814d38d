"""torch.export programs (.pt2): read with trust only, made one module, freed from the batch size they were made at."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.errors import ModelCallError, ModelError, UnsafeModelError
from ihcli.files.foreign import parsed_json
from ihcli.models.around import through
from ihcli.models.checking.failing import device_remedy
from ihcli.models.checking.preflight import refuse_training
from ihcli.models.checking.probing import random_inputs, random_rows
from ihcli.models.model import Model
from ihcli.models.signatures import Argument, Signature, whole_columns
from ihcli.models.sniffing import Kind
from ihcli.models.wrapping import CARRIED, Names, Source, named, own_dtype, place_module
from ihcli.wording import first_line

_EXTRA_FILES = tuple(f"{name}.json" for name in CARRIED)
_AGREEMENT = {torch.float32: 1e-5, torch.float64: 1e-12}


@dataclass(frozen=True)
class Batch:
    """The numbers of rows that a program was exported for; `most` None: as many as there are."""

    least: int
    most: int | None

    @property
    def is_any(self) -> bool:
        """Return whether every number of rows is among them."""
        return self.least <= 1 and self.most is None


class ExportedModule(nn.Module):
    """The graph of a program as a module from (P, D) to its one output.

    graph  without the program's guards, which fix the number of rows; (P, D), or (P, T, F), to a tuple of one tensor
    batch  the numbers of rows that the graph is run with: others are cut into pieces, the last one padded
    argument_names  of what it takes
    """

    def __init__(self, graph: torch.fx.GraphModule, batch: Batch, argument_names: tuple[str, ...] = ("x",)) -> None:
        super().__init__()
        self.graph = graph
        self.batch = batch
        self.argument_names = argument_names

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the outputs of (P, D) inputs; rows that pad a piece are copies of its last row."""
        if self.batch.is_any:
            return self._run(*inputs)
        size = self.batch.most or len(inputs[0])
        pieces = zip(*(each.split(size) for each in inputs), strict=True)
        return torch.cat([self._padded(piece) for piece in pieces])

    def _padded(self, piece: Sequence[Tensor]) -> Tensor:
        missing = self.batch.least - len(piece[0])
        if missing <= 0:
            return self._run(*piece)
        whole = [torch.cat([each, each[-1:].expand(missing, *each.shape[1:])]) for each in piece]
        return self._run(*whole)[: len(piece[0])]

    def _run(self, *inputs: Tensor) -> Tensor:
        (outputs,) = self.graph(*inputs)
        return outputs


def read(source: Source) -> Model:
    """Read a program that torch.export saved.

    Raises UnsafeModelError without `trust`; ModelError where the program cannot be loaded, takes something else than
    one matrix, holds layers in training mode, or cannot compute in the wanted dtype or on the wanted device.
    """
    if not source.trust:
        raise UnsafeModelError(
            f"{source.path}: a {Kind.EXPORTED.value}, which can run code of the file's choosing while it is loaded. "
            "Nothing of the file was run. Try saving the model as TorchScript with "
            "torch.jit.trace(model.eval(), example_row).save(path), or, only if you trust who made the file, the flag "
            "`trust`."
        )
    program, names = _load(source)
    batch, arguments, sequence = _signature(program, source)
    n_inputs = None if sequence else sum(len(argument.columns) for argument in arguments)
    module = read_program(program, batch, tuple(argument.name for argument in arguments))
    stored = own_dtype(module)
    wanted = Source(source.path, source.trust, source.device, source.dtype or stored)
    if wanted.dtype == torch.float64:
        _widen(module.graph)
    _refuse_constants(module.graph, wanted, stored)
    model = replace(place_module(module, wanted, Kind.EXPORTED.value, names, n_inputs), sequence_shape=sequence)
    if len(arguments) > 1 or arguments[0].is_whole:
        model = Signature(arguments).applied(model)
    refuse_training(model, _rows(model, 64))
    if not batch.is_any and _serves_any_batch(model, module):
        module.batch = Batch(1, None)
    return model


def _load(source: Source) -> tuple[Any, Names | None]:
    extra: dict[str, Any] = dict.fromkeys(_EXTRA_FILES, "")
    try:
        # As a stream, because torch takes a path for one of its archives by its suffix alone.
        with source.path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(stream, extra_files=extra)
    except Exception as error:
        # Its reader raises whatever damaged bytes lead to.
        raise ModelError(
            f"{source.path}: cannot be loaded as a {Kind.EXPORTED.value} ({first_line(error)}). "
            "Try saving or copying it again, or the version of torch that wrote it."
        ) from error
    given = {
        name: parsed_json(extra[f"{name}.json"], f"{source.path}: {name}.json", ModelError)
        for name in CARRIED
        if extra[f"{name}.json"]
    }
    return program, Names.among(given, source.path) if given else None


def _signature(program: Any, source: Source) -> tuple[Batch, tuple[Argument, ...], tuple[int, int] | None]:
    """Return the numbers of rows that the program was exported for, and what it takes, columns in order, or (T, F)."""
    names = program.graph_signature.user_inputs
    nodes = {node.name: node for node in program.graph.nodes}
    values = [nodes[name].meta.get("val") if name in nodes else name for name in names]
    outputs = len(program.graph_signature.user_outputs)
    if outputs == 1 and len(values) == 1 and (sequence := _sequence(values[0])) is not None:
        return _batch(program, values[0].shape[0]), (Argument(names[0], ()),), sequence
    widths = [_width(value) for value in values]
    if not widths or None in widths or outputs != 1:
        shapes = ", ".join(str(tuple(value.shape)) if isinstance(value, Tensor) else repr(value) for value in values)
        raise ModelError(
            f"{source.path}: a program of {len(values)} inputs ({shapes}) and {outputs} outputs. Expected matrices "
            "(N, D) with a fixed D, or sequences (N, T, F), and one output. Try exporting a module that wraps it."
        )
    arguments, at = [], 0
    for name, value, width in zip(names, values, map(int, filter(None, widths)), strict=True):
        columns, is_whole = tuple(range(at, at + width)), not value.is_floating_point()
        arguments.append(Argument(name, columns, is_whole, is_flat=value.dim() == 1))
        at += width
    return _batch(program, values[0].shape[0]), tuple(arguments), None


def _sequence(value: Any) -> tuple[int, int] | None:
    """Return T and F of an input of sequences; of any number of steps that of the example it was exported with."""
    if not isinstance(value, Tensor) or value.dim() != 3 or not value.is_floating_point():
        return None
    first, second = (size if isinstance(size, int) else int(size.node.hint) for size in value.shape[1:])
    return first, second


def _width(value: Any) -> int | None:
    """Return how many columns an input takes, None where it is no matrix of rows of numbers, nor a column of them."""
    if not isinstance(value, Tensor) or value.dim() not in (1, 2) or value.dtype == torch.bool:
        return None
    width = 1 if value.dim() == 1 else value.shape[1]
    return width if isinstance(width, int) and width else None


def _batch(program: Any, rows: Any) -> Batch:
    if isinstance(rows, int):
        return Batch(rows, rows)
    bounds = program.range_constraints.get(rows.node.expr)
    if bounds is None:
        return Batch(1, None)
    most = int(bounds.upper) if bounds.upper.is_Integer else None
    return Batch(max(1, int(bounds.lower)), most)


def read_program(program: Any, batch: Batch, argument_names: tuple[str, ...] = ("x",)) -> ExportedModule:
    """Return a program in memory as a module, its guards left out; weights are shared with the program."""
    guarded = program.module()
    graph = torch.fx.Graph()
    graph.output(graph.graph_copy(guarded.graph, {}))
    for node in reversed(list(graph.nodes)):
        is_guard = node.op == "call_module" and node.target == "_guards_fn"
        if is_guard or _name(node) == "_assert_tensor_metadata":
            graph.erase_node(node)
    return ExportedModule(torch.fx.GraphModule(guarded, graph), batch, argument_names)


def _name(node: torch.fx.Node) -> str:
    return node.target._schema.name.removeprefix("aten::") if isinstance(node.target, torch._ops.OpOverload) else ""


def _widen(graph: torch.fx.GraphModule) -> None:
    """Make float64 of every float32 that a graph asks for, as exporting the network in float64 would have."""

    def widened(value: Any) -> Any:
        return torch.float64 if value == torch.float32 else value

    for node in graph.graph.nodes:
        node.args = tuple(widened(value) for value in node.args)
        node.kwargs = {name: widened(value) for name, value in node.kwargs.items()}
    graph.recompile()


def _refuse_constants(graph: torch.fx.GraphModule, wanted: Source, stored: torch.dtype) -> None:
    """Refuse a cast or a constant whose dtype or device would not follow the one that is wanted."""
    for constant in _constants(graph):
        if isinstance(constant, torch.device) and constant.type != wanted.device.type:
            raise ModelError(
                f"{wanted.path}: an exported program that holds its device as a constant, so that it cannot run on "
                f"{wanted.device}. {device_remedy(constant, wanted.device)}."
            )
        if isinstance(constant, torch.dtype) and constant.is_floating_point and constant != wanted.dtype:
            raise ModelError(_dtype_message(wanted, constant, stored))


def _constants(graph: torch.fx.GraphModule) -> Iterator[Any]:
    for node in graph.graph.nodes:
        yield from (*node.args, *node.kwargs.values())


def _dtype_message(source: Source, constant: torch.dtype, stored: torch.dtype) -> str:
    wanted = named(source.dtype or stored)
    again = f"export it again from a model converted to {wanted}"
    remedy = f"Try `dtype={named(stored)}`, or {again}" if constant == stored else f"Try to {again}, without casts"
    return (
        f"{source.path}: an exported program that holds its dtype as a constant, so that it cannot run in {wanted}. "
        f"{remedy}."
    )


def _rows(model: Model, n_rows: int) -> Tensor:
    """Return rows of random numbers, and of codes 0 and 1 where the program takes whole numbers."""
    if model.sequence_shape is not None:
        return random_inputs(model, model.sequence_shape, n_rows)
    rows = random_rows(model, model.n_inputs or 1, n_rows)
    whole = [column for column, is_whole in enumerate(whole_columns(model)) if is_whole]
    rows[:, whole] = (rows[:, whole] > 0).to(rows.dtype)
    return rows


def _serves_any_batch(model: Model, module: ExportedModule) -> bool:
    """Return whether the graph, freed of its batch size, gives other numbers of rows what pieces of that size give.

    Most graphs mention the number of rows in their guards alone. Sizes are tried that are no multiples of it, with
    rows that differ, and a single row.
    """
    size = module.batch.most or module.batch.least
    free_module = ExportedModule(module.graph, Batch(1, None), module.argument_names)
    for n_rows in (1, size + 1, 2 * size + 1):
        rows = _rows(model, n_rows)
        with torch.no_grad():
            try:
                free = through(model, lambda inner: replace(inner, module=free_module)).call(rows)
                pieces = model.call(rows)
            except ModelCallError:
                return False
        if free.shape != pieces.shape or not torch.allclose(
            free, pieces, rtol=_AGREEMENT[model.dtype], atol=_AGREEMENT[model.dtype], equal_nan=True
        ):
            return False
    return True
