"""Real clients against a real gateway: `make conformance`.

python conformance/run.py                       install, run, compare with the table in the docs
python conformance/run.py --write               write docs/reference/clients.md
python conformance/run.py --only openai         those whose name begins so
python conformance/run.py --ci                  those that CI runs
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import environments
from clients import CLIENTS, Client
from table import PAGE, page

from gateway import KEY, Urls, running

logging.getLogger("turnout").setLevel(logging.CRITICAL)  # errors are scripted

LONGEST_S = 600
"""Of one client's script."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client's checks found."""

    client: Client
    version: str
    checks: list[dict[str, Any]]
    problem: str = ""
    """Why its script did not run to its end."""
    took_s: float = 0.0

    @property
    def failed(self) -> int:
        """Checks that failed; a script that broke off is one more."""
        return sum(not c["ok"] for c in self.checks) + bool(self.problem)


def main() -> int:
    """Run, print, and say whether all is well."""
    asked = argparse.ArgumentParser(description="Run real clients against a gateway.")
    asked.add_argument("--write", action="store_true", help="write the table into the docs")
    asked.add_argument("--only", default="", help="clients whose name begins so")
    asked.add_argument("--ci", action="store_true", help="those that CI runs")
    given = asked.parse_args()
    clients = [c for c in CLIENTS if c.name.startswith(given.only) and (c.in_ci or not given.ci)]
    skipped = {c.name: why for c in clients if (why := environments.absent(c))}
    here = [c for c in clients if c.name not in skipped]
    began = time.monotonic()
    environments.install(here)
    print(f"environments ready after {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(_alone, here))
    for outcome in outcomes:
        _print(outcome)
    for name, why in skipped.items():
        print(f"{name}: skipped, {why}")
    print(f"checks took {time.monotonic() - began:.0f} s")
    if given.write:
        PAGE.write_text(page(outcomes), encoding="utf-8")
    passed = sum(c["ok"] for o in outcomes for c in o.checks)
    failed = sum(o.failed for o in outcomes)
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed or not passed else 0


def _alone(client: Client) -> Outcome:
    """A client with a gateway of its own: one's scripted errors must not cool another's upstreams."""
    began = time.monotonic()
    with running() as urls:
        outcome = _run(client, urls)
    return replace(outcome, took_s=time.monotonic() - began)


def _run(client: Client, urls: Urls) -> Outcome:
    home = environments.HOME / "home"
    home.mkdir(parents=True, exist_ok=True)
    # Its own surroundings: no key and no settings of whoever runs this.
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "NO_PROXY": "*",
        "CONFORMANCE_GATEWAY": urls.gateway,
        "CONFORMANCE_UPSTREAM": urls.upstream,
        "CONFORMANCE_KEY": KEY,
        "CONFORMANCE_CLIENT": "".join(c if c.isalnum() else "-" for c in client.name),
    }
    try:
        done = subprocess.run(
            environments.command(client),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            env=environ,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(client, environments.version(client), [], f"not done after {LONGEST_S} s")
    lines = [line[6:] for line in done.stdout.splitlines() if line.startswith("CHECK ")]
    problem = "" if done.returncode == 0 else f"exit {done.returncode}: {done.stderr[-3000:]}"
    return Outcome(client, environments.version(client), [json.loads(x) for x in lines], problem)


def _print(outcome: Outcome) -> None:
    good = sum(c["ok"] for c in outcome.checks)
    took = f"{outcome.took_s:.0f} s"
    print(f"{outcome.client.name} {outcome.version}: {good}/{len(outcome.checks)} in {took}")
    for check in outcome.checks:
        if not check["ok"]:
            print(f"  FAILED {check['check']} ({check['model']})\n{check['problem']}")
    if outcome.problem:
        print(f"  FAILED {outcome.problem}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main())
