"""Tells systemd how this process fares, where it was started by a unit of `Type=notify`."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger("turnout.gateway")

READY = "READY=1"
STOPPING = "STOPPING=1"


def tell(state: str, environ: Mapping[str, str] | None = None) -> None:
    """Send a state to the socket that `NOTIFY_SOCKET` names; does nothing where none is named.

    See sd_notify(3). A supervisor that cannot be told is logged, and no reason to stop serving.

    Args:
        state: lines of `NAME=value`.
        environ: default: the process environment.
    """
    name = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not name:
        return
    # An abstract socket is written with an @ for its leading zero byte.
    address = f"\0{name[1:]}" if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.connect(address)
            to.sendall(state.encode())
    except OSError as error:
        log.warning("the supervisor could not be told %s: %s", state, error.strerror or error)
