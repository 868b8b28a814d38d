"""The page itself: style, scripts and contents put into one file that asks nothing of the network."""

import base64
import hashlib
import json
import re
from importlib import import_module
from importlib.resources import files

from ihcli.errors import PackageError
from ihcli.report.colours import palette_style
from ihcli.report.contents import Contents

SCRIPTS = (
    *("dom.js", "exports.js", "cells.js", "charts.js", "swarm.js", "swarmdots.js", "overview.js", "trust.js"),
    *("sections.js", "surface.js", "dependence.js", "filters.js", "record.js", "words.js", "records.js"),
    *("compared.js", "address.js", "page.js"),
)
STYLES = ("page.css", "overview.css", "records.css", "print.css")
PLACE = re.compile(r"\{\{(\w+)\}\}")
CLOSING = re.compile(r"<(?=/script|!--)", re.IGNORECASE)


def page_of(contents: Contents) -> bytes:
    """Return the HTML of a report.

    Whatever comes from a run stands in one block of JSON, which browsers do not run, and reaches the page as text. The
    policy of the page allows two scripts, by their hashes, no connection, no form and no request.

    Raises PackageError without plotly.
    """
    charts = CLOSING.sub(r"\\x3c", _plotly())
    script = "\n".join(_file(name) for name in SCRIPTS)
    places = {
        "policy": _policy(charts, script),
        "style": palette_style() + "\n".join(_file(name) for name in STYLES),
        "contents": as_script_data(contents.as_dict()),
        "charts": charts,
        "script": script,
    }
    return PLACE.sub(lambda place: places[place[1]], _file("page.html")).encode()


def as_script_data(value: object) -> str:
    """Return JSON that can stand inside a script element: ASCII without <, > and &, so no text can end the element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(*scripts: str) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _plotly() -> str:
    try:
        text: str = import_module("plotly.offline").get_plotlyjs()
    except ImportError as error:
        raise PackageError(
            "ihcli report: needs the package plotly. Expected what 'ihcli[report]' installs. Try pip install plotly."
        ) from error
    return text


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
