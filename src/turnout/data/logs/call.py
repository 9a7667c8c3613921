"""One call of a log, whatever wrote it, and the count of what could not be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.types import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCall:
    """A call to a model as a log tells it. What the log does not tell is None."""

    format: str
    """Which format it was read from, such as `litellm-spend`."""
    id: str = ""
    """The log's own id; empty where there is none. An id given twice is the same call."""
    time: float | None = None
    """Start, in seconds since 1970 (UTC)."""
    session: str = ""
    """Conversation or trace; empty where the log names none."""
    model: str = ""
    """The model that answered, as the log names it."""
    messages: tuple[Mapping[str, Any], ...]
    """The request's messages in OpenAI's form."""
    query: Query
    """What routers read of them."""
    answer: str = ""
    """Text of the answer, where the log holds it."""
    input_tokens: int | None = None
    """All input, cached tokens among it."""
    cached_tokens: int | None = None
    """Input tokens that were read from the provider's cache."""
    output_tokens: int | None = None
    cost_usd: float | None = None
    """What was paid, as recorded."""
    latency_ms: float | None = None
    score: float | None = None
    """Quality of the answer in [0, 1]: a score or feedback that was logged."""
    propensity: float | None = None
    """Chance with which this model was chosen, in (0, 1]."""
    decision_id: str = ""
    doubts: tuple[str, ...] = ()
    """Codes of `REASONS` for what was left out of this call (a score of 7, say)."""

    @property
    def opening(self) -> str:
        """System text and the first user message: what the turns of a conversation share."""
        first = next((m for m in self.messages if m.get("role") == "user"), {})
        return f"{self.query.system}\0{first.get('content', '')}"


REASONS: Mapping[str, str] = {
    "truncated": "a line that breaks off before its JSON ends",
    "not_json": "a line that is not JSON",
    "not_utf8": "bytes that are not UTF-8",
    "broken_archive": "compressed data that ends early: what came before was read",
    "not_object": "a JSON value that is not an object",
    "ragged": "a CSV row with more or fewer fields than the header",
    "unknown_shape": "an object of no known log format",
    "no_prompt": "this log holds no prompt for this call",
    "no_prompt_litellm": (
        "this log holds no prompts: turn on store_prompts_in_spend_logs in LiteLLM's general_settings"
    ),
    "no_prompt_helicone": "this export holds no bodies: export it with --include-body",
    "no_prompt_otel": "this span holds no messages: turn on the capture of message content",
    "bad_messages": "messages that are not chat messages",
    "no_user_text": "no user text in the messages",
    "failed": "a call that failed: it says nothing of what an answer costs",
    "not_chat": "not a chat call (an embedding, an image, a tool or another step of a trace)",
    "lone_output": "a batch's output whose input is in none of the files",
    "ambiguous_output": "a batch's custom_id that several outputs share: its tokens are not known",
    "bad_score": "a score outside [0, 1] was left out",
    "bad_propensity": "a propensity outside (0, 1] was left out",
    "bad_tokens": "a token count that is not one was left out",
    "bad_cost": "a cost that is not one was left out",
    "bad_time": "a time that cannot be read was left out",
    "ends_before_start": "a wrong clock: the call ends before it starts; its latency was left out",
}
"""What may be wrong with a record, by code. Those of `LogCall.doubts` leave the call in use."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A record that gives no call, and why: a code of `REASONS`."""

    reason: str


@dataclass(slots=True)
class Findings:
    """How often each reason was met, and where first. Adds up in the order of the parts."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Reason → file and line."""

    def add(self, reason: str, where: str, line: int, count: int = 1) -> None:
        """Count one more."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        self.first.setdefault(reason, (where, line))

    def __iter__(self) -> Iterator[tuple[str, int, str, int]]:
        """Reason, count, file and line of the first, most frequent first."""
        for reason in sorted(self.counts, key=lambda r: (-self.counts[r], r)):
            yield (reason, self.counts[reason], *self.first[reason])
