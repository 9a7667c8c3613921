"""Upstreams that are this gateway itself."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from turnout.errors import SettingsError
from turnout.settings.tree import Settings

_HERE = frozenset({"localhost", "ip6-localhost"})


def check_loops(settings: Settings) -> None:
    """Raise where a provider's URL is where the gateway itself listens: a request would go round.

    A loop over a name, a proxy or another machine cannot be seen here; `x-turnout-hop` ends those.

    Raises:
        SettingsError: names the provider.
    """
    listen = settings.listen
    for name, provider in settings.providers.items():
        if provider.base_url is None:
            continue
        parts = urlsplit(provider.base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if port == listen.port and _reaches(parts.hostname or "", listen.host):
            raise SettingsError(
                f"providers.{name}.base_url",
                provider.base_url,
                "the gateway itself listens there; give the address of an upstream",
            )


def _reaches(host: str, listening: str) -> bool:
    """Whether a connection to `host` comes out where something listens on `listening`."""
    if host == listening:
        return True
    everywhere = listening in ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on
    return _is_loopback(host) and (everywhere or _is_loopback(listening))


def _is_loopback(host: str) -> bool:
    if host in _HERE:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
