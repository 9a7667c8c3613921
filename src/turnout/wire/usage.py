"""Token counts of each dialect ⇄ `Usage`: what is inside what, and what is not believed.

    chat        prompt_tokens holds cached_tokens and cache_write_tokens
    responses   input_tokens holds cached_tokens and cache_write_tokens
    messages    input_tokens holds neither cache_read_input_tokens nor cache_creation_input_tokens

Reasoning is inside the output in all three. Some OpenAI-compatible providers leave it out of
`completion_tokens` and only count it in the total; then it is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from turnout.types import BYTES_PER_TOKEN, PICO, Usage
from turnout.wire.dialects import Dialect
from turnout.wire.reading import OBJECT, kind

MOST_TOKENS = 100_000_000
"""More tokens of one kind in one call are not believed."""

_MOST_USD = 1_000_000
_COSTS = ("cost", "cost_in_usd_ticks")


@dataclass(slots=True)  # not frozen: that would double what making one costs
class UsageReading:
    """What an upstream says it used; None where it does not say, or nothing believable."""

    usage: Usage | None
    problems: tuple[str, ...] = ()
    """Counts that were not believed, by name."""


def read_usage(dialect: Dialect, given: Any) -> UsageReading:
    """Read a `usage` object.

    An explicit 0 is kept. A count that is negative, absurd or not a whole number is not believed:
    without input and output counts there is no usage; another count is left out, so that its tokens
    count as plain ones. Each is named in `problems`.
    """
    if given is None:
        return UsageReading(None)
    if not isinstance(given, OBJECT):
        return UsageReading(None, (f"usage is {kind(given)}",))
    if dialect == "chat" and _PLAIN_CHAT.issuperset(given):
        read = _plain_chat(given)
        if read is not None:
            return read
    counts = _Counts(given)
    if dialect == "messages":
        usage = _outside(counts)
        return UsageReading(usage, tuple(counts.problems))
    usage = _inside(counts, _CHAT if dialect == "chat" else _RESPONSES)
    return UsageReading(usage, tuple(counts.problems))


_PLAIN_CHAT = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})


def _plain_chat(given: Mapping[str, Any]) -> UsageReading | None:
    """What `_inside` finds where there are the two counts and nothing beside, at a quarter of its time."""
    whole, output = given.get("prompt_tokens"), given.get("completion_tokens")
    if type(whole) is not int or type(output) is not int:
        return None
    total = given.get("total_tokens", 0)
    if type(total) is not int or not 0 <= total <= MOST_TOKENS:
        return None
    if not (0 <= whole <= MOST_TOKENS and 0 <= output <= MOST_TOKENS):
        return None
    return UsageReading(Usage(input_tokens=whole, output_tokens=output))


@dataclass(slots=True)  # not frozen: that would double what making one costs
class ReplyReading:
    """What a whole reply says of the call that it came of."""

    reading: UsageReading
    model: str | None = None
    """The model that it names."""
    service: str = ""
    """The service tier that it was served in, where it says one."""
    output_estimate: int = 0
    """Tokens of its text, for a reply that does not count them."""


def read_usage_of_reply(dialect: Dialect, body: bytes) -> ReplyReading:
    """What a whole reply says that it used, and the model that it names.

    Args:
        dialect: the reply's.
        body: its bytes; those that are no JSON object say nothing.
    """
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, OBJECT):
        return ReplyReading(UsageReading(None))
    model, reading = given.get("model"), read_usage(dialect, given.get("usage"))
    return ReplyReading(
        reading,
        model if isinstance(model, str) else None,
        service_of(dialect, given),
        0 if reading.usage is not None else estimate_output_tokens(given),
    )


def service_of(dialect: Dialect, reply: Mapping[str, Any]) -> str:
    """The service tier that a reply, or an event of it, says it was served in; empty: it does not say.

    Anthropic says it in the usage, and its fast mode as a speed.
    """
    holder = reply
    if dialect == "messages":
        usage = reply.get("usage")
        holder = usage if isinstance(usage, Mapping) else {}
        if holder.get("speed") == "fast":
            return "fast"
    found = holder.get("service_tier")
    return found if isinstance(found, str) and len(found) <= _LONGEST_SERVICE else ""


_TEXTS = frozenset({"content", "text", "arguments", "reasoning_content", "refusal", "thinking"})
_LONGEST_SERVICE = 32


def estimate_output_tokens(reply: Mapping[str, Any]) -> int:
    """About how many tokens the texts of a whole reply have, of any dialect, choices together."""
    size, left = 0, [reply.get("choices"), reply.get("output"), reply.get("content")]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            size += sum(len(v) for k, v in value.items() if k in _TEXTS and isinstance(v, str))
            size += len(str(value["input"])) if isinstance(value.get("input"), Mapping) else 0
            left += [v for v in value.values() if isinstance(v, Mapping | list)]
        elif isinstance(value, list):
            left += value
    return -(-size // BYTES_PER_TOKEN)


def merge_usage(first: Any, later: Any) -> Any:
    """Anthropic's counts of `message_start` with those of `message_delta`, which are totals."""
    if not isinstance(first, Mapping) or not isinstance(later, Mapping):
        return first if later is None else later
    return {**first, **{name: value for name, value in later.items() if value is not None}}


