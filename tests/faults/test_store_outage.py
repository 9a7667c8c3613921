"""Row 41: the store is away while requests come, at a gateway in a process of its own."""

from __future__ import annotations

import logging
import os
import re
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from fault_site import ASK, Upstream, in_thread, kept
from test_load_faults import process

from turnout.store.record import Record

log = logging.getLogger(__name__)

SECONDS = float(os.environ.get("TURNOUT_OUTAGE_S", "5"))  # 600 is the whole ten minutes
PER_SECOND = float(os.environ.get("TURNOUT_OUTAGE_RPS", "100"))
CLIENTS = 4
MOST_MIB = 50


class Load:
    """Clients of a gateway, each at its share of a rate; never faster, to make up for a delay."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.ids: list[str] = []
        """Decisions of the requests that were answered."""
        self.statuses: Counter[int] = Counter()
        self._stop = threading.Event()

    def ask(self, http: httpx2.Client) -> None:
        body = {"model": "cheap", "messages": ASK}
        reply = http.post("/v1/chat/completions", json=body)
        self.statuses[reply.status_code] += 1
        self.ids.append(reply.headers["x-turnout-decision-id"])

    def _run(self) -> None:
        with httpx2.Client(base_url=self._url, timeout=20) as http:
            while not self._stop.is_set():
                start = time.monotonic()
                self.ask(http)
                self._stop.wait(max(0.0, CLIENTS / PER_SECOND - (time.monotonic() - start)))

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()


def resident_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def dropped(url: str) -> int:
    """Lines of the journal that were lost, as the metrics have it."""
    text = httpx2.get(f"{url}/metrics").text
    found = re.search(r'^turnout_log_dropped_total\{sink="ledger"\} (\S+)$', text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("fits", [True, False])
def test_row_41_the_store_is_away_under_load(tmp_path: Path, fits: bool) -> None:
    rest = "" if fits else "store: {path: turnout.db, journal_bytes: 262144}"
    upstream = Upstream()
    with (
        in_thread(upstream),
        process(tmp_path, upstream.url, store=rest) as (gateway, url, _),
    ):
        load = Load(url)
        with httpx2.Client(base_url=url, timeout=20) as http:
            for _ in range(300):  # what is made at first use is not the outage's
                load.ask(http)
        store = sqlite3.connect(tmp_path / "turnout.db", isolation_level=None, timeout=20)
        store.execute("BEGIN EXCLUSIVE")
        before, most = resident_mib(gateway.pid), 0.0
        with load.running():
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                time.sleep(0.25)
                most = max(most, resident_mib(gateway.pid) - before)
        lost = dropped(url)
        held = {row[0] for row in store.execute("SELECT id FROM records")}
        store.execute("ROLLBACK")
        store.close()
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(60) == 0
    count = len(load.ids)
    log.info("%d requests, %g s away: %+.1f MiB, %d lines lost", count, SECONDS, most, lost)
    assert set(load.statuses) == {200}
    assert count - 300 > 0.2 * SECONDS * PER_SECOND, "that was no load"
    assert most <= MOST_MIB
    assert len(held) <= 300, "it was not away"
    found = kept_all(tmp_path)
    assert set(found) <= set(load.ids)
    missing = count - len(found)
    unknown = sum(r.status == "unknown" for r in found.values())
    assert all(r.status in ("ok", "unknown") for r in found.values())
    assert lost == 2 * missing + unknown, "each request has two lines"
    assert (lost == 0) is fits


def kept_all(folder: Path) -> dict[str, Record]:
    """By id, and none twice."""
    found = kept(folder / "turnout.db", most=10_000_000)
    assert len({r.id for r in found}) == len(found)
    return {r.id: r for r in found}
