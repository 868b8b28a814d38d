"""docs/paper.md: what was published beside what was measured, whether goals were met, and pictures."""

import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from benchmarks.paper.experiment import Claim, Experiment, Grid, Section
from benchmarks.paper.keeping import KEPT, Measured, kept
from benchmarks.tables import Cell, cell_text

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = "paper"
HEAD = """\
# The papers' experiments, done again

Written by `make paper`. The experiments of Janizek, Sturmfels and Lee, "Explaining Explanations: Axiomatic Feature
Interactions for Deep Networks" (2021), and of Erion, Janizek, Sturmfels, Lundberg and Lee, "Improving performance of
deep learning models with axiomatic attribution priors and expected gradients" (2021), with networks trained here and
explained by ihcli: every method on this page is one of its `--method`, or `ihcli inspect --nid`.

Effects of pairs are 2 Gamma_ij, where the papers print Gamma_ij: ranks agree, sizes differ by 2. Everything is seeded.
Figures with ± are means and standard deviations over seeds. Goals come from the papers and from trials made before;
where one is missed, it is said by how much. Some choices were made after first results: which pairs are minima and
which maxima is drawn anew for each seed (one draw for all gave 0.907 beside second differences), heart is explained by
23 inputs, as in the paper, and not by 13 groups, and the pulsar's log-odds, of which trials with one network and with
three say different things, have no goal.

`make paper DATA=directory CHECKPOINT=directory` measures all of it again: heart.csv (docs/heart.md says where from),
HTRU_2.csv.gz (docs/pulsars.md) and a fine-tuned checkpoint are not part of the project, and what needs one that is not
given is left out. `ONLY="table3 heart"` measures some, `ONLY=--page` none: benchmarks/results/paper/ keeps figures.
"""


def write(
    experiments: Mapping[str, Experiment], left_out: Collection[str] = (), docs: Path = DOCS, folder: Path = KEPT
) -> None:
    """Write the page and its pictures, of all that is kept but for what this run left out."""
    found = {
        name: measured
        for name, experiment in experiments.items()
        if name not in left_out and (measured := kept(name, experiment, folder)) is not None
    }
    sections = {name: experiments[name].section(measured.figures) for name, measured in found.items()}
    parts = [HEAD, *_overview(experiments, sections)]
    for name, experiment in experiments.items():
        parts.append(f"## {experiment.title}\n")
        parts += [_absent(experiment)] if name not in found else _of(name, experiment, sections[name], found[name])
        if name in found and experiment.draw is not None:
            (docs / PICTURES).mkdir(exist_ok=True, parents=True)
            experiment.draw(found[name].figures, docs / PICTURES / f"{name}.png")
    parts.append(_seconds(found, {name for name in found if experiments[name].alone}))
    (docs / "paper.md").write_text("\n".join(parts), encoding="utf-8")


def _overview(experiments: Mapping[str, Experiment], sections: Mapping[str, Section]) -> Iterator[str]:
    yield "## Goals\n"
    lines: list[list[Cell]] = []
    for name, section in sections.items():
        asked = [claim for claim in section.claims if claim.holds is not None]
        if asked:
            met = sum(bool(claim.holds) for claim in asked)
            missed = "; ".join(claim.what for claim in asked if not claim.holds)
            lines.append([experiments[name].title, f"{met} of {len(asked)}", missed])
    yield _table(("experiment", "goals met", "missed"), lines)


def _of(name: str, experiment: Experiment, section: Section, measured: Measured) -> Iterator[str]:
    yield _wrapped(section.how)
    if section.claims:
        yield _table(("", "published", "measured", "goal", ""), [_line(claim) for claim in section.claims])
    for grid in section.grids:
        yield _grid(grid)
    if experiment.draw is not None:
        yield f"![{section.picture}]({PICTURES}/{name}.png)\n"
    for remark in section.remarks:
        yield _wrapped(remark)


def _line(claim: Claim) -> list[Cell]:
    met = {True: "ok", False: "**missed**", None: ""}[claim.holds]
    return [claim.what, claim.published, claim.measured, claim.goal, met]


def _absent(experiment: Experiment) -> str:
    if not experiment.needs:
        return "Not measured yet.\n"
    return _wrapped(
        f"Not measured: what it needs is not part of the project. Try `make paper "
        f"{experiment.needs.upper()}=directory`."
    )


def _seconds(found: Mapping[str, Measured], alone: Collection[str]) -> str:
    if not found:
        return ""
    total = sum(measured.wall_s for measured in found.values())
    by_themselves = sum(found[name].wall_s for name in alone)
    minutes = (by_themselves + (total - by_themselves) / 2) / 60
    busiest = max(measured.load for measured in found.values())
    any_one = next(iter(found.values()))
    lines = [[name, f"{measured.wall_s:.0f}", f"{measured.load:.1f}"] for name, measured in found.items()]
    words = (
        f"{total:.0f} s in all, one thread an experiment and two experiments at a time ({', '.join(sorted(alone))} "
        f"alone): about {minutes:.0f} minutes. "
        f"{any_one.machine}, {any_one.cores} cores, torch {any_one.torch}. *Load* is how many processes wanted a core "
        f"when it ended, these included."
    )
    if busiest > any_one.cores:
        words += f" At {busiest:.0f} on {any_one.cores} cores seconds are upper bounds."
    return "\n".join(["## What it took\n", _wrapped(words), _table(("experiment", "s", "load"), lines)])


def _grid(grid: Grid) -> str:
    return _table(grid.columns, grid.rows)


def _table(columns: Collection[str], rows: Collection[Collection[Cell]]) -> str:
    lines = [columns, ["---"] * len(columns), *([cell_text(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False) + "\n"
