"""Methods that captum computes, in one table: each says how captum is asked, and what of a model it cannot explain.

Those that propagate through layers get the inputs themselves, (P, D), and their values are summed over each group:

    deep_lift    multipliers times delta = x - x', the rescale rule      Shrikumar et al. (2017)
    relevance    epsilon rule, from f(x) back to the inputs              Bach et al. (2015)
    guided       gradients, negative ones stopped at each ReLU           Springenberg et al. (2015)
    deconvolved  the same, also where the ReLU itself was closed         Zeiler and Fergus (2014)
    smoothed     mean gradient at x + 0.15 |delta| * noise               Smilkov et al. (2017)

Those that close gates get the game v(S) = f(x on the groups in S, x' elsewhere), and need no derivatives:

    surrogate           a linear model of v near the record, a lasso     Ribeiro et al. (2016)
    weighted_surrogate  the same with weights whose limit is Shapley's   Lundberg and Lee (2017)
    sampled             marginal contributions in drawn orders           Castro et al. (2009)
    ablated             v(all) - v(all but g)

The last four and `smoothed` are in `ihcli.integration.compared.masking`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along, Network
from ihcli.derivatives.calling import SILENCE
from ihcli.derivatives.transfers import Coming
from ihcli.errors import OptionError
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.compared.asking import captum
from ihcli.integration.compared.layers import SQUASHING, Done, Seen, copied, script_in, watched
from ihcli.integration.compared.masking import ablated, sampled, smoothed, surrogate, weighted_surrogate
from ihcli.integration.effort import Effort
from ihcli.methods import Method, names_of
from ihcli.wording import quoted

__all__ = [
    "ablated",
    "deconvolved",
    "deep_lift",
    "guided",
    "relevance",
    "sampled",
    "smoothed",
    "surrogate",
    "weighted_surrogate",
]

Propagated = Callable[[nn.Module, Seen, Tensor, Tensor, Tensor], Tensor]
"""Values (P, D), of a network, what was seen of it, inputs and starts (P, D) and explained outputs (P,)."""
Refusal = Callable[[Seen], str | None]
"""What of a network a method cannot explain, in words; None: nothing was found."""

_MOST_GAP = 0.001
"""Of the size of attributions, that rounding in float32 does not reach."""
_RELUS = ("relu", "clamp", "clamp_min", "threshold")


class _Whole(nn.Module):
    """A network as captum takes it: its outputs (P, K) at (P, D), its layers inside."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.layers = network.module
        self._outputs = network.outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs."""
        return self._outputs(inputs)


@dataclass(frozen=True)
class ThroughLayers:
    """A method that captum propagates through the layers of a network, by hooks on them.

    points  that a path takes: the record, and where there are two its baseline as well
    """

    values: Propagated
    refusal: Refusal
    points: int = 1

    def examine(self, along: Along, method: Method) -> tuple[str, ...]:
        """Return a warning where values that should add up do not; raises OptionError, which names what has no rule."""
        found = self(along, method, Effort())
        if not method.adds_up:
            return ()
        change = found.certificate.prediction - found.certificate.baseline_prediction.mean(1)
        gap = np.abs(found.attributions.sum(1) - change)
        share = float((gap / np.maximum(np.abs(found.attributions).sum(1), 1e-300)).max())
        if not share > _MOST_GAP:
            return ()
        return (
            f"Of a sample attributions of {method.name} miss f(x) - f(x') by up to {share:.0%} of their size: captum's "
            "rule of max-pooling does not add up with activations near, or where windows overlap. Expect "
            f"_completeness_gap to matter. Try {_instead(method)}.",
        )

    def _seen(self, along: Along, method: Method) -> tuple[Network, Seen]:
        network = along.engine.network
        if network is None or script_in(network.module):
            raise OptionError(
                f"`method={method.name}`: cannot explain this model: its layers are TorchScript, which hides them. "
                "Expected a network of nn.Modules. Try what torch.save(module, FILE) writes of the module itself, or "
                f"{_instead(method)}."
            )
        own = copied(network)
        seen = watched(own, along.paths.inputs[:2])
        obstacle = self.refusal(seen)
        if obstacle is not None:
            raise OptionError(f"`method={method.name}`: cannot explain this model: {obstacle}, or {_instead(method)}.")
        return own, seen

    def __call__(self, along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
        """Return the values of all paths, summed over groups.

        Cost: a forward and a backward through the layers for each path.
        """
        paths, (network, seen) = along.paths, self._seen(along, method)
        whole, n, b = _Whole(network), along.paths.n_rows, along.paths.n_baselines

        def taken(some: slice) -> Coming:
            (path,) = paths.placed(np.arange(some.start, some.stop))
            row, (start, _) = paths.rows(path), paths.ends(path)
            inputs = paths.inputs[row].clone().requires_grad_()
            with SILENCE:
                found = self.values(whole, seen, inputs, start, paths.outputs[row])
            tell(some.stop / (n * b))
            return Coming(paths.to_groups(found.detach(), row))

        parts = [coming.arrays()[0] for coming in along.in_batches(n * b, self.points, 0, taken)]
        found = np.concatenate(parts, dtype=np.float64).reshape(n, b, -1)
        return ExplainedRows.uncertified(found, *along.ends(), evaluations=b)


def _instead(method: Method) -> str:
    other = names_of(order=1, many_baselines=method.many_baselines, integrals=True)[0]
    return f"`method={other}`, which needs no layers"


def _called(done: Done) -> str:
    return f"`{done.name}` is called as a function {done.place}"


def _deep_lift(whole: nn.Module, seen: Seen, inputs: Tensor, start: Tensor, outputs: Tensor) -> Tensor:
    idle, attr = seen.idle(), captum()

    class Hooked(attr.DeepLift):  # type: ignore[name-defined]
        def _is_non_linear(self, module: nn.Module) -> bool:
            return module not in idle and super()._is_non_linear(module)

    found: Tensor = Hooked(whole).attribute(inputs, start, target=outputs)
    return found


def _deep_lift_refusal(seen: Seen) -> str | None:
    from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR

    rules = tuple(SUPPORTED_NON_LINEAR)
    for done in seen.outside(rules):
        if not done.is_affine:
            return _no_rule(seen, done, rules)
    again = _called_again(seen, rules)
    if again is not None:
        return again
    for done in seen.done:
        if isinstance(done.layer, nn.Softmax):
            return "the rule of nn.Softmax mixes rows, and does not add up. Expected logits. Try `scale=logit`"
    return None


def _no_rule(seen: Seen, done: Done, rules: tuple[type[nn.Module], ...]) -> str:
    expected = f"Expected layers with a rule in captum: {', '.join(sorted(rule.__name__ for rule in rules))}"
    is_layer = done.layer is not None and done.layer in seen.layers.values()
    what = f"the layer {done.kind} has no rule" if is_layer else _called(done)
    modules = [rule.__name__ for rule in rules if rule.__name__.lower() == done.name.replace("_", "")]
    if done.is_ours or (done.name in SQUASHING and not modules):
        advice = "`scale=logit`"
    else:
        advice = f"a module, nn.{modules[0]}()" if modules else "such a network"
    return f"{what}. {expected}. Try {advice}"


def _relevance(whole: nn.Module, seen: Seen, inputs: Tensor, start: Tensor, outputs: Tensor) -> Tensor:
    idle, rules, attr = seen.idle(), _relevance_rules(), captum()

    class Hooked(attr.LRP):  # type: ignore[name-defined]
        def _get_layers(self, model: nn.Module) -> None:
            super()._get_layers(model)
            # What is not among the rules was seen to change where numbers stand, and nothing else.
            self.layers: list[nn.Module] = [e for e in self.layers if type(e) in rules and e not in idle]

        def _restore_state(self) -> None:
            """Write nothing: the epsilon rule changes no weights, and these are shared with whoever runs beside."""

    found: Tensor = Hooked(whole).attribute(inputs, target=outputs)
    for layer in seen.layers.values():
        layer.__dict__.pop("activations", None)  # which captum leaves there, and takes for a second call
    return found


def _relevance_rules() -> tuple[type[nn.Module], ...]:
    from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES, SUPPORTED_NON_LINEAR_LAYERS

    return (*SUPPORTED_LAYERS_WITH_RULES, *SUPPORTED_NON_LINEAR_LAYERS)


def _relevance_refusal(seen: Seen) -> str | None:
    rules = _relevance_rules()
    for done in seen.outside(rules):
        if not done.is_reshaping:
            return _no_rule(seen, done, rules)
    return _called_again(seen, rules)


def _called_again(seen: Seen, rules: tuple[type[nn.Module], ...]) -> str | None:
    again = seen.called_again(rules)
    if again is None:
        return None
    return f"the layer {quoted(again)} is called more than once. Expected a module for each call. Try two"


def _guided(whole: nn.Module, seen: Seen, inputs: Tensor, start: Tensor, outputs: Tensor) -> Tensor:
    found: Tensor = captum().GuidedBackprop(whole).attribute(inputs, target=outputs)
    return found


def _deconvolved(whole: nn.Module, seen: Seen, inputs: Tensor, start: Tensor, outputs: Tensor) -> Tensor:
    found: Tensor = captum().Deconvolution(whole).attribute(inputs, target=outputs)
    return found


def _relu_refusal(seen: Seen) -> str | None:
    found = [done for done in seen.done if done.name in _RELUS]
    for done in found:
        if not isinstance(done.layer, nn.ReLU):
            return f"{_called(done)}. Expected each ReLU as a module. Try nn.ReLU()"
    if not found:
        return (
            "it has no nn.ReLU, and its values would be plain gradients. Expected one at least. Try a network with some"
        )
    return None


deep_lift = ThroughLayers(_deep_lift, _deep_lift_refusal, points=2)
relevance = ThroughLayers(_relevance, _relevance_refusal)
guided = ThroughLayers(_guided, _relu_refusal)
deconvolved = ThroughLayers(_deconvolved, _relu_refusal)
