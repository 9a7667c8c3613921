"""A decision of several attempts: the next one after an error, the first error where all fail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import openai
import pytest
from controller_fakes import EASY, STRONG, WEAK, Upstream, WordRouter

from turnout.client.completions import ChatCompletions, Targets
from turnout.client.deciding import Decider
from turnout.client.sdk import Clients
from turnout.client.settings import Upstream as Place
from turnout.types import Attempt, Candidate, Decision, Pool


@pytest.fixture
def completions(upstream: Upstream, word: WordRouter) -> ChatCompletions:
    pool = Pool(candidates=(Candidate(name=STRONG), Candidate(name=WEAK)), default=STRONG)
    decider = Decider(pool, {"word": word})

    def decide(request: Mapping[str, Any]) -> Decision:
        weak_then_strong = tuple(Attempt(candidate=n, reason="test") for n in (WEAK, STRONG))
        return replace(decider.decide(request), attempts=weak_then_strong)

    place = Place(base_url=upstream.url, api_key="k")
    return ChatCompletions(
        decide, Targets(pool, dict.fromkeys(pool.names, place), Clients(max_retries=0))
    )


def test_the_next_attempt_serves_after_an_error(
    completions: ChatCompletions, upstream: Upstream
) -> None:
    upstream.fails(500)
    reply = completions.create(model="router-word-0.5", messages=EASY)
    assert reply.model == STRONG
    assert [body["model"] for body in upstream.bodies] == [WEAK, STRONG]
    completions._targets.clients.close()


def test_asynchronous_attempts_are_the_same(
    completions: ChatCompletions, upstream: Upstream
) -> None:
    async def main() -> str:
        reply = await completions.acreate(model="router-word-0.5", messages=EASY)
        await completions._targets.clients.aclose()
        return reply.model

    upstream.fails(429)
    assert asyncio.run(main()) == STRONG


def test_the_first_error_is_raised_where_all_fail(
    completions: ChatCompletions, upstream: Upstream
) -> None:
    upstream.fails(429)
    upstream.fails(500)
    with pytest.raises(openai.RateLimitError) as caught:
        completions.create(model="router-word-0.5", messages=EASY)
    assert caught.value.__notes__[0].startswith("then gpt-4 failed too: gpt-4: Error code: 500")
    completions._targets.clients.close()
