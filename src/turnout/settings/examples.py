"""An example of each section of the settings, for its reference. A test reads every one."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, str] = {
    "listen": "listen: {host: 0.0.0.0, port: 8080}\n",
    "providers": """\
providers:
  openai: {base_url: https://api.openai.com/v1, api_key_env: OPENAI_API_KEY}
  anthropic: {base_url: https://api.anthropic.com/v1, api: messages, api_key_env: ANTHROPIC_API_KEY}
  local: {base_url: http://127.0.0.1:8000/v1, first_byte_timeout_s: 60}
  clouds: {kind: litellm, env: [COHERE_API_KEY], options: {vertex_location: europe-west4}}
""",
    "candidates": """\
candidates:            # strongest first
  - {name: gpt-4.1, provider: openai}
  - name: small
    model: meta-llama/Llama-3.1-8B-Instruct
    provider: local
    price: {input_usd: 0, output_usd: 0}
    context_tokens: 131072
    capabilities: [tools, json_schema]
    replicas: [{provider: openai, model: gpt-4.1-nano}]
""",
    "embeddings": """\
embeddings:
  - {name: text-embedding-3-small, provider: openai, dimensions: 512}
""",
    "default": "default: gpt-4.1\n",
    "routers": """\
routers:
  blend: {fallback: router-random-0.5}
  random: {seed: 7}
""",
    "learn": "learn: {keep: learned, every_s: 300}\n",
    "encoders": """\
encoders:
  own: {base_url: http://127.0.0.1:8081/v1, model: bge-small-en-v1.5, dimension: 384}
""",
    "auto": "auto: router-blend-0.4\n",
    "routes": """\
routes:
  support: {router: blend, strong_share: 0.3, max_cost_usd: 0.02}
  trial: {mode: shadow, serves: gpt-4.1, threshold: 0.6}
""",
    "response_model": "response_model: requested\n",
    "shadow": "shadow: router-blend-0.6\n",
    "experiments": """\
experiments:
  cheaper: {arms: {now: gpt-4.1, routed: router-blend-0.5}, share: 0.1}
""",
    "cache": """\
cache:
  ttl_s: 600
  max_bytes: 268435456
  semantic: {max_error_rate: 0.02, verify_share: 0.1}
""",
    "idempotency": "idempotency: {ttl_s: 86400}\n",
    "mirror": "mirror: {to: gpt-4.1, share: 0.01, budget_usd_per_day: 5}\n",
    "alarm": "alarm: {action: clamp, strong_share: {auto: 0.5}}\n",
    "explore": "explore: {share: 0.02, most_cost_usd: 0.01}\n",
    "store": "store: {path: turnout.db}\n",
    "resilience": "resilience: {spares: 1, retries: 1, breaker_open_s: 10}\n",
    "server": "server: {max_in_flight: 512, drain_s: 60}\n",
    "conversations": "conversations: {idle_s: 600, keep_s: 7200}\n",
    "log": "log: {format: json, level: warning}\n",
    "metrics": "metrics: {listen: {host: 127.0.0.1, port: 9090}}\n",
    "dashboard": "dashboard: true\nstore: {path: turnout.db}\n",
    "otel": "otel: {traces: true, metrics: true}\n",
    "auth": "auth: {required: true}\n",
    "keys": """\
keys:
  - {name: ci, key_env: CI_KEY, team: data, budgets_usd: {day: 5}}
teams:
  data: {budgets_usd: {month: 100}}
""",
    "teams": """\
teams:
  data: {budgets_usd: {month: 100}, requests_per_minute: 600, deny: ["gpt-4.1"]}
""",
    "limits": "limits: {budgets_usd: {day: 50}, concurrent: 200}\n",
    "reserve": "reserve: {output_tokens: 8192, send_limit: true}\n",
    "counters": "counters: {redis_url_env: REDIS_URL, when_down: local}\n",
    "allow_passthrough": "allow_passthrough: false\n",
    "max_body_bytes": "max_body_bytes: 8388608\n",
}
"""Section → YAML, which stands beside `providers` and `candidates`."""
