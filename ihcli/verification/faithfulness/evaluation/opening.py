"""A run, its model and its data, opened to be evaluated: refused where they are not each other's."""

from dataclasses import dataclass

from ihcli.data.formats.opening import open_table
from ihcli.errors import OptionError, RunError
from ihcli.files.locations import Location
from ihcli.results.result import Result
from ihcli.runs.members import require_no_mean
from ihcli.runs.run import open_run
from ihcli.runs.told import if_told
from ihcli.verification.described import Described
from ihcli.verification.faithfulness.evaluation.evaluating import Evaluation
from ihcli.verification.faithfulness.evaluation.joining import MOST_IMPUTED, Joined
from ihcli.verification.faithfulness.evaluation.labels import TrueValues
from ihcli.verification.faithfulness.evaluation.words import Words
from ihcli.verification.faithfulness.metrics import PAIRS, Wanted
from ihcli.verification.faithfulness.sampled import sampled
from ihcli.verification.findings import FAILED, Finding
from ihcli.verification.recomputation.drawing import Question, reopen
from ihcli.verification.recomputation.keys import compare_keys
from ihcli.verification.recomputation.origins import origins, setting


@dataclass(frozen=True)
class Asked:
    """What is to be evaluated.

    question    model and data, and how many rows of each target, drawn with which seed
    target      None: all that the run has
    label       column of true values, which the absolute curves are held against; None: f(x)
    background  table that means, covariances and resampled rows come from; None: the data
    draws       rows of it that are resampled, and most baselines that pairs and sets of units are closed with
    """

    question: Question
    wanted: Wanted
    target: str | None = None
    label: str | None = None
    background: str | None = None
    draws: int = 100


def open_evaluation(path: str | Location, asked: Asked) -> Evaluation:
    """Join a run with its model and data, to be evaluated.

    Raises RunError where the path is no finished run, or model, data, keys, features or outputs are not the run's own;
    ModelError, DataError and OptionError for what cannot be read or is not there.
    """
    question = asked.question
    question.require_files()
    run = open_run(path)
    require_no_mean(path, if_told(lambda: run.info.members) or (), "ihcli evaluate of each")
    question.require_code(run.info)
    try:
        described = Described.of(run.info)
    except RunError as error:
        raise RunError(f"{run.path}: run.json {error}.") from error
    for finding in (*origins(described, question), compare_keys(run, described, open_table(question.data))):
        _require(finding, path)
    result = Result(run)
    prepared = reopen(described, question, run.path)
    _require(setting(described, prepared), path)
    words, with_pairs = Words.of(prepared), PAIRS in asked.wanted.others
    merge = None if words is None else words.merged
    entries = sampled(result, asked.target, question.sample, question.seed, with_pairs, merge)
    fills = tuple(dict.fromkeys(metric.fill for metric in asked.wanted.curves))
    joined = Joined.of(prepared, entries, asked.background, fills, asked.draws, question.seed)
    if not asked.wanted.others and not joined.fill_names:
        raise OptionError(
            f"`metrics`: {', '.join(fills)} are of rows of a table, with up to {MOST_IMPUTED:,} inputs for impute. "
            f"Expected what {run.path} can be asked. Try `metrics=mean`."
        )

    truth = None
    if asked.label is not None:
        if asked.label in prepared.dataset.columns.features:
            raise OptionError(
                f"`label={asked.label}`: is a feature of the run. Expected a column with true values. Try another, or "
                "without `label`."
            )
        truth = TrueValues.read(joined.explainer, question.data, asked.label, joined.row)
    return Evaluation(result, asked.wanted, entries, joined, truth, question.seed)


def _require(finding: Finding, path: str | Location) -> None:
    """Raise RunError for a check that failed."""
    if finding.outcome == FAILED:
        raise RunError(
            f"{path}: {finding.check}: {finding.detail}. Expected what the run was made from. Try that, or ihcli "
            "explain again with what is there now."
        )
