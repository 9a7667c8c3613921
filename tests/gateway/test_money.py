"""What calls are booked at: whose counts, whose price, which model's, and what is flagged."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from gateway_fakes import make_settings
from test_recording import post, recorded

from turnout.gateway.calls.booking import Books
from turnout.gateway.setup.prices import read_price
from turnout.providers.fake import Fault
from turnout.settings import PriceSettings, parse_settings
from turnout.store.record import FLAGS, Record
from turnout.types import Candidate, Pool, Price, Usage

JSON = {"content-type": "application/json"}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
ESTIMATE = Usage(input_tokens=7)


def booked(home: Path, reply: dict[str, Any], **changes: Any) -> tuple[Record, Any]:
    """The record of a reply of the candidate `cheap`, and the client's answer."""
    body = {"choices": [{"message": {"content": "x" * 40}}], **reply}
    with recorded(home, **changes) as (gateway, found):
        gateway.upstream.script.append(Fault(body=json.dumps(body).encode(), headers=JSON))
        answer = post(gateway.url, model="cheap")
    return found[0], answer


@pytest.mark.parametrize(
    ("usage", "basis", "flags"),
    [
        ({**USAGE, "completion_tokens": 0, "prompt_tokens": 0}, "usage", ""),
        (None, "estimate", ""),
        ({**USAGE, "completion_tokens": -5}, "estimate", "usage_refused"),
        ({**USAGE, "prompt_tokens": 10**12}, "estimate", "usage_refused"),
        ({**USAGE, "completion_tokens": "5"}, "estimate", "usage_refused"),
        ("lots", "estimate", "usage_refused"),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 11}}, "usage", "usage_doubted"),
        ({**USAGE, "cost": 0}, "provider", ""),
        ({**USAGE, "cost": -1}, "usage", "usage_doubted"),
    ],
)
def test_an_upstream_that_lies_about_usage(
    tmp_path: Path, usage: Any, basis: str, flags: str, caplog: pytest.LogCaptureFixture
) -> None:
    record, _ = booked(tmp_path, {"usage": usage})
    assert (record.cost_basis, record.flags) == (basis, flags)
    tokens = record.input_tokens + record.output_tokens
    assert record.cost_picousd == (0 if basis == "provider" else tokens * 240_000)
    if basis == "estimate":
        assert record.output_tokens == 10  # of 40 letters
    assert ("not believed" in caplog.text) == bool(flags)


def test_another_model_is_booked_at_its_own_price_and_shown(tmp_path: Path) -> None:
    record, answer = booked(tmp_path, {"usage": USAGE, "model": "strong-model"})
    assert (record.candidate, record.upstream_model) == ("cheap", "strong-model")
    assert (record.cost_picousd, record.flags) == (10 * 10_000_000 + 5 * 30_000_000, "other_model")
    assert answer.headers["x-turnout-model"] == "cheap"
    assert answer.headers["x-turnout-upstream-model"] == "strong-model"


def test_a_models_dated_name_is_no_other_model(tmp_path: Path) -> None:
    record, answer = booked(tmp_path, {"usage": USAGE, "model": "cheap-model-2026-08-06"})
    assert (record.cost_picousd, record.flags) == (15 * 240_000, "")
    assert answer.headers["x-turnout-upstream-model"] == "cheap-model-2026-08-06"


def test_the_service_tier_of_a_reply_sets_the_price(tmp_path: Path) -> None:
    text = 'candidates: [{name: cheap, provider: up, price: {input_usd: 2, output_usd: 8, services: {flex: {input_usd: 1}}}}]\nproviders: {up: {base_url: "http://127.0.0.1:1/v1"}}'  # noqa: E501
    price = parse_settings(text, {}).candidates[0].price
    cheap = make_settings("http://x").candidates[1].model_copy(update={"price": price})
    changes = {"candidates": (make_settings("http://x").candidates[0], cheap)}
    flex, _ = booked(tmp_path / "a", {"usage": USAGE, "service_tier": "flex"}, **changes)
    scale, _ = booked(tmp_path / "b", {"usage": USAGE, "service_tier": "scale"}, **changes)
    assert (flex.cost_picousd, flex.service, flex.flags) == (50_000_000, "flex", "")
    assert (scale.cost_picousd, scale.flags) == (60_000_000, "service_unpriced")


