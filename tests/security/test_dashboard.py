"""The dashboard: right numbers, no markup of anybody else's, nothing that runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from gateway_fakes import Deployment, deployment
from raw_sites import raw_site

from turnout.dashboard.figures import HOUR_MS, read_figures
from turnout.errors import SettingsError
from turnout.gateway.setup.building import build_pool
from turnout.settings import StoreSettings, parse_settings
from turnout.store.database import open_database
from turnout.store.record import Record
from turnout.store.records import RecordTable

NOW_MS = 1_700_000_000_000

PAYLOADS = [
    "<script>HIT</script>", "<img src=x onerror=HIT>", "\"><svg onload=HIT>", "'><body onload=HIT>",
    "<iframe src=javascript:HIT>", "<a href=javascript:HIT>x</a>", "</td></tr></table><script>HIT</script>",
    "<style>@import 'URL';</style>", "<link rel=stylesheet href=URL>",
    "<meta http-equiv=refresh content='0;URL'>",
    "<img src=URL>", "{{7*7}}", "{% raw %}", "${HIT}", "<!--", "--><script>HIT</script>", "&lt;script&gt;HIT",
    "<math><mtext></table><script>HIT</script>", "<details open ontoggle=HIT>", "\x00<script>HIT</script>",
    "<base href=URL>", "<form action=URL><input autofocus onfocus=HIT>", "javascript:HIT",
    "<object data=URL>",
    "<svg><animate onbegin=HIT attributeName=x>", "<template><script>HIT</script></template>", "]]><x>",
    "\u2028<script>HIT</script>", "<scr<script>ipt>HIT</script>", "%3Cscript%3EHIT%3C/script%3E",
    "=cmd|' /C calc'!A0", "\u202e<b>", "<ScRiPt SrC=URL></sCrIpT>", "<video><source onerror=HIT></video>",
]  # fmt: skip


def record(i: int, **changes: object) -> Record:
    given = {"id": f"dec_{i}", "at_ms": NOW_MS + i, "status": "ok", "provider": "up", "router": "length",
             "candidate": "cheap", "code": "best_value", "http_status": 200, **changes}  # fmt: skip
    return Record(**given)  # type: ignore[arg-type]


def fill(path: Path, records: list[Record]) -> None:
    table = RecordTable(open_database(path))
    table.put(records)
    table.close()


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Deployment]:
    store = StoreSettings(path=tmp_path / "turnout.db")
    with deployment(store=store, dashboard=True) as running:
        yield running


def get(url: str, path: str = "/dashboard") -> httpx2.Response:
    with httpx2.Client(timeout=20) as http:
        return http.get(f"{url}{path}")


def test_it_shows_what_was_asked_and_what_it_cost(shown: Deployment) -> None:
    with httpx2.Client(timeout=20) as http:
        for model in ("cheap", "strong", "auto"):
            asked = {"model": model, "messages": [{"role": "user", "content": "prompt-canary-d1"}]}
            reply = http.post(f"{shown.url}/v1/chat/completions", json=asked)
    deadline = time.monotonic() + 20
    while reply.headers["x-turnout-decision-id"] not in (page := get(shown.url)).text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for piece in ("<b>3</b> requests", "asked_for_by_name", "up/cheap-model", "closed", "length"):
        assert piece in page.text
    assert "prompt-canary" not in page.text
    assert get(shown.url, "/dashboard?hours=720").text.count("<rect") >= 720
    assert get(shown.url, "/dashboard?hours=<script>").status_code == 200


def test_its_headers_let_nothing_run(shown: Deployment) -> None:
    for path in ("/dashboard", "/dashboard.css"):
        headers = get(shown.url, path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_it_is_off_unless_it_is_asked_for() -> None:
    with deployment() as running:
        assert get(running.url).status_code == 404
    with pytest.raises(SettingsError, match=r"dashboard.*store"):
        parse_settings(
            "providers: {up: {base_url: 'http://127.0.0.1:1'}}\ncandidates: [{name: a}]\ndashboard: true\n",
            {},
        )


def test_the_numbers_are_the_records(tmp_path: Path) -> None:
    path = tmp_path / "turnout.db"
    records = [
        record(i, input_tokens=100, output_tokens=50, cost_picousd=10**18, duration_ms=i)
        for i in range(10)
    ]
    records += [
        record(20, status="failed", provider="", candidate="strong"),
        record(21, status="unknown", cost_picousd=10**18),
        record(24, kind="mirror", cost_picousd=10**18),
        record(22, at_ms=NOW_MS - HOUR_MS * 30, cost_picousd=5),
        record(
            23,
            candidate="strong",
            cost_picousd=None,
            key="key_1",
            input_tokens=100,
            output_tokens=50,
        ),
    ]
    fill(path, records)
    pool = build_pool(
        parse_settings(
            "providers: {up: {base_url: 'http://127.0.0.1:1'}}\n"
            "candidates:\n"
            "  - {name: strong, price: {input_usd: 10, output_usd: 30}}\n"
            "  - {name: cheap, price: {input_usd: 1, output_usd: 1}}\n",
            {},
        )
    )
    database = open_database(path)
    found = read_figures(database, pool, since_ms=NOW_MS - 24 * HOUR_MS, now_ms=NOW_MS + 1000)
    database.close()
    assert (found.total.requests, found.total.failed, found.unpriced) == (12, 1, 1)
    assert found.total.cost_picousd == 10 * 10**18  # more than 64 bits hold
    assert [(g.name, g.requests) for g in found.models] == [(("cheap",), 10), (("strong",), 2)]
    assert found.models[0].mean_ms == 4.5
    assert [(g.name, g.requests) for g in found.keys] == [(("key_1",), 1)]
    assert len(found.hourly_picousd) == 25
    assert sum(spent for _, spent in found.hourly_picousd) == 10 * 10**18
    # Ten and one half of two requests of 100 in and 50 out at 10 and 30 dollars a million.
    assert found.strong_picousd == 11 * 2_500_000_000
    assert found.latest[0].id == "dec_24"


class _Markup(HTMLParser):
    """Keeps the tags and attributes that a parser sees."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {str(value) for name, value in attrs if name in ("href", "src", "action")}


