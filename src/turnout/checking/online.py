"""What providers say when they are asked: which models they have, and whether they take the key."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from turnout.checking.findings import Finding, Findings
from turnout.checking.opening import redis_urls
from turnout.errors import close_to
from turnout.providers.endpoint import ANTHROPIC_VERSION
from turnout.providers.http.resolving import Resolver
from turnout.settings import ProviderSettings, Settings
from turnout.settings.hosts import is_metadata_address
from turnout.settings.pruning import STAND_IN
from turnout.types import Pool

MOST_BYTES = 16 << 20
"""Of a list of models; longer ones exist at no provider."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a question to one provider."""

    models: frozenset[str] | None = None
    """What it lists; None where it does not say."""
    level: str = "ok"
    """`ok`, `error` (it cannot serve), or `note` (it does not say)."""
    code: str = ""
    why: str = ""
    remedy: str = ""


def ask_all(
    settings: Settings, pool: Pool, found: Findings, *, deadline_s: float
) -> dict[str, Any]:
    """Ask every provider for its models; what they say is added to `found`.

    Args:
        settings: whose providers are asked.
        pool: their candidates, with the names that upstreams know them by.
        found: told of what is not there.
        deadline_s: of all questions together, which are asked at once.

    Returns:
        Provider → how many models it lists, or why none is known.
    """
    answers = asyncio.run(_ask_each(settings.providers, deadline_s))
    for name, asked in answers.items():
        if asked.level == "ok":
            continue
        found.add(
            Finding(
                level="error" if asked.level == "error" else "note",
                code=asked.code,
                field=f"providers.{name}",
                message=asked.why,
                remedy=asked.remedy,
            )
        )
    for missing in _missing(settings, pool, answers):
        found.add(missing)
    for field, url in redis_urls(settings):
        _ask_redis(field, url, found, deadline_s)
    return {name: _told(asked) for name, asked in answers.items()}


def _told(asked: Asked) -> dict[str, Any]:
    return {"models": None if asked.models is None else len(asked.models), "why": asked.why}


async def _ask_each(
    providers: Mapping[str, ProviderSettings], deadline_s: float
) -> dict[str, Asked]:
    asked = [_ask(provider, deadline_s) for provider in providers.values()]
    return dict(zip(providers, await asyncio.gather(*asked), strict=True))


async def _ask(provider: ProviderSettings, deadline_s: float) -> Asked:
    if provider.base_url == STAND_IN:
        return _silent("what its settings say cannot be used")
    if provider.kind == "litellm":
        return _silent("litellm cannot ask for them")
    try:
        async with asyncio.timeout(deadline_s):
            refused = await _refused(provider)
            return refused or await _get(provider, deadline_s)
    except TimeoutError:
        return _unreachable(f"it did not answer within {deadline_s:g} s")
    except (httpx2.HTTPError, OSError) as error:
        return _unreachable(f"it could not be reached ({type(error).__name__})")


async def _refused(provider: ProviderSettings) -> Asked | None:
    """Where its name leads to a metadata service, which calls of requests refuse as well."""
    parts = urlsplit(provider.base_url or "")
    resolver = Resolver(parts.hostname or "", parts.port or 443)
    addresses = await resolver.addresses()
    if not provider.allow_link_local and any(map(is_metadata_address, addresses)):
        return _unreachable("its name leads to a link-local address or a metadata service")
    return None


def _unreachable(why: str) -> Asked:
    remedy = "see that base_url is right and that this machine may call it"
    return Asked(level="error", code="provider-unreachable", why=why, remedy=remedy)


