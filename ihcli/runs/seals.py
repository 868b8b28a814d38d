"""Seals of a run: SHA-256 of what was asked, of every file and of run.json, which tell accidents and edits.

Whoever forges a run can make new ones: they prove nothing about who wrote it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ihcli.runs.info import RunInfo, SealsInfo
from ihcli.runs.told import if_told, plain

QUESTION = "question"  # the name of its SHA-256 in the metadata of parts
PARTS = ("attributions", "interactions")
FREE = ("model", "data", "device", "memory_bytes", "trust", "chunk_rows", "groups", "categories", "code")
"""Arguments that do not tell what is explained, or that the content of a file tells better than its place."""
TOLD: Mapping[str, Callable[[RunInfo], Any]] = {
    "model sha256": lambda info: info.model.sha256,
    "model outputs": lambda info: info.model.outputs,
    "data sha256": lambda info: info.data.sha256,
    "data rows": lambda info: info.data.rows,
    "features": lambda info: info.features,
    "units": lambda info: info.units,
    "keys": lambda info: info.keys,
    "method name": lambda info: info.method.name,
    "target": lambda info: info.target,
    "groups sha256": lambda info: info.groups_sha256,
    "baseline sha256": lambda info: info.baseline.sha256,
    "baseline rows": lambda info: info.baseline.rows,
    "baseline population": lambda info: info.baseline.population,
    "smoothing beta": lambda info: None if info.smoothing is None else info.smoothing.beta,
    "engine name": lambda info: info.engine.name,
    "dtype": lambda info: info.dtype,
    "chunk rows": lambda info: info.chunk_rows,
}
ADDED: Mapping[str, Callable[[RunInfo], Any]] = {
    "categories sha256": lambda info: None if info.categories is None else info.categories.sha256,
}
"""What only runs tell that have it, so that the questions of others stay what they were."""

Digests = tuple[bytes, ...]
"""SHA-256 of the files of one part, in the order of PARTS."""


def question(info: RunInfo) -> dict[str, Any]:
    """Return what was asked, by names: equal wherever the files lie, on whatever machine, for all shards of a run.

    What run.json does not tell is None.
    """
    told = {name: plain(if_told(partial(ask, info))) for name, ask in TOLD.items()}
    told |= {name: value for name, ask in ADDED.items() if (value := if_told(partial(ask, info))) is not None}
    arguments = info.arguments.content()
    code = if_told(lambda: info.model.code)
    if code is not None:  # only then, so that runs of before ask what they asked
        told["model code"] = plain({"name": code.name.rpartition(":")[2], "files": code.files})
    if told["baseline sha256"] is not None:
        arguments.pop("baseline", None)
    asked = {name.replace("_", " "): value for name, value in arguments.items() if name not in FREE}
    if "tolerance" in asked:
        asked["tolerance"] = info.tolerance  # one that nobody asked for means what it came to
    if info.sampling_share:
        asked["sampling share"] = info.sampling_share
    return {**asked, **told}


def question_sha256(info: RunInfo) -> str:
    """Return the SHA-256 of what was asked, which every part keeps."""
    return _sha256(question(info))


def sealed(info: RunInfo) -> RunInfo:
    """Return a run.json with the seal of all that it tells."""
    return info.with_seal(_sha256(info.with_seal(None).content()))


def is_sealed(info: RunInfo) -> bool:
    """Return whether run.json is as it was sealed."""
    told = if_told(lambda: info.sha256.run)
    return told is not None and told == sealed(info).sha256.run


def seals_of_parts(digests: Sequence[Digests]) -> SealsInfo:
    """Return what run.json says of the parts, in their order."""
    kinds = zip(PARTS, zip(*digests, strict=True), strict=False)
    return SealsInfo().but(**{kind: tuple(digest.hex() for digest in found) for kind, found in kinds})


def stored_digests(digests: Sequence[Digests]) -> np.ndarray:
    """Return digests of parts as (n, kinds, 32) bytes."""
    joined = b"".join(b"".join(found) for found in digests)
    return np.frombuffer(joined, np.uint8).reshape(len(digests), len(digests[0]) if digests else 0, 32)


def read_digests(stored: np.ndarray) -> list[Digests]:
    """Return the digests of which these are the bytes."""
    return [tuple(digest.tobytes() for digest in found) for found in stored]


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
