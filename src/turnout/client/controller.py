"""`Controller`: RouteLLM's client by the same name, for any number of models.

    client = Controller(routers=["mf"], strong_model="gpt-4", weak_model="gpt-3.5-turbo")
    client.chat.completions.create(model="router-mf-0.45", messages=[...])

Building one opens routers and does nothing else: no key, no environment, no network, no SDK.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from turnout.client.completions import ChatCompletions, Targets
from turnout.client.deciding import Decider
from turnout.client.requests import settled
from turnout.client.sdk import Clients
from turnout.client.settings import (
    Upstream,
    open_routers,
    read_fallbacks,
    read_own_certificates,
    read_pool,
    read_upstreams,
)
from turnout.engine import Engine
from turnout.errors import InputError, TurnoutError, UnknownNameError
from turnout.policies.explore import Explore
from turnout.routers.base import Router
from turnout.types import Decision, Pool
from turnout.wire.chat import query_of_prompt
from turnout.wire.reading import kind

if TYPE_CHECKING:
    import httpx2

RoutingError = TurnoutError
"""RouteLLM's name for what a controller raises; here the base of every error of this package."""


class ModelPair(NamedTuple):
    """The strongest and the weakest candidate, as RouteLLM names them."""

    strong: str
    weak: str


class Chat(NamedTuple):
    """`client.chat`, shaped as in OpenAI's SDK."""

    completions: ChatCompletions


