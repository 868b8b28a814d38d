"""Run package path-explain on saved rows: WORK.npz OUT.npy METHOD SAMPLES THREADS; needs nothing of ours.

Runs in the environment of `make bench-peers`, which has TensorFlow and no torch.
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import tensorflow as tf
from path_explain import PathExplainerTF

BETA = 10.0


def main() -> None:
    """Explain the rows, save their interactions, and print seconds and peak memory as JSON."""
    work, out, method, samples, threads = sys.argv[1:]
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    saved = np.load(work)
    rows, explainer = saved["rows"], PathExplainerTF(_net(saved))
    settings = {"num_samples": int(samples), "use_expectation": method == "eh", "output_indices": 0, "verbose": False}
    explainer.interactions(rows[:1], saved["baselines"], **settings)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before, started = _status_mib("VmRSS"), time.perf_counter()
    interactions = explainer.interactions(rows, saved["baselines"], **settings)
    wall_s = time.perf_counter() - started
    np.save(out, interactions)
    print(json.dumps({"wall_s": wall_s, "peak_mib": _status_mib("VmHWM") - before}))


def _net(saved: np.lib.npyio.NpzFile) -> tf.keras.Model:
    n_layers = sum(name.startswith("weight") for name in saved.files)
    layers = [tf.keras.Input(saved["weight0"].shape[:1])]
    for i in range(n_layers):
        is_last = i == n_layers - 1
        layers.append(tf.keras.layers.Dense(len(saved[f"bias{i}"]), activation=None if is_last else _softplus))
    net = tf.keras.Sequential(layers)
    net.set_weights([saved[f"{name}{i}"] for i in range(n_layers) for name in ("weight", "bias")])
    return net


def _softplus(a: tf.Tensor) -> tf.Tensor:
    return tf.math.softplus(BETA * a) / BETA


def _status_mib(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


if __name__ == "__main__":
    main()
