"""The work of a review in parts: which stretches of which files, where each result is kept.

A part's result is kept under what it was made of: the content of its stretch, the router, the encoder
and the candidates. So a review that was killed goes on where it was, a second one only adds up, and a
file that has grown is read from where it grew. Prices are no part of it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from turnout.artifacts.opening import open_router
from turnout.data.logs import Joins, LogFile
from turnout.data.logs.files import Record, lines_of
from turnout.encoders.opening import open_encoder
from turnout.review.columns import Shard, read_shard
from turnout.review.mapping import Mapper
from turnout.routers.base import Router
from turnout.routers.trained import TrainedRouter
from turnout.types import Candidate

FORMAT = 1
"""Changes whenever shards of before must not be used."""
SHARD_RECORDS = 8192
"""Records of a shard of a file that cannot be read from its middle (packed, CSV, an array)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a worker opens what it predicts with. Hashable, and small to send."""

    router: str
    candidates: tuple[Candidate, ...]
    artifact: str | None = None
    options: str = "{}"
    """The router's options as JSON."""

    def open(self) -> Mapper:
        """The mapper, without joins."""
        artifact = None if self.artifact is None else Path(self.artifact)
        router = open_router(
            self.router, artifact=artifact, options=json.loads(self.options) or None
        )
        return mapper_of(router, self.candidates)


