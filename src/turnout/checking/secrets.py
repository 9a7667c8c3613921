"""Where the secrets of settings come from, and whether they are there. Never what they are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from turnout.checking.findings import Finding
from turnout.settings.problems import path_text

_FILES = frozenset({"api_key_file", "key_file", "url_file", "redis_url_file"})
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LITERALS = frozenset({"api_key", "redis_url", "url"})
_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Source:
    """A place that a secret is read from."""

    field: str
    kind: Literal["environment", "file"]
    name: str
    present: bool


def sources(raw: Any, environ: Mapping[str, str], folder: Path) -> list[Source]:
    """Every environment variable and every file that settings read a secret from.

    Args:
        raw: the settings as they stand in the file.
        environ: of the process.
        folder: where relative paths start.
    """
    return [found for path, value in _leaves(raw) for found in _at(path, value, environ, folder)]


def _at(
    path: tuple[int | str, ...], value: str, environ: Mapping[str, str], folder: Path
) -> Iterator[Source]:
    field, key = path_text(path), str(path[-1])
    for name in _REFERENCE.findall(value):
        yield Source(field, "environment", name, name in environ)
    if key.endswith("_env") or path[-2:-1] == ("env",):
        yield Source(field, "environment", value, bool(environ.get(value)))
    elif key in _FILES:
        file = folder / value
        yield Source(field, "file", str(file), os.access(file, os.R_OK))


def in_clear(raw: Any) -> Iterator[Finding]:
    """Secrets that stand in the file itself."""
    for path, value in _leaves(raw):
        key, named = str(path[-1]), "headers" in map(str, path[:-1])
        secret = key in _LITERALS or (named and _is_credential(key))
        if not secret or _REFERENCE.search(value) or not value:
            continue
        if key in ("url", "redis_url") and not _PASSWORD.search(value):
            continue
        yield Finding(
            level="warning",
            code="secret-in-file",
            field=path_text(path),
            message="a secret stands in the settings file in clear",
            remedy=f"name where it is read from: {_instead(key)}",
        )


def _is_credential(header: str) -> bool:
    return bool(re.search(r"auth|key|token|secret|cookie", header, re.IGNORECASE))


def _instead(key: str) -> str:
    if key in _LITERALS:
        return f"{key}_env or {key}_file"
    return "write ${NAME} for the environment variable NAME"


def _leaves(value: Any, path: tuple[int | str, ...] = ()) -> Iterator[tuple[Any, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _leaves(inner, (*path, i))
    elif isinstance(value, str) and path:
        yield path, value
