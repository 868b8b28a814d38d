"""What comes of a sample of rows computed once more, beside what the run reports of them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ihcli.data.formats.opening import open_table
from ihcli.errors import IhcliError, RunError
from ihcli.execution.preparation import PreparedRun
from ihcli.explanation.factors import whole
from ihcli.files.locations import Location
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.computing import computation_of
from ihcli.integration.effort import Effort
from ihcli.integration.spread import sampling_error
from ihcli.methods import METHODS
from ihcli.quality import DRIFT, INTERACTION_ERROR, INTERACTION_SAMPLING_ERROR, SAMPLING_ERROR, Status
from ihcli.results.result import Result
from ihcli.runs.members import mean_in_words
from ihcli.runs.run import open_run
from ihcli.runs.told import if_told
from ihcli.verification.described import Described
from ihcli.verification.findings import FAILED, Bounded, Faults, Finding, not_checked
from ihcli.verification.recomputation.axioms import Axioms
from ihcli.verification.recomputation.drawing import Drawn, Question, draw, prepare
from ihcli.verification.recomputation.independent import Integral, PlainPaths
from ihcli.verification.recomputation.judging import Judge, Truth, gamma_error
from ihcli.verification.recomputation.keys import compare_keys
from ihcli.verification.recomputation.origins import origins, setting
from ihcli.verification.recomputation.pairs import PairChecks
from ihcli.verification.recomputation.quality import judged_again

FINER = 100
"""How much more accurate than the reported error truth is asked to be, of the run's own method."""
CLOSER = 10
"""The same of the independent rule, which converges more slowly."""
MOST_COLUMNS = 8
AGREEMENT = {"float32": 1e-4, "float64": 1e-9}
"""Rounding of a deep network's outputs, relative to the largest of them."""
SPREAD = 0.05
"""Standard errors agree to this: those of the run are of attributions within its tolerance."""
ROUNDING = 64.0


def recompute(path: str | Location, question: Question) -> Iterator[Finding]:
    """Compute a random sample of a run's rows once more and compare; model and data must be those of the run.

    In float64 where the model allows it, of the same smoothed function, at the inputs as the run rounded them. Truth is
    found twice: by the run's own method with a tolerance FINER times smaller than the error that each row reports, and
    by `PlainPaths`. A row counts where truth is known better than it must be. By the contract of the reported error it
    may be too small in 1 % of rows, so one row of a sample of up to 100 may miss, though not by far.

    Cost: some hundred evaluations a baseline and row, and 2 of each for MOST_COLUMNS columns of the interactions.
    Raises RunError where the path is not a run, ModelError or DataError where there is no model or no table.
    """
    question.require_files()
    run = open_run(path)
    if members := if_told(lambda: run.info.members):
        yield not_checked("recomputation", f"the run is {mean_in_words(members)}. Try ihcli verify of each")
        return
    question.require_code(run.info)
    try:
        described = Described.of(run.info)
    except RunError as error:
        yield not_checked("recomputation", f"run.json: {error}")
        return
    same = list(origins(described, question))
    yield from same
    if any(finding.outcome == FAILED for finding in same):
        yield not_checked("recomputation", "rows of another model or other data would be compared")
        return
    try:
        yield compare_keys(run, described, open_table(question.data))
    except IhcliError as error:
        yield Finding("keys", FAILED, f"could not be compared: {error}")
    try:
        prepared = prepare(described, question, run.path)
        yield setting(described, prepared)
        if (judged := judged_again(run, prepared, described.dtype)) is not None:
            yield judged
        drawn = draw(Result(run), described, prepared, question)
    except IhcliError as error:
        yield Finding("recomputation", FAILED, f"could not be made: {error}")
        return
    yield from Recomputation(described, prepared, drawn, question).findings()
    if question.axioms:
        yield from Axioms(described, prepared.explainer, np.random.default_rng(question.seed)).findings(drawn)


