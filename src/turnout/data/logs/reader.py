"""Records → calls: which format a record is of, and what is wrong with those that are of none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from turnout.data.lines import at
from turnout.data.logs import gateways, llm_cli, openai, otel, tables, traces
from turnout.data.logs.call import Findings, LogCall, Unusable
from turnout.data.logs.fields import Row
from turnout.data.logs.files import LogFile, Record, expand, open_log
from turnout.data.logs.joins import Joins
from turnout.errors import DataError


@dataclass(frozen=True, slots=True)
class Format:
    """One log format."""

    name: str
    matches: Callable[[Row], bool]
    read: Callable[[Row, Joins], Iterator[LogCall | Unusable]]


FORMATS: tuple[Format, ...] = (
    Format("openai-batch", openai.is_batch_input, openai.read_batch_input),
    Format("openai-batch-output", openai.is_batch_output, openai.read_batch_output),
    Format("otlp", otel.is_otlp, otel.read_otlp),
    Format("span", otel.is_span, otel.read_span),
    Format("mlflow", traces.is_mlflow, traces.read_mlflow),
    Format("weave", traces.is_weave, traces.read_weave),
    Format("litellm-spend", gateways.is_litellm_spend, gateways.read_litellm),
    Format("litellm-payload", gateways.is_litellm_payload, gateways.read_litellm),
    Format("helicone", gateways.is_helicone, gateways.read_helicone),
    Format("langfuse", traces.is_langfuse, traces.read_langfuse),
    Format("openai-stored", openai.is_stored_completion, openai.read_stored_completion),
    Format("llm-cli", llm_cli.is_llm, llm_cli.read_llm),
    Format("chat", openai.is_chat, openai.read_chat),
    Format("table", tables.is_table, tables.read_table),
)
"""Most telling first: a record is of the first that it matches."""

_PAGES = ("data", "calls", "traces", "observations", "spans", "results")


@dataclass(slots=True)
class Reader:
    """Reads records of any mix of formats."""

    joins: Joins = field(default_factory=Joins)

    def read(self, record: Record) -> Iterator[LogCall | Unusable]:
        """The calls of a record (a trace has several), or why there are none."""
        if record.value is None:
            yield Unusable(record.wrong)
            return
        row = parsed(record.value)
        if isinstance(row, Unusable):
            yield row
            return
        for item in _items(row):
            form = next((form for form in FORMATS if form.matches(item)), None)
            if form is None:
                yield Unusable("unknown_shape")
            else:
                yield from form.read(item, self.joins)


def parsed(value: bytes | Row) -> Row | Unusable:
    """The object that a record's bytes hold."""
    if not isinstance(value, bytes):
        return value
    try:
        row = json.loads(value)
    except UnicodeDecodeError:
        return Unusable("not_utf8")
    except (ValueError, RecursionError):
        return Unusable("truncated" if _breaks_off(value) else "not_json")
    return row if isinstance(row, dict) else Unusable("not_object")


def _breaks_off(line: bytes) -> bool:
    """Whether a line is the beginning of an object that never ends."""
    return line[:1] == b"{" and (line[-1:] != b"}" or line.count(b"{") > line.count(b"}"))


def _items(row: Row) -> Iterable[Row]:
    """The rows of a page as list endpoints give it; else the row itself."""
    for name in _PAGES:
        page = row.get(name)
        listed = isinstance(page, list) and page and all(isinstance(v, dict) for v in page)
        if listed and (
            row.get("object") == "list" or set(row) <= {name, "meta", "next", "has_more"}
        ):
            return [v for v in page or () if isinstance(v, dict)]
    return (row,)


def side_files(files: Sequence[LogFile]) -> tuple[list[LogFile], Joins, Findings]:
    """Read the files that others only need (batch outputs, Langfuse's traces and scores).

    Returns:
        The other files, in order; what was taken; and what could not be.
    """
    joins, others, findings = Joins(), [], Findings()
    for file in files:
        with closing(file.records()) as records:
            head = next(records, None)
        row = None if head is None or head.value is None else parsed(head.value)
        if row is None or isinstance(row, Unusable) or not all(map(Joins().take, _items(row))):
            others.append(file)
            continue
        for record in file.records():
            reason = _taken(record, joins)
            if reason:
                findings.add(reason, file.path.name, record.line)
    return others, joins, findings


def _taken(record: Record, joins: Joins) -> str:
    """Take a record of a side file; the reason where that cannot be."""
    row = Unusable(record.wrong) if record.value is None else parsed(record.value)
    if isinstance(row, Unusable):
        return row.reason
    fine = [joins.take(item) for item in _items(row)]
    return "" if all(fine) else "unknown_shape"


def read_calls(patterns: Sequence[str | Path], findings: Findings) -> Iterator[LogCall]:
    """Every call of the logs that patterns mean, streamed; what gives none is counted.

    Args:
        patterns: see `expand`; `-` is not read here.
        findings: filled while the calls are read.

    Raises:
        DataError: no such file, or one of which nothing can be read; it names the first line.
    """
    files, joins, beside = side_files([open_log(path) for path in expand(patterns)])
    for reason, count, where, line in beside:
        findings.add(reason, where, line, count)
    for file in files:
        reader, any_read, bad = Reader(joins), False, 0
        for record in file.records():
            for found in reader.read(record):
                if isinstance(found, Unusable):
                    findings.add(found.reason, file.path.name, record.line)
                    bad = bad or (record.line if found.reason in NOT_A_LOG else 0)
                    any_read = any_read or found.reason not in NOT_A_LOG
                    continue
                any_read = True
                for doubt in found.doubts:
                    findings.add(doubt, file.path.name, record.line)
                yield found
        if bad and not any_read:
            raise unreadable(file.path, bad)


NOT_A_LOG = frozenset(
    "truncated not_json not_utf8 not_object unknown_shape ragged broken_archive".split()
)
"""Reasons that say that a record is of no known form; a file with nothing else cannot be read."""


def unreadable(path: Path, line: int) -> DataError:
    """The error of a file of which nothing could be read."""
    remedy = f"nothing in it is of a known log format, from this line on; known: {', '.join(KNOWN)}"
    return DataError(at(path, line), "", remedy)


KNOWN = tuple(form.name for form in FORMATS if form.name not in ("openai-batch-output", "table"))
