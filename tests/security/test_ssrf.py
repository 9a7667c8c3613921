"""No request chooses an upstream, no answer moves one, and no setting names a metadata service by mistake."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from gateway_fakes import make_engine, make_settings, serving
from raw_sites import answer, raw_site

from turnout.errors import RouterError, SettingsError, UpstreamError
from turnout.gateway.app import create_app
from turnout.gateway.calls.redirecting import REFUSED
from turnout.providers.endpoint import HttpProvider
from turnout.providers.http.resolving import Resolver
from turnout.providers.posting import JsonEndpoint
from turnout.settings import parse_settings

PATHS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5},
    "/v1/responses": {"input": "hi"},
    "/v1/route": {"messages": [{"role": "user", "content": "hi"}]},
}


@pytest.mark.parametrize("path", PATHS)
def test_a_field_that_names_an_upstream_is_refused_and_nobody_is_called(path: str) -> None:
    with raw_site() as canary, raw_site() as upstream:
        settings = make_settings(upstream.url)
        with (
            serving(create_app(settings, engine=make_engine(settings))) as url,
            httpx2.Client(base_url=url) as http,
        ):
            for field in sorted(REFUSED):
                for extra in ({field: canary.url}, {"extra_body": {field: canary.url}}):
                    body: dict[str, Any] = {"model": "cheap", **PATHS[path], **extra}
                    reply = http.post(path, json=body)
                    assert reply.status_code == 400
                    assert field in reply.text
                    assert canary.url not in reply.text
    assert canary.connections == 0
    assert upstream.requests == []


def test_a_url_in_other_places_is_passed_on_and_not_called() -> None:
    """Images, tools and metadata may hold URLs: they are the upstream's to fetch."""
    with raw_site() as canary, raw_site() as upstream:
        settings = make_settings(upstream.url)
        image = {"type": "image_url", "image_url": {"url": f"{canary.url}/x.png"}}
        asked = {
            "model": "strong",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, image]}],
            "metadata": {"api_base": canary.url},
            "webhook": canary.url,
        }
        with (
            serving(create_app(settings, engine=make_engine(settings))) as url,
            httpx2.Client(base_url=url) as http,
        ):
            headers = {
                "x-api-base": canary.url,
                "referer": canary.url,
                "x-forwarded-host": canary.url,
            }
            reply = http.post("/v1/chat/completions", json=asked, headers=headers)
            assert reply.status_code == 200
            http.post("/v1/messages", json={**asked, "max_tokens": 5})
    assert canary.connections == 0
    assert json.loads(upstream.requests[0][1])["metadata"] == {"api_base": canary.url}


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 Other", "307 Temp", "308 Perm"])
def test_an_upstream_that_redirects_moves_nobody(status: str) -> None:
    with raw_site() as canary:
        moved = answer(b"{}", status, f"location: {canary.url}/v1/chat/completions")
        with raw_site(moved) as upstream:
            settings = make_settings(upstream.url)
            with (
                serving(create_app(settings, engine=make_engine(settings))) as url,
                httpx2.Client(base_url=url) as http,
            ):
                body = {"model": "cheap", **PATHS["/v1/chat/completions"]}
                reply = http.post("/v1/chat/completions", json=body)
                assert "location" not in reply.headers
            endpoint = JsonEndpoint(
                "a judge", upstream.url, api_key="k", timeout_s=5, connections=1
            )
            with pytest.raises(RouterError):
                endpoint.post("chat/completions", {})
            endpoint.close()
    assert canary.connections == 0


METADATA = [
    "169.254.169.254", "169.254.170.2", "[fe80::1]", "metadata.google.internal", "METADATA.google.internal.",
    "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518", "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]", "100.100.100.200", "192.0.0.192", "[fd00:ec2::254]", "168.63.129.16",
]  # fmt: skip


def config(base_url: str, more: str = "") -> str:
    return (
        f"providers: {{up: {{base_url: '{base_url}', api_key: key-of-a-test{more}}}}}\n"
        "candidates: [{name: a}]\n"
    )


@pytest.mark.parametrize("host", METADATA)
def test_a_metadata_service_is_refused_by_its_setting(host: str) -> None:
    with pytest.raises(SettingsError, match=r"providers\.up\.base_url.*metadata service"):
        parse_settings(config(f"http://{host}/v1"), {})
    encoder = f"encoders: {{e: {{base_url: 'http://{host}/v1', model: m, dimension: 8}}}}\n"
    with pytest.raises(SettingsError, match=r"encoders\.e\.base_url.*metadata service"):
        parse_settings(config("http://127.0.0.1:1/v1") + encoder, {})
    with pytest.raises(SettingsError, match=r"metadata service|give a URL"):
        JsonEndpoint("a judge", f"http://{host}/v1", api_key=None, timeout_s=1, connections=1)
    assert parse_settings(config(f"http://{host}/v1", ", allow_link_local: true"), {})


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:11434", "10.0.0.7", "192.168.1.5:80", "[::1]:8000",
             "api.openai.com", "vllm.default.svc.cluster.local", "169.253.1.1"],
)  # fmt: skip
def test_upstreams_of_this_machine_and_of_private_networks_are_ordinary(host: str) -> None:
    assert parse_settings(config(f"http://{host}/v1"), {})


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "100.100.100.200"])
def test_a_name_that_resolves_to_one_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """What a name means is known when it is looked up; the settings cannot tell."""
    tried: list[str] = []

    async def addresses(_: Resolver) -> list[str]:
        return [address]

    async def connect(_: object, host: str, *__: object, **___: object) -> None:
        tried.append(host)
        raise OSError

    async def call(*, allowed: bool) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
        async with HttpProvider("up", "http://rebound.example/v1", allow_link_local=allowed) as up:
            await up.post("/chat/completions", b"{}", candidate="c", headers={})

    monkeypatch.setattr(Resolver, "addresses", addresses)
    with pytest.raises(UpstreamError, match="leads to a link-local address"):
        asyncio.run(call(allowed=False))
    assert tried == []
    with pytest.raises(UpstreamError, match="could not be reached"):
        asyncio.run(call(allowed=True))
    assert tried == [address]
