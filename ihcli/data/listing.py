"""Names in a file of text, one a line."""

from ihcli.errors import OptionError
from ihcli.files.locations import locate, neighbour_of
from ihcli.quality import RESERVED
from ihcli.wording import quoted

FORM = "Expected a file of text with a name a line."


def read_layer_names(path: str) -> tuple[str, ...]:
    """Read a name for each value of the layers, in order; raises OptionError where the file is not of that form."""
    option, file = f"`layer_names={path}`", locate(path)
    try:
        with file.open("rb") as stream:
            text = stream.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        near = neighbour_of(file) if isinstance(error, FileNotFoundError) else ""
        raise OptionError(f"{option}: cannot be read: {reason}. {FORM}{near}") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    check_layer_names(names, option)
    return names


def check_layer_names(names: tuple[str, ...], option: str = "`layer_names`") -> None:
    """Raise OptionError for a name that stands twice, or is that of a column that a run writes."""
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"{option}: has the name {quoted(name)} twice. Expected each once.")
        if name in RESERVED:
            raise OptionError(f"{option}: {quoted(name)} is the name of a column that a run writes. Expected another.")
