"""What goes the express way is answered, recorded, booked and counted as what does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from express_site import RESILIENCE, TOKEN, Site, body, express_site, keys, rows, with_and_without

SAID = ["Hello", "line\nbreak \"quoted\" back\\slash /", "¿Qué? 你好 🙂 \x7f", "word " * 300,
        "<system-reminder>no</system-reminder> yes", "   ", "ok", "\ufeff\ufffd"]  # fmt: skip
NAMED: list[dict[str, Any]] = [
    {},
    {"max_tokens": 7},
    {"max_completion_tokens": 100, "temperature": 0.5, "n": 2},
    {"model": "strong", "user": "ü", "metadata": {"messages": "none"}, "stream": False},
]
SYSTEM = {"role": "system", "content": "Be brief."}
MORE: list[dict[str, Any]] = [
    {"stream": True},
    {"before": [SYSTEM]},
    {"model": "auto", "stream": True, "stream_options": {"include_usage": True}},
    {"model": "named", "before": [{**SYSTEM, "role": "developer"}], "max_tokens": 4},
]
ROUTED: list[dict[str, Any]] = [
    {"model": "auto"},
    {"model": "router-length-0.3", "max_tokens": 9},
    {"model": "named"},
]
ROUTE = "routes: {named: {router: length, threshold: 0.4, allow: [cheap]}}\n"
KINDS = {
    "nobody is asked": "",
    "a key": keys(""),
    "rates": keys(", requests_per_minute: 1000, tokens_per_minute: 1000000, concurrent: 9"),
    "a budget": keys(", budgets_usd: {day: 5, total: 9}"),
    "limits of all": "limits: {budgets_usd: {hour: 3}, requests_per_minute: 500}\n",
    "a limit is sent": keys(", budgets_usd: {day: 5}")
    + "reserve: {output_tokens: 64, send_limit: true}\n",
    "names as requested": "response_model: requested\n",
    "denied": keys(", deny: [strong]"),
}


def play(here: Site, more: list[dict[str, Any]]) -> list[Any]:
    """A sequence of requests, and all that can be told of them."""
    found: list[Any] = []
    with here.client(f"authorization: Bearer {TOKEN}") as client:
        for fields in more:
            found += [client.ask(body(said, **fields)).plain() for said in SAID]
    here.settle()
    found.append(here.metrics(f"authorization: Bearer {TOKEN}"))
    found.append(here.counters())
    found.append([r.partition(b"content-length")[2] for r in here.up.requests])
    return found


@pytest.mark.parametrize("way", ["named", "routed", "more"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_differs(tmp_path: Path, kind: str, way: str) -> None:
    more = {"named": NAMED, "routed": ROUTED, "more": MORE}[way]

    def played(express: bool) -> tuple[int, list[Any]]:
        file = tmp_path / f"{express}.db"
        rest = RESILIENCE + ROUTE + KINDS[kind]
        with express_site(file, express=express, rest=rest) as here:
            found, taken = play(here, more), here.taken
        return taken, [*found, rows(file)]

    taken, found = zip(*with_and_without(played), strict=True)
    # Of each kind the first says that it is there, and one text was written by a harness in part.
    expected = len(more) * (len(SAID) - 1) - 1
    if kind == "denied" and way == "named":
        expected -= len(SAID) - 1
    assert taken == (expected, 0)
    for one, other in zip(*found, strict=True):
        assert one == other
    assert len(found[0][-1]) > expected


TIGHT = {
    "requests": keys(", requests_per_minute: 5"),
    "tokens": keys(", tokens_per_minute: 2000"),
    "cheap budget": keys(", budgets_usd: {day: 0.003}"),
    "auto budget": keys(", budgets_usd: {day: 0.03}"),
    "one request": keys(", max_request_usd: 0.01"),
}


@pytest.mark.parametrize(
    ("limit", "model"),
    [("requests", "cheap"), ("requests", "auto"), ("tokens", "cheap"), ("tokens", "auto"),
     ("cheap budget", "cheap"), ("auto budget", "auto"), ("one request", "cheap")],
)  # fmt: skip
@pytest.mark.parametrize("spares", [0, 1])
def test_limits_are_reached_by_the_same_request(
    tmp_path: Path, limit: str, model: str, spares: int
) -> None:
    resilience = RESILIENCE.replace("spares: 0", f"spares: {spares}")
    found, taken = [], []
    for express in (True, False):
        file = tmp_path / f"{express}.db"
        with express_site(file, express=express, rest=resilience + TIGHT[limit]) as here:
            with here.client(f"authorization: Bearer {TOKEN}") as client:
                texts = ["word " * n * 20 for n in range(1, 11)]
                texts += ["hi", "hello"]  # for which a router takes the cheap one
                asked = [body(text, model, max_tokens=16) for text in texts]
                said = [timeless(client.ask(content).plain()) for content in asked]
            here.settle()
            found.append([said, here.metrics(f"authorization: Bearer {TOKEN}"), here.counters()])
            taken.append(here.taken)
        found[-1].append(rows(file))
    for one, other in zip(*found, strict=True):
        assert one == other
    alone = limit == "one request"
    assert taken[1] == 0
    assert (taken[0] > 1) is not alone  # what a request may cost is for the application
    assert {status for status, _, _ in found[0][0]} == ({200} if alone else {200, 429})


def timeless(answer: Any) -> Any:
    """An answer without the time when a limit is free again, which the clock says."""
    status, headers, content = answer
    plain = [h for h in headers if h[0] not in ("retry-after", "content-length") or status == 200]
    return status, plain, re.sub(rb"in \d+ s", b"", content)
