"""LiteLLM's `model_list`: deployments of one name become a candidate and its replicas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnout.importing.litellm_clouds import CLOUDS, cloud_parameters
from turnout.importing.litellm_prices import (
    KNOWN_INFO,
    capabilities_of,
    is_price,
    price_of,
    window_of,
)
from turnout.importing.litellm_providers import KINDS, Endpoints, kind_and_model
from turnout.importing.notes import Notes, number
from turnout.names import plain_model
from turnout.pricing import list_price
from turnout.settings import AUTO
from turnout.types import EFFORTS, PICO

_READ = frozenset({
    "model", "api_key", "api_base", "base_url", "api_version", "organization", "timeout",
    "stream_timeout", "extra_headers", "headers", "custom_llm_provider", "max_tokens",
    "max_completion_tokens", "reasoning_effort", "litellm_credential_name",
})  # fmt: skip
"""What of `litellm_params` is read, prices beside."""
_RATE = (
    "there it is a replica's weight by default, and here each request goes to the less loaded of two; "
    "limits are of callers (`limits`, `teams`, `keys`), not of endpoints"
)
_WHY = {
    "rpm": _RATE,
    "tpm": _RATE,
    "max_parallel_requests": "limits here are of callers (`limits.concurrent`), not of endpoints",
    "weight": "each request goes to the less loaded of two replicas",
    "order": "each request goes to the less loaded of two replicas",
    "num_retries": "one number holds for all: resilience.retries",
    "max_retries": "one number holds for all: resilience.retries",
    "drop_params": "fields go up as the client wrote them; translations leave out what cannot be said",
}
_ELSE = "nothing here does this"
_MODES = frozenset({"chat", "embedding", "responses", None})


@dataclass(slots=True)
class Deployment:
    """One entry of `model_list`, as far as it can be called from here."""

    where: str
    group: str
    provider: str
    model: str
    base: str
    """What it is the same model by: the base model, or its own plain name; empty: not known."""
    embeds: bool
    own: bool
    fields: dict[str, Any] = field(default_factory=dict)
    """Settings of a candidate, beside name, model and provider."""


def read_deployments(
    given: Sequence[Any], endpoints: Endpoints, credentials: Mapping[str, Any], notes: Notes
) -> list[Deployment]:
    """The deployments of `model_list` that can be called; the others are noted."""
    found = []
    for i, entry in enumerate(given):
        where = f"model_list[{i}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("litellm_params"), dict):
            notes.leave(where, "it has no litellm_params")
            continue
        named = f"{where} {entry.get('model_name', '')}".strip()
        deployment = _read(entry, named, credentials, endpoints, notes)
        if deployment is not None:
            found.append(deployment)
    return found


def _read(
    entry: Mapping[str, Any],
    where: str,
    credentials: Mapping[str, Any],
    endpoints: Endpoints,
    notes: Notes,
) -> Deployment | None:
    params, info = dict(entry["litellm_params"]), entry.get("model_info")
    info = info if isinstance(info, dict) else {}
    named = credentials.get(str(params.get("litellm_credential_name")))
    if isinstance(named, dict):
        params = {**named, **params}
    group = str(entry.get("model_name") or params.get("model") or "")
    kind, model = kind_and_model(params)
    why = _barred(group, kind, model, info)
    if why:
        notes.leave(where, why)
        return None
    api = "responses" if model.startswith("responses/") or info.get("mode") == "responses" else ""
    embeds = info.get("mode") == "embedding" or (info.get("mode") is None and "embed" in model)
    if kind in CLOUDS and embeds:
        notes.leave(where, f"embedding models of {kind} are not called from here")
        return None
    if kind in CLOUDS:
        provider = endpoints.cloud_of(kind, params, where)
    else:
        provider = endpoints.name_of(kind, params, where, api=api if kind != "anthropic" else "")
    if not provider:
        return None
    known_by = model.removeprefix("responses/")
    model = f"{kind}/{model}" if kind in CLOUDS else known_by
    if kind == "gemini":
        notes.change(f"{where}: gemini", "is called by Google's layer for OpenAI's API")
    elif kind in ("ollama", "ollama_chat"):
        notes.change(f"{where}: {kind}", "is called by Ollama's layer for OpenAI's API")
    base = str(info.get("base_model") or "")
    made = Deployment(
        where=where,
        group=group,
        provider=provider,
        model=model,
        base=plain_model(base) if base else "" if kind == "azure" else plain_model(known_by),
        embeds=embeds,
        own=kind in KINDS and KINDS[kind].own,
    )
    own = cloud_parameters(kind)
    _fill(made, {k: v for k, v in params.items() if k not in own}, info, base, notes)
    for key in entry:
        if key not in ("model_name", "litellm_params", "model_info"):
            notes.leave(f"{where}: {key}", _WHY.get(key, _ELSE), entry[key])
    return made


def _barred(group: str, kind: str, model: str, info: Mapping[str, Any]) -> str:
    """Why a deployment cannot be called from here; empty where it can."""
    if "*" in group or "*" in model:
        return "there are no wildcards; name each model"
    if info.get("mode") not in _MODES:
        return f"mode {info['mode']} is not served here"
    if not model:
        return "it names no model"
    if kind not in KINDS and kind not in CLOUDS:
        called = f"provider {kind}" if kind else "its provider, which the name does not tell,"
        return (
            f"{called} has no API that a URL and a key lead to; where it has a layer for OpenAI's API, "
            "name that as `openai/…` with its api_base"
        )
    return ""


def _fill(
    made: Deployment, params: Mapping[str, Any], info: Mapping[str, Any], base: str, notes: Notes
) -> None:
    where = made.where
    price = price_of({**info, **params}, where, notes)
    if price:
        made.fields["price"] = price
    made.fields |= window_of(info)
    able = capabilities_of(info)
    if able is not None:
        made.fields["capabilities"] = able
    if base and plain_model(base) != plain_model(made.model):
        made.fields["known_as"] = base.rpartition("/")[2]
        if not price and list_price(made.model) is None and list_price(made.group) is None:
            _price_by_list(made, base, notes)
    most = number(params, "max_completion_tokens") or number(params, "max_tokens")
    if most and most >= 1:
        made.fields["arm_output_tokens"] = int(most)
    effort = params.get("reasoning_effort")
    if effort in EFFORTS:
        made.fields["effort"] = effort
    elif effort is not None:
        notes.leave(f"{where}: reasoning_effort", f"known here: {', '.join(EFFORTS)}")
    _leave_rest(made, params, info, notes)


def _leave_rest(
    made: Deployment, params: Mapping[str, Any], info: Mapping[str, Any], notes: Notes
) -> None:
    where = made.where
    for key in params:
        if key not in _READ and not is_price(key):
            notes.leave(f"{where}: {key}", _WHY.get(key, _ELSE), params[key])
    for key in info:
        if key not in KNOWN_INFO and not is_price(key):
            notes.leave(f"{where}: model_info.{key}", _ELSE, info[key])


def _price_by_list(made: Deployment, base: str, notes: Notes) -> None:
    listed = list_price(base)
    if listed is None:
        return
    rates = (listed.input_picousd, listed.output_picousd, listed.cache_read_picousd)
    names = ("input_usd", "output_usd", "cache_read_usd")
    made.fields["price"] = {
        name: rate * 1e6 / PICO for name, rate in zip(names, rates, strict=True) if rate is not None
    }
    notes.change(f"{made.where}: its price", f"is today's list price of {base}")


def candidates_of(deployments: Sequence[Deployment], notes: Notes) -> list[dict[str, Any]]:
    """Candidates, each with its replicas, in the order of the source."""
    return _grouped([d for d in deployments if not d.embeds], notes)


def embeddings_of(deployments: Sequence[Deployment], notes: Notes) -> list[dict[str, Any]]:
    """Models that embed, each with its replicas."""
    found = _grouped([d for d in deployments if d.embeds], notes)
    for model in found:
        for key in [
            k for k in model if k not in ("name", "model", "provider", "price", "replicas")
        ]:
            del model[key]
        if "price" in model:
            model["price"] = {"input_usd": model["price"]["input_usd"]}
    return found


def _grouped(deployments: Sequence[Deployment], notes: Notes) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    first: dict[str, Deployment] = {}
    for made in deployments:
        name = _free_name(made, notes)
        known = first.get(name)
        if known is not None and not _same(known, made):
            name = _apart(name, made, notes)
            known = first.get(name)
        if known is None:
            first[name] = made
            found[name] = _candidate(name, made)
        else:
            _add_replica(found[name], made, notes)
    return list(found.values())


def _same(one: Deployment, other: Deployment) -> bool:
    """Whether two deployments of a group can be one model: a router takes them for the same."""
    return one.base == other.base or not one.base or not other.base


def _apart(name: str, made: Deployment, notes: Notes) -> str:
    own = f"{name}-{made.base}"
    notes.change(
        made.where,
        f"is candidate {own} of its own: replicas must be of one model, and this one is not that of "
        f"{name}; what is asked for as {name} no longer goes to it",
    )
    return own


def _free_name(made: Deployment, notes: Notes) -> str:
    if made.group != AUTO and not made.group.startswith("router-"):
        return made.group
    notes.change(made.where, f"is called model-{made.group}: here that name asks for a route")
    return f"model-{made.group}"


def _candidate(name: str, made: Deployment) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if made.model != name:
        found["model"] = made.model
    return {
        **found,
        "provider": made.provider,
        **made.fields,
        **({"_own": True} if made.own else {}),
    }


def _add_replica(candidate: dict[str, Any], made: Deployment, notes: Notes) -> None:
    model = candidate.get("model", candidate["name"])
    replica = {"provider": made.provider}
    if made.model != model:
        replica["model"] = made.model
    places = [{"provider": candidate["provider"]}, *candidate.get("replicas", [])]
    if replica in places:
        notes.leave(made.where, "the same endpoint and model stand there already")
        return
    for key, value in made.fields.items():
        if candidate.get(key) != value:
            notes.leave(
                f"{made.where}: its {key}", f"that of {candidate['name']} holds for replicas"
            )
    candidate.setdefault("replicas", []).append(replica)
