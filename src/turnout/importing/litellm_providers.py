"""LiteLLM's providers, as endpoints: where each is, in which API, with the key of which variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.importing.litellm_clouds import CLOUDS, cloud_options, cloud_variables
from turnout.importing.notes import Notes, filled, number, variable_of
from turnout.observe.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Kind:
    """A provider that LiteLLM knows by the prefix of `model`."""

    base_url: str = ""
    """Empty: it has to be given."""
    key: str = ""
    """The variable that LiteLLM reads its key from; empty: it needs none."""
    api: str = "chat"
    path: str = ""
    """What LiteLLM puts behind an `api_base` that is given."""
    own: bool = False
    """Whether it is run by its users, who pay no price by the token."""


KINDS: Mapping[str, Kind] = {
    "openai": Kind("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": Kind("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "messages", "/v1"),
    "azure": Kind("", "AZURE_API_KEY", path="/openai/v1"),
    "mistral": Kind("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "groq": Kind("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "deepseek": Kind("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together_ai": Kind("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Kind("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "openrouter": Kind("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": Kind("https://api.x.ai/v1", "XAI_API_KEY"),
    "perplexity": Kind("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "cerebras": Kind("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "sambanova": Kind("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "nvidia_nim": Kind("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "deepinfra": Kind("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "gemini": Kind("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "ollama": Kind("http://127.0.0.1:11434/v1", path="/v1", own=True),
    "ollama_chat": Kind("http://127.0.0.1:11434/v1", path="/v1", own=True),
    "hosted_vllm": Kind(own=True),
    "vllm": Kind(own=True),
    "lm_studio": Kind(own=True),
    "llamafile": Kind("http://127.0.0.1:8080/v1", own=True),
    "xinference": Kind(own=True),
    "litellm_proxy": Kind("", "LITELLM_PROXY_API_KEY"),
    "custom_openai": Kind(),
    "openai_like": Kind(),
}
"""Prefix → provider. What is not here speaks no API that a gateway could be pointed at by a URL and a key."""

_UNSET = frozenset({
    "", "none", "null", "empty", "dummy", "anything", "fake", "fake-key", "not-needed", "no-key",
    "na", "n/a", "x", "xxx", "sk-xxx", "sk-no-key-required", "ollama", "lm-studio", "test",
})  # fmt: skip
"""What people write where a key has to be given and none is needed."""
_HOST = re.compile(r"^https?://")


@dataclass(slots=True)
class Endpoints:
    """The providers that are needed so far, by names of their own."""

    notes: Notes
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """`timeout_s` and `first_byte_timeout_s` of deployments that say nothing of it."""
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    _secrets: dict[tuple[str, str], str] = field(default_factory=dict)
    """Secret in clear, and the usual variable of its kind → the variable that is to hold it. What is
    here never leaves this object."""

    def name_of(self, kind: str, params: Mapping[str, Any], where: str, *, api: str = "") -> str:
        """The name of the provider of a deployment; empty where it has no URL.

        Args:
            kind: one of `KINDS`.
            params: `litellm_params`.
            where: of them in the source.
            api: instead of the usual one.
        """
        known = KINDS[kind]
        base_url = self._base_url(kind, known, params, where)
        if not base_url:
            return ""
        given: dict[str, Any] = {"base_url": base_url}
        if (api or known.api) != "chat":
            given["api"] = api or known.api
        given |= self._key(known, params, where)
        given |= self._waits(params, where)
        headers = self._headers(params, where)
        if headers:
            given["headers"] = headers
        return self._named(kind if not api else f"{kind}-{api}", given)

    def cloud_of(self, kind: str, params: Mapping[str, Any], where: str) -> str:
        """The name of the provider of kind litellm of a deployment.

        Args:
            kind: one of `CLOUDS`.
            params: `litellm_params`.
            where: of them in the source.
        """
        cloud = CLOUDS[kind]
        given: dict[str, Any] = {"kind": "litellm"}
        url = params.get("api_base") or params.get("base_url")
        if isinstance(url, str):
            given["base_url"] = filled(url.strip().rstrip("/"))
            if variable := variable_of(url):
                self.notes.variables.setdefault(variable, "a base URL, without a slash at its end")
        if cloud.key:
            given |= self._key(Kind(key=cloud.key), params, where)
        variables = cloud_variables(cloud, params)
        for name, what in variables.items():
            self.notes.variables.setdefault(name, what)
        if variables:
            given["env"] = list(variables)
        options = cloud_options(cloud, params)
        for text in options.values():
            for name in re.findall(r"\$\{(\w+)\}", str(text)):
                self.notes.variables.setdefault(name, "an option of a provider")
        if options:
            given["options"] = options
        given |= self._waits(params, where)
        self.notes.change(
            f"provider {kind}", "goes on being called by litellm: pip install 'turnout[litellm]'"
        )
        return self._named(kind, given)

    def _named(self, kind: str, given: dict[str, Any]) -> str:
        """The name of the provider that is set up just so."""
        for name, other in self.found.items():
            if other == given:
                return name
        return self._added(kind, given)

    def _added(self, kind: str, given: dict[str, Any]) -> str:
        base = kind.replace("_", "-")
        names = (base if i == 1 else f"{base}-{i}" for i in range(1, len(self.found) + 2))
        name = next(n for n in names if n not in self.found)
        self.found[name] = given
        return name

    def _base_url(self, kind: str, known: Kind, params: Mapping[str, Any], where: str) -> str:
        given = params.get("api_base") or params.get("base_url")
        if not isinstance(given, str) or not given.strip():
            if not known.base_url:
                self.notes.leave(where, "it has no api_base, so that nobody knows where it is")
            return known.base_url
        variable, url = variable_of(given), filled(given.strip())
        if variable is None and not _HOST.match(url):
            self.notes.leave(f"{where}.api_base", "it is no http or https URL")
            return ""
        if variable is not None:
            self.notes.variables.setdefault(variable, "the base URL, without a slash at its end")
        url, mark, _ = url.partition("?")
        if mark:
            self.notes.leave(f"{where}.api_base: what follows the ?", "URLs here have no query")
        url = url.rstrip("/")
        if kind == "azure":
            url = re.sub(r"/openai(/.*)?$", "", url)
            if "api_version" in params:
                self.notes.change(
                    f"{where}.api_version",
                    "not sent: it is called by Azure's versionless API, /openai/v1",
                )
        for end in ("/messages", "/chat/completions", "/api/chat", "/api/generate"):
            url = url.removesuffix(end)
        return url if not known.path or url.endswith(known.path) else url + known.path

    def _key(self, known: Kind, params: Mapping[str, Any], where: str) -> dict[str, str]:
        given = params.get("api_key")
        variable = variable_of(given)
        if variable is None and isinstance(given, str) and given.lower() in _UNSET:
            self.notes.change(f"{where}.api_key", "left out: it says that none is needed")
            return {}
        if variable is None and given is None:
            variable = known.key
        elif variable is None:
            variable = self.instead(str(given), known.key or "UPSTREAM_API_KEY", f"{where}.api_key")
        if not variable:
            return {}
        self.notes.variables.setdefault(variable, "the key of a provider")
        return {"api_key_env": variable}

    def instead(self, secret: str, variable: str, where: str) -> str:
        """The variable that holds a secret from now on: it is not copied."""
        if (secret, variable) not in self._secrets:
            taken = {*self._secrets.values(), *self.notes.variables}
            names = (variable if i == 1 else f"{variable}_{i}" for i in range(1, len(taken) + 2))
            self._secrets[secret, variable] = next(n for n in names if n not in taken)
        name = self._secrets[secret, variable]
        self.notes.variables.setdefault(name, f"what {where} holds in clear")
        self.notes.change(where, f"a secret in clear is not copied: it is read from {name}")
        return name

    def _waits(self, params: Mapping[str, Any], where: str) -> dict[str, float]:
        found = dict(self.timeouts)
        for key, name in (("timeout", "timeout_s"), ("stream_timeout", "first_byte_timeout_s")):
            seconds = number(params, key)
            if seconds is not None and seconds > 0:
                found[name] = seconds
            elif params.get(key) is not None:
                self.notes.leave(f"{where}: {key}", "it is no number of seconds")
        return found

    def _headers(self, params: Mapping[str, Any], where: str) -> dict[str, str]:
        found: dict[str, str] = {}
        given = params.get("extra_headers") or params.get("headers")
        for name, value in (given if isinstance(given, dict) else {}).items():
            text = str(value)
            if variable_of(text) is None and _is_secret(str(name), text):
                variable = re.sub(r"\W+", "_", f"HEADER_{name}").upper()
                place = f"{where}.extra_headers.{name}"
                text = f"${{{self.instead(text, variable, place)}}}"
            found[str(name)] = filled(text)
        if isinstance(params.get("organization"), str):
            found["openai-organization"] = filled(params["organization"])
        for text in found.values():
            for variable in re.findall(r"\$\{(\w+)\}", text):
                self.notes.variables.setdefault(variable, "a header of a provider")
        return found


def _is_secret(header: str, value: str) -> bool:
    named = re.search(r"auth|key|token|secret|cookie|password", header, re.IGNORECASE)
    return bool(named) or Redactor().clean(value) != value


def kind_and_model(params: Mapping[str, Any]) -> tuple[str, str]:
    """The provider and the model that `model` means: `groq/llama-3` → `("groq", "llama-3")`.

    A provider that is not in `KINDS` is given all the same, so that it can be named.
    """
    model = str(params.get("model") or "")
    stated = params.get("custom_llm_provider")
    if isinstance(stated, str):
        return stated, model.removeprefix(f"{stated}/")
    prefix, slash, rest = model.partition("/")
    if slash and (prefix in KINDS or not (params.get("api_base") or params.get("base_url"))):
        return prefix, rest
    if re.match(r"(gpt|chatgpt|o\d|text-embedding)", model):
        return "openai", model
    if model.startswith("claude"):
        return "anthropic", model
    if params.get("api_base") or params.get("base_url"):
        return "custom_openai", model
    return "", model
