"""What web pages may not do with the browser of somebody who can reach the gateway."""

from __future__ import annotations

import ipaddress

from turnout.errors import ForbiddenError
from turnout.gateway.http.asgi import Call

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_BY_NAME = frozenset({"/dashboard", "/dashboard.css", "/alarms"})


def check_no_foreign_page(call: Call) -> None:
    """Refuse what a page of another site can send without asking first.

    Browsers send a page's POST to any address, with the credentials that they remember for it. They ask
    first (and are refused) where the body says that it is JSON, as all clients of an API do; what they
    send unasked has an `origin` and another type, or none.

    Raises:
        ForbiddenError: this is such a request.
    """
    form = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if call.method not in _READS and form != "application/json":
        raise ForbiddenError(
            "a request with an Origin header must say content-type: application/json"
        )


def check_named_host(call: Call, path: str) -> None:
    """Refuse an operator's page under a name, where no key is asked for.

    A page can make its own name mean this machine ("DNS rebinding"), and then read what is open here. It
    cannot do so to an address.

    Raises:
        ForbiddenError: the request names a host, and not an address or `localhost`.
    """
    if path not in _BY_NAME or _is_address(call.headers.get("host", "")):
        return
    raise ForbiddenError(
        f"without keys, {path} is there under an address or localhost alone; make a key with "
        "`turnout keys create NAME --admin` to open it under a name"
    )


def _is_address(host: str) -> bool:
    name = host.rpartition("]")[0].removeprefix("[") or host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