class Controller:
    """An OpenAI-shaped client that chooses the model of each request.

    `completion` and `acompletion` are RouteLLM's names of `chat.completions.create` and `acreate`.
    Safe to share between threads. Close it, or use it as a context manager.

    Args:
        routers: names, such as `["mf"]`; or a mapping of names to routers that are open already.
        strong_model: serves where the win rate reaches the threshold, and where routing fails.
        weak_model: serves otherwise.
        config: options per router name: `{"mf": {"artifact": "DIR"}, "rules": {"file": "FILE"}}`;
            `certificate` is a file of certificates, and an artifact's own are found without it.
        api_base: the base URL of models without their own; default: the SDK's.
        api_key: the key of models without their own base URL or key; default: the SDK's.
        progress_bar: accepted because RouteLLM has it; nothing here takes long enough.
        models: what is special about each model, by name (the keys are `settings.MODEL_KEYS`):
            `base_url`, `api_key`, `headers`; `model`, its name upstream; `price`, USD per million
            tokens of input and output; `known_as`, its name in the router's artifact; and
            `context_tokens`, `max_output_tokens`, `capabilities`. Without `strong_model` and
            `weak_model` these are the candidates, strongest first. A model with its own `base_url`
            never gets a key that was given for elsewhere.
        pool: candidates as values, in place of names.
        explore: sends a share of requests to another model and records propensities; None never
            does.
        encoders: by name, as in the settings' `encoders` section; an entry of `config` names one:
            `{"linear": {"artifact": "DIR", "encoder": "embedder"}}`.
        timeout: of one call, in seconds; None is the SDK's default.
        max_retries: of one call, by the SDK; None is the SDK's default.
        http_client: makes the HTTP client of an upstream.
        async_http_client: the same for asynchronous calls.

    Raises:
        SettingsError: arguments that cannot be used together, or options with no meaning here.
        UnknownNameError: a router that does not exist, or a model that a router does not know.
        ArtifactError: an artifact that cannot be opened.
    """

    def __init__(
        self,
        routers: Sequence[str] | Mapping[str, Router],
        strong_model: str | None = None,
        weak_model: str | None = None,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        api_base: str | None = None,
        api_key: str | None = None,
        progress_bar: bool = False,  # noqa: ARG002 - RouteLLM's signature
        *,
        models: Mapping[str, Mapping[str, Any]] | None = None,
        pool: Pool | None = None,
        explore: Explore | None = None,
        encoders: Mapping[str, Mapping[str, Any]] | None = None,
        timeout: float | httpx2.Timeout | None = None,
        max_retries: int | None = None,
        http_client: Callable[[], httpx2.Client] | None = None,
        async_http_client: Callable[[], httpx2.AsyncClient] | None = None,
    ) -> None:
        models = models or {}
        self._lock = threading.Lock()
        self._pool = read_pool(strong_model, weak_model, models, pool)
        self.routers = open_routers(routers, config or {}, encoders)
        fallbacks = read_fallbacks(self.routers, config or {})
        certificates = read_own_certificates(self.routers, config or {})
        self._decider = Decider(self._pool, self.routers, fallbacks, explore, certificates)
        self._decider.check()
        self.model_counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Requests sent so far, per router and model: `client.model_counts["mf"]["gpt-4"]`."""
        shared = Upstream(base_url=api_base, api_key=api_key)
        self._clients = Clients(
            timeout=timeout,
            max_retries=max_retries,
            http_client=http_client,
            async_http_client=async_http_client,
        )
        targets = Targets(
            self._pool, read_upstreams(self._pool.names, models, shared), self._clients
        )
        self.chat = Chat(ChatCompletions(self._decide_and_count, targets))
        self.completion = self.chat.completions.create
        self.acompletion = self.acreate = self.chat.completions.acreate

    @property
    def model_pair(self) -> ModelPair:
        """The strongest and the weakest candidate."""
        return ModelPair(self._pool.names[0], self._pool.names[-1])

    @property
    def engine(self) -> Engine:
        """What decides on routes."""
        return self._decider.engine

    def route(self, prompt: str, router: str, threshold: float) -> str:
        """The name of the model that a prompt would be sent to. Nothing is sent or counted."""
        return self.decide(prompt=prompt, router=router, threshold=threshold).model

    def decide(
        self,
        messages: str | Sequence[Any] | None = None,
        *,
        prompt: str | None = None,
        model: str | None = None,
        router: str | None = None,
        threshold: float | None = None,
        **request: Any,
    ) -> Decision:
        """Decide without sending.

        Args:
            messages: a conversation, or one prompt.
            prompt: one user message, in place of `messages`.
            model: a route such as `router-mf-0.45`, or a candidate's name.
            router: in place of `model`, together with `threshold`.
            threshold: from 0 to 1. With two models the strong one serves where the win rate is at
                least this; with more it is the share of the possible saving to take.
            request: other arguments of the call: `tools`, `response_format`, `max_tokens` tell
                what the model must be able to do.

        Raises:
            RouteNameError, UnknownNameError: a route, router or model that does not exist.
            RequestError: messages that no upstream could serve.
            NoCandidateError: no candidate can do what the request needs.
        """
        if isinstance(messages, str) and prompt is None:
            messages, prompt = None, messages
        if (messages is None) == (prompt is None):
            raise InputError("messages", kind(messages), "give either messages or a prompt")
        if prompt is not None:
            messages = [{"role": "user", "content": prompt}]
        given = {"messages": messages, "model": model, "router": router, "threshold": threshold}
        return self._decider.decide(settled(request | given))

    def batch_calculate_win_rate(self, prompts: Any, router: str) -> Any:
        """Win rate of the strongest over the weakest candidate, for each of n prompts.

        Args:
            prompts: n texts: a list, an array, or a pandas Series.
            router: its name.

        Returns:
            (n,) float64 array in [0, 1]; a Series with the same index where a Series was given.

        Raises:
            UnknownNameError: no such router here.
            RouterError: the router cannot predict now. No default stands in for a win rate.
        """
        texts = _texts(prompts)
        if router not in self.routers:
            raise UnknownNameError("router", router, self.routers)
        queries = [query_of_prompt(text) for text in texts]
        prediction = self.routers[router].predict(queries, self._pool.candidates)
        rates = prediction.win_rate(*self.model_pair).astype(np.float64)
        index = getattr(prompts, "index", None)
        if index is None or callable(index):  # a list's `index` is a method, a Series' is not
            return rates
        return type(prompts)(rates, index=index)

    def close(self) -> None:
        """Close the connections of blocking calls."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close all connections, those of the running event loop included."""
        await self._clients.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _decide_and_count(self, request: Mapping[str, Any]) -> Decision:
        decision = self._decider.decide(request)
        if decision.router in self.routers:  # and not where a model was asked for by name
            with self._lock:
                self.model_counts[decision.router][decision.model] += 1
        return decision


def _texts(prompts: Any) -> list[str]:
    if isinstance(prompts, str):
        raise InputError("prompts", kind(prompts), "give a list of prompts")
    texts = list(prompts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"prompts[{i}]", kind(text), "give a string")
    return texts
