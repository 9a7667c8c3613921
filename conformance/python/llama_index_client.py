"""LlamaIndex: `OpenAILike` and `OpenAILikeEmbedding`."""

from __future__ import annotations

from typing import Any

import openai
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from checking import ASK, BAD_KEY, KEY, MODELS, UNKNOWN, V1, calls, check, expect, scripted


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


def chat(model: str, key: str = KEY, **more: Any) -> OpenAILike:
    return OpenAILike(
        model=model, api_base=V1, api_key=key, is_chat_model=True,
        is_function_calling_model=True, context_window=100_000, **more,
    )  # fmt: skip


@check("plain", *MODELS)
def _(model: str) -> None:
    assert ASK in str(chat(model).complete(ASK))


@check("stream", *MODELS)
def _(model: str) -> None:
    assert ASK in "".join(c.delta or "" for c in chat(model).stream_complete(ASK))


@check("tools", *MODELS)
def _(model: str) -> None:
    def weather(city: str, degrees: int) -> str:
        """Tell the weather of a city."""
        return f"{degrees} degrees in {city}"

    llm, made = chat(model), FunctionTool.from_defaults(weather)
    first = llm.chat_with_tools([made], user_msg=ASK)
    call = llm.get_tool_calls_from_response(first)[0]
    result = ChatMessage(
        role="tool", content=str(made(**call.tool_kwargs)),
        additional_kwargs={"tool_call_id": call.tool_id},
    )  # fmt: skip
    history = [ChatMessage(role="user", content=ASK), first.message, result]
    assert llm.chat_with_tools([made], chat_history=history).message.content


@check("structured", *MODELS)
def _(model: str) -> None:
    found: Any = chat(model).as_structured_llm(Weather).complete(ASK).raw
    assert isinstance(found, Weather)


@check("errors")
def _(model: str) -> None:
    ask = chat(model, max_retries=0)
    expect(openai.RateLimitError, lambda: ask.complete(scripted(429, "slow")))
    assert calls("slow") == 1
    expect(openai.BadRequestError, lambda: ask.complete(scripted(400, "wrong")))


@check("embeddings", "vectors")
def _(model: str) -> None:
    made = OpenAILikeEmbedding(model_name=model, api_base=V1, api_key=KEY)
    assert len(made.get_text_embedding("one")) == 8


@check("refusals")
def _(model: str) -> None:
    expect(openai.NotFoundError, lambda: chat(UNKNOWN).complete(ASK))
    expect(openai.AuthenticationError, lambda: chat(model, BAD_KEY).complete(ASK))
