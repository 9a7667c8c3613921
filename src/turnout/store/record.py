"""One request as it is kept: who asked, what was decided, what it cost. No prompt, no answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from operator import attrgetter
from typing import Any, Literal, TypeAlias

import orjson

from turnout.errors import DataError
from turnout.store.database import clean_text

Status: TypeAlias = Literal["ok", "partial", "failed", "refused", "left", "unknown"]
"""`ok`; `partial`: a stream that broke off after its answer began; `failed`: no attempt gave an answer;
`refused` before a decision; `left`: the client went away; `unknown`: this process died in between."""

FLAGS = {
    "usage_refused": "the upstream's token counts were not believed; tokens and cost are estimates",
    "usage_doubted": "some of the upstream's counts were not believed and left out",
    "other_model": "the upstream named another model than it was asked for",
    "by_meaning": "answered from the cache with the answer to another question of the same meaning",
    "service_unpriced": "no price of this service tier is known; the usual one was taken",
}
"""What may stand in a record's `flags`."""

CostBasis: TypeAlias = Literal["provider", "usage", "estimate", "reserved", "none", "cache"]
"""Whose word the cost rests on: the provider's bill line, its token counts, our estimate of tokens, the
most that it could be (of a request under a budget that is not over, or whose process died), or nothing
(no price is known); `cache`: nothing was called, and it cost nothing."""


Kind: TypeAlias = Literal["request", "mirror", "hedge"]
"""`request`: of a client; `mirror`: sent beside one, at nobody's expense but the operator's; `hedge`: of two
calls for a request the one whose answer was not used. That is paid as well, and counted in the
request's `calls`."""


@dataclass(slots=True, kw_only=True)  # not frozen: that would double what making one costs
class Record:
    """A row of the ledger. Money is in picodollars (1e-12 USD), times in milliseconds."""

    id: str
    """The decision's id, or the request's where none was made; never given twice."""
    at_ms: int
    """Unix time at which the request came."""
    status: Status
    key: str = ""
    """The id of the key that asked; never the key."""
    model: str = ""
    """What `model` said."""
    router: str = ""
    candidate: str = ""
    """Who answered, or was to."""
    provider: str = ""
    upstream_model: str = ""
    """The model that the upstream named."""
    code: str = ""
    """The decision's reason, or the error's."""
    http_status: int = 0
    stream: bool = False
    calls: int = 0
    """Upstream calls that were made."""
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    """Those of `cache_write_tokens` that were written for long."""
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_picousd: int | None = None
    cost_basis: CostBasis = "none"
    service: str = ""
    """The service tier that the provider says it served the call in."""
    flags: str = ""
    """What a reader of the bill should know, by words with a space between: see `FLAGS`."""
    duration_ms: int = 0
    first_byte_ms: int = 0
    session: str = ""
    decision: str = ""
    """The whole decision, as JSON on one line."""
    kind: Kind = "request"
    of: str = ""
    """The id of the request that this one was sent beside."""
    saved_picousd: int | None = None
    """Of an answer from the cache: what it had cost when it was made."""

    def to_json(self, *, decision: bool = True) -> bytes:
        """The row as a list on one line, in UTF-8, the id first; behind a tab the decision as it is.

        JSON inside of JSON would be a third longer, and be written and read twice.
        """
        row = list(_VALUES(self))
        row[DECISION] = ""
        line = json_line(row)
        return b"%b\t%b" % (line, self.decision.encode()) if decision and self.decision else line


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Record))
"""Later versions add to the end alone: lines of the journal name no columns."""
ID, STATUS, DECISION = COLUMNS.index("id"), COLUMNS.index("status"), COLUMNS.index("decision")
_STREAM = COLUMNS.index("stream")
_VALUES = attrgetter(*COLUMNS)
_DEFAULTS = [None if f.default is MISSING else f.default for f in fields(Record)]
_KINDS = frozenset({str, int, bool, float, type(None)})
"""Of values that databases take."""
DECIDED = b"\t"
"""Between a row and its decision: JSON on one line has no tab."""
_FIRST = 30
"""Columns of the first version that wrote lists."""

Row: TypeAlias = list[Any]
"""A record's values in the order of `COLUMNS`, as a database takes them."""


def json_line(value: Any) -> bytes:
    """Compact JSON on one line; `json` writes what `orjson` cannot: a lone surrogate."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _read_line(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            return json.loads(line)
        except ValueError:
            return None


def decision_of(written: bytes) -> str:
    """A decision as it stands behind its row.

    Raises:
        DataError: it is not whole.
    """
    try:
        return written.decode()
    except UnicodeDecodeError:
        raise DataError("record", f"{len(written)} bytes", "its decision is cut off") from None


def read_row(line: bytes) -> Row:
    """A row from its line. Columns that a later version added are passed over.

    Args:
        line: of `to_json`; earlier versions wrote the decision in its column, and before that an
            object with the columns' names.

    Raises:
        DataError: not a record.
    """
    line, _, decision = line.partition(DECIDED)
    given = _read_line(line)
    if isinstance(given, dict) and {"id", "at_ms", "status"} <= given.keys():
        given = [given.get(name, usual) for name, usual in zip(COLUMNS, _DEFAULTS, strict=True)]
    if not isinstance(given, list) or len(given) < _FIRST or not isinstance(given[ID], str):
        raise DataError("record", f"{len(line)} bytes", "this line is no record")
    row: Row = given[: len(COLUMNS)] + _DEFAULTS[len(given) :]
    if row[_STREAM] not in (0, 1) or not _KINDS.issuperset(map(type, row)):
        # It would stop every fold, and all records behind it would wait for ever.
        raise DataError("record", f"{len(line)} bytes", "a value of this line is of no record")
    row[_STREAM] = int(row[_STREAM])
    if decision:
        row[DECISION] = decision_of(decision)
    if b"\\u" in line or not line.isascii():  # what upstreams sent may hold what no database takes
        return _cleaned(row)
    return row


def _cleaned(row: Row) -> Row:
    return [clean_text(value) if isinstance(value, str) else value for value in row]


def written(record: Record) -> tuple[bytes, Row]:
    """A record's line without its decision, and its row, decision included, as `read_row` gives it.

    Values that are of no record are still in the row: see `as_read`.
    """
    row: Row = list(_VALUES(record))
    row[_STREAM] = 1 if row[_STREAM] else 0
    row[DECISION] = ""
    line = json_line(row)
    row[DECISION] = record.decision
    if b"\\u" in line or not line.isascii():
        row = _cleaned(row)
    return line, row


def as_read(row: Row) -> Row:
    """A row of `written` as it would be read: databases take it.

    Raises:
        DataError: not a record.
    """
    return row if _KINDS.issuperset(map(type, row)) else read_row(json_line(row))


def row_of(record: Record) -> Row:
    """The row of a record, as `read_row` gives it."""
    return [
        clean_text(value) if isinstance(value, str) else int(value) if value is not None else None
        for value in _VALUES(record)
    ]


def record_of(row: Sequence[Any]) -> Record:
    """The record of a row, wherever it was read."""
    given = dict(zip(COLUMNS, row, strict=True))
    return Record(**{**given, "stream": bool(given["stream"])})
