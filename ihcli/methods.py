"""The table of methods; adding one is a row here and the function that the row names.

    phi_g    = mean_x' int_0^1 F_g dt                                                            ig, eg
    Gamma_gh = mean_x' [ int_0^1 -t ln t H_gh dt + [g = h] int_0^1 -ln t F_g dt ]                ih, eh

ig: Sundararajan et al. (2017). eg: Erion et al. (2021). ih, eh: Janizek et al. (2021), with t = alpha * beta and the
same baselines on both levels. ih and eh give phi as well. The others are there to compare with: their formulas stand in
`ihcli.integration.compared`.
"""

from dataclasses import dataclass
from functools import partial

from ihcli.errors import OptionError
from ihcli.wording import all_of, did_you_mean

CAPTUM = "captum"
COMPARED = "ihcli.integration.compared"
ADAPTED = f"{COMPARED}.adapted"
CERTIFIED = "ihcli.integration.assembly:explain_rows"
PHI, SUMS = "the attributions", "the row sums of the interactions"
ROUNDING, DRAWS = "rounding of outputs", "rounding of outputs, or of more than 12 groups twice a standard error"
NOISE, SAMPLED = "twice a standard error over noise", "rounding of outputs and twice a standard error"


@dataclass(frozen=True, kw_only=True)
class Method:
    """A row of the table.

    order           2 where it gives interactions as well, else 1
    many_baselines  whether values are means over many baselines, or belong to one
    adds_up         whether the attributions of a row sum to f(x) - f(x'), up to their error (completeness)
    by_outputs      whether it needs no derivatives of the model;  by_gradients: none but the first, also for pairs
    is_slope        whether values are derivatives, for each unit of the inputs, and no parts of a change in the output
    computed_by     "module:function", see `ihcli.integration.computing`: named, so that the table needs no torch
    error_of        what the reported relative L1 error is of: of an integral it is certified, of others in words what
                    it comes of; None: no error is known, none is reported, and rows with values are `uncertified`
    extra           of ihcli's own, which installs the package that computes it; empty: none is needed
    """

    name: str
    title: str
    order: int
    many_baselines: bool = False
    adds_up: bool = True
    by_outputs: bool = False
    by_gradients: bool = False
    is_slope: bool = False
    computed_by: str = CERTIFIED
    error_of: str | None = None
    extra: str = ""

    @property
    def is_integral(self) -> bool:
        """Whether its values are integrals along paths, to any accuracy that is asked for."""
        return self.computed_by == CERTIFIED

    @property
    def second_order(self) -> bool:
        """Whether it gives interactions."""
        return self.order == 2

    @property
    def derivatives(self) -> int:
        """The order of the derivatives that it takes of the model, 0 for none."""
        return 0 if self.by_outputs else 1 if self.by_gradients else self.order


_at_x = partial(Method, adds_up=False, computed_by=f"{COMPARED}.points:gradient", is_slope=True)
_times_x = partial(Method, adds_up=False, computed_by=f"{COMPARED}.points:times_input")
_map = partial(Method, order=2, adds_up=False, by_gradients=True, computed_by=f"{COMPARED}.dfim:interaction_map")
_parts = partial(Method, order=2, adds_up=False, by_outputs=True, computed_by=f"{COMPARED}.decomposition:by_parts")
_closed = partial(
    Method, adds_up=False, by_outputs=True, computed_by=f"{COMPARED}.closing:occlusion", error_of=ROUNDING
)
_game = partial(Method, by_outputs=True, computed_by=f"{COMPARED}.shapley:shapley", error_of=DRAWS)
_captum = partial(Method, order=1, extra=CAPTUM)
_slope = partial(_captum, adds_up=False, is_slope=True)
_masked = partial(_captum, by_outputs=True)
_ablated = partial(_masked, computed_by=f"{ADAPTED}:ablated", adds_up=False)
METHODS = {
    method.name: method
    for method in (
        Method(name="ig", title="Integrated Gradients", order=1, many_baselines=False, error_of=PHI),
        Method(name="eg", title="Expected Gradients", order=1, many_baselines=True, error_of=PHI),
        Method(name="ih", title="Integrated Hessians", order=2, many_baselines=False, error_of=SUMS),
        Method(name="eh", title="Expected Hessians", order=2, many_baselines=True, error_of=SUMS),
        _at_x(name="gradient", title="Gradient", order=1),
        _times_x(name="gradient-input", title="Gradient x input", order=1),
        _at_x(name="hessian", title="Hessian", order=2),
        _times_x(name="hessian-input", title="Hessian x input", order=2),
        _map(name="dfim", title="Deep feature interaction maps"),
        _parts(name="cd", title="Contextual decomposition"),
        _closed(name="occlusion", title="Occlusion", order=1),
        _closed(name="occlusion-pairs", title="Occlusion of pairs", order=2),
        _game(name="shapley", title="Shapley values", order=1),
        _game(name="sii", title="Shapley interaction index", order=2),
        _captum(name="deeplift", title="DeepLIFT", computed_by=f"{ADAPTED}:deep_lift"),
        _captum(name="deeplift-shap", title="DeepLIFT SHAP", computed_by=f"{ADAPTED}:deep_lift", many_baselines=True),
        _captum(name="lrp", title="Layer-wise relevance", computed_by=f"{ADAPTED}:relevance", adds_up=False),
        _slope(name="guided-backprop", title="Guided backpropagation", computed_by=f"{ADAPTED}:guided"),
        _slope(name="deconvolution", title="Deconvolution", computed_by=f"{ADAPTED}:deconvolved"),
        _slope(name="smoothgrad", title="SmoothGrad", computed_by=f"{ADAPTED}:smoothed", error_of=NOISE),
        _masked(name="lime", title="LIME", computed_by=f"{ADAPTED}:surrogate", adds_up=False),
        _masked(name="kernel-shap", title="Kernel SHAP", computed_by=f"{ADAPTED}:weighted_surrogate"),
        _masked(name="shapley-sampling", title="Shapley sampling", computed_by=f"{ADAPTED}:sampled", error_of=SAMPLED),
        _ablated(name="feature-ablation", title="Feature ablation", error_of=ROUNDING),
    )
}
DEFAULT = "ih"


