"""Keys at the door of a running gateway: who is let in, what they may use, what they are told."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from click.testing import CliRunner
from gateway_fakes import Deployment, deployment

from served import served
from turnout.cli import cli
from turnout.gateway.setup.accessing import DOORS
from turnout.providers.fake import Fault
from turnout.settings import Settings, StoreSettings
from turnout.settings.access import KeySettings, LimitSettings, TeamSettings

TOKEN, ADMIN = "tk_gateway-canary-0d41f77a2c", "tk_admin-canary-99ab35e0c1"
HTTP = httpx2.Client(timeout=20)  # one: making a client takes longer than most of these tests


@pytest.fixture(scope="module", autouse=True)
def closed_in_the_end() -> Iterator[None]:
    yield
    HTTP.close()


ASK: Any = [{"role": "user", "content": "Hi"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "cheap", "messages": ASK},
    "/v1/responses": {"model": "cheap", "input": "Hi"},
    "/v1/messages": {"model": "cheap", "messages": ASK, "max_tokens": 16},
}


def key(name: str = "ci", token: str = TOKEN, **changes: Any) -> KeySettings:
    return KeySettings(name=name, sha256=hashlib.sha256(token.encode()).hexdigest(), **changes)


def keyed(*keys: KeySettings, **changes: Any) -> Any:
    return deployment(keys=keys or (key(), key("ops", ADMIN, role="admin")), **changes)


def post(
    url: str, path: str = "/v1/chat/completions", token: str | None = TOKEN, **body: Any
) -> httpx2.Response:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return HTTP.post(f"{url}{path}", json={**BODIES[path], **body}, headers=headers)


def test_nothing_but_health_is_open() -> None:
    with keyed() as gateway:
        paths = set(gateway.app._endpoints) | {"/nothing", "/metrics", "/models/cheap"}
        for path in sorted(paths):
            for prefix in ("", "/v1"):
                for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
                    found = HTTP.request(method, f"{gateway.url}{prefix}{path}")
                    is_open = DOORS.get(path) == "anyone"
                    assert (found.status_code != 401) is is_open, (method, prefix, path)
        assert gateway.upstream.seen == []
        assert {p for p, door in DOORS.items() if door == "anyone"} == {"/healthz", "/readyz"}


@pytest.mark.parametrize("path", list(BODIES))
def test_refusals_are_in_the_clients_dialect(path: str) -> None:
    with keyed() as gateway:
        for token in (None, "tk_wrong", TOKEN[:-1]):
            found = post(gateway.url, path, token)
            assert found.status_code == 401
            error = found.json()["error"]
            if path == "/v1/messages":
                assert (found.json()["type"], error["type"]) == ("error", "authentication_error")
            else:
                assert error["code"] == "invalid_api_key"
        assert post(gateway.url, path).status_code == 200


def test_official_clients_get_in_and_are_refused_as_they_expect() -> None:
    with keyed() as gateway:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN) as client:
            assert client.chat.completions.create(model="cheap", messages=ASK).model
        with (
            openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="tk_no", max_retries=0) as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.chat.completions.create(model="cheap", messages=ASK)
        with anthropic.Anthropic(base_url=gateway.url, api_key=TOKEN) as theirs:
            assert theirs.messages.create(model="cheap", messages=ASK, max_tokens=9).content
        with (
            anthropic.Anthropic(base_url=gateway.url, api_key="tk_no", max_retries=0) as theirs,
            pytest.raises(anthropic.AuthenticationError),
        ):
            theirs.messages.create(model="cheap", messages=ASK, max_tokens=9)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "x/healthz?"},
        {"host": "127.0.0.1#/healthz"},
        {"x-forwarded-path": "/healthz"},
        {"x-original-url": "/healthz"},
        {"authorization": "Bearer ' OR 1=1 --"},
        {"authorization": "Bearer " + "A" * 6_000},
        {"x-api-key": hashlib.sha256(TOKEN.encode()).hexdigest()},
        {"cookie": f"token={TOKEN}"},
    ],
)
def test_tricks_do_not_open_the_door(headers: dict[str, str]) -> None:
    with keyed() as gateway:
        found = HTTP.get(f"{gateway.url}/v1/models", headers=headers)
        assert found.status_code == 401
        for path in (
            "/healthz/../v1/models",
            "/v1/healthz/../models",
            "//healthz/x",
            "/healthz%2f",
        ):
            assert HTTP.get(f"{gateway.url}{path}").status_code == 401


def test_an_admins_path_asks_for_an_admin() -> None:
    with keyed() as gateway:
        url = f"{gateway.url}/metrics"
        assert HTTP.get(url, headers={"x-api-key": TOKEN}).status_code == 403
        assert HTTP.get(url, headers={"x-api-key": ADMIN}).status_code != 403


def test_without_keys_all_is_as_it_was(gateway: Deployment) -> None:
    assert post(gateway.url, token=None).status_code == 200
    assert post(gateway.url, token="anything").status_code == 200


def test_lists_bind_routes_and_names() -> None:
    with keyed(key(allow=("cheap",), deny=("router-nan-*",))) as gateway:
        for model, status in (("cheap", 200), ("strong", 403), ("router-nan-0.5", 403)):
            assert post(gateway.url, model=model).status_code == status, model
        hard = [{"role": "user", "content": "long " * 40}]
        for model in ("auto", "router-length-0", "router-broken-0.5"):
            found = post(gateway.url, model=model, messages=hard)
            assert found.headers["x-turnout-model"] == "cheap", "though it asks for the strong one"
        headers = {"x-api-key": TOKEN}
        asked = {**BODIES["/v1/chat/completions"], "model": "auto"}
        told = HTTP.post(f"{gateway.url}/v1/route", json=asked, headers=headers)
        assert told.json()["excluded"] == {"strong": "not on the allow-list of key ci"}
        assert gateway.upstream.seen
        assert all(b'"cheap-model"' in seen.body for seen in gateway.upstream.seen)


def test_a_price_ceiling_leaves_the_cheaper_ones() -> None:
    with keyed(key(max_request_usd=0.002)) as gateway:
        hard = [{"role": "user", "content": "long " * 40}]
        found = post(gateway.url, model="router-length-0", messages=hard, max_tokens=500)
        assert found.headers["x-turnout-model"] == "cheap"
        dear = post(gateway.url, model="strong", max_tokens=500)
        assert dear.status_code == 400
        assert "may cost up to $0.0" in dear.json()["error"]["message"]
        assert post(gateway.url, model="strong", max_tokens=5).status_code == 200


def test_a_model_without_a_price_is_refused_where_spending_is_limited() -> None:
    def unpriced(settings: Settings) -> tuple[Any, ...]:
        return tuple(c.model_copy(update={"price": None}) for c in settings.candidates)

    with deployment() as plain:
        candidates = unpriced(plain.app.settings)
        mixed = (candidates[0], plain.app.settings.candidates[1])
        assert post(plain.url, token=None, model="strong").status_code == 200
    with keyed(key(budgets_usd={"day": 1}), candidates=mixed) as gateway:
        hard = [{"role": "user", "content": "long " * 40}]
        served = post(gateway.url, model="router-length-0", messages=hard, max_tokens=5)
        assert served.headers["x-turnout-model"] == "cheap"
        refused = post(gateway.url, model="strong")
        assert refused.status_code == 400
        assert "no price is known for it" in refused.json()["error"]["message"]
        assert "give it one in the settings" in refused.json()["error"]["message"]


def until(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_keys_made_and_revoked_on_the_command_line_count_at_once(tmp_path: Path) -> None:
    place = tmp_path / "turnout.db"

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["keys", "--store", str(place), *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    with deployment(store=StoreSettings(path=place)) as gateway:
        assert post(gateway.url, token=None).status_code == 200
        token = run("create", "ci").strip()
        until(lambda: post(gateway.url, token=None).status_code == 401)
        assert post(gateway.url, token=token).status_code == 200
        second = run("rotate", "ci").strip()
        until(lambda: post(gateway.url, token=token).status_code == 401)
        assert post(gateway.url, token=second).status_code == 200
        run("revoke", "ci")
        until(lambda: post(gateway.url, token=second).status_code == 401)
        assert post(gateway.url, token=None).status_code == 401
        made = json.loads(run("list", "--json"))
    with sqlite3.connect(place) as database:
        rows = database.execute("SELECT key, status, cost_picousd > 0 FROM records").fetchall()
    assert rows.count((made["id"], "ok", 1)) >= 2
    assert {row[0] for row in rows} == {"", made["id"]}
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert token.encode() not in kept
    assert second.encode() not in kept


def test_a_key_is_in_no_log_and_goes_to_no_upstream(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with keyed(key(budgets_usd={"day": 1}), store=StoreSettings(path=tmp_path / "t.db")) as gateway:
        gateway.upstream.script.append(Fault(status=500, body=b"down"))
        for path in BODIES:
            post(gateway.url, path)
            post(gateway.url, path, TOKEN + "x")
        HTTP.get(f"{gateway.url}/v1/nothing", headers={"x-api-key": TOKEN})
        for seen in gateway.upstream.seen:
            assert TOKEN not in json.dumps(seen.headers | {"body": str(seen.body)})
    assert TOKEN not in caplog.text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()


@pytest.mark.parametrize("required", [True, False])
def test_a_gateway_for_everyone_warns_unless_it_asks_for_keys(
    tmp_path: Path, required: bool
) -> None:
    config = f"""
