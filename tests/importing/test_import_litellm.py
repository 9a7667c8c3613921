"""`turnout import litellm`: what is carried over, what is named, what is never copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from click.testing import CliRunner, Result

from scripted_thread import upstream
from served import served
from turnout.checking.run import check_file
from turnout.cli import cli
from turnout.errors import DataError, InputError, SettingsError
from turnout.importing.litellm import Imported, import_litellm
from turnout.settings import load_settings, parse_settings

CANARY = "sk-canary-0123456789abcdef"
ENV = {
    "AZURE_EU_KEY": CANARY,
    "AZURE_API_KEY": CANARY + "2",
    "OPENAI_API_KEY": CANARY + "3",
    "ANTHROPIC_API_KEY": CANARY + "4",
    "GROQ_API_KEY": CANARY + "5",
    "LITELLM_MASTER_KEY": CANARY + "6",
    "PROXY_KEY": CANARY + "7",
    "GEMINI_API_KEY": CANARY + "8",
    "OPENROUTER_API_KEY": CANARY + "9",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": CANARY + "0",
    "VLLM_URL": "http://127.0.0.1:9/v1",
}

TEAM = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://eu.openai.azure.com/
      api_key: os.environ/AZURE_EU_KEY
      api_version: "2024-08-01-preview"
      rpm: 6
    model_info: {base_model: azure/gpt-4o}
  - model_name: gpt-4o
    litellm_params: {model: azure/gpt-4o-ca, api_base: "https://ca.openai.azure.com", api_key: CANARY}
    tpm: 9000
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, weight: 2}
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
      max_tokens: 8192
      timeout: 300
      stream_timeout: 45
      reasoning_effort: low
  - model_name: own
    litellm_params:
      model: hosted_vllm/meta-llama/Llama-3.1-8B
      api_base: os.environ/VLLM_URL
      api_key: none
      input_cost_per_token: 0.0000002
      output_cost_per_token: 4e-7
    model_info: {max_input_tokens: 131072, max_output_tokens: 8192, supports_vision: false}
  - model_name: nova
    litellm_params: {model: bedrock/amazon.nova-pro, aws_secret_access_key: CANARY,
      aws_access_key_id: os.environ/OUR_AWS_ID, aws_region_name: eu-west-1}
  - model_name: "openai/*"
    litellm_params: {model: "openai/*"}
  - model_name: pictures
    litellm_params: {model: openai/gpt-image-1}
    model_info: {mode: image_generation}
  - model_name: vectors
    litellm_params: {model: text-embedding-3-small, input_cost_per_token: 2e-8}
    model_info: {mode: embedding}
  - model_name: far
    litellm_params: {model: nowhere_known/x}
litellm_settings:
  drop_params: true
  num_retries: 3
  request_timeout: 120
  fallbacks: [{gpt-4o: [claude, own]}]
  cache: true
  cache_params: {type: redis, host: cache, password: CANARY, ttl: 300}
  success_callback: [langfuse]
  max_budget: 100
  budget_duration: 30d
router_settings:
  routing_strategy: latency-based-routing
  model_group_alias: {gpt-4: gpt-4o, small: {model: own, hidden: true}, gone: far}
  allowed_fails: 3
  cooldown_time: 30
  redis_password: CANARY
general_settings:
  master_key: CANARY
  database_url: postgresql://u:CANARY@h/d
  alerting: [slack]
environment_variables: {LANGFUSE_SECRET_KEY: CANARY}
guardrails: [{guardrail_name: x}]
""".replace("CANARY", CANARY)

