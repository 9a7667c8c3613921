"""Any OpenAI-compatible embeddings endpoint, with a deadline after which the fallback decides."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from turnout.encoders.base import REMOTE, Encoder
from turnout.encoders.cached import CachedEncoder
from turnout.encoders.text import clip
from turnout.errors import RouterError, SettingsError, suggest
from turnout.types import Floats

if TYPE_CHECKING:
    from turnout.providers.posting import JsonEndpoint

OPTIONS = (
    "base_url",
    "api_key_env",
    "dimension",
    "timeout_s",
    "batch",
    "concurrency",
    "cache",
    "cache_file",
)
URL_VARIABLE = "TURNOUT_EMBEDDINGS_BASE_URL"
KEY_VARIABLE = "TURNOUT_EMBEDDINGS_API_KEY"
DIMENSION_VARIABLE = "TURNOUT_EMBEDDINGS_DIMENSION"
_VERSION = "1"
_DEFAULTS = {"timeout_s": 2.0, "batch": 64, "concurrency": 8, "cache": 10_000}
_BOUNDS = {
    "timeout_s": (0.001, 600),
    "batch": (1, 2048),
    "concurrency": (1, 256),
    "cache": (0, 10_000_000),
}


class RemoteEncoder:
    """Vectors of a model behind `{base_url}/embeddings`, scaled to unit length.

    Args:
        endpoint: where.
        model: the model's name there.
        dimension: length of its vectors; an answer of another length is refused.
        batch: most texts in one call; the calls of a batch go out together.
    """

    waits = True

    def __init__(
        self, endpoint: JsonEndpoint, model: str, *, dimension: int, batch: int = 64
    ) -> None:
        self.name, self._model = f"{REMOTE}{model}", model
        self.dimension = dimension
        self._endpoint, self._batch = endpoint, batch

    @property
    def fingerprint(self) -> str:
        """SHA-256 of model name and dimension, wherever it is served.

        Two servers may serve different weights under one name: that cannot be seen from here.
        """
        return hashlib.sha256(
            f"remote/{_VERSION}/{self._model}/{self.dimension}".encode()
        ).hexdigest()

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, d) vectors of unit length; all zero for a blank text, which is not sent.

        Raises:
            RouterError: the endpoint is gone or late, or answers with another shape, another model
                or numbers that are not finite.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        asked = [i for i, text in enumerate(texts) if text.strip()]
        batches = [asked[i : i + self._batch] for i in range(0, len(asked), self._batch)]
        bodies = [_body(self._model, [clip(texts[i]) for i in at]) for at in batches]
        replies = self._endpoint.post_many("embeddings", bodies)
        for at, reply in zip(batches, replies, strict=True):
            vectors[at] = _vectors(reply, self._model, len(at), self.dimension)
        return vectors

    async def aencode(self, texts: Sequence[str]) -> Floats:
        """As `encode`, off the event loop."""
        return await asyncio.to_thread(self.encode, texts)


def open_remote(
    model: str, options: Mapping[str, Any], *, where: str = "", api_key: str | None = None
) -> Encoder:
    """The encoder of a model, behind a cache. Calls nothing where the dimension is known.

    Args:
        model: the model's name at its endpoint.
        where: the setting that names it, for errors.
        api_key: a key that was read already; None reads the one that `options` name.
        options: `OPTIONS` says which. What is not given comes from the environment variables
            `TURNOUT_EMBEDDINGS_BASE_URL`, `_API_KEY` and `_DIMENSION`; a base URL that is given does
            not get the environment's key. Without a dimension one call asks for it.

    Raises:
        SettingsError: an option that is missing or cannot be used.
        RouterError: the dimension had to be asked for, and there was no usable answer.
    """
    field = where or f"encoder {REMOTE}{model}"
    for key in options:
        if key not in OPTIONS:
            remedy = f"it takes: {', '.join(OPTIONS)}.{suggest(str(key), OPTIONS)}"
            raise SettingsError(field, key, remedy)
    given = {**_DEFAULTS, **options}
    for key, (low, high) in _BOUNDS.items():
        _number(f"{field}: {key}", given[key], low, high)
    base_url = given.get("base_url") or os.environ.get(URL_VARIABLE)
    if not model or not base_url:
        remedy = f"give base_url in the router's `encoder` option, or set {URL_VARIABLE}"
        raise SettingsError(f"{field}: base_url", base_url, remedy)
    variable = given.get("api_key_env")
    if variable is None and not given.get("base_url") and KEY_VARIABLE in os.environ:
        variable = KEY_VARIABLE
    # Its HTTP client takes long to import, and most gateways ask for nothing of the kind.
    from turnout.providers.posting import JsonEndpoint, read_key

    endpoint = JsonEndpoint(
        f"the embeddings endpoint for {model}",
        str(base_url),
        api_key=api_key or read_key(variable, f"{field}: api_key_env"),
        timeout_s=float(given["timeout_s"]),
        connections=int(given["concurrency"]),
        option=f"{field}: base_url",
    )
    dimension = _dimension(field, given) or _ask_dimension(endpoint, model)
    encoder = RemoteEncoder(endpoint, model, dimension=dimension, batch=int(given["batch"]))
    return CachedEncoder(encoder, size=int(given["cache"]), file=given.get("cache_file"))


def _dimension(field: str, given: Mapping[str, Any]) -> int | None:
    value = given.get("dimension")
    if value is None:
        stated = os.environ.get(DIMENSION_VARIABLE)
        if stated is None:
            return None
        value = int(stated) if stated.isdecimal() else stated
    return int(_number(f"{field}: dimension", value, 1, 65_536))


def _number(field: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise SettingsError(field, value, f"give a number from {low:g} to {high:g}")
    return value


def _body(model: str, texts: list[str]) -> dict[str, Any]:
    return {"model": model, "input": texts, "encoding_format": "float"}


def _ask_dimension(endpoint: JsonEndpoint, model: str) -> int:
    reply = endpoint.post_many("embeddings", [_body(model, ["dimension"])])[0]
    return int(_vectors(reply, model, 1, None).shape[1])


def _vectors(reply: Any, model: str, n: int, dimension: int | None) -> Floats:
    """(n, d) unit vectors of one answer, in the order of what was asked."""
    if isinstance(reply, RouterError):
        raise reply
    who = f"the embeddings endpoint for {model}"
    try:
        served = str(reply.get("model") or model)
        rows = sorted(reply["data"], key=lambda row: int(row["index"]))
        order = [int(row["index"]) for row in rows]
        found = np.asarray([row["embedding"] for row in rows], dtype=np.float64)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise RouterError(f"{who} answered in another shape than embeddings have") from None
    if not _same_model(served, model):
        raise RouterError(f"{who} served another model; name the one the artifact was fitted with")
    if order != list(range(n)) or found.ndim != 2 or found.shape[1] == 0:
        raise RouterError(f"{who} answered with {found.shape} numbers for {n} texts")
    if dimension is not None and found.shape[1] != dimension:
        raise RouterError(f"{who} gave {found.shape[1]} numbers a text, not {dimension}")
    length = np.linalg.norm(found, axis=1, keepdims=True)
    if not np.isfinite(length).all():
        raise RouterError(f"{who} gave numbers that are not finite")
    return np.asarray(found / np.maximum(length, 1e-12), dtype=np.float32)


def _same_model(served: str, asked: str) -> bool:
    """Servers add a date or a path to a name (`text-embedding-ada-002-v2`)."""
    a, b = served.casefold(), asked.casefold()
    return a in b or b in a
