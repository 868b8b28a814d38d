"""Lines for a shell that make a model that is read of a file that is not: followed to the letter, they work."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

SCRIPT_FAILS = (
    "where scripting fails, put torch.jit.trace(model, torch.zeros(1, COLUMNS)) in place of torch.jit.script(model)"
)
CODE_STEP = "`code=net.py:Net`, with the file and class of the network in place of net.py and Net"


@dataclass(frozen=True)
class Loader:
    """How Python loads a pickled file: its path, and the package that does, torch, joblib or pickle."""

    path: Path
    package: str

    def expression(self, is_plain: bool = False) -> str:
        """Return the call; of a file that holds numbers in plain containers, one that runs nothing where there is."""
        if self.package == "torch":
            how = "" if is_plain else ", weights_only=False"
            return f'torch.load({quoted(self.path)}, map_location="cpu"{how})'
        if self.package == "joblib":
            return f"joblib.load({quoted(self.path)})"
        return f'pickle.load(open({quoted(self.path)}, "rb"))'

    def written(self, suffix: str) -> str:
        """Return the name of what a line writes, beside which it is run: model-net.pt of model.ckpt."""
        return f"{self.path.stem}-net{suffix}"


def python_line(*statements: str) -> str:
    """Return the command line that runs statements of Python, in the quotes of a shell."""
    return f"python -c {shlex.quote('; '.join(statements))}"


def quoted(text: object) -> str:
    """Return a string of Python in the quotes that a shell leaves alone within its own."""
    return json.dumps(str(text), ensure_ascii=False)


def imports(*packages: str) -> str:
    """Return the statement that imports packages, each once."""
    return f"import {', '.join(dict.fromkeys(packages))}"