SMALL = """
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {model: gpt-4o-mini}
"""
LOCAL = """
model_list:
  - model_name: llama
    litellm_params: {model: ollama_chat/llama3.1, api_base: "http://127.0.0.1:11434"}
  - model_name: phi
    litellm_params: {model: ollama/phi3}
"""
MANY = """
credential_list:
  - credential_name: shared
    credential_values: {api_key: os.environ/OPENAI_API_KEY, api_base: "https://api.openai.com/v1"}
model_list:
  - {model_name: best, litellm_params: {model: openai/responses/gpt-5, litellm_credential_name: shared}}
  - {model_name: fast, litellm_params: {model: groq/llama-3.3-70b-versatile}}
  - {model_name: wide, litellm_params: {model: gemini/gemini-2.5-pro, input_cost_per_token: 1.25e-6,
     output_cost_per_token: 1e-5, input_cost_per_token_above_200k_tokens: 2.5e-6,
     cache_read_input_token_cost: 3.1e-7, input_cost_per_second: 0.1}}
  - {model_name: any, litellm_params: {model: openrouter/nobody/nothing-known, extra_headers:
     {x-title: our app, x-secret: CANARY}}}
  - {model_name: auto, litellm_params: {model: openai/gpt-4o-mini}}
general_settings: {master_key: os.environ/PROXY_KEY, global_max_parallel_requests: 50, max_request_size_mb: 4}
""".replace("CANARY", CANARY)
MIXED = """
model_list:
  - {model_name: chat, litellm_params: {model: openai/gpt-4o}}
  - {model_name: chat, litellm_params: {model: anthropic/claude-sonnet-4-5}}
  - {model_name: chat, litellm_params: {model: openai/gpt-4o, rpm: 3}}
"""


def made(text: str) -> tuple[dict[str, Any], Imported]:
    found = import_litellm(text)
    return yaml.safe_load(found.text), found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["import", "litellm", *arguments], catch_exceptions=False)