def test_a_last_usage_chunk_that_comes_twice_is_booked_once(tmp_path: Path) -> None:
    chunk = b'data: {"model":"cheap-model","choices":[{"delta":{"content":"hi"}}]}\n\n'
    end = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    usage = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    stream = chunk + end + usage + usage + b"data: [DONE]\n\n"
    with recorded(tmp_path) as (gateway, found):
        gateway.upstream.script.append(
            Fault(body=stream, headers={"content-type": "text/event-stream"})
        )
        post(gateway.url, model="cheap", stream=True)
    assert (found[0].cost_picousd, found[0].cost_basis) == (15 * 240_000, "usage")


def test_a_clock_that_jumps_gives_no_negative_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()
    jumps = iter(now - i * 3_600_000_000_000 for i in range(10_000))
    with recorded(tmp_path) as (gateway, found):
        monkeypatch.setattr("turnout.gateway.calls.recording.time.time_ns", lambda: next(jumps))
        post(gateway.url, model="cheap")
        post(gateway.url, model="cheap", stream=True)
        monkeypatch.undo()
    assert all(0 <= r.first_byte_ms <= r.duration_ms < 60_000 for r in found)
    assert len(found) == 2


def books() -> Books:
    """A list of two models, an own candidate for one of them, and a deployment that no list knows."""
    pool = Pool(
        candidates=(
            Candidate(name="a", upstream_model="gpt-a", price=Price.per_million(1, 1)),
            Candidate(name="mine", upstream_model="deployment-7", price=Price.per_million(2, 2)),
            Candidate(name="unpriced", upstream_model="nameless"),
        ),
        default="a",
    )
    listed = {"gpt-a": Price.per_million(1, 1), "gpt-b": Price.per_million(5, 5)}
    return Books(pool, {**listed, "alias-of-a": listed["gpt-a"]}.get)


@pytest.mark.parametrize(
    ("candidate", "asked", "named", "rate", "flags"),
    [
        ("a", "gpt-a", "", 1, ()),
        ("a", "gpt-a", "gpt-a-2026-01-01", 1, ()),
        ("a", "gpt-a", "vendor/GPT-A", 1, ()),
        ("a", "gpt-a", "gpt-b", 5, ("other_model",)),
        ("a", "gpt-a", "alias-of-a", 1, ()),
        ("a", "gpt-a", "unheard-of", 1, ("other_model",)),
        ("a", "gpt-a", "deployment-7", 2, ("other_model",)),
        # A deployment's name says nothing of its model, so the price that was given for it holds.
        ("mine", "deployment-7", "gpt-b", 2, ()),
        ("unpriced", "nameless", "gpt-b", 5, ("other_model",)),
        ("unpriced", "nameless", "", None, ()),
    ],
)
def test_whose_price_counts(
    candidate: str, asked: str, named: str, rate: int | None, flags: tuple[str, ...]
) -> None:
    usage = Usage(input_tokens=100)
    found = books().book(candidate, usage, estimate=ESTIMATE, asked=asked, named=named)
    assert found.flags == flags
    assert found.cost_picousd == (None if rate is None else rate * 100_000_000)
    assert found.basis == ("none" if rate is None else "usage")


def test_many_made_up_names_are_not_kept_for_ever() -> None:
    kept = books()
    for i in range(3000):
        kept.book("a", ESTIMATE, estimate=ESTIMATE, asked="gpt-a", named=f"model-{i}x")
    assert len(kept._kept) <= 1024


def test_every_flag_is_explained() -> None:
    guide = Path(__file__).parents[2] / "docs" / "guides" / "money.md"
    text = guide.read_text(encoding="utf-8")
    assert [flag for flag in FLAGS if f"| `{flag}` |" not in text] == []


def test_what_a_rule_of_a_price_leaves_out_is_as_without_it() -> None:
    given = PriceSettings.model_validate(
        {
            "input_usd": 2,
            "output_usd": 8,
            "cache_read_usd": 0.5,
            "above": {200_000: {"input_usd": 4}, 500_000: {"output_usd": 20}},
            "services": {"flex": {"output_usd": 4, "above": {200_000: {"input_usd": 3}}}},
        }
    )
    price = read_price(given)
    assert price.for_input(200_001) == Price.per_million(4, 8, cache_read_usd=0.5)
    assert price.for_input(500_001) == Price.per_million(4, 20, cache_read_usd=0.5)
    flex = price.in_service("flex")
    assert flex.for_input(500_001) == Price.per_million(3, 4, cache_read_usd=0.5)
    assert flex.for_input(1).input_picousd == 2_000_000
