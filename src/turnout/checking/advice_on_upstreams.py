"""Warnings about providers and encoders."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from turnout.checking.advice import Rule, Seen, warn
from turnout.checking.findings import Finding
from turnout.settings import CandidateSettings, EmbeddingSettings, Settings
from turnout.settings.hosts import is_loopback

_PATHS = {
    "api.openai.com": "/v1",
    "api.anthropic.com": "/v1",
    "api.mistral.ai": "/v1",
    "api.groq.com": "/openai/v1",
    "openrouter.ai": "/api/v1",
    "api.together.xyz": "/v1",
    "api.x.ai": "/v1",
    "api.fireworks.ai": "/inference/v1",
}
"""Host → the path that its API is below."""


def wrong_path(seen: Seen) -> Iterator[Finding]:
    """Base URLs without the version that the provider's paths begin with."""
    for name, provider in seen.settings.providers.items():
        parts = urlsplit(provider.base_url or "")
        path = _PATHS.get(parts.hostname or "")
        if path is not None and not parts.path.rstrip("/").startswith(path):
            yield warn(
                "base-url-path",
                f"providers.{name}.base_url",
                f"the API of {parts.hostname} is below {path}: every call to "
                f"{parts.path.rstrip('/') or '/'} would be a 404",
                f"write https://{parts.hostname}{path}",
            )


def wrong_api(seen: Seen) -> Iterator[Finding]:
    """Anthropic's own host, called in another API's words."""
    for name, provider in seen.settings.providers.items():
        host = urlsplit(provider.base_url or "").hostname
        if host == "api.anthropic.com" and provider.api != "messages":
            yield warn(
                "api",
                f"providers.{name}.api",
                "Anthropic is called by its Chat Completions layer, which has no prompt caching and "
                "ignores some fields",
                "set `api: messages`; requests in other APIs are translated",
            )


def no_key(seen: Seen) -> Iterator[Finding]:
    """Public providers without a key."""
    for name, provider in seen.settings.providers.items():
        given = provider.api_key or provider.api_key_env or provider.api_key_file
        if (
            given
            or provider.kind == "litellm"
            or any(_is_credential(header) for header in provider.headers)
        ):
            continue
        if _is_public(urlsplit(provider.base_url or "").hostname or ""):
            yield warn(
                "no-key",
                f"providers.{name}",
                "it is called without a key: clients' own keys are never passed on",
                "give api_key_env",
            )


def key_in_clear(seen: Seen) -> Iterator[Finding]:
    """Keys that go over the network unencrypted."""
    for name, provider in seen.settings.providers.items():
        parts = urlsplit(provider.base_url or "")
        secret = provider.api_key is not None or any(map(_is_credential, provider.headers))
        if parts.scheme == "http" and secret and _is_public(parts.hostname or ""):
            yield warn(
                "key-in-clear",
                f"providers.{name}.base_url",
                "its key, and every prompt, go over the network unencrypted",
                "use https",
            )


def unused(seen: Seen) -> Iterator[Finding]:
    """Providers and encoders that nothing uses."""
    settings = seen.settings
    used = _used_providers(settings)
    for name in settings.providers:
        if name not in used:
            yield warn(
                "unused-provider",
                f"providers.{name}",
                "no candidate, replica or embedding model is at this provider",
                "take it out, or name it at a candidate",
            )
    asked = {router.options.get("encoder") for router in settings.routers.values()}
    if settings.cache is not None and settings.cache.semantic is not None:
        asked.add(settings.cache.semantic.encoder)
    for name in settings.encoders:
        if name not in asked:
            yield warn(
                "unused-encoder",
                f"encoders.{name}",
                "nothing asks for this encoder",
                "take it out, or name it by a router's `encoder`",
            )


def cut_waits(seen: Seen) -> Iterator[Finding]:
    """Waits that can never be reached, because the whole is shorter."""
    for name, provider in seen.settings.providers.items():
        for key in ("first_byte_timeout_s", "idle_timeout_s"):
            wait = getattr(provider, key)
            if key in provider.model_fields_set and wait > provider.timeout_s:
                yield warn(
                    "wait-cut",
                    f"providers.{name}.{key}",
                    f"{wait:g} s are cut to timeout_s, {provider.timeout_s:g} s",
                    "raise timeout_s, or lower this",
                )


def _used_providers(settings: Settings) -> set[str | None]:
    models: list[CandidateSettings | EmbeddingSettings] = [
        *settings.candidates,
        *settings.embeddings,
    ]
    return {m.provider for m in models} | {r.provider for m in models for r in m.replicas}


def _is_credential(header: str) -> bool:
    return header.lower() in ("authorization", "api-key", "x-api-key", "x-goog-api-key")


def _is_public(host: str) -> bool:
    """Whether a host is beyond this machine and its network, as far as its name tells."""
    if is_loopback(host) or "." not in host or host.endswith((".local", ".internal", ".svc")):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return not host.endswith(".cluster.local")


UPSTREAMS: tuple[Rule, ...] = (wrong_path, wrong_api, no_key, key_in_clear, unused, cut_waits)
