"""`/v1/alarms`, for operators: the strong-share alarms that last, and their end."""

from __future__ import annotations

from turnout.errors import RequestError
from turnout.gateway.http.asgi import Call
from turnout.gateway.routing.alarming import NOBODY, StrongShareAlarm
from turnout.wire.body import read_body
from turnout.wire.reading import Kind, kind

MOST_BYTES = 4_096
_LONGEST = 256


async def tell_alarms(call: Call, alarm: StrongShareAlarm | None) -> None:
    """`GET`: the alarms of this process.

    Raises:
        RequestError: no alarm is set up.
    """
    found = _set_up(alarm)
    await call.answer_json({**found.state(), "alarms": found.listing()})


async def clear_alarm(call: Call, alarm: StrongShareAlarm | None) -> None:
    """`POST {"clear": KEY_ID}`: end a key's alarm in this process; the key is watched anew.

    Raises:
        RequestError: no alarm is set up, none of this key lasts, or no key is named.
    """
    found = _set_up(alarm)
    given = read_body(await call.body(MOST_BYTES)).fields
    for name in given:
        if name != "clear":
            raise RequestError(name[:64], kind(given[name]), "give clear alone: a key's id")
    key = given.get("clear")
    if not isinstance(key, str) or len(key) > _LONGEST:
        remedy = "give the id of a key, as GET /v1/alarms lists it"
        raise RequestError("clear", kind(key), remedy)
    if not found.clear("" if key == NOBODY else key, "an operator ended it"):
        raise RequestError("clear", key, "no alarm of it lasts here; GET /v1/alarms lists those")
    await call.answer_json({"cleared": key, **found.state()})


def _set_up(alarm: StrongShareAlarm | None) -> StrongShareAlarm:
    if alarm is None:
        raise RequestError("alarms", Kind("not set up"), "set `alarm` in the gateway's settings")
    return alarm
