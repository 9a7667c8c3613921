"""The values that flow through Turnout. All are frozen; none does I/O.

Query → Prediction → Decision → (answer)      Outcome → training
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from turnout.money import PICO as PICO
from turnout.money import USUAL_SERVICES as USUAL_SERVICES
from turnout.money import Price as Price
from turnout.money import Usage as Usage

Floats: TypeAlias = NDArray[np.float32]
"""float32 array; the shape is given where it is used."""

Capability: TypeAlias = Literal["tools", "json_schema", "vision", "audio", "files"]
"""What a request may need of a model beyond text."""

CAPABILITIES: tuple[Capability, ...] = ("tools", "json_schema", "vision", "audio", "files")

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How long a reasoning model may think: OpenAI's `reasoning_effort`."""

EFFORTS: tuple[str, ...] = get_args(Effort)
"""Least first; `o3-mini@high` is one arm of the model `o3-mini`."""


def split_arm(name: str) -> tuple[str, str | None]:
    """A candidate's name as model and effort: `o3-mini@high` → `("o3-mini", "high")`.

    What follows the last `@` counts as an effort only where it is one of `EFFORTS`.
    """
    model, at, effort = name.rpartition("@")
    return (model, effort) if at and model and effort in EFFORTS else (name, None)


BYTES_PER_TOKEN = 4
"""Rule of thumb for English text in current vocabularies; used where no count is given."""


