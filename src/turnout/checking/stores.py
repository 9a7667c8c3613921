"""The store: whether it can be opened, whether its tables are of this version, whether it holds keys."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.checking.findings import Finding, Findings
from turnout.checking.opening import check_writable
from turnout.errors import InputError, TurnoutError
from turnout.gateway.setup.building import SCHEMAS
from turnout.settings import StoreSettings
from turnout.store.database import Database, open_database, tables_in, waiting_migrations


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What was seen of a store."""

    where: str
    state: str
    """`new` (it is made at the start), `ready`, `migrates` (at the start), `broken`, or `not opened`."""
    has_keys: bool | None = None
    """Whether a key was ever made in it; None where that was not looked at."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"where": self.where, "state": self.state, "has_keys": self.has_keys}


def check_store(given: StoreSettings, found: Findings, *, online: bool) -> StoreFacts:
    """Look into a store; nothing is made, migrated or written."""
    check_writable(given.journal_folder, "store.journal" if given.journal else "store", found)
    if given.path is not None:
        return _check_file(given.path, found)
    if not online:
        return StoreFacts("PostgreSQL", "not opened")
    key = next((k for k in ("url_env", "url_file") if getattr(given, k) is not None), "url")
    url = "" if given.url is None else given.url.get_secret_value()
    return _look(url, "PostgreSQL", f"store.{key}", found)


def _check_file(path: Path, found: Findings) -> StoreFacts:
    if path.is_dir():
        problem = InputError("store.path", str(path), "this is a folder; name a file")
        found.fail(problem, "store.path")
        return StoreFacts(str(path), "broken")
    if path.exists():
        check_writable(path, "store.path", found)
        return _look(path, str(path), "store.path", found)
    if not path.parent.is_dir():
        remedy = f"make the folder {path.parent}, or name another place"
        found.fail(InputError("store.path", str(path), remedy), "store.path")
        return StoreFacts(str(path), "broken")
    check_writable(path.parent, "store.path", found)
    return StoreFacts(str(path), "new", has_keys=False)


def _look(where: Path | str, called: str, field: str, found: Findings) -> StoreFacts:
    try:
        with closing(open_database(where, read_only=True)) as database:
            tables = tables_in(database)
            if "turnout_schemas" not in tables:  # one that no gateway has used yet
                return StoreFacts(called, "new", has_keys=False)
            waiting = [waiting_migrations(database, schema) for schema in SCHEMAS]
            state = "migrates" if any(waiting) else "ready"
            facts = StoreFacts(called, state, _has_keys(database, tables))
    except TurnoutError as error:
        found.fail(error, field)
        return StoreFacts(called, "broken")
    if any(waiting):
        found.add(
            Finding(
                level="note",
                code="store-migrates",
                field=field,
                message=f"{sum(waiting)} migrations are run at the start, or by `turnout store migrate`",
            )
        )
    return facts


def _has_keys(database: Database, tables: Collection[str]) -> bool:
    if "access_changes" not in tables:
        return False
    rows = database.run("SELECT version FROM access_changes WHERE one = 1")
    return bool(rows) and int(rows[0][0]) > 0
