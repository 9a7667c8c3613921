"""What of a client's request may reach litellm.

Its function takes, beside the fields of the API, dozens of arguments by which a caller would choose the
upstream, hand over or read credentials, or get a made-up answer. And for some providers it downloads what
a URL in a message names, from this machine. So fields are let through by name, and URLs are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FIELDS = frozenset({
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "n", "stop", "max_tokens",
    "max_completion_tokens", "presence_penalty", "frequency_penalty", "logit_bias", "user",
    "response_format", "seed", "tools", "tool_choice", "parallel_tool_calls", "functions",
    "function_call", "logprobs", "top_logprobs", "reasoning_effort", "verbosity", "modalities", "audio",
    "prediction", "web_search_options", "service_tier", "safety_identifier", "prompt_cache_key",
    "prompt_cache_retention", "thinking", "top_k",
})  # fmt: skip
"""Fields of a chat request; the last two are other providers'. `metadata` means other things to litellm."""
TOOLS = frozenset({"function", "custom"})
"""Kinds of tools that are the client's to run."""

_URL = re.compile(r"\s*(?!data:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_DEEPEST = 20


class RefusedError(Exception):
    """A request that is not passed on.

    Args:
        message: says why.
        code: for programs.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def check_asked(fields: Any) -> dict[str, Any]:
    """The fields of a request that may be passed on.

    Raises:
        RefusedError: names the field and the way out.
    """
    if not isinstance(fields, dict) or not isinstance(fields.get("model"), str):
        raise RefusedError("the body must be a chat request", "invalid_request")
    foreign = sorted(fields.keys() - FIELDS)
    if foreign:
        raise RefusedError(
            f"{foreign[0][:100]!r} is not passed on to a provider of kind litellm; leave it out",
            "unsupported_parameter",
        )
    tools = fields.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, Mapping) or tool.get("type") not in TOOLS:
            raise RefusedError(
                "a provider of kind litellm takes tools of type function or custom",
                "unsupported_parameter",
            )
    messages = fields.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, Mapping) and part.get("type") != "text" and _names_url(part, 0):
                raise RefusedError(
                    "an image or file by URL is not passed on to a provider of kind litellm, which "
                    "would download it from here; send its bytes as a data: URL",
                    "unsupported_url",
                )
    return fields


def _names_url(value: Any, depth: int) -> bool:
    if depth > _DEEPEST:
        return True
    if isinstance(value, str):
        return _URL.match(value) is not None
    if isinstance(value, Mapping):
        # The text of a tool's result or of a part's own part is no address.
        inner = (v for k, v in value.items() if k not in ("text", "type"))
        return any(_names_url(v, depth + 1) for v in inner)
    return isinstance(value, list) and any(_names_url(v, depth + 1) for v in value)
