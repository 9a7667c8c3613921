"""The tree of settings: everything that a gateway is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from turnout.settings.access import (
    AuthSettings,
    CounterSettings,
    KeySettings,
    LimitSettings,
    ReserveSettings,
    TeamSettings,
)
from turnout.settings.alarm import AlarmSettings
from turnout.settings.base import NoneIsEmpty, Tree
from turnout.settings.cache import CacheSettings, IdempotencySettings
from turnout.settings.conversations import ConversationSettings
from turnout.settings.embeddings import EmbeddingSettings
from turnout.settings.hedging import HedgeSettings
from turnout.settings.listening import Listen
from turnout.settings.observing import LogSettings, MetricsSettings, OtelSettings
from turnout.settings.replicas import ReplicaSettings
from turnout.settings.routes import ResponseModel, RouteSettings
from turnout.settings.server import ServerSettings
from turnout.settings.trials import ExperimentSettings, MirrorSettings
from turnout.types import Capability, Effort

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Longest request body that is read: about the largest that OpenAI's own API takes with images."""

AUTO = "auto"
"""The model name that stands for the configured route."""

MOST_USD_PER_MILLION = 10_000
"""A higher price is a mistake of units; below it, no call overflows a database's whole numbers."""

Service: TypeAlias = Literal["flex", "priority", "fast", "batch", "scale"]
"""Service tiers that replies name beside the usual one."""

MINIMAL = """\
providers:
  openai: {base_url: https://api.openai.com/v1, api_key_env: OPENAI_API_KEY}
candidates:            # strongest first
  - {name: gpt-4.1, provider: openai}
  - {name: gpt-4.1-mini, provider: openai}
"""
"""The shortest file that serves; shown where none was given."""

_URL = r"^https?://[^\s@/?#]+(/[^\s?#]*)?$"


class Keyed(Tree):
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


class ProviderSettings(Keyed):
    """An endpoint that speaks one of three APIs."""

    base_url: str = Field(pattern=_URL)
    api: Literal["chat", "responses", "messages"] = "chat"
    """OpenAI's Chat Completions or Responses, or Anthropic's Messages. Requests in another are
    translated."""
    stream_usage: bool = True
    """Whether it may be asked for the usage of a chat stream; some older servers refuse the field."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Longest wait for an answer that is no stream to begin; no other wait is longer."""
    connect_timeout_s: float = Field(default=2.0, gt=0)
    first_byte_timeout_s: float = Field(default=30.0, gt=0)
    """Longest wait for a stream to begin."""
    idle_timeout_s: float = Field(default=60.0, gt=0)
    """Longest wait between two pieces of an answer."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    allow_link_local: bool = False
    """Whether it may be at a link-local address, or where clouds have their metadata service."""


class EncoderSettings(Keyed):
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


_Usd = Annotated[float, Field(ge=0, le=MOST_USD_PER_MILLION, allow_inf_nan=False)]


class OtherRates(Tree):
    """USD per million tokens, of calls that have a price of their own. What is left out is as usual."""

    input_usd: _Usd | None = None
    output_usd: _Usd | None = None
    cache_read_usd: _Usd | None = None
    cache_write_usd: _Usd | None = None
    cache_write_1h_usd: _Usd | None = None
    reasoning_usd: _Usd | None = None


class ServicePriceSettings(OtherRates):
    """The price of a service tier."""

    above: dict[Annotated[int, Field(gt=0)], OtherRates] = Field(default_factory=dict)
    """Long inputs in it; left out, they cost what others do."""


class PriceSettings(Tree):
    """USD per million tokens."""

    input_usd: _Usd
    output_usd: _Usd
    cache_read_usd: _Usd | None = None
    cache_write_usd: _Usd | None = None
    cache_write_1h_usd: _Usd | None = None
    reasoning_usd: _Usd | None = None
    """Of output that is reasoning; none: as any output."""
    above: dict[Annotated[int, Field(gt=0)], OtherRates] = Field(default_factory=dict)
    """Long inputs: with more input tokens than this, those rates hold for the whole call."""
    services: dict[Service, ServicePriceSettings] = Field(default_factory=dict)
    """What a call costs that the provider says it served in this service tier."""


class CandidateSettings(Tree):
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
    hedge: HedgeSettings | None = None
    """When a second call is made beside a slow one; None: never."""

    @model_validator(mode="after")
    def _has_a_second(self) -> Self:
        if self.hedge is not None and not self.replicas and not self.hedge.spares:
            raise ValueError("a hedge needs replicas, or spares: true")
        return self


class ResilienceSettings(Tree):
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


class StoreSettings(Tree):
    """Where records of requests are kept: no prompt, no answer.

    In SQLite by a path, or in PostgreSQL by a URL, which may hold a password and is given in one of
    three ways.
    """

    path: Path | None = None
    url: SecretStr | None = None
    url_env: str | None = None
    url_file: Path | None = None
    journal: Path | None = None
    """The folder in which records wait for the database, on a disk of this machine; none: that of the
    same name as `path` with `.journal`, or `turnout.journal`."""
    journal_bytes: int = Field(default=1 << 30, ge=1 << 20)
    """Most that waits in it; what comes beyond is dropped and counted."""
    sync: bool = False
    """Ask the disk to keep each record before its client sees the end of the answer."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [self.path, self.url, self.url_env, self.url_file]
        if sum(place is not None for place in given) != 1:
            raise ValueError("give one of path (SQLite), url, url_env and url_file (PostgreSQL)")
        if self.path is not None and not self.path.name:
            raise ValueError("path is a folder; name a file, such as turnout.db")
        return self

    @property
    def journal_folder(self) -> Path:
        """Where the journal is."""
        if self.journal is not None:
            return self.journal
        path = self.path or Path("turnout")
        return path.with_name(f"{path.name}.journal")


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


