"""The texts of some calls, read again from the logs: no text is kept beside the numbers."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.data.logs import Joins, LogCall, Reader
from turnout.data.logs.files import Record, lines_of
from turnout.review.columns import Columns
from turnout.review.work import Task, runs

Place = tuple[int, int, int, int]
"""File, unit, line and part."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Reads calls of a review's logs by their rows."""

    tasks: Sequence[Task]
    joins: Joins

    def calls(self, columns: Columns, rows: NDArray[np.intp]) -> dict[int, LogCall]:
        """Row → call, for some rows of the columns; each file is read at most once."""
        wanted: dict[int, dict[int, dict[int, dict[int, int]]]] = {}
        for row in rows.tolist():
            file, unit, line, part = (
                int(getattr(columns, name)[row]) for name in ("file", "unit", "line", "part")
            )
            at = wanted.setdefault(file, {}).setdefault(unit, {}).setdefault(line, {})
            at[part] = row
        found: dict[int, LogCall] = {}
        for file, units in wanted.items():
            for unit, records in self._units(file, set(units)):
                for record in records:
                    parts = units[unit].get(record.line)
                    if parts:
                        found |= self._parts(record, parts)
        return found

    def _units(self, file: int, units: set[int]) -> Iterator[tuple[int, Iterable[Record]]]:
        tasks = [t for t in self.tasks if t.file == file]
        if tasks[0].log.splits:
            for task in tasks:
                if task.unit in units:
                    content = task.log.chunk(task.start, task.end)
                    yield task.unit, lines_of(io.BytesIO(content))
            return
        last = max(units)
        for unit, records in enumerate(runs(tasks[0].log)):
            if unit in units:
                yield unit, records
            if unit == last:
                return

    def _parts(self, record: Record, parts: dict[int, int]) -> dict[int, LogCall]:
        found = enumerate(Reader(self.joins).read(record))
        return {
            parts[part]: call for part, call in found if part in parts and isinstance(call, LogCall)
        }