def mapper_of(router: Router, candidates: Sequence[Candidate]) -> Mapper:
    """A mapper whose clusters are found with the router's encoder, or with the default one."""
    router.check(candidates)
    encoder = router.inputs.encoder if isinstance(router, TrainedRouter) else open_encoder()
    return Mapper(router, tuple(candidates), encoder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One part of the work: a stretch of a file."""

    file: int
    """Place of the file in the list of files."""
    unit: int
    """Place of the stretch in the file."""
    log: LogFile
    start: int
    end: int
    folder: Path
    """Where results are kept."""
    salt: str
    """Hash of what results depend on beside the stretch: router, encoder, candidates, joins."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a task."""

    file: int
    unit: int
    shards: tuple[str, ...]
    """Names of its results, in order."""
    calls: int
    kept: int
    """How many of the results were there already."""
    size: int
    """Bytes of the stretch."""


def salt(mapper: Mapper, joins: Joins, options: str = "{}") -> str:
    """Hash of what results depend on beside the log."""
    said = {
        "format": FORMAT,
        "router": [mapper.router.name, mapper.router.fingerprint, options, _files_in(options)],
        "encoder": mapper.encoder.fingerprint,
        "candidates": [_identity(c) for c in mapper.candidates],
        "joins": [joins.outputs, sorted(joins.ambiguous), joins.sessions, joins.scores],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _identity(candidate: Candidate) -> Mapping[str, Any]:
    """What of a candidate predictions and constraints look at; its price is not."""
    found = asdict(candidate)
    del found["price"]
    found["capabilities"] = sorted(found["capabilities"] or ())
    return found


def _files_in(options: str) -> list[str]:
    """Hashes of the files that options name: rules are read from one."""
    return [
        hashlib.sha256(Path(value).read_bytes()).hexdigest()
        for value in json.loads(options).values()
        if isinstance(value, str) and Path(value).is_file()
    ]


def plan(files: Sequence[LogFile], folder: Path, salted: str, chunk_bytes: int) -> list[Task]:
    """All tasks, in the order of the files."""
    return [
        Task(file=i, unit=k, log=log, start=start, end=end, folder=folder, salt=salted)
        for i, log in enumerate(files)
        for k, (start, end) in enumerate(log.chunks(chunk_bytes))
    ]


def work(task: Task, mapper: Mapper) -> Done:
    """Do a task, or find its results where they are kept."""
    if task.log.splits:
        content = task.log.chunk(task.start, task.end)
        name = _name(task, hashlib.blake2b(content, digest_size=20).hexdigest())
        records = lines_of(io.BytesIO(content))
        made = [_kept(task, name, mapper, records, task.unit, content.count(b"\n"))]
    else:
        made = list(_stream(task, mapper))
    return Done(
        task.file,
        task.unit,
        tuple(name for name, _, _ in made),
        sum(calls for _, calls, _ in made),
        sum(kept for _, _, kept in made),
        task.end - task.start,
    )


def _stream(task: Task, mapper: Mapper) -> Iterator[tuple[str, int, bool]]:
    """The results of a file that is read from its beginning, a run of records at a time.

    Runs that are kept already are passed over without parsing.
    """
    digest = _digest(task.log.path)
    for run, records in enumerate(runs(task.log)):
        yield _kept(task, _name(task, f"{digest}-{run}"), mapper, iter(records), run)


def runs(log: LogFile) -> Iterator[list[Record]]:
    """The runs of records that a file's results are of; lines are counted within each."""
    before = 0
    with closing(log.records()) as records:
        while found := list(islice(records, SHARD_RECORDS)):
            yield [Record(max(r.line - before, 0), r.value, r.wrong) for r in found]
            before = found[-1].line


def _kept(
    task: Task, name: str, mapper: Mapper, records: Iterator[Record], unit: int, lines: int = 0
) -> tuple[str, int, bool]:
    path = task.folder / name
    found = read_shard(path, task.log.path.name)
    if found is not None:
        return name, len(found.columns), True
    where = task.log.path.name
    # A matrix product rounds by the threads that share it, and engines give their workers different
    # numbers of them: one each, so that all say the same to the last digit.
    with threadpool_limits(limits=1, user_api="blas"):
        shard = mapper.shard(records, file=task.file, unit=unit, where=where, lines=lines)
    shard.write(path)
    return name, len(shard.columns), False


def _name(task: Task, content: str) -> str:
    return f"{content}-{task.salt[:24]}.safetensors"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()


@lru_cache(maxsize=2)
def _opened(opening: Opening, joins: str) -> Mapper:
    """A worker process opens its mapper once."""
    mapper = opening.open()
    if joins:
        mapper.joins = joins_from(json.loads(Path(joins).read_text(encoding="utf-8")))
    return mapper


def work_remotely(task: Task, opening: Opening, joins: str) -> Done:
    """`work` in another process or on another machine: only small values travel.

    Args:
        task: what to do.
        opening: what to predict with.
        joins: file with what was taken of other files; empty without any.
    """
    return work(task, _opened(opening, joins))


def joins_to(joins: Joins) -> dict[str, Any]:
    """Joins as JSON."""
    return {**asdict(joins), "ambiguous": sorted(joins.ambiguous)}


def joins_from(said: Mapping[str, Any]) -> Joins:
    """The joins that `joins_to` wrote."""
    scores = {k: (total, count) for k, (total, count) in said["scores"].items()}
    return Joins(said["outputs"], set(said["ambiguous"]), said["sessions"], scores)


def load(done: Done, task: Task) -> list[Shard]:
    """The results of a task, placed where its file now stands; vectors are left in their files."""
    found = []
    for k, name in enumerate(done.shards):
        shard = read_shard(task.folder / name, task.log.path.name)
        if shard is None:
            raise FileNotFoundError(task.folder / name)
        found.append(_placed(shard, task, task.unit if task.log.splits else k))
    return found


def _placed(shard: Shard, task: Task, unit: int) -> Shard:
    """A result may have been made when its stretch stood elsewhere."""
    n = len(shard.columns)
    file, at = np.full(n, task.file, np.uint32), np.full(n, unit, np.uint32)
    return Shard(
        columns=shard.columns.placed(file, at),
        vectors=shard.vectors,
        models=shard.models,
        lines=shard.lines,
        findings=shard.findings,
        unread=shard.unread,
        any_read=shard.any_read,
        formats=shard.formats,
    )
