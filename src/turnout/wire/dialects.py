"""The three APIs that clients and candidates speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

Dialect: TypeAlias = Literal["chat", "responses", "messages"]
"""OpenAI's Chat Completions, OpenAI's Responses, Anthropic's Messages."""

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

PATHS: Mapping[Dialect, str] = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "messages": "/messages",
}
"""Where each is served, behind `/v1`."""
