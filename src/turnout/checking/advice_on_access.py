"""Warnings about who may ask, and about what is counted where."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from turnout.checking.advice import Rule, Seen, warn
from turnout.checking.findings import Finding
from turnout.checking.opening import redis_urls
from turnout.gateway.setup.accessing import has_budgets
from turnout.settings import Settings
from turnout.settings.access import GrantSettings, LimitSettings
from turnout.settings.hosts import is_loopback


def open_to_all(seen: Seen) -> Iterator[Finding]:
    """No keys, and more than this machine can reach it."""
    settings, host = seen.settings, seen.settings.listen.host
    keys = settings.auth.required or settings.keys or (seen.store and seen.store.has_keys)
    if keys or is_loopback(host):
        return
    unseen = seen.store is not None and seen.store.has_keys is None
    yield warn(
        "open-to-all",
        "listen.host",
        f"{host} is not a loopback address, and "
        + ("the settings have no keys" if unseen else "there are no keys")
        + ": whoever reaches it can spend the keys of your providers",
        "make a key with `turnout keys create`, or set auth.required",
    )


def counted_apart(seen: Seen) -> Iterator[Finding]:
    """Limits in memory, beside a store that several processes are likely to share."""
    settings = seen.settings
    shared = settings.store is not None and settings.store.url is not None
    if shared and settings.counters is None and _has_limits(settings):
        yield warn(
            "counted-apart",
            "counters",
            "limits are counted in each process by itself, and a PostgreSQL store is made to be "
            "shared by several: n of them let through n times as much",
            "give counters a Redis, or run one process",
        )


def forgotten(seen: Seen) -> Iterator[Finding]:
    """Budgets that nothing remembers."""
    settings = seen.settings
    if settings.store is None and settings.counters is None and has_budgets(settings):
        yield warn(
            "budgets-forgotten",
            "store",
            "budgets begin anew with each start: without a store nobody knows what was spent",
            "give a store, such as `store: {path: turnout.db}`",
        )


def unpriced_under_budget(seen: Seen) -> Iterator[Finding]:
    """Candidates that requests under a budget cannot use."""
    if not _counts_money(seen.settings):
        return
    for i, candidate in enumerate(seen.opened.pool.candidates):
        if candidate.price is None:
            yield warn(
                "unpriced-under-budget",
                f"candidates[{i}].price",
                f"{candidate.name} has no price and the list has none: what is asked for under a "
                "budget or a price limit is never sent to it",
                "give its price, such as `price: {input_usd: 0, output_usd: 0}` for one that is free",
            )


def over(seen: Seen) -> Iterator[Finding]:
    """Keys whose time is over."""
    for i, key in enumerate(seen.settings.keys):
        if key.expires is not None and key.expires.timestamp() <= time.time():
            yield warn(
                "key-expired",
                f"keys[{i}].expires",
                f"key {key.name} ended on {key.expires.isoformat()}",
                "take it out, or give it another end",
            )


def patterns(seen: Seen) -> Iterator[Finding]:
    """Allow-lists and deny-lists that speak of nothing here."""
    settings = seen.settings
    names = [*seen.opened.pool.names, *(e.name for e in settings.embeddings)]
    routes = [*settings.routes, *settings.experiments, "auto"]
    for where, grant in _grants(settings):
        for key, listed, known in (
            ("allow", grant.allow or (), names),
            ("deny", grant.deny, [*names, *routes]),
        ):
            for j, pattern in enumerate(listed):
                if not _matches(known, pattern) and not pattern.startswith("router-"):
                    yield warn(
                        "pattern-without-match",
                        f"{where}.{key}[{j}]",
                        f"{pattern!r} matches nothing here ({', '.join(known)})",
                        "correct it: a slip in a list lets the wrong models in or out",
                    )
        if grant.allow is not None and not any(_matches(names, p) for p in grant.allow):
            yield warn(
                "nothing-allowed",
                f"{where}.allow",
                "this leaves no model that may be used",
                "name a candidate, or leave `allow` out to allow all",
            )


def password_in_clear(seen: Seen) -> Iterator[Finding]:
    """A Redis password that goes over the network unencrypted."""
    for field, url in redis_urls(seen.settings):
        parts = urlsplit(url)
        if parts.scheme == "redis" and parts.password and not is_loopback(parts.hostname or ""):
            yield warn(
                "password-in-clear",
                field,
                "the password of Redis goes over the network unencrypted",
                "use rediss://",
            )


def _grants(settings: Settings) -> Iterator[tuple[str, GrantSettings]]:
    for i, key in enumerate(settings.keys):
        yield f"keys[{i}]", key
    for name, team in settings.teams.items():
        yield f"teams.{name}", team


def _has_limits(settings: Settings) -> bool:
    holders: list[LimitSettings] = [settings.limits, *settings.keys, *settings.teams.values()]
    return has_budgets(settings) or any(
        h.requests_per_minute or h.tokens_per_minute or h.concurrent for h in holders
    )


def _counts_money(settings: Settings) -> bool:
    """Whether a budget or a price limit holds for some requests."""
    return (
        has_budgets(settings)
        or any(grant.max_request_usd is not None for _, grant in _grants(settings))
        or any(route.max_cost_usd is not None for route in settings.routes.values())
    )


def _matches(names: Sequence[str], pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


ACCESS: tuple[Rule, ...] = (
    open_to_all,
    counted_apart,
    forgotten,
    unpriced_under_budget,
    over,
    patterns,
    password_in_clear,
)
