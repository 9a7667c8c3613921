"""Simulated embeddings: vectors of the right shape that say nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from turnout.wire.embeddings import read_embeddings

DIMENSIONS = 8
"""Length of a vector where none is asked for."""


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """The simulated answer to an embeddings request: the same for the same request.

    Raises:
        RequestError: it is none.
    """
    asked = read_embeddings(body)
    given = body["input"]
    inputs = given if isinstance(given, list) and asked.count == len(given) else [given]
    length = body.get("dimensions", DIMENSIONS)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": _vector(item, length, asked.base64)}
            for i, item in enumerate(inputs)
        ],
        "model": body["model"],
        "usage": {"prompt_tokens": asked.input_tokens, "total_tokens": asked.input_tokens},
    }


def _vector(item: object, length: int, encoded: bool) -> str | list[float]:
    seed = int.from_bytes(hashlib.sha256(repr(item).encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).standard_normal(length)
    vector = (drawn / np.linalg.norm(drawn)).astype("<f4")
    return base64.b64encode(vector.tobytes()).decode() if encoded else vector.tolist()
