"""What the clients' scripts share: where the gateway is, and checks that are told in JSON lines.

It runs in each client's own environment: the standard library alone.
"""

from __future__ import annotations

import json
import os
import traceback
import urllib.request
from collections.abc import Callable

BASE = os.environ["CONFORMANCE_GATEWAY"]
"""The gateway, without `/v1`."""
V1 = f"{BASE}/v1"
UPSTREAM = os.environ["CONFORMANCE_UPSTREAM"]
KEY = os.environ["CONFORMANCE_KEY"]
BAD_KEY = "a-key-that-the-gateway-does-not-know"
UNKNOWN = "no-such-model"
MODELS = ("auto", "over-chat", "over-messages", "over-responses")
"""A route, and a candidate of each API: of the client's own and of the others."""
ASK = "What is the weather like in Paris today?"
CACHED_TOKENS = 3
"""Cached tokens that every answer of the upstream tells of."""
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}


def check(name: str, *models: str) -> Callable[[Callable[[str], None]], None]:
    """Run the function below at once, for each model, and tell how it went."""

    def run(function: Callable[[str], None]) -> None:
        for model in models or ("auto",):
            problem = ""
            try:
                function(model)
            except Exception:  # noqa: BLE001 - whatever a client raises is the finding
                problem = traceback.format_exc()
            line = {"check": name, "model": model, "ok": not problem, "problem": problem[-3000:]}
            print("CHECK " + json.dumps(line), flush=True)

    return run


def scripted(status: int, tag: str) -> str:
    """A text that the upstream answers with this status, under a tag of its own."""
    return f"{ASK} scripted:{status}:{os.environ['CONFORMANCE_CLIENT']}-{tag}"


def calls(tag: str) -> int:
    """How many calls with that tag have reached the upstream."""
    name = f"{os.environ['CONFORMANCE_CLIENT']}-{tag}"
    with urllib.request.urlopen(f"{UPSTREAM}/count/{name}") as reply:
        return int(json.load(reply)["count"])


def expect(error: type[BaseException], function: Callable[[], object]) -> BaseException:
    """The error that a function must raise."""
    try:
        function()
    except error as found:
        return found
    raise AssertionError(f"no {error.__name__} was raised")
