"""One attempt: the request in its candidate's dialect, and as much of the answer as decides it.

A whole answer is read to its end, a stream to the first piece of its content: until then nothing has
gone to the client, so that a failure can be answered by another attempt.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from turnout.errors import ReplyError, UpstreamError
from turnout.execution.attempts import Target, Try
from turnout.gateway.calls.passing import Passing, Renamed, Translated, Untouched
from turnout.gateway.calls.relay import is_stream, whole_body
from turnout.gateway.http.asgi import json_bytes
from turnout.observe.trail import Attempted, Trail
from turnout.providers.base import Provider, Reply
from turnout.types import Candidate, Pool, Usage
from turnout.wire.arms import arm_fields
from turnout.wire.body import Body
from turnout.wire.dialects import PATHS, Dialect
from turnout.wire.renaming import renamed_reply
from turnout.wire.streams.translator import StreamTranslator
from turnout.wire.streams.watch import ask_for_usage
from turnout.wire.translate.replies import Client, translate_reply
from turnout.wire.translate.requests import translate_request
from turnout.wire.translate.target import Target as Rules
from turnout.wire.usage import estimate_output_tokens, read_usage_of_reply

T = TypeVar("T")

HELD_BYTES = 1 << 20
"""Most that is held back of a stream before its content begins; then it is passed on all the same."""


@dataclass(slots=True)
class Copy:
    """The bytes of a stream that have passed, unless they are too many."""

    most: int
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, piece: bytes) -> None:
        """Some more have passed."""
        self.size += len(piece)
        if self.size > self.most:
            self.pieces.clear()
        else:
            self.pieces.append(piece)

    def whole(self) -> bytes | None:
        """All of them; None where they were too many."""
        return None if self.size > self.most else b"".join(self.pieces)


@dataclass(slots=True, kw_only=True)
class Answer:
    """What a candidate gave: a whole body, or a stream of which the beginning is held."""

    candidate: str
    provider: str
    status: int
    headers: Mapping[str, str]
    target: str = ""
    """Key of the endpoint that answered."""
    notes: tuple[str, ...] = ()
    """What a translation left out or changed, by rule."""
    content: bytes = b""
    """The client's bytes: the whole body, or the beginning of the stream."""
    reply: Reply | None = None
    """Of a stream: the rest of it."""
    passing: Passing | None = None
    asked: str = ""
    """The model that the upstream was asked for, by its own name."""
    usage: Usage | None = None
    """Of a whole answer, as the three below are."""
    problems: tuple[str, ...] = ()
    """Counts that were not believed, by name."""
    model: str | None = None
    """The model that the upstream names."""
    service: str = ""
    """The service tier that it says it served the call in."""
    first_byte_s: float = 0.0
    copy: Copy | None = None
    """Of a stream: what has passed, where it is to be kept."""
    events: int = 0
    """About its output tokens, where it does not count them: events of a stream that have passed."""

    def passed(self, data: bytes) -> None:
        """Some of its stream goes to the client."""
        self.events += data.count(b"\n\n")
        if self.copy is not None:
            self.copy.add(data)

    @property
    def named(self) -> str:
        """The model that the upstream names so far; empty where it does not."""
        return (self.model if self.passing is None else self.passing.model) or ""


@dataclass(slots=True)
class UnderWay:
    """A call that was made before its `Caller`, and what came of it."""

    result: Reply | UpstreamError
    target: Target
    began: float
    """By the clock of `Resilience`, which is `time.monotonic`."""
    taken: bool = False

    def take(self) -> Reply:
        """Its answer.

        Raises:
            UpstreamError: it had none.
        """
        self.taken = True
        if isinstance(self.result, UpstreamError):
            raise self.result
        return self.result

    def give_up(self) -> bool:
        """Nobody waits for it any more; whether nobody had taken it."""
        if self.taken:
            return False
        self.taken = True
        if not isinstance(self.result, UpstreamError):
            self.result.close()
        return True


