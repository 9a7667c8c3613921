"""`client.chat.completions`: OpenAI's methods, with the model chosen per request.

Each method is: decide, then drive the attempts with one call of the SDK. The asynchronous ones
differ in the awaited call alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from turnout.client.replies import attach
from turnout.client.requests import given_fields, settled
from turnout.client.sdk import Clients, as_sdk_error, as_upstream_error
from turnout.client.settings import Upstream
from turnout.execution import Try, arun, run
from turnout.types import Attempt, Decision, Pool
from turnout.wire.arms import arm_fields

if TYPE_CHECKING:
    from openai import AsyncStream, Stream
    from openai.lib.streaming.chat import AsyncChatCompletionStream, ChatCompletionStream
    from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion


_OURS = ("model", "router", "threshold")
"""Arguments that say how to route; all others are the upstream's."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Candidates, where each is served, and the SDK clients that reach them."""

    pool: Pool
    upstreams: Mapping[str, Upstream]
    clients: Clients


class ChatCompletions:
    """`client.chat.completions`.

    Every method takes the SDK's arguments and passes them on as they are, except three: `model` is
    a route (`router-mf-0.45`) or a candidate's name; `router` and `threshold` may stand in its
    place. Nothing is added but an arm's effort and output limit, where the call says none. Replies
    are the SDK's own and carry the decision as `.turnout`.

    Errors of an upstream are the SDK's own exceptions and carry the decision as well. Ours are
    raised before any call: RouteNameError, UnknownNameError, RequestError, NoCandidateError, and
    SettingsError where a key is missing.

    Args:
        decide: makes the decision for the arguments of a call.
        targets: where the candidates are.
    """

    def __init__(self, decide: Callable[[Mapping[str, Any]], Decision], targets: Targets) -> None:
        self._decide, self._targets = decide, targets

    @overload
    def create(
        self,
        *,
        stream: Literal[True],
        router: str | None = ...,
        threshold: float | None = ...,
        **request: Any,
    ) -> Stream[ChatCompletionChunk]: ...
    @overload
    def create(
        self,
        *,
        stream: Literal[False] | None = ...,
        router: str | None = ...,
        threshold: float | None = ...,
        **request: Any,
    ) -> ChatCompletion: ...
    @overload
    def create(
        self,
        *,
        stream: bool | None,
        router: str | None = ...,
        threshold: float | None = ...,
        **request: Any,
    ) -> ChatCompletion | Stream[ChatCompletionChunk]: ...
    def create(self, **request: Any) -> Any:
        """A completion; with `stream=True` the SDK's stream, its `.turnout` set from the start."""
        return self._run(_create, request)

    @overload
    async def acreate(
        self,
        *,
        stream: Literal[True],
        router: str | None = ...,
        threshold: float | None = ...,
        **request: Any,
    ) -> AsyncStream[ChatCompletionChunk]: ...
    @overload
    async def acreate(
        self,
        *,
        stream: Literal[False] | None = ...,
        router: str | None = ...,
        threshold: float | None = ...,
        **request: Any,
    ) -> ChatCompletion: ...
    @overload
    async def acreate(
        self,
        *,
        stream: bool | None,
        router: str | None = ...,
        threshold: float | None = ...,
        **request: Any,
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...
    async def acreate(self, **request: Any) -> Any:
        """`create` for asynchronous code."""
        return await self._arun(_create, request)

    def parse(self, **request: Any) -> ParsedChatCompletion[Any]:
        """The SDK's `parse`: `response_format` is a pydantic class, `message.parsed` its object."""
        reply: ParsedChatCompletion[Any] = self._run(_parse, request)
        return reply

    async def aparse(self, **request: Any) -> ParsedChatCompletion[Any]:
        """`parse` for asynchronous code."""
        reply: ParsedChatCompletion[Any] = await self._arun(_parse, request)
        return reply

    @contextmanager
    def stream(self, **request: Any) -> Generator[ChatCompletionStream[Any]]:
        """The SDK's `stream`: a context manager that yields events and keeps the final answer."""
        events: ChatCompletionStream[Any] = self._run(_enter, request)
        with closing(events):
            yield events

    @asynccontextmanager
    async def astream(self, **request: Any) -> AsyncGenerator[AsyncChatCompletionStream[Any]]:
        """`stream` for asynchronous code."""
        events: AsyncChatCompletionStream[Any] = await self._arun(_aenter, request)
        try:
            yield events
        finally:
            await events.close()

    def _run(self, ask: Ask, request: Mapping[str, Any]) -> Any:
        decision, arguments = self._plan(request)

        def call(todo: Try) -> Any:
            attempt = todo.attempt
            client = self._targets.clients.blocking(*self._upstream(attempt))
            with as_upstream_error(attempt.candidate):
                return ask(client.chat.completions, arguments | self._model(attempt, arguments))

        with as_sdk_error(decision):
            return attach(run(decision, call), decision)

    async def _arun(self, ask: Ask, request: Mapping[str, Any]) -> Any:
        decision, arguments = self._plan(request)

        async def call(todo: Try) -> Any:
            attempt = todo.attempt
            client = self._targets.clients.awaited(*self._upstream(attempt))
            with as_upstream_error(attempt.candidate):
                return await ask(
                    client.chat.completions, arguments | self._model(attempt, arguments)
                )

        with as_sdk_error(decision):
            return attach(await arun(decision, call), decision)

    def _plan(self, request: Mapping[str, Any]) -> tuple[Decision, dict[str, Any]]:
        """The decision, and the arguments that every attempt shares."""
        given = settled(request)
        return self._decide(given), {k: v for k, v in given.items() if k not in _OURS}

    def _upstream(self, attempt: Attempt) -> tuple[Upstream, str]:
        return self._targets.upstreams[attempt.candidate], attempt.candidate

    def _model(self, attempt: Attempt, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The candidate's model, and what its arm asks for where the caller says nothing."""
        candidate = self._targets.pool[attempt.candidate]
        return {"model": candidate.model, **arm_fields(candidate, given_fields(arguments))}


Ask: TypeAlias = Callable[[Any, dict[str, Any]], Any]
"""Calls one method of the SDK's `chat.completions`; its result is awaited in asynchronous code."""


def _create(completions: Any, arguments: dict[str, Any]) -> Any:
    return completions.create(**arguments)


def _parse(completions: Any, arguments: dict[str, Any]) -> Any:
    return completions.parse(**arguments)


def _enter(completions: Any, arguments: dict[str, Any]) -> Any:
    return completions.stream(**arguments).__enter__()  # the SDK calls the upstream here


def _aenter(completions: Any, arguments: dict[str, Any]) -> Any:
    return completions.stream(**arguments).__aenter__()
