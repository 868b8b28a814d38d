"""`make bench`: measure what needs neither an environment nor a checkpoint of its own, and write the tables."""

import argparse
import importlib
import os
import time

from benchmarks.setup import THREADS, Setup

NAMES = (
    "workload",
    "first_order",
    "rates",
    "growth",
    "general",
    "relu",
    "certificates",
    "openings",
    "stream",
    "contrast",
    "compare",
    "wide",
    "executors",
)
APART = ("peers", "tuned", "texts", "sentences", "gpu")
"""Benchmarks that run only when named."""
ORDER = (
    *(
        "workload",
        "peers",
        "tuned",
        "ig",
        "eg",
        "rates",
        "command",
        "growth",
        "exponents",
        "general",
        "operations",
        "relu",
        "stream",
        "contrast",
        "compare",
        "wide",
        "written",
    ),
    *("certificates", "openings", "executors", "driver", "texts", "sentences"),
    *("gpu", "gpu_waits", "gpu_stream", "gpu_texts"),
)
"""Tables in the Markdown file."""


def main() -> None:
    """Run the named benchmarks, print their tables, and write them unless it is only a trial."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join((*NAMES, *APART))}; none: all but {', '.join(APART)}"
    )
    parser.add_argument("--quick", action="store_true", help="few rows, nothing written: to try a benchmark out")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cuda", help="where `gpu` measures; on a CPU it is only tried out"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {*NAMES, *APART}
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join((*NAMES, *APART))}")
    # The processes that measure inherit it and import torch after.
    os.environ.update(OMP_NUM_THREADS=str(THREADS), MKL_NUM_THREADS=str(THREADS))
    tables = importlib.import_module("benchmarks.tables")
    for name in arguments.names or NAMES:
        started = time.monotonic()
        results = importlib.import_module(f"benchmarks.{name}").measure(Setup(arguments.quick, arguments.device))
        for result in results:
            print(result.markdown(), flush=True)
        print(f"({name}: {time.monotonic() - started:.0f} s)\n", flush=True)
        if not arguments.quick and results and not (name == "gpu" and arguments.device == "cpu"):
            tables.write(results, ORDER)


if __name__ == "__main__":
    main()
