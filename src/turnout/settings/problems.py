"""What is wrong with a settings file, in our words and without a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from turnout.errors import SettingsError, suggest
from turnout.settings.shape import known_keys, model_at
from turnout.settings.tree import MINIMAL

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z", re.ASCII)
_SECRET_KEYS = frozenset({"api_key", "headers", "options", "redis_url", "sha256", "url"})


class Hidden:
    """Stands for a value that must not be shown."""

    def __repr__(self) -> str:
        return "the hidden value"


Say: TypeAlias = Callable[[SettingsError], None]
"""Told of each problem. `stop` ends at the first one; the `append` of a list goes on to the next."""


def stop(problem: SettingsError) -> None:
    """Raise it.

    Raises:
        SettingsError: always.
    """
    raise problem


def unset(field: str, name: str) -> SettingsError:
    """An environment variable that is not set. What cannot be a name is not shown: it may be the key."""
    if _VARIABLE.match(name):
        return SettingsError(field, name, "set this environment variable")
    remedy = "give the name of an environment variable that holds the secret, not the secret"
    return SettingsError(field, Hidden(), remedy)


def text_in_file(field: str, path: Path, what: str) -> str:
    """The text of a file that a setting names, without the space around it.

    Raises:
        SettingsError: it cannot be read; `what` it should hold is named.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        remedy = f"give a readable file that holds the {what}"
        raise SettingsError(field, str(path), remedy) from None


def settings_error(error: ValidationError, raw: Any) -> SettingsError:
    """The first problem that pydantic found, in our words and without a secret."""
    return settings_problem(in_order(error)[0], raw)


def in_order(error: ValidationError) -> list[Mapping[str, Any]]:
    """What pydantic found. A key that does not exist goes first: it may be why another is missing."""
    found = error.errors(include_input=False, include_url=False)
    return sorted(found, key=lambda one: one["type"] != "extra_forbidden")


def settings_problem(found: Mapping[str, Any], raw: Any) -> SettingsError:
    """One problem of pydantic's, in our words and without a secret.

    Args:
        found: as pydantic tells it.
        raw: the settings as they stand in the file.
    """
    loc = found["loc"]
    field = path_text(loc)
    if found["type"] == "extra_forbidden":
        known = known_keys(loc[:-1])
        hint = suggest(str(loc[-1]), known).strip()
        remedy = f"no such setting.{' ' + hint if hint else ''} Known here: {', '.join(known)}"
        return SettingsError(field or "config", loc[-1], remedy)
    if found["type"] == "missing_base_url":
        remedy = "it must be given, but of kind: litellm"
        return SettingsError(f"{field}.base_url", _Missing(), remedy)
    if found["type"] == "missing":
        remedy = f"give it; for example:\n{MINIMAL}" if len(loc) == 1 else "it must be given"
        return SettingsError(field, _Missing(), remedy)
    if loc[-1:] == ("base_url",):
        remedy = "give a URL such as https://api.openai.com/v1, without user, password or query"
        return SettingsError(field, Hidden(), remedy)
    shown = Hidden() if _SECRET_KEYS & set(loc) else _value_at(raw, loc)
    if found["type"] in ("model_type", "model_attributes_type") and (model := model_at(loc)):
        return SettingsError(
            field or "config", shown, f"give a mapping with {', '.join(model.model_fields)}"
        )
    return SettingsError(field or "config", shown, found["msg"].removeprefix("Value error, "))


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


def path_text(loc: tuple[int | str, ...]) -> str:
    """A path as errors name it, such as `candidates[1].price`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return "".join(steps).removeprefix(".")


def _value_at(raw: Any, loc: tuple[int | str, ...]) -> Any:
    """The value as the file has it (`${NAME}` unfilled); only plain values are shown."""
    for step in loc:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return Hidden()
    return raw if isinstance(raw, str | int | float | None) else _Kind(type(raw).__name__)


class _Kind(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return {"dict": "a mapping", "list": "a list"}.get(str(self), f"a {self}")
