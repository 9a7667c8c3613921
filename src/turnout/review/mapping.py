"""Records of a log → columns: read, encoded and predicted in batches. Each stretch stands alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from turnout.data.logs import Findings, Joins, LogCall, Reader, Unusable
from turnout.data.logs.files import Record
from turnout.data.logs.reader import NOT_A_LOG
from turnout.encoders.base import Encoder
from turnout.policies.constraints import exclusions
from turnout.review.columns import UNKNOWN, Columns, Shard
from turnout.routers.base import Router
from turnout.routers.inputs import RawRows, plain
from turnout.routers.trained import TrainedRouter
from turnout.types import Candidate, Floats, Prediction

BATCH = 1024
"""Calls that are predicted together: bounds memory."""
_WORD = re.compile(r"\w+")
_CONTEXT_LIMIT = 2**31 - 1


@dataclass(slots=True)
class Mapper:
    """Makes shards with one router for one pool."""

    router: Router
    candidates: Sequence[Candidate]
    encoder: Encoder
    """Makes the vectors that clusters are found in; the router's own where it has one."""
    joins: Joins = field(default_factory=Joins)

    def shard(
        self, records: Iterable[Record], *, file: int, unit: int, where: str, lines: int = 0
    ) -> Shard:
        """The shard of records whose lines are numbered from 1; `lines` where more are known of."""
        reader, seen = Reader(self.joins), _Seen(where)
        parts: list[tuple[Columns, Floats]] = []
        for batch in _batches(seen.calls(reader, records)):
            quality, expected, vectors = self._predicted([call for _, _, call in batch])
            parts.append((seen.columns(batch, quality, expected, self._fits(batch)), vectors))
        m, d = len(self.candidates), self.encoder.dimension
        if not parts:
            none = np.empty((0, m), np.float32)
            parts = [(seen.columns([], none, none, []), np.empty((0, d), np.float32))]
        columns = Columns.joined([part for part, _ in parts])
        places = np.full((2, len(columns)), [[file], [unit]], dtype=np.uint32)
        return Shard(
            columns=columns.placed(places[0], places[1]),
            vectors=np.concatenate([v for _, v in parts]).astype(np.float16),
            models=tuple(seen.models),
            lines=max(lines, seen.lines),
            findings=seen.findings,
            unread=seen.unread,
            any_read=seen.any_read,
            formats=seen.formats,
        )

    def _predicted(self, calls: Sequence[LogCall]) -> tuple[Floats, Floats, Floats]:
        """(n, m) quality, (n, m) expected output tokens and (n, d) vectors; equal texts once."""
        first: dict[str, int] = {}
        back = np.asarray(
            [first.setdefault(call.query.text, len(first)) for call in calls], dtype=np.intp
        )
        texts = list(first)
        if isinstance(self.router, TrainedRouter):
            raw = RawRows.of(self.router.inputs.encoder, texts)
            by_column = self.router.column_quality(self.router.inputs.of_raw(raw))
            prediction = self.router.prediction(by_column, self.candidates)
            if self.router.inputs.encoder.fingerprint == self.encoder.fingerprint:
                vectors = raw.vectors
            else:
                vectors = self.encoder.encode([plain(text) for text in texts])
            return prediction.quality[back], _expected(prediction)[back], vectors[back]
        prediction = self.router.predict([call.query for call in calls], self.candidates)
        vectors = self.encoder.encode([plain(text) for text in texts])
        return prediction.quality, _expected(prediction), vectors[back]

    def _fits(self, batch: Sequence[tuple[int, int, LogCall]]) -> list[int]:
        found = []
        for _, _, call in batch:
            out = exclusions(call.query, self.candidates)
            found.append(sum(1 << j for j, c in enumerate(self.candidates) if c.name not in out))
        return found


