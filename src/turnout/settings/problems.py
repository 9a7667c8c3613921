"""What is wrong with a settings file, in our words and without a secret."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from turnout.errors import SettingsError, suggest
from turnout.settings.shape import known_keys
from turnout.settings.tree import MINIMAL

_SECRET_KEYS = frozenset({"api_key", "headers", "options", "redis_url", "sha256", "url"})


class Hidden:
    """Stands for a value that must not be shown."""

    def __repr__(self) -> str:
        return "the hidden value"


def settings_error(error: ValidationError, raw: Any) -> SettingsError:
    """One problem that pydantic found, in our words and without a secret.

    A key that does not exist goes first: it may be why another one is missing.
    """
    found = error.errors(include_input=False, include_url=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    loc = first["loc"]
    field = _path(loc)
    if first["type"] == "extra_forbidden":
        known = known_keys(loc[:-1])
        hint = suggest(str(loc[-1]), known).strip()
        remedy = f"no such setting.{' ' + hint if hint else ''} Known here: {', '.join(known)}"
        return SettingsError(field or "config", loc[-1], remedy)
    if first["type"] == "missing_base_url":
        remedy = f"give it (or kind: litellm); for example:\n{MINIMAL}"
        return SettingsError(f"{field}.base_url", _Missing(), remedy)
    if first["type"] == "missing":
        return SettingsError(field, _Missing(), f"give it; for example:\n{MINIMAL}")
    if loc[-1:] == ("base_url",):
        remedy = "give a URL such as https://api.openai.com/v1, without user, password or query"
        return SettingsError(field, Hidden(), remedy)
    shown = Hidden() if _SECRET_KEYS & set(loc) else _value_at(raw, loc)
    return SettingsError(field or "config", shown, first["msg"].removeprefix("Value error, "))


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


def _path(loc: tuple[int | str, ...]) -> str:
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
