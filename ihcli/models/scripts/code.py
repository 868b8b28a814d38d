"""The code of a TorchScript archive as text, read before torch compiles it: the first of two doors.

Compiling runs little: default arguments, constants of classes, and `__setstate__` once objects are restored. So here
all code must be written as torch writes it, and those may only be what torch writes for them. What the rest of the
code computes with is judged by `script_graphs`, as torch understood it; known names are refused here already.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_NESTING = 200
"""Brackets or blocks within each other; torch's parser recurses, and a few thousand overrun its stack."""
MOST_OPERATORS = 2000
"""In one statement, for the same reason: a + b + c + ... is nested as deeply as it is long."""

_TOUCHING_FILES = re.compile(r"\b(save|from_file|load_tensor)\b")
_RUN_WHILE_LOADING = re.compile(r"\b__setstate__\b")
# As torch writes it: adjacent literals would be joined, and escapes resolved, into another name.
_PLAIN_ATTRIBUTE = re.compile(r'\bgetattr\([\w.]+, "[^"\\\n]*"\)')
_PLAIN_ANNOTATION = re.compile(r'__annotations__(?:\["[^"\\\n]*"\] = | = \[\]\n)')
_NAMESPACE = re.compile(r"\bops\s*\.\s*(\w+)")
_NAMESPACES = ("aten", "prim")
QUANTIZED = "quantized"
"""Namespace of operators on weights of whole numbers."""
# Objects of C++ classes run code of their own when they are restored.
_CLASSES = re.compile(r"torch\s*\.\s*classes")
_BRACKETS = re.compile(r"[\[({\])}]")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_UNWRITTEN = re.compile(r"""['#\\;]|[^\x20-\x7e\n]|\belif\b|\blambda\b|^ +class\b""", re.MULTILINE)
_OPERATOR = re.compile(r"[-+*/%@&|^~<>=.]|[\w\])][(\[]|\b(?:not|and|or|is|in|if|else)\b")
_NUMBER = re.compile(r"(?<![\w.])(?:inf|nan|\d+\.?\d*(?:e[-+]?\d+)?j?)(?!\w)")
_HEADER = re.compile(r"\bdef\s+(\w+)\s*(?=\()")
_CLASS = re.compile(r"class (\w+)(?:\((\w+)\))?:")
_ATTRIBUTE = re.compile(r'(?:(\w+) : |__annotations__\["([^"]*)"\] = )([^=]+?)(?:=(.*))?', re.DOTALL)
_ASSIGNMENT = re.compile(r"\w+ = (.*)", re.DOTALL)
_ATOM = re.compile(r'"_*"|\b(?:True|False|None)\b|\bCONSTANTS\.c\d+\b|\btorch\.device\("_*"\)')
_GATHERED = re.compile(r"\[(?:-?0,?)*\]|\((?:-?0,?)*\)")


@dataclass(frozen=True)
class Declared:
    """A class of the archive: what it derives from, the types of its attributes, and the signatures of its methods."""

    base: str
    attributes: dict[str, str] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)


def refused_words(content: bytes) -> Iterator[str]:
    """Yield what a record of code does that is not done without trust, in words that go on "its code ..."."""
    code = content.decode("latin-1")
    found = _TOUCHING_FILES.search(code)
    if found:
        yield f"uses {found.group()}, which can read or write files"
    if "getattr" in _without_plain_attributes(code):
        yield "uses getattr with a name put together from pieces, which can hide what it reads"
    others = [match.group(1) for match in _NAMESPACE.finditer(code) if match.group(1) not in _NAMESPACES]
    if others:
        yield f"uses operators of {others[0]}, which are not known to leave files alone"
    if _CLASSES.search(code):
        yield "uses C++ classes, which run code of their own"
    if _RUN_WHILE_LOADING.search(code):
        yield "defines __setstate__, which runs while the file is loaded"
    text = _with_blank_strings(code)
    if '"""' in code or _UNWRITTEN.search(text) or "__annotations__" in _PLAIN_ANNOTATION.sub("", code):
        yield "is not written as torch writes it, which can hide what it does"
    elif _nesting(text) > MOST_NESTING:
        yield f"nests more than {MOST_NESTING} brackets or blocks, which can crash torch"
    else:
        yield from _refused_statements(text)


