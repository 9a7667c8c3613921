"""A provider behind the litellm library, which is never imported here.

Importing litellm takes seconds and hundreds of megabytes, and some of its providers block the event loop
that they run in. So it runs in a process of its own, which serves the chat API on loopback to this
provider alone: to the gateway it is an endpoint like any other, with the same limits on time.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from turnout.errors import MissingExtraError, UpstreamError
from turnout.providers.base import Reply
from turnout.providers.endpoint import HttpProvider
from turnout.providers.http.connection import Waits
from turnout.providers.litellm.process import SILENT_S, Address, Keeper
from turnout.wire.dialects import Dialect


class LitellmProvider:
    """Calls models by litellm's names, such as `bedrock/…` or `cohere/…`. Implements `Provider`.

    Args:
        name: for errors.
        environ: what its process has of the environment, such as `AWS_ACCESS_KEY_ID`: by these
            litellm finds its credentials.
        options: arguments of each of litellm's calls.
        api_key: litellm's argument; None gives none.
        api_base: litellm's argument; None gives none.
        waits: longest waits; `first_byte_s` is for streams.
        timeout_s: longest wait for an answer that is no stream.
        silent_s: without a sign of life for so long, its process is killed.
    """

    dialect: Dialect = "chat"
    stream_usage = True

    def __init__(
        self,
        name: str,
        *,
        environ: Mapping[str, str],
        options: Mapping[str, Any] | None = None,
        api_key: str | None = None,
        api_base: str | None = None,
        waits: Waits | None = None,
        timeout_s: float = 600.0,
        silent_s: float = SILENT_S,
    ) -> None:
        self.name = name
        self._waits, self._timeout_s = waits or Waits(), timeout_s
        self._http: HttpProvider | None = None
        self._users = 0
        secrets: Sequence[str] = [*environ.values(), *([api_key] if api_key else [])]
        told = {
            "options": dict(options or {}),
            "api_key": api_key,
            "api_base": api_base,
            "timeout_s": timeout_s,
            "secrets": list(secrets),
        }
        self.keeper = Keeper(
            name=name, told=told, environ=environ, listening=self._listening, silent_s=silent_s
        )

    @property
    def restarts(self) -> int:
        """Times that its process had to be started again."""
        return max(0, self.keeper.starts - 1)

    async def __aenter__(self) -> Self:
        """Start the process. A second user, while there is one, shares it; the last one ends it."""
        if self._users:
            self._users += 1
            return self
        # Looked for, not imported.
        if importlib.util.find_spec("litellm") is None:
            raise MissingExtraError(f"provider {self.name} is of kind litellm, which", "litellm")
        await self.keeper.start()
        self._users = 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._users -= 1
        if not self._users:
            await self.keeper.stop()

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        candidate: str,
        headers: Mapping[str, str],  # noqa: ARG002 - the client's are for an API, and this is none
        stream: bool = False,
    ) -> Reply:
        """Send a request and return once status and headers are in. See `Provider.post`."""
        if self._http is None:
            raise UpstreamError(
                f"the litellm process of provider {self.name} is being started again",
                candidate=candidate,
                phase="connect",
            )
        return await self._http.post(path, body, candidate=candidate, headers={}, stream=stream)

    def _listening(self, address: Address | None) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None
        if address is not None:
            self._http = HttpProvider(
                self.name,
                f"http://127.0.0.1:{address.port}",
                api_key=address.token,
                waits=self._waits,
                timeout_s=self._timeout_s,
            ).open()
