"""Seals of a run: SHA-256 of what was asked, of every file and of run.json, which tell accidents and edits.

Whoever forges a run can make new ones: they prove nothing about who wrote it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SEALS, QUESTION, WHOLE = "sha256", "question", "run"
PARTS = ("attributions", "interactions")
FREE = ("model", "data", "device", "memory_bytes", "trust", "chunk_rows", "groups")
"""Arguments that do not tell what is explained, or that the content of a file tells better than its place."""
TOLD = (
    *(("model", "sha256"), ("model", "outputs"), ("data", "sha256"), ("data", "rows")),
    *(("features",), ("units",), ("keys",), ("method", "name"), ("target",), ("groups_sha256",)),
    *(("baseline", "sha256"), ("baseline", "rows"), ("baseline", "population")),
    *(("smoothing", "beta"), ("engine", "name"), ("dtype",), ("chunk_rows",)),
)

Digests = tuple[bytes, ...]
"""SHA-256 of the files of one part, in the order of PARTS."""


def question(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked, by names: equal wherever the files lie, on whatever machine, for all shards of a run."""
    arguments = dict(info["arguments"])
    if within(info, ("baseline", "sha256")) is not None:
        arguments.pop("baseline", None)
    asked = {name.replace("_", " "): value for name, value in arguments.items() if name not in FREE}
    told = {" ".join(keys).replace("_", " "): within(info, keys) for keys in TOLD}
    return {**asked, **told}


def question_sha256(info: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what was asked, which every part keeps."""
    return _sha256(question(info))


def sealed(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what run.json says with the seal of all that it says; `info` is plain."""
    seals = {name: seal for name, seal in info.get(SEALS, {}).items() if name != WHOLE}
    without = {**info, SEALS: seals}
    return {**without, SEALS: {**seals, WHOLE: _sha256(without)}}


def is_sealed(info: Mapping[str, Any]) -> bool:
    """Return whether run.json is as it was sealed."""
    return bool(sealed(info)[SEALS][WHOLE] == within(info, (SEALS, WHOLE)))


def seals_of_parts(digests: Sequence[Digests]) -> dict[str, list[str]]:
    """Return what run.json says of the parts, in their order."""
    kinds = zip(PARTS, zip(*digests, strict=True), strict=False)
    return {kind: [digest.hex() for digest in found] for kind, found in kinds}


def stored_digests(digests: Sequence[Digests]) -> np.ndarray:
    """Return digests of parts as (n, kinds, 32) bytes."""
    joined = b"".join(b"".join(found) for found in digests)
    return np.frombuffer(joined, np.uint8).reshape(len(digests), len(digests[0]) if digests else 0, 32)


def read_digests(stored: np.ndarray) -> list[Digests]:
    """Return the digests of which these are the bytes."""
    return [tuple(digest.tobytes() for digest in found) for found in stored]


def within(info: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """Return a value by the keys that lead to it, None where one of them is not told."""
    found: Any = info
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
