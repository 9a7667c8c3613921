"""Which requests may be answered by meaning, and what of them is compared by meaning: one text, no more.

All else has to be equal: the dialect, the candidate, the client's credentials and the user that it names,
every parameter, the instructions and all earlier turns. What cannot be compared so is left to the exact
cache: see `_plain`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.settings import SemanticCacheSettings
from turnout.wire.dialects import Dialect

_NEVER = (
    "tools", "functions", "logprobs", "top_logprobs", "audio", "prediction", "store", "modalities",
    "mcp_servers", "include",
)  # fmt: skip
"""Fields of requests whose answers are more than a text, or that have effects."""
_ROLES = ("system", "developer", "user", "assistant")
_INSTRUCTIONS = ("system", "developer")
_TEXTS = ("text", "input_text", "output_text")
_USUAL_TEMPERATURE = 1.0
"""What the APIs take where a request says nothing."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What is compared by meaning of a request, and what has to be equal."""

    text: str
    """Of its last turn."""
    rest: bytes
    """Digest of all else."""
    kind: bytes
    """Digest of all else without the earlier turns: client, candidate, parameters, instructions."""


def meant_by(
    given: SemanticCacheSettings,
    dialect: Dialect,
    fields: Mapping[str, Any],
    whole: Sequence[Any],
    user: str,
) -> Meant | None:
    """What a request means to the semantic cache; None where it is not to be answered by meaning.

    Args:
        given: its bounds.
        dialect: the client's.
        fields: of the body.
        whole: what the exact cache compares, but for the fields.
        user: whom the client names in a header.
    """
    name = "input" if dialect == "responses" else "messages"
    turns = fields.get(name)
    if isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    if not isinstance(turns, list) or not turns or not _plain(fields, given, turns):
        return None
    text = _text(turns[-1]["content"])
    if turns[-1].get("role") != "user" or not text.strip() or len(text) > given.longest_text:
        return None
    others = {k: v for k, v in fields.items() if k not in ("model", name)}
    last = _without_text(turns[-1])
    instructions = [turn for turn in turns if turn["role"] in _INSTRUCTIONS]
    base = [list(whole), user, others, last]
    return Meant(text, _digest([*base, turns[:-1]]), _digest([*base, instructions]))


def _plain(fields: Mapping[str, Any], given: SemanticCacheSettings, turns: Sequence[Any]) -> bool:
    """Whether a request asks for one text, of texts alone, and leaves little to chance."""
    temperature = fields.get("temperature", _USUAL_TEMPERATURE)
    if not _number(temperature) or temperature > given.max_temperature:
        return False
    if any(fields.get(name) for name in _NEVER) or fields.get("n") not in (None, 1):
        return False
    return all(_is_text(turn) for turn in turns)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(turn: Any) -> bool:
    """Whether a turn is a message of nothing but text: no image, no call, no result, no reasoning."""
    if not isinstance(turn, Mapping) or turn.get("role") not in _ROLES:
        return False
    if turn.get("type") not in (None, "message") or turn.get("tool_calls"):
        return False
    content = turn.get("content")
    return isinstance(content, str) or (
        isinstance(content, list)
        and all(
            isinstance(part, Mapping)
            and part.get("type") in _TEXTS
            and isinstance(part.get("text"), str)
            for part in content
        )
    )


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


def _without_text(turn: Mapping[str, Any]) -> dict[str, Any]:
    """The last turn, with all that is not its text; in parts or not is the same."""
    content = turn["content"]
    parts = [] if isinstance(content, str) else [{**part, "text": ""} for part in content]
    marks = [part for part in parts if part.keys() - {"type", "text"}]
    return {**{k: v for k, v in turn.items() if k != "type"}, "content": marks}


def _digest(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()
