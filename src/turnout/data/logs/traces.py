"""Traces of observability platforms: Langfuse's exports, MLflow's traces, Weave's calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from turnout.data.logs.call import LogCall, Unusable
from turnout.data.logs.fields import (
    Fields,
    Row,
    finish,
    first,
    loaded,
    moment,
    number,
    own_marks,
    part,
    text,
)
from turnout.data.logs.joins import Joins


def is_langfuse(row: Row) -> bool:
    """A row of `observations_v2/` or of the legacy `observations/`, or of Langfuse's API."""
    return ("trace_id" in row or "traceId" in row) and (
        "provided_model_name" in row or "usage_details" in row or "usageDetails" in row
    )


def read_langfuse(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """A generation; a legacy row gets its session and score from the other files."""
    if text(row.get("type")).upper() not in ("GENERATION", ""):
        yield Unusable("not_chat")
        return
    if text(row.get("level")).upper() == "ERROR":
        yield Unusable("failed")
        return
    usage = loaded(first(row.get("usage_details"), row.get("usageDetails")))
    costs = loaded(first(row.get("cost_details"), row.get("costDetails")))
    trace = text(first(row.get("trace_id"), row.get("traceId")))
    marks = own_marks(row)
    latency = number(row.get("latency"))
    cached, whole = _langfuse_input(usage)
    yield finish(
        Fields(
            format="langfuse" if "session_id" in row or "sessionId" in row else "langfuse-legacy",
            body=_maybe_body(row.get("input"), first(row.get("tool_definitions"))),
            response=row.get("output"),
            id=row.get("id"),
            start=first(row.get("start_time"), row.get("startTime")),
            end=first(row.get("end_time"), row.get("endTime")),
            latency_ms=None if latency is None else latency * 1e3,
            session=first(
                row.get("session_id"), row.get("sessionId"), joins.sessions.get(trace), trace
            ),
            model=first(
                *(row.get(n) for n in ("provided_model_name", "model", "providedModelName"))
            ),
            input_tokens=whole,
            cached_tokens=cached,
            output_tokens=part(usage, "output"),
            cost_usd=first(row.get("total_cost"), row.get("totalCost"), part(costs, "total")),
            score=first(marks["score"], joins.score(text(row.get("id")), trace)),
            propensity=marks["propensity"],
            decision_id=marks["decision_id"],
        )
    )


def _langfuse_input(usage: Any) -> tuple[Any, Any]:
    """Cached and all input tokens: Langfuse keeps cached ones in keys of their own beside `input`."""
    fresh = number(part(usage, "input"))
    if not isinstance(usage, Mapping) or fresh is None:
        return None, None
    kept = {k: number(v) or 0.0 for k, v in usage.items() if "cache" in k}
    reads = sum(v for k, v in kept.items() if "creation" not in k and "write" not in k)
    return (reads if kept else None), fresh + sum(kept.values())


def _maybe_body(value: Any, tools: Any = None) -> Any:
    body = loaded(value)
    if isinstance(body, list) and tools:
        return {"messages": body, "tools": tools}
    return body


def is_mlflow(row: Row) -> bool:
    """An MLflow trace: `info` and `data.spans`."""
    return "info" in row and isinstance(part(row, "data", "spans"), list)


_MLFLOW_CALLS = ("CHAT_MODEL", "LLM")


def read_mlflow(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """Every chat model span of a trace; other spans are steps, not calls."""
    del joins
    info = row["info"]
    metadata = first(part(info, "trace_metadata"), part(info, "request_metadata"))
    session = part(metadata, "mlflow.trace.session")
    trace = first(part(info, "trace_id"), part(info, "request_id"))
    for span in row["data"]["spans"]:
        said = {k: loaded(v) for k, v in (part(span, "attributes") or {}).items()}
        kind = text(said.get("mlflow.spanType")).strip('"')
        if kind not in _MLFLOW_CALLS:
            yield Unusable("not_chat")
            continue
        if "ERROR" in text(first(part(span, "status", "code"), part(span, "status_code"))):
            yield Unusable("failed")
            continue
        usage, inputs = said.get("mlflow.chat.tokenUsage"), said.get("mlflow.spanInputs")
        yield finish(
            Fields(
                format="mlflow",
                body=first(inputs, said.get("mlflow.chat.messages")),
                response=said.get("mlflow.spanOutputs"),
                id=first(part(span, "span_id"), part(span, "context", "span_id")),
                start=first(part(span, "start_time_unix_nano"), part(span, "start_time")),
                end=first(part(span, "end_time_unix_nano"), part(span, "end_time")),
                session=first(session, trace),
                model=first(text(said.get("mlflow.llm.model")).strip('"'), part(inputs, "model")),
                input_tokens=part(usage, "input_tokens"),
                cached_tokens=part(usage, "cache_read_input_tokens"),
                output_tokens=part(usage, "output_tokens"),
                cost_usd=part(said.get("mlflow.llm.cost"), "total_cost"),
            )
        )


def is_weave(row: Row) -> bool:
    """A call of W&B Weave's export."""
    return "op_name" in row and "inputs" in row


def read_weave(row: Row, joins: Joins) -> Iterator[LogCall | Unusable]:
    """A call of an op whose inputs are a chat request; the usage is keyed by model."""
    del joins
    inputs = loaded(row["inputs"])
    asks = isinstance(inputs, Mapping) and any(
        present in inputs for present in ("messages", "input", "prompt", "contents")
    )
    if not asks:
        yield Unusable("not_chat")
        return
    if row.get("exception"):
        yield Unusable("failed")
        return
    by_model = part(loaded(row.get("summary")), "usage")
    model, usage = (
        next(iter(by_model.items())) if isinstance(by_model, Mapping) and by_model else (None, {})
    )
    costs = part(loaded(row.get("summary")), "weave", "costs", text(model))
    rates = ("prompt_tokens_total_cost", "completion_tokens_total_cost")
    spent = [v for v in (number(part(costs, n)) for n in rates) if v is not None]
    start, end = moment(row.get("started_at")), moment(row.get("ended_at"))
    yield finish(
        Fields(
            format="weave",
            body=inputs,
            response=row.get("output"),
            id=row.get("id"),
            start=start,
            end=end,
            session=first(row.get("thread_id"), row.get("trace_id")),
            model=first(model, inputs.get("model")),
            input_tokens=first(part(usage, "prompt_tokens"), part(usage, "input_tokens")),
            cached_tokens=part(usage, "prompt_tokens_details", "cached_tokens"),
            output_tokens=first(part(usage, "completion_tokens"), part(usage, "output_tokens")),
            cost_usd=sum(spent) if spent else None,
            **own_marks({**row, "metadata": row.get("attributes")}),
        )
    )
