"""Instructor over the `openai` package: objects by tools, by JSON schema and in streams."""

from __future__ import annotations

from typing import Any

import instructor
import openai
from pydantic import BaseModel

from checking import ASK, BAD_KEY, CACHED_TOKENS, KEY, MODELS, UNKNOWN, V1, check, expect


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


messages: Any = [{"role": "user", "content": ASK}]
MODES = (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA)


def made(mode: Any, key: str = KEY) -> Any:
    return instructor.from_openai(openai.OpenAI(base_url=V1, api_key=key), mode=mode)


@check("structured tools", *MODELS)
def _(model: str) -> None:
    for mode in MODES:
        found = made(mode).chat.completions.create(
            model=model, messages=messages, response_model=Weather
        )
        assert isinstance(found, Weather)


@check("usage", *MODELS)
def _(model: str) -> None:
    _found, raw = made(MODES[0]).chat.completions.create_with_completion(
        model=model, messages=messages, response_model=Weather
    )
    assert raw.usage.prompt_tokens_details.cached_tokens == CACHED_TOKENS


@check("stream", *MODELS)
def _(model: str) -> None:
    parts = list(
        made(MODES[0]).chat.completions.create_partial(
            model=model, messages=messages, response_model=Weather
        )
    )
    assert set(parts[-1].model_dump()) == {"city", "degrees"}


@check("refusals")
def _(model: str) -> None:
    for name, key, status in ((UNKNOWN, KEY, "404"), (model, BAD_KEY, "401")):
        ask = lambda: made(MODES[0], key).chat.completions.create(
            model=name, messages=messages, response_model=Weather, max_retries=0
        )
        assert status in str(expect(Exception, ask))  # its own, around the SDK's
