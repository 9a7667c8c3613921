"""What follows from the settings given: defaults, names that are known, keys that are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from turnout.errors import SettingsError, suggest
from turnout.settings.access_resolving import (
    check_access,
    resolved_keys,
    with_redis_url,
)
from turnout.settings.conversations import ConversationSettings
from turnout.settings.hosts import REMEDY, host_of, is_metadata_host
from turnout.settings.problems import Hidden, Say, stop, text_in_file, unset
from turnout.settings.tree import (
    AUTO,
    RouterSettings,
    Settings,
    StoreSettings,
)
from turnout.settings.upstreams import EncoderSettings, Keyed

_ROUTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,199}\Z", re.ASCII)
_POSTGRES = re.compile(r"postgres(ql)?://\S+\Z", re.IGNORECASE)
_ROUTER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z", re.ASCII)


def with_defaults(settings: Settings) -> Settings:
    """What follows from the rest: the only provider, and the strongest model."""
    only = next(iter(settings.providers)) if len(settings.providers) == 1 else None
    candidates = tuple(
        c if c.provider else c.model_copy(update={"provider": only}) for c in settings.candidates
    )
    embeddings = tuple(
        e if e.provider else e.model_copy(update={"provider": only}) for e in settings.embeddings
    )
    return settings.model_copy(
        update={
            "candidates": candidates,
            "embeddings": embeddings,
            "default": settings.default or candidates[0].name,
        }
    )


def check_names(settings: Settings, say: Say = stop) -> None:
    """Names must be free, unique and known; `say` is told of those that are not."""
    names = [c.name for c in settings.candidates]
    for i, candidate in enumerate(settings.candidates):
        field = f"candidates[{i}]"
        if candidate.name == AUTO or candidate.name.startswith("router-"):
            remedy = "this name asks for a route; choose another"
            say(SettingsError(f"{field}.name", candidate.name, remedy))
        if candidate.name in names[:i]:
            say(SettingsError(f"{field}.name", candidate.name, "give each candidate its own name"))
        _check_provider(f"{field}.provider", candidate.provider, settings, say)
        for j, replica in enumerate(candidate.replicas):
            _check_provider(f"{field}.replicas[{j}].provider", replica.provider, settings, say)
    _check_embeddings(settings, names, say)
    _check_hosts(settings, say)
    if settings.dashboard and settings.store is None:
        say(SettingsError("dashboard", True, "give a store: the dashboard shows its records"))
    if settings.default not in names:
        remedy = (
            f"name one of the candidates: {', '.join(names)}.{suggest(settings.default, names)}"
        )
        say(SettingsError("default", settings.default, remedy))
    for name in settings.routers:
        if not _ROUTER_NAME.match(name):
            say(SettingsError(f"routers.{name}", name, "use letters, digits, - and _"))
    _check_routes(settings, names, say)
    check_encoder_names(settings.encoders, say)
    check_access(settings.keys, settings.teams, say)


def _check_embeddings(settings: Settings, taken: list[str], say: Say) -> None:
    """Names of their own, over providers that can embed."""
    taken = list(taken)
    for i, model in enumerate(settings.embeddings):
        field = f"embeddings[{i}]"
        if model.name in taken or model.name == AUTO or model.name.startswith("router-"):
            remedy = "give it a name that no candidate, route or other embedding model has"
            say(SettingsError(f"{field}.name", model.name, remedy))
        taken.append(model.name)
        used = [(f"{field}.provider", model.provider)]
        used += [
            (f"{field}.replicas[{j}].provider", r.provider) for j, r in enumerate(model.replicas)
        ]
        for where, name in used:
            known = _check_provider(where, name, settings, say)
            if known and settings.providers[str(name)].kind == "litellm":
                say(SettingsError(where, name, "kind litellm makes no embeddings; name another"))
            if known and settings.providers[str(name)].api == "messages":
                remedy = "Anthropic's API makes no embeddings; name a provider with another `api`"
                say(SettingsError(where, name, remedy))


def _check_routes(settings: Settings, names: Sequence[str], say: Say) -> None:
    for section, given in (("routes", settings.routes), ("experiments", settings.experiments)):
        for name in given:
            _check_route_name(f"{section}.{name}", name, names, say)
    for name, route in settings.routes.items():
        if name in settings.experiments:
            remedy = "a route has this name; choose another"
            say(SettingsError(f"experiments.{name}", name, remedy))
        if route.serves and route.serves not in names:
            remedy = f"name a candidate: {', '.join(names)}.{suggest(route.serves, names)}"
            say(SettingsError(f"routes.{name}.serves", route.serves, remedy))


def _check_route_name(field: str, name: str, candidates: Sequence[str], say: Say) -> None:
    if not _ROUTE_NAME.match(name) or name == AUTO or name.startswith("router-"):
        remedy = "use letters, digits, . : / - and _, and neither auto nor a name in router-"
        say(SettingsError(field, name, remedy))
    if name in candidates:
        say(SettingsError(field, name, "a candidate has this name; choose another"))


def check_encoder_names(names: Iterable[str], say: Say = stop) -> None:
    """Say where a name of the `encoders` section is no plain word, or a built-in encoder's."""
    for name in names:
        if not _ROUTER_NAME.match(name) or re.match(r"(static|hashing)-\d+\Z", name):
            remedy = "use letters, digits, - and _, and none of the names of built-in encoders"
            say(SettingsError(f"encoders.{name}", name, remedy))