class ExploreSettings(Tree):
    """The share of requests that go elsewhere, so that something is learned of other models."""

    share: float = Field(gt=0, lt=1)
    how: Literal["uniform", "samples"] = "uniform"
    most_cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    seed: int | None = Field(default=None, ge=0)


class LearnSettings(Tree):
    """Outcomes that `POST /v1/outcomes` brings are learned by the routers that can."""

    keep: Path | None = None
    """A folder for what they learned, one artifact a router; None keeps it in memory alone."""
    every_s: float = Field(default=60.0, ge=0.05, le=86_400)
    """Between two writes, where something was learned; and once more when the gateway ends."""


_Router = Annotated[RouterSettings, NoneIsEmpty]


class Settings(Tree):
    """Everything that a gateway is told."""

    listen: Annotated[Listen, NoneIsEmpty] = Listen()
    providers: dict[str, ProviderSettings] = Field(min_length=1)
    candidates: tuple[CandidateSettings, ...] = Field(min_length=1)
    embeddings: tuple[EmbeddingSettings, ...] = ()
    """Models of `POST /v1/embeddings`, asked for by their names; none: it is not served."""
    default: str = ""
    """The candidate that serves where a router fails; the first one where none is named."""
    routers: dict[str, _Router] = Field(
        default_factory=lambda: {"mf": RouterSettings(), "blend": RouterSettings()}, min_length=1
    )
    learn: Annotated[LearnSettings, NoneIsEmpty] | None = None
    """None takes no outcomes."""
    encoders: Annotated[dict[str, EncoderSettings], NoneIsEmpty] = Field(default_factory=dict)
    """By the name that a router's `encoder` option says."""
    auto: str = ""
    """The route that model `auto` means, one of `routes` or written out; where none is named, that of
    the last certificate, else `blend` (or the first router) at about half of the calls to the strong
    model."""
    routes: Annotated[dict[str, RouteSettings], NoneIsEmpty] = Field(default_factory=dict)
    """By the names that `model` may say."""
    response_model: ResponseModel = "actual"
    shadow: str = ""
    """The route that decides, in record only, for requests that ask for a candidate by its name."""
    experiments: Annotated[dict[str, ExperimentSettings], NoneIsEmpty] = Field(default_factory=dict)
    """By the names that `model` may say."""
    cache: CacheSettings | None = None
    """None answers every request anew."""
    idempotency: Annotated[IdempotencySettings, NoneIsEmpty] = IdempotencySettings()
    """Requests that are sent twice under one `Idempotency-Key`."""
    mirror: MirrorSettings | None = None
    """None mirrors nothing."""
    alarm: AlarmSettings | None = None
    """None watches no key's share of calls to the dearest candidate."""
    explore: ExploreSettings | None = None
    """None never explores."""
    store: StoreSettings | None = None
    """None keeps no records."""
    resilience: Annotated[ResilienceSettings, NoneIsEmpty] = ResilienceSettings()
    server: Annotated[ServerSettings, NoneIsEmpty] = ServerSettings()
    """What this process takes at a time, and how long it waits for its clients."""
    conversations: Annotated[ConversationSettings, NoneIsEmpty] = ConversationSettings()
    log: Annotated[LogSettings, NoneIsEmpty] = LogSettings()
    metrics: Annotated[MetricsSettings, NoneIsEmpty] = MetricsSettings()
    dashboard: bool = False
    """Whether `GET /dashboard` shows a page over the records of `store`."""
    otel: Annotated[OtelSettings, NoneIsEmpty] = OtelSettings()
    auth: Annotated[AuthSettings, NoneIsEmpty] = AuthSettings()
    keys: tuple[KeySettings, ...] = ()
    """Keys beside those that `turnout keys` keeps in the store."""
    teams: Annotated[dict[str, TeamSettings], NoneIsEmpty] = Field(default_factory=dict)
    limits: Annotated[LimitSettings, NoneIsEmpty] = LimitSettings()
    """Of all requests together."""
    reserve: Annotated[ReserveSettings, NoneIsEmpty] = ReserveSettings()
    counters: CounterSettings | None = None
    """None counts in each process by itself."""
    allow_passthrough: bool = True
    """Whether a candidate may be asked for by its own name."""
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, gt=0)
