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
    url = os.environ.get("TURNOUT_TEST_POSTGRES", "")
    if not url:
        pytest.skip("needs PostgreSQL: set TURNOUT_TEST_POSTGRES to its URL")
    name = f"turnout_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"
        finally:
            admin.execute(f"DROP SCHEMA {name} CASCADE")
