"""What is called: providers of models, and encoders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, SecretStr, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from turnout.settings.base import Tree

_URL = r"^https?://[^\s@/?#]+(/[^\s?#]*)?$"
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
    """The key itself; better read it from the environment or a file."""
    api_key_env: str | None = None
    """The environment variable that holds the key."""
    api_key_file: Path | None = None
    """A file that holds the key."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = [self.api_key, self.api_key_env, self.api_key_file]
        if sum(key is not None for key in given) > 1:
            raise ValueError("give one of api_key, api_key_env and api_key_file")
        return self


class ProviderSettings(Keyed):
    """An endpoint that speaks one of three APIs; or what speaks none of them, by litellm."""

    kind: Literal["http", "litellm"] = "http"
    """`litellm` calls models of other APIs by that library (extra `litellm`)."""
    base_url: str | None = Field(default=None, pattern=_URL)
    """With its version path, such as `https://api.openai.com/v1`. It must be given, but of kind litellm:
    there it is the `api_base` of calls that need one."""
    api: Literal["chat", "responses", "messages"] = "chat"
    """OpenAI's Chat Completions or Responses, or Anthropic's Messages. Requests in another are
    translated."""
    stream_usage: bool = True
    """Whether it may be asked for the usage of a chat stream; some older servers refuse the field."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Longest wait for an answer that is no stream to begin; no other wait is longer."""
    connect_timeout_s: float = Field(default=2.0, gt=0)
    """Longest wait for a connection."""
    first_byte_timeout_s: float = Field(default=30.0, gt=0)
    """Longest wait for a stream to begin."""
    idle_timeout_s: float = Field(default=60.0, gt=0)
    """Longest wait between two pieces of an answer."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Sent with every call; secrets are written as `${NAME}`."""
    allow_link_local: bool = False
    """Whether it may be at a link-local address, or where clouds have their metadata service."""
    env: tuple[_Variable, ...] = ()
    """Of kind litellm: environment variables that its process gets, such as `AWS_ACCESS_KEY_ID`."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Of kind litellm: arguments of each of its calls that are no secrets, such as `aws_region_name`."""

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


class EncoderSettings(Keyed):
    """An encoder that routers use by name: behind an endpoint, or a folder on this machine."""

    base_url: str | None = Field(default=None, pattern=_URL)
    """Of an endpoint that speaks OpenAI's embeddings API."""
    model: str | None = Field(default=None, min_length=1)
    """What the endpoint calls it."""
    dimension: int | None = Field(default=None, ge=1, le=65_536)
    """Stated, so that opening calls nothing and an answer of another length is refused."""
    timeout_s: float = Field(default=2.0, ge=0.001, le=600)
    """Longest wait of a decision for its vectors."""
    batch: int = Field(default=64, ge=1, le=2048)
    """Most texts in one call."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Most calls at a time."""
    cache: int = Field(default=10_000, ge=0, le=10_000_000)
    """Vectors kept in memory."""
    cache_file: Path | None = None
    """A file in which vectors outlive the process."""
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
