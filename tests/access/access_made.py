"""Keys, identities and limits for tests of access."""

from __future__ import annotations

from typing import Any

from turnout.access.identity import Deployment, Identity
from turnout.access.keys import Key, digest
from turnout.access.limits import Limit
from turnout.settings.access import GrantSettings, LimitSettings, TeamSettings
from turnout.types import PICO

TOKEN = "tk_access-canary-5f0e91c27ab34d68"


def key(name: str = "ci", token: str = TOKEN, **changes: Any) -> Key:
    fields = set(GrantSettings.model_fields)
    grant = GrantSettings(**{k: changes.pop(k) for k in list(changes) if k in fields})
    return Key(id=f"key_{name}", name=name, sha256=digest(token), grant=grant, **changes)


def deployment(
    teams: dict[str, TeamSettings] | None = None, everyone: LimitSettings | None = None
) -> Deployment:
    return Deployment(
        candidates=("strong", "cheap"), teams=teams or {}, everyone=everyone or LimitSettings()
    )


def identity(**changes: Any) -> Identity:
    return deployment().identity(key(**changes))


def budget(usd: float, owner: str = "key:a", window: Any = "total") -> Limit:
    return Limit(owner, "usd", round(usd * PICO), window, owner)
