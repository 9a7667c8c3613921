"""Row 40 at the start: the database is away when a gateway begins, or will have nothing to do with it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_site import RESILIENCE, Site, site, until

from store_made import asking_user, place, postgres_url
from turnout.access.keys import Key
from turnout.access.keystore import KeyStore
from turnout.settings.access import GrantSettings
from turnout.store.database import open_database
from turnout.store.records import RecordTable

KEY = "a-key-of-the-settings"
FIXED = f"keys: [{{name: fixed, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}}}]\n"
AWAY = "postgresql://me:pass-canary@127.0.0.1:9/db"


def rest(folder: Path, url: str, more: str = "") -> str:
    return f"{RESILIENCE}store: {{url: '{url}', journal: '{folder}/journal'}}\n{more}"


def statuses(here: Site, *keys: str) -> list[int]:
    headers = [{"authorization": f"Bearer {key}"} if key else {} for key in keys]
    return [here.ask(headers=given).status_code for given in headers]


def test_row_40_a_gateway_begins_while_its_postgres_is_away(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs psycopg")
    with site(rest=rest(tmp_path, AWAY, FIXED)) as here:
        assert statuses(here, KEY, "", "tk_of-the-database") == [200, 401, 503]
        ready = here.http.get("/readyz")
        assert (ready.status_code, "not been read" in ready.json()["keys"]) == (200, True)
        score = {"decision_id": f"dec_{'0' * 16}", "score": 1}
        headers = {"authorization": f"Bearer {KEY}"}
        assert here.http.post("/v1/feedback", json=score, headers=headers).status_code >= 500
    assert list((tmp_path / "journal").glob("*/*")), "the record waits"


def test_row_40_nobody_is_let_in_unasked_while_it_is_away(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs psycopg")
    with site(rest=rest(tmp_path, AWAY)) as here:
        reply = here.ask()
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert "pass-canary" not in reply.text
        ready = here.http.get("/readyz")
        assert (ready.status_code, here.http.get("/healthz").status_code) == (503, 200)
        assert not here.one.requests


def test_row_40_all_is_well_once_postgres_is_back(tmp_path: Path) -> None:
    """Its socket is not there, and then it is."""
    with place("postgres", tmp_path) as url:
        found = str(url)
        folder = Path(found.partition("host=")[2].partition("&")[0])
        if not folder.is_dir():
            pytest.skip("needs a PostgreSQL on a Unix socket")
        database = open_database(found)
        grant = GrantSettings(budgets_usd={"day": 5})
        _, token = KeyStore(database).create(Key(id="", name="db", sha256="", grant=grant))
        there = tmp_path / "pg"
        late = found.replace(str(folder), str(there))
        with site(rest=rest(tmp_path, late, FIXED)) as here:
            assert statuses(here, KEY, token) == [200, 503]
            there.symlink_to(folder)
            until(lambda: statuses(here, token) == [200], 20)
            assert "keys" not in here.http.get("/readyz").json()
            decision = here.ask(headers={"authorization": f"Bearer {token}"}).headers
            score = {"decision_id": decision["x-turnout-decision-id"], "score": 1}
            headers = {"authorization": f"Bearer {KEY}"}
            assert here.http.post("/v1/feedback", json=score, headers=headers).status_code == 200
        assert len(RecordTable(database).latest(10)) >= 2, "what had waited is kept"
        database.close()


def test_row_40_a_postgres_that_refuses_stops_the_start(tmp_path: Path) -> None:
    host = postgres_url().partition("?")[2]
    with asking_user("the-right-one") as user:
        url = f"postgresql://{user}:pass-canary@/postgres?{host}"
        config = tmp_path / "turnout.yaml"
        config.write_text(
            "providers: {up: {base_url: 'http://127.0.0.1:9/v1'}}\n"
            "candidates: [{name: cheap, price: {input_usd: 1, output_usd: 1}, context_tokens: 9}]\n"
            f"routers: {{random: {{}}}}\nstore: {{url_env: STORE, journal: j}}\n{FIXED}"
        )
        command = [sys.executable, "-m", "turnout", "serve", "--config", str(config), "--port", "0"]
        done = subprocess.run(
            command, env={**os.environ, "STORE": url}, capture_output=True, timeout=60, check=False
        )
    said = done.stderr.decode()
    assert done.returncode == 2
    assert said.splitlines()[-1].startswith("error: store postgresql://")
    assert "password authentication failed" in said
    assert "Traceback" not in said
    assert "pass-canary" not in said
