"""Review a million calls: CPU time, memory, and what a second run from the cache costs.

    python benchmarks/review.py make --rows 1000000 --out logs.jsonl
    python benchmarks/review.py run logs.jsonl --workers 2
    python benchmarks/review.py readers logs.jsonl

`make` writes seeded made-up calls of about 150 tokens (600 characters) in conversations; with
TURNOUT_DATA set, their words are cut from prompt_pools.parquet. `run` reviews twice and prints CPU and
wall seconds and the peak memory of all processes. `readers` measures what reading alone costs: this
package's streaming, and orjson, polars and DuckDB where they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

CHARACTERS = 600
MODELS = ("gpt-4o", "gpt-4o-mini")


def words(seed: int) -> list[str]:
    """Texts to cut prompts from."""
    pools = Path(os.environ.get("TURNOUT_DATA", "")) / "prompt_pools.parquet"
    if pools.is_file():
        import pyarrow.parquet as pq

        found = pq.read_table(pools, columns=["prompt"]).column("prompt").to_pylist()
        return [text for text in found if text and text.isascii()]
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocabulary = ["".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(20_000)]
    return [" ".join(rng.choice(vocabulary, 120)) for _ in range(5_000)]


def calls(rows: int, seed: int) -> Iterator[dict[str, object]]:
    rng, texts = np.random.default_rng(seed), words(seed)
    for i in range(rows):
        parts, size = [], 0
        while size < CHARACTERS:
            text = texts[int(rng.integers(len(texts)))]
            start = int(rng.integers(max(len(text) - CHARACTERS, 1)))
            parts.append(text[start : start + CHARACTERS - size])
            size += len(parts[-1]) + 1
        prompt = "\n".join(parts)
        session = int(rng.integers(rows // 3 + 1))
        yield {
            "id": f"call-{i}",
            "session_id": f"s{session}",
            "timestamp": 1_780_000_000 + session * 30 + int(rng.integers(900)),
            "model": MODELS[int(rng.random() < 0.2)],
            "messages": [
                {"role": "system", "content": "You are a careful assistant."},
                {"role": "user", "content": prompt},
            ],
            "input_tokens": 150 + int(rng.integers(50)),
            "cached_tokens": 64 * int(rng.random() < 0.3),
            "output_tokens": int(rng.lognormal(5.0, 0.7)),
        }


def make(rows: int, out: Path, seed: int) -> None:
    with out.open("w", encoding="utf-8") as file:
        for row in calls(rows, seed):
            file.write(json.dumps(row) + "\n")
    print(f"{rows:,} calls, {out.stat().st_size / 1e6:,.0f} MB")


class Watched:
    """Runs a command and watches the memory of its whole process tree."""

    def __init__(self, command: list[str]) -> None:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        self.peak_mb = 0.0
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        watcher = threading.Thread(target=self._watch, args=(process.pid,), daemon=True)
        watcher.start()
        self.output = process.communicate()[0]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.wall_s = time.monotonic() - start
        self.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.code = process.returncode

    def _watch(self, pid: int) -> None:
        while Path(f"/proc/{pid}").exists():
            self.peak_mb = max(self.peak_mb, sum(map(_rss_mb, _tree(pid))))
            time.sleep(0.2)


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(p for child in children for p in _tree(int(child)))]


def _rss_mb(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return float(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def run(log: Path, workers: int) -> None:
    with log.open("rb") as file:
        rows = sum(1 for _ in file)
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "turnout", "review", str(log), "--cache", cache, "--json"]
        command += ["--workers", str(workers)]
        outputs = []
        print(f"{'':16} {'wall s':>8} {'CPU s':>8} {'CPU s / 10,000':>15} {'peak MB':>8}")
        for name in ("first run", "from the cache"):
            found = Watched(command)
            outputs.append(found.output)
            print(
                f"{name:16} {found.wall_s:8.1f} {found.cpu_s:8.1f} "
                f"{found.cpu_s / rows * 1e4:15.2f} {found.peak_mb:8.0f}",
                flush=True,
            )
            if found.code:
                raise SystemExit(found.code)
        kept = sum(f.stat().st_size for f in Path(cache).iterdir())
    same = "the same" if outputs[0] == outputs[1] else "DIFFERENT"
    print(f"{rows:,} calls, {workers} workers; cache {kept / 1e6:,.0f} MB; both say {same}")


def readers(log: Path) -> None:
    """CPU seconds to read model, tokens and the last message of every row."""
    for name, read in READERS.items():
        start = time.process_time()
        try:
            count = read(log)
        except ImportError:
            print(f"{name:28} not installed")
            continue
        except Exception as error:  # noqa: BLE001 - a reader that cannot read is a result
            print(f"{name:28} fails: {type(error).__name__}: {str(error)[:60]}")
            continue
        used = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:28} {used:7.2f} CPU s  {used / count * 1e6:6.1f} µs a row  peak {peak:,.0f} MB"
        )


def _turnout(log: Path) -> int:
    from turnout.data.logs import Findings, read_calls

    return sum(1 for _ in read_calls([log], Findings()))


def _json(log: Path) -> int:
    with log.open("rb") as file:
        return sum(1 for line in file if json.loads(line)["messages"][-1]["content"])


def _orjson(log: Path) -> int:
    import orjson

    with log.open("rb") as file:
        return sum(1 for line in file if orjson.loads(line)["messages"][-1]["content"])


def _polars(log: Path) -> int:
    import polars as pl

    frame = pl.scan_ndjson(log).select(
        pl.col("model"),
        pl.col("input_tokens"),
        pl.col("messages").list.last().struct.field("content"),
    )
    return frame.collect(engine="streaming").height


def _duckdb(log: Path) -> int:
    import duckdb

    query = "select model, input_tokens, messages[-1].content from read_json(?, format='newline_delimited')"
    rows = 0
    found = duckdb.connect().execute(f"{query}", [str(log)])
    while chunk := found.fetchmany(10_000):
        rows += len(chunk)
    return rows


READERS: dict[str, Callable[[Path], int]] = {
    "json": _json,
    "orjson": _orjson,
    "turnout (checked, hashed)": _turnout,
    "polars, streaming": _polars,
    "duckdb": _duckdb,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    todo = parser.add_subparsers(dest="todo", required=True)
    made = todo.add_parser("make")
    made.add_argument("--rows", type=int, default=1_000_000)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--seed", type=int, default=0)
    ran = todo.add_parser("run")
    ran.add_argument("log", type=Path)
    ran.add_argument("--workers", type=int, default=2)
    todo.add_parser("readers").add_argument("log", type=Path)
    given = parser.parse_args()
    if given.todo == "make":
        make(given.rows, given.out, given.seed)
    elif given.todo == "run":
        run(given.log, given.workers)
    else:
        readers(given.log)


if __name__ == "__main__":
    main()
