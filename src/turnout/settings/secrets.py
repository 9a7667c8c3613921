"""Every secret that settings hold, so that it can be kept out of what is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from turnout.settings.upstreams import ProviderSettings


def secrets_in(settings: Any, environ: Mapping[str, str] | None = None) -> set[str]:
    """The secrets anywhere in a tree of settings, and those in environment variables that it names.

    Args:
        settings: of any shape.
        environ: for the keys that routers' options name; default: the process environment.
    """
    return set(_walk(settings, os.environ if environ is None else environ))


def _walk(value: Any, environ: Mapping[str, str]) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        if isinstance(value, ProviderSettings):
            yield from (environ.get(name, "") for name in value.env)
        # Not dict(value), which takes what has a field `keys` for a mapping.
        yield from _walk({**vars(value), **(value.model_extra or {})}, environ)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(inner, str) and str(name).endswith("_env"):
                yield environ.get(inner, "")
            else:
                yield from _walk(inner, environ)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _walk(inner, environ)
