"""All calls of a review together, with what is wrong with them as a whole: repeats and clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from turnout.data.logs import Findings
from turnout.data.logs.call import REASONS
from turnout.data.logs.reader import unreadable
from turnout.errors import DataError
from turnout.review.columns import Columns, Shard, merged_names, read_vectors
from turnout.review.work import Done, Task, load

EARLIEST = 1_420_000_000.0
"""End of 2014: no hosted model was called before."""
_DAY_S = 86_400.0

WHOLE = {
    "repeated": "a call that is given twice (same id): taken once",
    "conflicting": "a call that is given twice (same id) with another content: the first was taken",
    "wrong_clock": "a wrong clock: a time before 2015 or in the future was left out",
}
"""Reasons that only show when all calls are together; see also `data.logs.call.REASONS`."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """n calls, in the order of the logs."""

    columns: Columns
    models: tuple[str, ...]
    """Names that `columns.model` points at."""
    findings: Findings
    formats: Mapping[str, int]
    vector_files: tuple[Path, ...]
    taken: NDArray[np.intp]
    """(n,) row of each call among all that the files of vectors hold."""

    def __len__(self) -> int:
        return len(self.columns)


def gather(done: Sequence[Done], tasks: Sequence[Task], *, now: float, beside: Findings) -> Traffic:
    """Put the results of all tasks together.

    Args:
        done: of every task, in any order.
        tasks: in the order of the files.
        now: seconds since 1970, for clocks that run ahead.
        beside: what was wrong with files that only others needed.

    Raises:
        DataError: a file of which nothing can be read, with its first line; or no call at all.
    """
    by_task = {(d.file, d.unit): d for d in done}
    findings, formats = Findings(), dict[str, int]()
    for reason, count, where, line in beside:
        findings.add(reason, where, line, count)
    shards: list[Shard] = []
    files: list[Path] = []
    lines: dict[int, int] = {}
    unread: dict[int, int] = {}
    any_read: set[int] = set()
    starts: list[tuple[int, int]] = []
    for task in tasks:
        result = by_task[(task.file, task.unit)]
        for shard, name in zip(load(result, task), result.shards, strict=True):
            before = lines.get(task.file, 0)
            _add(findings, shard, before)
            if shard.unread and task.file not in unread:
                unread[task.file] = before + shard.unread
            if shard.any_read:
                any_read.add(task.file)
            lines[task.file] = before + shard.lines
            for form, count in shard.formats.items():
                formats[form] = formats.get(form, 0) + count
            shards.append(shard)
            starts.append((task.file, before))
            files.append(task.folder / name)
    logs = {task.file: task.log.path for task in tasks}
    for file in sorted(logs):
        if file not in any_read:
            raise unreadable(logs[file], unread.get(file, 1))
    models, maps = merged_names(s.models for s in shards)
    joined = Columns.joined(
        [replace(s.columns, model=m[s.columns.model]) for s, m in zip(shards, maps, strict=True)]
    )
    if not len(joined):
        raise DataError("logs", 0, _nothing(findings))
    offset = np.repeat([b for _, b in starts], [len(s.columns) for s in shards])
    keep = _first_of_each(joined, findings, logs, offset)
    clock = _clocked(joined, findings, logs, offset, now)
    return Traffic(
        columns=replace(joined, time=clock).rows(keep),
        models=models,
        findings=findings,
        formats=dict(sorted(formats.items(), key=lambda kv: (-kv[1], kv[0]))),
        vector_files=tuple(files),
        taken=keep,
    )


def vector_parts(traffic: Traffic) -> list[tuple[slice, Path, NDArray[np.intp]]]:
    """Per file of vectors: the rows of the traffic that it is of, and where in the file they are."""
    found, start = [], 0
    for path in traffic.vector_files:
        with safe_open(path, framework="np") as file:
            size = file.get_slice("line").get_shape()[0]
        low, high = np.searchsorted(traffic.taken, [start, start + size])
        found.append((slice(int(low), int(high)), path, traffic.taken[low:high] - start))
        start += size
    return found


def vectors_of(traffic: Traffic, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """(k, d) vectors of some rows, which must be in ascending order."""
    found = []
    for part, path, inside in vector_parts(traffic):
        low, high = np.searchsorted(rows, [part.start, part.stop])
        if high > low:
            found.append(read_vectors(path)[inside[rows[low:high] - part.start]])
    return np.concatenate(found)


def _nothing(findings: Findings) -> str:
    listed = [
        f"{count:,} x {REASONS[reason]} (first: {where}:{line})"
        for reason, count, where, line in findings
    ]
    return "no call could be used: " + "; ".join(listed)


def _add(findings: Findings, shard: Shard, before: int) -> None:
    for reason, count, where, line in shard.findings:
        findings.add(reason, where, before + line, count)


def _first_of_each(
    columns: Columns, findings: Findings, logs: Mapping[int, Path], offset: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Rows to keep: the first of each id, and all without one."""
    named = np.flatnonzero(columns.id)
    _, first, back = np.unique(columns.id[named], return_index=True, return_inverse=True)
    original = named[first[back]]
    again = original != named
    other = again & (
        (columns.request[named] != columns.request[original])
        | (columns.model[named] != columns.model[original])
    )
    for reason, at in (("conflicting", other), ("repeated", again & ~other)):
        _count(findings, reason, named[at], columns, logs, offset)
    keep = np.ones(len(columns), dtype=bool)
    keep[named[again]] = False
    return np.flatnonzero(keep)


def _clocked(
    columns: Columns,
    findings: Findings,
    logs: Mapping[int, Path],
    offset: NDArray[np.intp],
    now: float,
) -> NDArray[np.float64]:
    wrong = (columns.time < EARLIEST) | (columns.time > now + _DAY_S)
    _count(findings, "wrong_clock", np.flatnonzero(wrong), columns, logs, offset)
    return np.where(wrong, np.nan, columns.time)


def _count(
    findings: Findings,
    reason: str,
    rows: NDArray[np.intp],
    columns: Columns,
    logs: Mapping[int, Path],
    offset: NDArray[np.intp],
) -> None:
    if len(rows):
        first = rows[0]
        where = logs[int(columns.file[first])].name
        findings.add(reason, where, int(offset[first] + columns.line[first]), len(rows))
