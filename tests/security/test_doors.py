"""Which doors there are, who may go through, and that neighbours see nothing of each other."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gateway_fakes import deployment

from turnout.gateway.setup.accessing import DOORS
from turnout.providers.fake import Fault
from turnout.settings import CacheSettings, LearnSettings, StoreSettings
from turnout.settings.access import KeySettings
from turnout.store.database import open_database
from turnout.store.records import RecordTable

ENDPOINTS = {
    "/chat/completions": "POST", "/responses": "POST", "/responses/input_tokens": "POST",
    "/messages": "POST", "/messages/count_tokens": "POST", "/embeddings": "POST", "/route": "POST",
    "/models": "GET", "/healthz": "GET", "/readyz": "GET", "/feedback": "POST", "/outcomes": "POST",
    "/dashboard": "GET", "/dashboard.css": "GET", "/metrics": "GET", "/alarms": "GET POST",
    "/openapi.json": "GET",
}  # fmt: skip
"""Every path of a gateway that has everything turned on."""
PATH = "/v1/chat/completions"
HARD, EASY = "describe at length " * 10, "ok"


def key(name: str, **changes: Any) -> KeySettings:
    return KeySettings(name=name, sha256=hashlib.sha256(name.encode()).hexdigest(), **changes)


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


def test_the_inventory_of_doors(tmp_path: Path) -> None:
    """A path more is a change of this test, and of what is said of it."""
    store = StoreSettings(path=tmp_path / "t.db")
    with deployment(store=store, dashboard=True, learn=LearnSettings()) as made:
        found = {path: " ".join(methods) for path, methods in made.app._endpoints.items()}
    assert found == ENDPOINTS
    assert set(DOORS) <= set(ENDPOINTS)
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "gateway.md").read_text()
    for path in ENDPOINTS:
        assert path in guide or path in ("/dashboard.css", "/outcomes"), path


@pytest.mark.parametrize("form", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_a_page_of_another_site_spends_nothing(form: str | None) -> None:
    """What a browser sends without asking first: no JSON, with an origin."""
    body = json.dumps({"model": "cheap", "messages": [{"role": "user", "content": "x"}]})
    headers = {"origin": "https://evil.example"} | ({} if form is None else {"content-type": form})
    with deployment() as made, httpx2.Client(base_url=made.url, timeout=10) as http:
        for path in (PATH, "/v1/alarms"):
            reply = http.post(path, content=body, headers=headers)
            assert reply.status_code == 403
            assert "application/json" in reply.json()["error"]["message"]
        assert not made.upstream.seen
        # It would ask first for JSON, and is told nothing that lets it go on.
        asks = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        first = http.options(PATH, headers=asks)
        assert first.status_code == 405
        assert not any(name.startswith("access-control") for name in first.headers)
        own = http.post(
            PATH, content=body, headers={"origin": "app://own", "content-type": "application/json"}
        )
        assert own.status_code == 200  # an application of one's own, which is no page


def test_a_page_does_not_use_the_key_that_a_browser_remembers(tmp_path: Path) -> None:
    store = StoreSettings(path=tmp_path / "t.db")
    with deployment(keys=(key("boss", role="admin"),), store=store, dashboard=True) as made:
        with httpx2.Client(base_url=made.url, auth=("boss", "boss"), timeout=10) as http:
            assert http.get("/dashboard").status_code == 200
            evil = {"origin": "https://evil.example", "content-type": "text/plain"}
            for path in (PATH, "/v1/alarms", "/v1/feedback"):
                assert http.post(path, content=b"{}", headers=evil).status_code == 403
        assert not made.upstream.seen


HOSTS = {
    "localhost": True, "LOCALHOST:8080": True, "127.0.0.1:8080": True, "[::1]:8080": True,
    "10.0.0.7": True, "evil.example": False, "127.0.0.1.evil.example:8080": False, "": False,
    "localhost.evil.example": False, "[evil.example]": False, "127.0.0.1@evil.example": False,
}  # fmt: skip


@pytest.mark.parametrize("host", list(HOSTS))
def test_a_name_that_turns_to_this_machine_reads_no_operators_page(
    tmp_path: Path, host: str
) -> None:
    store = StoreSettings(path=tmp_path / "t.db")
    with (
        deployment(store=store, dashboard=True) as made,
        httpx2.Client(base_url=made.url, timeout=10) as http,
    ):
        for path in ("/dashboard", "/v1/dashboard", "/dashboard.css"):
            reply = http.get(path, headers={"host": host})
            assert reply.status_code == (200 if HOSTS[host] else 403), path
        assert http.get("/v1/alarms", headers={"host": host}).status_code in (
            (400,) if HOSTS[host] else (403,)
        )
        assert http.get("/metrics", headers={"host": host}).status_code == 200  # scraped by name


def test_a_name_is_fine_where_a_key_is_asked_for(tmp_path: Path) -> None:
    store = StoreSettings(path=tmp_path / "t.db")
    with (
        deployment(keys=(key("boss", role="admin"),), store=store, dashboard=True) as made,
        httpx2.Client(base_url=made.url, timeout=10) as http,
    ):
        headers = {"host": "gateway.example", **bearer("boss")}
        assert http.get("/dashboard", headers=headers).status_code == 200
        assert http.get("/dashboard", headers={"host": "gateway.example"}).status_code == 401


def test_the_cache_tells_a_neighbour_nothing_by_its_time() -> None:
    """Gu et al. 2025 (arXiv:2502.07776) found shared caches by timing: a prompt of another is as slow."""
    with deployment(
        cache=CacheSettings(ttl_s=600), keys=(key("one"), key("two"))
    ) as made, httpx2.Client(base_url=made.url, timeout=10) as http:  # fmt: skip
        body = {"model": "cheap", "temperature": 0, "messages": [{"role": "user", "content": "?"}]}

        def ask(name: str) -> tuple[float, bool]:
            made.upstream.script.append(Fault(delay_s=0.3))
            start = time.monotonic()
            reply = http.post(PATH, json=body, headers=bearer(name))
            took = time.monotonic() - start
            hit = reply.headers.get("x-turnout-cache") == "hit"
            if hit:
                made.upstream.script.clear()
            return took, hit

        first, own, neighbour = ask("one"), ask("one"), ask("two")
        assert first[0] >= 0.3
        assert own[0] < 0.3
        assert own[1]
        assert neighbour[0] >= 0.3
        assert not neighbour[1]


def test_a_conversation_is_its_own_keys(tmp_path: Path) -> None:
    """The same words under the same session header: only the key that began it goes on."""
    store = StoreSettings(path=tmp_path / "t.db")
    with (
        deployment(store=store, keys=(key("one"), key("two"))) as made,
        httpx2.Client(base_url=made.url, timeout=10) as http,
    ):
        begins = [{"role": "user", "content": HARD}]
        goes_on = [
            *begins,
            {"role": "assistant", "content": "done"},
            {"role": "user", "content": EASY},
        ]

        def ask(name: str, messages: Any) -> str:
            headers = {**bearer(name), "x-turnout-session": "shared-word"}
            body = {"model": "auto", "messages": messages}
            reply = http.post(PATH, json=body, headers=headers)
            assert reply.status_code == 200
            reason: str = reply.headers["x-turnout-reason"]
            return reason.partition(":")[0]

        assert ask("one", begins) == "win_rate_reaches_threshold"
        assert ask("one", goes_on) == "kept_for_conversation"
        assert ask("two", goes_on) != "kept_for_conversation"
    database = open_database(tmp_path / "t.db")
    sessions = {(r.key, r.session) for r in RecordTable(database).since(0)}
    database.close()
    assert len(sessions) == 2
    assert len({session for _, session in sessions}) == 2