def method_named(name: str) -> Method:
    """Return the method of that name; raises OptionError with the names there are."""
    if name not in METHODS:
        raise OptionError(f"`method`: {name!r} is not a method. Expected one of {', '.join(METHODS)}.{meant_by(name)}")
    return METHODS[name]


ELSEWHERE: dict[str, tuple[str, ...]] = {
    "ig": ("integrated_gradient", "intgrad", "int_grads", "path_integral"),
    "eg": ("GradientExplainer", "GradientShap", "expected_gradient", "shap"),
    "ih": ("integrated_hessian", "PathExplainer", "path_explain", "interactions", "hessians"),
    "eh": ("expected_hessian", "shap_interactions"),
    "gradient": ("saliency", "vanilla_gradient", "sensitivity_map", "gradients"),
    "gradient-input": ("grad_x_input", "gradient_x_input", "input_x_gradient", "grad_input", "gradients_x_input"),
    "hessian-input": ("input_x_hessian", "hessian_times_input"),
    "dfim": ("feature_interaction_map", "DeepFeatureInteractionMap"),
    "cd": ("acd", "cdep", "hierarchical_explanations"),
    "occlusion": ("leave_one_out", "loo", "LeaveOneCovariateOut", "perturbation"),
    "occlusion-pairs": ("pairwise_occlusion", "leave_two_out"),
    "shapley": ("shap", "ExactExplainer", "PermutationExplainer", "shapley_value", "sv"),
    "sii": ("shapiq", "k-SII", "shapley_interactions", "shap_interactions", "shap_interaction_values"),
    "deeplift-shap": ("DeepExplainer", "DeepShap"),
    "lrp": ("LayerwiseRelevancePropagation", "relevance"),
    "guided-backprop": ("GuidedBackpropagation", "guided_gradients"),
    "deconvolution": ("deconvnet", "deconv"),
    "smoothgrad": ("NoiseTunnel", "smooth_grad", "smoothed_gradients"),
    "lime": ("LimeTabular", "LimeTabularExplainer", "LimeTextExplainer"),
    "kernel-shap": ("shap", "KernelExplainer"),
    "shapley-sampling": ("ShapleyValueSampling", "SamplingExplainer", "monte_carlo_shapley"),
    "feature-ablation": ("ablation",),
}
"""Under which other names people know a method, beside its title."""
NO_METHODS = {
    "nid": "ranks pairs by the weights alone, for no row: try ihcli inspect MODEL `nid`",
    "neural_interaction_detection": "ranks pairs by the weights alone, for no row: try ihcli inspect MODEL `nid`",
}
"""What people ask for as a method that is had otherwise, and how."""


def meant_by(name: str) -> str:
    """Return a sentence that says which method somebody means who calls it otherwise; nothing where none is near."""
    plain = name.lower().replace("-", "_").replace(" ", "_")
    if plain in NO_METHODS:
        return f" {name} {NO_METHODS[plain]}."
    names = {method.title: [method.name] for method in METHODS.values()}
    for method, others in ELSEWHERE.items():
        for other in others:
            names.setdefault(other, []).append(method)
    return did_you_mean(name, tuple(METHODS), names)


