"""Open an encoder by the name that an artifact's manifest gives it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from turnout.encoders.base import REMOTE, Encoder
from turnout.encoders.hashing import HashingEncoder
from turnout.encoders.onnx import PREFIX as ONNX
from turnout.encoders.onnx import open_onnx
from turnout.encoders.static import open_static
from turnout.errors import InputError, UnknownNameError

DEFAULT = "static-256"
HASHING = "hashing-"


def open_encoder(name: str = DEFAULT, options: Mapping[str, Any] | None = None) -> Encoder:
    """The encoder of that name; a local one is opened once a process, since it is never changed.

    Args:
        name: `static-256`, or `hashing-D` with D buckets, `onnx:FOLDER`, or `remote:MODEL`.
        options: of a remote encoder; see `encoders.remote.open_remote`.

    Raises:
        UnknownNameError: no such encoder.
        InputError: options for a local encoder, or ones that a remote one cannot use.
        ArtifactError: its files are missing or corrupt.
    """
    if name.startswith(REMOTE):
        from turnout.encoders.remote import open_remote  # brings an HTTP client along

        return open_remote(name.removeprefix(REMOTE), options or {})
    if options:
        raise InputError(f"options of encoder {name}", list(options), "a local encoder takes none")
    return _local(name)


def is_own_name(name: str) -> bool:
    """Whether a name is of the form that encoders here have of themselves."""
    return name == DEFAULT or name.startswith((ONNX, REMOTE, HASHING))


@cache
def _local(name: str) -> Encoder:
    if name == DEFAULT:
        return open_static()
    if name.startswith(ONNX):
        return open_onnx(name)
    size = name.removeprefix(HASHING)
    if size != name and size.isdecimal():
        return HashingEncoder(int(size))
    other = f" Or {ONNX}FOLDER, {REMOTE}MODEL."
    raise UnknownNameError("encoder", name, [DEFAULT, "hashing-1024"], other)
