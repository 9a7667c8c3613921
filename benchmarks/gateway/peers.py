"""Gateways that are measured beside Turnout: how each is installed, configured and started.

Each is the newest release that its registry installs, one process on one core, with the settings that its
own documentation gives for speed where it gives any.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
KEY = "sk-peer-0123456789abcdef"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A gateway in front of the scripted upstream."""

    name: str
    port: int
    install: Sequence[Sequence[str]]
    """Commands, run in the folder of the peers."""
    start: Callable[[Path, str], tuple[list[str], Mapping[str, str]]]
    """(folder, upstream's base URL) → command and environment."""
    ready: str
    """A path that answers 200 once it serves."""
    models: Mapping[str, str] = field(default_factory=lambda: {"pass": "small"})
    """Kind of work → what `model` says; a kind that is missing is not measured."""
    streams: bool = True


def _pip(venv: str, *packages: str) -> list[list[str]]:
    return [
        [sys.executable, "-m", "venv", venv],
        [f"{venv}/bin/python", "-m", "pip", "install", "--quiet", *packages],
    ]


def _fastapi(folder: Path, upstream: str) -> tuple[list[str], Mapping[str, str]]:
    command = [str(folder / "fastapi/bin/uvicorn"), "fastapi_httpx:app", "--app-dir", str(HERE)]
    return [*command, "--port", "9311", "--no-access-log", "--log-level", "warning"], {
        "UPSTREAM": upstream
    }


LITELLM = """\
model_list:
  - model_name: small
    litellm_params: {{model: openai/small, api_base: "{upstream}", api_key: up}}
  - model_name: large
    litellm_params: {{model: openai/large, api_base: "{upstream}", api_key: up}}
  - model_name: auto
    litellm_params:
      model: auto_router/complexity_router
      complexity_router_config:
        tiers: {{SIMPLE: small, MEDIUM: small, COMPLEX: large, REASONING: large}}
      complexity_router_default_model: small
litellm_settings: {{num_retries: 0, telemetry: false, drop_params: false}}
general_settings: {{master_key: {key}}}
"""


def _litellm(folder: Path, upstream: str) -> tuple[list[str], Mapping[str, str]]:
    config = folder / "litellm.yaml"
    config.write_text(LITELLM.format(upstream=upstream, key=KEY))
    command = [str(folder / "litellm/bin/litellm"), "--config", str(config), "--port", "9312"]
    quiet = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    return [*command, "--host", "127.0.0.1", "--num_workers", "1"], quiet


FERRO = """\
strategy: {mode: single}
targets:
  - virtual_key: openai
"""


def _ferro(folder: Path, upstream: str) -> tuple[list[str], Mapping[str, str]]:
    config = folder / "ferro.yaml"
    config.write_text(FERRO)
    given = {
        "GATEWAY_CONFIG": str(config),
        "OPENAI_API_KEY": "up",
        "OPENAI_BASE_URL": upstream.removesuffix("/v1"),
        "MASTER_KEY": KEY,
        "ALLOW_UNAUTHENTICATED_PROXY": "true",
        "PORT": "9313",
        "LOG_LEVEL": "error",
        "RATE_LIMIT_RPS": "1000000",
        "RATE_LIMIT_BURST": "1000000",
        "GOMAXPROCS": "1",
    }
    return [str(folder / "ferro/bin/ferrogw"), "serve"], given


def _portkey(folder: Path, upstream: str) -> tuple[list[str], Mapping[str, str]]:  # noqa: ARG001
    node = shutil.which("node") or "node"
    script = folder / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    return [node, str(script), "--port=9314", "--headless"], {"NODE_ENV": "production"}


def portkey_headers(upstream: str) -> str:
    """Portkey takes its configuration with each request."""
    return f"x-portkey-provider: openai\r\nx-portkey-custom-host: {upstream}\r\n"


PEERS: tuple[Peer, ...] = (
    Peer(
        name="FastAPI + httpx",
        port=9311,
        install=_pip("fastapi", "fastapi", "httpx", "uvicorn", "httptools", "uvloop"),
        start=_fastapi,
        ready="/healthz",
        # It routes nothing: what routing costs is to be seen beside what it takes to pass a request on.
        models={"pass": "small", "routed": "small"},
    ),
    Peer(
        name="LiteLLM",
        port=9312,
        install=_pip("litellm", "litellm[proxy]"),
        start=_litellm,
        ready="/health/readiness",
        models={"pass": "small", "routed": "auto"},
    ),
    Peer(
        name="ferrogw",
        port=9313,
        install=_pip("ferro", "ferrogw"),
        start=_ferro,
        ready="/readyz",
        models={"pass": "gpt-4o-mini"},
    ),
    Peer(
        name="Portkey",
        port=9314,
        install=[["npm", "install", "--silent", "--prefix", "portkey", "@portkey-ai/gateway"]],
        start=_portkey,
        ready="/",
    ),
)


def installed(peer: Peer, folder: Path) -> bool:
    """Whether its program is there."""
    command, _ = peer.start(folder, "http://127.0.0.1:1/v1")
    return all(Path(part).exists() for part in command[:2] if part.startswith("/"))


def install(folder: Path) -> None:
    """Install every peer that is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        if not installed(peer, folder):
            for command in peer.install:
                subprocess.run(command, cwd=folder, check=True, env={**os.environ})
