"""What a pickled file holds that is not read, and the step that leads from it to a model, in one sentence each.

A refusal that `trust` would only put off is final: it comes at once, with or without the flag, and runs nothing.
"""

import sys
from dataclasses import dataclass
from typing import Any

from ihcli.models.advice.by_outputs import described, step_of_file
from ihcli.models.advice.estimators import caveat, estimator_step, is_read_as_it_is, unfolded
from ihcli.models.advice.outlines import Outline
from ihcli.models.advice.places import Found, Place, find_places, found_in, short
from ihcli.models.estimators.composing import FOLDED
from ihcli.models.estimators.convert import EXPECTED, predictor_in
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.plain_layers import n_wrappers, unwrapped
from ihcli.models.pickles.scikit_learn_names import SEARCHES
from ihcli.models.steps import CODE_STEP, SCRIPT_FAILS, Loader, imports, python_line, quoted
from ihcli.wording import listed, printable

_EXPECTED = f"Expected a torch module or {EXPECTED}."
_LIGHTNING = "pytorch-lightning_version"
_MAIN, _MOST_CLASSES, _MOST_LETTERS = "__main__.", 8, 80
_NO_MODELS = {
    "xgboost": "a model of XGBoost, which has no derivatives",
    "lightgbm": "a model of LightGBM, which has no derivatives",
    "catboost": "a model of CatBoost, which has no derivatives",
    "keras": "a model of Keras",
    "tensorflow": "a model of TensorFlow",
    "jax": "arrays of JAX",
    "jaxlib": "arrays of JAX",
    "flax": "a model of Flax",
    "pandas": "a table of pandas",
    "statsmodels": "a model of statsmodels",
}
_KNOWN = ("sklearn", "skorch", "__main__")
_TRUSTING = "Only if you trust who made the file,"
_NOTES = frozenset(
    (
        *("epoch", "epochs", "n_epochs", "step", "steps", "global_step", "iteration", "seed", "date", "version"),
        *("loss", "train_loss", "val_loss", "best_loss", "history", "metrics"),
        *("acc", "accuracy", "val_acc", "best_acc"),
        *("optimizer", "optimizer_state_dict", "scheduler", "scheduler_state_dict", "lr_scheduler", "lr", "criterion"),
    )
)
"""Keys beside a model that change nothing about its outputs. A threshold, a mean or a scaler is none of them."""
_QUANTIZED = ("torch.ao.nn.", "torch.nn.quantized.", "torch.nn.intrinsic.", "torch._utils._rebuild_qtensor")


@dataclass(frozen=True)
class Refusal:
    """What a file holds and what to try, which `trust` would change nothing about."""

    what: str
    step: str

    def __str__(self) -> str:
        return printable(f"{self.what}. {_EXPECTED} {self.step}", None)


def refusal(outline: Outline, loader: Loader) -> Refusal | None:
    """Return why an object that is not read, or is no model, is refused; None where its outline does not tell."""
    root = outline.root
    if any(name.startswith(_QUANTIZED) for name in outline.names):
        return Refusal("a quantized module, which has no derivatives", "Try the module as it was before quantization.")
    package = root.name.partition(".")[0] if isinstance(root, Record) else ""
    if package in _NO_MODELS:
        return Refusal(_NO_MODELS[package], "Try the same network in torch, saved as TorchScript.")
    if found_in(root) is Found.MODULE:
        return _module_refusal(outline, loader)
    places = find_places(root)
    if places:
        return None if is_read_as_it_is(places[0]) else Refusal(_what(root, places[0]), _step(places, outline, loader))
    if outline.names and not _is_told(root, outline.names):
        return None
    if isinstance(root, Record) and described(root):
        return Refusal(_what(root, None), _begun(step_of_file(root, loader), outline))
    return Refusal(_what(root, None), "Nothing in it is a model that is read. Try saving the model alone.")


def _is_told(root: Any, names: tuple[str, ...]) -> bool:
    """Return whether an object is known for no model: an instance of a class, or of scikit-learn as all within it."""
    if not isinstance(root, Record):
        return False
    is_of_sklearn = all(name.startswith("sklearn.") for name in names) and not root.name.startswith("torch")
    return is_of_sklearn or ((root.name in names or root.name in SEARCHES) and bool(root.attributes))


def sole_model(content: Any) -> Any:
    """Return the key under which a dictionary holds one model beside notes on its training, else None."""
    if not isinstance(content, dict):
        return None
    keys = [key for key, value in content.items() if found_in(unwrapped(value)) in (Found.MODULE, Found.PREDICTOR)]
    return keys[0] if len(keys) == 1 and all(key in keys or key in _NOTES for key in content) else None


def _module_refusal(outline: Outline, loader: Loader) -> Refusal | None:
    """Refuse a module with classes of the script that saved it, or of transformers; of others the names say enough."""
    root, classes = outline.root, _main_classes(outline)
    if isinstance(root, Record) and root.name.startswith("transformers."):
        saved = loader.written("")
        line = python_line(imports("torch", loader.package), f"{loader.expression()}.save_pretrained({quoted(saved)})")
        return Refusal(
            f"{printable(short(root))} of transformers as a pickle",
            f"{_TRUSTING} try {line}, then save_pretrained({saved!r}) of its tokenizer, and {saved} as MODEL.",
        )
    if not classes or all(hasattr(sys.modules["__main__"], name) for name in classes):
        return None
    names = listed([f"{_MAIN}{printable(name)}" for name in classes], 5)
    named = short(root) if isinstance(root, Record) and root.name.startswith(_MAIN) else classes[0]
    named = named if named.isidentifier() and len(named) < _MOST_LETTERS else "Net"
    return Refusal(
        f"asks for {names}, of the script that saved it, which `trust` cannot find",
        f"Nothing of it was run. Try `code=train.py:{printable(named)}`, with that script in place of train.py.",
    )


