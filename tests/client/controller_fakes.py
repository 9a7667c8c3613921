"""What the tests of the client stand on: a simulated upstream, and a router that reads one word."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from turnout.errors import RouterError, UnknownNameError
from turnout.providers.fake import FakeUpstream, Fault
from turnout.types import Candidate, Floats, PairRule, Prediction, Query

STRONG, WEAK = "gpt-4", "gpt-3.5-turbo"
HARD = [{"role": "user", "content": "a hard question"}]
EASY = [{"role": "user", "content": "an easy question"}]

SERVED = (STRONG, WEAK, "gpt-4o", "gpt-4o-mini", "llama3.2", "large", "medium", "small", "a", "b-1")
ERROR = {"message": "as scripted", "type": "test", "param": None, "code": "scripted"}


@dataclass(frozen=True)
class Upstream:
    """A simulated upstream and where it listens."""

    app: FakeUpstream
    url: str

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [seen.json for seen in self.app.seen]

    @property
    def headers(self) -> list[dict[str, str]]:
        return [dict(seen.headers) for seen in self.app.seen]

    def fails(self, status: int) -> None:
        """The next call is answered with an error."""
        headers = {"retry-after": "7", "x-request-id": "req_1", "content-type": "application/json"}
        body = json.dumps({"error": ERROR}).encode()
        self.app.script.append(Fault(status=status, body=body, headers=headers))


@dataclass(frozen=True)
class WordRouter:
    """Win rate 0.75 where the text holds "hard", else 0.25; "broken" breaks it."""

    name: str = "word"
    fingerprint: str | None = "fp_word"
    knows: tuple[str, ...] | None = None

    def check(self, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            if self.knows is not None and (candidate.known_as or candidate.name) not in self.knows:
                raise UnknownNameError("model", candidate.name, self.knows)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        if any("broken" in q.text for q in queries):
            raise RouterError("the encoder is gone")
        strong = np.array([0.75 if "hard" in q.text else 0.25 for q in queries])
        return Prediction(
            candidates=tuple(c.name for c in candidates),
            quality=_evenly(strong, len(candidates)),
            pair=PairRule("strong"),
        )


def _evenly(strong: np.ndarray, m: int) -> Floats:
    columns = [strong * (m - j) / m for j in range(m)]
    return np.stack(columns, axis=1).astype(np.float32)
