"""Keys in the database: shown once, kept as hashes, changed one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from access_made import key

from store_made import KINDS, place
from turnout.access.keys import SHOWN, digest, given_token, new_token
from turnout.access.keystore import KeyStore
from turnout.errors import InputError, UnknownNameError
from turnout.store.database import open_database
from turnout.store.record import Record
from turnout.store.records import RecordTable


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    with place(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def store(where: Path | str) -> Iterator[KeyStore]:
    opened = KeyStore(open_database(where))
    yield opened
    opened.close()


def test_a_key_is_kept_without_its_secret(store: KeyStore) -> None:
    made, token = store.create(key("ci", budgets_usd={"day": 5}, allow=("cheap",), created_ms=7))
    assert token.startswith("tk_")
    assert len(token) == 46, "256 bits in base64"
    assert store.load() == [made]
    assert (made.sha256, made.prefix) == (digest(token), token[:SHOWN])
    assert made.grant.budgets_usd == {"day": 5}
    assert made.id.startswith("key_")
    assert token not in repr(made)


def test_names_are_unique_among_keys_in_use(store: KeyStore) -> None:
    store.create(key("ci"))
    with pytest.raises(InputError, match="rotate or revoke"):
        store.create(key("ci"))
    store.revoke("ci", 1)
    store.create(key("ci"))
    assert [k.revoked_ms for k in store.load()].count(None) == 1


def test_every_change_counts(store: KeyStore) -> None:
    seen = [store.version()]
    made, _ = store.create(key("ci"))
    seen.append(store.version())
    store.rotate(made.id, 5)
    seen.append(store.version())
    store.revoke("ci", 6)
    seen.append(store.version())
    assert sorted(set(seen)) == seen
    with pytest.raises(InputError):
        store.create(replace(key("x"), name="a")) and store.create(replace(key("x"), name="a"))


def test_a_failed_change_leaves_nothing(store: KeyStore) -> None:
    before = store.version()
    with pytest.raises(UnknownNameError, match="no key named 'cj'"):
        store.revoke("cj", 1)
    assert store.version() == before


def test_rotation_keeps_the_id_and_the_old_secret_for_a_while(store: KeyStore) -> None:
    made, old = store.create(key("ci"))
    rotated, new = store.rotate("ci", 1_000, grace_s=60)
    assert old != new
    assert rotated.id == made.id
    assert (rotated.sha256, rotated.old_sha256) == (digest(new), digest(old))
    assert rotated.old_until_ms == 61_000
    assert store.load() == [rotated]
    assert store.revoke("ci", 2_000).old_until_ms == 0


def test_two_processes_see_each_others_changes(store: KeyStore, where: Path | str) -> None:
    other = KeyStore(open_database(where))
    before = other.version()
    store.create(key("ci"))
    assert other.version() > before
    assert [k.name for k in other.load()] == ["ci"]
    other.close()


def test_spending_is_summed_by_key_beyond_64_bits(store: KeyStore, where: Path | str) -> None:
    table = RecordTable(open_database(where))
    big = 8_000_000 * 10**12 + 1
    records = [
        Record(id=f"d{i}", at_ms=at, status="ok", key=who, cost_picousd=cost)
        for i, (at, who, cost) in enumerate(
            [(10, "a", big), (11, "a", big), (12, "b", 5), (13, "b", None), (1, "b", 7)]
        )
    ]
    mirrored = replace(records[0], id="m", kind="mirror", of="d0")
    table.put([*records, mirrored])
    assert store.spent(10) == {"a": 2 * big, "b": 5}
    table.close()


@pytest.mark.parametrize(
    ("authorization", "api_key", "found"),
    [
        ("Bearer abc", None, "abc"),
        ("bearer   abc ", None, "abc"),
        (None, "abc", "abc"),
        ("Basic eDphYmM=", None, "abc"),
        ("Basic eDphYmM", None, None),
        ("Basic abc", "def", None),
        ("Digest abc", "def", "def"),
        ("Bearer abc", "def", "abc"),
        ("Bearer ", None, None),
        ("Bearer", None, None),
        ("abc", None, None),
        (None, "", None),
        (None, None, None),
        ("Bearer " + "x" * 10_000, None, None),
    ],
)
def test_where_a_key_is_read(
    authorization: str | None, api_key: str | None, found: str | None
) -> None:
    assert given_token(authorization, api_key) == found


def test_keys_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100
