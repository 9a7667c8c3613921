"""Providers of kind litellm: a process of its own behind the gateway, and what happens when it fails.

Most tests run over a stand-in for the library, in a real process; the last ones over litellm itself,
where it is installed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from click.testing import CliRunner
from gateway_fakes import LengthRouter, serving

from turnout.cli import cli
from turnout.engine import Engine
from turnout.errors import MissingExtraError, SettingsError, UpstreamError
from turnout.gateway.app import Gateway, create_app
from turnout.gateway.setup.building import build_pool, build_providers
from turnout.providers.fake import FakeUpstream, Fault, create_fake_app
from turnout.providers.http.connection import Waits
from turnout.providers.litellm.answers import fault_of
from turnout.providers.litellm.asked import RefusedError, check_asked
from turnout.providers.litellm.provider import LitellmProvider
from turnout.settings import parse_settings
from turnout.settings.secrets import secrets_in

STUB = Path(__file__).parent / "litellm_stub"
SECRET, KEY = "aws-canary-4f1e77", "key-canary-0c12ab"
HERE = importlib.util.find_spec("litellm") is not None
REAL = pytest.mark.skipif(not HERE, reason="needs litellm: pip install 'turnout[litellm]'")
ASK = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The stand-in goes before any litellm; gives the file that it notes given-up calls in."""
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{STUB}{os.pathsep}{path}".rstrip(os.pathsep))
    monkeypatch.syspath_prepend(str(STUB))
    monkeypatch.setenv("UNRELATED_SECRET", "unrelated-canary")
    return tmp_path / "notes"


def provider(notes: Path, **options: Any) -> LitellmProvider:
    environ = {"STUB_SECRET": SECRET, "STUB_NOTES": str(notes), **options.pop("environ", {})}
    return LitellmProvider("lite", environ=environ, api_key=KEY, **options)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


async def ask(made: LitellmProvider, how: str, stream: bool = False, **more: Any) -> Any:
    body = {"model": f"stub/{how}", "messages": ASK, **({"stream": True} if stream else {}), **more}
    return await made.post("/chat/completions", json.dumps(body).encode(), candidate="c",
                            headers={"x-client": "canary"}, stream=stream)  # fmt: skip


async def whole(reply: Any) -> bytes:
    pieces = []
    while (piece := await reply.chunk()) is not None:
        pieces.append(piece)
    return b"".join(pieces)


async def answered(made: LitellmProvider, how: str, **more: Any) -> tuple[int, Any]:
    reply = await ask(made, how, **more)
    return reply.status, json.loads(await whole(reply))


async def until(wanted: Callable[[], bool], seconds: float = 20.0) -> None:
    late = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < late, "it did not come"
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(") ")[2][0] != "Z"


def test_a_call_and_what_its_process_knows(stub: Path) -> None:
    async def work() -> None:
        options = {"aws_region_name": "eu-west-1"}
        async with provider(stub, options=options, api_base="http://b/v1", timeout_s=77) as made:
            status, body = await answered(made, "echo", temperature=0.5)
            assert status == 200
            assert (body["model"], body["usage"]["total_tokens"]) == ("stub/echo", 9)
            assert "cost" not in body["usage"], "by litellm's price list, and nobody's bill"
            said = json.loads(body["choices"][0]["message"]["content"])
            assert said["asked"] == {
                "model": "stub/echo", "messages": ASK, "temperature": 0.5, "num_retries": 0,
                "max_retries": 0, "timeout": 77, "api_key": KEY, "api_base": "http://b/v1",
                "aws_region_name": "eu-west-1",
            }  # fmt: skip
            environ = said["environ"]
            assert environ["STUB_SECRET"] == SECRET
            assert "UNRELATED_SECRET" not in environ
            assert environ["LITELLM_OFFLINE_MODE"] == "true"
            assert environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
            assert said["settings"] == {
                "suppress_debug_info": True, "telemetry": False, "callbacks": [],
            }  # fmt: skip
            arguments = Path(f"/proc/{made.keeper.process.pid}/cmdline")  # type: ignore[union-attr]
            if arguments.exists():
                assert b"canary" not in arguments.read_bytes()

    run(work)