@pytest.mark.parametrize(
    "text", [TEAM, SMALL, LOCAL, MANY, MIXED], ids="team small local many mixed".split()
)
def test_the_result_passes_the_check(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnout.checking.opening._installed", lambda module: True)
    source, out = tmp_path / "config.yaml", tmp_path / "turnout.yaml"
    source.write_text(text)
    result = run(str(source), "--out", str(out))
    assert result.exit_code == 0
    environ = {**ENV, "LANGFUSE_SECRET_KEY": "x", "HEADER_X_SECRET": CANARY}
    report = check_file(out, environ)
    assert report.count("error") == 0, report.findings
    assert all(secret["present"] for secret in report.facts["secrets"])
    named = {secret["name"] for secret in report.facts["secrets"]}
    assert ("AWS_SECRET_ACCESS_KEY" in named) == (text is TEAM)
    assert "secret-in-file" not in {f.code for f in report.findings}
    assert CANARY not in out.read_text() + result.stderr
    for line in result.stderr.splitlines()[:-1]:  # all that is said stands in the file as well
        assert line.removeprefix("- ") in out.read_text()


def test_deployments_of_one_name_are_replicas_of_a_candidate() -> None:
    settings, found = made(TEAM)
    gpt = next(c for c in settings["candidates"] if c["name"] == "gpt-4o")
    assert gpt == {
        "name": "gpt-4o",
        "model": "gpt-4o-eu",
        "provider": "azure",
        "known_as": "gpt-4o",
        "replicas": [
            {"provider": "azure-2", "model": "gpt-4o-ca"},
            {"provider": "openai", "model": "gpt-4o"},
        ],
    }
    assert settings["providers"]["azure"] == {
        "base_url": "https://eu.openai.azure.com/openai/v1",
        "api_key_env": "AZURE_EU_KEY",
        "timeout_s": 120,
    }
    assert settings["providers"]["azure-2"]["api_key_env"] == "AZURE_API_KEY"
    assert (
        found.notes.variables["AZURE_API_KEY"] == "what model_list[1] gpt-4o.api_key holds in clear"
    )


def test_what_a_deployment_says_becomes_settings() -> None:
    settings, _ = made(TEAM)
    by_name = {c["name"]: c for c in settings["candidates"]}
    assert list(by_name) == ["claude", "gpt-4o", "own", "nova"]  # dearest first
    assert by_name["claude"]["arm_output_tokens"] == 8192
    assert by_name["claude"]["effort"] == "low"
    assert settings["providers"]["anthropic"] == {
        "base_url": "https://api.anthropic.com/v1",
        "api": "messages",
        "api_key_env": "ANTHROPIC_API_KEY",
        "timeout_s": 300,
        "first_byte_timeout_s": 45,
    }
    assert by_name["own"] == {
        "name": "own",
        "model": "meta-llama/Llama-3.1-8B",
        "provider": "hosted-vllm",
        "price": {"input_usd": 0.2, "output_usd": 0.4},
        "context_tokens": 131072,
        "max_output_tokens": 8192,
        "capabilities": ["tools", "json_schema", "audio", "files"],
    }
    assert settings["providers"]["hosted-vllm"] == {"base_url": "${VLLM_URL}", "timeout_s": 120}
    assert settings["embeddings"] == [
        {
            "name": "vectors",
            "model": "text-embedding-3-small",
            "provider": "openai",
            "price": {"input_usd": 0.02},
        }
    ]


def test_the_rest_of_the_config_becomes_settings() -> None:
    settings, _ = made(TEAM)
    assert settings["resilience"] == {
        "retries": 3,
        "breaker_failures": 4,
        "breaker_open_s": 30,
        "spares": 2,
    }
    assert settings["routes"] == {"gpt-4": {"allow": ["gpt-4o"]}, "small": {"allow": ["own"]}}
    assert settings["cache"] == {"ttl_s": 300}
    assert settings["limits"] == {"budgets_usd": {"month": 100}}
    assert settings["keys"] == [
        {"name": "master", "key_env": "LITELLM_MASTER_KEY", "role": "admin"}
    ]
    assert settings["store"] == {"path": "turnout.db"}
    more, _ = made(MANY)
    assert more["limits"] == {"concurrent": 50}
    assert more["max_body_bytes"] == 4 << 20
    assert more["keys"][0]["key_env"] == "PROXY_KEY"


@pytest.mark.parametrize("kind", ["redis-semantic", "qdrant-semantic"])
def test_a_semantic_cache_becomes_one_that_has_to_prove_itself(kind: str) -> None:
    params = {"type": kind, "similarity_threshold": 0.8, "ttl": 300}
    config = yaml.safe_load(SMALL) | {"litellm_settings": {"cache": True, "cache_params": params}}
    settings, found = made(yaml.safe_dump(config))
    assert settings["cache"] == {"ttl_s": 300, "semantic": {}}
    assert "litellm_settings.cache_params.type" in found.notes.changed
    assert "litellm_settings.cache_params.similarity_threshold" in found.notes.left_out
    off, _ = made(yaml.safe_dump(config | {"litellm_settings": {"cache_params": params}}))
    assert "cache" not in off


def test_an_alias_asks_for_one_candidate_alone(tmp_path: Path) -> None:
    from turnout.gateway.routing.routes import Route
    from turnout.gateway.setup.building import build_engine
    from turnout.gateway.setup.cataloging import build_catalog

    settings = parse_settings(import_litellm(TEAM).text, ENV, folder=tmp_path)
    route = build_catalog(settings, build_engine(settings)).resolve("gpt-4")
    assert isinstance(route, Route)
    assert route.limits.allow == {"gpt-4o"}


def test_what_is_not_carried_over_is_named() -> None:
    _, found = made(TEAM)
    left = found.notes.left_out
    for where in (
        "model_list[0] gpt-4o: rpm (6)",
        "model_list[1] gpt-4o: tpm (9000)",
        "model_list[2] gpt-4o: weight (2)",
        "model_list[9] far",
        "model_list[6] openai/*",
        "model_list[7] pictures",
        "litellm_settings.drop_params (True)",
        "litellm_settings.fallbacks: gpt-4o to claude, own",
        "litellm_settings.cache_params.password",
        "litellm_settings.success_callback",
        "router_settings.routing_strategy",
        "router_settings.redis_password",
        "router_settings.model_group_alias.small.hidden",
        "router_settings.model_group_alias.gone",
        "general_settings.database_url",
        "general_settings.alerting",
        "guardrails",
    ):
        assert where in left, where
    assert "LANGFUSE_SECRET_KEY" in found.notes.variables


@pytest.mark.parametrize("section", ["litellm_settings", "router_settings", "general_settings"])
def test_no_key_is_dropped_in_silence(section: str) -> None:
    """Each key of each section is read, or named: a strange value, and a key that nobody knows."""
    from turnout.importing.litellm_settings import _READERS, _WHY

    for key in (*_READERS, *_WHY, "some_new_setting"):
        config = yaml.safe_load(SMALL) | {section: {key: {"odd": ["value"]}}}
        _, found = made(yaml.safe_dump(config))
        said = "\n".join(found.notes.lines())
        assert key in said, key


def test_and_none_of_a_deployment() -> None:
    config = yaml.safe_load(SMALL)
    entry = config["model_list"][0]
    entry["litellm_params"] |= {"temperature": 0.2, "tags": ["a"], "timeout": "soon", "rpm": 3}
    entry["model_info"] = {"access_groups": ["x"], "input_cost_per_second": 0.1}
    entry["surprise"] = 1
    _, found = made(yaml.safe_dump(config))
    for key in ("temperature", "tags", "timeout", "rpm", "access_groups", "per_second", "surprise"):
        assert any(key in where for where in found.notes.left_out), key


def test_prices_of_long_inputs_and_unknown_prices() -> None:
    settings, found = made(MANY)
    by_name = {c["name"]: c for c in settings["candidates"]}
    assert by_name["wide"]["price"] == {
        "input_usd": 1.25,
        "output_usd": 10.0,
        "cache_read_usd": 0.31,
        "above": {200000: {"input_usd": 2.5}},
    }
    assert by_name["any"]["price"] == {"input_usd": 0.0, "output_usd": 0.0}
    assert "does not have it" in found.notes.changed["the price of any"]
    assert settings["providers"]["openrouter"]["headers"] == {
        "x-title": "our app",
        "x-secret": "${HEADER_X_SECRET}",
    }
    assert settings["providers"]["openai-responses"]["api"] == "responses"
    assert by_name["best"]["model"] == "gpt-5"
    assert "model-auto" in by_name  # `auto` asks for a route here


def test_models_that_differ_are_no_replicas() -> None:
    settings, found = made(MIXED)
    assert {c["name"] for c in settings["candidates"]} == {"chat", "chat-claude-sonnet-4-5"}
    assert not any("replicas" in c for c in settings["candidates"])
    assert "of its own" in found.notes.changed["model_list[1] chat"]
    assert "stand there already" in found.notes.left_out["model_list[2] chat"]


def test_clouds_go_on_being_called_by_litellm() -> None:
    settings, found = made(TEAM)
    nova = next(c for c in settings["candidates"] if c["name"] == "nova")
    assert (nova["model"], nova["provider"]) == ("bedrock/amazon.nova-pro", "bedrock")
    assert settings["providers"]["bedrock"] == {
        "kind": "litellm",
        "env": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        "options": {"aws_region_name": "eu-west-1"},
        "timeout_s": 120,
    }
    assert found.notes.variables["AWS_ACCESS_KEY_ID"] == "what OUR_AWS_ID holds"
    assert "not copied" in found.notes.variables["AWS_SECRET_ACCESS_KEY"]
    assert "turnout[litellm]" in found.notes.changed["provider bedrock"]
    text = """
model_list:
  - {model_name: r, litellm_params: {model: cohere/command-r, api_key: os.environ/CO}}
  - {model_name: g, litellm_params: {model: vertex_ai/gemini-2.5-pro, vertex_project: os.environ/PROJECT}}
  - {model_name: e, litellm_params: {model: bedrock/amazon.titan-embed-text-v2}}
"""
    more, said = made(text)
    assert more["providers"]["cohere"] == {"kind": "litellm", "api_key_env": "CO"}
    assert more["providers"]["vertex-ai"] == {
        "kind": "litellm",
        "env": ["GOOGLE_APPLICATION_CREDENTIALS"],
        "options": {"vertex_project": "${PROJECT}"},
    }
    assert {"CO", "PROJECT"} < set(said.notes.variables)
    assert "model_list[2] e" in said.notes.left_out


def test_local_models_are_free_and_need_no_key() -> None:
    settings, _ = made(LOCAL)
    assert settings["providers"] == {"ollama-chat": {"base_url": "http://127.0.0.1:11434/v1"}}
    assert all(c["price"] == {"input_usd": 0.0, "output_usd": 0.0} for c in settings["candidates"])


def test_a_name_cannot_end_the_comment_that_it_stands_in() -> None:
    config = yaml.safe_load(SMALL) | {"x\nkeys: []\nlisten": 1}
    settings, _ = made(yaml.safe_dump(config))
    assert "listen" not in settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "valid YAML"),
        ("[]", "with a model_list"),
        ("model_list: []", "with a model_list"),
        ("model_list: [{model_name: a, litellm_params: {model: nowhere/x}}]", "nowhere"),
        ("model_list: [{model_name: a, litellm_params: {model: azure/x}}]", "no api_base"),
        ("model_list: [3]", "no litellm_params"),
    ],
)
def test_what_is_no_config_is_refused(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        import_litellm(text)


def test_a_url_with_a_password_is_refused_and_not_shown() -> None:
    url = f"https://u:{CANARY}@h/v1"
    text = (
        f"model_list: [{{model_name: a, litellm_params: {{model: openai/x, api_base: '{url}'}}}}]"
    )
    with pytest.raises(SettingsError) as refused:
        import_litellm(text)
    assert CANARY not in str(refused.value)


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    source = tmp_path / "config.yaml"
    source.write_text(SMALL)
    with pytest.raises(InputError, match="there already"):
        run(str(source), "--out", str(source))
    assert source.read_text() == SMALL
    with pytest.raises(DataError, match="readable"):
        run(str(tmp_path / "absent.yaml"))
    printed = run(str(source))
    assert yaml.safe_load(printed.stdout)["candidates"][0]["name"] == "gpt-4o-mini"


ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "model": "llama3.1",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}


