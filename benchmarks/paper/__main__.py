"""`make paper`: measure the experiments, two at a time, and write docs/paper.md with what was published beside it."""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks.paper.experiment import Asked

PROCESSES = 2


def main() -> None:
    """Measure all experiments, or those that are named, and write the page."""
    # Processes inherit it and import torch after: one thread each, and sums in one order.
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    from benchmarks.paper.experiments import EXPERIMENTS
    from benchmarks.paper.page import write

    arguments = _parser(list(EXPERIMENTS)).parse_args()
    if unknown := sorted(set(arguments.names) - set(EXPERIMENTS)):
        raise SystemExit(f"no experiment {', '.join(unknown)}. Expected some of {', '.join(EXPERIMENTS)}.")
    asked = Asked(data=arguments.data, checkpoint=arguments.checkpoint)
    names = [] if arguments.page else arguments.names or list(EXPERIMENTS)
    without = [name for name in names if (needs := EXPERIMENTS[name].needs) and getattr(asked, needs) is None]
    if arguments.names and without:
        needs = {EXPERIMENTS[name].needs.upper() for name in without}
        raise SystemExit(f"{', '.join(without)}: what is needed is not part of the project. Try {_given(needs)}.")
    _measure([name for name in names if name not in without], asked)
    write(EXPERIMENTS, left_out=without)


def _given(needs: set[str]) -> str:
    return " ".join(f"--{name.lower()} DIRECTORY" for name in sorted(needs))


def _parser(names: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; none: all of them")
    parser.add_argument("--page", action="store_true", help="write the page again, of what was measured before")
    parser.add_argument("--data", type=_directory, help="a directory with heart.csv and HTRU_2.csv.gz")
    parser.add_argument("--checkpoint", type=_directory, help="a directory of a text classifier")
    return parser


def _directory(text: str) -> Path | None:
    """Return a directory; None for no text, as of a variable of make that is not given."""
    if text and not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a directory")
    return Path(text) if text else None


def _measure(names: list[str], asked: Asked) -> None:
    """Measure two at a time, those that are measured in seconds after all others and alone."""
    from benchmarks.paper.experiments import EXPERIMENTS, measure

    fresh = multiprocessing.get_context("spawn")
    for alone, processes in ((False, PROCESSES), (True, 1)):
        some = [name for name in names if EXPERIMENTS[name].alone is alone]
        with ProcessPoolExecutor(processes, mp_context=fresh, max_tasks_per_child=1) as executor:
            for done in as_completed([executor.submit(measure, name, asked) for name in some]):
                print(done.result(), flush=True)


if __name__ == "__main__":
    main()
