"""What is counted of callers, read when metrics are scraped: refusals, departures, alarms, Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from turnout.access.redis_counters import RedisCounters
from turnout.access.redis_link import RedisLink
from turnout.gateway.http.door import Door
from turnout.gateway.routing.alarming import StrongShareAlarm
from turnout.gateway.serving import Serving
from turnout.gateway.watching.parts import Now, read_part
from turnout.observe.metrics import Metrics, Reading, Series


def readings_of_clients(
    door: Door, metrics: Callable[[], Metrics | None], express: Callable[[], int]
) -> list[Reading]:
    """Of the ways in and out.

    Args:
        door: counts those who were not served to the end.
        metrics: count requests.
        express: requests so far that went the express way.
    """

    def refusals() -> Series:
        return [((str(s), why), n) for (s, why), n in door.all_refusals().items()]

    def left() -> Series:
        counted = metrics()
        total = 0 if counted is None else dict(counted.outcomes).get("left", 0)
        found = {when: door.left[when] for when in ("request", "wait")}
        found["answer"] = max(0, total - found["wait"])
        return [((when,), n) for when, n in found.items()]

    return [
        Reading(
            name="turnout_refused_total",
            help="Requests answered with an error of the gateway's own, by status and reason.",
            labels=("status", "reason"),
            read=refusals,
        ),
        Reading(
            name="turnout_clients_cut_off_total",
            help="Clients that took too long to send a head or a body, or to read.",
            labels=("reason",),
            read=lambda: [((reason,), n) for reason, n in door.cut_off().items()],
        ),
        Reading(
            name="turnout_clients_left_total",
            help="Clients that left: before their request was decided, before its answer, or in it.",
            labels=("when",),
            read=left,
        ),
        Reading(
            name="turnout_express_requests_total",
            help="Requests that were like those before them, and so were served in fewer steps.",
            read=lambda: [((), express())],
        ),
    ]


def readings_of_redis(serving: Now) -> list[Reading]:
    """Of the connections to Redis, and of the keys that are read from the database."""
    links = read_part(serving, _links)
    keyring = read_part(serving, lambda s: s.access.keyring)

    def of(read: Callable[[RedisLink], float]) -> Callable[[], Series]:
        return links(lambda found: [((use,), read(link)) for use, link in found.items()])

    return [
        Reading(
            name="turnout_redis_failures_total",
            help="Times that Redis could not be reached or was too slow, by what it was asked for.",
            labels=("use",),
            read=of(lambda link: link.failures),
        ),
        Reading(
            name="turnout_redis_lost_total",
            help="Steps that never reached Redis, because too many waited for it.",
            labels=("use",),
            read=of(lambda link: link.given_up),
        ),
        Reading(
            name="turnout_redis_down",
            help="1 while Redis is not asked, since it failed a moment ago.",
            labels=("use",),
            read=of(lambda link: float(link.down)),
        ),
        Reading(
            name="turnout_keys_failures_total",
            help="Looks for changed keys in the database that failed.",
            read=keyring(lambda keys: [((), keys.failures)]),
        ),
    ]


def _links(serving: Serving) -> dict[str, RedisLink]:
    found = {}
    counters, sharing, once = serving.access.counters, serving.conversing.sharing, serving.once
    if isinstance(counters, RedisCounters):
        found["counters"] = counters.link
    if sharing is not None:
        found["conversations"] = sharing.link
    if once is not None and once.link is not None:
        found["idempotency"] = once.link
    return found


def readings_of_alarms(serving: Now) -> list[Reading]:
    """Of the strong-share alarm."""
    alarms = read_part(serving, lambda s: s.alarm)

    def of(read: Callable[[StrongShareAlarm], Mapping[str, float]]) -> Callable[[], Series]:
        return alarms(lambda alarm: [((key,), value) for key, value in read(alarm).items()])

    return [
        Reading(
            name="turnout_strong_share_alarms_total",
            help="Alarms, by the id of the key whose requests went to the dearest candidate too often.",
            labels=("key",),
            read=of(lambda alarm: dict(alarm.remembered.counts)),
        ),
        Reading(
            name="turnout_strong_share_alarm",
            help="1 while such an alarm lasts.",
            labels=("key",),
            read=of(lambda alarm: alarm.gauge()),
        ),
    ]