def estimate_tokens(text: str) -> int:
    """Estimate tokens from UTF-8 bytes; at least 1 for text that is not empty."""
    if not text:
        return 0
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return max(1, -(-size // BYTES_PER_TOKEN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Where a request stands in its conversation. The defaults are those of a first message."""

    messages: int = 1
    """Messages of the request, or items of another API's."""
    answered: bool = False
    """Something was answered before: this is not the first request."""
    ends: Literal["task", "go_on", "tool"] = "task"
    """With what the request ends: what its user asks, a word such as "continue" that asks nothing
    new, or a tool's results."""
    tool_rounds: int = 0
    """Answers since the task that called tools."""
    tool_calls: int = 0
    """Calls in them."""
    failed_in_row: int = 0
    """Latest results of tools that are failures, without a success between them."""
    signed: bool = False
    """It holds reasoning that only its maker can read back."""
    elsewhere: bool = False
    """What came before is kept by the provider and does not stand in the request."""


@dataclass(slots=True, kw_only=True)  # not frozen: that would double what making one costs
class Query:
    """What is asked, as routers and policies see it."""

    text: str
    """The task: the latest text of the user that asks for something. Routers read this."""
    system: str = ""
    """System or developer text, for rules that look at it."""
    turns: int = 1
    """User messages so far."""
    input_tokens: int = 0
    """Estimated tokens of the whole request, history and tools included."""
    max_output_tokens: int | None = None
    """The output length that the caller asked for, if any."""
    needs: frozenset[Capability] = frozenset()
    """What a candidate must be able to do."""
    forced_tool: bool = False
    """The answer must call a tool (`tool_choice` names one, or says that any will do)."""
    effort: str | None = None
    """The reasoning effort that the caller asked for (one of `EFFORTS`), if any."""
    conversation: Conversation = Conversation()
    """Where it stands in its conversation."""
    notes: tuple[str, ...] = ()
    """What a reader of the decision should know about this query (text was cut, had no text)."""

    @classmethod
    def of(cls, text: str, **changes: Any) -> Query:
        """A plain one-message query."""
        return cls(
            text=text, input_tokens=changes.pop("input_tokens", estimate_tokens(text)), **changes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that a query may be sent to."""

    name: str
    """The name that users, configurations and decisions use."""
    upstream_model: str = ""
    """The name that the provider knows it by; empty means `name`."""
    provider: str = ""
    """Which provider serves it (a key of the settings' `providers`)."""
    price: Price | None = None
    """None where no price is known: policies that need one refuse the candidate."""
    context_tokens: int | None = None
    """Input plus output window; None is unknown and excludes nothing."""
    max_output_tokens: int | None = None
    """Longest output; None is unknown."""
    capabilities: frozenset[Capability] | None = None
    """None is unknown and excludes nothing."""
    known_as: str | None = None
    """Name under which a router's artifact knows this model, where it differs from `name`."""
    effort: str | None = None
    """Reasoning effort that this arm asks for (one of `EFFORTS`); None: by its name's `@effort`."""
    arm_output_tokens: int | None = None
    """Output limit that this arm asks for; None asks for none. Not the model's own longest."""

    @property
    def model(self) -> str:
        """The model name to put in the upstream request."""
        return self.upstream_model or split_arm(self.name)[0]

    @property
    def arm_effort(self) -> str | None:
        """The reasoning effort to ask for: the one given, else the one in the name."""
        return self.effort or split_arm(self.name)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The candidates of a deployment, strongest first, and the one that serves when routing fails.

    For two models `candidates[0]` is the strong one and `candidates[-1]` the weak one.
    """

    candidates: tuple[Candidate, ...]
    default: str
    """Name of the candidate that serves when a router fails; usually the strong one."""

    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """Candidate names in order."""
    _by_name: Mapping[str, Candidate] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(c.name for c in self.candidates))
        # Of two candidates of one name, which settings refuse, the first counts.
        by_name = {c.name: c for c in reversed(self.candidates)}
        object.__setattr__(self, "_by_name", by_name)

    def __getitem__(self, name: str) -> Candidate:
        return self._by_name[name]


@dataclass(frozen=True, slots=True)
class PairRule:
    """How the win rate of a strong over a weak model follows from their predicted qualities.

    `difference`: clip(q_s - q_w, 0, 1), the share of calls that only the strong model answers well
    when the weak model's successes are among the strong model's.
    `weak_fails`: 1 - q_w, how often the weak model's answer is not good enough (the label of
    RouteLLM's causal LLM router).
    `strong`: q_s itself (for routers whose score is not a quality, such as random).
    `logistic`: sigmoid(a q_s + b q_w + c), fitted out of fold, so that it is a probability.
    `odds`: sigmoid(logit q_s - logit q_w), Bradley-Terry, for qualities that are strengths: win
    rates over one common opponent.
    """

    kind: Literal["difference", "weak_fails", "strong", "logistic", "odds"] = "difference"
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0

    def sentence(self, rate: float, strong: str, weak: str) -> str:
        """What a win rate says, in words."""
        if self.kind == "weak_fails":
            return f"{weak} is expected to fall short at a rate of {rate:.3f}"
        return f"{strong} wins over {weak} at a rate of {rate:.3f}"

    def win_rate(self, strong: Floats, weak: Floats) -> Floats:
        """Win rate in [0, 1] of the strong over the weak model; arrays of any one shape."""
        if self.kind == "strong":
            return _within(strong, 0.0, 1.0)
        if self.kind == "weak_fails":
            return _within(1.0 - weak, 0.0, 1.0)
        if self.kind == "difference":
            return _within(strong - weak, 0.0, 1.0)
        if self.kind == "odds":
            s, w = (np.clip(q.astype(np.float64), 1e-7, 1.0 - 1e-7) for q in (strong, weak))
            wins = s * (1.0 - w)
            return np.asarray(wins / (wins + w * (1.0 - s)), dtype=np.float32)
        # Beyond 80 a float32 exponential overflows, and the rate is 0 or 1 anyway.
        logit = _within(self.a * strong + self.b * weak + self.c, -80.0, 80.0)
        return np.asarray(1.0 / (1.0 + np.exp(-logit)), dtype=np.float32)


def _within(x: NDArray[np.floating[Any]], low: float, high: float) -> Floats:
    """`np.clip` as float32, without what its wrappers cost where there are few numbers."""
    return np.asarray(np.minimum(np.maximum(x, low), high), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a router expects of m candidates on n queries."""

    candidates: tuple[str, ...]
    """m names; the columns below."""
    quality: Floats
    """(n, m) expected quality in [0, 1]."""
    output_tokens: Floats | None = None
    """(n, m) expected output tokens, where the router can tell."""
    pair: PairRule = field(default_factory=PairRule)
    spread: Floats | None = None
    """(n, m) standard deviation of `quality` for want of outcomes, where the router can tell."""
    basis: tuple[str, ...] = ()
    """m short texts: what each column rests on ("outcomes of gpt-4", "prior: place 1 of 2 …")."""
    notes: tuple[str, ...] = ()
    """n short texts, what was found of each query ("route billing: match 0.81"); or none."""

    def win_rate(self, strong: str, weak: str) -> Floats:
        """(n,) win rate of `strong` over `weak`."""
        s, w = self.candidates.index(strong), self.candidates.index(weak)
        return self.pair.win_rate(self.quality[:, s], self.quality[:, w])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to make: a candidate, and why it stands at this place."""

    candidate: str
    reason: str
    accept: Literal["no_error"] = "no_error"
    """The acceptance test of its answer."""


@dataclass(slots=True, kw_only=True)  # not frozen: that would double what making one costs
class Decision:
    """Which candidates to try, in order, and everything needed to understand why."""

    id: str
    router: str
    policy: str
    attempts: tuple[Attempt, ...]
    code: str
    """Stable machine-readable reason, such as `win_rate_below_threshold`."""
    reason: str
    """The same in a sentence."""
    threshold: float | None = None
    win_rate: float | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    """Predicted quality per candidate; empty where nothing was predicted."""
    spread: Mapping[str, float] = field(default_factory=dict)
    """Standard deviation of that prediction, where the router can tell; else empty."""
    expected_cost_picousd: Mapping[str, int | None] = field(default_factory=dict)
    input_tokens: int | None = None
    """Estimated tokens of the request; None where it was not looked at."""
    expected_output_tokens: Mapping[str, float] = field(default_factory=dict)
    """Per candidate, as the expected cost counts them; with `input_tokens` it can be priced anew."""
    basis: Mapping[str, str] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    """Candidates that constraints put out, and why."""
    fallback: bool = False
    """True where the router failed and the default candidate serves."""
    artifact: str | None = None
    """Fingerprint of the artifact that predicted."""
    certificate: str | None = None
    """Id of the certificate that covers this choice; None where none does."""
    propensity: float | None = None
    """The chance with which exploring chose this candidate; None where nothing explores, so that
    the choice was certain."""
    notes: tuple[str, ...] = ()
    elapsed_us: int = 0
    route: str | None = None
    """The configured route that was asked for, by its name."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What the request asked of routing beside its model: knobs, lists, limits."""
    experiment: Mapping[str, str] = field(default_factory=dict)
    """`name`, `arm` and a hash of the `user`, where an experiment chose the route."""
    shadow: Mapping[str, Any] = field(default_factory=dict)
    """What a route that decides in record only would have done."""
    grounds: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What else the choice follows from, exactly, for `turnout explain`; no part of `to_dict`."""

    @property
    def model(self) -> str:
        """Name of the chosen candidate: the first attempt."""
        return self.attempts[0].candidate

    @property
    def expected_cost_usd(self) -> dict[str, float | None]:
        """Expected cost per candidate in USD."""
        return {k: None if v is None else v / PICO for k, v in self.expected_cost_picousd.items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, as `turnout route --json` and `POST /v1/route` give it."""
        return {
            "id": self.id,
            "model": self.model,
            "router": self.router,
            "policy": self.policy,
            "threshold": self.threshold,
            "win_rate": self.win_rate,
            "code": self.code,
            "reason": self.reason,
            "attempts": [{"model": a.candidate, "reason": a.reason} for a in self.attempts],
            "quality": {**self.quality},
            "spread": {**self.spread},
            "expected_cost_usd": self.expected_cost_usd,
            "input_tokens": self.input_tokens,
            "expected_output_tokens": {**self.expected_output_tokens},
            "basis": {**self.basis},
            "excluded": {**self.excluded},
            "fallback": self.fallback,
            "artifact": self.artifact,
            "certificate": self.certificate,
            "propensity": self.propensity,
            "notes": [*self.notes],
            "elapsed_us": self.elapsed_us,
            "route": self.route,
            "asked": {**self.asked},
            "experiment": {**self.experiment},
            "shadow": {**self.shadow},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one model scored on one prompt."""

    prompt: str
    model: str
    score: float
    """Quality in [0, 1]."""
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    group: str | None = None
    """Prompts that must not be split between fitting and reporting share a group."""


def texts(queries: Sequence[Query]) -> list[str]:
    """The texts of queries, in order."""
    return [q.text for q in queries]
