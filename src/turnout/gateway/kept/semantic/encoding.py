"""Vectors of questions without holding up the event loop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from turnout.encoders.base import Encoder
from turnout.gateway.beside import Beside
from turnout.types import Floats

_LONGEST_S = 0.0005
"""CPU seconds that a question may take of the loop's time."""


@dataclass(slots=True)
class Encoding:
    """An encoder, on the loop where it is quick and beside it where it is not.

    Args:
        encoder: encodes.
        beside: threads, and how long they are waited for.
    """

    encoder: Encoder
    beside: Beside
    quick: bool = False
    """Whether the longest question takes little enough of the loop's time."""

    async def warm(self, longest: int) -> None:
        """Find out, beside the loop, how long a question takes.

        Args:
            longest: characters.
        """
        if getattr(self.encoder, "waits", False):
            return
        text = ("Which of these words takes long to read? " * (longest // 40 + 1))[:longest]
        await self.beside.run(partial(self._took_s, text))
        took_s = await self.beside.run(partial(self._took_s, text + "?"))
        self.quick = took_s < _LONGEST_S

    def _took_s(self, text: str) -> float:
        start = time.thread_time()
        self.encoder.encode([text])
        return time.thread_time() - start

    async def vector(self, text: str, within_s: float | None = None) -> Floats:
        """(d,) of a question.

        Args:
            text: of it.
            within_s: longest wait, where that is less than `beside` waits.

        Raises:
            RouterError: the encoder cannot encode now.
            TimeoutError: it did not come in time.
        """
        if self.quick:
            return self._one(text)
        return await self.beside.run(partial(self._one, text), within_s)

    def _one(self, text: str) -> Floats:
        found: Floats = self.encoder.encode([text])[0]
        return found
