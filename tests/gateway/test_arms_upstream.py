"""The effort and the output limit of an arm reach the upstream, over loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from gateway_fakes import Deployment, deployment

from turnout.errors import SettingsError
from turnout.settings import CandidateSettings, parse_settings

ASK: Any = [{"role": "user", "content": "Hello"}]
ARMS = (
    CandidateSettings(name="strong-model@high", provider="up", arm_output_tokens=700),
    CandidateSettings(name="cheap", model="cheap-model", provider="up", effort="low"),
)


@pytest.fixture(scope="module")
def arms() -> Iterator[Deployment]:
    with deployment(candidates=ARMS, default="cheap") as running:
        yield running


@pytest.mark.parametrize(
    ("asked", "request_says", "sent"),
    [
        (
            "strong-model@high",
            {},
            {
                "model": "strong-model",
                "reasoning_effort": "high",
                "max_completion_tokens": 700,
            },
        ),
        ("cheap", {}, {"model": "cheap-model", "reasoning_effort": "low"}),
        (
            "strong-model@high",
            {"reasoning_effort": "medium", "max_tokens": 5},
            {"model": "strong-model", "reasoning_effort": "medium", "max_tokens": 5},
        ),
        ("router-length-0.5", {}, {"model": "cheap-model", "reasoning_effort": "low"}),
    ],
)
def test_an_arms_effort_reaches_the_upstream(
    arms: Deployment, asked: str, request_says: dict[str, Any], sent: dict[str, Any]
) -> None:
    body = {"model": asked, "messages": ASK, **request_says}
    assert httpx2.post(f"{arms.url}/v1/chat/completions", json=body).status_code == 200
    assert arms.upstream.seen[-1].json == {**sent, "messages": ASK}


def test_an_effort_that_does_not_exist_is_refused() -> None:
    text = (
        "providers: {p: {base_url: 'http://x/v1'}}\ncandidates: [{name: o3-mini, effort: extreme}]"
    )
    with pytest.raises(SettingsError, match=r"candidates\[0\].effort: 'extreme'.*'high'"):
        parse_settings(text, {})
