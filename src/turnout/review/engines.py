"""Where the parts of a review are worked on: this process, several here, or a cluster of machines.

Every engine runs the same function on the same parts, and results are added up in the order of the
parts, so that the numbers are the same to the last digit whichever ran, and with how many workers.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from typing import Any

from turnout.errors import InputError, MissingExtraError
from turnout.review.work import Done, Opening, Task, work_remotely

ENGINES = ("local", "dask")


def run_local(
    tasks: Sequence[Task], opening: Opening, joins: str, *, workers: int
) -> Iterator[Done]:
    """Results as they come, from processes of this machine."""
    # Not by fork: the tokenizer and BLAS have threads, which a fork would leave without owners.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), context, initializer=_one_thread) as pool:
        futures = [pool.submit(work_remotely, task, opening, joins) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    """As many workers as cores are enough; each of them alone."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def run_dask(
    tasks: Sequence[Task], opening: Opening, joins: str, *, workers: int, address: str | None
) -> Iterator[Done]:
    """Results as they come, from a Dask cluster.

    Args:
        tasks: their files and the folder of results must be at the same paths on every machine.
        opening: what workers predict with; Turnout must be installed where they run.
        joins: see `work_remotely`.
        workers: of a cluster that is started here, where no address is given.
        address: of a scheduler, such as `tcp://10.0.0.5:8786`.

    Raises:
        MissingExtraError: Dask is not installed.
        InputError: no scheduler answers there.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise MissingExtraError("the engine dask", "dask") from None
    cluster: Any = None
    try:
        if address is None:
            cluster = distributed.LocalCluster(
                n_workers=max(workers, 1),
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
            )
        client = _client(distributed, cluster if address is None else address)
        with client:
            futures = client.map(
                work_remotely, list(tasks), opening=opening, joins=joins, pure=False
            )
            for future in distributed.as_completed(futures):
                yield future.result()
    finally:
        if cluster is not None:
            cluster.close()


def _client(distributed: Any, where: Any) -> Any:
    try:
        return distributed.Client(where, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        remedy = (
            f"no Dask scheduler answers there ({type(error).__name__}); start one or leave it out"
        )
        raise InputError("engine_address", str(where), remedy) from None


def runner(
    engine: str, *, workers: int, address: str | None
) -> Callable[[Sequence[Task], Opening, str], Iterator[Done]]:
    """The engine of that name.

    Raises:
        InputError: no such engine, or an address for the local one.
    """
    if engine == "local":
        if address is not None:
            raise InputError("engine_address", address, "give it with --engine dask")
        return lambda tasks, opening, joins: run_local(tasks, opening, joins, workers=workers)
    if engine == "dask":
        return lambda tasks, opening, joins: run_dask(
            tasks, opening, joins, workers=workers, address=address
        )
    raise InputError("engine", engine, f"give one of: {', '.join(ENGINES)}")
