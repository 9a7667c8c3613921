"""The gateway beside its peers: requests a second, added time, CPU a request, streams, memory, start.

    python benchmarks/gateway/run.py --peers FOLDER [--install] [--seconds 4] [--rounds 3] [--starts 1] [--json FILE]

The gateways run on one core, the load and the scripted upstream on the other, all on loopback. Turnout
serves with keys, a budget, the ledger and metrics on; the peers with what `peers.py` says. In each round
every gateway takes its turn at each kind of work, so that a noisy machine is noisy for all; a figure is the
median of the rounds. With `--starts 6` and more all are started anew so often, and ratios have intervals: two
processes of one gateway differ more than two turns of one. Ratios in one run count, absolute figures do not. A CPython that was built without
profile-guided optimisation costs Turnout up to a fifth: take your distribution's or python.org's.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from peers import KEY, PEERS, Peer, install, installed, portkey_headers
from turnout_config import start_turnout

HERE = Path(__file__).parent
UPSTREAM_PORT = 9301
UPSTREAM = f"http://127.0.0.1:{UPSTREAM_PORT}/v1"
PATH = "/v1/chat/completions"
CHUNKS = 50
SLOWEST_START_S = 240.0


LEAST_STARTS = 6
"""Of fewer numbers even the whole range holds their median less often than at 95%."""


@dataclass(frozen=True)
class Work:
    """A kind of work."""

    name: str
    kind: str
    connections: int
    tokens: int
    stream: bool = False
    least_s: float = 0.0
    """Of a turn: in a short one the 32 first requests of the 32 connections, which all come at one
    moment, are more than a hundredth of all, and their times the p99."""


WORKS = (
    Work("pass-through, 1 connection", "pass", 1, 20),
    Work("pass-through, 32 connections", "pass", 32, 20),
    Work("routed, 20 tokens, 32 connections", "routed", 32, 20),
    Work("routed, 200 tokens, 32 connections", "routed", 32, 200),
    Work("streams of 50, 32 connections", "pass", 32, 20, stream=True, least_s=10.0),
)


def gateway_core() -> int:
    return sorted(os.sched_getaffinity(0))[0]


def load_core() -> int:
    return sorted(os.sched_getaffinity(0))[-1]


def build(folder: Path) -> Path:
    """Compile the load generator and upstream."""
    program = folder / "load"
    subprocess.run(["cc", "-O2", "-o", str(program), str(HERE / "load.c")], check=True)
    return program


def write_bodies(folder: Path, model: str, work: Work) -> Path:
    """2,000 distinct requests, one a line."""
    rng = random.Random(work.tokens)
    words = (HERE / "words.txt").read_text(encoding="utf-8").split()
    path = folder / f"{model}-{work.tokens}-{work.stream}.jsonl".replace("/", "_")
    with path.open("w", encoding="utf-8") as file:
        for i in range(2000):
            text = " ".join(rng.choices(words, k=max(1, round(work.tokens * 0.75)))) + f" {i}?"
            body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
            if work.stream:
                body |= {"stream": True, "stream_options": {"include_usage": True}}
            file.write(json.dumps(body, separators=(",", ":")) + "\n")
    return path


@dataclass
class Running:
    """A gateway that serves."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    models: Mapping[str, str]
    headers: str
    start_s: float
    idle_mb: float


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [pid]
    if children.exists():
        for child in children.read_text().split():
            found += family(int(child))
    return found


