"""Open an encoder by the name that an artifact's manifest gives it."""

from __future__ import annotations

from functools import cache

from turnout.encoders.base import Encoder
from turnout.encoders.hashing import HashingEncoder
from turnout.encoders.static import open_static
from turnout.errors import UnknownNameError

DEFAULT = "static-256"


@cache
def open_encoder(name: str = DEFAULT) -> Encoder:
    """The encoder of that name; opened once a process, since it is never changed.

    Args:
        name: `static-256`, or `hashing-D` with D buckets.

    Raises:
        UnknownNameError: no such encoder.
        ArtifactError: its files are missing or corrupt.
    """
    if name == DEFAULT:
        return open_static()
    kind, _, size = name.partition("-")
    if kind == "hashing" and size.isdecimal():
        return HashingEncoder(int(size))
    raise UnknownNameError("encoder", name, [DEFAULT, "hashing-1024"])