async def _get(provider: ProviderSettings, deadline_s: float) -> Asked:
    url = f"{(provider.base_url or '').rstrip('/')}/models"
    query = {"limit": "1000"} if provider.api == "messages" else {}
    async with (
        httpx2.AsyncClient(timeout=deadline_s, follow_redirects=False, trust_env=False) as client,
        client.stream("GET", url, params=query, headers=_headers(provider)) as reply,
    ):
        if reply.status_code in (401, 403):
            why = f"it refuses the key (status {reply.status_code})"
            if provider.api_key is None:
                why = f"it asks for a key (status {reply.status_code})"
            remedy = "give the key of an account that may use it"
            return Asked(level="error", code="key-refused", why=why, remedy=remedy)
        if reply.status_code != 200:
            return _silent(f"GET /models is a {reply.status_code}")
        body = b""
        async for piece in reply.aiter_bytes():
            body += piece
            if len(body) > MOST_BYTES:
                return _silent("its list of models is too long")
    models = _ids(body)
    return _silent("its answer is no list of models") if models is None else Asked(models=models)


def _silent(why: str) -> Asked:
    return Asked(level="note", code="models-unknown", why=f"its models are not known: {why}")


def _headers(provider: ProviderSettings) -> dict[str, str]:
    headers = {"accept": "application/json", "user-agent": "turnout"}
    key = None if provider.api_key is None else provider.api_key.get_secret_value()
    if provider.api == "messages":
        headers["anthropic-version"] = ANTHROPIC_VERSION
        if key is not None:
            headers["x-api-key"] = key
    elif key is not None:
        headers["authorization"] = f"Bearer {key}"
    return headers | {k.lower(): v.get_secret_value() for k, v in provider.headers.items()}


def _ids(body: bytes) -> frozenset[str] | None:
    """The ids of a list of models, as OpenAI, Anthropic and their likes write it."""
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    rows = given.get("data") if isinstance(given, dict) else given
    if not isinstance(rows, list):
        return None
    ids = (row.get("id") for row in rows if isinstance(row, dict))
    return frozenset(i.removeprefix("models/") for i in ids if isinstance(i, str))


def _missing(settings: Settings, pool: Pool, answers: Mapping[str, Asked]) -> Iterator[Finding]:
    """The configured models that their provider does not list."""
    for field, provider, model in configured(settings, pool):
        asked = answers.get(provider)
        if asked is None or not asked.models or _lists(asked.models, model):
            continue
        near = close_to(model, asked.models)
        yield Finding(
            level="warning",
            code="model-not-listed",
            field=field,
            message=f"provider {provider} does not list {model!r} among its {len(asked.models)} models",
            remedy=f"did you mean {near!r}?" if near else "see what it calls the model",
            value=repr(model),
        )


def configured(settings: Settings, pool: Pool) -> Iterator[tuple[str, str, str]]:
    """Every model that is called: where it stands, its provider, and what that calls it."""
    for i, candidate in enumerate(settings.candidates):
        model = pool[candidate.name].model
        yield f"candidates[{i}]", candidate.provider or "", model
        for j, replica in enumerate(candidate.replicas):
            yield f"candidates[{i}].replicas[{j}]", replica.provider, replica.model or model
    for i, embedding in enumerate(settings.embeddings):
        model = embedding.model or embedding.name
        yield f"embeddings[{i}]", embedding.provider or "", model
        for j, replica in enumerate(embedding.replicas):
            yield f"embeddings[{i}].replicas[{j}]", replica.provider, replica.model or model


def _lists(models: frozenset[str], model: str) -> bool:
    """Whether a model is listed, or is another name of one: without its date, or its tag."""
    name = model.removeprefix("models/")
    if name in models or f"{name}:latest" in models:
        return True
    alias = re.compile(rf"{re.escape(name.removesuffix('-latest'))}-\d[\d-]*\Z")
    return any(alias.match(listed) for listed in models)


def _ask_redis(field: str, url: str, found: Findings, deadline_s: float) -> None:
    try:
        import redis
    except ImportError:
        return  # said already: the extra is not installed
    try:
        with closing(
            redis.Redis.from_url(url, socket_timeout=deadline_s, socket_connect_timeout=deadline_s)
        ) as client:
            client.ping()
    except redis.RedisError as error:
        why = f"Redis cannot be reached ({type(error).__name__})"
        remedy = "see that it runs, and that its URL and password are right"
        found.add(
            Finding(
                level="error", code="redis-unreachable", field=field, message=why, remedy=remedy
            )
        )
