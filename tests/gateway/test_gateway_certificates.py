"""Replies name the certificate that covers them, and readiness shows what is in force."""

from __future__ import annotations

import httpx2
from gateway_fakes import LengthRouter, make_settings, serving

from certificates_made import certificate
from turnout.calibration.certificate import pool_fingerprint, seconds
from turnout.calibration.watch import Watch
from turnout.engine import Engine
from turnout.gateway.app import create_app
from turnout.gateway.setup.building import build_pool
from turnout.gateway.setup.cataloging import auto_route
from turnout.providers.fake import create_fake_app

NOW = seconds("2026-12-01T00:00:00Z")


def test_headers_decisions_and_readiness() -> None:
    with serving(create_fake_app(["strong-model", "cheap-model"])) as upstream:
        settings = make_settings(upstream, auto="")
        pool, clock = build_pool(settings), [NOW]
        made = certificate(
            models=pool.names,
            safe="strong",
            artifact=LengthRouter().fingerprint,
            pool=pool_fingerprint(pool.candidates, priced=False),
        )
        watch = Watch(made, pool.candidates, made.artifact, now=lambda: clock[0])
        engine = Engine(pool, {"length": LengthRouter()}, watches=[watch])
        assert auto_route(settings, engine) == made.route  # where none is named
        with (
            serving(create_app(settings, engine=engine)) as url,
            httpx2.Client(base_url=url, timeout=10) as http,
        ):
            ask = {"model": "auto", "messages": [{"role": "user", "content": "short"}]}
            reply = http.post("/v1/chat/completions", json=ask)
            assert reply.status_code == 200
            assert reply.headers["x-turnout-certificate"] == made.id
            assert http.post("/v1/route", json=ask).json()["certificate"] == made.id
            other = http.post("/v1/chat/completions", json={**ask, "model": "router-length-0.5"})
            assert "x-turnout-certificate" not in other.headers
            (state,) = http.get("/readyz").json()["certificates"]
            assert (state["id"], state["state"], state["requests"]) == (made.id, "valid", 2)
            clock[0] = seconds("2028-01-01T00:00:00Z")
            reply = http.post("/v1/chat/completions", json=ask)
            assert reply.headers["x-turnout-model"] == "strong"
            assert "x-turnout-certificate" not in reply.headers
            reason = reply.headers["x-turnout-reason"]
            assert reason.startswith(f"certificate_revoked: certificate {made.id} is revoked")
            (state,) = http.get("/readyz").json()["certificates"]
            assert (state["state"], state["withheld"]) == ("revoked", 1)
            assert state["reason"] == "it expired on 2027-02-24T04:30:00Z"
