"""Four methods: the order of derivative they integrate, and whether over one baseline or the mean over many.

    phi_g    = mean_x' int_0^1 F_g dt                                                            ig, eg
    Gamma_gh = mean_x' [ int_0^1 -t ln t H_gh dt + [g = h] int_0^1 -ln t F_g dt ]                ih, eh

ig: Sundararajan et al. (2017). eg: Erion et al. (2021). ih, eh: Janizek et al. (2021), with t = alpha * beta and the
same baselines on both levels. ih and eh give phi as well.
"""

from dataclasses import dataclass

from ihcli.errors import OptionError


@dataclass(frozen=True)
class Method:
    """What tells one method from another."""

    name: str
    title: str
    second_order: bool
    many_baselines: bool


METHODS = {
    method.name: method
    for method in (
        Method("ig", "Integrated Gradients", second_order=False, many_baselines=False),
        Method("eg", "Expected Gradients", second_order=False, many_baselines=True),
        Method("ih", "Integrated Hessians", second_order=True, many_baselines=False),
        Method("eh", "Expected Hessians", second_order=True, many_baselines=True),
    )
}


def method_named(name: str) -> Method:
    """Return the method of that name; raises OptionError with the names there are."""
    if name not in METHODS:
        raise OptionError(f"--method: {name!r} is no method. Expected one of {', '.join(METHODS)}.")
    return METHODS[name]


def method_of(second_order: bool, many_baselines: bool) -> Method:
    """Return the method of that order, over one baseline or many."""
    wanted = second_order, many_baselines
    return next(method for method in METHODS.values() if (method.second_order, method.many_baselines) == wanted)


def require_one_baseline(method: Method) -> None:
    """Raise OptionError for a method of many baselines, where texts are explained."""
    if method.many_baselines:
        raise OptionError(
            f"--method {method.name}: averages over many baselines, and a text has one. "
            f"Try --method {'ih' if method.second_order else 'ig'}."
        )
