"""Logs of gateways: LiteLLM's spend logs and logging payload, and Helicone's export."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.data.logs.call import LogCall, Unusable
from turnout.data.logs.fields import (
    Fields,
    Row,
    finish,
    first,
    loaded,
    number,
    own_marks,
    part,
    text,
)
from turnout.data.logs.joins import Joins

_CHAT_TYPES = (
    "",
    "completion",
    "acompletion",
    "text_completion",
    "atext_completion",
    "responses",
    "aresponses",
    "anthropic_messages",
    "generate_content",
    "agenerate_content",
)


def is_litellm_spend(row: Row) -> bool:
    """A row of the table `LiteLLM_SpendLogs`, as JSON or CSV."""
    return "request_id" in row and "spend" in row and "startTime" in row


def is_litellm_payload(row: Row) -> bool:
    """LiteLLM's StandardLoggingPayload."""
    return "call_type" in row and "response_cost" in row


def read_litellm(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """One call of either kind. `cache_hit` is not read: it is not reliable."""
    del joins
    if text(row.get("call_type")) not in _CHAT_TYPES:
        yield Unusable("not_chat")
        return
    if text(row.get("status")) == "failure":
        yield Unusable("failed")
        return
    spend = is_litellm_spend(row)
    metadata, messages = loaded(row.get("metadata")), loaded(row.get("messages"))
    usage = first(part(metadata, "usage_object"), part(row, "hidden_params", "usage_object"))
    proxied = loaded(row.get("proxy_server_request"))
    body = messages if messages else first(part(proxied, "body"), proxied)
    yield finish(
        Fields(
            format="litellm-spend" if spend else "litellm-payload",
            body={"messages": body} if isinstance(body, list | str) else body,
            response=row.get("response"),
            id=first(row.get("request_id"), row.get("id")),
            start=row.get("startTime"),
            end=row.get("endTime"),
            session=first(row.get("session_id"), row.get("trace_id")),
            model=row.get("model"),
            input_tokens=row.get("prompt_tokens"),
            cached_tokens=first(
                part(usage, "cache_read_input_tokens"),
                part(usage, "prompt_tokens_details", "cached_tokens"),
            ),
            output_tokens=row.get("completion_tokens"),
            cost_usd=first(row.get("spend"), row.get("response_cost")),
            no_prompt="no_prompt_litellm" if spend else "no_prompt",
            **own_marks({**row, "metadata": metadata}),
        )
    )


def is_helicone(row: Row) -> bool:
    """A row of `@helicone/export`, JSONL or CSV."""
    return "request_created_at" in row and ("request_body" in row or "response_id" in row)


def read_helicone(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """One request; its bodies are there only if they were asked for. Latency is in ms."""
    del joins
    status = number(row.get("response_status"))
    if status is not None and status >= 400:
        yield Unusable("failed")
        return
    properties = loaded(first(row.get("request_properties"), row.get("properties")))
    rating = first(row.get("feedback_rating"), part(row, "feedback", "rating"))
    marks = own_marks(row)
    yield finish(
        Fields(
            format="helicone",
            body=loaded(row.get("request_body")),
            response=loaded(row.get("response_body")),
            id=first(row.get("request_id"), row.get("response_id")),
            start=row.get("request_created_at"),
            latency_ms=first(row.get("latency"), row.get("delay_ms")),
            session=first(part(properties, "Helicone-Session-Id"), row.get("session_id")),
            model=first(*(row.get(n) for n in ("model", "response_model", "request_model"))),
            input_tokens=row.get("prompt_tokens"),
            cached_tokens=row.get("prompt_cache_read_tokens"),
            output_tokens=row.get("completion_tokens"),
            cost_usd=first(row.get("cost"), row.get("costUSD"), row.get("cost_usd")),
            score=first(rating, marks["score"]),
            propensity=first(marks["propensity"], part(properties, "propensity")),
            decision_id=first(marks["decision_id"], part(properties, "decision_id")),
            no_prompt="no_prompt_helicone",
        )
    )
