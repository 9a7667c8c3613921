"""`langchain-openai`: Chat Completions, Responses and embeddings."""

from __future__ import annotations

from typing import Any

import openai
from langchain_checks import check_chat
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from checking import ASK, KEY, MODELS, V1, check

RESPONSES = {"use_responses_api": True}


def chat(model: str, key: str = KEY, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=V1, api_key=key, **more)


check_chat(
    chat,
    openai,
    ways=({}, RESPONSES),
    usage={"stream_usage": True},  # streams without it do not ask for usage
    methods=({"method": "json_schema"}, {"method": "function_calling"}),
)


@check("responses plain", *MODELS)
def _(model: str) -> None:
    assert ASK in chat(model, **RESPONSES).invoke(ASK).text
    assert ASK in "".join(c.text for c in chat(model, **RESPONSES).stream(ASK))


@check("embeddings", "vectors")
def _(model: str) -> None:
    made = OpenAIEmbeddings(model=model, base_url=V1, api_key=KEY, check_embedding_ctx_length=False)
    assert [len(v) for v in made.embed_documents(["one", "two"])] == [8, 8]
