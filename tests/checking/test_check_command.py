"""`turnout check`: everything in one go, with lines, exit codes and no secret."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from turnout.access.keystore import KeyStore
from turnout.checking.findings import Report
from turnout.checking.run import check_file
from turnout.cli import cli
from turnout.errors import SettingsError
from turnout.settings import load_settings
from turnout.store.database import open_database

CANARY = "sk-canary-0123456789abcdef"
SOUND = """\
providers:
  up: {base_url: "http://127.0.0.1:9/v1"}
candidates:
  - {name: strong, price: {input_usd: 2, output_usd: 2}, context_tokens: 1000}
  - {name: cheap, price: {input_usd: 1, output_usd: 1}, context_tokens: 1000}
routers: {random: {}}
"""
BROKEN = """\
listen: {host: 127.0.0.1, prot: 80}
providers:
  openai: {base_url: "https://api.openai.com/v1", api_key_env: ABSENT_KEY}
  local: {base_url: "ftp://x", api_key: "${ABSENT_ONE}"}
  other: {base_url: "http://127.0.0.1:1/v1", timeout_s: -1}
candidates:
  - {name: gpt-4.1, provider: opnai}
  - {nam: gpt-4.1-mini, provider: openai}
  - {name: gpt-4o, provider: local, price: {input_usd: 1}}
  - {name: gpt-4.1, provider: other}
default: gpt-5
cache: {ttl_s: 0}
store: {path: a.db, path: b.db}
keys: [{name: a, key_env: ABSENT}, {name: a, key_env: ABSENT, team: x}]
routes: {cheap: {threshold: 2}, router-x: {}}
routers: {random: {}, nosuch: {}, linear: {artifact: absent}, rules: {file: absent.yaml}}
auto: router-nosuch2-0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "turnout.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def checked(folder: Path, text: str, **environ: str) -> Report:
    return check_file(written(folder, text), environ)


def codes(report: Report, level: str = "warning") -> dict[str, str]:
    """Code → field."""
    return {f.code: f.field for f in report.findings if f.level == level}


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments], env=environ, catch_exceptions=False)


def test_everything_that_is_wrong_is_said_in_one_go(tmp_path: Path) -> None:
    report = checked(tmp_path, BROKEN)
    errors = {(f.line, f.field) for f in report.findings if f.level == "error"}
    assert errors == {
        (1, "listen.prot"),
        (3, "providers.openai.api_key_env"),
        (4, "providers.local.base_url"),
        (4, "providers.local.api_key"),
        (5, "providers.other.timeout_s"),
        (7, "candidates[0].provider"),
        (8, "candidates[1].nam"),
        (9, "candidates[2].price.output_usd"),
        (10, "candidates[3].name"),
        (11, "default"),
        (12, "cache.ttl_s"),
        (13, "path"),
        (14, "keys[0].key_env"),
        (14, "keys[1].key_env"),
        (14, "keys[1].name"),
        (14, "keys[1].team"),
        (15, "routes.cheap.threshold"),
        (15, "routes.router-x"),
        (16, "routers.nosuch"),
        (16, "routers.linear"),
        (16, "routers.rules"),
        (17, "auto"),
    }
    assert codes(report, "note") == {"not-advised": ""}
    [meant] = [f for f in report.findings if f.field == "candidates[1].nam"]
    assert "Did you mean 'name'?" in meant.remedy


