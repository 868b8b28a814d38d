"""Contextual decomposition: what a set S of groups carries through a chain of layers, beside what the others carry.

Gates closed are the baseline: the first layer sees x' + beta + gamma, with beta = x - x' on S and gamma on the others,
and W x' is part of its bias, so that the constant f(x') is shared out with the biases. Then, from layer to layer,

    affine            beta' = W beta + b |W beta| / (|W beta| + |W gamma|);  where both are 0 all of b is gamma's
    piecewise linear  beta' = r(beta),                                       as ReLU
    any other         beta' = (a(beta) + a(beta + gamma) - a(gamma)) / 2

and gamma' is what is left of the value at beta + gamma. r and a are less their value at 0, which goes with the bias
behind. The score of S is beta of the output:

    phi_i = score{i}        Gamma_ij = (score{i, j} - score{i} - score{j}) / 2

Murdoch, Liu, Yu (2018); for other networks Singh, Murdoch, Yu (2019); pairs as Janizek et al. (2021) compare with. The
diagonal is what makes a row sum to phi_i. How biases are shared out is a choice, of which values depend strongly.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along, Network
from ihcli.derivatives.chain import Affine, Chain, Elementwise, Head, NotAChainError, find_chain
from ihcli.derivatives.front import is_linear
from ihcli.derivatives.jets import ARITHMETIC
from ihcli.derivatives.recording import Ref, Step
from ihcli.derivatives.transfers import Coming
from ihcli.errors import OptionError
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.compared.closing import with_diagonal
from ihcli.integration.compared.layers import SQUASHING, script_in, watched
from ihcli.integration.effort import Effort
from ihcli.methods import Method, names_of

_ARRAYS = 4
"""Times what a forward keeps: both parts, and functions of either."""
_AGREEMENT = {torch.float32: 1e-3, torch.float64: 1e-7}


class _EndsError(Exception):
    """What follows the last layer is not affine: torch's name of the first operation, called so often from there on."""

    def __init__(self, operation: str, calls: int) -> None:
        super().__init__(operation)
        self.operation, self.calls = operation, calls

    def is_undone_by_logits(self, network: Network, rows: Tensor) -> bool:
        """Return whether a network on the scale of logits may be without it; of TorchScript nobody sees what it is."""
        if self.operation in SQUASHING:
            return True
        if script_in(network.module):
            return not isinstance(network.module, torch.jit.ScriptModule)
        done = [done for done in watched(network, rows).done if done.name == self.operation]
        return done[-self.calls].is_ours