def _check_hosts(settings: Settings, say: Say) -> None:
    remedy = f"{REMEDY}; where a model is really served there, set allow_link_local"
    for name, provider in settings.providers.items():
        if not provider.allow_link_local:
            _check_host(f"providers.{name}", provider.base_url or "", say, remedy)


def _check_host(field: str, base_url: str, say: Say, remedy: str = REMEDY) -> None:
    if is_metadata_host(host := host_of(base_url)):
        say(SettingsError(f"{field}.base_url", host, remedy))


def _check_provider(field: str, name: str | None, settings: Settings, say: Say) -> bool:
    """Whether there is a provider of that name; what is not is said."""
    if name in settings.providers:
        return True
    known = ", ".join(settings.providers)
    say(
        SettingsError(field, name, f"name one of: {known}.{suggest(str(name), settings.providers)}")
    )
    return False


def resolved(
    settings: Settings, environ: Mapping[str, str], folder: Path, say: Say = stop
) -> Settings:
    """Keys read, and relative paths started at the file's folder.

    Args:
        settings: as they were given.
        environ: for what is read from the environment.
        folder: of the settings' file.
        say: told of what cannot be read; it is then left out.
    """
    providers = {
        name: provider.model_copy(
            update={"api_key": _key(f"providers.{name}", provider, environ, folder, say)}
        )
        for name, provider in settings.providers.items()
    }
    for name, provider in settings.providers.items():
        for i, variable in enumerate(provider.env):
            if variable not in environ:
                say(unset(f"providers.{name}.env[{i}]", variable))
    learn = settings.learn
    if learn is not None and learn.keep is not None:
        learn = learn.model_copy(update={"keep": folder / learn.keep})
    return settings.model_copy(
        update={
            "learn": learn,
            "providers": providers,
            "conversations": _conversations(settings.conversations, environ, folder, say),
            "counters": None
            if settings.counters is None
            else with_redis_url("counters", settings.counters, environ, folder, say),
            "keys": resolved_keys(settings.keys, environ, folder, say),
            "encoders": resolved_encoders(settings.encoders, environ, folder, say),
            "routers": {n: _router(r, folder) for n, r in settings.routers.items()},
            "store": settings.store and _store(settings.store, environ, folder, say),
        }
    )


def _conversations(
    given: ConversationSettings, environ: Mapping[str, str], folder: Path, say: Say
) -> ConversationSettings:
    """With the URL of their own Redis read, where they have one."""
    if given.redis_url is None and given.redis_url_env is None and given.redis_url_file is None:
        return given
    return with_redis_url("conversations", given, environ, folder, say) or given


def resolved_encoders(
    encoders: Mapping[str, EncoderSettings],
    environ: Mapping[str, str],
    folder: Path,
    say: Say = stop,
) -> dict[str, EncoderSettings]:
    """Encoders with their keys read, and relative paths started at the file's folder."""
    for name, encoder in encoders.items():
        _check_host(f"encoders.{name}", encoder.base_url or "", say)
    return {
        name: encoder.model_copy(
            update={
                "api_key": _key(f"encoders.{name}", encoder, environ, folder, say),
                "cache_file": None if encoder.cache_file is None else folder / encoder.cache_file,
                "onnx": None if encoder.onnx is None else folder / encoder.onnx,
            }
        )
        for name, encoder in encoders.items()
    }


def _key(
    field: str, given: Keyed, environ: Mapping[str, str], folder: Path, say: Say
) -> SecretStr | None:
    try:
        return _read_key(field, given, environ, folder)
    except SettingsError as error:
        say(error)
        return None


def _read_key(
    field: str, given: Keyed, environ: Mapping[str, str], folder: Path
) -> SecretStr | None:
    if given.api_key_env is not None:
        if not environ.get(given.api_key_env):
            raise unset(f"{field}.api_key_env", given.api_key_env)
        return _header_safe(f"{field}.api_key_env", environ[given.api_key_env])
    if given.api_key_file is not None:
        field = f"{field}.api_key_file"
        return _header_safe(field, text_in_file(field, folder / given.api_key_file, "key"))
    if given.api_key is None:
        return None
    return _header_safe(f"{field}.api_key", given.api_key.get_secret_value())


def _store(
    given: StoreSettings, environ: Mapping[str, str], folder: Path, say: Say
) -> StoreSettings | None:
    """With its URL read, which must be PostgreSQL's; None where it is not."""
    url, field = given.url, "store.url"
    if given.url_env is not None:
        url, field = SecretStr(environ.get(given.url_env, "")), "store.url_env"
    elif given.url_file is not None:
        field = "store.url_file"
        try:
            url = SecretStr(text_in_file(field, folder / given.url_file, "URL"))
        except SettingsError as error:
            say(error)
            return None
    if url is not None and not _POSTGRES.match(url.get_secret_value()):
        say(SettingsError(field, Hidden(), "give a URL such as postgresql://user@host/database"))
        return None
    return given.model_copy(
        update={
            "url": url,
            "path": None if given.path is None else folder / given.path,
            "journal": folder / given.journal_folder,
        }
    )


def _header_safe(field: str, key: str) -> SecretStr:
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise SettingsError(field, Hidden(), "give a key of printable ASCII characters")
    return SecretStr(key)


def _router(router: RouterSettings, folder: Path) -> RouterSettings:
    extra = dict(router.options)
    if isinstance(extra.get("file"), str):
        extra["file"] = str(folder / extra["file"])
    artifact = None if router.artifact is None else folder / router.artifact
    certificate = None if router.certificate is None else folder / router.certificate
    return RouterSettings(
        artifact=artifact, certificate=certificate, fallback=router.fallback, **extra
    )
