"""What keeping conversations with their models is worth in dollars: made-up sessions, list prices.

    python benchmarks/conversations.py [--sessions 400] [--seeds 3] [--json]

Nothing is called. No public log that we may use has turns with token counts, so sessions are drawn from
what was published: agents' prompts begin at some 15,000 tokens and grow by a tool's result a request
(arXiv:2601.06007: caching saves 45 to 80% of agents' sessions); 18 requests with 7 switches read 57%
from the cache without a pin, and 77% with one and 4 switches (local-operator#995). Tasks of a session
are alike: it has a difficulty of its own, which tasks scatter around, and the router sees each task's
chance that the strong model is needed through noise.

Four rules over the same sessions:

    message   each request is routed by its last message, so inside a tool loop by a tool's result
    task      each request is routed by its task; nothing sticks
    stick     the first choice stays for good
    ours      what the gateway does: `turnout.conversations`

Prompt caches are simulated for each model: a prefix lives five minutes after its last use. Quality has its
price: a request of a hard task that the weak model answers counts at what the threshold says that the
strong model's answer is worth, its extra list price over the threshold. `total` is dollars with that.
Intervals are 95% bootstraps over sessions, paired.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from turnout.conversations.sticking import StickyRules, Switching, boundary
from turnout.conversations.table import Table
from turnout.pricing import list_price
from turnout.types import (
    PICO,
    Attempt,
    Candidate,
    Conversation,
    Decision,
    Pool,
    Price,
    Query,
    Usage,
)

PAIRS = {
    "claude": ("claude-opus-4-5", "claude-haiku-4-5"),
    "gpt-4.1": ("gpt-4.1", "gpt-4.1-mini"),
    "gpt-5": ("gpt-5", "gpt-5-mini"),
}
RULES = ("message", "task", "stick", "ours")
CACHE_S = 300.0
THRESHOLD = 0.5
WINDOW = 150_000
"""Tokens at which a harness sums a conversation up."""


@dataclass(frozen=True)
class Shape:
    """Sessions of one kind."""

    tasks: float
    """Mean number of tasks."""
    rounds: float
    """Mean tool rounds of a task."""
    prefix: int
    """Tokens of system text and tools."""


SHAPES = {
    "chat": Shape(tasks=4, rounds=0, prefix=1_500),
    "short agent": Shape(tasks=2, rounds=5, prefix=12_000),
    "long agent": Shape(tasks=10, rounds=8, prefix=15_000),
}


@dataclass(frozen=True)
class Ask:
    """One request of a session."""

    query: Query
    at: float
    hard: float
    """Chance that the strong model is needed, of the task."""
    seen: float
    """What a router sees of it in the task's text."""
    noise: float
    """What it sees in the last message alone."""
    output: int
    fresh: bool
    """The history was summed up just now: no cache holds more than the prefix."""


@dataclass
class Caches:
    """What each model's provider has of one session."""

    prefix: int
    held: dict[str, tuple[int, float]] = field(default_factory=dict)

    def use(self, model: str, ask: Ask) -> Usage:
        tokens, at = self.held.get(model, (0, -1e9))
        tokens = tokens if ask.at - at <= CACHE_S else 0
        whole = ask.query.input_tokens
        read = min(tokens, self.prefix if ask.fresh else whole, whole)
        self.held[model] = (whole, ask.at)
        return Usage(
            cache_read_tokens=read, cache_write_5m_tokens=whole - read, output_tokens=ask.output
        )

    def cut(self) -> None:
        self.held = {m: (min(t, self.prefix), at) for m, (t, at) in self.held.items()}


