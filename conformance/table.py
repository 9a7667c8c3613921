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
    "usage",
    "models",
    "embeddings",
    "count_tokens",
)
_TOP = """\
# Clients

Every client below was pointed at a gateway by a base URL and a key alone, and did all that is marked, over a
route and over candidates of all three APIs where that makes a difference. `make conformance` does it again, in
CI, and writes this page with `python conformance/run.py --write`.

"""
_END = """
- *stream*: to its end, with usage where it was asked for; *tools*: call, result, answer; *structured*: an object of a
  given JSON schema; *usage*: with cached tokens.
- *errors*: the client raises its own kind of error for 400, 404, 429 and 500, retries a 429 as often as it says it does,
  and does not retry what the gateway has tried (`x-should-retry: false`), where it heeds that header.
- A column that is empty is something that the client does not do.
"""


class Outcome(Protocol):
    """What a run found of a client."""

    client: Client
    version: str
    checks: list[dict[str, Any]]


def page(outcomes: Sequence[Outcome]) -> str:
    """The page in Markdown."""
    head = ["client", "version", "told where by", *COLUMNS]
    rows = [[o.client.name, o.version, o.client.pointed, *_marks(o)] for o in outcomes]
    lines = [head, ["---"] * len(head), *rows]
    return _TOP + "".join(f"| {' | '.join(line)} |\n" for line in lines) + _END


def _marks(outcome: Outcome) -> list[str]:
    """A mark for each column of which all checks went well; `responses tools` counts as tools."""
    marks = []
    for column in COLUMNS:
        found = [c["ok"] for c in outcome.checks if column in c["check"].split()]
        marks.append(("yes" if all(found) else "**no**") if found else "")
    return marks