@dataclass(frozen=True)
class _Bend:
    """A function of single numbers less its value at 0, which is part of the bias behind it.

    is_piecewise  whether it is linear but for kinks
    """

    function: Elementwise
    at_zero: Tensor
    is_piecewise: bool

    @classmethod
    def of(cls, function: Elementwise, width: int, like: Tensor) -> "_Bend":
        """Look at a function at 0."""
        jet = function.jet(like.new_zeros(1, width))
        return cls(function, jet.value[0], jet.second is None)

    def split(self, beta: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
        """Return both parts of it at beta + gamma, (P, m)."""
        whole = self._at(beta + gamma)
        mine = self._at(beta) if self.is_piecewise else (self._at(beta) + whole - self._at(gamma)) / 2
        return mine, whole - mine

    def _at(self, inputs: Tensor) -> Tensor:
        return self.function.jet(inputs, bending=False).value - self.at_zero


@dataclass(frozen=True)
class Parts:
    """A chain cut for parts: affine maps, the last with the head in it, and what bends between them."""

    affines: tuple[Affine, ...]
    bends: tuple[_Bend, ...]

    @classmethod
    def of(cls, chain: Chain) -> "Parts":
        """Cut a chain; raises _EndsError where what follows its last layer is not affine."""
        affines, bends = list(chain.affines), []
        for index, activation in enumerate(chain.activations):
            front, rest = _cut(activation)
            affines[index] = _then(affines[index], front)
            bend = _Bend.of(rest, len(affines[index].bias), affines[index].bias)
            bends.append(bend)
            behind = affines[index + 1]
            affines[index + 1] = Affine(behind.weight, behind.bias + behind.weight @ bend.at_zero)
        affines[-1] = _with_head(affines[-1], chain.head)
        return cls(tuple(affines), tuple(bends))

    def scores(self, start: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
        """Return what beta (P, D) carries to the outputs (P, K), beside gamma, from the baselines start (P, D)."""
        first, *others = self.affines
        beta, gamma = _shared(first.weight, first.bias + start @ first.transposed, beta, gamma)
        for bend, affine in zip(self.bends, others, strict=True):
            beta, gamma = _shared(affine.weight, affine.bias, *bend.split(beta, gamma))
        return beta


def _shared(weight: Tensor, bias: Tensor, beta: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Return both parts behind an affine map, of whose bias each gets as much as it moves."""
    mine, rest = beta @ weight.T, gamma @ weight.T
    size = mine.abs() + rest.abs()
    share = torch.where(size > 0, mine.abs() / size, 0) * bias
    return mine + share, rest + (bias - share)


def _cut(activation: Elementwise) -> tuple[Elementwise, Elementwise]:
    """Return the affine steps that an activation begins with, as those of batch normalisation, and the others."""
    steps, used = activation.steps, 0
    refs = [{argument for argument in step.arguments if isinstance(argument, Ref)} for step in steps]
    while used < len(steps) and steps[used].operation in ARITHMETIC and is_linear(steps[used]):
        later = set[Ref]().union(*refs[used + 1 :], {activation.result})
        if refs[used] != {Ref(used - 1)} or Ref(used - 1) in later:
            break
        used += 1
    rest = tuple(Step(s.operation, tuple(_moved(a, used) for a in s.arguments), s.options) for s in steps[used:])
    return Elementwise(steps[:used], Ref(used - 1)), Elementwise(rest, _moved(activation.result, used))


def _moved(argument: Any, by: int) -> Any:
    return Ref(argument.step - by, argument.part) if isinstance(argument, Ref) else argument


def _then(affine: Affine, front: Elementwise) -> Affine:
    """Return an affine map with affine functions of single numbers behind it."""
    jet = front.jet(affine.bias[None], bending=False)
    return Affine(affine.weight * jet.first[0][:, None], jet.value[0])


def _with_head(affine: Affine, head: Head) -> Affine:
    """Return the last affine map with what follows it; raises _EndsError where that is not affine."""
    names = [step.name.strip("_") for step in head.steps]
    for name, step in zip(names, head.steps, strict=True):
        if not is_linear(step):
            raise _EndsError(name, names.count(name))
    if not head.steps:
        return affine
    at_zero = head.outputs(torch.zeros_like(affine.bias)[None])
    columns = head.outputs(torch.eye(len(affine.bias)).to(affine.bias)) - at_zero
    return Affine(columns.T @ affine.weight, head.outputs(affine.bias[None])[0])


class Decomposition:
    """The method: parts of every group, and of every two."""

    def examine(self, along: Along, method: Method) -> tuple[str, ...]:
        """Return nothing; raises OptionError, which names what stands in the way of a chain."""
        self._parts(along, method, along.paths.inputs)
        return ()

    def __call__(self, along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
        """Return scores of groups, and half of what those of two groups are beyond theirs.

        Cost: G (G + 1) / 2 forwards a row, of two parts each.
        """
        start, _ = along.paths.ends(*along.paths.placed(np.zeros(1, np.int64)))  # where all parts of a run see the same
        scores = _scores(along, self._parts(along, method, start), tell)
        phi = np.diagonal(scores, axis1=1, axis2=2).copy()
        pairs = (scores - (phi[:, :, None] + phi[:, None, :])) / 2
        own = np.arange(len(phi[0]))
        pairs[:, own, own] = 0
        matrices = with_diagonal(pairs, phi).astype(along.dtype, copy=False)
        evaluations = len(own) * (len(own) + 1) // 2
        return ExplainedRows.uncertified(phi[:, None], *along.ends(), evaluations, matrices)

    def _parts(self, along: Along, method: Method, rows: Tensor) -> Parts:
        """Return the chain that is found at some rows (P, D), cut; raises OptionError where there is none."""
        network = along.engine.network
        expected = "Expected a chain of affine layers and element-wise activations"
        try:
            if network is None:
                raise NotAChainError("it is a function made of a network")
            chain = find_chain(network.outputs, rows)
            with torch.no_grad():
                _check(chain, network.outputs(rows[:1]), rows[:1])
        except NotAChainError as obstacle:
            raise _refusal(method, f"{obstacle}. {expected}. Try {_instead(method)}") from None
        try:
            return Parts.of(chain)
        except _EndsError as end:
            told = f"`{end.operation}` follows its last layer. Expected outputs as an affine layer gives them"
            logits = "`scale=logit`, or " if end.is_undone_by_logits(network, rows[:2]) else ""
            raise _refusal(method, f"{told}. Try {logits}{_instead(method)}") from None


def _scores(along: Along, parts: Parts, tell: Tell) -> np.ndarray:
    """Return the score of every two groups, and on the diagonal of each alone, (N, G, G) float64."""
    paths, done = along.paths, 0
    n, g = paths.n_rows, paths.n_groups
    first, second = np.triu_indices(g)  # a group with itself is that group alone
    found = np.empty(n * len(first))

    def taken(some: slice) -> Coming:
        row, pair = np.divmod(np.arange(some.start, some.stop), len(first))
        open_gates, each = np.zeros((len(row), g), bool), np.arange(len(row))
        open_gates[each, first[pair]] = open_gates[each, second[pair]] = True
        here, is_open = paths.placed(row, open_gates)
        start, delta = paths.ends(here)
        beta = torch.where(paths.to_inputs(is_open, here), delta, 0)
        with torch.no_grad():
            return Coming(paths.explained(here, parts.scores(start, beta, delta - beta)))

    for coming in along.in_batches(len(found), _ARRAYS, 0, taken):
        (values,) = coming.arrays()
        found[done : done + len(values)] = values
        done += len(values)
        tell(done / len(found))
    scores = np.zeros((n, g, g))
    scores[:, first, second] = scores[:, second, first] = found.reshape(n, -1)
    return scores


def _check(chain: Chain, expected: Tensor, rows: Tensor) -> None:
    """Raise NotAChainError where a chain gives other outputs than the network that it was found in."""
    close = _AGREEMENT[rows.dtype]
    if not torch.allclose(chain.outputs(rows), expected, rtol=close, atol=close, equal_nan=True):
        raise NotAChainError("the chain that is found in it gives other outputs")


def _refusal(method: Method, told: str) -> OptionError:
    return OptionError(f"`method={method.name}`: cannot explain this model: {told}.")


def _instead(method: Method) -> str:
    other = names_of(order=2, many_baselines=method.many_baselines, integrals=True)[0]
    return f"`method={other}`, which needs no chain"


by_parts = Decomposition()