providers: {{up: {{base_url: "http://127.0.0.1:9/v1"}}}}
candidates: [{{name: a, price: {{input_usd: 1, output_usd: 1}}, context_tokens: 9}}]
routers: {{random: {{}}}}
auth: {{required: {str(required).lower()}}}
store: {{path: '{tmp_path}/t.db'}}
listen: {{host: 0.0.0.0, port: 0}}
"""
    (tmp_path / "t.yaml").write_text(config)
    with served(tmp_path / "t.yaml") as gateway:
        status = HTTP.get(f"{gateway.url}/v1/models").status_code
        assert (status == 401) is required
        assert HTTP.get(f"{gateway.url}/healthz").status_code == 200
        assert ("warning: 0.0.0.0" in gateway.said) is not required


def test_teams_share_what_they_may() -> None:
    teams = {"data": TeamSettings(allow=("cheap",), requests_per_minute=2)}
    keys = (key("a", TOKEN, team="data"), key("b", ADMIN, team="data"))
    with keyed(*keys, teams=teams) as gateway:
        assert post(gateway.url, token=TOKEN).status_code == 200
        assert post(gateway.url, token=ADMIN).status_code == 200
        for token in (TOKEN, ADMIN):
            refused = post(gateway.url, token=token)
            assert refused.status_code == 429
            assert "team data (2 requests a minute)" in refused.json()["error"]["message"]


def test_limits_of_all_hold_without_keys() -> None:
    with deployment(limits=LimitSettings(requests_per_minute=1)) as gateway:
        assert post(gateway.url, token=None).status_code == 200
        assert post(gateway.url, token=None).status_code == 429