def test_from_a_config_to_an_answer(tmp_path: Path) -> None:
    """Import, check, serve, and one call under the master key, by an alias."""
    body = json.dumps(ANSWER).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with upstream(head.encode() + body) as site:
        config = f"""
model_list:
  - {{model_name: llama, litellm_params: {{model: ollama_chat/llama3.1, api_base: "{site.url}"}}}}
  - {{model_name: big, litellm_params: {{model: hosted_vllm/big, api_base: "{site.url}/v1",
     api_key: os.environ/BIG}}}}
router_settings: {{model_group_alias: {{gpt-3.5-turbo: llama}}}}
general_settings: {{master_key: sk-1234}}
"""
        source, out = tmp_path / "config.yaml", tmp_path / "turnout.yaml"
        source.write_text(config)
        assert run(str(source), "--out", str(out)).exit_code == 0
        environ = {"LITELLM_MASTER_KEY": CANARY, "BIG": "big-key-0123456789"}
        assert check_file(out, environ).count("error") == 0
        assert load_settings(out, environ).keys[0].role == "admin"
        with served(out, environ=environ) as gateway:
            url = f"{gateway.url}/v1/chat/completions"
            asked = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "2 + 2?"}]}
            assert httpx2.post(url, json=asked, timeout=20).status_code == 401
            key = {"authorization": f"Bearer {CANARY}"}
            reply = httpx2.post(url, json=asked, headers=key, timeout=20)
    assert reply.json()["choices"][0]["message"]["content"] == "4"
    assert reply.headers["x-turnout-model"] == "llama"
    [sent] = site.requests
    assert sent.startswith(b"POST /v1/chat/completions ")
    assert b'"model":"llama3.1"' in sent.replace(b" ", b"")
    assert CANARY.encode() not in sent
