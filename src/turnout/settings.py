"""One tree of settings: a YAML file, `${ENV}` in its values, environment variables over it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from turnout.errors import SettingsError, suggest
from turnout.types import Capability, Effort

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Longest request body that is read: about the largest that OpenAI's own API takes with images."""

AUTO = "auto"
"""The model name that stands for the configured route."""

MINIMAL = """\
providers:
  openai: {base_url: https://api.openai.com/v1, api_key_env: OPENAI_API_KEY}
candidates:            # strongest first
  - {name: gpt-4.1, provider: openai}
  - {name: gpt-4.1-mini, provider: openai}
"""
"""The shortest file that serves; shown where none was given."""

_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_KEYS = frozenset({"api_key", "headers"})
_ROUTER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z", re.ASCII)
_URL = r"^https?://[^\s@/?#]+(/[^\s?#]*)?$"


class _Hidden:
    """Stands for a value that must not be shown."""

    def __repr__(self) -> str:
        return "the hidden value"


class _Tree(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Listen(_Tree):
    """Where the gateway listens."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535)


class _Keyed(_Tree):
    """What takes a key, given in one of three ways or not at all."""

    api_key: SecretStr | None = None
    api_key_env: str | None = None
    api_key_file: Path | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = [self.api_key, self.api_key_env, self.api_key_file]
        if sum(key is not None for key in given) > 1:
            raise ValueError("give one of api_key, api_key_env and api_key_file")
        return self


class ProviderSettings(_Keyed):
    """An endpoint that speaks one of three APIs."""

    base_url: str = Field(pattern=_URL)
    api: Literal["chat", "responses", "messages"] = "chat"
    """OpenAI's Chat Completions or Responses, or Anthropic's Messages. Requests in another are
    translated."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Longest wait for an answer that is no stream to begin; no other wait is longer."""
    connect_timeout_s: float = Field(default=2.0, gt=0)
    first_byte_timeout_s: float = Field(default=30.0, gt=0)
    """Longest wait for a stream to begin."""
    idle_timeout_s: float = Field(default=60.0, gt=0)
    """Longest wait between two pieces of an answer."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)


class EncoderSettings(_Keyed):
    """An encoder that routers use by name: behind an endpoint, or a folder on this machine."""

    base_url: str | None = Field(default=None, pattern=_URL)
    model: str | None = Field(default=None, min_length=1)
    dimension: int | None = Field(default=None, ge=1, le=65_536)
    """Stated, so that opening calls nothing and an answer of another length is refused."""
    timeout_s: float = Field(default=2.0, ge=0.001, le=600)
    """Longest wait of a decision for its vectors."""
    batch: int = Field(default=64, ge=1, le=2048)
    concurrency: int = Field(default=8, ge=1, le=256)
    cache: int = Field(default=10_000, ge=0, le=10_000_000)
    """Vectors kept in memory."""
    cache_file: Path | None = None
    onnx: Path | None = None
    """A folder made by `recipes/build_onnx_encoder.py`."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.base_url is None) == (self.onnx is None):
            raise ValueError("give base_url, model and dimension, or else onnx: a folder")
        if self.onnx is None and (self.model is None or self.dimension is None):
            raise ValueError("beside base_url give model and dimension, the length of its vectors")
        foreign = self.model_fields_set - {"onnx", "cache", "cache_file"}
        if self.onnx is not None and foreign:
            raise ValueError(
                f"beside onnx leave out {', '.join(sorted(foreign))}: nothing is called"
            )
        return self


class PriceSettings(_Tree):
    """USD per million tokens."""

    input_usd: float = Field(ge=0, allow_inf_nan=False)
    output_usd: float = Field(ge=0, allow_inf_nan=False)
    cache_read_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cache_write_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cache_write_1h_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class ReplicaSettings(_Tree):
    """Another endpoint that serves the same model."""

    provider: str
    model: str | None = None
    """The name that this provider knows it by; none: as the candidate's own."""


class CandidateSettings(_Tree):
    """A model that requests may be sent to."""

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
    model: str | None = None
    provider: str | None = None
    price: PriceSettings | None = None
    context_tokens: int | None = Field(default=None, gt=0)
    max_output_tokens: int | None = Field(default=None, gt=0)
    capabilities: tuple[Capability, ...] | None = None
    known_as: str | None = None
    effort: Effort | None = None
    """Reasoning effort to ask for; where none is given, the one in a name such as o3-mini@high."""
    arm_output_tokens: int | None = Field(default=None, gt=0)
    """Output limit to ask for (`max_completion_tokens`) unless the request sets one."""
    thinking: Literal["effort", "budget", "none"] = "effort"
    """How a translated request tells the model to reason: by an effort, by a budget of tokens (older
    Anthropic models), or not at all."""
    sampling: bool = True
    """Whether it takes temperature and top_p; many reasoning models refuse them."""
    replicas: tuple[ReplicaSettings, ...] = ()
    """Endpoints beside its own; each request goes to the less loaded of two."""


class ResilienceSettings(_Tree):
    """What happens when an upstream fails before its answer begins."""

    spares: int = Field(default=2, ge=0)
    """Other candidates that serve when the chosen one fails, best predicted quality first. A model
    that was asked for by its name has none."""
    retries: int = Field(default=2, ge=0, le=10)
    """Times that a request is tried again from the start when every target of it has failed."""
    retry_budget: float = Field(default=0.2, ge=0, le=1)
    """Further calls, fallbacks among them, as a share of the clients' requests."""
    breaker_failures: int = Field(default=5, ge=1)
    """Failures in a row that take a target out."""
    breaker_share: float = Field(default=0.5, gt=0, le=1)
    """Or this share of failures among ten calls and more of ten seconds."""
    breaker_open_s: float = Field(default=5.0, gt=0)
    """How long it is out at first, before one request may probe it."""


class StoreSettings(_Tree):
    """Where records of requests are kept: no prompt, no answer."""

    path: Path
    """An SQLite file; its journal is the folder of the same name with `.journal`."""
    sync: bool = False
    """Ask the disk to keep each record before its client sees the end of the answer."""


class RouterSettings(BaseModel):
    """How a router is opened: from an artifact, and with options of its own."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    artifact: Path | None = None
    certificate: Path | None = None
    """A file of certificates by `turnout calibrate --out`; those in the artifact's own folder are
    found without it."""
    fallback: str = ""
    """The route that decides where this router fails, such as `router-rules-0.5`; without one, the
    default candidate serves."""

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the router itself, such as `file` of `rules`."""
        return dict(self.model_extra or {})


class ExploreSettings(_Tree):
    """The share of requests that go elsewhere, so that something is learned of other models."""

    share: float = Field(gt=0, lt=1)
    how: Literal["uniform", "samples"] = "uniform"
    most_cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    seed: int | None = Field(default=None, ge=0)


class LearnSettings(_Tree):
    """Outcomes that `POST /v1/outcomes` brings are learned by the routers that can."""

    keep: Path | None = None
    """A folder for what they learned, one artifact a router; None keeps it in memory alone."""
    every_s: float = Field(default=60.0, ge=0.05, le=86_400)
    """Between two writes, where something was learned; and once more when the gateway ends."""


_NoneIsEmpty = BeforeValidator(lambda value: {} if value is None else value)
_Router = Annotated[RouterSettings, _NoneIsEmpty]


class Settings(_Tree):
    """Everything that a gateway is told."""

    listen: Annotated[Listen, _NoneIsEmpty] = Listen()
    providers: dict[str, ProviderSettings] = Field(min_length=1)
    candidates: tuple[CandidateSettings, ...] = Field(min_length=1)
    default: str = ""
    """The candidate that serves where a router fails; the first one where none is named."""
    routers: dict[str, _Router] = Field(
        default_factory=lambda: {"mf": RouterSettings(), "blend": RouterSettings()}, min_length=1
    )
    learn: Annotated[LearnSettings, _NoneIsEmpty] | None = None
    """None takes no outcomes."""
    encoders: Annotated[dict[str, EncoderSettings], _NoneIsEmpty] = Field(default_factory=dict)
    """By the name that a router's `encoder` option says."""
    auto: str = ""
    """The route that model `auto` means; where none is named, that of the last certificate, else
    `blend` (or the first router) at about half of the calls to the strong model."""
    explore: ExploreSettings | None = None
    """None never explores."""
    store: StoreSettings | None = None
    """None keeps no records."""
    resilience: Annotated[ResilienceSettings, _NoneIsEmpty] = ResilienceSettings()
    allow_passthrough: bool = True
    """Whether a candidate may be asked for by its own name."""
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, gt=0)


