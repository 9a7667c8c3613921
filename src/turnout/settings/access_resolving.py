"""What follows from the settings of who may ask: names that are known, keys that are read and hashed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from turnout.errors import SettingsError, suggest
from turnout.settings.access import NAME, CounterSettings, KeySettings, TeamSettings
from turnout.settings.conversations import ConversationSettings
from turnout.settings.problems import Hidden, Say, stop, text_in_file, unset

SHORTEST = 20
"""Characters of a key that a user brings: what is kept is a plain hash, which short ones do not bear."""

_NAME = re.compile(NAME)
HasRedis = TypeVar("HasRedis", CounterSettings, ConversationSettings)
_SCHEMES = ("redis://", "rediss://", "unix://")


def check_access(
    keys: Sequence[KeySettings], teams: Mapping[str, TeamSettings], say: Say = stop
) -> None:
    """Names must be unique and known.

    Args:
        keys: of the settings.
        teams: by name.
        say: told of two keys of one name, or of a team that does not exist.
    """
    for name in teams:
        if not _NAME.match(name):
            say(SettingsError(f"teams.{name}", name, "use letters, digits, and - _ . @"))
    names = [key.name for key in keys]
    for i, key in enumerate(keys):
        if key.name in names[:i]:
            say(SettingsError(f"keys[{i}].name", key.name, "give each key its own name"))
        if key.team and key.team not in teams:
            known = ", ".join(teams) or "none"
            remedy = f"name a team of the settings ({known}).{suggest(key.team, teams)}"
            say(SettingsError(f"keys[{i}].team", key.team, remedy))
        if key.expires is not None and key.expires.tzinfo is None:
            remedy = "say the time zone, such as 2027-01-31T00:00:00Z"
            say(SettingsError(f"keys[{i}].expires", str(key.expires), remedy))


def resolved_keys(
    keys: Sequence[KeySettings], environ: Mapping[str, str], folder: Path, say: Say = stop
) -> tuple[KeySettings, ...]:
    """Keys as hashes: what an environment variable or a file held is not kept.

    Args:
        keys: of the settings.
        environ: for `key_env`.
        folder: where a relative `key_file` starts.
        say: told of a key that is missing or too short, and of two that are the same; such a key is
            left out.
    """
    found: list[KeySettings] = []
    for i, key in enumerate(keys):
        try:
            found.append(_resolved(f"keys[{i}]", key, found, environ, folder))
        except SettingsError as error:
            say(error)
    return tuple(found)


def _resolved(
    where: str,
    key: KeySettings,
    before: Sequence[KeySettings],
    environ: Mapping[str, str],
    folder: Path,
) -> KeySettings:
    field, value = _read(where, key, environ, folder)
    if value is not None:
        if len(value) < SHORTEST or not value.isascii() or not value.isprintable():
            remedy = f"give a random key of {SHORTEST} printable ASCII characters or more"
            raise SettingsError(field, Hidden(), remedy)
        key = key.model_copy(update={"sha256": hashlib.sha256(value.encode()).hexdigest()})
    if any(key.sha256 == other.sha256 for other in before):
        raise SettingsError(field, Hidden(), "give each key its own secret")
    return key


def _read(
    field: str, key: KeySettings, environ: Mapping[str, str], folder: Path
) -> tuple[str, str | None]:
    if key.key_env is not None:
        field = f"{field}.key_env"
        if not environ.get(key.key_env):
            raise unset(field, key.key_env)
        return field, environ[key.key_env].strip()
    if key.key_file is not None:
        field = f"{field}.key_file"
        return field, text_in_file(field, folder / key.key_file, "key")
    return f"{field}.sha256", None


def with_redis_url(
    section: str, given: HasRedis, environ: Mapping[str, str], folder: Path, say: Say = stop
) -> HasRedis | None:
    """A section with its URL read; None where it is missing or no URL of a Redis, which `say` is told."""
    try:
        url = _redis_url(section, given, environ, folder)
    except SettingsError as error:
        say(error)
        return None
    return given.model_copy(update={"redis_url": url})


def _redis_url(
    section: str,
    given: CounterSettings | ConversationSettings,
    environ: Mapping[str, str],
    folder: Path,
) -> SecretStr:
    """The URL of a Redis, as it is given, from the environment, or from a file.

    Args:
        section: of the settings, for errors.
        given: the settings of that section.
        environ: the environment.
        folder: where relative paths start.

    Raises:
        SettingsError: it is missing, or no URL of a Redis.
    """
    field = f"{section}.redis_url"
    url = "" if given.redis_url is None else given.redis_url.get_secret_value()
    if given.redis_url_env is not None:
        field, url = f"{field}_env", environ.get(given.redis_url_env, "")
        if not url:
            raise unset(field, given.redis_url_env)
    elif given.redis_url_file is not None:
        field = f"{field}_file"
        url = text_in_file(field, folder / given.redis_url_file, "URL")
    if not url.startswith(_SCHEMES):
        remedy = "give a URL such as redis://127.0.0.1:6379/0 (or rediss://, unix://)"
        raise SettingsError(field, Hidden(), remedy)
    return SecretStr(url)
