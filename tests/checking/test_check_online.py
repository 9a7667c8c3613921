"""`turnout check --online`: what providers list, and what becomes of those that do not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripted import PAUSE
from scripted_thread import upstream
from turnout.checking.findings import Report
from turnout.checking.run import check_file

CANARY = "sk-canary-0123456789abcdef"


def reply(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\nconnection: close\r\n\r\n".encode() + body


def models(*ids: str) -> bytes:
    return reply(json.dumps({"data": [{"id": i} for i in ids]}).encode())


def checked(folder: Path, url: str, more: str = "", deadline_s: float = 5.0) -> Report:
    path = folder / "turnout.yaml"
    path.write_text(f"""
providers:
  up: {{base_url: "{url}/v1", api_key_env: KEY{more}}}
candidates:
  - {{name: strong, model: big-4, price: {{input_usd: 2, output_usd: 2}}, context_tokens: 1000}}
  - {{name: cheap, model: small-4, price: {{input_usd: 1, output_usd: 1}}, context_tokens: 1000,
     replicas: [{{provider: up, model: smal-4}}]}}
routers: {{random: {{}}}}
""")
    return check_file(path, {"KEY": CANARY}, online=True, deadline_s=deadline_s)


def test_models_that_a_provider_does_not_list_are_named(tmp_path: Path) -> None:
    with upstream(models("big-4-20260101", "models/small-4")) as site:
        report = checked(tmp_path, site.url)
    [found] = report.findings
    assert (found.level, found.code) == ("warning", "model-not-listed")
    assert (found.field, found.value) == ("candidates[1].replicas[0]", "'smal-4'")
    assert found.remedy == "did you mean 'small-4'?"
    assert report.facts["online"] == {"up": {"models": 2, "why": ""}}
    head = site.requests[0].decode().lower()
    assert head.startswith("get /v1/models http/1.1")
    assert f"authorization: bearer {CANARY}" in head


def test_anthropic_is_asked_in_its_own_way(tmp_path: Path) -> None:
    with upstream(models("big-4", "small-4", "smal-4")) as site:
        report = checked(tmp_path, site.url, ", api: messages")
    assert report.findings == ()
    head = site.requests[0].decode().lower()
    assert head.startswith("get /v1/models?limit=1000 ")
    assert f"x-api-key: {CANARY}" in head
    assert "anthropic-version: " in head
    assert "authorization" not in head


@pytest.mark.parametrize(
    ("answer", "level", "code", "said"),
    [
        (reply(b"{}", "401 No"), "error", "key-refused", "refuses the key (status 401)"),
        (reply(b"{}", "404 No"), "note", "models-unknown", "GET /models is a 404"),
        (
            b"HTTP/1.1 302 F\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
            "note",
            "models-unknown",
            "GET /models is a 302",
        ),
        (reply(b"<html>"), "note", "models-unknown", "no list of models"),
        (reply(b'{"data": 3}'), "note", "models-unknown", "no list of models"),
        (PAUSE, "error", "provider-unreachable", "did not answer within 0.5 s"),
        (b"HTTP/1.1 200 OK\r\n\r\n{", "note", "models-unknown", "no list"),
    ],
)
def test_what_a_provider_does_not_say_is_told(
    tmp_path: Path, answer: bytes, level: str, code: str, said: str
) -> None:
    with upstream(answer) as site:
        if answer.startswith(b"HTTP/1.1 200 OK\r\n\r\n"):
            site.usual = [answer, b"<close>"]
        report = checked(tmp_path, site.url, deadline_s=0.5 if answer == PAUSE else 20)
    [found] = report.findings
    assert (found.level, found.code, found.field) == (level, code, "providers.up")
    assert said in found.message
    assert CANARY not in str(report)


def test_a_provider_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with upstream(models()) as site:
        url = site.url
    report = checked(tmp_path, url)
    assert report.findings[0].code == "provider-unreachable"
    assert report.exit_code(strict=False) == 2


def test_a_name_that_leads_to_a_metadata_service_is_not_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leads(_: object) -> list[str]:
        return ["169.254.169.254"]

    monkeypatch.setattr("turnout.checking.online.Resolver.addresses", leads)
    with upstream(models("big-4")) as site:
        report = checked(tmp_path, site.url.replace("127.0.0.1", "localhost"))
    assert "metadata" in report.findings[0].message
    assert site.requests == []


def test_without_online_nothing_is_called(tmp_path: Path) -> None:
    with upstream(models("big-4")) as site:
        checked(tmp_path, site.url)
        asked = len(site.requests)
        check_file(tmp_path / "turnout.yaml", {"KEY": CANARY})
        assert len(site.requests) == asked == 1


def test_a_redis_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "turnout.yaml"
    with upstream(models("big-4")) as site:
        checked(tmp_path, site.url)
        more = "counters: {redis_url: 'redis://:pass-canary@127.0.0.1:9/0', timeout_s: 0.1}\n"
        path.write_text(path.read_text() + more)
        report = check_file(path, {"KEY": CANARY}, online=True, deadline_s=2)
    found = {f.code: f for f in report.findings if f.level == "error"}
    assert found["redis-unreachable"].field == "counters.redis_url"
    assert "pass-canary" not in str(report)