def load_settings(path: Path | str, environ: Mapping[str, str] | None = None) -> Settings:
    """Read a settings file; relative paths in it start at its folder.

    Args:
        path: a YAML file.
        environ: for `${NAME}`, `api_key_env`, `TURNOUT_HOST` and `TURNOUT_PORT`; default: the
            process environment.

    Raises:
        SettingsError: names the field, the value (never a secret) and the remedy.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError("config", str(path), f"give a readable YAML file: {why}") from None
    return parse_settings(text, environ, folder=path.parent)


def parse_settings(
    text: str, environ: Mapping[str, str] | None = None, *, folder: Path | None = None
) -> Settings:
    """Read settings from YAML text. See `load_settings`."""
    environ = os.environ if environ is None else environ
    raw = _read_yaml(text)
    for name, key in (("TURNOUT_HOST", "host"), ("TURNOUT_PORT", "port")):
        if name in environ:
            raw["listen"] = {**_mapping(raw, "listen"), key: environ[name]}
    try:
        settings = Settings.model_validate(_filled(raw, environ))
    except ValidationError as error:
        raise _settings_error(error, raw) from None
    settings = _with_defaults(settings)
    _check_names(settings)
    return _resolved(settings, environ, folder or Path())


class _EncodersAlone(_Tree):
    encoders: dict[str, EncoderSettings]


def read_encoders(
    given: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> dict[str, EncoderSettings]:
    """The `encoders` section alone, as values: what a file says below that word.

    Raises:
        SettingsError: names the field, the value (never a secret) and the remedy.
    """
    raw = {"encoders": dict(given)}
    try:
        found = _EncodersAlone.model_validate(raw).encoders
    except ValidationError as error:
        raise _settings_error(error, raw) from None
    _check_encoder_names(found)
    return _resolved_encoders(found, os.environ if environ is None else environ, Path())


class _Loader(yaml.SafeLoader):
    """`SafeLoader` that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                line = key.start_mark.line + 1
                raise SettingsError(key.value, f"line {line}", "this key is given twice; keep one")
            seen.add(getattr(key, "value", None) if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep=deep)


