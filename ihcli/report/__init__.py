"""A run as one page that opens offline: what was run, how far to trust it, rankings, charts and single records."""

from collections.abc import Sequence
from pathlib import Path

from ihcli.errors import OptionError
from ihcli.files.durable import replacing
from ihcli.files.locations import Location, locate
from ihcli.report.contents import Contents, contents_of
from ihcli.report.page import page_of
from ihcli.results.result import Result
from ihcli.wording import argument

__all__ = ["Contents", "contents_of", "page_of", "write_report"]

NO_PAGES = (".pdf", ".png", ".svg", ".jpg", ".docx", ".md", ".json", ".csv", ".parquet", ".xlsx")


def require_page(file: Location) -> None:
    """Raise OptionError where a file's name promises something else than HTML."""
    if file.suffix.lower() in NO_PAGES:
        page = argument(f"{str(file)[: -len(file.suffix)]}.html")
        raise OptionError(
            f"`out={file}`: a report is a page of HTML. Expected a name that ends in .html. Try `out={page}`, and "
            "print the page from a browser for a PDF."
        )


def write_report(
    result: Result,
    file: str | Location,
    *,
    data: str | Path | None = None,
    seed: int = 0,
    others: Sequence[Result] = (),
) -> Contents:
    """Write the page of a finished run, replacing the file that is there, and return what it shows.

    Its size is bounded whatever the run: of many features, pairs and rows the page holds a part, and says which.

    Parameters:
        data: a table to take the features' values from instead of the recorded one, with the same rows.
        seed: of the drawn rows.
        others: runs over the same rows, which the page compares this one with.

    Raises:
        RunError: the run did not finish, others are not over the same rows, or the disk refuses.
        DataError: `data` is not of the run's rows. Where the recorded data is gone, the page is made without values.
        PackageError: the package plotly is not installed.
        OptionError: the file is named for something else than a page.
    """
    require_page(locate(file))
    contents = contents_of(result, data=data, seed=seed, others=others)
    page = page_of(contents)
    with replacing(locate(file)) as stream:
        stream.write(page)
    return contents
