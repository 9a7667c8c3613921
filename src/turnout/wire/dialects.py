"""The three APIs that clients and candidates speak."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Dialect: TypeAlias = Literal["chat", "responses", "messages"]
"""OpenAI's Chat Completions, OpenAI's Responses, Anthropic's Messages."""

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
