"""The description of the API says what the code says."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from described_gateway import KEY, gateway
from gateway_fakes import make_engine, make_settings

from turnout import __version__
from turnout.gateway.app import create_app
from turnout.gateway.calls.redirecting import REFUSED
from turnout.gateway.setup.accessing import DOORS
from turnout.settings import parse_settings
from turnout.wire.asks import HEADER, OTHER_HEADERS, Asks

FILE = Path(__file__).parents[2] / "docs" / "reference" / "openapi.yaml"
EVERYTHING = """
providers: {up: {base_url: "http://127.0.0.1:9/v1"}}
candidates: [{name: strong}, {name: cheap}]
routers: {random: {}}
learn: {}
store: {path: turnout.db}
dashboard: true
"""
UNPREFIXED = ("/healthz", "/readyz", "/metrics", "/dashboard", "/dashboard.css", "/openapi.json")


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def test_it_has_every_path_and_no_other(described: dict[str, Any], tmp_path: Path) -> None:
    settings = parse_settings(EVERYTHING, {}, folder=tmp_path)
    served = create_app(settings, engine=make_engine(make_settings("http://127.0.0.1:9")))
    here = {
        (path if path in UNPREFIXED else f"/v1{path}", method.lower())
        for path, methods in served._endpoints.items()
        for method in methods
    }
    here.add(("/v1/models/{id}", "get"))
    said = {(path, method) for path, item in described["paths"].items() for method in item}
    assert said == here


def test_it_is_of_this_version(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    assert described["info"]["version"] == __version__


def test_only_health_is_open(described: dict[str, Any]) -> None:
    for path, item in described["paths"].items():
        for operation in item.values():
            door = DOORS.get(path.removeprefix("/v1"), "key")
            assert (operation.get("security") == []) == (door == "anyone"), path
            assert ("401" in operation["responses"]) == (door != "anyone"), path


def test_what_may_be_asked_of_routing_is_all_there(described: dict[str, Any]) -> None:
    parts = described["components"]
    asks = parts["schemas"]["Asks"]
    names = {field.name for field in fields(Asks)}
    assert set(asks["properties"]) == names
    assert asks["additionalProperties"] is False
    headers = {p["name"] for p in parts["parameters"].values() if p["name"].startswith(HEADER)}
    own = {HEADER + name.replace("_", "-") for name in names}
    assert headers == own | OTHER_HEADERS - {"x-turnout-hop"}, "the hop is between gateways"


def test_what_names_an_upstream_is_refused(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    refused = schemas["NoUpstreamHere"]["properties"]
    assert set(refused) == REFUSED
    assert set(map(str, refused.values())) == {"False"}
    for name, schema in schemas.items():
        if name.endswith("Request"):
            assert {"$ref": "#/components/schemas/NoUpstream"} in schema["allOf"], name


def test_it_is_served_to_those_who_have_a_key(described: dict[str, Any], tmp_path: Path) -> None:
    with gateway(tmp_path) as (url, _):
        assert httpx2.get(f"{url}/openapi.json", timeout=10).status_code == 401
        known = {"authorization": f"Bearer {KEY}"}
        for path in ("/openapi.json", "/v1/openapi.json"):
            reply = httpx2.get(f"{url}{path}", headers=known, timeout=10)
            assert reply.status_code == 200
            assert reply.headers["content-type"] == "application/json"
            assert reply.json() == described
        for path, item in described["paths"].items():
            if path not in ("/healthz", "/readyz"):
                method = next(iter(item))
                assert httpx2.request(method, f"{url}{path}", timeout=10).status_code == 401, path
