"""How sharp SoftPlus has to be for interactions to be those of the network: betas tried on a sample of records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ihcli.errors import OptionError
from ihcli.explainers.explainer import Explainer
from ihcli.explainers.sampling import settle_baselines
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.explanation.betas import (
    AUTO,
    SCAN,
    STABLE,
    BetaScan,
    Pairs,
    TriedBeta,
    chosen_of,
    is_scan,
    turning_pairs,
)
from ihcli.methods import method_named
from ihcli.models import Model
from ihcli.models.targets import ALL, LABEL
from ihcli.quality import Status
from ihcli.readers import Reader
from ihcli.smoothing import BETA_LADDER

TRIED_ROWS, FEWEST_ROWS = 32, 4
TRIED_BASELINES = 20
ENTRIES = 1 << 22
"""Of matrices held at once, which bound the records tried of wide tables."""


def settle(
    model: Model,
    reader: Reader,
    sample: Sequence[Any] | np.ndarray,
    settings: Settings,
    scanned: BetaScan | None = None,
) -> tuple[Reader, Explainer]:
    """Settle all that was left open, how many baselines and which beta: the reader, and what explains records so.

    scanned  betas that were tried before, by this run or by another shard of it; None: they are tried now

    Of "scan" every beta of the ladder is tried, and the smallest taken that keeps to the tolerance and whose pairs
    agree with those of the sharpest that converges. Of "auto" with `smooth_stable` they are tried from its beta on,
    until one agrees with the next. Both depend on the sample, the seed and the settings alone.

    Raises what `prepare` raises, and OptionError where there is nothing to scan.
    Cost: a scan explains TRIED_ROWS records once for every beta of the ladder.
    """
    tries = is_scan(method_named(settings.method), settings.smooth, settings.smooth_stable)
    plain = replace(settings, smooth=AUTO) if tries else settings
    reader = settle_baselines(model, reader, sample, plain)
    if not tries:
        return reader, prepare(model, reader, sample, plain)
    if scanned is None:
        scanned = _scan(model, reader, sample, settings)
    if scanned is None:
        return reader, prepare(model, reader, sample, plain)
    explainer = prepare(model, reader, sample, replace(settings, smooth=scanned.chosen))
    return reader, _scanned(explainer, scanned)


def _scanned(explainer: Explainer, scan: BetaScan) -> Explainer:
    if explainer.smoothing is None:
        raise ValueError("a scan of a model in which nothing is replaced")
    smoothing = replace(explainer.smoothing, scan=scan)
    return replace(explainer, smoothing=smoothing, warnings=(*explainer.warnings, *_warnings(scan)))


def _warnings(scan: BetaScan) -> Iterator[str]:
    if scan.is_stable:
        return
    found = "is not known" if scan.is_stable is None else "is missed"
    yield (
        f"whether the pairs of beta {scan.chosen:g} agree with those of sharper ones to {scan.stable:g} {found}, on "
        f"{scan.rows} rows of the data. Expect interactions, and their signs, to depend on beta. Try the ranking with "
        "another `smooth` as well."
    )


@dataclass(frozen=True)
class _Trial:
    """Records that are explained under several betas, with few baselines.

    settings  of which the beta is another each time
    rows      the records
    """

    model: Model
    reader: Reader
    sample: Sequence[Any] | np.ndarray
    settings: Settings
    rows: Sequence[Any] | np.ndarray

    def tried(self, beta: float) -> tuple[TriedBeta, Pairs]:
        """Explain the records under a beta."""
        explainer = prepare(self.model, self.reader, self.sample, replace(self.settings, smooth=beta))
        explanation, smoothing = explainer.explain(self.rows), explainer.smoothing
        if smoothing is None:
            raise ValueError("a beta was asked for")
        pairs = Pairs.of(explanation)
        found = TriedBeta(
            beta=beta,
            drift=smoothing.drift,
            changed=smoothing.changed,
            within_tolerance=smoothing.within_tolerance,
            evaluations=float(explanation.evaluations.mean()),
            converged=float((explanation.status == Status.OK).mean()),
            pairs_share=pairs.share,
        )
        return found, pairs


def _scan(model: Model, reader: Reader, sample: Sequence[Any] | np.ndarray, settings: Settings) -> BetaScan | None:
    """Try betas as the settings ask; None where there is nothing to smooth, of which "scan" makes an OptionError.

    Of outputs by label, and of all of them, the predicted one of each record is explained.
    """
    few = reader.with_few_baselines(TRIED_BASELINES)
    target = None if settings.target in (ALL, LABEL) else settings.target
    asked = replace(settings, target=target, smooth=AUTO, whole_matrices=True)
    by_default = prepare(model, few, sample, asked)
    if by_default.smoothing is None:
        if settings.smooth == SCAN:
            raise OptionError(
                f"`smooth={SCAN}`: the model has nothing that SoftPlus replaces. Expected ReLU or a function like it. "
                f"Try `smooth={AUTO}`: its interactions depend on no beta."
            )
        return None
    trial = _Trial(model, few, sample, asked, _few_rows(by_default, sample))
    stable = STABLE if settings.smooth_stable is None else settings.smooth_stable
    scan = _scan_all if settings.smooth == SCAN else _scan_until_stable
    return scan(trial, by_default.smoothing.beta, stable)


def _few_rows(explainer: Explainer, sample: Sequence[Any] | np.ndarray) -> Sequence[Any] | np.ndarray:
    most = max(FEWEST_ROWS, min(TRIED_ROWS, ENTRIES // max(1, explainer.longest) ** 2))
    present = np.flatnonzero(explainer.reader.encode(sample).present)[:most]
    return sample[present] if isinstance(sample, np.ndarray) else [sample[place] for place in present]


def _scan_all(trial: _Trial, by_default: float, stable: float) -> BetaScan:
    """Try every beta, sharpest first, so that the pairs of three at a time are held."""
    tried, turned = list[TriedBeta](), list[tuple[float, np.ndarray]]()
    sharpest: tuple[float, Pairs] | None = None
    sharper: Pairs | None = None
    for beta in reversed(BETA_LADDER):
        found, pairs = trial.tried(beta)
        if sharpest is not None and sharper is not None:
            found, places = found.beside(pairs, sharpest[1], sharper)
            turned.append((beta, places))
        elif found.converges:
            sharpest = beta, pairs
        sharper = pairs
        tried.insert(0, found)
    reference, compared = (None, None) if sharpest is None else sharpest
    chosen, is_stable = chosen_of(tried, by_default, stable)
    turning, n_turning = turning_pairs(turned, compared)
    return BetaScan(
        rows=len(trial.rows),
        chosen=chosen,
        sharpest=reference,
        top_k=0 if compared is None else compared.top_k,
        stable=stable,
        is_stable=is_stable,
        betas=tuple(tried),
        turning=tuple(turning),
        n_turning=n_turning,
    )


def _scan_until_stable(trial: _Trial, by_default: float, stable: float) -> BetaScan:
    """Try betas from the one that the tolerance admits on, until the pairs of one agree with those of the next.

    Where none does, or that is not known, the sharpest that is known to converge is taken.
    """
    ladder = [beta for beta in BETA_LADDER if beta >= by_default]
    found, pairs = trial.tried(ladder[0])
    tried, chosen, is_stable = [found], found.beta, None
    for beta in ladder[1:]:
        found, sharper = trial.tried(beta)
        following = pairs.agreement(sharper) if found.converges else None
        tried = [*tried[:-1], replace(tried[-1], following=following), found]
        chosen, is_stable, pairs = tried[-2].beta, None if following is None else following >= stable, sharper
        if is_stable is not False:
            break
    return BetaScan(rows=len(trial.rows), chosen=chosen, stable=stable, is_stable=is_stable, betas=tuple(tried))