def session(shape: Shape, rng: np.random.Generator, start: float) -> Iterator[Ask]:
    """The requests of one session."""
    own = rng.normal(0.0, 1.2)
    tokens, messages, at = shape.prefix, 0, start
    for _ in range(rng.geometric(1.0 / shape.tasks)):
        logit = own + rng.normal(0.0, 0.8)
        seen = _sigmoid(logit + rng.normal(0.0, 0.5))
        at += rng.lognormal(np.log(60.0), 1.2)
        rounds = rng.geometric(1.0 / shape.rounds) if shape.rounds else 0
        for i in range(rounds + 1):
            grown = rng.lognormal(np.log(900.0 if i else 150.0), 0.8)
            fresh = tokens + grown > WINDOW
            tokens = int(shape.prefix + 4_000 if fresh else tokens + grown)
            messages = 1 if fresh else messages + (2 if messages else 1)
            stands = Conversation(
                messages=messages, answered=messages > 1, ends="tool" if i else "task"
            )
            output = int(min(rng.lognormal(np.log(250.0), 0.7), 8_000))
            query = Query(text="", input_tokens=tokens, conversation=stands)
            noise = _sigmoid(logit * 0.3 + rng.normal(0.0, 1.0)) if i else seen
            yield Ask(query, at, _sigmoid(logit), seen, noise, output, fresh)
            tokens += output
            at += rng.lognormal(np.log(8.0), 0.9)


def _sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x)))


@dataclass
class Run:
    """What one rule made of all sessions."""

    usd: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    requests: int = 0
    switches: int = 0
    read: int = 0
    sent: int = 0
    short: int = 0
    """Requests of which the router would have liked a stronger model to answer."""


def simulate(rule: str, pool: Pool, sessions: list[tuple[int, list[Ask]]]) -> Run:
    """Run sessions under one rule, one after the other."""
    table = Table(most=10_000, keep_s=3_600.0)
    rules = StickyRules(idle_s=CACHE_S)
    switching = Switching(pool=pool, spares=0, rules=rules, remaining=table.remaining)
    run = Run()
    strong, weak = pool.candidates
    assert strong.price is not None
    assert weak.price is not None
    for number, (prefix, asks) in enumerate(sessions):
        caches, serving, usd, lost = Caches(prefix), "", 0.0, 0.0
        for ask in asks:
            if ask.fresh:
                caches.cut()
            now = number * 1e6 + ask.at
            rate = ask.noise if rule == "message" else ask.seen
            wanted = _decision(strong.name if rate >= THRESHOLD else weak.name, rate, ask)
            chosen, asked = wanted.model, wanted.model
            if rule == "stick":
                chosen = serving or chosen
            elif rule == "ours":
                held = table.find(f"s{number}", now)
                where = None if held is None else boundary(held, ask.query, rules, now)
                if held is not None and where is None:
                    chosen, asked = held.candidate, ""
                elif held is not None and where is not None:
                    chosen = switching.settle(wanted, held, ask.query, where, now).model
            usage = caches.use(chosen, ask)
            price = pool[chosen].price
            assert price is not None
            usd += price.usage_picousd(usage) / PICO
            if rule == "ours":
                held = table.answered(
                    f"s{number}", held, ask.query, candidate=chosen, target="", provider="",
                    model="auto", errors=0, now=now, wanted=asked,
                )  # fmt: skip
                held.used(chosen, usage, automatic=True, now=now)
            run.requests += 1
            run.switches += bool(serving) and chosen != serving
            run.read += usage.cache_read_tokens
            run.sent += usage.total_input_tokens
            run.short += chosen == weak.name and ask.seen >= THRESHOLD
            if chosen == weak.name:
                lost += ask.hard * _worth(strong.price, weak.price, ask)
            serving = chosen
        run.usd.append(usd)
        run.total.append(usd + lost)
    return run


def _decision(model: str, rate: float, ask: Ask) -> Decision:
    """As the router and the threshold would write it, as far as it is looked at."""
    return Decision(
        id="", router="r", policy="threshold", attempts=(Attempt(candidate=model, reason=""),),
        code="win_rate", reason="", threshold=THRESHOLD, win_rate=rate,
        expected_output_tokens=dict.fromkeys(("strong", "weak"), 250.0),
        input_tokens=ask.query.input_tokens,
    )  # fmt: skip


def _worth(strong: Price, weak: Price, ask: Ask) -> float:
    """USD that a strong answer is worth where it is needed: its extra price over the threshold.

    Of a request whose input is cached with either model, since that is what it costs in a session.
    """
    warm = Usage(cache_read_tokens=ask.query.input_tokens, output_tokens=ask.output)
    return (strong.usage_picousd(warm) - weak.usage_picousd(warm)) / PICO / THRESHOLD


