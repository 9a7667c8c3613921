"""What a candidate's model takes: the rules by which a request is written for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from turnout.wire.dialects import Dialect

ThinkingWay: TypeAlias = Literal["effort", "budget", "none"]
"""How a model is told to reason: by an effort, by a budget of tokens (older Anthropic models), or it
does not reason."""

MAX_TOKENS = 4_096
"""Output limit where Anthropic's API needs one and neither the request nor the candidate has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A candidate's API, and what its model takes of it."""

    dialect: Dialect
    model: str
    """The name that the provider knows the model by."""
    max_output_tokens: int | None = None
    """The model's longest output: Anthropic's `max_tokens` where the request gives none."""
    thinking: ThinkingWay = "effort"
    older_limit: bool = False
    """Whether a chat server knows `max_tokens` alone, as some compatible ones do."""
    sampling: bool = True
    """Whether it takes temperature, top_p and top_k; many reasoning models refuse them."""
    late_system: bool = True
    """Whether a Messages model takes system messages within the conversation (from Opus 4.8 on)."""
    reasoning_blobs: bool = True
    """Whether a Responses model that reasons is asked for its encrypted reasoning, to carry it on."""
