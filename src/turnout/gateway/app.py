"""The OpenAI-compatible server as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from turnout.engine import Engine
from turnout.errors import TurnoutError
from turnout.gateway.building import auto_route, build_engine, build_providers, check_auto
from turnout.gateway.chat import Chat
from turnout.gateway.headers import new_request_id, refusal_headers
from turnout.gateway.models import Catalog
from turnout.gateway.relay import json_bytes
from turnout.providers.base import Provider
from turnout.settings import Settings
from turnout.wire.errors import INTERNAL_MESSAGE, error_body, error_status, http_error_body

log = logging.getLogger("turnout.gateway")

_GONE = 499
"""Status, seen by no one, of a request whose client has left (nginx's convention)."""


class _Gateway:
    """What the routes serve from, once the lifespan has opened it."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine | None,
        providers: Mapping[str, Provider] | None,
    ) -> None:
        self.settings, self._engine, self._providers = settings, engine, providers
        self.chat: Chat | None = None
        self.problem: str | None = "starting"

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:  # noqa: ARG002
        """Open routers and clients, and close the clients in the end."""
        check_auto(self.settings)
        engine = self._engine or build_engine(self.settings)
        async with AsyncExitStack() as stack:
            given = self._providers or build_providers(self.settings)
            providers = {n: await stack.enter_async_context(p) for n, p in given.items()}
            self.chat = Chat(
                engine,
                providers,
                Catalog(engine, auto_route(self.settings, engine), self.settings.allow_passthrough),
                self.settings.max_body_bytes,
            )
            self.problem = _problem(engine)
            yield
            self.problem = "stopping"

    def opened(self) -> Chat:
        """What serves, when the lifespan is running."""
        if self.chat is None:
            raise RuntimeError("the application serves inside its lifespan only")
        return self.chat

    async def complete(self, request: Request) -> Response:
        return await self.opened().complete(request)

    async def route(self, request: Request) -> Response:
        return await self.opened().route(request)

    async def models(self, request: Request) -> Response:  # noqa: ARG002
        return _json(self.opened().catalog.listing())

    async def model(self, request: Request) -> Response:
        return _json(self.opened().catalog.entry(request.path_params["model"][:256]))

    async def healthz(self, request: Request) -> Response:  # noqa: ARG002
        return _json({"status": "ok"})

    async def readyz(self, request: Request) -> Response:  # noqa: ARG002
        if self.chat is None or self.problem is not None:
            return _json({"status": "not ready", "problem": self.problem}, 503)
        engine = self.chat.engine
        return _json(
            {
                "status": "ready",
                "routers": sorted(engine.routers),
                "fallbacks": engine.fallbacks,
                "certificates": engine.certificates(),
            }
        )


def create_app(
    settings: Settings,
    *,
    engine: Engine | None = None,
    providers: Mapping[str, Provider] | None = None,
) -> Starlette:
    """The gateway as an ASGI application; its lifespan opens the clients and closes them.

    Args:
        settings: see `turnout.settings`.
        engine: decides; default: built from the settings when the application starts.
        providers: one for each name in the settings; default: built from them.
    """
    gateway = _Gateway(settings, engine, providers)
    paths: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("POST", "/chat/completions", gateway.complete),
        ("POST", "/route", gateway.route),
        ("GET", "/models", gateway.models),
        ("GET", "/models/{model:path}", gateway.model),
    ]
    routes = [
        Route(f"{prefix}{path}", endpoint, methods=[method])
        for method, path, endpoint in paths
        for prefix in ("/v1", "")
    ]
    routes += [Route("/healthz", gateway.healthz), Route("/readyz", gateway.readyz)]
    app = Starlette(
        routes=routes,
        lifespan=gateway.lifespan,
        exception_handlers={
            TurnoutError: _on_turnout_error,
            ClientDisconnect: _on_disconnect,
            HTTPException: _on_http_error,
            Exception: _on_any_error,
        },
    )
    app.router.redirect_slashes = False
    return app


def _problem(engine: Engine) -> str | None:
    """Why this engine is not ready: a router that does not fit the candidates."""
    try:
        engine.check()
    except TurnoutError as error:
        log.error("not ready, the default candidate serves: %s", error)
        return str(error)
    return None


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    known = {"content-type": "application/json", "x-request-id": new_request_id()}
    return Response(json_bytes(value), status, {**known, **(headers or {})})


async def _on_turnout_error(request: Request, error: Exception) -> Response:  # noqa: ARG001
    if not isinstance(error, TurnoutError):
        raise error
    status, body = error_status(error), error_body(error)
    if status >= 500:
        log.error("request failed: %s", error)
    else:
        log.info("request refused: %s (%s)", body["error"]["code"], status)
    return _json(body, status, refusal_headers(body["error"]["code"]))


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Unknown path, wrong method."""
    if not isinstance(error, HTTPException):
        raise error
    status, path = error.status_code, request.scope["path"][:200]
    if status == 404:
        message, code = f"no such path: {path!r}. Try POST /v1/chat/completions", "not_found"
    elif status == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        message, code = f"{path} takes {allowed}, not {request.method}", "method_not_allowed"
    else:
        message, code = error.detail, "invalid_request"
    body = http_error_body(status, message, code=code)
    return _json(body, status, {**(error.headers or {}), **refusal_headers(code)})


async def _on_disconnect(request: Request, error: Exception) -> Response:  # noqa: ARG001
    log.info("client left before the answer; upstream cut off")
    return Response(status_code=_GONE)


async def _on_any_error(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """The process edge: the server logs the traceback, the client gets none of it."""
    code = "internal_error"
    body = http_error_body(500, INTERNAL_MESSAGE, code=code)
    return _json(body, 500, refusal_headers(code))
