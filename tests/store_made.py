"""Databases for tests: an SQLite file, and PostgreSQL where TURNOUT_TEST_POSTGRES names one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KINDS = ("sqlite", "postgres")


@contextmanager
def place(kind: str, home: Path) -> Iterator[Path | str]:
    """Where an empty database is: of PostgreSQL a schema of its own, dropped in the end."""
    if kind == "sqlite":
        yield home / "store.db"
        return
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg")
    url = postgres_url()
    name = f"turnout_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"
        finally:
            admin.execute(f"DROP SCHEMA {name} CASCADE")


def postgres_url() -> str:
    """The server of the tests, or a skip."""
    url = os.environ.get("TURNOUT_TEST_POSTGRES", "")
    if not url:
        pytest.skip("needs PostgreSQL: set TURNOUT_TEST_POSTGRES to its URL")
    return url


@contextmanager
def asking_user(password: str) -> Iterator[str]:
    """A user of the tests' PostgreSQL who is asked for a password, dropped in the end."""
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg")
    name = f"turnout_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url(), autocommit=True) as admin:
        [[hba]] = admin.execute("SHOW hba_file").fetchall()
        rules = Path(hba)
        if not os.access(rules, os.W_OK):
            pytest.skip("needs a PostgreSQL whose pg_hba.conf can be written")
        trusted = rules.read_text()
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        rules.write_text(
            f"local all {name} scram-sha-256\nhost all {name} all scram-sha-256\n{trusted}"
        )
        try:
            admin.execute("SELECT pg_reload_conf()")
            yield name
        finally:
            rules.write_text(trusted)
            admin.execute("SELECT pg_reload_conf()")
            admin.execute(f"DROP ROLE {name}")
