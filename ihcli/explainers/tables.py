"""Rows of a table explained: inputs of one width, the same baselines and groups for all."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, parts_told, unheard
from ihcli.data.baselines import Baselines, drawn_rows, resolve_baselines
from ihcli.data.groups import Groups
from ihcli.data.rows import Rows
from ihcli.data.survey import Survey
from ihcli.derivatives.paths import Paths
from ihcli.explainers.explainer import PROBE_ROWS, Explainer, Figures, Sample, Settings, numpy_dtype, settle
from ihcli.explanation import Explanation, join_explanations, scatter
from ihcli.files.fingerprints import values_fingerprint
from ihcli.integration.assembly import sampling_error
from ihcli.integration.computing import computation_of
from ihcli.models import Model
from ihcli.models.targets import PREDICTED

SAMPLE_ROWS = 256
PROBE_BASELINES = 4
CPU_BATCH_BYTES = 64 << 20
"""Larger batches on a CPU are slower (0.54 s against 0.91 at 256 MiB for 32,768 rows of ig) and scatter its memory."""
REFINED_BYTES, SMOOTH_BYTES = 1024, 32
"""For a path and group: what panels or kinks hold while they are refined, of hard networks, and where that is seldom.
Measured of networks with ReLUs: 800 bytes under eh at 79 evaluations a path, 850 to 1,600 under eg and ig."""


@dataclass(frozen=True, kw_only=True)
class TableExplainer(Explainer):
    """Explains rows with one model, method, target, set of groups and baselines; see `prepare_table_explainer`."""

    groups: Groups
    baselines: Baselines

    @property
    def row_bytes(self) -> int:
        """Return what one row of the data and its explanation hold in memory, in bytes."""
        return self.targets_per_row * self._entry_bytes + 8 * self.baselines.values.shape[1]

    @property
    def _entry_bytes(self) -> int:
        g, width = len(self.groups.names), self.model.dtype.itemsize
        return width * (g * g if self.method.second_order else 0) + width * g + 200

    def description(self) -> dict[str, Any]:
        """Return what run.json says of features and baselines."""
        return {
            "features": list(self.groups.names),
            "baseline": {
                "source": self.baselines.source,
                "rows": len(self.baselines.values),
                "population": self.baselines.population,
                "sha256": values_fingerprint(self.baselines.values),
            },
        }

    def explain(
        self, inputs: np.ndarray, labels: np.ndarray | None = None, first_row: int = 0, tell: Tell = unheard
    ) -> Explanation:
        """Explain rows (N, D); rows with a missing or infinite input are returned as such, without figures.

        `tell` hears now and then what share of them is done.

        Raises DataError when the target is each row's label and a label names no output.
        """
        complete = np.isfinite(inputs).all(axis=1)
        outputs = np.full((len(inputs), len(self.target.names)), np.nan)
        if complete.any():
            outputs[complete] = self.telling_rows(
                lambda some: self.outputs(self._tensor(inputs[some])),
                np.flatnonzero(complete),
                first_row + np.arange(len(inputs)),
            )
        row, output = self.target.select(outputs, labels, first_row)
        known = complete[row]

        def explained(block: np.ndarray, told: Tell) -> Explanation:
            return self.telling_rows(
                lambda some: self._explain_block(
                    inputs[row[some]], output[some], outputs[row[some], output[some]], told
                ),
                block,
                first_row + row,
            )

        parts = [explained(*part) for part in parts_told(self._blocks(np.flatnonzero(known)), tell)]
        explanation = scatter(join_explanations(parts or [self._nothing()]), known)
        names = np.array(self.target.names, dtype=object)[output]
        if self.target.spec == PREDICTED:
            names[~known] = None
        return replace(explanation, row=first_row + row, target=names)

    def working_bytes(self, rows: int) -> int:
        """Return about what panels and matrices hold while so many rows are explained, in bytes."""
        return min(rows * self.targets_per_row, self._block_size) * self._held_bytes

    def _blocks(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Cut entries into blocks whose panels and matrices fit into half of the memory budget."""
        size = self._block_size
        return [wanted[i : i + size] for i in range(0, len(wanted), size)]

    @property
    def _block_size(self) -> int:
        return max(1, self.memory_bytes // 2 // self._held_bytes)

    @property
    def _held_bytes(self) -> int:
        g, b = len(self.groups.names), len(self.baselines.values)
        kept = REFINED_BYTES if self.piecewise_linear or self.method.second_order else SMOOTH_BYTES
        return b * g * kept + self._entry_bytes

    def _explain_block(self, inputs: np.ndarray, output: np.ndarray, original: np.ndarray, tell: Tell) -> Explanation:
        paths = _paths(self.model, self._tensor(inputs), self._tensor(self.baselines.values), output, self.groups)
        compute = computation_of(self.method)
        found = compute(self.engine, paths, self.method, self.effort, self.piecewise_linear, tell)
        spread = self._is_subsampled
        return self._explanation(
            Figures.of(found, self.method, original, self.smoothing is not None),
            found.attributions.astype(numpy_dtype(self.model)),
            found.interactions,
            sampling_error(found.certificate.attributions, self.baselines.population) if spread else None,
        )

    def _nothing(self) -> Explanation:
        """Return an explanation of no rows, with the columns that one of rows would have."""
        g, dtype = len(self.groups.names), numpy_dtype(self.model)
        return self._explanation(
            Figures.of_nothing(self.smoothing is not None),
            np.zeros((0, g), dtype),
            np.zeros((0, g, g), dtype) if self.method.second_order else None,
            np.zeros(0) if self._is_subsampled else None,
        )

    def _explanation(
        self, figures: Figures, attributions: np.ndarray, interactions: np.ndarray | None, spread: np.ndarray | None
    ) -> Explanation:
        n = len(attributions)
        return Explanation(
            row=np.zeros(n, np.int64),
            target=np.zeros(n, object),
            feature_names=self.groups.names,
            attributions=attributions,
            interactions=interactions,
            sampling_error=spread,
            **vars(figures),
        )

    @property
    def _is_subsampled(self) -> bool:
        return self.baselines.population > len(self.baselines.values)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=self.model.dtype, device=self.model.device)


