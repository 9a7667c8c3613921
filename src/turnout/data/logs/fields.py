"""What a format finds in its records, before it is checked; and how it is checked, once for all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from turnout.data.logs.call import LogCall, Unusable
from turnout.errors import RequestError
from turnout.types import PICO
from turnout.wire.chat import read_query
from turnout.wire.dialects import Dialect
from turnout.wire.usage import read_usage

Row = Mapping[str, Any]

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool"}
_MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Raw values of one call; any may be missing or of another type than it should be."""

    format: str
    body: Any = None
    """The request: an object with messages, a list of messages, or text."""
    response: Any = None
    """The answer: OpenAI's or Anthropic's object, a message, or text."""
    id: Any = None
    start: Any = None
    end: Any = None
    latency_ms: Any = None
    session: Any = None
    model: Any = None
    input_tokens: Any = None
    cached_tokens: Any = None
    output_tokens: Any = None
    cost_usd: Any = None
    score: Any = None
    propensity: Any = None
    decision_id: Any = None
    no_prompt: str = "no_prompt"
    """The reason where there is no prompt."""
    doubts: tuple[str, ...] = ()


def finish(fields: Fields) -> LogCall | Unusable:
    """The call that raw values make, or why they make none."""
    body = loaded(fields.body)
    messages = messages_of(body)
    if not messages:
        return Unusable(fields.no_prompt)
    request = {**body, "messages": messages} if isinstance(body, dict) else {"messages": messages}
    try:
        query = read_query(request)
    except RequestError:
        return Unusable("bad_messages")
    if not query.text.strip():
        return Unusable("no_user_text")
    doubts = list(fields.doubts)
    response = loaded(fields.response)
    usage = usage_of(response)
    doubts += [usage["doubt"]] if "doubt" in usage else []
    start, latency = _timing(fields, doubts)
    return LogCall(
        format=fields.format,
        id=text(fields.id),
        time=start,
        session=text(fields.session),
        model=text(fields.model) or text(part(response, "model")) or text(part(body, "model")),
        messages=tuple(messages),
        query=query,
        answer=answer_of(response),
        input_tokens=_tokens(first(fields.input_tokens, usage.get("input")), doubts),
        cached_tokens=_tokens(first(fields.cached_tokens, usage.get("cached")), doubts),
        output_tokens=_tokens(first(fields.output_tokens, usage.get("output")), doubts),
        cost_usd=_within(
            first(fields.cost_usd, usage.get("cost_usd")), 0.0, math.inf, "bad_cost", doubts
        ),
        latency_ms=latency,
        score=_within(fields.score, 0.0, 1.0, "bad_score", doubts),
        propensity=_within(fields.propensity, 1e-12, 1.0, "bad_propensity", doubts),
        decision_id=text(fields.decision_id),
        doubts=tuple(doubts),
    )


def _timing(fields: Fields, doubts: list[str]) -> tuple[float | None, float | None]:
    start, end = moment(fields.start), moment(fields.end)
    if start is None and present(fields.start):
        doubts.append("bad_time")
    latency = number(fields.latency_ms)
    if latency is None and start is not None and end is not None:
        latency = (end - start) * 1e3
    if latency is not None and not 0.0 <= latency < math.inf:
        doubts.append("ends_before_start")
        latency = None
    return start, latency


def _tokens(value: Any, doubts: list[str]) -> int | None:
    found = number(value)
    if found is None:
        if present(value):
            doubts.append("bad_tokens")
        return None
    if not (0 <= found <= _MOST_TOKENS and found == int(found)):
        doubts.append("bad_tokens")
        return None
    return int(found)


def _within(value: Any, low: float, high: float, doubt: str, doubts: list[str]) -> float | None:
    found = number(value)
    if found is not None and low <= found <= high and math.isfinite(found):
        return found
    if present(value):
        doubts.append(doubt)
    return None


def present(value: Any) -> bool:
    """Whether a value says anything: not None and not empty."""
    return value is not None and value != ""


def first(*values: Any) -> Any:
    """The first value that says anything, or None."""
    for value in values:
        if value is not None and value != "":
            return value
    return None


def part(value: Any, *path: str | int) -> Any:
    """What stands at a path of names and places in a JSON value; None where it ends early."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if -len(value) <= step < len(value) else None
        else:
            return None
    return value


def text(value: Any) -> str:
    """A string as it is, a number in digits; else empty."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def number(value: Any) -> float | None:
    """A number, true or false as 1 or 0, or the number that a string spells; else None."""
    if value is None:
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, str) and value.strip():
        try:
            return float(value)
        except ValueError:
            return {"true": 1.0, "false": 0.0}.get(value.strip().lower())
    return None


