"""What must be known of other files before a record can be read: small values, never a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.data.logs.fields import Row, first, number, part, text, usage_of


@dataclass(slots=True)
class Joins:
    """Values by the ids that records of other files share."""

    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """A batch's custom_id → what its output says."""
    ambiguous: set[str] = field(default_factory=set)
    """custom_ids of several outputs that differ."""
    sessions: dict[str, str] = field(default_factory=dict)
    """Langfuse trace id → session id."""
    scores: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Langfuse observation or trace id → sum and number of scores."""

    def take(self, row: Row) -> bool:
        """Take a row of a file that only others need; False where it is not of that kind."""
        if is_batch_output(row):
            self._output(row)
        elif is_langfuse_score(row):
            self._score(row)
        elif is_langfuse_trace(row):
            self.sessions[text(row["id"])] = text(row.get("session_id"))
        else:
            return False
        return True

    def score(self, *ids: str) -> float | None:
        """Mean score of the first id that has any."""
        for name in ids:
            if name in self.scores:
                total, count = self.scores[name]
                return total / count
        return None

    def _output(self, row: Row) -> None:
        name, body = text(row["custom_id"]), part(row, "response", "body")
        status = part(row, "response", "status_code")
        said = {
            "failed": bool(row.get("error")) or not (isinstance(status, int) and status < 400),
            "model": part(body, "model"),
            "time": part(body, "created"),
            **usage_of(body),
        }
        if name in self.outputs and self.outputs[name] != said:
            self.ambiguous.add(name)
        self.outputs[name] = said

    def _score(self, row: Row) -> None:
        value = number(row.get("value"))
        name = text(first(row.get("observation_id"), row.get("trace_id")))
        if value is None or not name:
            return
        total, count = self.scores.get(name, (0.0, 0))
        self.scores[name] = (total + value, count + 1)


def is_batch_output(row: Row) -> bool:
    """A line of an OpenAI Batch output or error file."""
    return "custom_id" in row and "response" in row and "body" not in row


def is_langfuse_score(row: Row) -> bool:
    """A row of Langfuse's `scores/` export."""
    return "data_type" in row and "value" in row and "trace_id" in row


def is_langfuse_trace(row: Row) -> bool:
    """A row of Langfuse's legacy `traces/` export."""
    return {"id", "timestamp", "session_id", "user_id", "bookmarked"} <= row.keys()
