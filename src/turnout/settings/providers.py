"""Settings of providers: endpoints that are called, and what is reached by litellm."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, SecretStr, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from turnout.settings.base import Tree

URL = r"^https?://[^\s@/?#]+(/[^\s?#]*)?$"

_Variable: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
_SECRET = re.compile(r"(key|key_id|secret|token|password|credentials?)\Z", re.IGNORECASE)
_OURS = frozenset({
    "model", "messages", "stream", "stream_options", "api_base", "base_url", "timeout", "num_retries",
    "max_retries",
})  # fmt: skip
_FOR_HTTP = ("api", "stream_usage", "headers", "allow_link_local")
_FOR_LITELLM = ("env", "options")


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
    """An endpoint that speaks one of three APIs; or what speaks none of them, by litellm."""

    kind: Literal["http", "litellm"] = "http"
    base_url: str | None = Field(default=None, pattern=URL)
    """Of an endpoint; of kind litellm, the `api_base` of its calls, where they need one."""
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
    env: tuple[_Variable, ...] = ()
    """Of kind litellm: environment variables that its process gets, such as AWS_ACCESS_KEY_ID."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Of kind litellm: arguments of each of its calls that are no secrets, such as aws_region_name."""

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if self.kind == "http" and self.base_url is None:
            raise PydanticCustomError("missing_base_url", "")
        foreign = _FOR_LITELLM if self.kind == "http" else _FOR_HTTP
        given = [name for name in foreign if name in self.model_fields_set]
        if given:
            raise ValueError(f"leave out {', '.join(given)}: kind {self.kind} does not have it")
        for name in self.options:
            if _SECRET.search(name):
                raise ValueError(
                    f"leave {name} out of options: secrets are given by the names of environment "
                    "variables, in env"
                )
            if name in _OURS:
                raise ValueError(f"leave {name} out of options: each call says it by itself")
        return self
