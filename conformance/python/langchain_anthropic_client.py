"""`langchain-anthropic`."""

from __future__ import annotations

from typing import Any

import anthropic
from langchain_anthropic import ChatAnthropic
from langchain_checks import check_chat
from langchain_core.messages import HumanMessage

from checking import ASK, BASE, KEY, check


def chat(model: str, key: str = KEY, **more: Any) -> ChatAnthropic:
    return ChatAnthropic(model=model, base_url=BASE, api_key=key, max_tokens=99, **more)


check_chat(chat, anthropic)


@check("count_tokens")
def _(model: str) -> None:
    assert chat(model).get_num_tokens_from_messages([HumanMessage(ASK)]) > 0
