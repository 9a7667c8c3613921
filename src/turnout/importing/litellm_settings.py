"""The rest of a LiteLLM config: retries, timeouts, aliases, the master key, the cache, limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from turnout.importing.litellm_providers import Endpoints
from turnout.importing.notes import Notes, number, variable_of

MASTER_KEY = "LITELLM_MASTER_KEY"
_WINDOWS = {
    "1h": "hour", "24h": "day", "1d": "day", "7d": "week", "1w": "week", "30d": "month",
    "1mo": "month", "1m": "month",
}  # fmt: skip
_CACHE_S = 600.0

_WHY = {
    "fallbacks": "a model that is asked for by its name has no other; what a route chooses has "
    "`resilience.spares` behind it, best predicted quality first",
    "default_fallbacks": "what a route chooses has `resilience.spares` behind it",
    "context_window_fallbacks": "what is too long for a model is not sent to it, or goes to one that it "
    "fits, by itself",
    "content_policy_fallbacks": "a refusal is an answer, and is passed on",
    "enable_pre_call_checks": "not needed: what is too long for a model is never sent to it",
    "enable_pre_call_check": "not needed: what is too long for a model is never sent to it",
    "routing_strategy": "each request goes to the less loaded of two replicas; between models, routers "
    "decide",
    "redis_host": "to count for several processes, give `counters: {redis_url_env: REDIS_URL}`",
    "redis_port": "see redis_host",
    "redis_password": "see redis_host",
    "redis_db": "see redis_host",
    "drop_params": "fields go up as the client wrote them; translations leave out what cannot be said",
    "modify_params": "requests are not changed",
    "set_verbose": "see `log.level`",
    "callbacks": "Prometheus reads /metrics, and OpenTelemetry is `otel: {traces: true}`",
    "success_callback": "Prometheus reads /metrics, and OpenTelemetry is `otel: {traces: true}`",
    "failure_callback": "Prometheus reads /metrics, and OpenTelemetry is `otel: {traces: true}`",
    "service_callbacks": "Prometheus reads /metrics, and OpenTelemetry is `otel: {traces: true}`",
    "turn_off_message_logging": "not needed: prompts and answers are never logged",
    "store_model_in_db": "models stand in the settings alone",
    "alerting": "alert on /metrics",
    "database_connection_pool_limit": "nothing here does this",
}
_ELSE = "nothing here does this"

Reader: TypeAlias = Callable[[dict[str, Any], Any, str, Endpoints], bool]
"""Puts a value into the settings; False where it has no counterpart."""


def timeouts_of(config: Mapping[str, Any]) -> dict[str, float]:
    """How long to wait, of deployments that say nothing of it: the router's word goes first."""
    router, litellm = _section(config, "router_settings"), _section(config, "litellm_settings")
    found = {}
    whole = number(router, "timeout") or number(litellm, "request_timeout")
    first = number(router, "stream_timeout")
    if whole:
        found["timeout_s"] = whole
    if first:
        found["first_byte_timeout_s"] = first
    return found


def read_rest(config: Mapping[str, Any], settings: dict[str, Any], endpoints: Endpoints) -> None:
    """Put all but `model_list` into the settings, and note what has no counterpart."""
    notes = endpoints.notes
    for section in ("litellm_settings", "router_settings", "general_settings"):
        for key, value in _section(config, section).items():
            where = f"{section}.{key}"
            reader = _READERS.get(key)
            if reader is None or not reader(settings, value, where, endpoints):
                notes.leave(where, _WHY.get(key, _ELSE), value)
    variables = _section(config, "environment_variables")
    for name, value in variables.items():
        if variable_of(value) is None:
            notes.variables[str(name)] = "what environment_variables holds; it is not copied"
    known = {
        "model_list", "litellm_settings", "router_settings", "general_settings",
        "environment_variables", "credential_list",
    }  # fmt: skip
    for key in config:
        if key not in known:
            notes.leave(str(key), _ELSE)
    _spares(config, settings, notes)


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def credentials_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """`credential_list` by name."""
    listed = config.get("credential_list")
    return {
        str(one.get("credential_name")): one.get("credential_values")
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict)
    }


def _spares(config: Mapping[str, Any], settings: dict[str, Any], notes: Notes) -> None:
    """As many spares as the longest list of fallbacks: those of what a route chooses."""
    longest = 0
    for section in ("router_settings", "litellm_settings"):
        given = _section(config, section).get("fallbacks")
        for one in given if isinstance(given, list) else []:
            lists = one.values() if isinstance(one, dict) else ()
            longest = max([longest, *(len(names) for names in lists if isinstance(names, list))])
    if longest:
        settings.setdefault("resilience", {})["spares"] = longest
        notes.change("fallbacks", f"resilience.spares is {longest}, the length of the longest")