def _what(root: Any, place: Place | None) -> str:
    """Return in words what a file holds, and where in it what was found, with the steps that no layers stand for."""
    where = f", with {place.found.value} at {place.expression}" if place and place.expression else ""
    if isinstance(root, Record):
        return (described(root) if place is None else None) or f"{_record_in_words(root)}{where}"
    if isinstance(root, dict) and place and place.found is Found.WEIGHTS:
        is_lightning = _LIGHTNING in root
        words = "a Lightning checkpoint" if is_lightning else f"a dictionary (keys {_keys(root)})"
        return f"{words}{where}" if place.expression else place.found.value
    if isinstance(root, dict):
        return f"a dictionary (keys {_keys(root)}), not a model{where}"
    return f"holds a {type(root).__name__}, not a model{where}"


def _keys(dictionary: dict[Any, Any]) -> str:
    return listed([printable(str(key), 40) for key in dictionary], 5)


def _record_in_words(record: Record) -> str:
    if record.name.startswith("skorch."):
        return f"a skorch net ({printable(short(record))})"
    is_known = short(record) == "Pipeline" or predictor_in(record) is not None
    if not is_known:
        return f"holds {printable(record.name)}, which is not read"
    steps = unfolded(record)
    if steps:
        return f"a {short(record)} with {listed(steps, 5)}, which cannot be folded in"
    return f"a {short(record)}{'' if predictor_in(record) else ' that does not end in a predictor'}"


def _step(places: list[Place], outline: Outline, loader: Loader) -> str:
    """Return what to try, for the first place; the others are named."""
    place = places[0]
    if place.found is Found.PREDICTOR:
        imports_of_script = _main_imports(outline)
        step = estimator_step(place, loader, imports_of_script) + caveat(outline.names)
        if imports_of_script:
            rest = step.removeprefix("try").removeprefix(",")
            step = f"try, with the script that saved it in place of train,{rest}"
    elif place.found is Found.WEIGHTS:
        return f"Try {CODE_STEP}."
    elif place.found is Found.MODULE and not outline.names:
        saved = loader.written(".pt")
        line = python_line(
            imports("torch", loader.package), f"torch.save({loader.expression()}{place.expression}, {quoted(saved)})"
        )
        step = f"try {line}, and {saved} as MODEL."
    else:
        inner = ".module_" if place.found is Found.SKORCH else ""
        step = f"try {_scripted(f'{place.expression}{inner}', place.value, outline, loader)}"
    others = [other.expression for other in places[1:]]
    more = f" There are others, such as at {listed(others, 3)}." if others else ""
    return f"{_begun(step, outline)}{_scaled(outline.root)}{more}"


def _scripted(expression: str, module: Any, outline: Outline, loader: Loader) -> str:
    """Return the line that saves a module as TorchScript, without its wrappers, and what to do with what it writes."""
    expression += ".module" * n_wrappers(module)
    saved = loader.written(".pt")
    line = python_line(
        *_main_imports(outline),
        imports("torch", loader.package),
        f"model = {loader.expression()}{expression}.eval()",
        f"torch.jit.script(model).save({quoted(saved)})",
    )
    return f"{line}, and {saved} as MODEL; {SCRIPT_FAILS}."


def _begun(step: str, outline: Outline) -> str:
    """Return a step as a sentence, behind a warning where it loads a file that asks for more than is on the list."""
    if not outline.names:
        return f"{step[0].upper()}{step[1:]}"
    strangers = [name for name in outline.names if name.partition(".")[0] not in _KNOWN]
    asks = f"It asks for {printable(strangers[0])}. " if strangers else ""
    return f"{asks}Nothing of it was run. {_TRUSTING} {step}"


def _scaled(root: Any) -> str:
    """Return a sentence on what stands beside a model and may come before it."""
    beside = root.items() if isinstance(root, dict) else ()
    steps = ((key, value) for key, value in beside if isinstance(value, Record) and value.name in FOLDED)
    scaler = next((key for key, value in steps if found_in(value) is None), None)
    if scaler is None:
        return ""
    return (
        f" If its inputs pass through {printable(repr(scaler), 40)} first, save sklearn.pipeline.make_pipeline of both."
    )


def _main_classes(outline: Outline) -> list[str]:
    return [name.removeprefix(_MAIN) for name in outline.names if name.startswith(_MAIN)]


def _main_imports(outline: Outline) -> list[str]:
    """Return the statement by which a line, which is __main__ itself, knows the classes of a script."""
    classes = list(dict.fromkeys(name.partition(".")[0] for name in _main_classes(outline)))
    # Names are the file's to choose, and must not become statements.
    are_plain = len(classes) <= _MOST_CLASSES and all(
        len(name) < _MOST_LETTERS and name.isidentifier() for name in classes
    )
    return [f"from train import {', '.join(classes) if are_plain else '*'}"] if classes else []
