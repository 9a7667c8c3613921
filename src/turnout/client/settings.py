"""What the arguments of `Controller` mean: candidates, where each is served, and routers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from turnout.artifacts.certificates import certificates_of
from turnout.artifacts.opening import open_router
from turnout.calibration.certificate import Certificate
from turnout.errors import SettingsError, suggest
from turnout.names import RouteSpec, parse_route
from turnout.pricing import with_list_values
from turnout.routers.base import Router
from turnout.types import CAPABILITIES, EFFORTS, Candidate, Pool, Price

MODEL_KEYS = (
    "base_url",
    "api_key",
    "headers",
    "model",
    "price",
    "known_as",
    "context_tokens",
    "max_output_tokens",
    "capabilities",
    "effort",
    "arm_output_tokens",
)
"""What an entry of `models=` may say."""

_WHERE_KEYS = ("base_url", "api_key", "headers")
"""Those that a ready pool does not say itself."""

_ROUTELLM_KEYS = (
    "checkpoint_path",
    "arena_battle_datasets",
    "arena_embedding_datasets",
    "strong_model",
    "weak_model",
    "hidden_size",
    "num_models",
    "text_dim",
    "num_classes",
    "num_tiers",
    "num_labels",
    "model_type",
    "model_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where a model is served, and the key that goes there."""

    base_url: str | None = None
    """None is the SDK's own: `OPENAI_BASE_URL`, else OpenAI."""
    api_key: str | None = field(default=None, repr=False)
    """None is the SDK's own, `OPENAI_API_KEY`, unless the model has a `base_url` of its own."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    own_url: bool = False
    """Whether `base_url` was given for this model alone. Keys given for elsewhere stay away."""


def read_pool(
    strong_model: str | None,
    weak_model: str | None,
    models: Mapping[str, Mapping[str, Any]],
    pool: Pool | None,
) -> Pool:
    """The candidates, from a ready pool, a strong and a weak name, or the order of `models`.

    Raises:
        SettingsError: none of these is given, two are, or an entry of `models` cannot be read.
    """
    pair = [name for name in (strong_model, weak_model) if name is not None]
    if pool is not None:
        if pair:
            raise SettingsError("strong_model, weak_model", pair, "leave them out beside pool=")
        _check_names(models, pool.names)
        for name, entry in models.items():
            for key in entry.keys() - set(_WHERE_KEYS):
                remedy = f"beside pool= give only {', '.join(_WHERE_KEYS)}: the rest is in the pool"
                raise SettingsError(f"models[{name!r}]", key, remedy)
        return pool
    if len(pair) == 1 or (not pair and not models):
        remedy = "give strong_model and weak_model, or models= (strongest first), or pool="
        raise SettingsError("strong_model, weak_model", (strong_model, weak_model), remedy)
    names = tuple(pair or models)
    if pair and strong_model == weak_model:
        remedy = "give two different models (models= can send two names to one upstream model)"
        raise SettingsError("weak_model", weak_model, remedy)
    _check_names(models, names)
    candidates = tuple(_candidate(name, models.get(name, {})) for name in names)
    return Pool(candidates=candidates, default=names[0])


def read_upstreams(
    names: Iterable[str], models: Mapping[str, Mapping[str, Any]], shared: Upstream
) -> dict[str, Upstream]:
    """Where each candidate is served.

    A key goes only to the place it was given for: a model with a `base_url` of its own gets its
    own `api_key` or none, never the controller's and never `OPENAI_API_KEY`.
    """
    found = {}
    for name in names:
        entry = models.get(name, {})
        own_url = entry.get("base_url") is not None
        found[name] = Upstream(
            base_url=str(entry["base_url"]) if own_url else shared.base_url,
            api_key=entry.get("api_key") or (None if own_url else shared.api_key),
            headers=tuple(dict(entry.get("headers") or {}).items()),
            own_url=own_url,
        )
    return found


def open_routers(
    routers: Sequence[str] | Mapping[str, Router],
    config: Mapping[str, Mapping[str, Any]],
    encoders: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Router]:
    """Routers by name: opened where names are given, as they are where instances are.

    Entries of `config` for routers that are not opened are left alone: one file may serve many.
    `encoders` are those that entries of `config` name.

    Raises:
        SettingsError: no router, or options that mean nothing here.
        UnknownNameError, ArtifactError: as `open_router` says.
    """
    if isinstance(routers, str):
        raise SettingsError("routers", routers, f"give a list of names, such as [{routers!r}]")
    if not routers:
        raise SettingsError("routers", routers, "name at least one router, such as ['mf']")
    if isinstance(routers, Mapping):
        return dict(routers)
    given = {name: dict(config.get(name) or {}) for name in routers}
    if encoders or any(isinstance(entry.get("encoder"), str) for entry in given.values()):
        given = _with_encoders(given, encoders or {})
    return {name: _open(name, options) for name, options in given.items()}


def _with_encoders(
    given: Mapping[str, dict[str, Any]], encoders: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Each router's options with the encoder that they name opened."""
    from turnout.encoders.named import NamedEncoders
    from turnout.settings import read_encoders  # brings pydantic along

    named = NamedEncoders(read_encoders(encoders))
    return {name: named.in_options(name, options) for name, options in given.items()}


