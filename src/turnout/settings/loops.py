"""Upstreams that are this gateway itself."""

from __future__ import annotations

from urllib.parse import urlsplit

from turnout.errors import SettingsError
from turnout.settings.hosts import is_loopback
from turnout.settings.problems import Say, stop
from turnout.settings.tree import Settings


def check_loops(settings: Settings, say: Say = stop) -> None:
    """Say where a provider's URL is where the gateway itself listens: a request would go round.

    A loop over a name, a proxy or another machine cannot be seen here; `x-turnout-hop` ends those.
    """
    listen = settings.listen
    for name, provider in settings.providers.items():
        if provider.base_url is None:
            continue
        parts = urlsplit(provider.base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if port == listen.port and _reaches(parts.hostname or "", listen.host):
            remedy = "the gateway itself listens there; give the address of an upstream"
            say(SettingsError(f"providers.{name}.base_url", provider.base_url, remedy))


def _reaches(host: str, listening: str) -> bool:
    """Whether a connection to `host` comes out where something listens on `listening`."""
    if host == listening:
        return True
    everywhere = listening in ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on
    return is_loopback(host) and (everywhere or is_loopback(listening))
