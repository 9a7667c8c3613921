"""What the ledger survives: kills at random points, and a database that is away under load.

    python benchmarks/durability.py [--kills 200] [--outage-s 600] [--rate 500] [--store postgresql://...]

Kills: a process begins and ends records and says of each when it is over; it is killed (SIGKILL) at a random
moment, and another one goes on in its place. In the end the database must have each record that was said to be
over, as such, once, and at most one more for each kill, as unknown or over.
Outage: records come at a rate while nothing can be folded in; memory, the journal, and what is dropped are
measured, and what was not dropped must be there when the database is back.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from turnout.errors import StoreError
from turnout.store.database import open_database
from turnout.store.ledger import Ledger
from turnout.store.record import Record
from turnout.store.records import RecordTable

MOST_GROWN_MIB = 50
WRITER = """
import sys
from pathlib import Path
from turnout.store.database import open_database
from turnout.store.ledger import Ledger
from turnout.store.record import Record
from turnout.store.records import RecordTable
journal, store, run = sys.argv[1:]
place = store if "://" in store else Path(store)
with Ledger(Path(journal), lambda: RecordTable(open_database(place)), every_s=0.01) as ledger:
    print("up", flush=True)
    for i in range(10**9):
        name = f"{run}-{i}"
        ledger.begin(Record(id=name, at_ms=i, status="unknown"))
        ledger.end(Record(id=name, at_ms=i, status="ok", cost_picousd=1))
        print(name, flush=True)  # the client has its answer
"""


def kills(times: int, home: Path, store: Path | str, rng: random.Random) -> bool:
    """Kill a writer so many times; whether nothing was lost or doubled."""
    said: list[str] = []
    for run in range(times):
        command = [sys.executable, "-c", WRITER, str(home / "journal"), str(store), str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(rng.uniform(0, 0.2))
            writer.send_signal(signal.SIGKILL)
            said += [line.strip() for line in writer.stdout if line.endswith("\n")]
    with Ledger(home / "journal", lambda: RecordTable(open_database(store))):
        pass  # folds in what the last one left
    table = RecordTable(open_database(store))
    kept = {r.id: r.status for r in table.latest(10**9)}
    spent, [(rows,)] = (
        table.spent_picousd(since_ms=0),
        table._db.run("SELECT COUNT(*) FROM records"),
    )
    table.close()
    lost = [name for name in said if kept.get(name) != "ok"]
    more, over = len(kept) - len(said), sum(status == "ok" for status in kept.values())
    print(
        f"{times} kills: {len(said)} records were over, {len(lost)} of them lost, {more} more, {rows} rows"
    )
    return not lost and more <= times and rows == len(kept) and spent == over


def outage(seconds: float, rate: int, home: Path, store: Path | str) -> bool:
    """Take the database away under load; whether memory held and only counted records were lost."""
    back = False

    def opened() -> RecordTable:
        if not back:
            raise StoreError("the store", "it is away", "wait", away=True)
        return RecordTable(open_database(store))

    with Ledger(home / "journal-outage", opened, most_bytes=64 << 20) as ledger:
        ledger.end(Record(id="out-first", at_ms=0, status="ok"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start, made = time.monotonic(), 0
        while (now := time.monotonic() - start) < seconds:
            while made < now * rate:
                record = Record(id=f"out-{made}", at_ms=made, status="ok", decision="x" * 1500)
                ledger.begin(record)
                ledger.end(record)
                made += 1
            time.sleep(0.002)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
        dropped, back = ledger.dropped, True
    table = RecordTable(open_database(store))
    [(kept,)] = table._db.run("SELECT COUNT(*) FROM records WHERE id LIKE 'out-%'")
    table.close()
    print(
        f"{seconds:g} s without a database: {made} records, {dropped} lines dropped and counted, "
        f"{kept} rows kept, memory grew by {grown:.1f} MiB (at most {MOST_GROWN_MIB})"
    )
    # Of a record both lines may be dropped, or one.
    return grown <= MOST_GROWN_MIB and 2 * (made + 1) - dropped <= 2 * kept <= 2 * (made + 1)


def main() -> int:
    """Run both, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--outage-s", type=float, default=600.0)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", help="a postgresql:// URL of an empty database; default: SQLite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = asked.store or home / "durability.db"
        well = kills(asked.kills, home, store, random.Random(asked.seed))
        well = outage(asked.outage_s, asked.rate, home, store) and well
    print("well" if well else "NOT WELL")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