class Recomputation:
    """Holds the drawn rows against what is computed of them."""

    def __init__(self, run: Described, prepared: PreparedRun, drawn: list[Drawn], question: Question) -> None:
        self._run = run
        self._explainer = prepared.explainer
        self._population = run.info.baseline.population if "subsampled" in run.traits else None
        self._drawn = drawn
        self._wanted = min(question.sample, run.rows)
        self._rng = np.random.default_rng(question.seed)
        precision = str(prepared.explainer.model.dtype).removeprefix("torch.")
        finer, plain = f"in {precision}, tolerance / {FINER}", f"in {precision}, plain gradients on ever finer rules"
        self._sample = Faults("sample", "keys, targets, units and missing inputs are those of the data")
        self._predictions = Bounded("predictions", "f(x), f(x') and drift, against the rounding of the run's dtype")
        again = "relative standard error over baselines, computed once more"
        self._spread = Bounded("sampling error", again)
        self._gamma_spread = Bounded("sampling error of pairs", again)
        self._pairs = PairChecks(finer, run.beside_pairs if run.stores_pairs else ())
        self._phi = Judge("attributions, finer", f"true error of phi next to the reported one, {finer}")
        self._sums = Judge("row sums, finer", f"true error of the row sums of Gamma, {finer}")
        certified = INTERACTION_ERROR in run.measures
        self._gamma = Judge("interactions, finer", f"true error of Gamma, {finer}", is_certified=certified)
        self._plain_phi = Judge("attributions, independent", f"true error of phi, {plain}")
        self._plain_gamma = Judge(
            "interactions, independent",
            f"true error of up to {MOST_COLUMNS} columns of Gamma a row, {plain}, central differences",
            is_certified=certified,
        )

    def findings(self) -> Iterator[Finding]:
        """Return what came of it."""
        self._sample.add("rows that the data does not have", self._wanted - len(self._drawn))
        for drawn in self._drawn:
            self._compare(drawn)
        yield self._sample.finding()
        yield self._predictions.finding()
        if SAMPLING_ERROR in self._run.measures:
            yield self._spread.finding()
        if INTERACTION_SAMPLING_ERROR in self._run.measures:
            yield self._gamma_spread.finding()
        if not self._run.has_error:
            yield not_checked(
                "attributions", f"{self._run.method} reports no error that a true one could be held against"
            )
            return
        yield self._phi.finding()
        is_integral = METHODS[self._run.method].is_integral
        yield self._plain_phi.finding() if is_integral else self._no_integral("attributions")
        if not self._run.second_order:
            return
        if self._run.stores_matrices:
            yield self._sums.finding()
        if not (self._run.stores_matrices or self._run.stores_pairs):
            yield not_checked("interactions", "the run stores no interactions of single rows")
            return
        yield self._gamma.finding()
        yield self._plain_gamma.finding() if is_integral else self._no_integral("interactions")
        if INTERACTION_ERROR in self._run.measures:
            yield from self._pairs.findings()

    def _no_integral(self, values: str) -> Finding:
        return not_checked(f"{values}, independent", f"{self._run.method} takes no integral to compute in another way")

    def _compare(self, drawn: Drawn) -> None:
        self._compare_identity(drawn)
        if drawn.paths is None or not drawn.record.has_values:
            return
        if len(drawn.record.attributions) != drawn.paths.n_groups or drawn.record.target not in self._run.outputs:
            return  # said by the check of the sample
        self._compare_with_finer(drawn)

    def _compare_identity(self, drawn: Drawn) -> None:
        record = drawn.record
        self._sample.checked += 1
        self._sample.add("rows with other keys than the data", int(record.keys != drawn.keys), drawn.name)
        is_missing = record.quality["status"] == Status.MISSING_INPUT
        wrong = is_missing != (drawn.paths is None)
        self._sample.add("rows whose missing inputs are not those of the data", int(wrong), drawn.name)
        if drawn.paths is None or is_missing:
            return
        if drawn.units is not None:
            self._sample.add("texts of other units", int(record.has_values and record.names != drawn.units), drawn.name)
        self._sample.add("rows of another target", int(not self._is_target(drawn)), drawn.name)

    def _is_target(self, drawn: Drawn) -> bool:
        """Tell whether the target is the one asked for; of predictions that rounding cannot tell apart, either is."""
        if drawn.record.target not in self._run.outputs:
            return False
        found = drawn.outputs[self._run.outputs.index(drawn.record.target)]
        if self._run.target != "predicted":
            return drawn.record.target == self._run.outputs[drawn.expected]
        return bool(drawn.outputs.max() - found <= AGREEMENT[self._run.dtype] * np.abs(drawn.outputs).max())

    def _compare_with_finer(self, drawn: Drawn) -> None:
        record, paths = drawn.record, drawn.paths
        if paths is None:
            raise ValueError("a row without inputs")
        explainer, reported = self._explainer, float(record.quality["relative_error"] or 0.0)
        tolerance = max(min(reported, self._run.tolerance), 1e-12) / FINER
        effort = Effort(
            tolerance,
            follows_kinks=explainer.effort.follows_kinks,
            population=self._population,
            balance=explainer.reader.balance,
        )
        found = computation_of(explainer.method)(explainer.engine.along(paths), explainer.method, effort)
        certificate = found.certificate
        prediction, start = float(certificate.prediction[0]), float(certificate.baseline_prediction.mean())
        self._compare_predictions(drawn, prediction, start)
        self._compare_spreads(drawn, found)
        if not self._run.has_error:
            return
        floor = ROUNDING * self._run.eps * (abs(prediction) + abs(start))
        truth = Truth(reported, floor, ROUNDING * self._run.eps, self._run.tolerance, drawn.name)
        unsure = float(certificate.relative_error[0])
        phi = found.attributions[0]
        self._phi.see(truth, np.abs(record.attributions - phi).sum(), np.abs(phi).sum(), unsure)
        if record.interactions is not None:
            sums = record.interactions.sum(axis=1, dtype=np.float64)
            self._sums.see(truth, np.abs(sums - phi).sum(), np.abs(phi).sum(), unsure)
        gamma = None if found.interactions is None else whole(found.interactions)[0].astype(np.float64)
        size = 0.0 if gamma is None else float(np.abs(gamma).sum())
        of_matrix = replace(truth, reported=float(record.quality.get("interaction_error") or reported))
        if gamma is not None and (record.interactions is not None or record.top_effects is not None):
            unsure = unsure if found.interaction_error is None else float(found.interaction_error[0])
            self._gamma.see(of_matrix, gamma_error(record, gamma), size, unsure)
            self._pairs.see(record, found, of_matrix, drawn.name)
        if METHODS[self._run.method].is_integral:
            self._compare_with_plain(drawn, truth, of_matrix, size)

    def _compare_spreads(self, drawn: Drawn, found: ExplainedRows) -> None:
        """Compare the standard errors over drawn baselines."""
        if self._population is None or self._run.n_baselines == 1:
            return
        spreads = {
            "sampling_error": (
                self._spread,
                sampling_error(found.certificate.attributions, self._population, self._explainer.reader.balance),
                "relative",
            ),
            "interaction_sampling_error": (self._gamma_spread, found.interaction_sampling_error, "interaction"),
        }
        for name, (check, spread, which) in spreads.items():
            told = drawn.record.quality.get(name)
            if spread is not None and told is not None:
                reported = float(drawn.record.quality.get(f"{which}_error") or 0.0)
                check.see(np.abs(told - spread), SPREAD * spread + 2 * reported, [drawn.name])

    def _compare_predictions(self, drawn: Drawn, prediction: float, start: float) -> None:
        quality = drawn.record.quality
        original = float(drawn.outputs[self._run.outputs.index(drawn.record.target)])
        figures = {"prediction": prediction, "baseline_prediction": start}
        if DRIFT in self._run.measures:
            figures["drift"] = prediction - original
        scale = max(np.abs(drawn.outputs).max(), abs(prediction), abs(start))
        off = np.array([abs(quality[name] - value) for name, value in figures.items()], float)
        bound = np.full(len(off), AGREEMENT[self._run.dtype] * scale)
        self._predictions.see(off, bound, [f"{name} of {drawn.name}" for name in figures])

    def _compare_with_plain(self, drawn: Drawn, truth: Truth, of_matrix: Truth, size: float) -> None:
        paths = self._plain(drawn)
        accuracy = max(truth.reported, truth.rounding) / CLOSER
        phi = paths.attributions(accuracy)
        total = float(np.abs(phi.value).sum())
        off = np.abs(drawn.record.attributions - phi.value).sum()
        self._plain_phi.see(truth, off, total, _relative(phi, total, truth.floor))
        record = drawn.record
        if record.interactions is None and record.top_effects is None:
            return
        columns = np.sort(self._rng.permutation(paths.n_groups)[:MOST_COLUMNS])
        gamma = paths.interactions(columns, accuracy, phi.panels // 2)
        known = np.full((paths.n_groups, paths.n_groups), np.nan)
        known[:, columns] = gamma.value
        known[columns] = gamma.value.T
        known[np.ix_(columns, columns)] = (gamma.value[columns] + gamma.value[columns].T) / 2
        rounding = 2 * torch.finfo(paths.row.dtype).eps / paths.step * total * len(columns)
        unsure = _relative(gamma, size, truth.floor) + rounding / max(size, truth.floor, 1e-300)
        self._plain_gamma.see(of_matrix, gamma_error(record, known), size, unsure)

    def _plain(self, drawn: Drawn) -> PlainPaths:
        paths, model = drawn.paths, self._explainer.model
        if paths is None:
            raise ValueError("a row without inputs")
        group_of = torch.arange(paths.n_groups, device=model.device) if paths.group_of is None else paths.group_of
        output = int(paths.outputs[0])

        def explained(z: Tensor) -> Tensor:
            return model.outputs(z)[:, output]

        baselines = paths.baselines[0] if paths.have_own_baselines else paths.baselines
        own_groups = group_of[0] if group_of.dim() == 2 else group_of
        return PlainPaths(explained, paths.inputs[0], baselines, own_groups, paths.n_groups)


def _relative(integral: Integral, size: float, floor: float) -> float:
    return integral.uncertainty / max(size, floor, 1e-300)