def _read_yaml(text: str) -> dict[str, Any]:
    try:
        raw = _Loader(text).get_single_data()
    except SettingsError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        raise SettingsError("config", where, f"write valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(
            "config", "the file", f"write valid YAML: {type(error).__name__}"
        ) from None
    if not isinstance(raw, dict):
        raise SettingsError("config", type(raw).__name__, f"write a mapping, such as\n{MINIMAL}")
    return raw


def _mapping(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    return dict(value) if isinstance(value, dict) else {}


def _filled(value: Any, environ: Mapping[str, str], at: str = "") -> Any:
    """The tree with every `${NAME}` in its strings replaced."""
    if isinstance(value, dict):
        return {k: _filled(v, environ, f"{at}.{k}" if at else str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, environ, f"{at}[{i}]") for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(found: re.Match[str]) -> str:
        name = found[1]
        if name not in environ:
            raise SettingsError(at, found[0], f"set the environment variable {name}")
        return environ[name]

    return _ENV.sub(variable, value)


def _settings_error(error: ValidationError, raw: Any) -> SettingsError:
    """One problem that pydantic found, in our words and without a secret.

    A key that does not exist goes first: it may be why another one is missing.
    """
    found = error.errors(include_input=False, include_url=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    loc = first["loc"]
    field = _path(loc)
    if first["type"] == "extra_forbidden":
        known = _known_keys(loc[:-1])
        hint = suggest(str(loc[-1]), known).strip()
        remedy = f"no such setting.{' ' + hint if hint else ''} Known here: {', '.join(known)}"
        return SettingsError(field or "config", loc[-1], remedy)
    if first["type"] == "missing":
        return SettingsError(field, _Missing(), f"give it; for example:\n{MINIMAL}")
    if loc[-1:] == ("base_url",):
        remedy = "give a URL such as https://api.openai.com/v1, without user, password or query"
        return SettingsError(field, _Hidden(), remedy)
    shown = _Hidden() if _SECRET_KEYS & set(loc) else _value_at(raw, loc)
    return SettingsError(field or "config", shown, first["msg"].removeprefix("Value error, "))


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


def _path(loc: tuple[int | str, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return "".join(steps).removeprefix(".")


def _value_at(raw: Any, loc: tuple[int | str, ...]) -> Any:
    """The value as the file has it (`${NAME}` unfilled); only plain values are shown."""
    for step in loc:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return _Hidden()
    return raw if isinstance(raw, str | int | float | None) else _Kind(type(raw).__name__)


class _Kind(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return {"dict": "a mapping", "list": "a list"}.get(str(self), f"a {self}")


def _known_keys(parent: tuple[int | str, ...]) -> list[str]:
    trees: dict[str, type[BaseModel]] = {
        "listen": Listen,
        "providers": ProviderSettings,
        "candidates": CandidateSettings,
        "explore": ExploreSettings,
        "resilience": ResilienceSettings,
        "store": StoreSettings,
        "encoders": EncoderSettings,
        "learn": LearnSettings,
    }
    tree = trees.get(str(parent[0]), Settings) if parent else Settings
    nested: dict[str, type[BaseModel]] = {"price": PriceSettings, "replicas": ReplicaSettings}
    deepest = next((nested[str(p)] for p in reversed(parent) if str(p) in nested), tree)
    return list(deepest.model_fields)


def _with_defaults(settings: Settings) -> Settings:
    """What follows from the rest: the only provider, and the strongest model."""
    only = next(iter(settings.providers)) if len(settings.providers) == 1 else None
    candidates = tuple(
        c if c.provider else c.model_copy(update={"provider": only}) for c in settings.candidates
    )
    return settings.model_copy(
        update={
            "candidates": candidates,
            "default": settings.default or candidates[0].name,
        }
    )


def _check_names(settings: Settings) -> None:
    """Names must be free, unique and known."""
    names = [c.name for c in settings.candidates]
    for i, candidate in enumerate(settings.candidates):
        field = f"candidates[{i}]"
        if candidate.name == AUTO or candidate.name.startswith("router-"):
            raise SettingsError(
                f"{field}.name", candidate.name, "this name asks for a route; choose another"
            )
        if candidate.name in names[:i]:
            raise SettingsError(f"{field}.name", candidate.name, "give each candidate its own name")
        _check_provider(f"{field}.provider", candidate.provider, settings)
        for j, replica in enumerate(candidate.replicas):
            _check_provider(f"{field}.replicas[{j}].provider", replica.provider, settings)
    if settings.default not in names:
        remedy = (
            f"name one of the candidates: {', '.join(names)}.{suggest(settings.default, names)}"
        )
        raise SettingsError("default", settings.default, remedy)
    for name in settings.routers:
        if not _ROUTER_NAME.match(name):
            raise SettingsError(f"routers.{name}", name, "use letters, digits, - and _")
    _check_encoder_names(settings.encoders)


def _check_encoder_names(names: Iterable[str]) -> None:
    for name in names:
        if not _ROUTER_NAME.match(name) or re.match(r"(static|hashing)-\d+\Z", name):
            remedy = "use letters, digits, - and _, and none of the names of built-in encoders"
            raise SettingsError(f"encoders.{name}", name, remedy)


def _check_provider(field: str, name: str | None, settings: Settings) -> None:
    if name not in settings.providers:
        known = ", ".join(settings.providers)
        hint = suggest(str(name), settings.providers)
        raise SettingsError(field, name, f"name one of: {known}.{hint}")


def _resolved(settings: Settings, environ: Mapping[str, str], folder: Path) -> Settings:
    """Keys read, and relative paths started at the file's folder."""
    providers = {
        name: provider.model_copy(
            update={"api_key": _key(f"providers.{name}", provider, environ, folder)}
        )
        for name, provider in settings.providers.items()
    }
    learn = settings.learn
    if learn is not None and learn.keep is not None:
        learn = learn.model_copy(update={"keep": folder / learn.keep})
    return settings.model_copy(
        update={
            "learn": learn,
            "providers": providers,
            "encoders": _resolved_encoders(settings.encoders, environ, folder),
            "routers": {n: _router(r, folder) for n, r in settings.routers.items()},
            "store": settings.store
            and settings.store.model_copy(update={"path": folder / settings.store.path}),
        }
    )


def _resolved_encoders(
    encoders: Mapping[str, EncoderSettings], environ: Mapping[str, str], folder: Path
) -> dict[str, EncoderSettings]:
    return {
        name: encoder.model_copy(
            update={
                "api_key": _key(f"encoders.{name}", encoder, environ, folder),
                "cache_file": None if encoder.cache_file is None else folder / encoder.cache_file,
                "onnx": None if encoder.onnx is None else folder / encoder.onnx,
            }
        )
        for name, encoder in encoders.items()
    }


def _key(field: str, given: _Keyed, environ: Mapping[str, str], folder: Path) -> SecretStr | None:
    if given.api_key_env is not None:
        if not environ.get(given.api_key_env):
            raise SettingsError(
                f"{field}.api_key_env", given.api_key_env, "set this environment variable"
            )
        return _header_safe(f"{field}.api_key_env", environ[given.api_key_env])
    if given.api_key_file is not None:
        path = folder / given.api_key_file
        try:
            return _header_safe(f"{field}.api_key_file", path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            raise SettingsError(
                f"{field}.api_key_file", str(path), "give a readable file that holds the key"
            ) from None
    if given.api_key is None:
        return None
    return _header_safe(f"{field}.api_key", given.api_key.get_secret_value())


def _header_safe(field: str, key: str) -> SecretStr:
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise SettingsError(field, _Hidden(), "give a key of printable ASCII characters")
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