@dataclass(frozen=True)
class TableQuestion:
    """What is asked of a table beside the model and the method's settings.

    baseline, many, baseline_rows, seed  see `resolve_baselines`
    groups  of its features
    limit   only so many rows, the first ones, are explained; None: all. Baselines are of all the data
    """

    baseline: str | np.ndarray | None
    many: bool
    groups: Groups
    baseline_rows: int = 200
    seed: int = 0
    limit: int | None = None

    def survey(self, rows: Rows, least: int = SAMPLE_ROWS) -> Survey:
        """Scan the rows to explain and draw what explaining needs of them, at least so many, in one pass."""
        return rows.survey(max(least, drawn_rows(self.baseline, self.many, self.baseline_rows)), self.seed, self.limit)

    def explainer(self, model: Model, rows: Rows, survey: Survey, settings: Settings) -> TableExplainer:
        """Resolve the baselines and settle how the model explains the rows that were surveyed.

        Raises what `resolve_baselines` and `settle` raise.
        """
        baselines = resolve_baselines(
            self.baseline,
            many=self.many,
            dataset=rows,
            survey=survey if self.limit is None else None,
            zero=_zero(model, rows.columns.features),
            limit_rows=self.baseline_rows,
            seed=self.seed,
        )
        return prepare_table_explainer(model, self.groups, baselines, survey.sample.first(SAMPLE_ROWS), settings)


def prepare_table_explainer(
    model: Model, groups: Groups, baselines: Baselines, sample: np.ndarray, settings: Settings
) -> TableExplainer:
    """Settle how a model explains rows, on a sample of complete ones (at most SAMPLE_ROWS are used); see `settle`."""
    rows = torch.as_tensor(sample[:SAMPLE_ROWS], dtype=model.dtype, device=model.device)
    few = torch.as_tensor(baselines.values[:PROBE_BASELINES], dtype=model.dtype, device=model.device)

    def probe_paths(smooth: Model) -> Paths:
        probe = rows[:PROBE_ROWS]
        return _paths(smooth, probe, few, highest_outputs(smooth, probe), groups)

    tried = Sample((rows,), probe_paths, len(baselines.values), CPU_BATCH_BYTES, is_text=False)
    return TableExplainer(**vars(settle(model, tried, settings)), groups=groups, baselines=baselines)


def highest_outputs(model: Model, rows: Tensor) -> np.ndarray:
    """Return the index of the largest output of every row, (n,)."""
    with torch.no_grad():
        return model.outputs(rows).argmax(dim=1).cpu().numpy()


def _zero(model: Model, features: tuple[str, ...]) -> tuple[float, ...] | None:
    """Return the model's zero in the order of the features."""
    if model.zero is None or model.feature_names is None or set(model.feature_names) != set(features):
        return model.zero
    of_name = dict(zip(model.feature_names, model.zero, strict=True))
    return tuple(of_name[name] for name in features)


def _paths(model: Model, inputs: Tensor, baselines: Tensor, output: np.ndarray, groups: Groups) -> Paths:
    return Paths(
        inputs=inputs,
        baselines=baselines,
        outputs=torch.as_tensor(output, dtype=torch.int64, device=model.device),
        n_groups=len(groups.names),
        group_of=None if groups.index is None else torch.as_tensor(groups.index, device=model.device),
    )
