"""Names of the files and directories that a run consists of."""

from ihcli.files.locations import Location

INFO = "run.json"
ATTRIBUTIONS, INTERACTIONS, SUMMARY = "attributions", "interactions", "summary"
SHARDS = "shards"
MODEL = "model"  # what the summary tells of the model, beside its tables of attributions and interactions
STATES = ".states"  # readers of a run skip names that start with a dot
DIRECTORIES = (ATTRIBUTIONS, INTERACTIONS, SUMMARY, STATES)


def over_all_rows(kind: str) -> str:
    """Return the name of the summary of that kind over all entries, which is there where some do not rank."""
    return f"{kind}_all_rows"


def part_name(index: int) -> str:
    """Return the file name of a part."""
    return f"part-{index:06d}.parquet"


def part_files(directory: Location) -> list[Location]:
    """Return the parts in a directory, in order."""
    return sorted(directory.glob("part-*.parquet"))


def part_count(rows: int, chunk_rows: int) -> int:
    """Return into how many parts so many rows are cut."""
    return -(-rows // chunk_rows)
