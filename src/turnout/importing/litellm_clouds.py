"""LiteLLM's providers whose APIs the gateway does not speak: they go on being called by that library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.importing.notes import filled, variable_of


@dataclass(frozen=True, slots=True)
class Cloud:
    """A provider, by what the library is told of it."""

    key: str = ""
    """The variable of its key; empty: it has none."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Parameter that is a secret → the variable that the library reads it from."""
    needed: tuple[str, ...] = ()
    """Of these variables, those that it reads where no parameter says otherwise."""
    options: tuple[str, ...] = ()
    """Parameters that are no secrets."""


_AWS = Cloud(
    secrets={
        "aws_access_key_id": "AWS_ACCESS_KEY_ID",
        "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
        "aws_session_token": "AWS_SESSION_TOKEN",
    },
    needed=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    options=("aws_region_name", "aws_role_name", "aws_session_name", "aws_profile_name"),
)

CLOUDS: Mapping[str, Cloud] = {
    "bedrock": _AWS,
    "sagemaker": _AWS,
    "sagemaker_chat": _AWS,
    "vertex_ai": Cloud(
        secrets={"vertex_credentials": "GOOGLE_APPLICATION_CREDENTIALS"},
        needed=("GOOGLE_APPLICATION_CREDENTIALS",),
        options=("vertex_project", "vertex_location"),
    ),
    "cohere": Cloud("COHERE_API_KEY"),
    "cohere_chat": Cloud("COHERE_API_KEY"),
    "azure_ai": Cloud("AZURE_AI_API_KEY"),
    "databricks": Cloud("DATABRICKS_API_KEY"),
    "replicate": Cloud("REPLICATE_API_KEY"),
    "huggingface": Cloud("HUGGINGFACE_API_KEY"),
    "ai21": Cloud("AI21_API_KEY"),
}
"""Prefix → provider of kind litellm."""


def cloud_parameters(kind: str) -> frozenset[str]:
    """What of `litellm_params` such a provider reads, beside its key and URL."""
    cloud = CLOUDS.get(kind, Cloud())
    return frozenset({*cloud.secrets, *cloud.options})


def cloud_options(cloud: Cloud, params: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of each call that are no secrets."""
    return {
        name: filled(params[name]) if isinstance(params[name], str) else params[name]
        for name in cloud.options
        if isinstance(params.get(name), str | int | float)
    }


def cloud_variables(cloud: Cloud, params: Mapping[str, Any]) -> dict[str, str]:
    """Variables that the library is given → where their value is now, in words.

    It reads variables of its own names alone: another name in the config says where the value is.
    """
    found = dict.fromkeys(cloud.needed, "a credential; leave it out of `env` where a role gives it")
    for name, variable in cloud.secrets.items():
        given = params.get(name)
        if given is None:
            continue
        source = variable_of(given)
        found[variable] = (
            "a credential"
            if source == variable
            else f"what {source} holds"
            if source
            else f"what {name} holds in clear; it is not copied"
        )
    return found