def declared_classes(content: bytes) -> dict[str, Declared]:
    """Return the classes that a record of code declares; it is one that `refused_words` has nothing against."""
    code = content.decode("latin-1")
    classes: dict[str, Declared] = {}
    current = Declared("")
    for start, end, is_of_class in _statements(_with_blank_strings(code)):
        statement = code[start:end].strip()
        if is_of_class is None:
            named = _CLASS.fullmatch(statement)
            if named:
                current = classes[named.group(1)] = Declared(named.group(2) or "")
        elif is_of_class and (method := _HEADER.match(statement)):
            current.methods[method.group(1)] = " ".join(statement.split())
        elif is_of_class and (attribute := _ATTRIBUTE.fullmatch(statement)) and not attribute.group(4):
            name = attribute.group(1) or attribute.group(2).encode("latin-1").decode()
            current.attributes[name] = " ".join(attribute.group(3).split())
    return classes


def _refused_statements(text: str) -> Iterator[str]:
    """Yield what is computed while torch compiles, and statements that are too long for its stack."""
    for match in _HEADER.finditer(text):
        for parameter in _parameters(text, match.end()):
            _, is_default, value = parameter.partition("=")
            if is_default and not _is_literal(value):
                yield f"computes a default argument of {match.group(1)}, which runs while the file is loaded"
    for start, end, is_of_class in _statements(text):
        statement = text[start:end].strip()
        if is_of_class is None and statement.startswith("class ") and not _CLASS.fullmatch(statement):
            yield "is not written as torch writes it, which can hide what it does"
        if is_of_class and not _HEADER.match(statement) and not _is_declaration(statement):
            yield "computes a constant of a class, which runs while the file is loaded"
        if len(_OPERATOR.findall(_NUMBER.sub("0", statement))) > MOST_OPERATORS:
            yield f"holds a statement of more than {MOST_OPERATORS} operators, which can crash torch"


def _is_declaration(statement: str) -> bool:
    attribute = _ATTRIBUTE.fullmatch(statement)
    if attribute:
        return "(" not in attribute.group(3).replace("Tuple[()]", "") and (
            attribute.group(4) is None or _is_literal(attribute.group(4))
        )
    assignment = _ASSIGNMENT.fullmatch(statement)
    return statement in ("pass", "...") or (assignment is not None and _is_literal(assignment.group(1)))


def _is_literal(value: str) -> bool:
    """Tell whether a value is one that torch writes for a constant: nothing is called, read or computed."""
    gathered = "".join(_NUMBER.sub("0", _ATOM.sub("0", value)).replace("0+0", "0").replace("0-0", "0").split())
    count = 1
    while count:
        gathered, count = _GATHERED.subn("0", gathered)
    return gathered in ("0", "-0")


def _parameters(text: str, opening: int) -> Iterator[str]:
    """Yield the parameters of a function, whose bracket opens at `opening`."""
    depth, start = 0, opening + 1
    for match in re.finditer(r"[\[({\])},]", text[opening:]):
        at = opening + match.start()
        depth += (match.group() in "([{") - (match.group() in "])}")
        if depth == 0 or (depth == 1 and match.group() == ","):
            yield text[start:at]
            start = at + 1
        if depth == 0:
            return


def _statements(text: str) -> Iterator[tuple[int, int, bool | None]]:
    """Yield begin and end of every statement, over as many lines as its brackets: `None` for one of the module, else
    whether it stands in a class, outside of its methods."""
    depth, start, at, indent_of_class = 0, 0, 0, 0
    in_class = False
    for line in text.splitlines(keepends=True):
        if depth == 0:
            start = at
        at += len(line)
        for bracket in _BRACKETS.findall(line):
            depth += 1 if bracket in "([{" else -1
        if depth or not line.strip():
            continue
        indent = len(text[start:at]) - len(text[start:at].lstrip())
        if indent == 0:
            in_class, indent_of_class = text.startswith("class ", start), 0
            yield start, at, None
            continue
        indent_of_class = indent_of_class or indent
        yield start, at, in_class and indent <= indent_of_class


def _without_plain_attributes(code: str) -> str:
    """Return the code with every harmless getattr, also of another one, replaced by a name."""
    count = 1
    while count:
        code, count = _PLAIN_ATTRIBUTE.subn("attribute", code)
    return code


def _with_blank_strings(code: str) -> str:
    """Return the code as it is, but with every letter within quotes blank."""
    return _STRING.sub(lambda match: '"' + "_" * (len(match.group()) - 2) + '"', code)


def _nesting(text: str) -> int:
    """Return how deep brackets stand within each other at most, or blocks, which torch indents by two."""
    deepest = depth = 0
    for bracket in _BRACKETS.finditer(text):
        depth += 1 if bracket.group() in "([{" else -1
        deepest = max(deepest, depth)
    indented = max((len(line) - len(line.lstrip()) for line in text.splitlines()), default=0)
    return max(deepest, indented // 2)
