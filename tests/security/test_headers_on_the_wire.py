"""Header injection and request smuggling: a corpus of raw requests against an upstream that keeps bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from raw_sites import RawSite, raw_site, send_raw

from served import served as running_gateway

BODY = b'{"model": "cheap", "messages": [{"role": "user", "content": "hi"}]}'
CANARY = "canary55aa"
PATH = "/v1/chat/completions"
ALLOWED = {
    "host", "x-turnout-hop", "accept", "accept-encoding", "user-agent", "content-type", "content-length",
    "authorization", "openai-beta", "anthropic-version", "anthropic-beta", "idempotency-key",
    "traceparent", "tracestate",
}  # fmt: skip
"""The provider's own, and those of a client that are passed on."""

SMUGGLED = b"POST /v1/smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def request(
    *headers: bytes, body: bytes = BODY, line: bytes = f"POST {PATH} HTTP/1.1".encode(),
    length: bool = True, host: bytes = b"host: gateway",
) -> bytes:  # fmt: skip
    lines = [line, host, b"content-type: application/json", b"connection: close", *headers]
    if length:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(line for line in lines if line) + b"\r\n\r\n" + body


def c(header: str) -> bytes:
    """A header that carries the canary."""
    return header.replace("@", CANARY).encode("latin-1")


NEVER_PASSED_ON = [
    "authorization: Bearer @", "x-api-key: @", "cookie: session=@", "set-cookie: a=@",
    "proxy-authorization: Basic @", "x-goog-api-key: @", "api-key: @", "x-forwarded-for: @",
    "x-forwarded-host: @", "x-forwarded-proto: @", "forwarded: for=@", "x-real-ip: @", "via: @",
    "x-original-url: /@", "x-rewrite-url: /@", "x-http-method-override: @", "referer: @",
    "origin: http://@", "openai-organization: @", "openai-project: @", "x-stainless-lang: @",
    "host: @", "te: @", "keep-alive: @", "proxy-connection: @", "connection: x-secret, @",
    "upgrade: @", "trailer: @", "content-location: @", "x-turnout-model: @", "user-agent: @",
    "x-turnout-hop: @", "accept: @", "accept-language: @", "range: bytes=@", "if-none-match: @", "expect: @",
]  # fmt: skip

CORPUS: dict[str, bytes] = {
    **{f"header {h.partition(':')[0]}": request(c(h)) for h in NEVER_PASSED_ON},
    "folded header": request(b"idempotency-key: a\r\n " + CANARY.encode()),
    "bare CR in a value": request(b"idempotency-key: a\rx-evil: " + CANARY.encode()),
    "bare LF in a value": request(b"idempotency-key: a\nx-evil: " + CANARY.encode()),
    "NUL in a value": request(b"idempotency-key: a\0" + CANARY.encode()),
    "CRLF written as %0d%0a": request(b"idempotency-key: a%0d%0ax-evil: b"),
    "unicode line separators": request("openai-beta: a\u0085x-evil: b".encode("latin-1")),
    "space before the colon": request(b"x-evil : " + CANARY.encode()),
    "no colon": request(CANARY.encode()),
    "space in a name": request(b"x evil: " + CANARY.encode()),
    "CL and TE": request(b"transfer-encoding: chunked", body=CHUNKED + SMUGGLED),
    "TE and CL that agree": request(b"transfer-encoding: chunked", body=CHUNKED),
    "TE twice": request(
        b"transfer-encoding: chunked", b"transfer-encoding: identity", body=CHUNKED, length=False
    ),
    "TE hidden by a tab": request(b"transfer-encoding:\tchunked, x", body=CHUNKED, length=False),
    "TE misspelt": request(b"transfer-encoding: xchunked", body=CHUNKED, length=False),
    "two lengths": request(b"content-length: 1", body=BODY + SMUGGLED),
    "length with a sign": request(b"content-length: +%d" % len(BODY), length=False),
    "length in hex": request(b"content-length: 0x43", length=False),
    "negative length": request(b"content-length: -1", length=False),
    "length that is too short": request(
        b"content-length: %d" % len(BODY), body=BODY + SMUGGLED, length=False
    ),
    "a chunk size with an extension": request(
        b"transfer-encoding: chunked", length=False,
        body=b"%x;a=b\r\n%s\r\n0\r\nx-evil: %s\r\n\r\n" % (len(BODY), BODY, CANARY.encode()),
    ),
    "a chunk size that overflows": request(
        b"transfer-encoding: chunked", body=b"ffffffffffffffffff\r\n" + BODY, length=False
    ),
    "an absolute target": request(line=f"POST http://{CANARY}{PATH} HTTP/1.1".encode()),
    "a target with @": request(line=f"POST @{CANARY}{PATH} HTTP/1.1".encode()),
    "a query": request(line=f"POST {PATH}?api_base=http://{CANARY} HTTP/1.1".encode()),
    "a fragment": request(line=f"POST {PATH}#{CANARY} HTTP/1.1".encode()),
    "HTTP/1.0": request(line=f"POST {PATH} HTTP/1.0".encode()),
    "HTTP/0.9": b"POST " + PATH.encode() + b"\r\n" + BODY,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + BODY,
    "no host": request(host=b""),
    "two hosts": request(b"host: " + CANARY.encode()),
    "a host with a path": request(host=f"host: gateway/{CANARY}".encode()),
    "a host with a query": request(host=f"host: gateway?{CANARY}".encode()),
    "a host with a fragment": request(host=f"host: gateway#{CANARY}".encode()),
    "a space in the line": request(line=f"POST  {PATH} HTTP/1.1 {CANARY}".encode()),
    "a model with line breaks": request(body=b'{"model": "cheap\\r\\nx-evil: a", "messages": []}'),
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, RawSite]]:
    """`turnout serve` as it is started by people, in front of the raw upstream."""
    with raw_site() as upstream:
        config = tmp_path_factory.mktemp("served") / "turnout.yaml"
        config.write_text(
            f"providers: {{up: {{base_url: '{upstream.url}/v1', api_key: own-key-of-the-provider}}}}\n"
            "candidates: [{name: cheap, price: {input_usd: 1, output_usd: 1}}]\n"
            "routers: {rules: {}}\n"
        )
        with running_gateway(config) as gateway:
            assert _answers(gateway.url)
            yield gateway.url, upstream


