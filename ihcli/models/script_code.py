"""The code of a TorchScript archive, read before torch runs or even compiles it: what can touch files is refused.

TorchScript is no Python: it has no imports, and its operators are torch's. Few of them reach outside, and a name can be
hidden in two ways only, as the second argument of getattr and behind another namespace; so both are held narrow.
"""

import re
from collections.abc import Iterator
from typing import Any

MOST_NESTING = 200
"""Brackets or blocks within each other; torch's parser recurses, and a few thousand overrun its stack."""

_TOUCHING_FILES = re.compile(rb"\b(save|from_file|load_tensor)\b")
_RUN_WHILE_LOADING = re.compile(rb"\b__setstate__\b")
# As torch writes it: adjacent literals would be joined, and escapes resolved, into another name.
_PLAIN_ATTRIBUTE = re.compile(rb'\bgetattr\([\w.]+, "[^"\\\n]*"\)')
_NAMESPACE = re.compile(rb"\bops\s*\.\s*(\w+)")
_NAMESPACES = (b"aten", b"prim", b"prims", b"quantized", b"mkldnn", b"mkldnn_prepacked", b"sparse")
# Objects of C++ classes run code of their own when they are restored; a pickle writes the dot as a line end.
_CLASSES = re.compile(rb"torch\s*[.\n]\s*classes")
_BRACKETS = re.compile(rb"[\[({\])}]")


def refused_in(archive: Any) -> Iterator[str]:
    """Yield what an archive asks for that is not run without trust, in words, each with the record that asks for it.

    archive  a reader of torch, as torch loads it: a zip may show others something else
    """
    for name in archive.get_all_records():
        if name.endswith(".pkl") and _CLASSES.search(archive.get_record(name)):
            yield f"its data ({name}) holds objects of C++ classes, which run code of their own when they are restored"
        elif name.startswith("code/") and name.endswith(".py"):
            for words in _refused_words(archive.get_record(name)):
                yield f"its code ({name}) {words}"


def _refused_words(code: bytes) -> Iterator[str]:
    found = _TOUCHING_FILES.search(code)
    if found:
        yield f"uses {found.group().decode()}, which can read or write files"
    if b"getattr" in _without_plain_attributes(code):
        yield "uses getattr with a name put together from pieces, which can hide what it reads"
    others = [match.group(1) for match in _NAMESPACE.finditer(code) if match.group(1) not in _NAMESPACES]
    if others:
        yield f"uses operators of {others[0].decode()}, which are not known to leave files alone"
    if _CLASSES.search(code):
        yield "uses C++ classes, which run code of their own"
    if _RUN_WHILE_LOADING.search(code):
        yield "defines __setstate__, which runs while the file is loaded"
    if _nesting(code) > MOST_NESTING:
        yield f"nests more than {MOST_NESTING} brackets or blocks, which can crash torch"


def _without_plain_attributes(code: bytes) -> bytes:
    """Return the code with every harmless getattr, also of another one, replaced by a name."""
    count = 1
    while count:
        code, count = _PLAIN_ATTRIBUTE.subn(b"attribute", code)
    return code


def _nesting(code: bytes) -> int:
    """Return how deep brackets stand within each other at most, or blocks, which torch indents by two."""
    deepest = depth = 0
    for bracket in _BRACKETS.finditer(code):
        depth += 1 if bracket.group() in b"([{" else -1
        deepest = max(deepest, depth)
    indented = max((len(line) - len(line.lstrip()) for line in code.splitlines()), default=0)
    return max(deepest, indented // 2)
