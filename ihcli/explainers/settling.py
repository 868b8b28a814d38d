"""A model made ready to explain: checked, smoothed where asked, with its engine and target."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Engine
from ihcli.derivatives.choosing import choose_engine
from ihcli.derivatives.transfers import sent
from ihcli.errors import IhcliError, OptionError
from ihcli.explainers.diagnosing import PROBE_ROWS, Trial, diagnose
from ihcli.explainers.explainer import Explainer
from ihcli.explainers.seeing import meaning_of
from ihcli.explainers.settings import Settings
from ihcli.heads import Stable, stabilise
from ihcli.heads.rounding import carried
from ihcli.heads.saturation import saturation_warning
from ihcli.heads.scales import on_scale
from ihcli.integration.computing import examine, require_package
from ihcli.integration.effort import NODES, STEPS, Effort
from ihcli.integration.starting import chosen_start
from ihcli.memory import default_memory_bytes
from ihcli.methods import Method, method_named
from ihcli.models import Model
from ihcli.models.checking.finite import check_baselines, has_values, lacking_warning
from ihcli.models.checking.preflight import check_gradients, check_second_derivatives, check_values
from ihcli.models.targets import Target, resolve_target
from ihcli.readers import Encoded, Reader
from ihcli.readers.opening import inputs_of, opened, paths_to
from ihcli.smoothing import Smoothing, looks_at_sample, resolve_smoothing
from ihcli.wording import listed

PROBE_BASELINES, START_RECORDS = 4, 16


def prepare(model: Model, reader: Reader, sample: Sequence[Any] | np.ndarray, settings: Settings) -> Explainer:
    """Settle how a model explains records, on a sample of them, of which a reader takes the first few.

    Checks the model, smooths it, and settles target, engine and effort.

    Raises:
        OptionError: an unknown method or target, a scale that the model does not have, a beta that cannot be, a method
            that the reader's baselines or the model's layers do not fit, or a budget below one panel for each of them.
        ModelError: the reader reads nothing for this model, or the preflight found what makes explanations wrong.
        DataError: no record of the sample has any input.
        PackageError: the method is computed by a package that is not installed.
    """
    method = method_named(settings.method)
    require_package(method)
    reader.check(method)
    model = reader.called(model)
    reader, original = reader.on(model), opened(reader, model)
    encoded = reader.encode(sample[: reader.sample_records])
    encoded, lacking = _with_values(reader, original, encoded, settings.smooth, method.derivatives == 2)
    tried = reader.trial(encoded)
    noted = (*lacking, *reader.warnings(encoded))
    _check_effort(settings.effort, method, reader.n_baselines)
    batches = tuple(batch.to(device=model.device, dtype=model.dtype) for batch in tried.batches)
    original, finish = on_scale(original, settings.scale, batches[0])
    checked = _checked(original, batches, method, settings)
    smooth, stable, warnings = checked.model, checked.stable.model, list(checked.warnings)
    memory_bytes = settings.memory_bytes or default_memory_bytes(model.device)
    engine_bytes = _engine_bytes(memory_bytes, reader.batch_bytes, model.device)
    output = _highest_outputs(smooth, inputs_of(reader, model, tried.few))
    if method.adds_up:
        check_baselines(stable, sent(reader.baseline(tried.few[:1]).flatten(0, -2), model.device, model.dtype))
    paths = paths_to(reader, smooth, tried.few, output, PROBE_BASELINES)
    choice = choose_engine(
        stable.outputs,
        paths,
        engine_bytes,
        settings.engine,
        unlike_chain=reader.unlike_chain,
        second_order=method.derivatives == 2,
    )
    if method.derivatives == 2 and not choice.is_confirmed:
        probe, n_outputs = batches[0][:PROBE_ROWS], len(checked.target.names)
        check_second_derivatives(stable, probe, n_outputs, bool(checked.stable.unknown), reader.is_open)
    choice.engine.rounding = stable.rounding
    choice.engine.carried = carried(checked.stable, paths)
    choice.engine.network = smooth
    warnings.extend(examine(method, choice.engine.along(paths)))
    trial = Trial(smooth, stable, checked.smoothing is not None, reader, batches[0], choice.engine.along(paths))
    population = reader.population if reader.population > reader.n_baselines else None
    drawn = replace(settings.effort, population=population, balance=reader.balance)
    diagnosed = diagnose(trial, method, drawn)
    obstacle, effort = diagnosed.obstacle, diagnosed.effort
    if (
        method.is_integral
        and obstacle is None
        and reader.repays_choosing
        and effort.may_start_short(reader.n_baselines)
    ):
        effort = _started(effort, method, choice.engine, reader, smooth, encoded)
    warnings.extend([] if obstacle is None else [obstacle.warning])
    scaled, told = (settings.scale, finish), (checked.target, settings.outputs)
    return Explainer(
        model=stable,
        original=original,
        scale=settings.scale,
        finish=finish,
        reader=reader,
        smoothing=checked.smoothing,
        method=method,
        target=checked.target,
        engine=choice.engine,
        engine_reason=choice.reason,
        engine_bytes=engine_bytes,
        effort=effort,
        memory_bytes=memory_bytes,
        longest=_longest(reader, encoded),
        largest=encoded.shapes[-1],
        warnings=(*original.notes, *dict.fromkeys(warnings), *noted),
        jumps=diagnosed.remedy,
        meaning=meaning_of(original, batches[0], scaled, *told) if settings.sees_model else None,
        in_factors=not settings.whole_matrices and reader.units is not None,
    )


def _with_values(
    reader: Reader, model: Model, encoded: Encoded, smooth: float | str, second_order: bool
) -> tuple[Encoded, tuple[str, ...]]:
    """Return the records at which the model has finite outputs, and a warning of others.

    All where there is none, of which the checks say why; and where records have units of their own, whatever they are.
    The first ones are looked at alone where these have outputs and no smoothing is settled: a model may hang on others.
    """
    if reader.units is None or not encoded.present.any():
        return encoded, ()
    places = next(places for _, places in encoded.alike())
    few = inputs_of(reader, model, encoded.values[places[: reader.few_records]])
    if has_values(model, few).all() and not _looks_at_sample(model, smooth, few, second_order):
        return encoded, ()
    kept = np.zeros(len(encoded.present), bool)
    for _, places in encoded.alike():
        kept[places] = has_values(model, inputs_of(reader, model, encoded.values[places])).numpy()
    n, n_kept = int(encoded.present.sum()), int(kept.sum())
    if n_kept in (0, n):
        return encoded, ()
    return encoded.only(kept), (lacking_warning(n - n_kept, n, model.dtype == torch.float64),)


def _looks_at_sample(model: Model, smooth: float | str, few: Tensor, second_order: bool) -> bool:
    """Return whether smoothing does; not where the model fails, of which the checks say why."""
    try:
        return looks_at_sample(model, smooth, few, second_order)
    except IhcliError:
        return False


def _started(effort: Effort, method: Method, engine: Engine, reader: Reader, model: Model, encoded: Encoded) -> Effort:
    """Return the effort with the nodes that paths to the first records of a sample begin with at best."""
    some = encoded.values[encoded.present][:START_RECORDS]
    output = _highest_outputs(model, inputs_of(reader, model, some))
    along = engine.along(paths_to(reader, model, some, output))
    return replace(effort, start=chosen_start(along, method.second_order, effort))


@dataclass(frozen=True)
class _Checked:
    """A model as it will be explained, smoothed where asked, and what checking it found.

    stable  the same in the form that is differentiated
    """

    model: Model
    stable: Stable
    smoothing: Smoothing | None
    target: Target
    warnings: tuple[str, ...]


def _checked(model: Model, batches: tuple[Tensor, ...], method: Method, settings: Settings) -> _Checked:
    probe = batches[0][:PROBE_ROWS]
    checked = check_values(model, probe)
    target = resolve_target(settings.target, checked.n_outputs, model.output_names, settings.outputs)
    stable, warnings = _differentiated(model, probe, checked.n_outputs, method)
    smooth, smoothing = resolve_smoothing(
        model, settings.smooth, batches, method.derivatives == 2, settings.smooth_tolerance
    )
    if smoothing is not None:
        check_values(smooth, probe)
        stable, again = _differentiated(smooth, probe, checked.n_outputs, method)
        warnings = (*warnings, *again, *_smoothing_warnings(smoothing, settings))
    saturated = saturation_warning(stable, batches, target, settings.scale)
    return _Checked(smooth, stable, smoothing, target, (*checked.warnings, *warnings, *saturated))


def _differentiated(model: Model, probe: Tensor, n_outputs: int, method: Method) -> tuple[Stable, tuple[str, ...]]:
    """Return a model in the form that is differentiated, and the warnings that come of checking its gradient."""
    stable = stabilise(model, probe)
    return stable, check_gradients(stable.model, probe, n_outputs) if method.derivatives else ()


def _longest(reader: Reader, encoded: Encoded) -> int:
    if reader.units is not None:
        return len(reader.units)
    return max(map(len, reader.own_units(encoded.values[encoded.present])))


def _highest_outputs(model: Model, rows: Tensor) -> np.ndarray:
    """Return the index of the largest output of every row, (n,)."""
    with torch.no_grad():
        return model.outputs(rows).argmax(dim=1).cpu().numpy()


def _smoothing_warnings(smoothing: Smoothing, settings: Settings) -> list[str]:
    if not smoothing.replaced:
        bent = f", and {listed(smoothing.kinks, 3)} stays" if smoothing.kinks else ""
        return [f"`smooth={settings.smooth}` changes nothing: the model has no ReLU to replace with SoftPlus{bent}."]
    if smoothing.within_tolerance:
        return []
    return [
        f"SoftPlus with beta {smoothing.beta:g} drifts by {smoothing.drift:.1%} of the output's standard deviation "
        f"and changes {smoothing.changed:.1%} of the predictions on a sample, more than the "
        f"{settings.smooth_tolerance:.1%} asked for. Expect _drift to matter. Try a larger `smooth`, or "
        "`smooth_tolerance`."
    ]


def _check_effort(effort: Effort, method: Method, n_baselines: int) -> None:
    if not method.is_integral:
        if effort.steps is not None:
            raise OptionError(f"`steps`: are of integrals, and {method.name} takes none. Try without.")
        return
    if effort.steps is not None and effort.steps not in STEPS:
        raise OptionError(f"`steps`: {effort.steps} cannot be. Expected {STEPS[0]} to {STEPS[-1]}.")
    least = NODES * n_baselines
    if effort.max_evaluations is not None and effort.max_evaluations < least and effort.steps is None:
        raise OptionError(
            f"`max_evaluations`: {effort.max_evaluations} is too few. Expected at least {least}, one panel of {NODES} "
            f"nodes for each of the {n_baselines} baselines."
        )


def _engine_bytes(memory_bytes: int, most_on_cpu: int, device: torch.device) -> int:
    """Return the engine's half of the budget, less on a CPU; the other half is for panels and matrices."""
    return min(memory_bytes // 2, most_on_cpu) if device.type == "cpu" else memory_bytes // 2
