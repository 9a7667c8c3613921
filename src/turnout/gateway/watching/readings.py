"""What is counted where it happens, read when metrics are scraped: breakers, load, routers, the ledger."""

from __future__ import annotations

from collections.abc import Callable

from turnout.engine import Engine
from turnout.execution.health import LEVELS, Health
from turnout.gateway.serving import Serving
from turnout.gateway.sessions.sharing import Sharing
from turnout.gateway.watching.cache_readings import readings_of_caches
from turnout.gateway.watching.door_readings import readings_of_alarms, readings_of_redis
from turnout.observe.logs import lines_dropped
from turnout.observe.metrics import Reading, Series
from turnout.providers.litellm.provider import LitellmProvider
from turnout.routers.judging import Spend
from turnout.store.ledger import Ledger
from turnout.types import PICO

_TARGET = ("provider", "model")


def readings_of(serving: Callable[[], Serving | None]) -> list[Reading]:
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


def _of_hedges(serving: Callable[[], Serving | None]) -> list[Reading]:
    def calls() -> Series:
        now = serving()
        if now is None or now.hedging is None:
            return []
        return [((outcome,), count) for outcome, count in sorted(now.hedging.counts.items())]

    def cost() -> Series:
        now = serving()
        return [] if now is None or now.hedging is None else [((), now.hedging.cost_picousd / PICO)]

    return [
        Reading(
            name="turnout_hedges_total",
            help="Second calls beside slow ones: won, lost, and not made because a budget had no room.",
            labels=("outcome",),
            read=calls,
        ),
        Reading(
            name="turnout_hedge_cost_usd_total",
            help="Of the calls whose answers were not used; what was cut off is estimated.",
            read=cost,
        ),
    ]


def _of_keyed(serving: Callable[[], Serving | None]) -> Reading:
    def read() -> Series:
        now = serving()
        if now is None or now.once is None:
            return []
        return [((outcome,), count) for outcome, count in sorted(now.once.counts.items())]

    return Reading(
        name="turnout_idempotent_requests_total",
        help="Requests with an idempotency key: first ones, replayed answers, keys reused for another "
        "request, and first ones that were waited for in vain.",
        labels=("outcome",),
        read=read,
    )


def _of_upstreams(serving: Callable[[], Serving | None]) -> list[Reading]:
    def each(value: Callable[[Health], float]) -> Callable[[], Series]:
        def read() -> Series:
            now = serving()
            targets = () if now is None else tuple(now.resilience.health.items())
            return [(_provider_and_model(key), value(health)) for key, health in targets]

        return read

    def restarts() -> Series:
        now = serving()
        given = {} if now is None else now.providers
        return [((n,), p.restarts) for n, p in given.items() if isinstance(p, LitellmProvider)]

    def further() -> Series:
        now = serving()
        return [] if now is None else [((), now.resilience.further_calls)]

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
            read=further,
        ),
        Reading(
            name="turnout_provider_restarts_total",
            help="Times that the process of a provider of kind litellm had to be started again.",
            labels=("provider",),
            read=restarts,
        ),
    ]


def _provider_and_model(key: str) -> tuple[str, str]:
    provider, _, model = key.partition("/")
    return provider, model


def _of_routing(serving: Callable[[], Serving | None]) -> list[Reading]:
    def of(read: Callable[[Engine], Series]) -> Callable[[], Series]:
        def now() -> Series:
            found = serving()
            return [] if found is None else read(found.engine)

        return now

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


def _of_conversations(serving: Callable[[], Serving | None]) -> list[Reading]:
    def of(read: Callable[[Sharing], Series]) -> Callable[[], Series]:
        def now() -> Series:
            found = serving()
            sharing = None if found is None else found.conversing.sharing
            return [] if sharing is None else read(sharing)

        return now

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


def _of_records(serving: Callable[[], Serving | None]) -> list[Reading]:
    def ledger() -> Ledger | None:
        now = serving()
        return None if now is None else now.recorder.ledger

    def dropped() -> Series:
        found: list[tuple[tuple[str, ...], float]] = [(("log",), lines_dropped())]
        kept = ledger()
        return found if kept is None else [*found, (("ledger",), kept.dropped)]

    def failures() -> Series:
        kept = ledger()
        return [] if kept is None else [((), kept.failures)]

    return [
        Reading(
            name="turnout_log_dropped_total",
            help="Lines that were lost: of the log, because its writer was behind; of the ledger's journal, "
            "because the disk or the journal is full.",
            labels=("sink",),
            read=dropped,
        ),
        Reading(
            name="turnout_ledger_failures_total",
            help="Tries to put records into the database that failed; the records wait.",
            read=failures,
        ),
    ]
