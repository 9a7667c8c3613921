"""How Turnout is started for `run.py`: with a key, a budget, the ledger and metrics on, as a team would."""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import secrets
import sys
from pathlib import Path

SETTINGS = """\
listen: {{port: 9310}}
providers:
  up: {{base_url: "{upstream}", api_key: upstream-key}}
candidates:
  - name: large
    provider: up
    price: {{input_usd: 2.5, output_usd: 10}}
    context_tokens: 128000
    max_output_tokens: 16384
  - name: small
    provider: up
    price: {{input_usd: 0.15, output_usd: 0.6}}
    context_tokens: 128000
    max_output_tokens: 16384
keys:
  - {{name: load, sha256: {digest}, budgets_usd: {{day: 1000000}}}}
store: {{path: "{home}/turnout.db"}}
log: {{level: warning}}
"""


def start_turnout(home: Path, upstream: str) -> tuple[list[str], str]:
    """(command, request headers)."""
    _compile()
    key = f"tk_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    config = home / "turnout.yaml"
    text = SETTINGS.format(upstream=upstream, home=home, digest=digest)
    config.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "turnout", "serve", "--config", str(config)]
    return command, f"authorization: Bearer {key}\r\n"


def _compile() -> None:
    """Compile a checkout's modules, as installing a package does: the peers' are."""
    found = importlib.util.find_spec("turnout")
    assert found is not None
    for folder in found.submodule_search_locations or ():
        compileall.compile_dir(folder, quiet=1)
