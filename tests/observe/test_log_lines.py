from __future__ import annotations

import io
import json
import logging
import threading
import time

import pytest

from turnout.errors import TurnoutError
from turnout.observe.logs import LONGEST_LINE, Line, Logs, lines_dropped, logging_to, safe_traceback
from turnout.observe.redaction import Redactor

FIELDS = {"status": 200, "model": "cheap", "key": "", "cost_usd": None}
log = logging.getLogger("turnout.test")


def written(
    form: str = "text", *, level: str = "info", secrets: tuple[str, ...] = ()
) -> io.StringIO:
    stream = io.StringIO()
    with logging_to(stream, form=form, level=level, redactor=Redactor(secrets)):  # type: ignore[arg-type]
        log.debug("quiet")
        log.warning("the key %s of %s", "sk-abcdefghijklmnop", "a@b.example")
        log.info(Line("request", lambda: FIELDS))
        logging.getLogger("some.library").info("from a library with provider-canary")
    return stream


def test_every_line_is_cleaned_a_librarys_too() -> None:
    lines = written(secrets=("provider-canary",)).getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("WARNING turnout.test: the key [key] of [e-mail]")
    assert lines[1].endswith("INFO turnout.test: request status=200 model=cheap")
    assert lines[2].endswith("INFO some.library: from a library with [secret]")


def test_json_has_an_object_a_line_with_fields_of_their_own() -> None:
    rows = [json.loads(line) for line in written("json").getvalue().splitlines()]
    assert rows[1]["status"] == 200
    assert rows[1]["message"] == "request"
    assert {"time", "level", "logger"} <= rows[0].keys()
    assert rows[0]["message"] == "the key [key] of [e-mail]"


def test_the_level_is_kept_and_put_back() -> None:
    before = logging.getLogger().level, logging.getLogger().handlers[:]
    assert "quiet" in written(level="debug").getvalue()
    assert "request" not in written(level="warning").getvalue()
    assert (logging.getLogger().level, logging.getLogger().handlers[:]) == before


def test_of_an_exception_the_message_is_written_only_where_it_is_ours() -> None:
    stream = io.StringIO()
    with logging_to(stream, form="text", level="info", redactor=Redactor()):
        try:
            try:
                raise ValueError("-".join(["prompt", "canary"]))  # not as the source line has it
            except ValueError as error:
                raise TurnoutError("the router failed") from error
        except TurnoutError:
            log.exception("no luck")
    text = stream.getvalue()
    assert "prompt-canary" not in text
    assert "ValueError" in text
    assert "TurnoutError: the router failed" in text
    assert "test_log_lines.py" in text


def test_a_chain_that_goes_in_circles_ends() -> None:
    one, two = ValueError(), TypeError()
    one.__cause__, two.__cause__ = two, one
    assert safe_traceback(one).splitlines() == ["TypeError", "ValueError"]


def test_line_breaks_cannot_forge_a_line() -> None:
    stream = io.StringIO()
    with logging_to(stream, form="text", level="info", redactor=Redactor()):
        log.info("one\n2026-01-01 00:00:00,000 ERROR turnout: forged\r\nthree")
    assert all(line.startswith(("20", "  ")) for line in stream.getvalue().splitlines())
    assert not any(line.startswith("2026-01-01") for line in stream.getvalue().splitlines())


def test_a_long_line_is_cut_after_it_was_cleaned() -> None:
    stream = io.StringIO()
    with logging_to(stream, form="text", level="info", redactor=Redactor()):
        log.info("%s sk-abcdefghijklmnopqrst", "x" * (LONGEST_LINE - 70))
    assert len(stream.getvalue()) <= LONGEST_LINE + 1
    assert "sk-a" not in stream.getvalue()


def test_a_wrong_format_fails_no_caller() -> None:
    stream = io.StringIO()
    with logging_to(stream, form="text", level="info", redactor=Redactor()):
        log.info("%d", "not a number")
    assert "cannot be written" in stream.getvalue()


class _Stuck(io.StringIO):
    """A terminal that does not take what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def write(self, text: str) -> int:
        self.free.wait(30)
        return super().write(text)


def test_a_stuck_sink_makes_nobody_wait_and_drops_are_counted() -> None:
    stream = _Stuck()
    logs = Logs(stream, form="text", redactor=Redactor(), most_waiting=100)
    logger = logging.Logger("alone")
    logger.addHandler(logs)
    logs.start()
    start = time.monotonic()
    for i in range(1000):
        logger.warning("line %s", i)
    assert time.monotonic() - start < 5
    stream.free.set()
    logs.finish(30)
    kept = len(stream.getvalue().splitlines())
    assert kept + logs.dropped == 1000
    assert logs.dropped >= 700


def test_a_broken_pipe_is_counted_and_fails_nothing() -> None:
    stream = io.StringIO()
    with logging_to(stream, form="text", level="info", redactor=Redactor()) as logs:
        stream.close()
        log.info("nobody reads this")
        deadline = time.monotonic() + 10
        while not lines_dropped() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lines_dropped() == logs.dropped == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_many_threads_lose_no_line(form: str) -> None:
    stream = io.StringIO()
    with logging_to(stream, form=form, level="info", redactor=Redactor()):  # type: ignore[arg-type]
        threads = [
            threading.Thread(target=lambda: [log.info("line") for _ in range(500)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(stream.getvalue().splitlines()) == 2000
