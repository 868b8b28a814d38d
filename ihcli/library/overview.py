"""What an explanation or a run shows of itself at a glance: a line for a prompt, and a small page for a notebook."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import pyarrow as pa

from ihcli.quality import MISSED, Circumstances, Status, remedies_in_words
from ihcli.results.records import BESIDE
from ihcli.summaries.ranking import by_target
from ihcli.wording import counted, printable, quoted, shortened

MOST_TARGETS, TOP = 3, 10
NAME_LETTERS, LINE_LETTERS = 60, 60
BAR = "background:#3b7dd8;height:0.7em;display:inline-block"


@dataclass(frozen=True)
class Overview:
    """What is told of explained rows.

    method    by its name and title
    noun      of what values are of, in the plural;  n_names is how many there are, None where each row has its own
    statuses  counts of entries
    worst     the largest certified error of a row; None where none is known
    circumstances  what helps rows that missed the tolerance depends on them; None where they are not known
    features, pairs  rankings of all targets; None where there are none
    note      what these rankings are over, where it is not all rows
    """

    method: str
    title: str
    n_rows: int
    noun: str
    n_names: int | None
    targets: tuple[str, ...]
    statuses: Mapping[str, int]
    worst: float | None
    circumstances: Circumstances | None = None
    features: pa.Table | None = None
    pairs: pa.Table | None = None
    note: str = ""

    def line(self, name: str) -> str:
        """Return it in one line."""
        return f"<{name}: {', '.join(self._told())}>"

    def html(self) -> str:
        """Return it as HTML, with the strongest features and pairs of the first few targets."""
        head = f"<b>{escape(self.title)}</b> ({escape(self.method)}): {escape(', '.join(self._told()[1:]))}."
        quality = "".join(f"<div>{escape(text)}</div>" for text in self._quality())
        tables = "".join(self._tables())
        note = f"<div><small>{escape(self.note)}</small></div>" if self.note else ""
        return f"<div>{head}{quality}{tables}{note}</div>"

    def _told(self) -> list[str]:
        names = self.noun if self.n_names is None else counted(self.n_names, self.noun)
        targets = f"target{'s' * (len(self.targets) != 1)} {_shown(self.targets)}" if self.targets else "no target"
        return [self.method, counted(self.n_rows, "rows"), names, targets, self._certified()]

    def _certified(self) -> str:
        total = sum(self.statuses.values())
        if self.statuses.get(Status.UNCERTIFIED):
            return "no certified error"
        share = self.statuses.get(Status.OK, 0) / total if total else 0.0
        shown = "100" if share == 1 else f"{min(99.9, 100 * share):.3g}"
        return f"{shown} % certified{self._missed()}"

    def _missed(self) -> str:
        """Return how many entries missed the tolerance, of each status, behind what is certified."""
        counts = [f"{self.statuses[status]:,} {status}" for status in MISSED if self.statuses.get(status)]
        return f" ({', '.join(counts)})" if counts else ""

    def _quality(self) -> Iterator[str]:
        counts = [f"{count:,} {status}" for status, count in self.statuses.items()]
        worst = "" if self.worst is None else f"; the largest certified error of a row is {self.worst:.2g}"
        yield f"Entries: {', '.join(counts)}{worst}."
        missed = [status for status in MISSED if self.statuses.get(status)]
        remedies = remedies_in_words(missed, self.circumstances) if self.circumstances is not None else ""
        if remedies:
            yield f"Some missed the tolerance. Try {remedies.replace('`', '')}."

    def _tables(self) -> Iterator[str]:
        for target in self.targets[:MOST_TARGETS]:
            rankings = [(("feature",), self.features), (("feature_i", "feature_j"), self.pairs)]
            for names, table in rankings:
                ranking = None if table is None else by_target(table).get(target)
                if ranking is not None and ranking.num_rows:
                    yield _ranked(target, names, ranking.slice(0, TOP))


def _ranked(target: str, names: Sequence[str], ranking: pa.Table) -> str:
    title = f"{'Pairs' if len(names) > 1 else 'Features'} of {printable(target, LINE_LETTERS)}"
    sizes = ranking["mean_abs"].to_pylist()
    most = max([size or 0.0 for size in sizes], default=0.0)
    lines = []
    for place, size in enumerate(sizes):
        who = " x ".join(shortened(ranking[name][place].as_py() or "", NAME_LETTERS) for name in names)
        mean = ranking["mean"][place].as_py()
        width = 80 * (size or 0.0) / most if most > 0 else 0.0
        bar = f'<span style="{BAR};width:{width:.0f}px"></span>'
        lines.append(
            f'<tr><td style="text-align:left">{escape(who)}</td><td>{_figure(size)}</td>'
            f'<td style="text-align:left">{bar}</td><td>{_figure(mean)}</td></tr>'
        )
    head = '<tr><th style="text-align:left">name</th><th>mean size</th><th></th><th>mean</th></tr>'
    caption = f'<caption style="text-align:left">{escape(title)}</caption>'
    return f'<table style="{BESIDE}">{caption}{head}{"".join(lines)}</table>'


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _shown(targets: Sequence[str]) -> str:
    shown = ", ".join(quoted(name, LINE_LETTERS) for name in targets[:MOST_TARGETS])
    return shown if len(targets) <= MOST_TARGETS else f"{shown} and {len(targets) - MOST_TARGETS} more"