def pools() -> dict[str, Pool]:
    """The pairs at list prices."""
    found = {}
    for name, models in PAIRS.items():
        made = []
        for role, model in zip(("strong", "weak"), models, strict=True):
            price = list_price(model)
            if price is None:
                raise SystemExit(f"the price list has no {model}")
            made.append(Candidate(name=role, price=price))
        found[name] = Pool(candidates=tuple(made), default="strong")
    return found


def drawn(shape: Shape, sessions: int, seed: int) -> list[tuple[int, list[Ask]]]:
    """Sessions of one kind."""
    rng = np.random.default_rng(seed)
    return [(shape.prefix, list(session(shape, rng, 0.0))) for _ in range(sessions)]


def saved(ours: list[float], other: list[float], seed: int) -> tuple[float, float, float]:
    """Share of the other rule's cost that ours saves: estimate and 95% interval."""
    a, b = np.asarray(ours), np.asarray(other)
    rng = np.random.default_rng(seed)
    at = rng.integers(0, len(a), (1_000, len(a)))
    shares = 1.0 - a[at].sum(axis=1) / b[at].sum(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(1.0 - a.sum() / b.sum()), float(low), float(high)


def measure(sessions: int, seeds: int) -> list[dict[str, object]]:
    """A row for each pair and shape."""
    rows: list[dict[str, object]] = []
    for pair, pool in pools().items():
        for shape_name, shape in SHAPES.items():
            runs = {rule: Run() for rule in RULES}
            for seed in range(seeds):
                made = drawn(shape, sessions, seed)
                for rule in RULES:
                    _add(runs[rule], simulate(rule, pool, made))
            rows.append(_row(pair, shape_name, runs))
    return rows


def _add(run: Run, more: Run) -> None:
    run.usd += more.usd
    run.total += more.total
    for name in ("requests", "switches", "read", "sent", "short"):
        setattr(run, name, getattr(run, name) + getattr(more, name))


def _row(pair: str, shape: str, runs: dict[str, Run]) -> dict[str, object]:
    by_rule = {
        rule: {
            "usd": float(np.mean(run.usd)),
            "total": float(np.mean(run.total)),
            "switches": run.switches / len(run.usd),
            "cached": run.read / run.sent,
            "short": run.short / run.requests,
        }
        for rule, run in runs.items()
    }
    ours = runs["ours"]
    return {
        "pair": pair,
        "shape": shape,
        "requests": ours.requests / len(ours.usd),
        "rules": by_rule,
        "saved_usd": {r: saved(ours.usd, runs[r].usd, 1) for r in RULES[:-1]},
        "saved_total": {r: saved(ours.total, runs[r].total, 1) for r in RULES[:-1]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Dollars of conversations that stick, or do not.")
    parser.add_argument("--sessions", type=int, default=400, help="For each seed.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = measure(args.sessions, args.seeds)
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"{args.sessions * args.seeds} made-up sessions of each kind, list prices. `short`: requests for\n"
        "which the router would have had the strong model and the weak one served.\n"
    )
    print(
        f"{'pair':<8} {'sessions':<12} {'rule':<8} {'USD':>9} {'total':>9} {'switches':>9} "
        f"{'cached':>7} {'short':>6}   ours saves, USD           ours saves, total"
    )
    for row in rows:
        for rule in RULES:
            _print(row, rule)


def _print(row: dict[str, object], rule: str) -> None:
    one = row["rules"][rule]  # type: ignore[index]
    line = (
        f"{row['pair']:<8} {row['shape']:<12} {rule:<8} {one['usd']:>9.4f} {one['total']:>9.4f} "
        f"{one['switches']:>9.2f} {one['cached']:>7.1%} {one['short']:>6.1%}"
    )
    for name in ("saved_usd", "saved_total"):
        found = row[name].get(rule)  # type: ignore[attr-defined]
        if found is not None:
            line += "   {:>6.1%} [{:>6.1%}, {:>6.1%}]".format(*found)
    print(line)


if __name__ == "__main__":
    main()
