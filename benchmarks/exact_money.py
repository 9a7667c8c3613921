"""Simulated calls under every price rule: the ledger against an oracle, to the last picodollar.

    python benchmarks/exact_money.py --calls 100000 [--store postgresql://...]

Prices are made up and written as settings; usage as the three APIs say it, with caches, reasoning, long
inputs, service tiers, other models, providers' own costs, counts that lie and replies without counts. The
gateway's code reads replies and settings, books, keeps a journal and folds it into a database. The oracle
knows only what was made up, and counts in fractions. Exit code 1 where any row or the sum differs.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from turnout.gateway.calls.booking import Books
from turnout.gateway.calls.calling import Answer
from turnout.gateway.calls.recording import Entry, Recorder
from turnout.gateway.setup.building import build_pool
from turnout.observe.trail import Trail
from turnout.settings import parse_settings
from turnout.store.database import open_database
from turnout.store.ledger import Ledger
from turnout.store.record import Record
from turnout.store.records import RecordTable
from turnout.wire.usage import read_usage_of_reply

RATES = (
    "input_usd",
    "output_usd",
    "cache_read_usd",
    "cache_write_usd",
    "cache_write_1h_usd",
    "reasoning_usd",
)
SERVICES = ("flex", "priority", "fast", "batch")
PICO = 10**12


def made_price(rng: random.Random) -> dict[str, Any]:
    """A price of the settings: any of the optional rules may be there."""

    def usd() -> float:
        return round(rng.choice((0, rng.uniform(0.01, 1), rng.uniform(1, 90))), rng.randint(0, 6))

    def rates(required: bool) -> dict[str, Any]:
        kept = RATES[:2] if required else ()
        return {n: usd() for n in RATES if n in kept or rng.random() < 0.6}

    def above() -> dict[int, Any]:
        starts = rng.sample((1, 500, 128_000, 200_000, 272_000), rng.choice((0, 1, 2)))
        return {start: rates(False) for start in starts}

    services = {s: {**rates(False), "above": above()} for s in SERVICES if rng.random() < 0.5}
    return {**rates(True), "above": above(), "services": services}


@dataclass(frozen=True)
class Truth:
    """What really was used, in parts that do not overlap."""

    plain: int
    read: int
    write: int
    write_1h: int
    said: int
    thought: int


def oracle(price: dict[str, Any], used: Truth, service: str) -> int:
    """Picodollars, by fractions of what the settings say; nothing of Turnout's is used."""
    rules = [price]
    tiers = price["above"]
    if service in price["services"]:
        own = price["services"][service]
        rules, tiers = [own, price], own["above"]
    whole = used.plain + used.read + used.write + used.write_1h
    for start in sorted(tiers):
        if whole > start:
            rules.insert(0, tiers[start])

    def rate(name: str) -> Fraction | None:
        for rule in rules:
            if name in rule:
                return Fraction(repr(rule[name]))
        return None

    plain, out = rate("input_usd"), rate("output_usd")
    read, write, long, thought = (rate(n) for n in RATES[2:])
    write = plain if write is None else write
    parts = (
        (used.plain, plain),
        (used.read, plain if read is None else read),
        (used.write, write),
        (used.write_1h, write if long is None else long),
        (used.said, out),
        (used.thought, out if thought is None else thought),
    )
    total = sum(Fraction(tokens) * usd for tokens, usd in parts if usd is not None) / 10**6
    exact = total * PICO
    assert exact.denominator == 1
    return exact.numerator


def reply(rng: random.Random, dialect: str, used: Truth) -> dict[str, Any]:
    """A reply of an API that used this."""
    if dialect == "messages":
        return {
            "content": [{"type": "text", "text": "x" * 40}],
            "usage": {
                "input_tokens": used.plain,
                "cache_read_input_tokens": used.read,
                "cache_creation_input_tokens": used.write + used.write_1h,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": used.write,
                    "ephemeral_1h_input_tokens": used.write_1h,
                },
                "output_tokens": used.said + used.thought,
                "output_tokens_details": {"thinking_tokens": used.thought},
            },
        }
    into, out = ("prompt", "completion") if dialect == "chat" else ("input", "output")
    whole = used.plain + used.read + used.write + used.write_1h
    answered = used.said + used.thought
    outside = used.thought and rng.random() < 0.2  # a provider that leaves reasoning out
    usage = {
        f"{into}_tokens": whole,
        f"{into}_tokens_details": {
            "cached_tokens": used.read,
            "cache_write_tokens": used.write + used.write_1h,
            "cache_write_tokens_details": {"ttl_12h_tokens": used.write_1h},
        },
        f"{out}_tokens": used.said if outside else answered,
        f"{out}_tokens_details": {"reasoning_tokens": used.thought},
        "total_tokens": whole + answered,
    }
    text = {"choices": [{"message": {"content": "x" * 40}}]}
    return (
        {**text, "usage": usage}
        if dialect == "chat"
        else {"output": [{"text": "x" * 40}], "usage": usage}
    )