@dataclass(slots=True)
class _Seen:
    """What one stretch of records held."""

    where: str
    findings: Findings = field(default_factory=Findings)
    models: dict[str, int] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    unread: int = 0
    any_read: bool = False

    def calls(
        self, reader: Reader, records: Iterable[Record]
    ) -> Iterator[tuple[int, int, LogCall]]:
        """Line, place in the record, and call; all else is counted."""
        for record in records:
            self.lines = max(self.lines, record.line)
            for part, found in enumerate(reader.read(record)):
                if isinstance(found, Unusable):
                    self.findings.add(found.reason, self.where, record.line)
                    if found.reason in NOT_A_LOG:
                        self.unread = self.unread or max(record.line, 1)
                    else:
                        self.any_read = True
                    continue
                self.any_read = True
                self.formats[found.format] = self.formats.get(found.format, 0) + 1
                for doubt in found.doubts:
                    self.findings.add(doubt, self.where, record.line)
                yield record.line, part, found

    def columns(
        self,
        batch: Sequence[tuple[int, int, LogCall]],
        quality: Floats,
        expected: Floats,
        fits: Sequence[int],
    ) -> Columns:
        """The batch as columns; file and unit are set by the caller."""
        calls = [call for _, _, call in batch]
        models = [self.models.setdefault(c.model, len(self.models)) for c in calls]
        u32, u64 = np.uint32, np.uint64
        return Columns(
            file=np.zeros(len(calls), u32),
            unit=np.zeros(len(calls), u32),
            line=np.asarray([line for line, _, _ in batch], u32),
            part=np.asarray([part for _, part, _ in batch], np.uint16),
            id=np.asarray([hashed(c.id) if _is_own(c) else 0 for c in calls], u64),
            request=np.asarray([hashed(_canonical(c)) for c in calls], u64),
            near=np.asarray([near_key(c) for c in calls], u64),
            group=np.asarray([group_key(c) for c in calls], u64),
            time=_floats([c.time for c in calls], np.float64),
            latency_ms=_floats([c.latency_ms for c in calls], np.float32),
            input_tokens=_counts([c.input_tokens for c in calls]),
            estimated_tokens=_counts([min(c.query.input_tokens, _CONTEXT_LIMIT) for c in calls]),
            cached_tokens=_counts([c.cached_tokens for c in calls]),
            output_tokens=_counts([c.output_tokens for c in calls]),
            cost_usd=_floats([c.cost_usd for c in calls], np.float64),
            model=np.asarray(models, np.uint16),
            score=_floats([c.score for c in calls], np.float32),
            propensity=_floats([c.propensity for c in calls], np.float32),
            turns=np.asarray([min(c.query.turns, 65_535) for c in calls], np.uint16),
            fits=np.asarray(fits, u64),
            quality=np.asarray(quality, np.float32),
            expected_tokens=np.asarray(expected, np.float32),
        )


def hashed(text: str) -> int:
    """64 bits of BLAKE2b."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _is_own(call: LogCall) -> bool:
    """Whether an id is of this call alone; those of a batch are unique within the batch."""
    return bool(call.id) and call.format != "openai-batch"


def near_key(call: LogCall) -> int:
    """Equal for requests that one cached answer would do for: same words in the same order."""
    words = " ".join(_WORD.findall(plain(call.query.text)))
    return hashed(f"{call.query.system}\0{words or call.query.text}")


def group_key(call: LogCall) -> int:
    """Equal for the calls of one conversation."""
    return hashed(f"id\0{call.session}" if call.session else f"opening\0{call.opening}")


def _canonical(call: LogCall) -> str:
    return json.dumps(call.messages, sort_keys=True, default=str)


def _expected(prediction: Prediction) -> Floats:
    if prediction.output_tokens is None:
        return np.full(prediction.quality.shape, np.nan, dtype=np.float32)
    return np.asarray(prediction.output_tokens, dtype=np.float32)


def _floats(values: Sequence[float | None], kind: Any) -> Any:
    return np.asarray([np.nan if v is None else v for v in values], dtype=kind)


def _counts(values: Sequence[int | None]) -> Any:
    return np.asarray([UNKNOWN if v is None else v for v in values], dtype=np.int32)


def _batches(
    calls: Iterable[tuple[int, int, LogCall]],
) -> Iterator[list[tuple[int, int, LogCall]]]:
    batch: list[tuple[int, int, LogCall]] = []
    for call in calls:
        batch.append(call)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