def cpu_s(pid: int) -> float:
    ticks = 0
    for one in family(pid):
        text = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(text[11]) + int(text[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Proportional set size, so that what processes share counts once."""
    total = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


@contextmanager
def running(
    name: str,
    port: int,
    command: list[str],
    env: Mapping[str, str],
    ready: str,
    models: Mapping[str, str],
    headers: str,
    logs: Path,
) -> Iterator[Running]:
    log = (logs / f"{name}.log").open("wb")
    began = time.monotonic()
    process = subprocess.Popen(
        ["taskset", "-c", str(gateway_core()), *command],
        env={**os.environ, **env},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=2).read()
                break
            except (urllib.error.URLError, OSError) as error:
                late = time.monotonic() - began > SLOWEST_START_S
                if late or process.poll() is not None:
                    raise SystemExit(f"{name} did not start ({error}): see {log.name}") from error
                time.sleep(0.02)
        start_s = time.monotonic() - began
        time.sleep(1.0)
        yield Running(name, port, process, models, headers, start_s, memory_mb(process.pid))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def measure(
    load: Path, gateway: Running | None, bodies: Path, work: Work, seconds: float
) -> dict[str, float]:
    """One turn of one gateway; None is the upstream itself."""
    port = UPSTREAM_PORT if gateway is None else gateway.port
    headers = "" if gateway is None else gateway.headers
    before = 0.0 if gateway is None else cpu_s(gateway.process.pid)
    done = subprocess.run(
        [
            "taskset",
            "-c",
            str(load_core()),
            str(load),
            "send",
            str(port),
            PATH,
            str(work.connections),
            str(seconds),
            str(bodies),
            headers,
        ],
        check=True,
        capture_output=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    spent = 0.0 if gateway is None else cpu_s(gateway.process.pid) - before
    found["rate"] = (found["answers"] - found["bad"]) / found["seconds"]
    found["cpu_us"] = spent * 1e6 / max(1.0, found["answers"])
    return found


def start_peer(peer: Peer, folder: Path, logs: Path, stack: ExitStack) -> Running:
    command, env = peer.start(folder, UPSTREAM)
    headers = f"authorization: Bearer {KEY}\r\n"
    if peer.name == "Portkey":
        headers += portkey_headers(UPSTREAM)
    return stack.enter_context(
        running(peer.name, peer.port, command, env, peer.ready, peer.models, headers, logs)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="where peers are installed")
    parser.add_argument("--install", action="store_true", help="install those that are missing")
    parser.add_argument("--only", default="", help="names of peers, separated by commas")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", default="", help="a part of the names of what is measured")
    parser.add_argument("--starts", type=int, default=1, help="how often all are started anew")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.starts != 1 and asked.starts < LEAST_STARTS:
        parser.error(f"argument --starts: {asked.starts}: give 1, or {LEAST_STARTS} and more")
    works = [work for work in WORKS if asked.work in work.name]
    if not works:
        named = "; ".join(work.name for work in WORKS)
        parser.error(f"argument --work: {asked.work!r}: give a part of one of {named}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    if asked.install:
        install(asked.peers)
    chosen = [
        p
        for p in PEERS
        if installed(p, asked.peers) and (not asked.only or p.name in asked.only.split(","))
    ]
    for peer in PEERS:
        if peer not in chosen:
            print(f"left out: {peer.name}")
    found = [
        started(chosen, works, asked.peers, asked.seconds, asked.rounds)
        for _ in range(asked.starts)
    ]
    if asked.starts == 1:
        show(found[0])
    else:
        show_starts(found)
    if asked.json:
        written = found[0] if asked.starts == 1 else found
        asked.json.write_text(json.dumps(written, indent=1), encoding="utf-8")


def started(
    chosen: Sequence[Peer], works: Sequence[Work], peers: Path, seconds: float, rounds: int
) -> dict[str, Any]:
    """Start all gateways, and measure them in turns."""
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        place = Path(home)
        load = build(place)
        upstream = subprocess.Popen(
            ["taskset", "-c", str(load_core()), str(load), "serve", str(UPSTREAM_PORT), str(CHUNKS)]
        )
        stack.callback(upstream.wait)
        stack.callback(upstream.kill)
        command, headers = start_turnout(place, UPSTREAM)
        gateways = [
            stack.enter_context(
                running(
                    "Turnout",
                    9310,
                    command,
                    {"OMP_NUM_THREADS": "1"},
                    "/readyz",
                    {"pass": "small", "routed": "auto"},
                    headers,
                    place,
                )
            )
        ]
        gateways += [start_peer(peer, peers, place, stack) for peer in chosen]
        results = run(load, gateways, works, place, seconds, rounds)
        results["start"] = {g.name: {"start_s": g.start_s, "idle_mb": g.idle_mb} for g in gateways}
        return results


def run(
    load: Path,
    gateways: list[Running],
    works: Sequence[Work],
    place: Path,
    seconds: float,
    rounds: int,
) -> dict[str, Any]:
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for number in range(rounds + 1):  # the first round warms up
        for work in works:
            turns: list[Running | None] = [None, *gateways]
            for gateway in turns:
                name = "direct" if gateway is None else gateway.name
                model = "small" if gateway is None else gateway.models.get(work.kind)
                if model is None:
                    continue
                bodies = write_bodies(place, model, work)
                length = max(seconds, work.least_s) if number else 1.0
                turn = measure(load, gateway, bodies, work, length)
                if number:
                    found.setdefault(work.name, {}).setdefault(name, []).append(turn)
                print(
                    f"round {number} {work.name}: {name} {turn['rate']:.0f}/s, bad {turn['bad']:.0f}",
                    file=sys.stderr,
                )
    return {
        work: {
            name: {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
            for name, turns in by_name.items()
        }
        for work, by_name in found.items()
    }


def show(results: Mapping[str, Any]) -> None:
    print(f"Turnout runs on {platform.python_implementation()} {sys.version}")
    for work in WORKS:
        rows = results.get(work.name)
        if rows is None:
            continue
        direct, ours = rows["direct"], rows["Turnout"]
        print(f"\n## {work.name}\n")
        print(
            "| gateway | requests/s | Turnout is | CPU µs | added p50 µs | added p99 µs | first byte added p99 µs | bad |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for name, row in rows.items():
            times = (
                ""
                if name in ("direct", "Turnout")
                else f"{ours['rate'] / max(row['rate'], 1e-9):.1f}x"
            )
            added = [row[k] - direct[k] for k in ("p50_us", "p99_us", "first_p99_us")]
            shown = " | ".join(f"{a:.0f}" for a in added) if name != "direct" else " |  | "
            print(
                f"| {name} | {row['rate']:.0f} | {times} | {row['cpu_us']:.0f} | {shown} | {row['bad']:.0f} |"
            )
    print("\n## Start\n\n| gateway | cold start s | idle MB |\n| --- | --- | --- |")
    for name, row in results["start"].items():
        print(f"| {name} | {row['start_s']:.2f} | {row['idle_mb']:.0f} |")


def show_starts(found: Sequence[Mapping[str, Any]]) -> None:
    """How many times a peer's requests a second Turnout serves: see `over_starts`.

    Two processes of one gateway differ more than two turns of one process.
    """
    print(f"Turnout runs on {platform.python_implementation()} {sys.version}")
    print(f"median of {len(found)} starts [its 95% interval]")
    for work in WORKS:
        if work.name not in found[0]:
            continue
        print(f"\n## {work.name}\n\n| gateway | Turnout is | in each start |\n| --- | --- | --- |")
        for name in found[0][work.name]:
            if name in ("direct", "Turnout"):
                continue
            rows = [results[work.name] for results in found]
            times = [row["Turnout"]["rate"] / max(row[name]["rate"], 1e-9) for row in rows]
            middle, low, high = over_starts(times)
            each = " ".join(f"{t:.1f}" for t in times)
            print(f"| {name} | {middle:.2f}x [{low:.2f} {high:.2f}] | {each} |")


def over_starts(times: Sequence[float]) -> tuple[float, float, float]:
    """The median of at least `LEAST_STARTS` numbers, and an interval that holds it at 95% or more.

    Between two order statistics, whatever the distribution is (Conover 1999, section 3.2).
    """
    n, ranked = len(times), sorted(times)
    below, k = 1.0, 0  # of 2**n: how often at most k of n numbers are below the median
    while 2 * below <= 0.05 * 2**n:
        k += 1
        below += math.comb(n, k)
    return statistics.median(ranked), ranked[k - 1], ranked[n - k]


if __name__ == "__main__":
    main()