@dataclass(slots=True, kw_only=True)  # not frozen: that would double what making one costs
class Caller:
    """Makes attempts for one request. An answer with an error status is raised: another may follow."""

    pool: Pool
    providers: Mapping[str, Provider]
    rules: Mapping[str, Rules]
    """Candidate → what its model takes of a request that is translated for it."""
    dialect: Dialect
    """The client's."""
    body: Body
    headers: Mapping[str, str]
    hop: Mapping[str, str] = field(default_factory=dict)
    """The way of a request that has passed other gateways; every upstream gets it."""
    input_tokens: int
    trail: Trail
    output_tokens: int | None = None
    """The output limit to send to a candidate of which none is known; None: none."""
    rename: str | None = None
    """The model that the reply is to name; None: whatever the upstream names."""
    made: list[str] = field(default_factory=list)
    """Candidates that were called, in order."""
    under_way: UnderWay | None = None
    """A first call that was made already."""

    async def __call__(self, todo: Try) -> Answer:
        """Make one attempt.

        Raises:
            UpstreamError: it failed.
            TranslationError: its candidate's API cannot say what the request says.
        """
        candidate, target = self.pool[todo.attempt.candidate], todo.target
        provider = self.providers[target.provider]
        sent = self._request(candidate, target.model, provider)
        self.made.append(candidate.name)
        headers = self.headers if provider.dialect == self.dialect else {}
        if self.hop:
            headers = {**headers, **self.hop}
        if self.trail.trace is None:
            return await self._attempt(candidate, target, sent, headers)
        attempted = Attempted(
            candidate=candidate.name,
            model=target.model,
            provider=target.provider,
            dialect=provider.dialect,
            fields=self.body.fields,
        )
        with self.trail.traced(attempted) as more:
            return await self._attempt(candidate, target, sent, {**headers, **more})

    async def _attempt(
        self, candidate: Candidate, target: Target, sent: _Sent, headers: Mapping[str, str]
    ) -> Answer:
        provider = self.providers[target.provider]
        start = time.monotonic()
        if self.under_way is None or self.under_way.taken:
            reply = await self._timed(
                provider.post(
                    PATHS[provider.dialect],
                    sent.body,
                    candidate=candidate.name,
                    headers=headers,
                    stream=self.body.fields.get("stream") is True,
                )
            )
        else:
            start = self.under_way.began
            reply = self.under_way.take()
        if reply.status >= 400:
            content = await self._timed(whole_body(reply, candidate.name))
            raise answered_badly(reply, candidate.name, provider.dialect, content)
        answer = Answer(
            candidate=candidate.name,
            provider=target.provider,
            target=target.key,
            status=reply.status,
            headers=reply.headers,
            notes=sent.notes,
            asked=target.model,
        )
        if is_stream(reply.headers):
            await self._begin(answer, reply, provider.dialect, sent)
        else:
            await self._whole(answer, reply, provider.dialect)
        answer.first_byte_s = time.monotonic() - start
        return answer

    async def _timed(self, work: Awaitable[T]) -> T:
        """What the upstream gives, its time noted apart from what is done here."""
        since = time.perf_counter()
        try:
            return await work
        finally:
            self.trail.upstream_s += time.perf_counter() - since

    def _request(self, candidate: Candidate, model: str, provider: Provider) -> _Sent:
        """The bytes to send: the client's own with few fields set, or a translation."""
        fields, dialect = self.body.fields, provider.dialect
        arm = limited_arm_fields(candidate, fields, self.dialect, self.output_tokens)
        if dialect == self.dialect:
            asked = asked_usage(fields, provider)
            return _Sent(self.body.with_fields({"model": model, **arm, **asked}), bool(asked))
        rules = replace(self.rules[candidate.name], model=model, dialect=dialect)
        translated = translate_request({**fields, **arm}, self.dialect, rules)
        written = {**translated.body, **asked_usage(translated.body, provider)}
        return _Sent(json_bytes(written), not translated.include_usage, translated.notes)

    def _client(self, *, include_usage: bool) -> Client:
        return Client(
            dialect=self.dialect,
            now=int(time.time()),
            request=self.body.fields,
            include_usage=include_usage,
            input_tokens=self.input_tokens,
        )

    async def _whole(self, answer: Answer, reply: Reply, dialect: Dialect) -> None:
        content = reply.rest()  # most have come with their heads, and no more waits than is read
        if content is None:
            content = await self._timed(whole_body(reply, answer.candidate))
        refuse_page(reply, answer.candidate)
        if dialect == self.dialect:
            if "content-encoding" not in reply.headers:
                check_object(content, answer.candidate)
                found = read_usage_of_reply(dialect, content)
                answer.usage, answer.problems = found.reading.usage, found.reading.problems
                answer.model, answer.service = found.model, found.service
                answer.events = found.output_estimate
            plain = self.rename is None or "content-encoding" in reply.headers
            answer.content = content if plain else renamed_reply(content, str(self.rename))
            return
        try:
            translated = translate_reply(content, dialect, self._client(include_usage=True))
        except ReplyError as error:
            raise UpstreamError(str(error), candidate=answer.candidate) from error
        body = translated.body if self.rename is None else {**translated.body, "model": self.rename}
        answer.content = json_bytes(body)
        answer.headers = {"content-type": "application/json"}
        answer.notes += translated.dropped
        answer.usage, answer.problems = translated.usage, translated.usage_problems
        answer.model, answer.service = translated.model, translated.service
        answer.events = 0 if answer.usage else estimate_output_tokens(translated.body)

    async def _begin(self, answer: Answer, reply: Reply, dialect: Dialect, sent: _Sent) -> None:
        """Hold a stream back until its content begins, or it is over."""
        passing: Passing
        if dialect == self.dialect:
            passing = Untouched(dialect, hide_usage=sent.hide_usage)
        else:
            client = self._client(include_usage=not sent.hide_usage)
            passing = Translated(StreamTranslator(dialect, client), self.dialect)
        if self.rename is not None:
            passing = Renamed(passing, self.dialect, self.rename)
        answer.reply, answer.passing = reply, passing
        held: list[bytes] = []
        size = 0
        try:
            while not passing.answered and not passing.ended and size <= HELD_BYTES:
                chunk = await self._timed(reply.chunk())
                if chunk is None:
                    answer.reply = None
                    held.append(passing.end(answer.candidate))
                    break
                held.append(passing.feed(chunk))
                size += len(held[-1])
        except BaseException:
            reply.close()
            raise
        answer.content = b"".join(held)
        if not passing.answered:
            self._check_begun(answer, passing, reply)

    def _check_begun(self, answer: Answer, passing: Passing, reply: Reply) -> None:
        """An error, or an end, in place of any content is a failure that another attempt may mend.

        Raises:
            UpstreamError: with the upstream's own words where it had any.
        """
        failure = passing.failure(answer.content)
        if failure is not None:
            reply.close()
            raise UpstreamError(
                f"{answer.candidate} answered with an error event",
                candidate=answer.candidate,
                status=failure[0],
                body=failure[1],
                headers={"content-type": "application/json"},
                dialect=self.dialect,
            )
        if answer.reply is None and not passing.ended:
            message = f"the answer of {answer.candidate} ended before it began"
            raise UpstreamError(message, candidate=answer.candidate)


