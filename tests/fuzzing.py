"""Mutations of good files, and what must come out of reading them: a result, or an error of ours.

Run for longer with `python tests/fuzzing.py SECONDS [SEED]`; it prints executions and failures, and ends with 1 where
there are any.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import model_files
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ihcli.data.tables import open_dataset
from ihcli.errors import IhcliError
from ihcli.models import load_model

Read = Callable[[Path], object]
INTERESTING = (0, 1, 0x28, 0x29, 0x2E, 0x52, 0x5D, 0x62, 0x7D, 0x7F, 0x80, 0x81, 0x93, 0x94, 0xFF)


def good_files(directory: Path) -> dict[str, tuple[Path, Read]]:
    """Write one good file of every format, and return them with their readers."""
    module = model_files.network()
    models = {
        "pickle": model_files.save_pickle(module, directory / "pickle"),
        "protocol 0": model_files.save_pickle(module, directory / "protocol0", 0),
        "joblib": model_files.save_joblib(_estimator(), directory / "joblib"),
        "joblib, zlib": model_files.save_joblib(_estimator(), directory / "joblib.z", compress=3),
        "zip": model_files.save_zip(module, directory / "zip"),
        "legacy": model_files.save_legacy(module, directory / "legacy"),
    }
    values = np.random.default_rng(0).standard_normal((40, 3))
    table = pa.table({"id": [f"p{i}" for i in range(40)], "a": values[:, 0], "b": values[:, 1], "n": range(40)})
    pq.write_table(table, directory / "table.parquet", row_group_size=16)
    table.to_pandas().to_csv(directory / "table.csv", index=False)
    tables = {name: directory / f"table.{name}" for name in ("parquet", "csv")}
    return {name: (path, load_model) for name, path in models.items()} | {
        name: (path, read_table) for name, path in tables.items()
    }


def _estimator() -> object:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).standard_normal((30, 3))
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=[4], max_iter=3, random_state=0))
    return model_files.quietly(pipeline.fit, x, x[:, 0] > 0)


def read_table(path: Path) -> None:
    """Read a table as a run does: keys, labels, a scan and chunks."""
    data = open_dataset(path, keys=["id"], label="n")
    data.scan()
    for _ in data.chunks(7):
        pass


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Return a copy with bits flipped, bytes overwritten, pieces cut, doubled or moved."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 6))):
        if not changed:
            break
        at, length = int(random.integers(len(changed))), int(random.integers(1, 33))
        kind = random.integers(6)
        if kind == 0:
            changed[at] ^= 1 << int(random.integers(8))
        elif kind == 1:
            changed[at] = INTERESTING[int(random.integers(len(INTERESTING)))]
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = changed[at : at + length]
        elif kind == 4:
            del changed[at:]
        else:
            start = int(random.integers(len(changed)))
            changed[at : at + length] = changed[start : start + length]
    return bytes(changed)


def fuzz(seconds: float, seed: int, directory: Path, at_most: int | None = None) -> tuple[dict[str, int], list[str]]:
    """Return executions per format, and what came out that is no error of ours; CPU seconds."""
    random, files = np.random.default_rng(seed), good_files(directory)
    executions, failures = dict.fromkeys(files, 0), list[str]()
    started, victim = time.process_time(), directory / "victim"
    while time.process_time() - started < seconds and sum(executions.values()) != at_most:
        for name, (path, read) in files.items():
            victim.write_bytes(mutated(path.read_bytes(), random))
            executions[name] += 1
            failure = outcome(read, victim)
            if failure is not None:
                kept = directory / f"failure-{len(failures)}"
                kept.write_bytes(victim.read_bytes())
                failures.append(f"{name}: {failure} ({kept})")
    return executions, failures


def outcome(read: Read, path: Path) -> str | None:
    """Return None for a result or one message of ours, else what happened."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except IhcliError as error:
        return None if "\n" not in str(error) and len(str(error)) < 4000 else f"a message of many lines: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    torch.set_num_threads(1)
    kept_in = Path(tempfile.mkdtemp(prefix="ihcli-fuzz-"))
    tried, failed = fuzz(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32, kept_in)
    print("\n".join([f"{name:14}{count:8} executions" for name, count in tried.items()]))
    print("\n".join([f"{sum(tried.values())} executions, {len(failed)} failures", *failed]))
    sys.exit(bool(failed))
