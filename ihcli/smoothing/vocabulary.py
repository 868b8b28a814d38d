"""Operations by name: which are activations, which SoftPlus replaces, and which bend or jump and stay.

Names are torch's own without the underscores of in-place and special methods (`relu_`, `__abs__`), which are the same
in eager calls and in TorchScript graphs.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ihcli.smoothing.forms import FORMS


@dataclass(frozen=True)
class Operations:
    """What a model computes with, as far as smoothness goes; each entry a name and how often, as "relu x4".

    activations   every activation, smooth or not
    replaceable   those that SoftPlus replaces
    kinks         what bends or jumps and would stay as it is (max-pooling, abs, sorting, comparisons, ...)
    """

    activations: tuple[str, ...]
    replaceable: tuple[str, ...]
    kinks: tuple[str, ...]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SMOOTH_ACTIVATIONS = _words(
    """softmax log_softmax softmin sigmoid tanh gelu silu mish softplus elu celu logsigmoid log_sigmoid
    softsign tanhshrink glu erf sin cos"""
)
_KINKED_ACTIVATIONS = _words("selu hardshrink softshrink")
_COMPARISONS = _words("gt lt ge le eq ne greater greater_equal less less_equal not_equal")
_NORMS = _words("norm vector_norm linalg_vector_norm")
_KINKS = _KINKED_ACTIVATIONS | _words(
    """abs absolute max min amax amin aminmax maximum minimum fmax fmin cummax cummin argmax argmin
    sort argsort msort topk kthvalue median nanmedian mode quantile nanquantile
    sign sgn floor ceil round trunc fix frac fmod remainder floordiv floor_divide heaviside bucketize
    searchsorted long int rnn_relu rnn_relu_cell l1_loss"""
)


_CLIPS = _words("clamp clip clamp_min clamp_max")
_RANGES = {
    **dict.fromkeys(("sigmoid", "special_expit", "softmax", "softmin"), (0.0, 1.0)),
    "tanh": (-1.0, 1.0),
    **dict.fromkeys(("log_softmax", "logsigmoid", "log_sigmoid"), (-4.0, 0.0)),
}
"""Of squashing functions; of logarithms what a clip of probabilities would leave."""
RESHAPES = _words("select slice squeeze unsqueeze view reshape flatten getitem contiguous")
_GUARD = 0.01


def is_squashing(name: str) -> bool:
    """Tell whether an operation squashes numbers into a range, by its plain name."""
    return name in _RANGES


def is_guard(name: str, settings: Mapping[str, object], squash: str | None) -> bool:
    """Tell whether an operation only keeps what a squashing function gave off the very ends of its range.

    It bends where hardly anything happens, far more sharply than any SoftPlus that the rest of a model needs.
    """
    if name not in _CLIPS or squash not in _RANGES:
        return False
    low, high = _RANGES[squash]
    least, most = settings.get("min"), settings.get("max")
    known = all(bound is None or isinstance(bound, int | float) for bound in (least, most))
    return known and not _is_above(least, low + _GUARD) and not _is_above(high - _GUARD, most)


def _is_above(left: object, right: object) -> bool:
    return isinstance(left, int | float) and isinstance(right, int | float) and left > right


def plain_name(name: str) -> str:
    """Return torch's name of an operation without overload, in-place mark or special-method underscores."""
    return name.split(".")[0].strip("_")


def is_in_place(name: str) -> bool:
    """Tell whether torch's name of an operation marks its in-place variant (`relu_`, not `__abs__`)."""
    base = name.split(".")[0]
    return base.endswith("_") and not base.startswith("__")


def kink(name: str, setting: object = None) -> str | None:
    """Return what to call the kink of an operation that SoftPlus does not replace, or None where it has none.

    `setting` decides for elu (its alpha) and for norms (their order).
    """
    if name in _COMPARISONS:
        return "comparison"
    if name in _KINKS or "max_pool" in name:
        return name.removesuffix("_with_indices")
    if name == "elu" and isinstance(setting, int | float) and setting != 1:
        return "elu with alpha other than 1"
    if name in _NORMS and isinstance(setting, int | float) and (setting <= 1 or math.isinf(setting)):
        return f"norm of order {setting:g}"
    return None


@dataclass
class Tally:
    """Counts operations as they are met, in that order."""

    _activations: Counter[str] = field(default_factory=Counter)
    _replaceable: Counter[str] = field(default_factory=Counter)
    _kinks: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, setting: object = None, *, replaceable: bool = False) -> None:
        """Count one use of an operation; `replaceable` when its hinges are known, `setting` as in `kink`."""
        if name in FORMS or name in _SMOOTH_ACTIVATIONS or name in _KINKED_ACTIVATIONS:
            self._activations[name] += 1
        if replaceable:
            self._replaceable[name] += 1
        elif (label := name if name in FORMS else kink(name, setting)) is not None:
            self._kinks[label] += 1

    def add_kink(self, label: str) -> None:
        """Count a kink that no operation name tells of."""
        self._kinks[label] += 1

    def has_kink(self, label: str) -> bool:
        """Tell whether a kink of that name was counted."""
        return label in self._kinks

    def operations(self) -> Operations:
        """Return the counts in words."""
        return Operations(_in_words(self._activations), _in_words(self._replaceable), _in_words(self._kinks))


def _in_words(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(name if count == 1 else f"{name} x{count}" for name, count in counts.items())
