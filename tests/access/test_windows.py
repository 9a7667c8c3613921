"""Windows of budgets begin and end at UTC's hours, days, Mondays and months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.access.windows import WINDOWS, Calendar, bounds
from turnout.settings.access import Window


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        ("hour", "2026-12-31T23:00", "2027-01-01T00:00"),
        ("day", "2026-12-31T00:00", "2027-01-01T00:00"),
        ("week", "2026-12-28T00:00", "2027-01-04T00:00"),
        ("month", "2026-12-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_around_a_moment(window: Window, start: str, end: str) -> None:
    assert bounds(window, unix("2026-12-31T23:59:59") + 0.9) == (unix(start), unix(end))


@given(st.sampled_from(WINDOWS), st.floats(0, 4e9))
def test_windows_meet_without_gap(window: Window, now: float) -> None:
    start, end = bounds(window, now)
    assert start <= now
    if end is None:
        assert window == "total"
        return
    assert now < end
    assert bounds(window, start) == (start, end)
    assert bounds(window, end)[0] == end
    moment = datetime.fromtimestamp(start, UTC)
    assert moment.minute == moment.second == 0
    assert window == "hour" or moment.hour == 0
    assert window != "week" or (moment.weekday() == 0 and end - start == 7 * 86_400)
    assert window != "month" or (moment.day == 1 and (moment + timedelta(days=31)).day <= 4)


def test_a_clock_that_is_set_back_begins_no_window_again() -> None:
    calendar, noon = Calendar(), unix("2026-03-29T12:00")
    window = calendar.at("hour", noon)
    assert calendar.at("hour", noon - 3_600) == window
    assert calendar.at("hour", noon + 3_600)[0] == noon + 3_600
