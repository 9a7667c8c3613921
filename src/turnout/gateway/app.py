"""The OpenAI-compatible server as an ASGI application."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, TypeAlias

from turnout.engine import Engine
from turnout.errors import (
    AccessDownError,
    AuthenticationError,
    KeyInUseError,
    LimitError,
    OverloadedError,
    RequestError,
    TurnoutError,
    UnavailableError,
)
from turnout.gateway.calls.begun import Begun
from turnout.gateway.deploying import Deployment, check_change, deploy
from turnout.gateway.express.entrance import Entrance
from turnout.gateway.http.admission import Admission, patience_s
from turnout.gateway.http.asgi import BEGUN, Call, ClientLeftError, Receive, Scope, Send
from turnout.gateway.http.door import Door
from turnout.gateway.http.headers import refusal_headers
from turnout.gateway.http.hops import Hops
from turnout.gateway.kept.idempotency.once import running_once
from turnout.gateway.pages.alarm_desk import clear_alarm, tell_alarms
from turnout.gateway.pages.dashboard import Dashboard
from turnout.gateway.pages.describing import describe
from turnout.gateway.pages.feedback import FeedbackDesk, open_desk
from turnout.gateway.routing.learning import read_reported
from turnout.gateway.serving import Serving
from turnout.gateway.setup.accessing import let_in, shared_access
from turnout.gateway.setup.building import build_ledger
from turnout.gateway.watching.observing import Observing
from turnout.observe.logs import safe_traceback
from turnout.providers.base import Provider
from turnout.routers.judging import Spend
from turnout.settings import Settings
from turnout.wire.body import read_body
from turnout.wire.dialects import Dialect
from turnout.wire.errors import INTERNAL_MESSAGE, error_body, error_status, http_error_body
from turnout.wire.listing import wants_anthropic
from turnout.wire.reading import Kind

log = logging.getLogger("turnout.gateway")

Endpoint: TypeAlias = Callable[[Call], Awaitable[None]]
Deploy: TypeAlias = Callable[..., Awaitable[Deployment]]


class Gateway:
    """The ASGI application. Its lifespan opens what requests are served from."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine | None,
        providers: Mapping[str, Provider] | None,
    ) -> None:
        self.settings, self._engine, self._providers = settings, engine, providers
        self.live: Deployment | None = None
        self.problem: str | None = "starting"
        self.failure: TurnoutError | None = None
        """Why it could not start."""
        self.reload_problem: str | None = None
        """Why the last settings that were given were not taken."""
        self.reloads = 0
        self.hops = Hops()
        self.admission = Admission(settings.server, time.monotonic)
        self._deploy: Deploy | None = None
        self._turn = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self.door = Door()
        self.observing = Observing(settings, self._serving, self.door, lambda: self.entrance.taken)
        self.entrance = Entrance(
            lambda: self.live,
            self.admission,
            self.door,
            self.observing.over,
            traced=self.observing.traces,
        )
        self._endpoints: dict[str, dict[str, Endpoint]] = {
            "/chat/completions": {"POST": partial(self._complete, dialect="chat")},
            "/responses": {"POST": partial(self._complete, dialect="responses")},
            "/responses/input_tokens": {"POST": partial(self._count, dialect="responses")},
            "/messages": {"POST": partial(self._complete, dialect="messages")},
            "/messages/count_tokens": {"POST": partial(self._count, dialect="messages")},
            "/embeddings": {"POST": self._embed},
            "/route": {"POST": self._route},
            "/models": {"GET": self._models},
            "/alarms": {"GET": self._alarms, "POST": self._clear_alarm},
            "/healthz": {"GET": self._healthz},
            "/readyz": {"GET": self._readyz},
            "/openapi.json": {"GET": describe},
        }
        self._desk: FeedbackDesk | None = None
        if settings.store is not None:
            self._endpoints["/feedback"] = {"POST": self._feedback}
        if settings.learn is not None:
            self._endpoints["/outcomes"] = {"POST": self._outcomes}
        self._dashboard: Dashboard | None = None
        if settings.dashboard and settings.store is not None:
            self._dashboard = Dashboard(settings.store, self._serving)
            self._endpoints["/dashboard"] = {"GET": self._dashboard.answer}
            self._endpoints["/dashboard.css"] = {"GET": self._dashboard.style}
        if settings.metrics.enabled and settings.metrics.listen is None:
            self._endpoints["/metrics"] = {"GET": self.observing.answer}

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open routers and clients, and close the clients in the end."""
        async with AsyncExitStack() as stack:
            ledger = build_ledger(self.settings)
            if ledger is not None:
                await asyncio.to_thread(stack.enter_context, ledger)
            if self.settings.store is not None:
                self._desk = await asyncio.to_thread(open_desk, self.settings.store)
                stack.callback(self._desk.close)
            shared = await stack.enter_async_context(shared_access(self.settings))
            once = await stack.enter_async_context(running_once(self.settings))
            self._deploy = partial(
                deploy,
                once=once,
                shared=shared,
                ledger=ledger,
                observers=self.observing.observers,
                hops=self.hops,
            )
            self.live = await self._deploy(
                self.settings, engine=self._engine, providers=self._providers
            )
            stack.push_async_callback(self._close)
            await stack.enter_async_context(self.observing.running())
            if self._dashboard is not None:
                stack.callback(self._dashboard.close)
            self.problem = None
            yield
            self.problem = "stopping"

    async def _close(self) -> None:
        """Close what serves, and wait for what served before it."""
        if self.live is not None:
            await self.live.retire()
        await asyncio.gather(*self._retiring)

    async def reload(self, settings: Settings, *, engine: Engine | None = None) -> None:
        """Serve by other settings from now on. Requests under way end with what they began with.

        Args:
            settings: checked.
            engine: decides; default: built from the settings.

        Raises:
            TurnoutError: they cannot be used, or not without a restart; what served goes on.
        """
        async with self._turn:
            if self.live is None or self._deploy is None:
                raise RuntimeError("the application serves inside its lifespan only")
            old = self.live
            check_change(old.settings, settings)
            self.live = await self._deploy(settings, engine=engine, before=old)
            self.settings = settings
            self.admission.limits = settings.server
            self.reloads += 1
            task = asyncio.create_task(old.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def drain(self) -> None:
        """Say no longer that it is ready: its end is near. Requests are served all the same."""
        self.problem = "draining"

    def _serving(self) -> Serving | None:
        return None if self.live is None else self.live.serving

    def opened(self) -> Serving:
        """What serves, when the lifespan is running."""
        return self.deployed().serving

    def deployed(self) -> Deployment:
        """What serves and from which settings. Hold it in a `with` block for a request."""
        if self.live is None:
            raise RuntimeError("the application serves inside its lifespan only")
        return self.live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection: the lifespan, or a request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(Call(scope, receive, send), scope.get(BEGUN))
        else:
            raise RuntimeError(f"no such protocol here: {scope['type']}")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            if isinstance(error, TurnoutError) and self.live is None:
                self.failure = error  # its words say what to do; where it was raised does not
            else:
                log.exception("the gateway could not start or stop")
            failed = "shutdown" if self.live is not None else "startup"
            await send({"type": f"lifespan.{failed}.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, call: Call, begun: Begun | None = None) -> None:
        """Answer a request, whatever happens: this is the process edge."""
        if begun is None:
            self.observing.arrived(call)
        else:
            call.trail = begun.trail
        try:
            if begun is not None:
                await begun.go_on(call)
                return
            path = call.path.removeprefix("/v1") if call.path.startswith("/v1/") else call.path
            call.dialect = dialect_of(path, call.headers)
            if self.live is not None:
                let_in(call, path, self.live.serving.access)
            endpoint = self._endpoint(call, path)
            if call.method == "POST":
                await self._in_turn(call, endpoint)
            else:
                await endpoint(call)
        except ClientLeftError:
            self.door.gone(call.trail)
            log.info("client left before the answer; upstream cut off")
        except HttpError as error:
            self.door.refused(error.status, error.code)
            await _refuse(call, error)
        except TurnoutError as error:
            self.door.failed(error)
            await _fail(call, error)
        except Exception as error:  # noqa: BLE001 - the process edge; its trace is logged
            # Not the message: an error that is not ours may quote the prompt.
            log.error("request failed with %s", safe_traceback(error))
            if call.started:
                # The server cuts the connection: an answer that ends early must not look whole. It
                # logs what it catches, which is why that is not the error itself.
                raise RuntimeError("the answer broke off; what happened is logged above") from None
            await _refuse(call, HttpError(500, INTERNAL_MESSAGE, "internal_error"))
        finally:
            self.observing.over(call.trail)

    async def _in_turn(self, call: Call, endpoint: Endpoint) -> None:
        admission = self.admission
        if not admission.enter():
            await admission.take(patience_s(call.headers))
        since = time.monotonic()
        try:
            await endpoint(call)
        finally:
            admission.leave(time.monotonic() - since)

    def _endpoint(self, call: Call, path: str) -> Endpoint:
        methods = self._endpoints.get(path)
        if methods is None and path.startswith("/models/"):
            path, methods = "/models/{id}", {"GET": self._model}
        call.trail.path = path if methods is not None else ""
        if methods is None:
            shown = call.path[:200]
            message = f"no such path: {shown!r}. Try POST /v1/chat/completions"
            raise HttpError(404, message, "not_found")
        endpoint = methods.get("GET" if call.method == "HEAD" else call.method)
        if endpoint is None:
            allowed = ", ".join(methods)
            message = f"{call.path[:200]} takes {allowed}, not {call.method}"
            raise HttpError(405, message, "method_not_allowed", {"allow": allowed})
        return endpoint

    async def _outcomes(self, call: Call) -> None:
        """Let the routers that can learn from what models scored."""
        engine = self.opened().engine
        body = read_body(await call.body(self.settings.max_body_bytes))
        learned = await asyncio.to_thread(engine.learn, read_reported(body.fields))
        if not learned:
            remedy = "configure one that does, such as knn_live or bandit"
            raise RequestError("outcomes", Kind("routers of which none learns"), remedy)
        await call.answer_json({"learned": learned})

    async def _feedback(self, call: Call) -> None:
        if self._desk is None:
            raise RuntimeError("the application serves inside its lifespan only")
        who = call.identity
        await self._desk.take(call, key="" if who is None else who.id)

    async def _alarms(self, call: Call) -> None:
        await tell_alarms(call, self.opened().alarm)

    async def _clear_alarm(self, call: Call) -> None:
        await clear_alarm(call, self.opened().alarm)

    async def _models(self, call: Call) -> None:
        anthropic = wants_anthropic(call.headers)
        await call.answer_json(self.opened().catalog.listing(anthropic=anthropic))

    async def _model(self, call: Call) -> None:
        name = call.path.rpartition("/models/")[2][:256]
        entry = self.opened().catalog.entry(name, anthropic=wants_anthropic(call.headers))
        await call.answer_json(entry)

    async def _healthz(self, call: Call) -> None:
        await call.answer_json({"status": "ok"})

    async def _readyz(self, call: Call) -> None:
        keyring = None if self.live is None else self.live.serving.access.keyring
        problem = self.problem or (self.live and self.live.problem) or (keyring and keyring.problem)
        if self.live is None or problem:
            await call.answer_json({"status": "not ready", "problem": problem}, 503)
            return
        engine = self.live.serving.engine
        ready: dict[str, Any] = {
            "status": "ready",
            "routers": sorted(engine.routers),
            "fallbacks": engine.fallbacks,
            "certificates": engine.certificates(),
            "reloads": self.reloads,
        }
        if keyring is not None and keyring.unread:
            ready["keys"] = "the database of keys has not been read yet"
        if self.reload_problem is not None:
            ready["reload_problem"] = self.reload_problem
        if self.live.serving.mirror is not None:
            ready["mirror"] = self.live.serving.mirror.state()
        if self.live.serving.alarm is not None:
            ready["alarm"] = self.live.serving.alarm.state()
        if self.live.serving.cache is not None:
            ready["cache"] = self.live.serving.cache.state()
        if self.live.serving.semantic is not None:
            ready["semantic_cache"] = self.live.serving.semantic.state()
        spent = {name: getattr(r, "spend", None) for name, r in engine.routers.items()}
        judges = {name: asdict(spend) for name, spend in spent.items() if isinstance(spend, Spend)}
        await call.answer_json(ready | ({"judges": judges} if judges else {}))

    async def _complete(self, call: Call, dialect: Dialect) -> None:
        with self.deployed() as serving:
            await serving.complete(call, dialect)

    async def _embed(self, call: Call) -> None:
        with self.deployed() as serving:
            await serving.embed(call)

    async def _count(self, call: Call, dialect: Dialect) -> None:
        with self.deployed() as serving:
            await serving.count(call, dialect)

    async def _route(self, call: Call) -> None:
        with self.deployed() as serving:
            await serving.route(call)


class HttpError(Exception):
    """A request that no endpoint takes: unknown path, wrong method."""

    def __init__(
        self, status: int, message: str, code: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status, self.code, self.headers = status, code, dict(headers or {})
        super().__init__(message)


async def _refuse(call: Call, error: HttpError) -> None:
    body = http_error_body(
        error.status,
        str(error),
        code=error.code,
        dialect=call.dialect,
        request_id=call.own_id()["x-request-id"],
    )
    await call.answer_json(body, error.status, {**error.headers, **refusal_headers(error.code)})


async def _fail(call: Call, error: TurnoutError) -> None:
    status = error_status(error)
    code = str(error_body(error)["error"]["code"])
    if isinstance(error, OverloadedError):
        pass  # `Admission` says so once in a while
    elif status >= 500:
        log.error("request failed: %s", error)
    else:
        log.info("request refused: %s (%s)", code, status)
    headers = refusal_headers(code)
    headers |= _when_again(error)
    if isinstance(error, AuthenticationError) and call.path.endswith("/dashboard"):
        headers["www-authenticate"] = 'Basic realm="turnout", charset="UTF-8"'  # a browser asks
    request_id = call.own_id()["x-request-id"]
    body = error_body(error, dialect=call.dialect, request_id=request_id)
    await call.answer_json(body, status, headers)


def _when_again(error: TurnoutError) -> dict[str, str]:
    """Whether, and when, a client that was refused may come back."""
    if isinstance(error, UnavailableError | AccessDownError | OverloadedError | KeyInUseError):
        return {"retry-after": str(max(1, round(error.retry_after_s)))}
    if isinstance(error, LimitError):
        if error.retry_after_s is None:
            return {**error.headers, "x-should-retry": "false"}
        return {**error.headers, "retry-after": str(max(1, math.ceil(error.retry_after_s)))}
    return {}


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """In which API's form a client of this path reads errors."""
    if path.startswith("/messages") or (path.startswith("/models") and wants_anthropic(headers)):
        return "messages"
    return "responses" if path.startswith("/responses") else "chat"


def create_app(
    settings: Settings,
    *,
    engine: Engine | None = None,
    providers: Mapping[str, Provider] | None = None,
) -> Gateway:
    """The gateway as an ASGI application; its lifespan opens the clients and closes them.

    Args:
        settings: see `turnout.settings`.
        engine: decides; default: built from the settings when the application starts.
        providers: one for each name in the settings; default: built from them.
    """
    return Gateway(settings, engine, providers)
