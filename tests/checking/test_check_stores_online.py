"""`turnout check --online` beside a PostgreSQL and a Redis that run, and beside those that do not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counters_made import redis_url
from store_made import asking_user, place, postgres_url
from turnout.access.keystore import KeyStore
from turnout.checking.findings import Report
from turnout.checking.run import check_file
from turnout.cli import cli
from turnout.store.database import open_database, tables_in
from turnout.store.feedback import FeedbackTable

CANARY = "pass-canary-91c27ab34d68"
SOUND = """
providers: {{up: {{base_url: "http://127.0.0.1:9/v1"}}}}
candidates: [{{name: cheap, price: {{input_usd: 1, output_usd: 1}}, context_tokens: 1000}}]
routers: {{random: {{}}}}
{rest}
"""


def checked(folder: Path, rest: str, **environ: str) -> Report:
    """Without what is said of the provider, which is not there."""
    path = folder / "turnout.yaml"
    path.write_text(SOUND.format(rest=rest))
    report = check_file(path, environ, online=True, deadline_s=3)
    kept = tuple(f for f in report.findings if f.field != "providers.up")
    return Report(report.file, kept, report.facts)


def shown(folder: Path, *more: str, **environ: str) -> Result:
    """What the command says of the file that was checked."""
    command = ["check", str(folder / "turnout.yaml"), "--online", "--deadline", "3", *more]
    return CliRunner().invoke(cli, command, env=environ)


def stored(report: Report) -> object:
    return report.facts["store"]


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    with place("postgres", tmp_path) as url:
        yield str(url)


STORE = "store: {url_env: STORE, journal: j}"


def test_a_postgres_is_looked_into_and_left_alone(tmp_path: Path, postgres: str) -> None:
    said = checked(tmp_path, STORE, STORE=postgres)
    assert stored(said) == {"where": "PostgreSQL", "state": "new", "has_keys": False}
    assert not said.count("error")
    database = open_database(postgres)
    assert tables_in(database) == set(), "nothing was made"
    KeyStore(database)
    FeedbackTable(database)
    database.run("UPDATE access_changes SET version = 1")
    said = checked(tmp_path, STORE, STORE=postgres)
    assert stored(said) == {"where": "PostgreSQL", "state": "ready", "has_keys": True}
    database.close()


def test_a_postgres_of_another_version_is_told(tmp_path: Path, postgres: str) -> None:
    database = open_database(postgres)
    KeyStore(database)  # the tables of feedback are not made yet
    said = checked(tmp_path, STORE, STORE=postgres)
    assert stored(said) == {"where": "PostgreSQL", "state": "migrates", "has_keys": False}
    [note] = [f for f in said.findings if f.code == "store-migrates"]
    assert (note.level, note.field) == ("note", "store.url_env")
    assert "feedback" not in " ".join(tables_in(database)), "it was left to the gateway"
    database.run("UPDATE turnout_schemas SET version = 99 WHERE name = 'access'")
    said = checked(tmp_path, STORE, STORE=postgres)
    [error] = [f for f in said.findings if f.level == "error"]
    assert (error.code, error.field) == ("store_failed", "store.url_env")
    assert "made by a later Turnout" in error.message
    database.close()


def test_a_postgres_that_refuses_the_password_is_told_without_it(tmp_path: Path) -> None:
    host = postgres_url().partition("?")[2]
    with asking_user("the-right-one") as user:
        for password, state in ((CANARY, "broken"), ("the-right-one", "new")):
            url = f"postgresql://{user}:{password}@/postgres?{host}"
            said = checked(tmp_path, STORE, STORE=url)
            facts = stored(said)
            assert isinstance(facts, dict)
            assert facts["state"] == state
            result = shown(tmp_path, STORE=url)
            assert password not in result.output
            assert password not in shown(tmp_path, "--json", STORE=url).output
            assert ("password authentication failed" in result.output) is (state == "broken")
    assert CANARY not in json.dumps(said.to_dict())


@pytest.mark.parametrize("field", ["url", "url_env", "url_file"])
def test_a_postgres_that_is_away_is_an_error_at_its_setting(tmp_path: Path, field: str) -> None:
    pytest.importorskip("psycopg", reason="needs psycopg")
    url = f"postgresql://me:{CANARY}@127.0.0.1:9/db"
    (tmp_path / "url").write_text(url)
    given = {"url": f'"{url}"', "url_env": "STORE", "url_file": "url"}[field]
    start = time.monotonic()
    said = checked(tmp_path, f"store: {{{field}: {given}, journal: j}}", STORE=url)
    assert time.monotonic() - start < 20
    [error] = [f for f in said.findings if f.level == "error"]
    assert (error.code, error.field) == ("store_failed", f"store.{field}")
    assert "postgresql://127.0.0.1:9/db" in error.message
    result = shown(tmp_path, STORE=url)
    assert result.exit_code == 2
    assert CANARY not in result.output


COUNTERS = "counters: {redis_url_env: COUNTERS, timeout_s: 0.5}\nlimits: {requests_per_minute: 9}"


def test_a_redis_that_answers_is_well(tmp_path: Path) -> None:
    said = checked(tmp_path, COUNTERS, COUNTERS=redis_url())
    assert not said.count("error"), said.findings


def test_a_redis_that_refuses_the_password_is_told_without_it(tmp_path: Path) -> None:
    redis = pytest.importorskip("redis", reason="needs redis")
    scheme, _, place = redis_url().partition("://")
    user = "turnout-checked"
    with redis.Redis.from_url(redis_url()) as admin:
        admin.acl_setuser(user, enabled=True, passwords=["+the-right-one"], commands=["+ping"])
        try:
            for password, wrong in ((CANARY, True), ("the-right-one", False)):
                given = f"{scheme}://{user}:{password}@{place.rpartition('@')[2]}"
                said = checked(tmp_path, COUNTERS, COUNTERS=given)
                errors = [f for f in said.findings if f.level == "error"]
                assert [(f.code, f.field) for f in errors] == wrong * [
                    ("redis-unreachable", "counters.redis_url_env")
                ]
                assert password not in shown(tmp_path, COUNTERS=given).output
        finally:
            admin.acl_deluser(user)
