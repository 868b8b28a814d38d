"""What run.json tells of the places in a network that were opened in the place of its columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from ihcli.runs.kinds import Count, Positive
from ihcli.runs.told import Told, left_out, record, untold


@record
class OpeningInfo(Told):
    """A lookup, or an indicator that a network makes of codes, see `ihcli.openings.Openings`; or a layer, see `Layers`.

    columns  that it reads; none of a layer, of which there are its name and the number of its call
      held are those of them that the network reads in another way as well
    width    values that it gives for a row;  codes so many it has
    """

    kind: str
    columns: tuple[str, ...]
    width: Positive
    codes: Count | None
    held: tuple[str, ...] = left_out(())
    layer: str = left_out("")
    call: Positive = untold()


def openings_told(described: Sequence[Mapping[str, Any]]) -> tuple[OpeningInfo, ...]:
    """Return what is told of the openings that a reader describes; who holds nothing does not say so."""
    return tuple(
        OpeningInfo(**{name: value for name, value in each.items() if name != "held" or value}) for each in described
    )
