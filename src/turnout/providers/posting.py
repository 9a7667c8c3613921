"""One JSON request and its JSON answer within a deadline, for what routers and encoders call.

Nothing is retried: a router that waits for a second try has missed its deadline. What goes wrong is a
`RouterError` whose text holds neither the key, nor what was sent, nor what came back.
"""

from __future__ import annotations

import json
import os
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx2

from turnout.errors import RouterError, SettingsError
from turnout.settings.hosts import REMEDY, is_metadata_host

MOST_BYTES = 64_000_000
"""Longest answer that is read."""
_CONNECT_SHARE = 0.5
"""Part of the time limit that making the connection may take."""


class JsonEndpoint:
    """Posts to paths under a base URL over one pooled client; threads may share it.

    Args:
        what: how messages call it, such as `the judge m`.
        base_url: with its version path, such as `http://127.0.0.1:8000/v1`.
        api_key: sent as a bearer token; None sends no Authorization.
        timeout_s: seconds within which an answer must be there, whole.
        connections: most calls at a time.
        option: name of the setting that gives `base_url`, for errors.

    Raises:
        SettingsError: `base_url` is not an HTTP URL, or holds a password.
    """

    def __init__(
        self,
        what: str,
        base_url: str,
        *,
        api_key: str | None,
        timeout_s: float,
        connections: int,
        option: str = "base_url",
    ) -> None:
        self.what, self.timeout_s, self._connections = what, timeout_s, connections
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="turnout-post")
        self._base = _checked(base_url, option)
        headers = {"user-agent": "turnout"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {api_key}"
        self._client = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(timeout_s, connect=timeout_s * _CONNECT_SHARE),
            limits=httpx2.Limits(
                max_connections=connections, max_keepalive_connections=connections
            ),
            follow_redirects=False,
        )
        # Routers have no close: the connections go with the last reference.
        self.close = weakref.finalize(self, _close, self._client, self._threads)

    def post_many(self, path: str, payloads: Sequence[Any]) -> list[Any]:
        """One answer a payload, or in the place of one the `RouterError` that says why there is none.

        The time limit holds for each round of `connections` calls, waiting for a free one included: it
        holds for the whole of a single call, whatever the other side does.
        """
        rounds = -(-len(payloads) // self._connections)
        late = time.monotonic() + self.timeout_s * rounds
        futures = [self._threads.submit(self.post, path, payload) for payload in payloads]
        return [self._wait(future, late) for future in futures]

    def _wait(self, future: Future[Any], late: float) -> Any:
        try:
            return future.result(timeout=max(0.0, late - time.monotonic()))
        except TimeoutError:
            future.cancel()
            return self.too_late()
        except RouterError as error:
            return error

    def post(self, path: str, payload: Any) -> Any:
        """The JSON answer to a JSON request.

        Raises:
            RouterError: it is gone, late, not JSON, too long, or of another status than 200.
        """
        late = time.monotonic() + self.timeout_s
        try:
            with self._client.stream("POST", f"{self._base}/{path}", json=payload) as response:
                if response.status_code != 200:
                    raise RouterError(f"{self.what} answered with status {response.status_code}")
                body = self._read(response, late)
        except httpx2.TimeoutException as error:
            raise self.too_late() from error
        except httpx2.HTTPError as error:
            # Not the message: it may quote what was sent.
            kind = type(error).__name__
            raise RouterError(f"{self.what} could not be reached or broke off ({kind})") from None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise RouterError(f"{self.what} did not answer with JSON") from None

    def too_late(self) -> RouterError:
        """The error of an answer that was not there in time."""
        return RouterError(f"{self.what} did not answer within {self.timeout_s:g} s")

    def _read(self, response: httpx2.Response, late: float) -> bytes:
        """The body; a server that drips bytes is late too."""
        parts, size = [], 0
        for part in response.iter_bytes():
            size += len(part)
            if time.monotonic() > late:
                raise self.too_late()
            if size > MOST_BYTES:
                raise RouterError(f"{self.what} answered with more than {MOST_BYTES:,} bytes")
            parts.append(part)
        return b"".join(parts)


def _close(client: httpx2.Client, threads: ThreadPoolExecutor) -> None:
    threads.shutdown(wait=False, cancel_futures=True)
    client.close()


def read_key(variable: str | None, option: str = "api_key_env") -> str | None:
    """The key in an environment variable; None where no variable is named.

    Raises:
        SettingsError: the variable is not set, or is not what a header can hold.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise SettingsError(
            option, variable, "set this environment variable, or leave the option out"
        )
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(option, variable, "the key in it must be printable ASCII")
    return key


def _checked(base_url: str, option: str) -> str:
    try:
        url = httpx2.URL(base_url)
        fine = url.scheme in ("http", "https") and bool(url.host) and not url.userinfo
    except (httpx2.InvalidURL, TypeError):
        fine = False
    if not fine:
        remedy = "give a URL such as http://127.0.0.1:8000/v1, and the key by api_key_env"
        # Not the value: a URL with a password in it would be shown.
        raise SettingsError(option, "(not shown)", remedy)
    if is_metadata_host(url.host):
        raise SettingsError(option, url.host, REMEDY)
    return base_url.rstrip("/")