def asked_usage(request: Mapping[str, Any], provider: Provider) -> dict[str, Any]:
    """Fields by which a chat stream is asked for its usage."""
    asks = provider.dialect == "chat" and provider.stream_usage
    return ask_for_usage(request) if asks else {}


def limited_arm_fields(
    candidate: Candidate, fields: Mapping[str, Any], dialect: Dialect, output_tokens: int | None
) -> dict[str, Any]:
    """What a candidate's arm adds to a request (see `arm_fields`).

    Args:
        candidate: the one that is called.
        fields: of the request.
        dialect: the request's.
        output_tokens: the output limit to send to a candidate of which none is known; None: none.
    """
    if candidate.arm_output_tokens is None and candidate.max_output_tokens is None:
        candidate = replace(candidate, arm_output_tokens=output_tokens)
    return arm_fields(candidate, fields, dialect)


def check_object(content: bytes, candidate: str) -> None:
    """A proxy's words under status 200 are no answer, whatever type they say they are.

    Raises:
        UpstreamError: this cannot be a JSON object, which every answer is.
    """
    if content.lstrip()[:1] != b"{":
        message = f"the provider of {candidate} answered with what is no JSON object"
        raise UpstreamError(message, candidate=candidate)


def answered_badly(reply: Reply, candidate: str, dialect: Dialect, content: bytes) -> UpstreamError:
    """The error of an answer with an error status, with the upstream's own words in its dialect."""
    return UpstreamError(
        f"{candidate} answered with status {reply.status}",
        candidate=candidate,
        status=reply.status,
        body=content,
        headers=reply.headers,
        dialect=dialect,
    )


def refuse_page(reply: Reply, candidate: str) -> None:
    """Raise where a web page came in place of an answer.

    Raises:
        UpstreamError: it did.
    """
    if reply.headers.get("content-type", "").startswith("text/html"):
        message = f"the provider of {candidate} answered with a web page"
        raise UpstreamError(message, candidate=candidate)


@dataclass(slots=True)  # not frozen: that would double what making one costs
class _Sent:
    body: bytes
    hide_usage: bool
    notes: tuple[str, ...] = ()
