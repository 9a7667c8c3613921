"""Fields by which a client would choose the upstream, or hand it a key: refused by name.

Proxies of models take some of them (LiteLLM's `api_base`, CVE-2024-6587), and one may stand behind this
gateway: passed on, they would send its keys elsewhere. OpenAI's and Anthropic's APIs have none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.errors import RequestError
from turnout.wire.reading import Kind

REFUSED = frozenset({
    "api_base", "base_url", "api_key", "user_config", "litellm_params", "litellm_credential_name",
    "custom_llm_provider", "azure_ad_token", "vertex_credentials", "aws_access_key_id",
    "aws_secret_access_key", "aws_session_token",
})  # fmt: skip
_REMEDY = "leave it out: which upstream is called, and with which key, is in the gateway's settings"


def check_upstream_is_ours(fields: Mapping[str, Any]) -> None:
    """Raise where a request names an upstream, at its top or in `extra_body`.

    Raises:
        RequestError: names the field, and not its value.
    """
    if not REFUSED.isdisjoint(fields):
        name = min(REFUSED & fields.keys())
        raise RequestError(name, Kind("a field that names an upstream"), _REMEDY)
    more = fields.get("extra_body")
    if more is not None and isinstance(more, Mapping):
        check_upstream_is_ours({name: None for name in more if name != "extra_body"})
