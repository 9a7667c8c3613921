"""Streams as the providers send them, and as the other dialects' clients are given them.

`golden/chat.sse`, `responses.sse` and `messages.sse` are the same answer (text, two tool calls; in two of
them reasoning) in each API's own form; `A_to_B.sse` is what a client of B is given where A answers. After
a change on purpose: `TURNOUT_UPDATE_GOLDEN=1 pytest tests/wire/test_golden_streams.py`, and read the diff.
"""

from __future__ import annotations

import json
import os
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from judges import anthropic_client, event_type, openai_client, pieces, replying

from turnout.types import Usage
from turnout.wire.dialects import DIALECTS, Dialect
from turnout.wire.sse import read_events
from turnout.wire.streams import StreamTranslator
from turnout.wire.translate import Client

GOLDEN = Path(__file__).parent / "golden"
PAIRS = list(permutations(DIALECTS, 2))
SAID = "Let me look: é😀"
THOUGHT = "The user wants the weather."


def given(name: str) -> bytes:
    return (GOLDEN / f"{name}.sse").read_bytes()


def client(dialect: Dialect, **changes: Any) -> Client:
    return Client(dialect=dialect, now=1_764_000_100, **changes)


def translated(source: Dialect, target: Dialect, **changes: Any) -> bytes:
    translator = StreamTranslator(source, client(target, **changes))
    return translator.feed(given(source)) + translator.end()


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_streams_are_as_reviewed(source: Dialect, target: Dialect) -> None:
    path = GOLDEN / f"{source}_to_{target}.sse"
    found = translated(source, target)
    if os.environ.get("TURNOUT_UPDATE_GOLDEN"):
        path.write_bytes(found)
    assert found == path.read_bytes()


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_split_of_the_bytes_gives_the_same(source: Dialect, target: Dialect) -> None:
    stream, whole = given(source), translated(source, target)
    for cut in range(0, len(stream), 31):
        translator = StreamTranslator(source, client(target))
        found = translator.feed(stream[:cut]) + translator.feed(stream[cut:]) + translator.end()
        assert found == whole, cut
    for size in (1, 2, 3, 5):
        translator = StreamTranslator(source, client(target))
        found = b"".join(map(translator.feed, pieces(stream, size))) + translator.end()
        assert found == whole, size


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_event_is_of_the_sdks_own_type(source: Dialect, target: Dialect) -> None:
    adapter = event_type(target)
    events = [json.loads(e) for e in read_events(translated(source, target)) if e != "[DONE]"]
    assert events
    for event in events:
        if event.get("type") != "ping":  # which Anthropic's SDK takes out before
            adapter.validate_python(event)


@pytest.mark.parametrize("source", DIALECTS)
def test_usage_is_read(source: Dialect) -> None:
    target: Dialect = "messages" if source == "chat" else "chat"
    translator = StreamTranslator(source, client(target))
    translator.feed(given(source))
    expected = {
        "chat": Usage(
            input_tokens=176, cache_read_tokens=1024, output_tokens=60, reasoning_tokens=20
        ),
        "responses": Usage(
            input_tokens=76,
            cache_read_tokens=1024,
            cache_write_5m_tokens=60,
            cache_write_1h_tokens=40,
            output_tokens=60,
            reasoning_tokens=20,
        ),
        "messages": Usage(
            input_tokens=176,
            cache_read_tokens=1024,
            cache_write_5m_tokens=200,
            cache_write_1h_tokens=100,
            output_tokens=60,
            reasoning_tokens=20,
        ),
    }
    assert translator.usage == expected[source]
    assert translator.usage_problems == ()
    assert translator.over
    assert translator.failed is None


def chat_summary(stream: bytes) -> dict[str, Any]:
    """What OpenAI's SDK makes of a chat stream, by its own accumulator."""
    sdk = openai_client(replying(pieces(stream, 11), stream=True))
    with sdk.chat.completions.stream(
        model="m", messages=[], stream_options={"include_usage": True}
    ) as events:
        for _ in events:
            pass
        final = events.get_final_completion()
    message = final.choices[0].message
    calls = [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ()]
    thought = getattr(message, "reasoning_content", None)
    finish, usage = final.choices[0].finish_reason, final.usage
    assert usage is not None
    return {
        "text": message.content,
        "thought": thought,
        "calls": calls,
        "finish": finish,
        "tokens": (usage.prompt_tokens, usage.completion_tokens),
    }


def responses_summary(stream: bytes) -> dict[str, Any]:
    """What OpenAI's SDK makes of a Responses stream, by its own accumulator."""
    sdk = openai_client(replying(pieces(stream, 11), stream=True))
    with sdk.responses.stream(model="m", input="x") as events:
        numbers = [event.sequence_number for event in events]
        final = events.get_final_response()
    assert numbers == sorted(numbers)
    calls = [(i.call_id, i.name, i.arguments) for i in final.output if i.type == "function_call"]
    thoughts = [p.text for i in final.output if i.type == "reasoning" for p in i.summary]
    assert final.usage is not None
    return {
        "text": final.output_text,
        "thought": "".join(thoughts) or None,
        "calls": calls,
        "finish": final.status,
        "tokens": (final.usage.input_tokens, final.usage.output_tokens),
    }


def messages_summary(stream: bytes) -> dict[str, Any]:
    """What Anthropic's SDK makes of a Messages stream, by its own accumulator."""
    sdk = anthropic_client(replying(pieces(stream, 11), stream=True))
    with sdk.messages.stream(model="m", max_tokens=9, messages=[]) as events:
        for _ in events:
            pass
        final = events.get_final_message()
    usage = final.usage
    total = usage.input_tokens + (usage.cache_read_input_tokens or 0)
    return {
        "text": "".join(b.text for b in final.content if b.type == "text"),
        "thought": "".join(b.thinking for b in final.content if b.type == "thinking") or None,
        "calls": [(b.id, b.name, b.input) for b in final.content if b.type == "tool_use"],
        "finish": final.stop_reason,
        "tokens": (total + (usage.cache_creation_input_tokens or 0), usage.output_tokens),
    }


SUMMARIES = {
    "chat": chat_summary,
    "responses": responses_summary,
    "messages": messages_summary,
}
FINISHES = {"chat": "tool_calls", "responses": "completed", "messages": "tool_use"}


@pytest.mark.parametrize("target", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
def test_the_sdk_of_the_client_reads_the_whole_answer(source: Dialect, target: Dialect) -> None:
    stream = given(source) if source == target else translated(source, target)
    found = SUMMARIES[target](stream)
    assert found["text"] == SAID
    assert found["thought"] == (None if source == "chat" else THOUGHT)
    ids, names, arguments = zip(*found["calls"], strict=True)
    assert [i.removeprefix("toolu_01").removeprefix("call_") for i in ids] == ["Ax1", "Bx2"]
    assert names == ("get_weather", "get_time")
    if target == "messages":
        assert arguments == ({"city": "Bern"}, {})
    else:
        assert [a.replace(" ", "") for a in arguments] == ['{"city":"Bern"}', "{}"]
    assert found["finish"] == FINISHES[target]
    assert found["tokens"] == ((1500, 60) if source == "messages" else (1200, 60))
