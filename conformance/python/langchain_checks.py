"""What every chat model of LangChain is checked for, whatever API it speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

from checking import (
    ASK,
    BAD_KEY,
    CACHED_TOKENS,
    MODELS,
    UNKNOWN,
    WEATHER,
    calls,
    check,
    expect,
    scripted,
)


@tool
def weather(city: str, degrees: int) -> str:
    """Tell the weather of a city."""
    return f"{degrees} degrees in {city}"


def check_chat(
    chat: Callable[..., BaseChatModel],
    sdk: ModuleType,
    *,
    ways: Sequence[Mapping[str, Any]] = ({},),
    usage: Mapping[str, Any] | None = None,
    methods: Sequence[Mapping[str, Any]] = ({},),
) -> None:
    """Check a chat model.

    Args:
        chat: makes one of a model's name, and a key.
        sdk: whose errors it raises.
        ways: arguments of `chat` by which it speaks one API or another.
        usage: arguments by which its streams tell of usage.
        methods: arguments of `with_structured_output`.
    """

    @check("plain usage", *MODELS)
    def _(model: str) -> None:
        reply: Any = chat(model).invoke(ASK)
        assert ASK in reply.text
        assert reply.usage_metadata is not None
        assert reply.usage_metadata["input_token_details"]["cache_read"] == CACHED_TOKENS

    @check("stream", *MODELS)
    def _(model: str) -> None:
        chunks: list[Any] = list(chat(model, **(usage or {})).stream(ASK))
        assert ASK in "".join(c.text for c in chunks)
        assert any(c.usage_metadata for c in chunks)
        assert ASK in "".join(c.text for c in chat(model).stream(ASK))

    @check("tools", *MODELS)
    def _(model: str) -> None:
        for way in ways:
            bound = chat(model, **way).bind_tools([weather])
            said: list[Any] = [HumanMessage(ASK)]
            first = bound.invoke(said)
            call = first.tool_calls[0]
            said += [first, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
            assert bound.invoke(said).text

    @check("structured", *MODELS)
    def _(model: str) -> None:
        form = {"title": "weather", "description": "Of a city.", **WEATHER}
        for method in methods:
            found: Any = chat(model).with_structured_output(form, **method).invoke(ASK)
            assert set(found) == {"city", "degrees"}

    @check("errors")
    def _(model: str) -> None:
        expect(sdk.RateLimitError, lambda: chat(model).invoke(scripted(429, "slow")))
        assert calls("slow") == 3
        expect(sdk.BadRequestError, lambda: chat(model).invoke(scripted(400, "wrong")))

    @check("refusals")
    def _(model: str) -> None:
        for way in ways:
            expect(sdk.NotFoundError, lambda: chat(UNKNOWN, **way).invoke(ASK))
            expect(sdk.AuthenticationError, lambda: chat(model, BAD_KEY, **way).invoke(ASK))
