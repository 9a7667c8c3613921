"""One name for one model: outcome sets spell models in many ways, and users in others."""

from __future__ import annotations

import re

from turnout.routers.columns import normalise

_VENDOR = re.compile(
    r"^(?:meta-llama_|meta-llama/|meta/|qwen/|google/|google_|mistralai/|mistralai--|microsoft--"
    r"|qwen--|databricks--|databricks-|cohereforai--|huggingfaceh4--|bigcode--|wizardlm/"
    r"|zero-one-ai/|nousresearch_|salesforce_|ibm-granite_|nvidia_|meetkai_|thudm_|snowflake_"
    r"|deepseek-ai_)"
)
_MODE = re.compile(r"@\w+$|\s*\(n=1\)|-fc(?:-auto|-any)?$")
_EFFORT = re.compile(r"\s*\((low|med|medium|high|thinking)\)")
_DATE = re.compile(r"-(?:20\d\d-\d\d-\d\d|20\d{6}|preview-0\d{3}|exp-0\d{3}|0724|0628|0908)")

_SPELLINGS: dict[str, str] = {
    "gpt-4-turbo": "gpt-4-1106-preview gpt-4-0125-preview gpt-4-turbo-2024-04-09 gpt-4-turbo-1106",
    "gpt-4": "gpt-4-0613 gpt-4-0314",
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125 gpt-3.5-turbo-0301 gpt-3.5-turbo-1106",
    "gpt-4o": "chatgpt-4o-latest-24-09-07",
    "mixtral-8x7b-instruct": "mixtral-8x7b-chat open-mixtral-8x7b mixtral-8x7b-instruct-v0.1",
    "mixtral-8x22b-instruct": "open-mixtral-8x22b mixtral-8x22b-instruct-v0.1",
    "mistral-large": "mistral-large-latest",
    "mistral-large-2407": "mistral-large-2",
    "mistral-7b-instruct-v0.1": "mistral-7b-chat",
    "claude-instant-1": "claude-instant-1.2 claude-instant-v1",
    "claude-2": "claude-2.1 claude-v2",
    "claude-1": "claude-v1",
    "gemini-1.5-pro": "gemini-pro-1.5 google-gemini-pro-1.5",
    "gemini-1.5-pro-002": "gemini-pro-1.5-002",
    "gemini-1.0-pro": "google-gemini-pro gemini-pro",
    "gemini-1.0-ultra": "google-gemini-ultra",
    "gemini-1.5-flash": "gemini-flash-1.5",
    "gemini-1.5-flash-002": "gemini-flash-1.5-002",
    "gemini-2.0-flash-thinking": "gemini-flash-2.0-thinking",
    "command-r-plus": "command-r+ c4ai-command-r-plus",
    "command-r": "c4ai-command-r-v01",
    "codestral": "codestral-latest",
    "dbrx-instruct": "dbrx-ins",
    "deepseek-v2": "deepseek-v2-chat deepseek-chat-v2",
    "deepseek-coder-v2": "deepseek-v2-coder",
    "llama-3.1-405b-instruct": "llama-3.1-405b-inst llama-3.1-405b-inst-fp8",
    "qwen1.5-72b-chat": "qwen-1.5-72b-chat",
    "codellama-7b-instruct": "cllama-7b-ins",
    "codellama-13b-instruct": "cllama-13b-ins",
    "codellama-34b-instruct": "cllama-34b-ins code-llama-instruct-34b-chat",
    "codellama-70b-instruct": "code-llama-70b-instruct",
    "codellama-34b-base": "code-llama-34b",
    "deepseek-coder-33b-instruct": "dscoder-33b-ins",
    "deepseek-coder-6.7b-instruct": "dscoder-6.7b-ins",
    "deepseek-coder-1.3b-instruct": "dscoder-1.3b-ins",
    "deepseek-coder-6.7b-base": "dscoder-6.7b-base",
    "wizardcoder-34b": "wcoder-34b-v1",
    "opencodeinterpreter-ds-33b": "oc-ds-33b",
    "opencodeinterpreter-ds-6.7b": "oc-ds-6.7b",
    "reka-core": "reka-core-20240501",
    "reka-flash": "reka-flash-20240226",
}
"""Canonical name → spellings met in outcome sets, separated by spaces."""

_SAME = {spelling: name for name, many in _SPELLINGS.items() for spelling in many.split()}

_ALIASES: dict[str, str] = {
    "gpt-4-turbo": "gpt-4-1106-preview gpt-4-0125-preview gpt-4-turbo-preview",
    "gpt-4o": "chatgpt-4o-latest gpt-4o-2024-05-13 gpt-4o-2024-08-06 gpt-4o-2024-11-20",
    "claude-2": "claude-2.1 claude-v2",
    "claude-1": "claude-v1",
    "claude-instant-1": "claude-instant-1.2 claude-instant-v1",
    "mixtral-8x7b-instruct": "mixtral-8x7b-instruct-v0.1 mixtral-8x7b open-mixtral-8x7b",
    "mixtral-8x22b-instruct": "mixtral-8x22b-instruct-v0.1 mixtral-8x22b open-mixtral-8x22b",
    "mistral-large-2407": "mistral-large-2",
    "gemini-1.5-pro": "gemini-pro-1.5",
    "gemini-1.5-flash": "gemini-flash-1.5",
    "gemini-1.0-pro": "gemini-pro",
    "command-r-plus": "command-r+",
}
"""Canonical name → names that users give; dates are taken off when a name is looked up."""


def canonical(model: str) -> str:
    """A model's name as outcome sets mean it: no vendor, date, provider or calling mode."""
    name = _MODE.sub("", _VENDOR.sub("", model.strip().lower()))
    name = _EFFORT.sub(r"-\1", name)
    name = re.sub(r"^meta-llama-", "llama-", name)
    name = name.replace("claude-3-5", "claude-3.5").replace("claude-3-7", "claude-3.7")
    name = re.sub(r"-med$", "-medium", name)
    name = _SAME.get(name, name)
    name = _DATE.sub("", name)
    return _SAME.get(name, name)


def aliases(name: str) -> tuple[str, ...]:
    """The keys under which a canonical name is found on the ladder, itself first."""
    forms = [name, *_ALIASES.get(name, "").split()]
    if name.startswith(("claude-3.5", "claude-3.7")):
        forms.append(name.replace("claude-3.", "claude-3-", 1))
    if re.fullmatch(r"llama-3(?:\.\d)?-\d+b(?:-instruct)?", name):
        forms.append(f"meta-{name}")
    return tuple(dict.fromkeys(normalise(form) for form in forms))
