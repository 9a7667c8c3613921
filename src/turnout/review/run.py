"""`review`: logs in, a `Review` out."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from turnout.data.logs import Joins, expand, open_log
from turnout.data.logs.files import spooled
from turnout.data.logs.reader import side_files
from turnout.errors import DataError, InputError
from turnout.review.analysis import Analysis
from turnout.review.asked import Asked
from turnout.review.engines import runner
from turnout.review.mapping import Mapper
from turnout.review.report import Review
from turnout.review.texts import Texts
from turnout.review.traffic import gather
from turnout.review.work import Done, Opening, Task, joins_to, plan, salt, work

Progress = Callable[[int, int, int, int], None]
"""Called with bytes done, bytes in all, calls so far, and results that were there already."""


def review(
    logs: Sequence[str | Path],
    opening: Opening | Mapper,
    asked: Asked,
    *,
    now: float | None = None,
    progress: Progress | None = None,
) -> Review:
    """Review logs.

    Args:
        logs: files, folders and patterns; `-` is standard input.
        opening: the router and the candidates, strongest first; a mapper runs in this process.
        asked: what is asked.
        now: seconds since 1970; default: the clock.
        progress: told of the work that is done.

    Raises:
        DataError: a file that cannot be read, no usable call, or labels that are not of these logs.
        InputError: an option that cannot be used, a candidate without a price.
    """
    if not 0.0 < asked.floor <= 1.0:
        raise InputError("floor", asked.floor, "give a number above 0 and up to 1, such as 0.95")
    mapper = opening.open() if isinstance(opening, Opening) else opening
    options = opening.options if isinstance(opening, Opening) else "{}"
    with _folder(asked.cache) as folder:
        paths = [spooled(path, folder) for path in expand(logs)]
        try:
            return _reviewed(paths, folder, mapper, opening, options, asked, now, progress)
        finally:
            for path in paths:
                if path.parent.parent == folder and path.parent.name.startswith("stdin-"):
                    shutil.rmtree(path.parent)


@contextmanager
def _folder(cache: Path | None) -> Iterator[Path]:
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield cache
        return
    made = Path(tempfile.mkdtemp(prefix="turnout-review-"))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def _reviewed(
    paths: Sequence[Path],
    folder: Path,
    mapper: Mapper,
    opening: Opening | Mapper,
    options: str,
    asked: Asked,
    now: float | None,
    progress: Progress | None,
) -> Review:
    files, joins, beside = side_files([open_log(path) for path in paths])
    if not files:
        remedy = (
            "these files hold batch outputs, traces or scores alone; give those with prompts too"
        )
        raise DataError("logs", [p.name for p in paths], remedy)
    mapper.joins = joins
    tasks = plan(files, folder, salt(mapper, joins, options), asked.chunk_bytes)
    done = _done(tasks, mapper, opening, joins, folder, asked, progress)
    traffic = gather(done, tasks, now=time.time() if now is None else now, beside=beside)
    found = Analysis.of(traffic, mapper.router, mapper, Texts(tasks, joins), asked)
    own = isinstance(opening, Opening) and opening.artifact is not None
    return found.review(files, asked, own=own)


def _done(
    tasks: Sequence[Task],
    mapper: Mapper,
    opening: Opening | Mapper,
    joins: Joins,
    folder: Path,
    asked: Asked,
    progress: Progress | None,
) -> list[Done]:
    alone = asked.engine == "local" and (asked.workers <= 1 or len(tasks) <= 1)
    if not isinstance(opening, Opening) or (alone and asked.engine_address is None):
        results: Iterator[Done] = (work(task, mapper) for task in tasks)
    else:
        results = _elsewhere(tasks, opening, joins, folder, asked)
    total, size, calls, kept_before = sum(t.end - t.start for t in tasks), 0, 0, 0
    found = []
    for result in results:
        found.append(result)
        size, calls = size + result.size, calls + result.calls
        kept_before += result.kept
        if progress is not None:
            progress(size, total, calls, kept_before)
    return found


def _elsewhere(
    tasks: Sequence[Task], opening: Opening, joins: Joins, folder: Path, asked: Asked
) -> Iterator[Done]:
    """Results of other processes or machines. What files must know of others lies in a file meanwhile."""
    run = runner(asked.engine, workers=asked.workers, address=asked.engine_address)
    if joins == Joins():
        yield from run(tasks, opening, "")
        return
    shared = folder / f"joins-{tasks[0].salt[:24]}.json"
    shared.write_text(json.dumps(joins_to(joins)), encoding="utf-8")
    try:
        yield from run(tasks, opening, str(shared))
    finally:
        shared.unlink()