def partner(method: Method, *, order: int | None = None, many_baselines: bool | None = None) -> Method:
    """Return the first method that is like this one but for its order, or for its number of baselines."""
    wanted = order or method.order, method.many_baselines if many_baselines is None else many_baselines
    found = [other for other in METHODS.values() if (other.order, other.many_baselines) == wanted]
    room = method.computed_by.partition(":")[0]
    return next((other for other in found if other.computed_by.partition(":")[0] == room), found[0])


def names_of(
    *, order: int | None = None, many_baselines: bool | None = None, integrals: bool | None = None
) -> list[str]:
    """Return the names of all methods, or of those of an order, over one or many baselines, that are integrals."""
    return [
        method.name
        for method in METHODS.values()
        if order in (None, method.order)
        and many_baselines in (None, method.many_baselines)
        and integrals in (None, method.is_integral)
    ]


def without_gradients(order: int) -> str:
    """Return the name of the first method of an order that takes outputs alone, and whose values add up."""
    return next(each.name for each in METHODS.values() if each.order == order and each.adds_up and not each.derivatives)


def error_in_words() -> str:
    """Return what the reported error is, of each method."""
    certified, others = (_by_error(integrals) for integrals in (True, False))
    found = " or ".join(f"of {meaning} ({names})" for meaning, names in certified.items())
    more = "".join(f"; for {names}: {meaning}" for meaning, names in others.items())
    none = uncertified()
    return f"certified relative L1 error {found}{more}{f'; null for {all_of(none)}' if none else ''}"


def _by_error(integrals: bool) -> dict[str, str]:
    """Return the names of the methods with each kind of error, of integrals or of others."""
    known: dict[str, list[str]] = {}
    for method in METHODS.values():
        if method.error_of is not None and method.is_integral == integrals:
            known.setdefault(method.error_of, []).append(method.name)
    return {meaning: ", ".join(names) for meaning, names in known.items()}


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


COMPLETENESS, SENSITIVITY, PAIR_SENSITIVITY = "completeness", "sensitivity", "interaction sensitivity"
DUMMY, SYMMETRY, LINEARITY, INVARIANCE = "dummy", "symmetry", "linearity", "implementation invariance"
PROPERTIES = {
    COMPLETENESS: "the attributions of a row sum to f(x) - f(x'), and so do all its interactions",
    SENSITIVITY: "where x and x' differ in one group alone, it gets f(x) - f(x') and all others 0",
    PAIR_SENSITIVITY: "where they differ in i and j alone, Gamma_ii + Gamma_jj + 2 Gamma_ij = f(x) - f(x'), all else 0",
    DUMMY: "a group that f does not depend on gets 0, in pairs too",
    SYMMETRY: "groups that can be swapped in f get the same where they are the same in x and in x', in pairs too",
    LINEARITY: "the values of a f + b g are a times those of f plus b times those of g",
    INVARIANCE: "networks that are the same function have the same values",
}
"""What values can be relied on to have, as Sundararajan et al. (2017) and Janizek et al. (2021) call it."""
_OF_FUNCTIONS = frozenset({DUMMY, SYMMETRY, LINEARITY, INVARIANCE})
KEEPS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("ig", "eg", "ih", "eh", "shapley", "sii"), frozenset(PROPERTIES)),
    **dict.fromkeys(("gradient", "gradient-input", "hessian", "hessian-input", "dfim"), _OF_FUNCTIONS),
    **dict.fromkeys(("occlusion", "occlusion-pairs", "feature-ablation"), _OF_FUNCTIONS | {SENSITIVITY}),
    **dict.fromkeys(("deeplift", "deeplift-shap"), frozenset({SENSITIVITY, LINEARITY})),
    **dict.fromkeys(("cd", "lrp", "guided-backprop", "deconvolution"), frozenset()),
    **dict.fromkeys(("lime", "kernel-shap"), frozenset({INVARIANCE})),
    "smoothgrad": frozenset({DUMMY, INVARIANCE}),
    "shapley-sampling": frozenset({SENSITIVITY, DUMMY, INVARIANCE}),
}
"""Which of PROPERTIES the values of a method have, where that is known; held by tests/test_axioms.py."""


def promised(method: Method) -> frozenset[str]:
    """Return which of PROPERTIES the values of a method have, as far as anybody knows."""
    kept = KEEPS.get(method.name, frozenset()) - {COMPLETENESS}
    of_no_pairs = frozenset() if method.second_order else {PAIR_SENSITIVITY}
    return (kept - of_no_pairs) | ({COMPLETENESS} if method.adds_up else frozenset())
