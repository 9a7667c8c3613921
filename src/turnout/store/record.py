"""One request as it is kept: who asked, what was decided, what it cost. No prompt, no answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Literal, TypeAlias

import orjson

from turnout.errors import DataError

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
    """The whole decision, as JSON."""
    kind: Kind = "request"
    of: str = ""
    """The id of the request that this one was sent beside."""
    saved_picousd: int | None = None
    """Of an answer from the cache: what it had cost when it was made."""

    def to_json(self) -> bytes:
        """One line, in UTF-8, the id first."""
        try:
            return orjson.dumps(self)
        except TypeError:
            return json_line(dict(zip(COLUMNS, self.values(), strict=True)))

    def values(self) -> tuple[Any, ...]:
        """The row, in the order of `COLUMNS`."""
        return _VALUES(self)


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Record))
_KNOWN = frozenset(COLUMNS)
_VALUES = attrgetter(*COLUMNS)


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


def read_record(line: bytes) -> Record:
    """A record from its line. Fields that a later version added are passed over.

    Raises:
        DataError: not a record.
    """
    given = _read_line(line)
    if not isinstance(given, dict) or not {"id", "at_ms", "status"} <= given.keys():
        raise DataError("record", f"{len(line)} bytes", "this line is no record")
    if not given.keys() <= _KNOWN:
        given = {name: given[name] for name in COLUMNS if name in given}
    return Record(**given)
