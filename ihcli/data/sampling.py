"""How many baselines are drawn: so many, or as many as their sampling error asks for; and what was found enough.

Also how exact integrals need be, with or without drawing: where nobody says, as their sampling error allows.
"""

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

from ihcli.errors import OptionError
from ihcli.methods import Method, names_of, partner
from ihcli.wording import either

BaselineRows = int | Literal["auto"]
AUTO: Literal["auto"] = "auto"
"""As many baselines as their sampling error asks for; see `ihcli.explainers.sampling`."""
BASELINE_ROWS, SAMPLING_TOLERANCE = 200, 0.05
"""How many are drawn where nobody says, and their error where it says how many."""
TOLERANCE, SAMPLING_SHARE = 0.01, 0.2
"""Relative error at which a row is done where nobody says, and the share of its sampling error at which it is where
that is more: a fifth of a standard error adds 2 % to it, in quadrature."""


@dataclass(frozen=True)
class Sampling:
    """How many baselines were found enough, and what that rests on.

    rows       baselines that are drawn
    tolerance  sampling error that was asked for
    error      within which it is in `within` of the `tried` rows, None where none of them has figures
    of         what it is the error of: attributions or interactions
    needed     baselines that the tolerance takes, where so many are not drawn; None: it is met
    """

    rows: int
    tolerance: float
    error: float | None
    within: int
    tried: int
    of: str
    needed: int | None = None

    def in_words(self) -> str:
        """Return what a user hears of it before rows are explained."""
        if self.error is None:
            return f"{self.rows} baselines: their sampling error is not known, as no row that was tried has values."
        if self.error == 0:
            return f"{self.rows} baselines: no sampling error."
        return f"{self.rows} baselines: {self._error_in_words()}."

    def shortfall(self) -> str | None:
        """Return what is missing, and what helps; None where the tolerance is met."""
        if self.needed is None or self.error is None:
            return None
        digits = 1 - math.floor(math.log10(self.error))
        larger = math.ceil(self.error * 10**digits) / 10**digits
        replaced = AUTO if self.tolerance == SAMPLING_TOLERANCE else f"{AUTO} and `sampling_tolerance`"
        return (
            f"{self.rows} baselines, the most that are drawn here: {self._error_in_words()}, where "
            f"{self.tolerance:.1%} was asked for. About {self.needed} would be needed, as the error falls with the "
            f"square root of their number. Try `sampling_tolerance={larger:g}`, or `baseline_rows={self.needed}` in "
            f"place of {replaced}."
        )

    def _error_in_words(self) -> str:
        return (
            f"the sampling error of {self.of} is {self.error:.1%} or less in {self.within} of {self.tried} rows that "
            "were tried"
        )


def tolerance_in_words(tolerance: float, sampling_share: float) -> str:
    """Return at which relative error rows are done."""
    if not sampling_share:
        return f"{tolerance:g}"
    return f"{tolerance:g}, or {100 * sampling_share:g} % of a row's sampling error if that is more"


def require_rows(rows: Any, tolerance: Any, method: Method) -> None:
    """Raise OptionError where `baseline_rows` or `sampling_tolerance` cannot be, or do not go with the method."""
    if rows != AUTO and not (isinstance(rows, Integral) and not isinstance(rows, bool) and int(rows) >= 1):
        raise OptionError(
            f"`baseline_rows`: {rows!r} cannot be. Expected a whole number of at least 1, or {AUTO}. "
            f"Try {BASELINE_ROWS}."
        )
    if not (isinstance(tolerance, int | float) and not isinstance(tolerance, bool) and 0 < tolerance < math.inf):
        raise OptionError(
            f"`sampling_tolerance`: {tolerance!r} cannot be. Expected a finite number above 0. "
            f"Try {SAMPLING_TOLERANCE}."
        )
    if rows == AUTO and not method.many_baselines:
        many = either(names_of(many_baselines=True, integrals=True))
        raise OptionError(
            f"`baseline_rows={AUTO}`: {method.name} starts from one baseline. Expected {many}, which average over "
            f"many. Try without `baseline_rows`, or `method={partner(method, many_baselines=True).name}`."
        )
    if rows != AUTO and tolerance != SAMPLING_TOLERANCE:
        raise OptionError(
            f"`sampling_tolerance={tolerance:g}`: is what `baseline_rows={AUTO}` keeps to. Expected that, got "
            f"`baseline_rows={rows}`. Try `baseline_rows={AUTO}`."
        )
