"""What `model` may say: candidates by name, routes, and `auto`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.engine import Engine
from turnout.errors import RequestError, UnknownNameError
from turnout.gateway.calls.embedding import Embeddings
from turnout.gateway.routing.experiments import Experiment
from turnout.gateway.routing.routes import Route
from turnout.names import format_route, is_route
from turnout.settings import AUTO
from turnout.types import Candidate
from turnout.wire.listing import ListedModel, list_models, model_entry

LISTED_SHARES = (0.75, 0.5, 0.25)
"""Every threshold from 0 to 1 works; listed are those of about these shares of strong calls."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models that a gateway offers.

    Args:
        engine: knows routers and candidates.
        auto: what `auto` means: a name in `routes`, or a route written out.
        allow_passthrough: whether a candidate may be asked for by its name.
        routes: by name.
        experiments: by name.
        shadow: decides in record only where a candidate is asked for by its name.
        as_requested: whether replies name the model that was asked for, where no named route says.
    """

    engine: Engine
    auto: str
    allow_passthrough: bool = True
    routes: Mapping[str, Route] = field(default_factory=dict)
    as_requested: bool = False
    embeddings: Embeddings = field(default_factory=dict)
    experiments: Mapping[str, Experiment] = field(default_factory=dict)
    shadow: Route | None = None

    def experiment(self, model: str) -> Experiment | None:
        """The experiment that a model name asks for."""
        return self.experiments.get(self.auto if model == AUTO else model)

    def resolve(self, model: str) -> Route | Candidate:
        """What a model name asks for.

        Raises:
            UnknownNameError: nothing here has this name; the message lists what does.
            RouteNameError: a malformed route.
            RequestError: it is an embedding model.
        """
        experiment = self.experiment(model) if self.experiments else None
        if experiment is not None:  # of no user: its first arm
            return self.resolve(experiment.arms[0][1])
        named = self.routes.get(self.auto if model == AUTO else model)
        if named is not None:
            return named
        if model == AUTO:
            return self._written_out(self.auto, "auto")
        if is_route(model):
            return self._written_out(model)
        if self.allow_passthrough and model in self.engine.pool.names:
            return self.engine.pool[model]
        if model in self.embeddings:
            raise RequestError(
                "model", model, "it makes embeddings: ask POST /v1/embeddings for them"
            )
        raise UnknownNameError("model", model, self.names())

    def named(self, model: str) -> str:
        """A model name that is `auto` or a route of the settings; empty for any other."""
        return model if model == AUTO or model in self.routes else ""

    def _written_out(self, model: str, field: str = "model") -> Route:
        return Route(spec=self.engine.parse(model, field), as_requested=self.as_requested)

    def names(self) -> list[str]:
        """The names listed by `GET /v1/models`, `auto` first."""
        routes = [
            format_route(self.engine.route_for_share(router, share))
            for router in self.engine.routers
            for share in LISTED_SHARES
        ]
        candidates = self.engine.pool.names if self.allow_passthrough else ()
        return [AUTO, *self.routes, *self.experiments, *routes, *candidates]

    def listing(self, *, anthropic: bool = False) -> dict[str, Any]:
        """The list of models, in OpenAI's or in Anthropic's form."""
        # Anthropic's API has no embeddings, so that its clients could not use these models.
        names = self.names() + ([] if anthropic else list(self.embeddings))
        return list_models(map(self._listed, names), anthropic=anthropic)

    def entry(self, model: str, *, anthropic: bool = False) -> dict[str, Any]:
        """One of them. Routes need not be among the listed ones.

        Raises:
            UnknownNameError: nothing here has this name.
            RouteNameError: a malformed route.
        """
        if anthropic or model not in self.embeddings:
            self.resolve(model)
        return model_entry(self._listed(model), anthropic=anthropic)

    def _listed(self, name: str) -> ListedModel:
        if name in self.embeddings:
            return ListedModel(id=name, owner=self.embeddings[name].candidate.provider)
        pool = self.engine.pool
        if name not in pool.names:
            return ListedModel(id=name)
        candidate = pool[name]
        return ListedModel(
            id=name,
            owner=candidate.provider,
            context_tokens=candidate.context_tokens,
            max_output_tokens=candidate.max_output_tokens,
        )
