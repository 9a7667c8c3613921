"""Logs that never make a request wait: a bounded queue, a thread that redacts and writes, counted drops.

    with logging_to(sys.stderr, form="json", level="info", redactor=Redactor(secrets)) as logs:
        ...

Every record of the process goes through the redactor, a library's too. Of an exception the types and
the places are written; its message only where it is one of ours or the system's (`OSError`), because
any other may quote what it failed on.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal, TextIO, TypeAlias

from turnout.errors import TurnoutError
from turnout.observe.redaction import Redactor

Form: TypeAlias = Literal["text", "json"]
Clean: TypeAlias = Callable[[str], str]

MOST_WAITING = 10_000
"""Lines that wait for the writer; beyond it they are dropped and counted."""
LONGEST_LINE = 8_192
"""Characters of a line, or of a field in JSON, before it is cut."""
_NAMES_KEPT = 512
_GATHER_S = 0.02
"""The writer wakes up at most this often."""
_QUIET = ("httpx2", "httpcore2", "urllib3", "opentelemetry")
"""Libraries whose chatter below warnings may show what is sent."""


class Logs(logging.Handler):
    """Hands records to a thread that writes them.

    Args:
        stream: where lines go.
        form: `text`, or `json`: an object a line.
        redactor: cleans every line.
        most_waiting: lines that wait at most.
    """

    def __init__(
        self, stream: TextIO, *, form: Form, redactor: Redactor, most_waiting: int = MOST_WAITING
    ) -> None:
        super().__init__()
        self._stream, self._write_one = stream, _WRITERS[form]
        self._redactor, self._most = redactor, most_waiting
        # Names of routes and models come again and again; one look at each is enough.
        self._clean_name = lru_cache(_NAMES_KEPT)(self._clean)
        self._waiting: deque[logging.LogRecord] = deque()
        self._wake, self._stop = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="turnout-log", daemon=True)
        self.dropped = 0
        """Lines that were not written, because the writer was behind or the stream is broken."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record. Its text is made here, so that nothing of the request lives on in the queue."""
        if len(self._waiting) >= self._most:
            self.dropped += 1
            return
        if record.args or record.exc_info or not isinstance(record.msg, Line):
            try:
                record.msg, record.args = record.getMessage(), None
            except Exception as error:  # noqa: BLE001 - a wrong format must not fail a request
                record.msg, record.args = f"a log line that cannot be written: {record.msg!r}", None
                record.exc_info = (type(error), error, error.__traceback__)
            if record.exc_info:
                record.exc_text = safe_traceback(record.exc_info[1])
                record.exc_info = None
        self._waiting.append(record)
        if not self._wake.is_set():
            self._wake.set()

    def finish(self, timeout_s: float = 5.0) -> None:
        """Write what waits, and end."""
        self._stop = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if not self._stop:
                time.sleep(_GATHER_S)
            self._wake.clear()
            self._drain()
            if self._stop and not self._waiting:
                return

    def _clean(self, text: str) -> str:
        """Cleaned, then cut: half of a secret does not look like one."""
        return self._redactor.clean(text)[:LONGEST_LINE]

    def _drain(self) -> None:
        lines = []
        while self._waiting:
            record = self._waiting.popleft()
            lines.append(self._write_one(record, self._clean, self._clean_name))
        if not lines:
            return
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a broken pipe, a closed stream: there is nowhere to say so
            self.dropped += len(lines)


class Line:
    """A line made of fields, by the thread that writes it: what the gateway makes or its settings name.

    Args:
        what: the message.
        fields: gives them; called once, in the thread that writes.
    """

    __slots__ = ("fields", "what")

    def __init__(self, what: str, fields: Callable[[], Mapping[str, Any]]) -> None:
        self.what, self.fields = what, fields

    def __str__(self) -> str:
        """`what name=value …`, without what is not known."""
        return self.text(str)

    def text(self, clean: Clean) -> str:
        """The same, with texts cleaned."""
        known = {name: v for name, v in self.fields().items() if v not in ("", None)}
        pairs = (f"{n}={clean(v) if isinstance(v, str) else v}" for n, v in known.items())
        return " ".join([self.what, *pairs])


def lines_dropped() -> int:
    """Lines that this process has not written so far."""
    handlers = logging.getLogger().handlers
    return sum(handler.dropped for handler in handlers if isinstance(handler, Logs))


def safe_traceback(error: BaseException | None) -> str:
    """Types and places of an exception and of what led to it; messages of our own errors and the system's."""
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        said = f": {error}" if isinstance(error, TurnoutError | OSError) else ""
        frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
        lines.insert(0, f"{frames}\n{type(error).__name__}{said}".lstrip("\n"))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def _text(record: logging.LogRecord, clean: Clean, clean_name: Clean) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
    head = f"{at},{int(record.msecs):03d} {record.levelname} {record.name}:"
    if isinstance(record.msg, Line):
        return f"{head} {record.msg.text(clean_name)}"
    said = str(record.msg).replace("\r", "\\r").replace("\n", "\n  ")
    trace = "" if not record.exc_text else "\n  " + record.exc_text.replace("\n", "\n  ")
    return clean(f"{head} {said}{trace}")


def _json(record: logging.LogRecord, clean: Clean, clean_name: Clean) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    found: dict[str, Any] = {
        "time": f"{at}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
    }
    if isinstance(record.msg, Line):
        fields = record.msg.fields().items()
        found["message"] = record.msg.what
        found |= {name: clean_name(v) if isinstance(v, str) else v for name, v in fields}
    else:
        found["message"] = clean(str(record.msg))
    if record.exc_text:
        found["traceback"] = clean(record.exc_text)
    return json.dumps(found, separators=(",", ":"), default=str)


_WRITERS = {"text": _text, "json": _json}


@contextmanager
def logging_to(stream: TextIO, *, form: Form, level: str, redactor: Redactor) -> Iterator[Logs]:
    """Let the whole process log to a stream while the block runs, and to nothing else.

    Args:
        stream: such as `sys.stderr`.
        form: `text` or `json`.
        level: `debug`, `info`, `warning` or `error`.
        redactor: cleans every line.
    """
    logs = Logs(stream, form=form, redactor=redactor)
    root = logging.getLogger()
    kept, kept_level = root.handlers[:], root.level
    for handler in kept:
        root.removeHandler(handler)
    root.addHandler(logs)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logs.start()
    try:
        yield logs
    finally:
        logs.finish()
        root.removeHandler(logs)
        for handler in kept:
            root.addHandler(handler)
        root.setLevel(kept_level)