@pytest.mark.parametrize("text", [SOUND, BROKEN, "a: [", "- list", "listen: {port: x}", ""])
def test_what_serve_refuses_first_is_among_what_check_finds(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    report = check_file(path, {})
    if text is SOUND:
        assert report.findings == ()
        return
    with pytest.raises(SettingsError) as refused:
        load_settings(path, {})
    assert refused.value.remedy in [f.remedy for f in report.findings]
    assert report.exit_code(strict=False) == 2


def test_each_repair_alone_leaves_no_new_error(tmp_path: Path) -> None:
    """An error must not be there because of another one: mending the file takes one round."""
    wrong = {
        "candidates": (SOUND.replace("name: cheap", "nam: cheap") + "default: cheap\n", 1),
        "providers": (SOUND.replace("base_url:", "bas_url:"), 1),
        "teams": (SOUND + "teams: {a: {budgets_usd: {day: x}}}\nkeys: []\n", 1),
        "twice": (SOUND + "experiments: {e: {arms: {a: cheap, b: cheep}}}\n", 1),
        "store": (SOUND + "store: {path: '${ABSENT}/t.db'}\ndashboard: true\n", 1),
        "routes": (SOUND + "routes: {r: {router: no}}\nshadow: r\nauto: r\n", 1),
    }
    for name, (text, count) in wrong.items():
        report = checked(tmp_path, text)
        assert report.count("error") == count, (name, report.findings)


def test_no_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SOUND.replace(
        'v1"}',
        f'v1", api_key: {CANARY}}}\n  b: {{base_url: "http://127.0.0.1:8/v1", '
        f'api_key_env: {CANARY}}}\n  c: {{base_url: "http://u:{CANARY}@h/v1"}}',
    ).replace("name: strong", "name: strong, provider: up")
    text += f"store: {{url: 'mysql://u:{CANARY}@h/d'}}\nkeys: [{{name: k, sha256: {CANARY}}}]\n"
    path = written(tmp_path, text)
    for arguments in ([], ["--json"]):
        result = run(str(path), *arguments)
        assert result.exit_code == 2
        assert CANARY not in result.output
    assert "secret-in-file" in result.output
    assert "not the secret" in result.output
    with pytest.raises(SettingsError) as refused:
        load_settings(written(tmp_path, text.split("\n  c:")[0] + "\ncandidates: [{name: a}]"), {})
    assert CANARY not in str(refused.value)


def test_sources_of_secrets_are_named_and_looked_for(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY)
    text = (
        SOUND.replace(
            'v1"}',
            'v1", api_key_file: key, headers: {x-team: "${TEAM}"}}\n'
            '  b: {base_url: "http://127.0.0.1:8/v1", api_key_env: KEY_B}',
        )
        .replace("{name: strong", "{name: strong, provider: b")
        .replace("{name: c", "{provider: up, name: c")
    )
    report = checked(tmp_path, text, KEY_B=CANARY, TEAM="blue")
    assert report.findings == ()
    assert report.facts["secrets"] == [
        {
            "field": "providers.up.api_key_file",
            "from": "file",
            "name": str(tmp_path / "key"),
            "present": True,
        },
        {
            "field": "providers.up.headers.x-team",
            "from": "environment",
            "name": "TEAM",
            "present": True,
        },
        {
            "field": "providers.b.api_key_env",
            "from": "environment",
            "name": "KEY_B",
            "present": True,
        },
    ]


def test_exit_codes_and_both_forms(tmp_path: Path) -> None:
    sound = written(tmp_path, SOUND)
    assert run(str(sound), "--strict").exit_code == 0
    assert run(TURNOUT_CONFIG=str(sound)).output.endswith("turnout.yaml: well\n")
    warned = written(tmp_path, SOUND + "limits: {budgets_usd: {day: 1}}\n")
    assert run(str(warned)).exit_code == 0
    strict = run(str(warned), "--strict", "--json")
    assert strict.exit_code == 1
    found = json.loads(strict.output)
    assert (found["errors"], found["warnings"]) == (0, 1)
    assert found["findings"][0]["code"] == "budgets-forgotten"
    broken = written(tmp_path, SOUND + "auto: nothing\n")
    said = run(str(broken))
    assert said.exit_code == 2
    assert f"{broken}:7: error: auto: 'nothing' is not usable: " in said.output
    assert run(str(tmp_path / "absent.yaml")).exit_code == 2


def test_without_a_file_it_shows_one() -> None:
    with pytest.raises(SettingsError, match="turnout check FILE"):
        run()


SHADY = {
    "open-to-all": ("listen: {host: 0.0.0.0}", "listen.host"),
    "budgets-forgotten": ("teams: {a: {budgets_usd: {day: 1}}}", "store"),
    "key-expired": (
        f"keys: [{{name: k, sha256: {'a' * 64}, expires: 2020-01-01T00:00:00Z}}]",
        "keys[0].expires",
    ),
    "pattern-without-match": ("teams: {a: {deny: [strnog]}}", "teams.a.deny[0]"),
    "nothing-allowed": ("teams: {a: {allow: [strnog]}}", "teams.a.allow"),
    "unused-encoder": (
        "encoders: {e: {base_url: 'http://h/v1', model: m, dimension: 8}}",
        "encoders.e",
    ),
    "counted-apart": (
        "store: {url: 'postgresql://h/d'}\nlimits: {requests_per_minute: 5}",
        "counters",
    ),
    "password-in-clear": (
        "counters: {redis_url: 'redis://:secret@db:6379/0'}",
        "counters.redis_url",
    ),
    "unreachable": (
        "allow_passthrough: false\nauto: r\nroutes: {r: {allow: [strong]}}",
        "candidates[1]",
    ),
}


@pytest.mark.parametrize("code", SHADY)
def test_what_is_likely_wrong_is_a_warning(tmp_path: Path, code: str) -> None:
    more, field = SHADY[code]
    report = checked(tmp_path, f"{SOUND}{more}\n")
    assert report.count("error") == 0, report.findings
    assert codes(report)[code] == field
    [line] = [f.line for f in report.findings if f.code == code]
    assert line is None or line >= 1


EDITED: dict[str, tuple[dict[str, str], str]] = {
    "unpriced-under-budget": (
        {
            "price: {input_usd: 1, output_usd: 1}, ": "",
            "routers:": "routes: {r: {max_cost_usd: 1}}\nrouters:",
        },
        "candidates[1].price",
    ),
    "unpriced": ({"price: {input_usd: 1, output_usd: 1}, ": ""}, "candidates[1].price"),
    "no-window": (
        {"output_usd: 1}, context_tokens: 1000": "output_usd: 1}"},
        "candidates[1].context_tokens",
    ),
    "no-room": (
        {"output_usd: 1}, context": "output_usd: 1}, max_output_tokens: 1000, context"},
        "candidates[1].max_output_tokens",
    ),
    "same-model": (
        {
            "name: cheap": "name: cheap, model: openai/gpt-4.1",
            "name: strong": "name: strong, model: gpt-4.1-2025-04-14",
        },
        "candidates[1]",
    ),
    "order": ({"input_usd: 2": "input_usd: 0.1"}, "candidates[0]"),
    "base-url-path": (
        {'http://127.0.0.1:9/v1"': 'https://api.openai.com", api_key_env: KEY'},
        "providers.up.base_url",
    ),
    "api": (
        {'http://127.0.0.1:9/v1"': 'https://api.anthropic.com/v1", api_key_env: KEY'},
        "providers.up.api",
    ),
    "no-key": ({"http://127.0.0.1:9/v1": "https://api.example.com/v1"}, "providers.up"),
    "key-in-clear": (
        {'http://127.0.0.1:9/v1"': 'http://api.example.com/v1", api_key_env: KEY'},
        "providers.up.base_url",
    ),
    "wait-cut": (
        {'9/v1"': '9/v1", timeout_s: 5, idle_timeout_s: 60'},
        "providers.up.idle_timeout_s",
    ),
    "unused-provider": (
        {
            '9/v1"}': '9/v1"}\n  b: {base_url: "http://127.0.0.1:8/v1"}',
            "{name": "{provider: up, name",
        },
        "providers.b",
    ),
}


@pytest.mark.parametrize("code", EDITED)
def test_and_so_is_what_is_odd_about_models(tmp_path: Path, code: str) -> None:
    text = SOUND
    for old, new in EDITED[code][0].items():
        assert old in text
        text = text.replace(old, new)
    report = checked(tmp_path, text, KEY=CANARY)
    assert report.count("error") == 0, report.findings
    assert codes(report) == {code: EDITED[code][1]}


def test_a_sound_file_of_every_section_has_no_warning(tmp_path: Path) -> None:
    later = (datetime.now(tz=UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    more = f"""
listen: {{host: 0.0.0.0}}
store: {{path: turnout.db}}
teams: {{a: {{budgets_usd: {{day: 1}}, allow: ["str*"], deny: ["router-*"]}}}}
keys: [{{name: k, sha256: {"a" * 64}, team: a, expires: {later}}}]
routes: {{r: {{allow: [cheap, strong]}}}}
mirror: {{to: cheap, share: 0.1, budget_usd_per_day: 1}}
dashboard: true
"""
    assert checked(tmp_path, SOUND + more).findings == ()


@pytest.mark.parametrize(
    ("sound", "broken", "field"),
    [
        ("http://127.0.0.1:9/v1", "ftp:no", "providers.up.base_url"),
        ("{random: {}}", "{rules: {artifact: nowhere}, random: {}}", "routers.rules"),
        ("candidates:", "candidates:\n  - {name: x, provider: up}", "candidates[0].price"),
    ],
)
def test_one_broken_part_does_not_hide_the_names_in_routes(
    tmp_path: Path, sound: str, broken: str, field: str
) -> None:
    assert sound in SOUND
    text = f"""{SOUND.replace(sound, broken)}
routes:
  misspelt: {{router: randon}}
  nobody: {{allow: [cheep], router: random}}
  unwanted: {{deny: [strange], router: random}}
  well: {{allow: ["str*"], router: random, threshold: 0.5}}
"""
    errors = [f.field for f in checked(tmp_path, text, KEY=CANARY).findings if f.level == "error"]
    assert errors == [
        field,
        "routes.misspelt.router",
        "routes.nobody.allow",
        "routes.unwanted.deny",
    ]


def store_of(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = report.facts["store"]
    return found


def test_a_store_is_looked_into_and_left_alone(tmp_path: Path) -> None:
    text = SOUND + "store: {path: t.db}\nlisten: {host: 0.0.0.0}\n"
    path = tmp_path / "t.db"
    new = checked(tmp_path, text)
    assert store_of(new)["state"] == "new"
    assert not path.exists()
    assert "open-to-all" in codes(new)
    keys = KeyStore(open_database(path))
    keys.close()
    before = path.read_bytes()
    partly = checked(tmp_path, text)
    assert store_of(partly) == {"where": str(path), "state": "migrates", "has_keys": False}
    assert "store-migrates" in codes(partly, "note")
    assert path.read_bytes() == before
    with sqlite3.connect(path) as db:
        db.execute("UPDATE access_changes SET version = 3")
    assert "open-to-all" not in codes(checked(tmp_path, text))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE turnout_schemas SET version = 99 WHERE name = 'access'")
    later = checked(tmp_path, text)
    assert codes(later, "error") == {"store_failed": "store.path"}
    assert "made by a later Turnout" in later.findings[0].message
    path.write_bytes(b"no database" * 500)
    assert "turnout store repair" in checked(tmp_path, text).findings[0].message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{path: no/t.db}", "make the folder"),
        ("{path: there}", "name a file"),
        ("{path: .}", "name a"),
    ],
)
def test_a_store_that_cannot_be_made_is_an_error(tmp_path: Path, given: str, said: str) -> None:
    (tmp_path / "there").mkdir()
    report = checked(tmp_path, f"{SOUND}store: {given}\n")
    assert said in report.findings[0].remedy
    assert report.findings[0].field in ("store.path", "store")


def test_a_postgres_store_is_not_opened_without_asking(tmp_path: Path) -> None:
    report = checked(tmp_path, SOUND + "store: {url: 'postgresql://127.0.0.1:9/d'}\n")
    assert report.findings == ()
    assert store_of(report)["state"] == "not opened"


def test_certificates_that_are_named_are_opened(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{}")
    report = checked(tmp_path, SOUND.replace("random: {}", "blend: {certificate: c.json}"))
    assert codes(report, "error") == {"invalid_artifact": "routers.blend.certificate"}


def test_a_missing_extra_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.checking.opening._installed", lambda module: module != "redis")
    report = checked(tmp_path, SOUND + "counters: {redis_url: 'redis://127.0.0.1'}\n")
    assert "turnout[redis]" in report.findings[0].message


def test_a_loop_is_found(tmp_path: Path) -> None:
    report = checked(tmp_path, SOUND + "listen: {port: 9}\n")
    assert codes(report, "error") == {"invalid_settings": "providers.up.base_url"}
