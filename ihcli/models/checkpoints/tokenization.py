"""How much longer a tokenizer may make a text, read off what tokenizer.json says before any text is given to it."""

import base64
import math
import re
from collections.abc import Iterator
from typing import Any

from ihcli.errors import ModelError
from ihcli.wording import printable

MOST_GROWTH = 256
"""Letters that one letter of a text may become: T5's table makes 18 of an Arabic ligature, Llama's marks 2 of one."""
MOST_ADDED_TOKENS = 64
_MOST_WORD_LETTERS = 10_000
_MOST_PATTERN_LETTERS = 10_000
# Of an expression: an escaped letter, a class of letters, a bracket, a repetition without end, or any other letter.
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]|[*+]|\{\d*,\}|.", re.DOTALL)
_REPETITION = re.compile(r"[*+]|\{\d*,\}")
_KEEPING = {
    "normalizer": (
        *("BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Lowercase", "Strip", "Nmt", "Sequence"),
        *("ByteLevel", "Precompiled", "Prepend", "Replace"),
    ),
    "pre_tokenizer": (
        *("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits", "CharDelimiterSplit"),
        *("UnicodeScripts", "FixedLength", "Split", "Metaspace", "ByteLevel", "Sequence"),
    ),
    "post_processor": ("TemplateProcessing", "RobertaProcessing", "BertProcessing", "ByteLevel", "Sequence"),
    "decoder": (
        *("ByteLevel", "WordPiece", "Metaspace", "BPEDecoder", "CTC", "ByteFallback", "Fuse", "Strip", "Replace"),
        "Sequence",
    ),
}
_BYTES_AS_LETTERS, _MARKED = 4, 2


def check_pipeline(pipeline: Any, subject: object) -> None:
    """Refuse a tokenizer that can multiply a text, or take for ever over it.

    pipeline  the content of tokenizer.json
    subject   what messages name

    Raises ModelError.
    """
    try:
        _check_parts(pipeline)
    except ValueError as error:
        raise ModelError(
            f"{subject}: its tokenizer {error}. Expected one as transformers writes it. Try saving it again from the "
            "tokenizer that the model was trained with."
        ) from None


def _check_parts(pipeline: Any) -> None:
    if not isinstance(pipeline, dict):
        raise ValueError("is not an object of settings")
    for stages in (("normalizer", "pre_tokenizer"), ("decoder",)):
        steps = [part for stage in stages for part in _parts(pipeline.get(stage), stage)]
        if math.prod(map(_growth, steps)) > MOST_GROWTH:
            raise ValueError(f"makes more than {MOST_GROWTH} letters of one")
    for part in _parts(pipeline.get("post_processor"), "post_processor"):
        _check_template(part)
    model = pipeline.get("model")
    longest = model.get("max_input_chars_per_word") if isinstance(model, dict) else None
    if type(longest) is int and longest > _MOST_WORD_LETTERS:
        raise ValueError(f"looks for parts of words of up to {longest} letters")


def _parts(value: Any, place: str) -> Iterator[dict[str, Any]]:
    """Yield the steps of one stage in order, sequences of them opened."""
    if value is None:
        return
    if not isinstance(value, dict) or value.get("type") not in _KEEPING[place]:
        kind = value.get("type") if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"has a {place} of a kind that is not known ({printable(str(kind), 80)})")
    if value["type"] != "Sequence":
        yield value
        return
    inner = next((part for part in value.values() if isinstance(part, list)), [])
    for part in inner:
        yield from _parts(part, place)


def _growth(part: dict[str, Any]) -> int:
    """Return how many letters one may become in a step."""
    kind = part["type"]
    if kind in ("Replace", "Split"):
        pattern = part.get("pattern")
        plain, expression = (pattern.get(key) for key in ("String", "Regex")) if isinstance(pattern, dict) else (0, 0)
        if isinstance(expression, str):
            _check_expression(expression)
        content = part.get("content") or ""
        return max(1, -(-len(str(content)) // max(1, len(plain) if isinstance(plain, str) else 1))) + (plain == "")
    if kind == "Prepend":
        return 1 + len(str(part.get("prepend") or ""))
    if kind == "Precompiled":
        return _longest_replacement(part.get("precompiled_charsmap"))
    if kind == "Metaspace":
        return _MARKED
    return _BYTES_AS_LETTERS if kind == "ByteLevel" else 1


def _longest_replacement(table: Any) -> int:
    """Return the letters of the longest text in the table of SentencePiece: a tree of so many bytes, then the texts."""
    content = base64.b64decode(table, validate=True) if isinstance(table, str) else b""
    texts = content[4 + int.from_bytes(content[:4], "little") :]
    return max(1, *(len(text.decode("utf-8", "replace")) for text in texts.split(b"\0")))


def _check_expression(expression: str) -> None:
    if len(expression) > _MOST_PATTERN_LETTERS or _repeats_repetition(expression):
        raise ValueError("splits by a pattern that repeats what it repeats, which some texts take for ever")


def _repeats_repetition(expression: str) -> bool:
    """Return whether a group that may repeat a part without end is itself repeated without end."""
    outer, repeats, closed = list[bool](), False, False
    for piece in _PIECE.findall(expression):
        if _REPETITION.fullmatch(piece):
            if closed:
                return True
            repeats = True
        closed = piece == ")" and repeats
        if piece == "(":
            outer.append(repeats)
            repeats = False
        elif piece == ")" and outer:
            repeats |= outer.pop()
    return False


def _check_template(part: dict[str, Any]) -> None:
    """Refuse a template that puts many tokens around a text."""
    special = part.get("special_tokens")
    lengths = {
        name: len(entry["ids"])
        for name, entry in (special.items() if isinstance(special, dict) else ())
        if isinstance(entry, dict) and isinstance(entry.get("ids"), list)
    }
    for form in ("single", "pair"):
        pieces = part.get(form)
        names = [
            piece.get("SpecialToken", {}).get("id") if isinstance(piece, dict) else None
            for piece in (pieces if isinstance(pieces, list) else ())
        ]
        if sum(lengths.get(str(name), 1) for name in names) > MOST_ADDED_TOKENS:
            raise ValueError(f"adds more than {MOST_ADDED_TOKENS} tokens to a text")