def test_a_stream_ends_with_its_usage(stub: Path) -> None:
    async def work() -> None:
        async with provider(stub) as made:
            reply = await ask(made, "echo", stream=True, stream_options={"include_usage": True})
            assert reply.headers["content-type"] == "text/event-stream"
            events = [e for e in (await whole(reply)).decode().split("\n\n") if e]
            assert events[-1] == "data: [DONE]"
            chunks = [json.loads(e.removeprefix("data: ")) for e in events[:-1]]
            told = [c["choices"][0] for c in chunks if c["choices"]]
            assert "".join(c["delta"].get("content", "") for c in told) == "one two"
            assert [c["finish_reason"] for c in told] == [None, None, "stop"]
            assert chunks[-1]["usage"]["prompt_tokens"] == 7
            assert {c["model"] for c in chunks} == {"stub/echo"}

    run(work)


@pytest.mark.parametrize(
    ("how", "status", "code", "says"),
    [
        ("limit", 429, "upstream_error", "too many with [secret] and [secret]"),
        ("long", 400, "context_length_exceeded", "too long"),
        ("gone", 502, "upstream_error", "nobody there"),
        ("late", 504, "upstream_error", "too late"),
        ("bug", 500, "upstream_error", "litellm failed with TypeError"),
    ],
)
def test_errors_have_a_status_and_openais_form(
    stub: Path, how: str, status: int, code: str, says: str
) -> None:
    async def work() -> None:
        async with provider(stub) as made:
            reply = await ask(made, how)
            error = json.loads(await whole(reply))["error"]
            assert (reply.status, error["code"], error["message"]) == (status, code, says)
            assert set(error) == {"message", "type", "param", "code"}
            assert reply.headers.get("retry-after") == ("3" if how == "limit" else None)
            reply = await ask(made, "bad-first", stream=True)
            assert reply.status == 429, "until a stream has begun, an error has its own status"

    run(work)


def test_an_error_in_mid_stream_is_told_in_it(stub: Path) -> None:
    async def work() -> None:
        async with provider(stub) as made:
            text = (await whole(await ask(made, "cut", stream=True))).decode()
            assert "it broke" in text
            assert "[DONE]" not in text

    run(work)


def test_nobody_else_may_ask_its_process(stub: Path) -> None:
    async def work() -> None:
        async with provider(stub) as made:
            inner: Any = made._http
            async with httpx2.AsyncClient(base_url=inner._base_url) as http:
                body = {"model": "stub/echo", "messages": ASK}
                for headers in ({}, {"authorization": "Bearer no"}):
                    found = await http.post("/chat/completions", json=body, headers=headers)
                    assert found.status_code == 401
                own = {"authorization": inner._headers["authorization"]}
                for path in ("/", "/health", "/chat/completions/x"):
                    assert (await http.post(path, json=body, headers=own)).status_code == 404
                assert (await http.get("/chat/completions", headers=own)).status_code == 404

    run(work)


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_who_leaves_ends_the_call(stub: Path, stream: bool) -> None:
    async def work() -> None:
        async with provider(stub) as made:
            call = asyncio.create_task(ask(made, "hang", stream=stream))
            await asyncio.sleep(0.3)
            if stream:
                (await call).close()
            else:
                call.cancel()
            await until(stub.exists)

    run(work)


def test_a_call_that_takes_too_long_is_given_up_by_both(stub: Path) -> None:
    async def work() -> None:
        async with provider(stub, timeout_s=0.3) as made:
            with pytest.raises(UpstreamError) as caught:
                await ask(made, "hang")
            assert caught.value.phase == "first_byte"
            await until(stub.exists)
        silent = provider(stub, waits=Waits(idle_s=0.3))
        async with silent as made:
            reply = await ask(made, "hang", stream=True)
            assert await reply.chunk()
            with pytest.raises(UpstreamError):
                await reply.chunk()

    run(work)