def read_embedding_usage(given: Any) -> UsageReading:
    """Read the `usage` of an embeddings reply, which has input alone."""
    if given is None:
        return UsageReading(None)
    if not isinstance(given, OBJECT):
        return UsageReading(None, (f"usage is {kind(given)}",))
    counts = _Counts(given)
    tokens = counts.required("prompt_tokens")
    usage = None if tokens is None else Usage(input_tokens=tokens, cost_picousd=counts.cost())
    return UsageReading(usage, tuple(counts.problems))


def write_usage(dialect: Dialect, usage: Usage) -> dict[str, Any]:
    """A `usage` object of a dialect."""
    if dialect == "messages":
        return _write_outside(usage)
    into, out = ("prompt", "completion") if dialect == "chat" else ("input", "output")
    writes = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    return {
        f"{into}_tokens": usage.total_input_tokens,
        f"{into}_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": writes,
        },
        f"{out}_tokens": usage.output_tokens,
        f"{out}_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _write_outside(usage: Usage) -> dict[str, Any]:
    short, long = usage.cache_write_5m_tokens, usage.cache_write_1h_tokens
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": short,
            "ephemeral_1h_input_tokens": long,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


@dataclass(slots=True)
class _Counts:
    """Reads counts and keeps the names of those that are not believed."""

    given: Mapping[str, Any]
    problems: list[str] = field(default_factory=list)

    def count(self, *path: str, most: int = MOST_TOKENS) -> int | None:
        """A count below objects; None where it is absent or not believed."""
        value: Any = self.given
        for name in path:
            value = value.get(name) if isinstance(value, OBJECT) else None
        if type(value) is int and 0 <= value <= most:  # a boolean is no count
            return value
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer() and 0 <= value <= most:
            return int(value)
        self.problems.append(f"{'.'.join(path)} is {_shown(value)}")
        return None

    def plain(self, name: str) -> int | None:
        """`count` of a name at the top, as most are, at a third of the time."""
        value = self.given.get(name)
        if type(value) is int and 0 <= value <= MOST_TOKENS:
            return value
        return None if value is None else self.count(name)

    def required(self, name: str) -> int | None:
        if self.given.get(name) is None:
            self.problems.append(f"{name} is absent")
        return self.plain(name)

    def inner(self, whole: int, *path: str) -> int:
        """A count that is part of another; 0 where it is absent or more than that."""
        value = self.count(*path) or 0
        if value > whole:
            self.problems.append(f"{'.'.join(path)} is more than what holds it")
            return 0
        return value

    def cost(self) -> int | None:
        """What the provider says that the call cost; exact to the digits that were sent.

        OpenRouter's `cost`, in USD, to which belongs what it says the user's own key was charged;
        Perplexity's `cost.total_cost`; xAI's `cost_in_usd_ticks`, of 1e-10 USD.
        """
        value = self.given.get("cost")
        if value is None:
            if "cost_in_usd_ticks" not in self.given:
                return None
            ticks = self.count("cost_in_usd_ticks", most=_MOST_USD * 10**10)
            return None if ticks is None else ticks * (PICO // 10**10)
        if isinstance(value, Mapping):
            return self._usd("cost.total_cost", value.get("total_cost"))
        cost = self._usd("cost", value)
        details = self.given.get("cost_details")
        if cost is not None and self.given.get("is_byok") is True and isinstance(details, Mapping):
            name = "upstream_inference_cost"
            cost += self._usd(f"cost_details.{name}", details.get(name)) or 0
        return cost

    def _usd(self, name: str, value: Any) -> int | None:
        if value is None:
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and 0 <= value <= _MOST_USD:
            return int((Decimal(repr(value)) * PICO).to_integral_value())
        self.problems.append(f"{name} is {_shown(value)}")
        return None


def _shown(value: Any) -> str:
    small = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**20
    return str(value) if small else str(kind(value))


@dataclass(frozen=True, slots=True)
class _Names:
    """What one of OpenAI's APIs calls its counts."""

    whole: str
    output: str
    inside: str
    thought: str


_CHAT = _Names(
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"
)
_RESPONSES = _Names(
    "input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"
)


def _inside(counts: _Counts, names: _Names) -> Usage | None:
    """OpenAI's way: the caches are inside the input."""
    given = counts.given
    whole, output = counts.required(names.whole), counts.required(names.output)
    if whole is None or output is None:
        return None
    read = written = long = 0
    details = given.get(names.inside)
    if details is not None:
        read = counts.inner(whole, names.inside, "cached_tokens")
        written = counts.inner(whole - read, names.inside, "cache_write_tokens")
        if isinstance(details, OBJECT) and "cache_write_tokens_details" in details:
            kept_long = (names.inside, "cache_write_tokens_details", "ttl_12h_tokens")
            long = counts.inner(written, *kept_long)
    if not read and "prompt_cache_hit_tokens" in given:  # DeepSeek's name for it
        read = counts.inner(whole - written, "prompt_cache_hit_tokens")
    reasoning = 0
    if given.get(names.thought) is not None:
        reasoning = counts.count(names.thought, "reasoning_tokens") or 0
    total = counts.plain("total_tokens")
    if reasoning:
        if total == whole + output + reasoning:
            output += reasoning
        if reasoning > output:
            counts.problems.append("reasoning_tokens is more than what holds it")
            reasoning = 0
    return Usage(
        input_tokens=whole - read - written,
        cache_read_tokens=read,
        cache_write_5m_tokens=written - long,
        cache_write_1h_tokens=long,
        output_tokens=output,
        reasoning_tokens=reasoning,
        cost_picousd=counts.cost() if not given.keys().isdisjoint(_COSTS) else None,
    )


def _outside(counts: _Counts) -> Usage | None:
    """Anthropic's way: the caches stand beside the input."""
    plain, output = counts.required("input_tokens"), counts.required("output_tokens")
    if plain is None or output is None:
        return None
    short = counts.count("cache_creation", "ephemeral_5m_input_tokens") or 0
    long = counts.count("cache_creation", "ephemeral_1h_input_tokens") or 0
    written = counts.count("cache_creation_input_tokens")
    if written is not None and written != short + long:
        if short + long:
            counts.problems.append("cache_creation does not add up to its total")
        long = min(long, written)
        short = written - long
    return Usage(
        input_tokens=plain,
        cache_read_tokens=counts.count("cache_read_input_tokens") or 0,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        output_tokens=output,
        reasoning_tokens=counts.inner(output, "output_tokens_details", "thinking_tokens"),
        cost_picousd=counts.cost(),
    )
