"""Start a Postgres with pgvector from the wheel `pgserver`, print its DSN, and stay until killed.

The server listens on a Unix socket alone, so that tests whose network is cut still reach it.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading

import pgserver


def main() -> None:
    """Serve until a signal comes; the folder goes with the process."""
    # Handled, not waited for: an unblocked signal would end this process and leave the server.
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with tempfile.TemporaryDirectory(prefix="turnout-pg-") as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        print(server.get_uri(), flush=True)
        while not ended.wait(1.0):
            pass
        server.cleanup()


if __name__ == "__main__":
    sys.exit(main())
