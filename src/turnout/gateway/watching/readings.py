"""What is counted where it happens, read when metrics are scraped: breakers, load, routers, the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from turnout.engine import Engine
from turnout.execution.health import LEVELS, Health
from turnout.gateway.watching.cache_readings import readings_of_caches
from turnout.gateway.watching.door_readings import readings_of_alarms, readings_of_redis
from turnout.gateway.watching.parts import Now, read_part
from turnout.observe.logs import lines_dropped
from turnout.observe.metrics import Reading, Series
from turnout.providers.base import Provider
from turnout.providers.litellm.provider import LitellmProvider
from turnout.routers.judging import Spend
from turnout.types import PICO

_TARGET = ("provider", "model")


def readings_of(serving: Now) -> list[Reading]:
    """The readings of what serves at the time; none of them while nothing does."""
    return [
        *_of_upstreams(serving),
        *_of_routing(serving),
        *_of_conversations(serving),
        *readings_of_alarms(serving),
        *readings_of_redis(serving),
        *_of_records(serving),
        _of_keyed(serving),
        *_of_hedges(serving),
        *readings_of_caches(serving),
    ]


def _of_hedges(serving: Now) -> list[Reading]:
    of = read_part(serving, lambda s: s.hedging)
    return [
        Reading(
            name="turnout_hedges_total",
            help="Second calls beside slow ones: won, lost, and not made because a budget had no room.",
            labels=("outcome",),
            read=of(lambda h: [((o,), n) for o, n in sorted(h.counts.items())]),
        ),
        Reading(
            name="turnout_hedge_cost_usd_total",
            help="Of the calls whose answers were not used; what was cut off is estimated.",
            read=of(lambda h: [((), h.cost_picousd / PICO)]),
        ),
    ]


def _of_keyed(serving: Now) -> Reading:
    of = read_part(serving, lambda s: s.once)
    return Reading(
        name="turnout_idempotent_requests_total",
        help="Requests with an idempotency key: first ones, replayed answers, keys reused for another "
        "request, and first ones that were waited for in vain.",
        labels=("outcome",),
        read=of(lambda once: [((o,), n) for o, n in sorted(once.counts.items())]),
    )


def _of_upstreams(serving: Now) -> list[Reading]:
    of = read_part(serving, lambda s: s.resilience)

    def each(value: Callable[[Health], float]) -> Callable[[], Series]:
        return of(
            lambda r: [(_provider_and_model(k), value(h)) for k, h in tuple(r.health.items())]
        )

    def restarts(given: Mapping[str, Provider]) -> Series:
        return [((n,), p.restarts) for n, p in given.items() if isinstance(p, LitellmProvider)]

    return [
        Reading(
            name="turnout_upstream_inflight",
            help="Calls under way, by provider and its model.",
            labels=_TARGET,
            read=each(lambda health: health.in_flight),
        ),
        Reading(
            name="turnout_breaker_state",
            help="0: the target is called; 1: it is being probed; 2: it is out.",
            labels=_TARGET,
            read=each(lambda health: LEVELS[health.state]),
        ),
        Reading(
            name="turnout_upstream_further_calls_total",
            help="Calls beyond the first of a request: retries, fallbacks and second calls.",
            read=of(lambda r: [((), r.further_calls)]),
        ),
        Reading(
            name="turnout_provider_restarts_total",
            help="Times that the process of a provider of kind litellm had to be started again.",
            labels=("provider",),
            read=read_part(serving, lambda s: s.providers)(restarts),
        ),
    ]


def _provider_and_model(key: str) -> tuple[str, str]:
    provider, _, model = key.partition("/")
    return provider, model


def _of_routing(serving: Now) -> list[Reading]:
    of = read_part(serving, lambda s: s.engine)

    def spent(engine: Engine) -> Series:
        found = []
        for name, router in engine.routers.items():
            spend = getattr(router, "spend", None)
            if isinstance(spend, Spend):
                found.append(((name, "input"), float(spend.input_tokens)))
                found.append(((name, "output"), float(spend.output_tokens)))
        return found

    def calls(engine: Engine) -> Series:
        found = {name: getattr(router, "spend", None) for name, router in engine.routers.items()}
        return [((name,), s.calls) for name, s in found.items() if isinstance(s, Spend)]

    return [
        Reading(
            name="turnout_router_fallbacks_total",
            help="Queries for which a router failed.",
            read=of(lambda engine: [((), engine.fallbacks)]),
        ),
        Reading(
            name="turnout_certificates_revoked",
            help="Certificates in use whose promise no longer holds.",
            read=of(
                lambda engine: [((), sum(c["state"] == "revoked" for c in engine.certificates()))]
            ),
        ),
        Reading(
            name="turnout_judge_calls_total",
            help="Calls that a judging router made, failed ones included.",
            labels=("router",),
            read=of(calls),
        ),
        Reading(
            name="turnout_judge_tokens_total",
            help="Tokens of a judging router's own calls.",
            labels=("router", "direction"),
            read=of(spent),
        ),
    ]


def _of_conversations(serving: Now) -> list[Reading]:
    of = read_part(serving, lambda s: s.conversing.sharing)
    return [
        Reading(
            name="turnout_shared_conversations_read_total",
            help="Requests for which the conversations shared over Redis were asked, by what came of it.",
            labels=("found",),
            read=of(lambda sharing: [((name,), n) for name, n in sharing.found.items()]),
        ),
        Reading(
            name="turnout_shared_conversations_unwritten_total",
            help="Changes of conversations that never reached Redis.",
            read=of(lambda sharing: [((), sharing.unwritten)]),
        ),
    ]


def _of_records(serving: Now) -> list[Reading]:
    of = read_part(serving, lambda s: s.recorder.ledger)
    lost = of(lambda ledger: [(("ledger",), ledger.dropped)])

    return [
        Reading(
            name="turnout_log_dropped_total",
            help="Lines that were lost: of the log, because its writer was behind; of the ledger's journal, "
            "because the disk or the journal is full.",
            labels=("sink",),
            read=lambda: [(("log",), lines_dropped()), *lost()],
        ),
        Reading(
            name="turnout_ledger_failures_total",
            help="Tries to put records into the database that failed; the records wait.",
            read=of(lambda ledger: [((), ledger.failures)]),
        ),
    ]
