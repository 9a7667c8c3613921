"""Which headers cross the gateway, and the ones that explain a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from turnout.explaining import plain_reason
from turnout.ids import id_maker
from turnout.types import PICO, Decision

REASON_CAP = 300
"""Characters of `x-turnout-reason`."""

_TO_UPSTREAM = ("openai-beta", "anthropic-version", "anthropic-beta", "idempotency-key",
                "traceparent", "tracestate")  # fmt: skip
_TO_CLIENT = frozenset({"content-type", "content-encoding", "retry-after", "retry-after-ms",
                        "x-request-id", "request-id", "x-should-retry"})  # fmt: skip
_TO_CLIENT_PREFIXES = ("openai-", "x-ratelimit-", "anthropic-ratelimit-")


def to_upstream(headers: Mapping[str, str]) -> dict[str, str]:
    """The client's headers that an upstream may see. Keys and cookies are never among them."""
    if headers.keys().isdisjoint(_TO_UPSTREAM):
        return {}
    return {name: headers[name] for name in _TO_UPSTREAM if name in headers}


def to_client(headers: Mapping[str, str]) -> dict[str, str]:
    """The upstream's headers that the client may see."""
    return {
        name: value
        for name, value in headers.items()
        if name in _TO_CLIENT or name.startswith(_TO_CLIENT_PREFIXES)
    }


new_request_id = id_maker("req_", 12)
"""An id for a reply to which no upstream gave one."""


def decision_headers(decision: Decision) -> dict[str, str]:
    """`x-turnout-*`: what was decided and why. A header whose value is not known is left out."""
    model = decision.model
    found = {
        "x-turnout-decision-id": decision.id,
        "x-turnout-model": _safe_name(model),
        "x-turnout-router": _safe_name(decision.router),
    }
    score = decision.win_rate
    if score is None:
        score = decision.quality.get(model)
    if score is not None:
        found["x-turnout-score"] = f"{score:.4f}"
    found["x-turnout-reason"] = header_safe(f"{decision.code}: {plain_reason(decision)}")
    cost = decision.expected_cost_picousd.get(model)
    if cost is not None:
        found["x-turnout-cost-usd"] = picousd_decimal(cost)
    if decision.certificate is not None:
        found["x-turnout-certificate"] = decision.certificate
    if decision.propensity is not None:
        found["x-turnout-propensity"] = f"{decision.propensity:.6g}"
    if decision.experiment:
        found["x-turnout-experiment"] = header_safe("{name}/{arm}".format(**decision.experiment))
    if decision.shadow:
        said = f"{decision.shadow['route']}: {decision.shadow['model']}"
        found["x-turnout-shadow"] = header_safe(said)
    if decision.fallback:
        found["x-turnout-fallback"] = "true"
    return found


def answer_headers(
    called: Sequence[str], notes: Sequence[str] = (), other_model: str = ""
) -> dict[str, str]:
    """What became of a decision: who answered, after how many calls, what a translation left out.

    Args:
        called: candidates, in order.
        notes: names and rules, never values.
        other_model: the one that the upstream names, where it is not the one it was asked for.
    """
    found = {}
    if called:
        found["x-turnout-model"] = _safe_name(called[-1])
    if len(called) > 1:
        found["x-turnout-calls"] = str(len(called))
    if other_model:
        found["x-turnout-upstream-model"] = header_safe(other_model)
    if notes:
        found["x-turnout-translation"] = header_safe("; ".join(notes))
    return found


def refusal_headers(code: str) -> dict[str, str]:
    """`x-turnout-*` of a request that was refused before a decision; the body has the sentence."""
    return {"x-turnout-reason": header_safe(code)}


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent, each with its line's end.

    Raises:
        RuntimeError: one would break out of its line.
    """
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise RuntimeError("a header of an answer holds a line break")
    return lines.encode("latin-1")


def picousd_decimal(picousd: int) -> str:
    """USD as a fixed-point decimal, never in exponent notation."""
    whole, rest = divmod(abs(picousd), PICO)
    digits = f"{whole}.{rest:012d}".rstrip("0").rstrip(".")
    return f"-{digits}" if picousd < 0 else digits


def header_safe(text: str) -> str:
    """Printable ASCII on one line, of a bounded length."""
    text = text[:REASON_CAP]
    if text.isascii() and text.isprintable():
        return text.strip()
    return "".join(c if " " <= c <= "~" else "?" if c > "~" else " " for c in text).strip()


_safe_name = lru_cache(maxsize=1024)(header_safe)
"""For names of the settings, which come again and again."""
