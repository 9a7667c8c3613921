"""The tree of settings: everything that a gateway is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

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
from turnout.settings.prices import PriceSettings
from turnout.settings.replicas import ReplicaSettings
from turnout.settings.routes import ResponseModel, RouteSettings
from turnout.settings.server import ServerSettings
from turnout.settings.trials import ExperimentSettings, MirrorSettings
from turnout.settings.upstreams import EncoderSettings, ProviderSettings
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


class CandidateSettings(Tree):
    """A model that requests may be sent to."""

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
    """What clients and routes call it."""
    model: str | None = None
    """What the provider calls it; none: its name."""
    provider: str | None = None
    """Where it is called; none: the only provider."""
    price: PriceSettings | None = None
    """None: the list price, where the list has the model."""
    context_tokens: int | None = Field(default=None, gt=0)
    """Its window; none: that of the list."""
    max_output_tokens: int | None = Field(default=None, gt=0)
    """Its longest answer."""
    capabilities: tuple[Capability, ...] | None = None
    """What it can do beyond text; none: not known, and nothing is held back from it."""
    known_as: str | None = None
    """The name under which routers know this model, where it differs."""
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
    """Further calls, fallbacks among them, as a share of the clients' requests; 0: none."""
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
    """A file of SQLite."""
    url: SecretStr | None = None
    """Of a PostgreSQL database, with its password; better read it from the environment or a file."""
    url_env: str | None = None
    """The environment variable that holds the URL."""
    url_file: Path | None = None
    """A file that holds the URL."""
    journal: Path | None = None
    """The folder in which records wait for the database, on a disk of this machine; none: that of the
    same name as `path` with `.journal`, or `turnout.journal`."""
    journal_bytes: int = Field(default=1 << 30, ge=1 << 18)
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
    """A folder made by `turnout train`; none: the artifact that ships."""
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
    """Of requests."""
    how: Literal["uniform", "samples"] = "uniform"
    """`uniform`: any other candidate, each as likely; `samples`: as often as one is best in samples of
    a router that learns."""
    most_cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Only candidates whose expected price is known and at most this."""
    seed: int | None = Field(default=None, ge=0)
    """Of the draws; none is fresh in each process."""


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
    """Where the gateway listens."""
    providers: dict[str, ProviderSettings] = Field(min_length=1)
    """The endpoints that models are called at, by names of your own."""
    candidates: tuple[CandidateSettings, ...] = Field(min_length=1)
    """The models that requests may be sent to, strongest first."""
    embeddings: tuple[EmbeddingSettings, ...] = ()
    """Models of `POST /v1/embeddings`, asked for by their names; none: it is not served."""
    default: str = ""
    """The candidate that serves where a router fails; the first one where none is named."""
    routers: dict[str, _Router] = Field(
        default_factory=lambda: {"mf": RouterSettings(), "blend": RouterSettings()}, min_length=1
    )
    """The routers that are opened, by their names."""
    learn: Annotated[LearnSettings, NoneIsEmpty] | None = None
    """What becomes of outcomes that are brought; none: none are taken."""
    encoders: Annotated[dict[str, EncoderSettings], NoneIsEmpty] = Field(default_factory=dict)
    """What turns prompts into vectors, by the name that a router's `encoder` option says."""
    auto: str = ""
    """The route that model `auto` means, one of `routes` or written out; where none is named, that of
    the last certificate, else `blend` (or the first router) at about half of the calls to the strong
    model."""
    routes: Annotated[dict[str, RouteSettings], NoneIsEmpty] = Field(default_factory=dict)
    """Ways to decide, by the names that `model` may say."""
    response_model: ResponseModel = "actual"
    """Which model a reply names: `actual` the one that answered, `requested` what the request's `model`
    said."""
    shadow: str = ""
    """The route that decides, in record only, for requests that ask for a candidate by its name."""
    experiments: Annotated[dict[str, ExperimentSettings], NoneIsEmpty] = Field(default_factory=dict)
    """Splits of users between routes, by the names that `model` may say."""
    cache: CacheSettings | None = None
    """Answers that are given again to the same request; none: every request is answered anew."""
    idempotency: Annotated[IdempotencySettings, NoneIsEmpty] = IdempotencySettings()
    """Requests that are sent twice under one `Idempotency-Key`."""
    mirror: MirrorSettings | None = None
    """A share of the requests that goes to one more candidate; none: nothing does."""
    alarm: AlarmSettings | None = None
    """On keys whose share of calls to the dearest candidate is too large; none: it is not watched."""
    explore: ExploreSettings | None = None
    """A share of the requests that goes elsewhere, to learn of other models; none: nothing does."""
    store: StoreSettings | None = None
    """Where records of requests, and keys, are kept; none: none are."""
    resilience: Annotated[ResilienceSettings, NoneIsEmpty] = ResilienceSettings()
    """What happens when an upstream fails before its answer begins."""
    server: Annotated[ServerSettings, NoneIsEmpty] = ServerSettings()
    """What this process takes at a time, and how long it waits for its clients."""
    conversations: Annotated[ConversationSettings, NoneIsEmpty] = ConversationSettings()
    """Which model serves the later requests of a conversation."""
    log: Annotated[LogSettings, NoneIsEmpty] = LogSettings()
    """What is logged."""
    metrics: Annotated[MetricsSettings, NoneIsEmpty] = MetricsSettings()
    """What Prometheus may read."""
    dashboard: bool = False
    """Whether `GET /dashboard` shows a page over the records of `store`."""
    otel: Annotated[OtelSettings, NoneIsEmpty] = OtelSettings()
    """What OpenTelemetry is told."""
    auth: Annotated[AuthSettings, NoneIsEmpty] = AuthSettings()
    """When a key is asked for."""
    keys: tuple[KeySettings, ...] = ()
    """Keys beside those that `turnout keys` keeps in the store."""
    teams: Annotated[dict[str, TeamSettings], NoneIsEmpty] = Field(default_factory=dict)
    """What the keys of a team share, by the team's name."""
    limits: Annotated[LimitSettings, NoneIsEmpty] = LimitSettings()
    """Of all requests together."""
    reserve: Annotated[ReserveSettings, NoneIsEmpty] = ReserveSettings()
    """What is reserved of a budget before a call."""
    counters: CounterSettings | None = None
    """Where limits are counted for all processes; none: each counts by itself."""
    allow_passthrough: bool = True
    """Whether a candidate may be asked for by its own name."""
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, gt=0)
    """Longest body of a request; a longer one is a 413."""
