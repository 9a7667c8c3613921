"""The clients that must work with nothing but a base URL, and what their environments hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client: a script, and the packages that it runs with."""

    name: str
    script: str
    packages: tuple[str, ...]
    """The first one's version is the client's. Of Node they stand in `node/package.json`."""
    environment: str
    """Clients of one environment share it."""
    language: Literal["python", "node"] = "python"
    pointed: str
    """How it is told where the gateway is."""
    in_ci: bool = False
    """Whether CI runs it; the others are left to `make conformance`, for the time that installs take."""


CLIENTS = (
    Client(
        name="openai 1",
        script="openai_sdk.py",
        packages=("openai>=1.109,<2",),
        environment="openai-1",
        pointed="`base_url`",
        in_ci=True,
    ),
    Client(
        name="openai 2",
        script="openai_sdk.py",
        packages=("openai>=2.54,<3",),
        environment="openai-2",
        pointed="`base_url`",
        in_ci=True,
    ),
    Client(
        name="openai 3",
        script="openai_sdk.py",
        packages=("openai>=3.57,<4",),
        environment="official",
        pointed="`base_url`",
        in_ci=True,
    ),
    Client(
        name="anthropic",
        script="anthropic_sdk.py",
        packages=("anthropic>=2.14,<3",),
        environment="official",
        pointed="`base_url` without `/v1`",
        in_ci=True,
    ),
    Client(
        name="langchain-openai",
        script="langchain_openai_client.py",
        packages=("langchain-openai>=1.7,<2",),
        environment="langchain",
        pointed="`base_url`",
    ),
    Client(
        name="langchain-anthropic",
        script="langchain_anthropic_client.py",
        packages=("langchain-anthropic>=1.7,<2",),
        environment="langchain",
        pointed="`base_url` without `/v1`",
    ),
    Client(
        name="llama-index",
        script="llama_index_client.py",
        packages=(
            "llama-index-llms-openai-like>=0.8,<0.9",
            "llama-index-embeddings-openai-like",
        ),
        environment="llama-index",
        pointed="`OpenAILike(api_base=…)`",
    ),
    Client(
        name="pydantic-ai",
        script="pydantic_ai_client.py",
        packages=("pydantic-ai-slim[openai,anthropic]>=2.68,<3",),
        environment="pydantic-ai",
        pointed="the provider's `base_url`",
        in_ci=True,
    ),
    Client(
        name="litellm",
        script="litellm_client.py",
        packages=("litellm>=1.110,<2",),
        environment="litellm",
        pointed="`api_base`",
    ),
    Client(
        name="instructor",
        script="instructor_client.py",
        packages=("instructor>=1.17,<2",),
        environment="instructor",
        pointed="the `openai` client's `base_url`",
    ),
    Client(
        name="llm",
        script="llm_cli.py",
        packages=("llm>=0.36,<1",),
        environment="llm",
        pointed="`api_base` in `extra-openai-models.yaml`",
    ),
    Client(
        name="openai (Node)",
        script="openai.mjs",
        packages=("openai",),
        environment="node",
        language="node",
        pointed="`baseURL`",
        in_ci=True,
    ),
    Client(
        name="@anthropic-ai/sdk",
        script="anthropic.mjs",
        packages=("@anthropic-ai/sdk",),
        environment="node",
        language="node",
        pointed="`baseURL` without `/v1`",
        in_ci=True,
    ),
    Client(
        name="Vercel AI SDK",
        script="ai.mjs",
        packages=("ai", "@ai-sdk/openai", "@ai-sdk/openai-compatible", "@ai-sdk/anthropic"),
        environment="node",
        language="node",
        pointed="each provider's `baseURL`",
        in_ci=True,
    ),
)
