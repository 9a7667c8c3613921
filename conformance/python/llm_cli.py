"""The `llm` command, with its models file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from checking import ASK, BAD_KEY, CACHED_TOKENS, KEY, MODELS, UNKNOWN, V1, check, scripted

home = Path(tempfile.mkdtemp(prefix="conformance-llm-"))
os.environ["LLM_USER_PATH"] = str(home)
entries = [
    f"- {{model_id: {m}, model_name: {m}, api_base: '{V1}', api_key_name: gateway, "
    "supports_schema: true, supports_tools: true}\n"
    for m in (*MODELS, UNKNOWN)
]
(home / "extra-openai-models.yaml").write_text("".join(entries), encoding="utf-8")
(home / "keys.json").write_text(json.dumps({"gateway": KEY}), encoding="utf-8")


def llm(*arguments: str, good: bool = True) -> str:
    command = [str(Path(sys.executable).parent / "llm"), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert (done.returncode == 0) == good, done.stderr
    return done.stdout if good else done.stderr


@check("plain", "auto", "over-messages")
def _(model: str) -> None:
    assert ASK in llm("prompt", "-m", model, "--no-stream", ASK)


@check("stream", "auto", "over-messages")
def _(model: str) -> None:
    assert ASK in llm("prompt", "-m", model, ASK)


@check("structured", "auto", "over-messages")
def _(model: str) -> None:
    found = json.loads(
        llm("prompt", "-m", model, "--no-stream", "--schema", "city str, degrees int", ASK)
    )
    assert set(found) == {"city", "degrees"}


@check("tools")
def _(model: str) -> None:
    code = "def weather(city: str) -> str:\n    return '12 degrees'\n"
    assert llm("prompt", "-m", model, "--no-stream", "--functions", code, ASK).strip()


@check("usage")
def _(model: str) -> None:
    llm("prompt", "-m", model, "--no-stream", ASK)
    logged = json.loads(llm("logs", "list", "-n", "1", "--json"))[0]
    assert logged["input_tokens"] > 0
    assert f'"cached_tokens": {CACHED_TOKENS}' in str(logged["token_details"]).replace("'", '"')


@check("errors")
def _(model: str) -> None:
    assert "scripted: 400" in llm("prompt", "-m", model, scripted(400, "wrong"), good=False)


@check("refusals")
def _(model: str) -> None:
    assert "404" in llm("prompt", "-m", UNKNOWN, ASK, good=False)
    assert "401" in llm("prompt", "-m", model, "--key", BAD_KEY, ASK, good=False)