def test_a_process_killed_in_mid_stream_breaks_the_stream_and_comes_back(
    stub: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with provider(stub) as made:
            reply = await ask(made, "hang", stream=True)
            assert b"one" in (await reply.chunk() or b"")
            os.kill(made.keeper.process.pid, signal.SIGKILL)  # type: ignore[union-attr]
            with pytest.raises(UpstreamError):
                await whole(reply)
            await until(lambda: made._http is None)
            with pytest.raises(UpstreamError, match="being started again") as caught:
                await ask(made, "echo")
            assert caught.value.phase == "connect"
            await until(lambda: made._http is not None)
            assert (await answered(made, "echo"))[0] == 200
            assert made.restarts == 1

    run(work)
    assert "the process of litellm is gone" in caplog.text


def test_a_process_that_dies_of_a_call_fails_that_call_alone(stub: Path) -> None:
    async def work() -> None:
        async with provider(stub) as made:
            for stream in (False, True):
                with pytest.raises(UpstreamError):
                    await whole(await ask(made, "die", stream=stream))
                await until(lambda: made._http is None)
                await until(lambda: made._http is not None)
            assert (await answered(made, "echo"))[0] == 200
            assert made.restarts == 2

    run(work)


def test_a_process_that_hangs_is_killed_and_comes_back(
    stub: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with provider(stub, silent_s=2.5) as made:
            pid = made.keeper.process.pid  # type: ignore[union-attr]
            with pytest.raises(UpstreamError):  # its event loop is blocked by the call
                await ask(made, "block")
            await until(lambda: made._http is not None)
            assert not alive(pid)
            assert (await answered(made, "echo"))[0] == 200

    run(work)
    assert "hangs and is killed" in caplog.text


def test_a_library_that_breaks_at_import_is_told_and_tried_again(
    stub: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with provider(stub, environ={"STUB_BREAKS": "1"}) as made:  # and yet it opens
            with pytest.raises(UpstreamError, match="being started again"):
                await ask(made, "echo")
            await until(lambda: made.restarts >= 2)

    run(work)
    assert "litellm cannot be imported (RuntimeError)" in caplog.text
    waits = [r.getMessage().rpartition("in ")[2] for r in caplog.records if "again" in r.message]
    assert waits[:2] == ["0.5 s", "1 s"]
    assert "canary" not in caplog.text


def test_its_process_ends_with_it(stub: Path) -> None:
    async def work() -> None:
        async with provider(stub) as made:
            pid = made.keeper.process.pid  # type: ignore[union-attr]
            assert alive(pid)
        assert not alive(pid)

    run(work)


ORPHAN = """
import asyncio, os, sys
from turnout.providers.litellm.provider import LitellmProvider

async def main():
    async with LitellmProvider("lite", environ={}) as made:
        print(made.keeper.process.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_its_process_ends_when_the_gateway_is_killed(stub: Path) -> None:
    gateway = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    pid = int(gateway.stdout.readline())
    gateway.kill()
    gateway.wait()
    gateway.stdout.close()
    run(lambda: until(lambda: not alive(pid)))


def test_without_litellm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    async def work() -> None:
        async with LitellmProvider("bedrock", environ={}):
            raise AssertionError("it opened")

    with pytest.raises(
        MissingExtraError, match=r"provider bedrock .* pip install 'turnout\[litellm\]'"
    ):
        run(work)


def test_the_gateway_never_imports_litellm(stub: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from turnout.providers.litellm.provider import LitellmProvider\n"
        "import turnout.gateway.app\n"
        "async def main():\n"
        "    async with LitellmProvider('x', environ={}):\n"
        "        assert 'litellm' not in sys.modules\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ------------------------------------------------------------------------------ what may reach it


@pytest.mark.parametrize(
    "field",
    ["api_base", "base_url", "api_key", "mock_response", "custom_llm_provider", "extra_headers",
     "extra_body", "vertex_credentials", "aws_role_name", "metadata", "fallbacks", "caching",
     "num_retries", "model_list", "litellm_call_id", "headers", "timeout", "client"],
)  # fmt: skip
def test_arguments_that_are_no_fields_of_the_api_are_refused(field: str) -> None:
    with pytest.raises(RefusedError, match=field):
        check_asked({"model": "m", "messages": ASK, field: "x"})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}},
        {"type": "image_url", "image_url": "https://x/y.png"},
        {"type": "image_url", "image_url": {"url": " HTTPS://x"}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
        {"type": "image_url", "image_url": {"url": "gs://bucket/x"}},
        {"type": "file", "file": {"file_id": "https://x/y.pdf"}},
        {"type": "video_url", "video_url": {"url": ["s3://x"]}},
    ],
)
def test_what_litellm_would_download_is_refused(part: dict[str, Any]) -> None:
    content = [{"type": "text", "text": "see https://x.org"}, part]
    with pytest.raises(RefusedError, match="data: URL"):
        check_asked({"model": "m", "messages": [{"role": "user", "content": content}]})


def test_data_and_text_are_passed_on() -> None:
    parts = [
        {"type": "text", "text": "https://x"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    messages = [{"role": "user", "content": parts}, {"role": "user", "content": "http://x"}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    asked = {"model": "m", "messages": messages, "tools": tools}
    assert check_asked(asked) == asked
    with pytest.raises(RefusedError, match="tools"):
        check_asked({**asked, "tools": [{"type": "mcp", "server_url": "http://x"}]})


def test_what_is_no_request_is_refused() -> None:
    for odd in (None, [], "x", {}, {"model": 3}):
        with pytest.raises(RefusedError):
            check_asked(odd)
    status, body, _ = fault_of(KeyError("prompt-canary"), [])
    assert status == 500
    assert b"canary" not in body


# ---------------------------------------------------------------------------------- in a gateway

CONFIG = """
providers:
  lite: {{kind: litellm, env: [STUB_SECRET, STUB_NOTES], api_key: {key}, {more}}}
  up: {{base_url: "{up}/v1"}}
candidates:
  - {{name: strong, model: "{strong}", provider: lite, price: {{input_usd: 10, output_usd: 30}}}}
  - {{name: weak, model: weak-model, provider: up, price: {{input_usd: 1, output_usd: 1}}}}
routers: {{length: {{}}}}
auto: router-length-0.0
resilience: {{spares: 1, retries: 0, breaker_failures: 1000, breaker_share: 1}}
"""


@contextmanager
def gateway(
    strong: str, more: str = "timeout_s: 30"
) -> Iterator[tuple[str, Gateway, FakeUpstream]]:
    upstream = create_fake_app(["weak-model", "other"])
    with serving(upstream) as up:
        text = CONFIG.format(up=up, strong=strong, key=KEY, more=more.format(up=up))
        settings = parse_settings(text)
        engine = Engine(build_pool(settings), {"length": LengthRouter()}, spares=1)
        app = create_app(settings, engine=engine)
        with serving(app) as url:
            yield url, app, upstream


@pytest.fixture
def environ(stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_SECRET", SECRET)
    monkeypatch.setenv("STUB_NOTES", str(stub))


@pytest.mark.usefixtures("environ")
def test_every_dialect_reaches_it_through_the_gateway() -> None:
    with gateway("stub/echo") as (url, _, _), httpx2.Client(base_url=url, timeout=20) as http:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
            made = client.chat.completions.create(model="strong", messages=ASK)  # type: ignore[call-overload]
            assert made.usage.prompt_tokens == 7
            text = "".join(
                c.choices[0].delta.content or ""
                for c in client.chat.completions.create(model="strong", messages=ASK, stream=True)  # type: ignore[call-overload]
                if c.choices
            )
            assert text == "one two"
        body = {"model": "strong", "messages": ASK, "max_tokens": 9}
        reply = http.post("/v1/messages", json=body)
        assert (reply.status_code, reply.json()["usage"]["output_tokens"]) == (200, 2)
        reply = http.post("/v1/responses", json={"model": "strong", "input": "Hi"})
        assert (reply.status_code, reply.headers["x-turnout-model"]) == (200, "strong")
        page = http.get("/metrics").text
        assert 'turnout_provider_restarts_total{provider="lite"} 0' in page


@pytest.mark.usefixtures("environ")
def test_while_its_process_is_away_another_candidate_serves() -> None:
    with gateway("stub/echo") as (url, app, _), httpx2.Client(base_url=url, timeout=20) as http:
        found: Any = app.opened().providers["lite"]
        os.kill(found.keeper.process.pid, signal.SIGKILL)
        run(lambda: until(lambda: found._http is None))
        body = {"model": "auto", "messages": ASK}
        reply = http.post("/v1/chat/completions", json=body)
        assert (reply.status_code, reply.headers["x-turnout-model"]) == (200, "weak")


@pytest.mark.usefixtures("environ")
def test_a_reload_keeps_its_process_unless_it_is_set_up_anew() -> None:
    with gateway("stub/echo") as (url, app, _), httpx2.Client(base_url=url, timeout=20) as http:
        body = {"model": "strong", "messages": ASK}

        def served() -> int:
            assert http.post("/v1/chat/completions", json=body).status_code == 200
            found: Any = app.opened().providers["lite"]
            return int(found.keeper.process.pid)

        async def reload(**changes: Any) -> None:
            settings = app.settings.model_copy(update=changes)
            async with asyncio.timeout(30):
                await app.reload(settings, engine=app.opened().engine)

        def reloaded(**changes: Any) -> int:
            asyncio.run_coroutine_threadsafe(reload(**changes), loops[0]).result(40)
            return served()

        loops = [task.get_loop() for task in [app.opened().providers["lite"].keeper._task]]  # type: ignore[attr-defined]
        first = served()
        assert reloaded(max_body_bytes=5000) == first
        assert reloaded(max_body_bytes=6000) == first
        lite = app.settings.providers["lite"].model_copy(update={"timeout_s": 29.0})
        second = reloaded(providers={**app.settings.providers, "lite": lite})
        assert second != first
        run(lambda: until(lambda: not Path(f"/proc/{first}").exists()))
        assert reloaded(max_body_bytes=5000) == second
    assert not Path(f"/proc/{second}").exists()


@pytest.mark.usefixtures("environ")
def test_a_process_killed_in_mid_stream_is_told_in_the_stream() -> None:
    with gateway("stub/die") as (url, _, _), httpx2.Client(base_url=url, timeout=20) as http:
        body = {"model": "strong", "messages": ASK, "stream": True}
        with http.stream("POST", "/v1/chat/completions", json=body) as reply:
            text = reply.read().decode()
        assert "one " in text
        assert '"error"' in text
        assert "[DONE]" not in text


# ------------------------------------------------------------------------------------- settings


def given(provider: str, environ: dict[str, str] | None = None) -> Any:
    text = f"providers: {{x: {provider}}}\ncandidates: [{{name: a}}]\n"
    return parse_settings(text, environ or {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{kind: litellm, env: [AWS_X]}", "providers.x.env[0]: 'AWS_X' is not usable: set this"),
        ("{kind: litellm, headers: {a: b}}", "leave out headers"),
        ("{kind: litellm, api: messages}", "leave out api"),
        ("{base_url: 'http://x/v1', env: [A]}", "leave out env"),
        ("{kind: litellm, options: {aws_secret_access_key: canary}}", "in env"),
        ("{kind: litellm, options: {AZURE_AD_TOKEN: canary}}", "in env"),
        ("{kind: litellm, options: {api_base: canary}}", "each call says it"),
        ("{kind: litellm, base_url: 'http://169.254.169.254/v1'}", "link-local"),
        ("{}", "providers.x.base_url: nothing is not usable: it must be given"),
    ],
)
def test_bad_settings_are_named(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        given(text)
    assert says in str(caught.value)
    assert "canary" not in str(caught.value)


def test_what_its_variables_hold_is_a_secret() -> None:
    found = given("{kind: litellm, env: [A_B]}", {"A_B": SECRET})
    assert SECRET in secrets_in(found, {"A_B": SECRET})
    assert isinstance(build_providers(found)["x"], LitellmProvider)


def test_it_makes_no_embeddings() -> None:
    text = "providers: {x: {kind: litellm}}\ncandidates: [{name: a}]\nembeddings: [{name: e}]\n"
    with pytest.raises(SettingsError, match="makes no embeddings"):
        parse_settings(text, {})


# ------------------------------------------------------------------------------ the library itself

OPENAI = 'timeout_s: 60, base_url: "{up}/v1"'


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STUB_SECRET", SECRET)
    monkeypatch.setenv("STUB_NOTES", str(tmp_path / "notes"))


@REAL
@pytest.mark.usefixtures("named")
def test_litellm_itself_calls_streams_fails_and_gives_up() -> None:
    with gateway("openai/other", OPENAI) as (url, app, up), httpx2.Client(timeout=60) as http:
        to, body = f"{url}/v1/chat/completions", {"model": "strong", "messages": ASK}
        reply = http.post(to, json=body)
        assert reply.status_code == 200, reply.text
        assert "You said: Hi" in reply.json()["choices"][0]["message"]["content"]
        assert reply.json()["usage"]["prompt_tokens"] > 0
        assert up.seen[-1].headers["authorization"] == f"Bearer {KEY}"
        with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
            options: Any = {"stream": True, "stream_options": {"include_usage": True}}
            chunks = list(client.chat.completions.create(model="strong", messages=ASK, **options))  # type: ignore[call-overload]
            text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            assert "You said: Hi" in text
            assert chunks[-1].usage.completion_tokens > 0
            tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
            made = client.chat.completions.create(model="strong", messages=ASK, tools=[tool])  # type: ignore[call-overload,list-item]
            assert made.choices[0].message.tool_calls[0].function.name == "look"
        calls = len(up.seen)
        up.script.append(Fault(status=429, headers={"retry-after": "7"},
                               body=b'{"error": {"message": "slow", "type": "x", "code": "y"}}'))  # fmt: skip
        reply = http.post(to, json=body)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
        assert len(up.seen) == calls + 1, "nobody beneath the gateway tries again"
        app.opened().resilience.forget()
        up.script.append(Fault(status=500, body=b'{"error": {"message": "broken"}}'))
        assert http.post(to, json=body).status_code == 500
        up.script.append(Fault(status=401, body=b'{"error": {"message": "no key"}}'))
        assert http.post(to, json=body).status_code == 502
        app.opened().resilience.forget()
        for stream in (False, True):
            before = up.abandoned
            up.script.append(Fault(hang_after=2) if stream else Fault(hang=True))
            with pytest.raises(httpx2.TimeoutException):
                http.post(to, json={**body, "stream": stream}, timeout=1.5)
            run(lambda before=before: until(lambda: up.abandoned > before))  # type: ignore[misc]
        up.script.append(Fault(cut_after=2))
        with http.stream("POST", to, json={**body, "stream": True}) as reply:
            text = reply.read().decode()
        assert '"error"' in text
        assert "[DONE]" not in text


@REAL
def test_litellm_itself_knows_providers_of_their_own_apis() -> None:
    models = ("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", "cohere/command-r",
              "vertex_ai/gemini-2.0-flash")  # fmt: skip

    async def work() -> None:
        options = {"mock_response": "Hello there"}
        async with LitellmProvider("lite", environ={}, options=options) as made:
            for model in models:
                body: dict[str, Any] = {"model": model, "messages": ASK}
                reply = await made.post(
                    "/chat/completions", json.dumps(body).encode(), candidate="c", headers={}
                )
                found = json.loads(await whole(reply))
                assert found["choices"][0]["message"]["content"] == "Hello there"
                assert found["model"] == model
                body |= {"stream": True, "stream_options": {"include_usage": True}}
                reply = await made.post(
                    "/chat/completions", json.dumps(body).encode(), candidate="c", headers={},
                    stream=True,
                )  # fmt: skip
                text = (await whole(reply)).decode()
                assert '"total_tokens":' in text
                assert "cost" not in text
                assert text.endswith("data: [DONE]\n\n")

    run(work)


FETCHES = """
import asyncio, json, socket, sys
asked = []
def noted(*arguments, **_):
    asked.append(repr(arguments))
    raise OSError("no network in this test")
socket.getaddrinfo = noted
socket.socket.connect = socket.socket.connect_ex = noted
from turnout.providers.litellm.child import opened
options = {"mock_response": "Hello", "model": "cohere/command-r"}
told = {"options": options, "api_key": None, "api_base": None, "timeout_s": 5, "token": "t", "secrets": []}
app = opened(told)
async def main():
    await app._complete(**{"messages": [{"role": "user", "content": "Hi"}], **app._options})
    await asyncio.sleep(2)
asyncio.run(main())
sys.stdout.write(json.dumps(asked))
"""


@REAL
def test_litellm_itself_fetches_nothing_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FETCHES], check=True, capture_output=True, text=True, timeout=120
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_the_settings_of_the_guide_are_settings() -> None:
    page = Path(__file__).parents[2] / "docs" / "guides" / "litellm.md"
    text = page.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "COHERE_API_KEY")
    found = parse_settings(text, dict.fromkeys(names, "x"))
    assert isinstance(build_providers(found)["clouds"], LitellmProvider)
    assert [c.provider for c in found.candidates] == ["clouds", "clouds"]


def test_a_check_of_settings_says_that_the_extra_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnout.checking.opening._installed", lambda name: name != "litellm")
    path = tmp_path / "turnout.yaml"
    path.write_text("providers: {x: {kind: litellm}}\ncandidates: [{name: cohere/command-r}]\n")
    found = CliRunner().invoke(cli, ["check", str(path)])
    assert found.exit_code != 0
    assert "turnout[litellm]" in found.output
    assert "no-key" not in found.output
