"""What is counted of callers, read when metrics are scraped: keys that raised the alarm."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from turnout.gateway.alarming import StrongShareAlarm
from turnout.gateway.serving import Serving
from turnout.observe.metrics import Reading, Series


def readings_of_alarms(serving: Callable[[], Serving | None]) -> list[Reading]:
    """Of the strong-share alarm."""

    def of(
        read: Callable[[StrongShareAlarm], Mapping[str, float]],
    ) -> Callable[[], Series]:
        def now() -> Series:
            found = serving()
            if found is None or found.alarm is None:
                return []
            return [((key,), value) for key, value in read(found.alarm).items()]

        return now

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