def _answers(url: str) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if send_raw(url, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"):
                return True
        except ConnectionError:
            time.sleep(0.05)
    return False


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 50


@pytest.mark.parametrize("name", CORPUS)
def test_an_upstream_sees_one_clean_request_or_none(served: tuple[str, RawSite], name: str) -> None:
    url, upstream = served
    upstream.requests.clear()
    got = send_raw(url, CORPUS[name])
    assert upstream.stray == []
    assert len(upstream.requests) <= 1
    if not upstream.requests:
        assert b" 200 " not in got.partition(b"\r\n")[0]
        return
    head, body = upstream.requests[0]
    lines = head.decode("latin-1").split("\r\n")
    assert lines[0] == f"POST {PATH} HTTP/1.1"
    names = [line.partition(":")[0] for line in lines[1:]]
    assert set(names) <= ALLOWED
    assert len(names) == len(set(names))
    assert all(c >= " " for line in lines for c in line)
    assert f"host: {upstream.url.removeprefix('http://')}" in lines
    assert "authorization: Bearer own-key-of-the-provider" in lines
    assert CANARY not in head.decode("latin-1")
    assert json.loads(body)["messages"] == json.loads(BODY)["messages"]


def test_a_plain_request_and_what_may_pass_do(served: tuple[str, RawSite]) -> None:
    url, upstream = served
    upstream.requests.clear()
    got = send_raw(url, request(b"idempotency-key: abc", b"openai-beta: assistants=v2"))
    assert got.startswith(b"HTTP/1.1 200")
    head = upstream.requests[0][0].decode()
    # Of two callers one key would be one for an upstream, which knows them as one.
    assert "idempotency-key" not in head
    assert "\r\nopenai-beta: assistants=v2" in head


@pytest.mark.parametrize("host", ["evil.example", "gateway/v1/models?", "gateway#", "[::1]", "a b"])
def test_host_decides_nothing(served: tuple[str, RawSite], host: str) -> None:
    """Starlette's BadHost (CVE-2026-48710): a path read from the Host header walks past a check."""
    url, _ = served
    ask = f"GET /v1/nothing HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    status = send_raw(url, ask.encode()).partition(b"\r\n")[0]
    assert b" 404 " in status or b" 400 " in status


TRAVERSALS = [
    "/v1/models/../../etc/passwd", "/v1/models/..%2f..%2f..%2fetc%2fpasswd", "/v1/models/%2e%2e/x",
    "/v1/models/%00", "/v1/models/a%00b", "/v1/models/" + "a" * 5000, "/v1/models/%c0%ae%c0%ae",
    "/v1/models/..\\..\\x", "/../../etc/passwd", "//etc/passwd", "/v1//chat/completions",
    "/v1/%2e%2e/healthz", "/V1/chat/completions", "/v1/chat/completions/", "/.git/config",
    "/static/../turnout.yaml", "/v1/outcomes/../healthz", "/v1/models/%0d%0ax-evil:%20a",
    "/v1/models/{{7*7}}", "/v1/models/%ff", "/%2e", "/v1/v1/chat/completions",
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_out(served: tuple[str, RawSite], path: str) -> None:
    url, upstream = served
    upstream.requests.clear()
    for method in ("GET", "POST"):
        line = f"{method} {path} HTTP/1.1".encode("latin-1")
        got = send_raw(url, request(line=line))
        head, _, body = got.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        assert status in (400, 404, 405), (method, path, got[:300])
        assert b"root:" not in got
        assert b"\r\nx-evil" not in head
        if b"application/json" in head:
            assert json.loads(body)["error"]["message"]
    assert upstream.requests == []