def _retries(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return False
    if value > 10:
        endpoints.notes.change(where, "is 10, the most there is")
    settings.setdefault("resilience", {})["retries"] = min(value, 10)
    return True


def _waits(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:  # noqa: ARG001
    """Read by `timeouts_of`."""
    return number({"s": value}, "s") is not None


def _fails(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return False
    settings.setdefault("resilience", {})["breaker_failures"] = value + 1
    endpoints.notes.change(where, f"breaker_failures is {value + 1}: in a row, not in a minute")
    return True


def _fallbacks(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:  # noqa: ARG001
    """None is carried over; each is named, so that it can be seen what no longer stands in."""
    key = where.partition(".")[2]
    for one in value if isinstance(value, list) else [value]:
        for model, others in one.items() if isinstance(one, dict) else [("any model", [one])]:
            named = ", ".join(map(str, others)) if isinstance(others, list) else str(others)
            endpoints.notes.leave(f"{where}: {model} to {named}", _WHY[key])
    return True


def _cooldown(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:  # noqa: ARG001
    seconds = number({"s": value}, "s")
    if not seconds or seconds < 0:
        return False
    settings.setdefault("resilience", {})["breaker_open_s"] = seconds
    return True


def _aliases(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:
    """Each alias is a route that can choose one candidate alone."""
    if not isinstance(value, dict):
        return False
    names = [c["name"] for c in settings.get("candidates", [])]
    for alias, meant in value.items():
        target = meant.get("model") if isinstance(meant, dict) else meant
        place = f"{where}.{alias}"
        if target not in names:
            endpoints.notes.leave(place, f"{target} is not carried over")
        elif alias in names:
            endpoints.notes.leave(place, "a candidate has this name")
        else:
            settings.setdefault("routes", {})[str(alias)] = {"allow": [target]}
            endpoints.notes.change(place, f"is a route that only {target} serves")
            if isinstance(meant, dict) and meant.get("hidden"):
                endpoints.notes.leave(f"{place}.hidden", "every route is listed in /v1/models")
    return True


def _master_key(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:
    if not isinstance(value, str) or not value:
        return False
    name = variable_of(value) or endpoints.instead(value, MASTER_KEY, where)
    endpoints.notes.variables[name] = "the master key, of 20 characters or more"
    settings["keys"] = [{"name": "master", "key_env": name, "role": "admin"}]
    endpoints.notes.change(where, "is key `master`, of an admin; make others with `turnout keys`")
    return True


def _database(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:  # noqa: ARG001
    settings["store"] = {"path": "turnout.db"}
    endpoints.notes.leave(
        where,
        "keys, teams and spend in it stay there: make keys with `turnout keys create`; records go to "
        "turnout.db, or name a PostgreSQL database of its own by store.url_env",
    )
    return True


def _cache(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:  # noqa: ARG001
    if value is True:
        settings.setdefault("cache", {}).setdefault("ttl_s", _CACHE_S)
    return isinstance(value, bool)


def _cache_params(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:
    if not isinstance(value, dict):
        return False
    notes, kind = endpoints.notes, str(value.get("type", "local"))
    ttl = number(value, "ttl")
    if "cache" in settings:
        settings["cache"]["ttl_s"] = ttl if ttl and ttl > 0 else _CACHE_S
        if "semantic" in kind:
            settings["cache"]["semantic"] = {}
            notes.change(
                f"{where}.type",
                "is cache.semantic, in the memory of each process: an answer by meaning is given where a "
                "client's own traffic has shown that few enough are wrong, not from a likeness on",
            )
        elif kind != "local":
            notes.change(f"{where}.type", "answers are kept in the memory of each process")
    for key in value:
        if key not in ("type", "ttl"):
            notes.leave(f"{where}.{key}", "see the guide of the cache")
    return True


def _concurrent(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:  # noqa: ARG001
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return False
    settings.setdefault("limits", {})["concurrent"] = value
    return True


def _budget(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:  # noqa: ARG001
    usd = number({"usd": value}, "usd")
    if not usd or usd < 0:
        return False
    settings.setdefault("limits", {}).setdefault("budgets_usd", {})["total"] = usd
    return True


def _duration(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:
    """The window of `max_budget`, which stands before it or behind it."""
    settings["_window"] = _WINDOWS.get(str(value), "")
    if not settings["_window"]:
        endpoints.notes.leave(where, f"windows here are {', '.join(sorted({*_WINDOWS.values()}))}")
    return True


def _body(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:  # noqa: ARG001
    megabytes = number({"mb": value}, "mb")
    if not megabytes or megabytes < 0:
        return False
    settings["max_body_bytes"] = int(megabytes * 2**20)
    return True


def _json_logs(settings: dict[str, Any], value: Any, where: str, endpoints: Endpoints) -> bool:  # noqa: ARG001
    if value is True:
        settings["log"] = {"format": "json"}
    return isinstance(value, bool)


def finish_budget(settings: dict[str, Any], notes: Notes) -> None:
    """Put the budget of all requests into its window."""
    window = settings.pop("_window", "total")
    budgets = settings.get("limits", {}).get("budgets_usd")
    if budgets and window and window != "total":
        settings["limits"]["budgets_usd"] = {window: budgets["total"]}
        notes.change("litellm_settings.max_budget", f"is counted by the {window}, in UTC")
    if budgets:
        settings.setdefault("store", {"path": "turnout.db"})


_READERS: Mapping[str, Reader] = {
    "num_retries": _retries,
    "timeout": _waits,
    "stream_timeout": _waits,
    "request_timeout": _waits,
    "allowed_fails": _fails,
    "cooldown_time": _cooldown,
    "fallbacks": _fallbacks,
    "default_fallbacks": _fallbacks,
    "context_window_fallbacks": _fallbacks,
    "content_policy_fallbacks": _fallbacks,
    "model_group_alias": _aliases,
    "master_key": _master_key,
    "database_url": _database,
    "cache": _cache,
    "cache_params": _cache_params,
    "global_max_parallel_requests": _concurrent,
    "max_budget": _budget,
    "budget_duration": _duration,
    "max_request_size_mb": _body,
    "json_logs": _json_logs,
}