def read_fallbacks(
    routers: Mapping[str, Router], config: Mapping[str, Mapping[str, Any]]
) -> dict[str, RouteSpec]:
    """Router → the route that decides where it fails: `config={"causal_llm": {"fallback": …}}`.

    Raises:
        RouteNameError, UnknownNameError: one that is not a route over these routers.
    """
    return {
        name: parse_route(
            str(config[name]["fallback"]), routers=routers, field=f"config[{name!r}]['fallback']"
        )
        for name in routers
        if (config.get(name) or {}).get("fallback")
    }


def read_own_certificates(
    routers: Mapping[str, Router], config: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[Certificate, ...]]:
    """Router → its certificates: those of its artifact and of `config={"mf": {"certificate": …}}`.

    Raises:
        ArtifactError: a file that cannot be read, or a certificate that was changed.
    """
    return {
        name: certificates_of(options.get("artifact"), options.get("certificate"))
        for name in routers
        if (options := config.get(name) or {})
    }


def completed(pool: Pool) -> Pool:
    """The pool with list prices and context windows where none was given."""
    return replace(pool, candidates=tuple(with_list_values(c) for c in pool.candidates))


def require_prices(pool: Pool) -> None:
    """Check what choosing among three or more models needs.

    Raises:
        SettingsError: a candidate without a price.
    """
    for candidate in pool.candidates:
        if candidate.price is None:
            remedy = (
                "no list price is known, and among three or more models prices decide: give "
                f"models={{{candidate.name!r}: {{'price': (input, output)}}}} in USD per million "
                "tokens ((0, 0) for a model that costs nothing)"
            )
            raise SettingsError("models", candidate.name, remedy)


def _open(name: str, options: dict[str, Any]) -> Router:
    foreign = [key for key in _ROUTELLM_KEYS if key in options]
    if foreign:
        remedy = (
            "RouteLLM's checkpoints and datasets are not read here. Leave it out for the router "
            "that ships in the package, or give 'artifact': a folder made by `turnout train`. An mf "
            "checkpoint becomes an artifact of the router 'routellm_mf' by `turnout convert "
            "routellm-mf FILE --out DIR`"
        )
        raise SettingsError(f"config[{name!r}]", foreign[0], remedy)
    options.pop("fallback", None)
    options.pop("certificate", None)
    artifact = options.pop("artifact", None)
    return open_router(name, artifact=artifact, options=options or None)


def _check_names(models: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> None:
    for name, entry in models.items():
        if name not in names:
            remedy = f"models= describes the candidates, which are {', '.join(names)}"
            raise SettingsError("models", name, f"{remedy}.{suggest(name, names)}")
        unknown = [key for key in entry if key not in MODEL_KEYS]
        if unknown:
            remedy = f"known keys: {', '.join(MODEL_KEYS)}.{suggest(unknown[0], MODEL_KEYS)}"
            raise SettingsError(f"models[{name!r}]", unknown[0], remedy)


def _candidate(name: str, entry: Mapping[str, Any]) -> Candidate:
    able = entry.get("capabilities")
    for capability in [able] if isinstance(able, str) else able or ():
        if isinstance(able, str) or capability not in CAPABILITIES:
            remedy = f"give a list of: {', '.join(CAPABILITIES)}"
            raise SettingsError(f"capabilities of {name}", capability, remedy)
    effort, limit = entry.get("effort"), entry.get("arm_output_tokens")
    if effort is not None and effort not in EFFORTS:
        raise SettingsError(f"effort of {name}", effort, f"give one of: {', '.join(EFFORTS)}")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        remedy = "give a whole number of tokens above 0, or leave it out"
        raise SettingsError(f"arm_output_tokens of {name}", limit, remedy)
    return Candidate(
        name=name,
        upstream_model=entry.get("model") or "",
        price=_price(name, entry.get("price")),
        known_as=entry.get("known_as"),
        context_tokens=entry.get("context_tokens"),
        max_output_tokens=entry.get("max_output_tokens"),
        capabilities=None if able is None else frozenset(able),
        effort=effort,
        arm_output_tokens=limit,
    )


def _price(name: str, price: Any) -> Price | None:
    if price is None or isinstance(price, Price):
        return price
    remedy = "give (input, output) in USD per million tokens, such as (2.5, 10)"
    try:
        usd_in, usd_out = (float(usd) for usd in price)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"price of {name}", price, remedy) from error
    if not (0 <= usd_in < float("inf") and 0 <= usd_out < float("inf")):
        raise SettingsError(f"price of {name}", price, remedy)
    return Price.per_million(usd_in, usd_out)
