"""CPU of a request for keys, budgets and limits, beside what any gateway with keys must do.

    python benchmarks/access.py

The baseline is the least that a key costs: SHA-256 of the token and one dictionary look-up. Each line is
processor time for a request, the least of many rounds (others on the machine only add), and its ratio to
the baseline in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping

from turnout.access.gate import Access
from turnout.access.identity import Deployment
from turnout.access.keyring import Keyring
from turnout.access.keys import Key, digest, new_token
from turnout.access.memory import MemoryCounters
from turnout.access.worst import Asked, Costs
from turnout.settings.access import GrantSettings, LimitSettings, TeamSettings
from turnout.store.record import Record
from turnout.types import Attempt, Candidate, Decision, Price, Query

TOKEN = new_token()
HEADERS = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
QUERY = Query.of("What is the capital of France? " * 8, max_output_tokens=300)
BUDGETS = LimitSettings(budgets_usd={"day": 1e6, "month": 5e6})
RATES = {"requests_per_minute": 10**9, "tokens_per_minute": 10**12, "concurrent": 10**6}


def access(grant: GrantSettings, team: TeamSettings, everyone: LimitSettings) -> Access:
    """Two candidates, one key in one team."""
    pool = [
        Candidate(name="strong", price=Price.per_million(2, 8), context_tokens=10**6),
        Candidate(name="cheap", price=Price.per_million(0.1, 0.4), context_tokens=10**6),
    ]
    deployment = Deployment(
        candidates=[c.name for c in pool], teams={"data": team}, everyone=everyone
    )
    key = Key(id="key_1", name="ci", sha256=digest(TOKEN), team="data", grant=grant)
    return Access(
        keyring=Keyring(deployment, [key], None),
        counters=MemoryCounters(),
        costs=Costs(pool, 4_096),
        common=deployment.common(),
    )


async def requests(made: Access, count: int) -> None:
    """A request: who asks, may it, reserve; then settle."""
    attempts = (Attempt(candidate="strong", reason=""), Attempt(candidate="cheap", reason=""))

    for i in range(count):
        decision = Decision(
            id=f"dec_{i}", router="r", policy="p", attempts=attempts, code="c", reason="r"
        )

        async def decide(_: Mapping[str, str], made: Decision = decision) -> Decision:
            return made

        who = made.identify(HEADERS)
        admitted = await made.admit(who, "auto", Asked.of(QUERY, {}, 400), decide)
        made.ended(record(admitted.decision.id))


def record(name: str) -> Record:
    """A request that is over."""
    return Record(
        id=name, at_ms=0, status="ok", input_tokens=60, output_tokens=80, cost_picousd=760_000_000
    )


async def without(_: Access, count: int) -> None:
    """The same loop without access: what the other lines take off."""
    attempts = (Attempt(candidate="strong", reason=""), Attempt(candidate="cheap", reason=""))
    for i in range(count):
        decision = Decision(
            id=f"dec_{i}", router="r", policy="p", attempts=attempts, code="c", reason="r"
        )

        async def decide(_: Mapping[str, str], made: Decision = decision) -> Decision:
            return made

        record((await decide({})).id)


async def least(_: Access, count: int) -> None:
    """Hash and look up."""
    known = {digest(TOKEN): 1}
    for _i in range(count):
        token = HEADERS["authorization"][7:]
        if known[hashlib.sha256(token.encode()).hexdigest()] != 1:
            raise AssertionError


def cpu_us(work: Callable[[Access, int], Awaitable[None]], made: Access, count: int) -> float:
    """Processor time of one request in microseconds, the least of forty rounds."""

    async def timed() -> float:
        start = time.process_time()
        await work(made, count)
        return (time.process_time() - start) / count * 1e6

    return min(asyncio.run(timed()) for _ in range(40))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000)
    count = parser.parse_args().requests
    nothing, empty = GrantSettings(), TeamSettings()
    budgets = BUDGETS.model_dump(include={"budgets_usd"})
    cases = {
        "a key without limits": access(nothing, empty, LimitSettings()),
        "one budget": access(GrantSettings(budgets_usd={"day": 1e6}), empty, LimitSettings()),
        "rates of the key": access(GrantSettings(**RATES), empty, LimitSettings()),
        "all: 6 budgets, 6 rates": access(
            GrantSettings(**budgets, **RATES), TeamSettings(**budgets, **RATES), BUDGETS
        ),
    }
    first = next(iter(cases.values()))
    base, loop = cpu_us(least, first, count), cpu_us(without, first, count)
    print(f"{'':26}{'us':>8}{'x baseline':>12}")
    print(f"{'SHA-256 and a look-up':26}{base:8.2f}{1.0:12.1f}")
    for name, made in cases.items():
        took = cpu_us(requests, made, count) - loop
        print(f"{name:26}{took:8.2f}{took / base:12.1f}")


if __name__ == "__main__":
    main()
