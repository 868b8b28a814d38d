"""What run.json says of explanations before they are made: of a run, and of those in memory that become one."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version

from ihcli.data.baselines import is_file
from ihcli.execution.preparation import PreparedRun
from ihcli.explainers.explainer import Explainer
from ihcli.files.fingerprints import path_fingerprint
from ihcli.files.locations import Location
from ihcli.models.model import RunCode
from ihcli.runs.baselines import BaselineInfo
from ihcli.runs.categories import CategoriesInfo
from ihcli.runs.code import CodeInfo
from ihcli.runs.computation import EngineInfo, IntegralsInfo, ScaleInfo, ScanInfo, SmoothingInfo, VersionsInfo
from ihcli.runs.info import RUNNING, DataInfo, MethodInfo, ModelInfo, Origin, RunInfo
from ihcli.runs.openings import openings_told
from ihcli.runs.origins import origins_of
from ihcli.runs.request import RunRequest
from ihcli.runs.sequences import SequenceInfo
from ihcli.runs.told import now


@dataclass(frozen=True)
class Sources:
    """What is explained: where model and data are, and what the columns are for.

    columns  that reach the model
    """

    model: ModelInfo
    data: DataInfo
    origins: Mapping[str, Origin]
    columns: tuple[str, ...]
    keys: tuple[str, ...] = ()
    groups_sha256: str | None = None
    categories: CategoriesInfo | None = None
    sequence: SequenceInfo | None = None


def described(prepared: PreparedRun, path: Location) -> RunInfo:
    """Return the run.json of a run that begins."""
    request, dataset, groups = prepared.request, prepared.dataset, prepared.asked.groups
    named = {name: getattr(request, name) for name in ("model", "data", "groups", "categories")}
    named["baseline"] = request.baseline if is_file(request.baseline) else None
    known = dataset.vocabulary
    sources = Sources(
        model=_model_info(prepared),
        data=_data_info(prepared),
        origins=origins_of(named, path),
        columns=dataset.columns.features,
        keys=tuple(dataset.columns.keys),
        groups_sha256=None if groups is None else path_fingerprint(groups),
        categories=None if known is None else CategoriesInfo.of(known, dataset.own_categories),
        sequence=None if prepared.sequences is None else SequenceInfo(**prepared.sequences.told()),
    )
    return told_of(request, prepared.explainer, sources, prepared.chunk_rows, prepared.warnings)


def told_of(
    request: RunRequest, explainer: Explainer, sources: Sources, chunk_rows: int, warnings: tuple[str, ...]
) -> RunInfo:
    """Return what run.json says of what an explainer makes of these sources."""
    explained, effort = explainer.description(), explainer.effort
    return RunInfo(
        status=RUNNING,
        started=now(),
        arguments=request,
        model=sources.model,
        data=sources.data,
        origins=sources.origins,
        features=None if explained["features"] is None else tuple(explained["features"]),
        units=explained.get("units"),
        openings=openings_told(explained.get("openings", ())),
        imputed=explained.get("imputed"),
        sequence=sources.sequence,
        baseline=BaselineInfo(**explained["baseline"]).sampled(explainer.reader.sampling),
        keys=sources.keys,
        method=MethodInfo(name=explainer.method.name, title=explainer.method.title),
        target=explainer.target.spec,
        groups=explainer.reader.members(sources.columns),
        groups_sha256=sources.groups_sha256,
        categories=sources.categories,
        scale=_scale_info(explainer),
        integrals=IntegralsInfo(
            tolerance=effort.tolerance,
            sampling_share=effort.share_that_counts,
            nodes=effort.start if effort.is_short else None,
        ),
        smoothing=_smoothing_info(explainer),
        engine=EngineInfo(name=explainer.engine.name, reason=explainer.engine_reason),
        device=str(explainer.model.device),
        dtype=str(explainer.model.dtype).removeprefix("torch."),
        memory_bytes=explainer.memory_bytes,
        chunk_rows=chunk_rows,
        warnings=warnings,
        jumps=explainer.jumps,
        versions=_versions(),
    )


def code_info(made_by: RunCode | None) -> CodeInfo | None:
    """Return what is told of code that made a network."""
    if made_by is None:
        return None
    return CodeInfo(name=made_by.name, arguments=made_by.arguments, files=made_by.files)


def _model_info(prepared: PreparedRun) -> ModelInfo:
    return ModelInfo(
        path=str(prepared.request.model),
        sha256=path_fingerprint(prepared.asked.model),
        format=prepared.explainer.original.format,
        outputs=prepared.explainer.target.names,
        code=code_info(prepared.explainer.original.code),
    )


def _data_info(prepared: PreparedRun) -> DataInfo:
    dataset = prepared.dataset
    return DataInfo(
        path=str(prepared.request.data),
        sha256=dataset.fingerprint(),
        format=dataset.format,
        files=tuple(str(file) for file in dataset.files),
        rows=prepared.scan.n_rows,
    )


def _scale_info(explainer: Explainer) -> ScaleInfo | None:
    finish = explainer.finish
    return None if finish is None else ScaleInfo(name=explainer.scale, ending=finish.words)


def _smoothing_info(explainer: Explainer) -> SmoothingInfo | None:
    if (found := explainer.smoothing) is None:
        return None
    told = asdict(replace(found, scan=None))
    return SmoothingInfo(**{**told, "scan": None if found.scan is None else ScanInfo.of(found.scan)})


@cache
def _versions() -> VersionsInfo:
    packages = ("ihcli", "torch", "transformers", "numpy", "pyarrow")
    return VersionsInfo(python=platform.python_version(), **{name: version(name) for name in packages})
