"""Who asks: a known caller or an error, and an error where nobody can tell."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from access_made import TOKEN, deployment, key
from hypothesis import given
from hypothesis import strategies as st

import turnout
from turnout.access.keyring import Keyring
from turnout.access.keystore import KeyStore
from turnout.errors import (
    AccessDownError,
    AuthenticationError,
    ForbiddenError,
    StoreError,
)
from turnout.settings import parse_settings
from turnout.settings.access import GrantSettings, TeamSettings
from turnout.settings.secrets import secrets_in
from turnout.store.database import open_database

BEARER = {"authorization": f"Bearer {TOKEN}"}


class Failing(KeyStore):
    """A database that can be taken away."""

    down = False

    def version(self) -> int:
        if self.down:
            raise StoreError("keys", "gone", "wait", away=True)
        return super().version()


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def within(ring: Keyring, work: Callable[[], Any], *, late: bool = False) -> Any:
    async def run() -> Any:
        async with ring.running(late=late):
            result = work()
            return await result if asyncio.iscoroutine(result) else result

    return asyncio.run(run())


def test_both_headers_are_read() -> None:
    ring = Keyring(deployment(), [key()], None)
    assert ring.identify(BEARER).name == "ci"  # type: ignore[union-attr]
    assert ring.identify({"x-api-key": TOKEN}).name == "ci"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer nope"}, {"x-api-key": TOKEN[:-1]}, {"x-api-key": TOKEN + "x"},
     {"authorization": TOKEN}, {"authorization": "Bearer "}, {"cookie": TOKEN},
     {"authorization": f"Bearer {TOKEN[:20]}"}],
)  # fmt: skip
def test_all_else_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(AuthenticationError) as caught:
        Keyring(deployment(), [key()], None).identify(headers)
    assert TOKEN[:20] not in str(caught.value)


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_no_made_up_header_gets_in(value: str) -> None:
    ring = Keyring(deployment(), [key()], None)
    for name in ("authorization", "x-api-key"):
        with pytest.raises(AuthenticationError):
            ring.identify({name: value})


def test_without_keys_nobody_is_asked_unless_required() -> None:
    assert Keyring(deployment(), [], None).identify({}) is None
    with pytest.raises(AuthenticationError, match="asks for a key"):
        Keyring(deployment(), [], None, required=True).identify({})


def test_an_expired_key_is_refused_from_its_moment() -> None:
    clock = Clock()
    ring = Keyring(deployment(), [key(expires_ms=2_000_000)], None, now_s=clock)
    clock.now = 1_999.9
    assert ring.identify(BEARER) is not None
    clock.now = 2_000.0
    with pytest.raises(AuthenticationError, match="key ci has expired"):
        ring.identify(BEARER)


def test_a_key_of_a_team_that_is_gone_may_do_nothing() -> None:
    ring = Keyring(deployment(), [key(team="ghosts")], None)
    with pytest.raises(ForbiddenError, match="'ghosts' of key ci is not in the settings"):
        ring.identify(BEARER)


def test_changes_are_seen_while_running(tmp_path: Path) -> None:
    store = KeyStore(open_database(tmp_path / "k.db"))
    other = KeyStore(open_database(tmp_path / "k.db"))
    ring = Keyring(deployment(), [], store, every_s=0.02)

    async def until(wanted: Callable[[], bool]) -> None:
        for _ in range(500):
            if wanted():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the change was not seen")

    def known(token: str) -> bool:
        try:
            return ring.identify({"x-api-key": token}) is not None
        except AuthenticationError:
            return False

    async def work() -> None:
        assert ring.identify({}) is None, "open while there is no key"
        _, token = await asyncio.to_thread(other.create, key("new"))
        await until(lambda: known(token))
        assert ring.closed
        _, second = await asyncio.to_thread(other.rotate, "new", 2**53, grace_s=60)
        await until(lambda: known(second))
        assert known(token), "the old one lives through its grace"
        await asyncio.to_thread(other.revoke, "new", 1)
        await until(lambda: not known(second))
        assert not known(token)
        with pytest.raises(AuthenticationError):
            ring.identify({})  # closed for good, though no key is left

    within(ring, work)
    store.close()
    other.close()


def test_it_fails_closed_when_the_database_is_gone_for_long(tmp_path: Path) -> None:
    store, clock = Failing(open_database(tmp_path / "k.db")), Clock()
    _, token = store.create(key("db"))
    ring = Keyring(deployment(), [key("fixed")], store, cache_s=60, every_s=3600, clock=clock)

    async def work() -> None:
        store.down = True
        with pytest.raises(StoreError):
            await ring.refresh()
        clock.now += 59
        assert ring.identify({"x-api-key": token}) is not None, "what was read is believed a while"
        clock.now += 2
        with pytest.raises(AccessDownError, match="cannot be read"):
            ring.identify({"x-api-key": token})
        with pytest.raises(AccessDownError):
            ring.identify({"x-api-key": "tk_unknown-until-it-can-be-read"})
        assert ring.identify(BEARER) is not None, "a key of the settings needs no database"
        store.down = False
        await ring.refresh()
        assert ring.identify({"x-api-key": token}) is not None

    within(ring, work)
    store.close()


def test_an_open_gateway_closes_when_it_cannot_tell_whether_keys_exist(tmp_path: Path) -> None:
    store, clock = Failing(open_database(tmp_path / "k.db")), Clock()
    ring = Keyring(deployment(), [], store, cache_s=60, every_s=3600, clock=clock)

    def work() -> None:
        assert ring.identify({}) is None
        clock.now += 61
        with pytest.raises(AccessDownError):
            ring.identify({})

    within(ring, work)
    store.close()


def test_it_begins_without_its_database_for_keys_that_need_none(tmp_path: Path) -> None:
    store, told = Failing(open_database(tmp_path / "k.db")), []
    _, token = store.create(key("db"))
    store.down = True
    paying = key("paying", "tk_paying", budgets_usd={"day": 1})

    async def tell(keys: Any, *_: Any) -> None:
        told.extend(k.name for k in keys)

    ring = Keyring(deployment(), [key("fixed"), paying], store, every_s=3600, before=tell)

    async def work() -> None:
        assert (ring.unread, ring.problem, told) == (True, None, [])
        assert ring.identify(BEARER) is not None
        with pytest.raises(AuthenticationError):
            ring.identify({})
        for unknown in ("tk_paying", token, "tk_nobody's"):
            with pytest.raises(AccessDownError):
                ring.identify({"x-api-key": unknown})
        store.down = False
        await ring.refresh()
        assert not ring.unread
        assert set(told) == {"db", "fixed", "paying"}
        assert ring.identify({"x-api-key": "tk_paying"}) is not None
        assert ring.identify({"x-api-key": token}) is not None

    within(ring, work, late=True)
    store.down = True
    with pytest.raises(
        StoreError
    ):  # another set of settings does not take the place of one that has read
        within(Keyring(deployment(), [key("fixed")], store), work)
    store.close()


def test_nobody_is_let_in_unasked_before_the_database_was_read(tmp_path: Path) -> None:
    store = Failing(open_database(tmp_path / "k.db"))
    store.down = True
    ring = Keyring(deployment(), [], store, every_s=3600)

    async def work() -> None:
        assert ring.problem is not None
        with pytest.raises(AccessDownError):
            ring.identify({})
        store.down = False
        await ring.refresh()
        assert ring.problem is None
        assert ring.identify({}) is None, "there is no key"

    within(ring, work, late=True)
    store.close()


def test_lists_and_limits_of_key_and_team_add_up() -> None:
    teams = {
        "data": TeamSettings(deny=("router-*",), max_request_usd=0.5, budgets_usd={"month": 9})
    }
    who = deployment(teams).identity(
        key(team="data", allow=("ch*",), max_request_usd=2.0, requests_per_minute=3)
    )
    assert who.out == {"strong": "not on the allow-list of key ci"}
    assert who.max_request_picousd == 5 * 10**11
    assert [limit.id for limit in who.limits] == ["key:key_ci/requests", "team:data/month"]
    for model in ("strong", "router-mf-0.5"):
        with pytest.raises(ForbiddenError):
            who.check_model(model)
    who.check_model("auto")
    who.check_model("cheap")


def test_budgets_stand_behind_rates() -> None:
    grant = GrantSettings(budgets_usd={"day": 1}, concurrent=2, tokens_per_minute=5)
    who = deployment({"t": TeamSettings(requests_per_minute=9)}).identity(
        key(team="t", **grant.model_dump(exclude_defaults=True))
    )
    assert [limit.kind for limit in who.limits] == ["concurrent", "tokens", "requests", "usd"]


def test_secrets_are_looked_up_by_hash_and_compared_in_constant_time() -> None:
    """No `==` on what a client sent as its key."""
    secrets = {"token", "hashed", "sha256", "old_sha256"}
    for path in (Path(turnout.__file__).parent / "access").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and any(
                isinstance(op, ast.Eq | ast.NotEq) for op in node.ops
            ):
                sides = [node.left, *node.comparators]
                named = {getattr(s, "id", getattr(s, "attr", "")) for s in sides}
                assert not named & secrets, (path.name, node.lineno)


def test_keys_that_the_environment_brings_are_kept_out_of_what_is_written() -> None:
    base = "providers: {up: {base_url: 'http://127.0.0.1:9/v1'}}\ncandidates: [{name: a}]\n"
    text = f"{base}keys: [{{name: ci, key_env: CI_KEY}}]\n"
    environ = {"CI_KEY": TOKEN}
    assert TOKEN in secrets_in(parse_settings(text, environ), environ)
