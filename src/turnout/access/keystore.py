"""Keys in the database of the ledger; all SQL about keys is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from turnout.access.keys import SHOWN, Key, digest, new_key_id, new_token
from turnout.errors import InputError, StoreError, UnknownNameError
from turnout.settings.access import GrantSettings
from turnout.store.database import Database, Schema, Value, migrate
from turnout.store.records import RecordTable
from turnout.types import PICO

SCHEMA = Schema(
    "access",
    (
        (
            """
            CREATE TABLE access_keys (
                id TEXT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL UNIQUE,
                prefix TEXT NOT NULL, team TEXT NOT NULL, role TEXT NOT NULL,
                created_ms BIGINT NOT NULL, expires_ms BIGINT, revoked_ms BIGINT,
                old_sha256 TEXT NOT NULL, old_until_ms BIGINT NOT NULL, grant_json TEXT NOT NULL
            )
            """,
            "CREATE UNIQUE INDEX access_keys_name ON access_keys (name) WHERE revoked_ms IS NULL",
            "CREATE TABLE access_changes (one BIGINT PRIMARY KEY, version BIGINT NOT NULL)",
            "INSERT INTO access_changes (one, version) VALUES (1, 0)",
        ),
    ),
)

_COLUMNS = (
    "id, name, sha256, prefix, team, role, created_ms, expires_ms, revoked_ms, old_sha256, "
    "old_until_ms, grant_json"
)


class KeyStore:
    """Keys in a database; safe to share between threads. Its tables are made or brought up to date.

    Args:
        database: of the ledger.

    Raises:
        StoreError: the database fails, or its tables are of a later version.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        RecordTable(database)  # what was spent is read from there
        migrate(database, SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def version(self) -> int:
        """Grows with every change of any key.

        Raises:
            StoreError: the database failed.
        """
        return int(self._db.run("SELECT version FROM access_changes WHERE one = 1")[0][0])

    def load(self) -> list[Key]:
        """Every key, those that are over among them, oldest first.

        Raises:
            StoreError: the database failed, or holds what is no key.
        """
        rows = self._db.run(f"SELECT {_COLUMNS} FROM access_keys ORDER BY created_ms, id")  # noqa: S608
        try:
            return [_key(row) for row in rows]
        except ValidationError:
            remedy = "revoke it with the Turnout that made it, or correct access_keys.grant_json"
            raise StoreError(self._db.name, "a key's grant cannot be read", remedy) from None

    def create(self, key: Key) -> tuple[Key, str]:
        """Keep a new key.

        Args:
            key: with its name and what it may do; id and hash are made here.

        Returns:
            The key as it is kept, and the key itself, which is kept nowhere.

        Raises:
            InputError: a key of that name is in use.
            StoreError: the database failed.
        """
        token = new_token()
        made = replace(key, id=new_key_id(), sha256=digest(token), prefix=token[:SHOWN])
        values: list[Value] = [
            made.id, made.name, made.sha256, made.prefix, made.team, made.role, made.created_ms,
            made.expires_ms, None, "", 0, made.grant.model_dump_json(exclude_defaults=True),
        ]  # fmt: skip
        with self._db.transaction():
            self._changed()
            taken = "SELECT id FROM access_keys WHERE name = ? AND revoked_ms IS NULL"
            if self._db.run(taken, (made.name,)):
                remedy = "choose another name, or rotate or revoke the key that has it"
                raise InputError("name", made.name, remedy)
            put = f"INSERT INTO access_keys ({_COLUMNS}) VALUES ({', '.join('?' * 12)})"  # noqa: S608
            self._db.run(put, values)
        return made, token

    def revoke(self, which: str, now_ms: int) -> Key:
        """End a key, by its id or its name.

        Raises:
            UnknownNameError: no key in use is called so.
            StoreError: the database failed.
        """
        with self._db.transaction():
            self._changed()
            key = self._named(which)
            update = "UPDATE access_keys SET revoked_ms = ?, old_until_ms = 0 WHERE id = ?"
            self._db.run(update, (now_ms, key.id))
        return replace(key, revoked_ms=now_ms, old_until_ms=0)

    def rotate(self, which: str, now_ms: int, *, grace_s: float = 0.0) -> tuple[Key, str]:
        """Give a key a new secret; id, budgets and what was spent stay.

        Args:
            which: its id or name.
            now_ms: Unix milliseconds.
            grace_s: how long the old secret is still good.

        Raises:
            UnknownNameError: no key in use is called so.
            StoreError: the database failed.
        """
        token = new_token()
        update = (
            "UPDATE access_keys SET sha256 = ?, prefix = ?, old_sha256 = ?, old_until_ms = ? "
            "WHERE id = ?"
        )
        with self._db.transaction():
            self._changed()
            key = self._named(which)
            made = replace(
                key,
                sha256=digest(token),
                prefix=token[:SHOWN],
                old_sha256=key.sha256,
                old_until_ms=now_ms + round(grace_s * 1e3),
            )
            values = (made.sha256, made.prefix, made.old_sha256, made.old_until_ms, made.id)
            self._db.run(update, values)
        return made, token

    def spent(self, since_ms: int) -> dict[str, int]:
        """Key id → picodollars of its requests since then, without what was mirrored of them.

        What a request cost whose process died is the most that it could, where that was reserved.

        Raises:
            StoreError: the database failed.
        """
        # In two parts, since 64 bits of picodollars end at nine million dollars.
        rows = self._db.run(
            f"SELECT key, SUM(cost_picousd / {PICO}), SUM(cost_picousd % {PICO}) FROM records "  # noqa: S608
            "WHERE at_ms >= ? AND cost_picousd IS NOT NULL AND kind <> 'mirror' GROUP BY key",
            (since_ms,),
        )
        return {key: int(whole) * PICO + int(rest) for key, whole, rest in rows}

    def _named(self, which: str) -> Key:
        live = [key for key in self.load() if key.revoked_ms is None]
        for key in live:
            if which in (key.id, key.name):
                return key
        raise UnknownNameError("key", which, [key.name for key in live])

    def _changed(self) -> None:
        """Inside a transaction, before anything is read: one change at a time, and counted."""
        self._db.lock("access")
        self._db.run("UPDATE access_changes SET version = version + 1 WHERE one = 1")


def _key(row: Sequence[Any]) -> Key:
    return Key(
        id=row[0],
        name=row[1],
        sha256=row[2],
        prefix=row[3],
        team=row[4],
        role="admin" if row[5] == "admin" else "user",
        created_ms=row[6],
        expires_ms=row[7],
        revoked_ms=row[8],
        old_sha256=row[9],
        old_until_ms=row[10],
        grant=GrantSettings.model_validate_json(row[11]),
    )
