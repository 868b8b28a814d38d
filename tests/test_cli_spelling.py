"""Options in messages: the core names them as Python does, the command line spells them as it declares them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import checkpoints
import click
import numpy as np
import pytest
import torch
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.cli.showing.spelling import LIBRARY, spelled
from ihcli.errors import IhcliError

PACKAGE = Path(__file__).parents[1] / "ihcli"
DASHES = re.compile(r"(?<![\w-])--[a-z]|(?<![\w-])-[mo] ")
SHELL = {"hf download", "python -m zipfile", "python -m ihcli"}
"""Commands of the shell, which stay as they are typed there."""
TICKED = re.compile(r"(?<![^\s(])`([a-z_]+)(?:=[^`]*)?`")
NOT_OPTIONS = {"x", "texts", "rows", "existing", "labels", "feature_names"}
"""What Python takes, and no option."""


def core() -> list[Path]:
    return [file for file in sorted(PACKAGE.rglob("*.py")) if "cli" not in file.relative_to(PACKAGE).parts]


def strings(file: Path, *, with_docstrings: bool) -> Iterator[tuple[int, str]]:
    """Yield every text of a module and its line, one with figures in it as {}."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    left_out = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    if not with_docstrings:
        left_out |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            words = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(map(str, words))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.lineno, node.value


def declared() -> set[str]:
    assert isinstance(main, click.Group)
    return {option.name or "" for command in main.commands.values() for option in command.params}


def test_no_text_of_the_core_spells_an_option_as_the_command_line_does() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{line}: {text[:80]}"
        for file in core()
        for line, text in strings(file, with_docstrings=True)
        if DASHES.search(text) and not any(command in text for command in SHELL)
    ]
    assert not found, found


def test_every_option_that_the_core_names_is_one() -> None:
    known = declared() | LIBRARY.keys() | NOT_OPTIONS
    named = [
        (name, f"{file.relative_to(PACKAGE)}:{line}")
        for file in core()
        for line, text in strings(file, with_docstrings=False)
        for name in TICKED.findall(text)
    ]
    assert len(named) > 100
    assert not [(name, place) for name, place in named if name not in known]


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Softmax(dim=1), nn.Linear(4, 2)).double()


WRONG = [
    {"method": "shap"},
    {"engine": "foo"},
    {"engine": "mlp", "target": "predicted"},
    {"baseline": "data"},
    {"method": "eg", "baseline": "zeros"},
    {"baseline": "nowhere"},
    {"baseline": np.zeros(2)},
    {"target": "high"},
    {"target": "label"},
    {"steps": 1024},
    {"max_evaluations": 1},
    {"smooth": "soft"},
    {"smooth": -1.0},
    {"groups": {"g": ["0", "nothing"]}},
    {"groups": {"g": []}},
]


@pytest.mark.parametrize("arguments", WRONG, ids=str)
def test_python_reads_no_dashes(arguments: dict) -> None:
    with pytest.raises(IhcliError) as caught:
        ihcli.explain(net(), np.random.default_rng(0).standard_normal((5, 3)), **arguments)
    assert not DASHES.search(str(caught.value))
    assert re.match(r"`(\w+)", str(caught.value))[1] in arguments  # type: ignore[index]


def test_python_reads_no_dashes_about_texts(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, "bert")
    model = ihcli.load_model(tmp_path)
    for arguments in ({"units": "letter"}, {"baseline": "mean"}, {"method": "eg"}):
        with pytest.raises(IhcliError) as caught:
            ihcli.explain_texts(model, ["a film"], **arguments)  # type: ignore[arg-type]
        assert str(caught.value).startswith(f"`{next(iter(arguments))}")
        assert not DASHES.search(str(caught.value))


def test_warnings_in_python_name_options_without_dashes() -> None:
    with pytest.warns(ihcli.IhcliWarning, match=r"Try `smooth=auto`, ") as caught:
        ihcli.explain(net(), np.random.default_rng(0).standard_normal((5, 3)), smooth="none", target=0)
    assert not [told for told in caught if DASHES.search(str(told.message))]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("`tolerance`: 0 cannot be.", "--tolerance: 0 cannot be."),
        ("`baseline=data`: is many rows.", "--baseline data: is many rows."),
        ("Try `key=id` `key='a b'`, or another `out`.", "Try --key id --key 'a b', or another -o."),
        (
            "(`memory_bytes`) `engine=mlp`, `engine_derivatives=mlp`",
            "(--memory) --engine-derivatives mlp, --engine-derivatives mlp",
        ),
        ("`key=a=b`: no row has it; try `min_count=2`.", "--key a=b: no row has it; try --min-count 2."),
        ("`baseline=a`b.csv`: is not there", "--baseline a`b.csv: is not there"),
        ("column '`key`' and /tmp/`key` and `x` and `relu`", "column '`key`' and /tmp/`key` and `x` and `relu`"),
    ],
)
def test_the_command_line_spells_options_as_it_declares_them(text: str, told: str) -> None:
    with click.Context(main):
        assert spelled(text) == told
    assert spelled(text) == text  # elsewhere it is left as it is


def test_an_option_can_be_spelled_with_one_letter() -> None:
    with click.Context(main):
        assert spelled("`method=ig`", short=True) == "-m ig"
        assert spelled("`limit=9`", short=True) == "--limit 9"


def test_pages_keep_the_marks() -> None:
    with click.Context(main):
        assert (
            spelled("a larger `steps`, or (`missing=flag`)", marked=True) == "a larger `--steps`, or (`--missing flag`)"
        )


FOREIGN = re.compile(
    r"(?<!there )\b(?:is|are) no (?!longer\b)[a-z]|\b(?:go|goes|going) on\b|\banew\b|\bbeside\b|\btells?\b"
    r"|\bOf (?:a |the )?[A-Za-z]+:|\bso (?:many|often)\b|\bkin\b"
)


def test_messages_and_help_are_in_plain_english() -> None:
    """Words that are right and yet not what anybody says: is no X, go on, anew, beside, tells, Of X: ..."""
    found = [
        f"{file.relative_to(PACKAGE)}:{line}: {told[0]!r} in {text[:100]!r}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for line, text in strings(file, with_docstrings=False)
        if (told := FOREIGN.search(text))
    ]
    helps = [
        f"{name}: {told[0]!r}"
        for name, command in main.commands.items()  # type: ignore[attr-defined]
        if (told := FOREIGN.search(command.get_help(click.Context(command))))
    ]
    assert not found + helps, "\n".join(found + helps)