def moment(value: Any) -> float | None:
    """Seconds since 1970: a number of s, ms, µs or ns by its size, or an ISO date (UTC if naive)."""
    found = number(value)
    if found is not None:
        for limit, unit in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
            if abs(found) >= limit:
                return found / unit
        return found if math.isfinite(found) else None
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def loaded(value: Any) -> Any:
    """A JSON object or list that was logged as a string; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def messages_of(body: Any) -> list[dict[str, Any]]:
    """The messages of a request in OpenAI's form; empty where it holds no prompt.

    Read are `messages` (with Anthropic's `system` beside), `input` of the Responses API, `prompt` of
    legacy completions, `contents` of Gemini, a list of messages alone, and text alone.
    """
    if isinstance(body, str):
        return [{"role": "user", "content": body}] if body.strip() else []
    if isinstance(body, list):
        return [_message(m) for m in _flat(body)]
    if not isinstance(body, dict):
        return []
    for name in ("messages", "input", "prompt", "contents"):
        found = messages_of(_prompt(body[name])) if present(body.get(name)) else []
        if found:
            system = first(
                body.get("system"), body.get("instructions"), body.get("systemInstruction")
            )
            lead = messages_of([{"role": "system", "content": _content(system)}]) if system else []
            return [*lead, *found]
    return [_message(body)] if "role" in body else []


def _prompt(value: Any) -> Any:
    value = loaded(value)
    listed = isinstance(value, list) and bool(value)
    if listed and all(isinstance(v, str) for v in value):  # legacy completions take several
        return "\n".join(value)
    return value


def _flat(rows: Iterable[Any]) -> Iterable[Any]:
    """Messages of a list that may be nested once, as batched LangChain calls are."""
    for row in rows:
        if isinstance(row, list):
            yield from row
        else:
            yield row


def _message(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"role": "user", "content": value}
    if not isinstance(value, dict):
        return {"role": None}
    if isinstance(value.get("message"), dict):  # OpenInference nests a message once more
        value = value["message"]
    role = value.get("role", value.get("type"))
    role = _ROLES.get(role, role) if isinstance(role, str) else "user"
    content = value.get("content", value.get("parts"))
    kept = {"tool_calls": value["tool_calls"]} if value.get("tool_calls") else {}
    return {"role": role, "content": _content(content), **kept}


def _content(content: Any) -> Any:
    """Content as a string or as parts in OpenAI's form; OTel and Gemini name their text otherwise."""
    if isinstance(content, dict):
        content = content.get("parts", [content])
    if not isinstance(content, list):
        return content if isinstance(content, str) or content is None else str(content)
    return [_part(p) for p in content]


def _part(value: Any) -> Any:
    if not isinstance(value, dict):
        return value if isinstance(value, str) else str(value)
    if isinstance(value.get("content"), str) and value.get("type", "text") == "text":
        return {"type": "text", "text": value["content"]}
    if isinstance(value.get("text"), str) and "type" not in value:
        return {"type": "text", "text": value["text"]}
    return value


def answer_of(response: Any) -> str:
    """Text of an answer: of a completion, a message, a list of messages, or text alone."""
    if isinstance(response, str):
        return response
    if isinstance(response, list):
        return answer_of(response[-1]) if response else ""
    if not isinstance(response, dict):
        return ""
    for found in (
        part(response, "choices", 0, "message"),
        part(response, "choices", 0, "text"),
        part(response, "message"),
        part(response, "output"),
        part(response, "response"),
    ):
        if present(found):
            return answer_of(found)
    content = _content(response.get("content", response.get("parts")))
    if isinstance(content, list):
        return "\n".join(p["text"] for p in content if isinstance(part(p, "text"), str))
    return content or ""


def usage_of(response: Any) -> dict[str, Any]:
    """Input, cached and output tokens and cost of an answer's `usage`, in any API's shape.

    Counts that cannot be believed are left out, and `doubt` says so.
    """
    given = part(response, "usage")
    if not isinstance(given, dict):
        return {}
    reading = read_usage(_dialect(given), given)
    usage = reading.usage
    if usage is None:
        return {"doubt": "bad_tokens"} if reading.problems else {}
    details = first(given.get("prompt_tokens_details"), given.get("input_tokens_details"))
    told = [*given, *(details if isinstance(details, dict) else ())]
    cached = max(usage.cache_read_tokens, number(given.get("cache_read_input_tokens")) or 0)
    return {
        "input": usage.total_input_tokens,
        "cached": cached if any("cache" in name for name in told) else None,
        "output": usage.output_tokens,
        "cost_usd": None if usage.cost_picousd is None else usage.cost_picousd / PICO,
    }


def _dialect(usage: Row) -> Dialect:
    """Whose counts these are: OpenAI's hold cached tokens within the input, Anthropic's beside it."""
    if "prompt_tokens" in usage:
        return "chat"
    beside = ("cache_read_input_tokens", "cache_creation_input_tokens")
    return "messages" if any(name in usage for name in beside) else "responses"


def own_marks(row: Row) -> dict[str, Any]:
    """Score, propensity and decision id where a row or its metadata carries them."""
    metadata = loaded(row.get("metadata"))
    places = [row, row.get("turnout"), part(metadata, "turnout"), metadata]
    known = [place for place in places if isinstance(place, dict)]
    return {
        name: first(*(place.get(name) for place in known))
        for name in ("score", "propensity", "decision_id")
    }
