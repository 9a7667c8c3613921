"""`turnout keys`: the keys of a gateway, in the database of its ledger."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import ValidationError

from turnout.access.keys import Key
from turnout.access.keystore import KeyStore
from turnout.errors import InputError, SettingsError, suggest
from turnout.gateway.setup.building import open_store
from turnout.settings import Settings, load_settings
from turnout.settings.access import NAME, GrantSettings, Role, Window
from turnout.store.database import open_database

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class _Where:
    config: Path | None
    store: str | None

    @contextmanager
    def opened(self) -> Iterator[tuple[KeyStore, Settings | None]]:
        """The keys, and the settings where they were given."""
        settings = None if self.config is None else load_settings(self.config)
        given = None if settings is None else settings.store
        if self.store is not None:
            database = open_database(self.store)
        elif given is not None:
            database = open_store(given)
        else:
            remedy = "give --config FILE with a store, or --store FILE: keys are kept there"
            raise SettingsError("store", None, remedy)
        keys = KeyStore(database)
        try:
            yield keys, settings
        finally:
            keys.close()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="TURNOUT_CONFIG",
    help="The settings file (YAML), which names the store [env: TURNOUT_CONFIG].",
)
@click.option(
    "--store",
    metavar="FILE|URL",
    help="The ledger's database, in place of the settings' own.",
)
@click.pass_context
def keys(ctx: click.Context, config: Path | None, store: str | None) -> None:
    """Create, list, rotate and revoke the keys of a gateway.

    A running gateway sees changes within seconds. Once a key exists, it answers nobody without one.
    """
    ctx.obj = _Where(config, store)


@keys.command()
@click.argument("name")
@click.option("--team", default="", help="A team of the settings, whose limits it shares.")
@click.option("--admin", is_flag=True, help="It may call what is an admin's, such as /metrics.")
@click.option("--expires", metavar="SPAN", help="Such as 12h, 30d or 8w; default: never.")
@click.option(
    "--allow", multiple=True, metavar="NAME", help="A candidate it may use, or a pattern."
)
@click.option("--deny", multiple=True, metavar="NAME", help="A candidate or route it may not use.")
@click.option("--max-request-usd", type=float, help="The most that one request may cost.")
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="WINDOW=USD",
    help="Such as day=5: hour, day, week, month (UTC) or total; repeat it.",
)
@click.option("--requests-per-minute", type=int)
@click.option("--tokens-per-minute", type=int)
@click.option("--concurrent", type=int, help="Requests under way at once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def create(
    where: _Where,
    /,
    name: str,
    *,
    team: str,
    admin: bool,
    expires: str | None,
    budgets: Sequence[str],
    as_json: bool,
    **grants: Any,
) -> None:
    """Create a key and show it, once."""
    if not re.match(NAME, name):
        raise InputError("name", name, "use letters, digits, and - _ . @, 64 at most")
    now_ms = _now_ms()
    role: Role = "admin" if admin else "user"
    with where.opened() as (store, settings):
        if settings is not None:
            _check(settings, name, team)
        key, token = store.create(
            Key(
                id="",
                name=name,
                sha256="",
                team=team,
                role=role,
                created_ms=now_ms,
                expires_ms=None if expires is None else now_ms + _span_ms("expires", expires),
                grant=_grant(budgets, grants),
            )
        )
    _show_new(key, token, as_json=as_json)


@keys.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one key a line.")
@click.pass_obj
def list_keys(where: _Where, *, as_json: bool) -> None:
    """List keys: all that is kept of them, which the keys themselves are not."""
    with where.opened() as (store, _):
        found = store.load()
    now_ms = _now_ms()
    for key in found:
        if as_json:
            click.echo(json.dumps(_told(key, now_ms)))
        else:
            told = _told(key, now_ms)
            grant = ", ".join(f"{k} {v}" for k, v in told["grant"].items())
            rest = [f"team {key.team}" if key.team else "", key.role, told["state"], grant]
            click.echo(f"{key.name}  {key.prefix}…  {key.id}  " + ", ".join(filter(None, rest)))
    if not found and not as_json:
        click.echo("no keys: whoever reaches the gateway may use it")


@keys.command()
@click.argument("name_or_id")
@click.pass_obj
def revoke(where: _Where, name_or_id: str) -> None:
    """End a key, by its name or id. A running gateway refuses it within seconds."""
    with where.opened() as (store, _):
        key = store.revoke(name_or_id, _now_ms())
    click.echo(f"revoked {key.name} ({key.id})")


@keys.command()
@click.argument("name_or_id")
@click.option("--grace", default="0s", metavar="SPAN", help="How long the old one still works.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def rotate(where: _Where, name_or_id: str, *, grace: str, as_json: bool) -> None:
    """Give a key a new secret; its id, its limits and what it has spent stay."""
    grace_s = _span_ms("grace", grace) / 1e3
    with where.opened() as (store, _):
        key, token = store.rotate(name_or_id, _now_ms(), grace_s=grace_s)
    _show_new(key, token, as_json=as_json)


def _check(settings: Settings, name: str, team: str) -> None:
    if team and team not in settings.teams:
        known = ", ".join(settings.teams) or "none"
        remedy = f"name a team of the settings ({known}).{suggest(team, settings.teams)}"
        raise InputError("team", team, remedy)
    if name in [key.name for key in settings.keys]:
        raise InputError("name", name, "a key of the settings has it; choose another")


def _grant(budgets: Sequence[str], grants: dict[str, Any]) -> GrantSettings:
    given = {k: v for k, v in grants.items() if v is not None and v != ()}
    try:
        return GrantSettings.model_validate({**given, "budgets_usd": dict(map(_budget, budgets))})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(field, first["input"], first["msg"]) from None


def _budget(text: str) -> tuple[str, float]:
    window, _, amount = text.partition("=")
    remedy = f"write WINDOW=USD, such as day=5; windows are {', '.join(get_args(Window))}"
    if window not in get_args(Window):
        raise InputError("budget", text, remedy)
    try:
        return window, float(amount)
    except ValueError:
        raise InputError("budget", text, remedy) from None


def _span_ms(field: str, text: str) -> int:
    found = _SPAN.fullmatch(text)
    if not found:
        raise InputError(field, text, "write a span such as 90s, 45m, 12h, 30d or 8w")
    return round(float(found[1]) * _UNITS[found[2]] * 1e3)


def _told(key: Key, now_ms: int) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "team": key.team,
        "role": key.role,
        "state": key.state(now_ms),
        "created": _time(key.created_ms),
        "expires": _time(key.expires_ms),
        "revoked": _time(key.revoked_ms),
        "grant": key.grant.model_dump(mode="json", exclude_defaults=True),
    }


def _time(unix_ms: int | None) -> str | None:
    if unix_ms is None:
        return None
    return datetime.fromtimestamp(unix_ms / 1e3, UTC).isoformat(timespec="seconds")


def _show_new(key: Key, token: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**_told(key, _now_ms()), "key": token}))
        return
    click.echo(token)
    click.echo(
        f"this is the key of {key.name} ({key.id}); it is shown once and kept nowhere", err=True
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