def simulate(calls: int, seed: int, store: Path | str, home: Path) -> dict[str, Any]:
    """Book so many calls; what differs from the oracle, and how many calls met each rule."""
    rng = random.Random(seed)
    prices = {f"model-{i}": made_price(rng) for i in range(30)}
    document = {
        "providers": {"up": {"base_url": "http://127.0.0.1:1/v1"}},
        "candidates": [{"name": n, "price": p, "context_tokens": 9} for n, p in prices.items()],
    }
    pool = build_pool(parse_settings(yaml.safe_dump(document), {}))
    expected: dict[str, int] = {}
    met: Counter[str] = Counter()
    with Ledger(home / "journal", lambda: RecordTable(open_database(store))) as ledger:
        recorder = Recorder(ledger=ledger, books=Books(pool, {}.get))
        for i in range(calls):
            name = f"dec_{i:09d}"
            entry, answer, cost, rule = one_call(rng, recorder, name, prices)
            expected[name] = cost
            met[rule] += 1
            entry.end("ok", http_status=200, calls=1, answer=answer)
            for _ in range(rng.choice((0, 0, 1))):  # what comes after the first end changes nothing
                entry.end("left", http_status=0, calls=9, answer=answer)
    table = RecordTable(open_database(store))
    kept = {r.id: r.cost_picousd for r in table.latest(calls + 1)}
    total = table.spent_picousd(since_ms=0)
    table.close()
    return {
        "wrong": [n for n in expected if kept.get(n) != expected[n]],
        "rows": len(kept),
        "total": total,
        "expected": sum(expected.values()),
        "met": met,
    }


def one_call(
    rng: random.Random, recorder: Recorder, name: str, prices: dict[str, Any]
) -> tuple[Entry, Answer, int, str]:
    """A call, what it must cost, and the rule that it shows."""
    candidate = served = rng.choice(list(prices))
    dialect = rng.choice(("chat", "responses", "messages"))

    def tokens() -> int:
        return rng.choice((0, rng.randint(0, 600), rng.randint(0, 300_000)))

    used = Truth(*(tokens() for _ in range(6)))
    body = reply(rng, dialect, used)
    service, rule = "", "usage"
    if rng.random() < 0.4:
        service = rng.choice((*SERVICES, "default", "unheard-of"))
        (body["usage"] if dialect == "messages" else body)["service_tier"] = service
        rule = f"service {service}"
    if rng.random() < 0.1:
        served, rule = rng.choice(list(prices)), "another model"
        body["model"] = served
    cost = oracle(prices[served], used, service)
    fate = rng.random()
    estimated = Truth(77, 0, 0, 0, 10, 0)  # 40 letters are about 10 tokens
    if fate < 0.05:
        usd = rng.choice((0, 0.00123, 1e-7, round(rng.uniform(0, 3), 10)))
        body["usage"]["cost"] = usd
        cost, rule = int(Fraction(repr(usd)) * PICO), "the provider's own cost"
    elif fate < 0.1:
        del body["usage"]
        service = service if dialect != "messages" else ""
        cost, rule = oracle(prices[served], estimated, service), "no usage"
    elif fate < 0.15:
        count = "output_tokens" if dialect != "chat" else "completion_tokens"
        body["usage"][count] = rng.choice((-1, 10**12, "many", 0.5, True, None))
        cost, rule = oracle(prices[served], estimated, service), "a count that lies"
    found = read_usage_of_reply(dialect, json.dumps(body).encode())
    answer = Answer(
        candidate=candidate,
        provider="up",
        status=200,
        headers={},
        asked=candidate,
        usage=found.reading.usage,
        problems=found.reading.problems,
        model=found.model,
        service=found.service,
        events=found.output_estimate,
    )
    record = Record(id=name, at_ms=1, status="unknown", candidate=candidate, input_tokens=77)
    recorder.ledger.begin(record)
    return Entry(recorder, record, Trail(), {}), answer, cost, rule


def main() -> int:
    """Run, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", help="a postgresql:// URL of an empty database; default: SQLite")
    asked = parser.parse_args()
    logging.getLogger("turnout").setLevel(logging.ERROR)  # counts that lie are warned of
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        found = simulate(asked.calls, asked.seed, asked.store or home / "exact.db", home)
    for rule, count in found["met"].most_common():
        print(f"{count:8d} calls: {rule}")
    print(f"ledger {found['total']} picodollars, oracle {found['expected']}")
    print(f"{found['rows']} rows, {len(found['wrong'])} differ {found['wrong'][:5]}")
    exact = (
        found["rows"] == asked.calls and not found["wrong"] and found["total"] == found["expected"]
    )
    print("exact" if exact else "NOT EXACT")
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