def hostile(url: str) -> list[Record]:
    """Records whose every text is an attempt to be more than a text."""
    found = []
    for i, payload in enumerate(PAYLOADS):
        hit = f"fetch('{url}/hit');new Image().src='{url}/hit';document.title='hit'"
        text = payload.replace("HIT", hit).replace("URL", f"{url}/hit")
        found.append(
            record(i, id=f"{text} {i}", at_ms=time.time_ns() // 1_000_000, key=text, model=text,
                   router=text, candidate=text, provider=text, upstream_model=text, code=text)
        )  # fmt: skip
    return found


def test_no_text_becomes_markup(shown: Deployment, tmp_path: Path) -> None:
    fill(tmp_path / "turnout.db", hostile("http://127.0.0.1:9"))
    text = get(shown.url).text
    seen = _Markup()
    seen.feed(text)
    assert seen.tags <= {"html", "head", "meta", "title", "link", "body", "header", "h1", "h2", "nav",
                         "a", "strong", "main", "section", "p", "b", "svg", "rect", "table", "thead",
                         "tbody", "tr", "th", "td"}  # fmt: skip
    assert seen.attributes <= {"lang", "charset", "name", "content", "rel", "href", "class", "viewbox",
                               "role", "aria-label", "x", "y", "width", "height"}  # fmt: skip
    assert seen.links <= {"/dashboard.css", *(f"?hours={h}" for h in (1, 24, 168, 720))}
    assert "{{7*7}}" in text
    assert not re.search(r">\s*49\b", text)  # a time may end in it, no cell begins with it


def test_a_browser_runs_nothing_and_asks_nobody(shown: Deployment, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    with raw_site() as canary:
        fill(tmp_path / "turnout.db", hostile(canary.url))
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000", "--dump-dom",
             f"{shown.url}/dashboard?{quote('<script>')}"],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert "<title>Turnout</title>" in done.stdout
    assert "Latest requests" in done.stdout
    assert canary.connections == 0
