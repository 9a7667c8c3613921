"""The page of clients, from what a run found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from clients import Client

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "clients.md"

COLUMNS = (
    "plain",
    "stream",
    "tools",
    "structured",
    "errors",
    "refusals",
    "usage",
    "models",
    "embeddings",
    "count_tokens",
)
_TOP = """\
# Clients

Every client below was pointed at a gateway by a base URL and a key alone, and did all that is marked, over a
route and over candidates of all three APIs where that makes a difference. `make conformance` does it again;
`python conformance/run.py --write` writes this page.

"""
_END = """
- *stream*: to its end, with usage where it was asked for; *tools*: call, result, answer; *structured*: an object of a
  given JSON schema; *usage*: with cached tokens.
- *errors*: the client raises its own kind of error and keeps to its own retries. Which of 400, 429 and 500 are looked at
  differs: OpenAI's and Anthropic's SDKs all of them, and that `x-should-retry: false` is heeded; the others some, as
  their scripts in `conformance/` say. Upstreams of Responses and Messages are another gateway over the same simulated
  models.
- *refusals*: an unknown model is a 404 and a wrong key a 401 of the client's own kind, in each API that it speaks.
- *in CI*: run by CI with every change (`python conformance/run.py --ci`); the others are left to `make conformance`,
  because their installs take minutes.
- A column that is empty is something that the client does not do.
"""


class Outcome(Protocol):
    """What a run found of a client."""

    client: Client
    version: str
    checks: list[dict[str, Any]]


def page(outcomes: Sequence[Outcome]) -> str:
    """The page in Markdown."""
    head = ["client", "version", "told where by", *COLUMNS, "in CI"]
    rows = [
        [o.client.name, o.version, o.client.pointed, *_marks(o), "yes" if o.client.in_ci else ""]
        for o in outcomes
    ]
    lines = [head, ["---"] * len(head), *rows]
    return _TOP + "".join(f"| {' | '.join(line)} |\n" for line in lines) + _END


def _marks(outcome: Outcome) -> list[str]:
    """A mark for each column of which all checks went well; `responses tools` counts as tools."""
    marks = []
    for column in COLUMNS:
        found = [c["ok"] for c in outcome.checks if column in c["check"].split()]
        marks.append(("yes" if all(found) else "**no**") if found else "")
    return marks
