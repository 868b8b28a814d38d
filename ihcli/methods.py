"""The table of methods; adding one is a row here and the function that the row names.

    phi_g    = mean_x' int_0^1 F_g dt                                                            ig, eg
    Gamma_gh = mean_x' [ int_0^1 -t ln t H_gh dt + [g = h] int_0^1 -ln t F_g dt ]                ih, eh

ig: Sundararajan et al. (2017). eg: Erion et al. (2021). ih, eh: Janizek et al. (2021), with t = alpha * beta and the
same baselines on both levels. ih and eh give phi as well.
"""

from dataclasses import dataclass

from ihcli.errors import OptionError

CERTIFIED = "ihcli.integration.assembly:explain_rows"


@dataclass(frozen=True, kw_only=True)
class Method:
    """A row of the table.

    order           of the derivatives that it integrates; those of order 2 give interactions as well
    many_baselines  whether values are means over many baselines, or belong to one
    adds_up         whether the attributions of a row sum to f(x) - f(x'), up to their error (completeness)
    computed_by     "module:function", see `ihcli.integration.computing`: named, so that the table needs no torch
    error_of        what the reported error is the certified relative L1 error of; None: no error is known, none is
                    reported, and rows with values are `uncertified`
    """

    name: str
    title: str
    order: int
    many_baselines: bool
    adds_up: bool = True
    computed_by: str = CERTIFIED
    error_of: str | None

    @property
    def second_order(self) -> bool:
        """Whether it gives interactions."""
        return self.order == 2


PHI, SUMS = "the attributions", "the row sums of the interactions"
METHODS = {
    method.name: method
    for method in (
        Method(name="ig", title="Integrated Gradients", order=1, many_baselines=False, error_of=PHI),
        Method(name="eg", title="Expected Gradients", order=1, many_baselines=True, error_of=PHI),
        Method(name="ih", title="Integrated Hessians", order=2, many_baselines=False, error_of=SUMS),
        Method(name="eh", title="Expected Hessians", order=2, many_baselines=True, error_of=SUMS),
    )
}
DEFAULT = "ih"


def method_named(name: str) -> Method:
    """Return the method of that name; raises OptionError with the names there are."""
    if name not in METHODS:
        raise OptionError(f"`method`: {name!r} is not a method. Expected one of {', '.join(METHODS)}.")
    return METHODS[name]


def partner(method: Method, *, order: int | None = None, many_baselines: bool | None = None) -> Method:
    """Return the first method that is like this one but for its order, or for its number of baselines."""
    wanted = order or method.order, method.many_baselines if many_baselines is None else many_baselines
    return next(other for other in METHODS.values() if (other.order, other.many_baselines) == wanted)


def names_of(*, order: int | None = None, many_baselines: bool | None = None) -> list[str]:
    """Return the names of all methods, or of those of an order, or over one or many baselines."""
    return [
        method.name
        for method in METHODS.values()
        if order in (None, method.order) and many_baselines in (None, method.many_baselines)
    ]


def error_in_words() -> str:
    """Return what the reported error is, of each method."""
    known: dict[str, list[str]] = {}
    for method in METHODS.values():
        if method.error_of is not None:
            known.setdefault(method.error_of, []).append(method.name)
    found = " or ".join(f"of {meaning} ({', '.join(names)})" for meaning, names in known.items())
    return f"certified relative L1 error {found}{''.join(f'; null for {name}' for name in uncertified())}"


def uncertified() -> list[str]:
    """Return the names of the methods that know no error."""
    return [method.name for method in METHODS.values() if method.error_of is None]


def require_one_start(method: Method) -> None:
    """Raise OptionError for a method of many baselines, where sequences of any length are explained."""
    if method.many_baselines:
        raise OptionError(
            f"`method={method.name}`: averages over rows of data, and a sequence of any length has one baseline. Try "
            f"`method={partner(method, many_baselines=False).name}`, or `sequence=TxF` with a column for each number."
        )


def require_one_baseline(method: Method) -> None:
    """Raise OptionError for a method of many baselines, where texts are explained."""
    if method.many_baselines:
        raise OptionError(
            f"`method={method.name}`: averages over many baselines, and a text has one. "
            f"Try `method={partner(method, many_baselines=False).name}`."
        )
