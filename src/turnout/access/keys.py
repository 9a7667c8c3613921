"""Keys: made at random, shown once, kept as a hash."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field

from turnout.settings.access import GrantSettings, Role

TOKEN_PREFIX = "tk_"  # noqa: S105 - it tells what follows, and is no secret
SHOWN = 8
"""Characters of a key that are kept, so that people can tell keys apart."""
_LONGEST = 512
_SCHEME = re.compile(r"(bearer|basic) +", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is kept: everything but the key. Times are Unix milliseconds."""

    id: str
    name: str
    sha256: str
    """Hex; of the key that is valid."""
    prefix: str = ""
    team: str = ""
    role: Role = "user"
    created_ms: int = 0
    expires_ms: int | None = None
    revoked_ms: int | None = None
    old_sha256: str = ""
    """Of the key before it was rotated, valid until `old_until_ms`."""
    old_until_ms: int = 0
    grant: GrantSettings = field(default_factory=GrantSettings)

    def state(self, now_ms: int) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_ms is not None:
            return "revoked"
        over = self.expires_ms is not None and self.expires_ms <= now_ms
        return "expired" if over else "active"


def new_token() -> str:
    """A new key: 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def new_key_id() -> str:
    """A new key's id, which says nothing of the key."""
    return f"key_{secrets.token_hex(8)}"


def digest(token: str) -> str:
    """What is kept of a key. It is random, so that a plain hash tells nothing."""
    return hashlib.sha256(token.encode()).hexdigest()


def given_token(authorization: str | None, api_key: str | None) -> str | None:
    """The key in a request's `authorization` or `x-api-key` header; None where there is none.

    Browsers send what is typed into their dialogue as `Basic`: there the password is the key.
    """
    if authorization is not None and authorization.startswith("Bearer "):
        token = authorization[7:].strip()  # as official clients send it
    elif authorization is not None and (found := _SCHEME.match(authorization)):
        token = authorization[found.end() :].strip()
        if found[1].lower() == "basic":
            token = _password(token)
    else:
        token = (api_key or "").strip()
    return token if 0 < len(token) <= _LONGEST else None


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
