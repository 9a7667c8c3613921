from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from turnout.errors import SettingsError
from turnout.settings import MAX_BODY_BYTES, MINIMAL, Settings, load_settings, parse_settings
from turnout.types import CAPABILITIES

SECRET = "sk-canary-91c2"
ENV = {"OPENAI_API_KEY": SECRET}
BASE = """
providers:
  up: {base_url: "http://127.0.0.1:1/v1"}
candidates:
  - {name: strong}
  - {name: cheap}
"""


def test_the_minimal_file_and_its_defaults() -> None:
    settings = parse_settings(MINIMAL, ENV)
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 8080)
    assert settings.default == "gpt-4.1"
    assert list(settings.routers) == ["mf", "blend"]
    assert settings.auto == ""  # resolved with the routers open
    assert settings.allow_passthrough
    assert settings.max_body_bytes == 32 * 1024 * 1024
    key = settings.providers["openai"].api_key
    assert key is not None
    assert key.get_secret_value() == SECRET


def test_the_example_is_a_settings_file() -> None:
    path = Path(__file__).parents[1] / "examples" / "turnout.yaml"
    assert [c.name for c in load_settings(path, ENV).candidates] == ["gpt-4.1", "small"]


def test_the_only_provider_and_the_first_router_are_taken() -> None:
    settings = parse_settings(BASE + "routers: {rules: }\nlisten:\n", {})
    assert {c.provider for c in settings.candidates} == {"up"}
    assert settings.auto == ""


def test_environment_variables_fill_values() -> None:
    settings = parse_settings(
        BASE + "default: ${NAME}\nlisten: {port: '${PORT}'}", {"NAME": "cheap", "PORT": "99"}
    )
    assert settings.default == "cheap"
    assert settings.listen.port == 99


def test_turnout_variables_go_over_the_file() -> None:
    environ = {"TURNOUT_HOST": "::1", "TURNOUT_PORT": "0"}
    settings = parse_settings(BASE + "listen: {port: 99}", environ)
    assert (settings.listen.host, settings.listen.port) == ("::1", 0)


def test_files_start_at_the_folder_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(f"{SECRET}\n")
    text = up("api_key_file: key.txt") + (
        "routers: {rules: {file: r.yaml, x: 1}, knn: {artifact: mine}}"
    )
    (tmp_path / "turnout.yaml").write_text(text)
    settings = load_settings(tmp_path / "turnout.yaml", {})
    key = settings.providers["up"].api_key
    assert key is not None
    assert key.get_secret_value() == SECRET
    assert settings.routers["rules"].options == {"file": str(tmp_path / "r.yaml"), "x": 1}
    assert settings.routers["knn"].artifact == tmp_path / "mine"


UP = "providers.up"
HIDDEN = "the hidden value is not usable"


def up(text: str) -> str:
    """The base with more said of its provider."""
    return BASE.replace('/v1"', f'/v1", {text}')


ERRORS: list[tuple[str, str]] = [
    ("", "config: 'NoneType' is not usable: write a mapping"),
    ("- 1", "config: 'list' is not usable: write a mapping"),
    ("a: [", "config: 'line 1, column 5' is not usable: write valid YAML"),
    ("a: \x00", "config: 'the file' is not usable: write valid YAML: ReaderError"),
    ("a: 1\na: 2", "a: 'line 2' is not usable: this key is given twice; keep one"),
    (BASE + "routers: {mf: , mf: }", "mf: 'line 7' is not usable: this key is given twice"),
    (BASE + "defalt: x", "defalt: 'defalt' is not usable: no such setting. Did you mean 'de"),
    (BASE.replace("candidates", "candidats"), "candidats: 'candidats' is not usable: no such"),
    (BASE + "listen: {prt: 1}", "listen.prt: 'prt' is not usable: no such setting. Did"),
    (BASE + "cache: true", "cache: True is not usable: give a mapping with ttl_s, max_bytes, "),
    (BASE + "listen: {port: x}", "listen.port: 'x' is not usable: Input should be a valid integer"),
    (BASE + "listen: {port: 70000}", "listen.port: 70000 is not usable: Input should be less"),
    (BASE + "listen: 7", "listen: 7 is not usable: "),
    (BASE + "default: chep", "default: 'chep' is not usable: name one of the candidates: "),
    (BASE + "default: ${NOPE}", "default: '${NOPE}' is not usable: set the environment var"),
    (BASE + "routers: {}", "routers: a mapping is not usable: Dictionary should have at least 1"),
    (BASE + "routers: [mf]", "routers: a list is not usable: "),
    (BASE + "routers: {'a b': }", "routers.a b: 'a b' is not usable: use letters"),
    (BASE + "max_body_bytes: 0", "max_body_bytes: 0 is not usable: "),
    (
        BASE + "embeddings: [{nam: x}]",
        "embeddings[0].nam: 'nam' is not usable: no such setting. Did",
    ),
    (
        BASE + "embeddings: [{name: x, price: {output_usd: 1}}]",
        "embeddings[0].price.output_usd: 'output_usd' is not usable: no such setting. Did you mean 'i",
    ),
    (BASE + "embeddings: [{name: cheap}]", "embeddings[0].name: 'cheap' is not usable: give it"),
    (BASE + "embeddings: [{name: auto}]", "embeddings[0].name: 'auto' is not usable: give it a"),
    (
        BASE + "embeddings: [{name: e, provider: upp}]",
        "embeddings[0].provider: 'upp' is not usable: name one of: up. Did you mean 'up'?",
    ),
    (
        BASE + "embeddings: [{name: e, replicas: [{provider: c}]}]",
        "embeddings[0].replicas[0].provider: 'c' is not usable: name one of",
    ),
    (
        BASE.replace('/v1"', '/v1", api: messages') + "embeddings: [{name: e}]",
        "embeddings[0].provider: 'up' is not usable: Anthropic's API makes no embeddings",
    ),
    (BASE.replace("cheap", "strong"), "candidates[1].name: 'strong' is not usable: give each"),
    (BASE.replace("cheap", "auto"), "candidates[1].name: 'auto' is not usable: this name asks"),
    (BASE.replace("cheap", "router-x-1"), "candidates[1].name: 'router-x-1' is not usable: this"),
    (
        BASE.replace("cheap", "cheap, provider: upp"),
        "candidates[1].provider: 'upp' is not usable: ",
    ),
    (
        BASE.replace("cheap", "cheap, capabilities: [tols]"),
        "candidates[1].capabilities[0]: 'tols' is not usable: Input should be 'tools'",
    ),
    (
        BASE.replace("cheap", "cheap, price: {input_usd: -1, output_usd: 1}"),
        "candidates[1].price.input_usd: -1 is not usable: ",
    ),
    (
        BASE.replace("cheap", "cheap, price: {input: 1}"),
        "candidates[1].price.input: 'input' is not usable: no such setting. Did you mean 'input_u",
    ),
    ("providers: {up: {}}\ncandidates: [{name: a}]", f"{UP}.base_url: nothing is not usable"),
    (BASE.replace("http://", "ftp://"), f"{UP}.base_url: {HIDDEN}: give a URL"),
    (BASE.replace("/v1", "/v1?key=x"), f"{UP}.base_url: {HIDDEN}"),
    (BASE.replace("http://", f"http://u:{SECRET}@"), f"{UP}.base_url: {HIDDEN}"),
    (up(f"api_kye: {SECRET}"), f"{UP}.api_kye: 'api_kye' is not usable"),
    (up(f"api_key: [{SECRET}]"), f"{UP}.api_key: the hidden value"),
    (up(f'api_key: "é{SECRET}"'), f"{UP}.api_key: the hidden value"),
    (up(f"headers: {{x: [{SECRET}]}}"), f"{UP}.headers.x: {HIDDEN}"),
    (up("api_key_env: NOPE"), f"{UP}.api_key_env: 'NOPE' is not usable: set"),
    (up("api_key_file: no.txt"), f"{UP}.api_key_file: 'no.txt' is not usable"),
    (
        up(f"api_key: {SECRET}, api_key_env: X"),
        f"{UP}: a mapping is not usable: give one of api_key, api_key_env and api_key_file",
    ),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_what_cannot_be_used_is_named_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, {})
    assert str(caught.value).startswith(message)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "turnout.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="give a readable YAML file"):
        load_settings(path, {})


def test_secrets_are_not_in_the_repr() -> None:
    text = up(f"api_key: {SECRET}, headers: {{x: {SECRET}}}")
    assert SECRET not in repr(parse_settings(text, {}))


names = st.text(alphabet="abcXYZ019._/ -", min_size=1, max_size=12).filter(lambda n: n == n.strip())
candidates = st.fixed_dictionaries(
    {"name": names.map(lambda n: f"m{n}")},
    optional={
        "model": names,
        "price": st.fixed_dictionaries(
            {"input_usd": st.floats(0, 1e3), "output_usd": st.floats(0, 1e3)}
        ),
        "context_tokens": st.integers(1, 10**7),
        "capabilities": st.lists(st.sampled_from(CAPABILITIES), unique=True),
    },
)
trees: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "providers": st.just({"up": {"base_url": "http://127.0.0.1:1/v1", "timeout_s": 3.5}}),
        "candidates": st.lists(candidates, min_size=1, max_size=4, unique_by=lambda c: c["name"]),
    },
    optional={
        "listen": st.fixed_dictionaries({"port": st.integers(0, 65535)}),
        "allow_passthrough": st.booleans(),
        "max_body_bytes": st.integers(1, 10**9),
    },
)


def holds(found: Any, given: Any) -> bool:
    """Whether everything that was given stands in what was read."""
    if isinstance(given, dict):
        return all(holds(found[key], value) for key, value in given.items())
    if isinstance(given, list):
        return len(found) == len(given) and all(map(holds, found, given))
    return bool(found == given)


@given(trees)
@hypothesis_settings(deadline=None, max_examples=50)
def test_what_is_written_is_read_back(tree: dict[str, Any]) -> None:
    settings = parse_settings(yaml.safe_dump(tree), {})
    assert holds(settings.model_dump(), tree)
    assert isinstance(settings, Settings)


def test_the_guides_examples_are_settings() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "guides" / "gateway.md").read_text()
    examples = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    read = [parse_settings(example, ENV) for example in examples]
    assert [len(s.candidates) for s in read] == [2, 2]
    assert read[1].max_body_bytes == MAX_BODY_BYTES


def test_the_hedging_guides_example_is_settings() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "guides" / "hedging.md").read_text()
    [example] = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    hedge = parse_settings(example, ENV).candidates[0].hedge
    assert hedge is not None
    assert (hedge.after, hedge.share, hedge.spares) == ("p95", 0.05, False)


def test_the_guides_prices_are_settings() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "guides" / "money.md").read_text()
    [example] = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    price = parse_settings(example, ENV).candidates[0].price
    assert price is not None
    assert set(price.above) == {200_000}
    assert set(price.services) == {"flex", "priority"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("above: {-1: {input_usd: 1}}", "above"),
        ("above: {200000: {input: 1}}", "Did you mean 'input_usd'"),
        ("services: {quick: {input_usd: 1}}", "'flex', 'priority'"),
        ("services: {flex: {abov: {}}}", "Did you mean 'above'"),
        ("cache_read_usd: 1000000", "10000"),
    ],
)
def test_a_rule_of_a_price_that_cannot_be_used_is_named(rule: str, message: str) -> None:
    text = BASE.replace(
        "{name: cheap}", f"{{name: cheap, price: {{input_usd: 1, output_usd: 1, {rule}}}}}"
    )
    with pytest.raises(SettingsError, match=message):
        parse_settings(text, {})


@pytest.mark.parametrize("name", ["two\\nlines", "a\\tb", "bell\\a"])
def test_a_candidate_has_no_control_characters_in_its_name(name: str) -> None:
    text = f'providers: {{up: {{base_url: "http://x/v1"}}}}\ncandidates: [{{name: "{name}"}}]\n'
    with pytest.raises(SettingsError, match=r"candidates\[0\]\.name"):
        parse_settings(text, {})


def test_a_store_is_a_file_or_a_url_given_in_one_of_three_ways(tmp_path: Path) -> None:
    def store(text: str, **environ: str) -> Any:
        return parse_settings(f"{BASE}store: {text}\n", environ, folder=tmp_path).store

    file = store("{path: a.db}")
    assert (file.path, file.journal_folder) == (tmp_path / "a.db", tmp_path / "a.db.journal")
    url = f"postgresql://me:{SECRET}@db/turnout"
    (tmp_path / "url").write_text(url + "\n")
    by_name = store("{url_env: DB_URL, journal: /var/j}", DB_URL=url)
    for found in (store(f"{{url: '{url}'}}"), store("{url_file: url}"), by_name):
        assert found.url.get_secret_value() == url
        assert SECRET not in repr(found)
    assert by_name.journal_folder == Path("/var/j")
    assert store(f"{{url: '{url}'}}").journal_folder == tmp_path / "turnout.journal"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "store.*one of path"),
        (f"{{path: a, url: 'postgresql://{SECRET}@h/d'}}", "store.*one of path"),
        (f"{{url: 'mysql://{SECRET}@h/d'}}", r"store\.url: the hidden value.*postgresql://"),
        ("{url_env: ABSENT}", r"store\.url_env.*postgresql://"),
        ("{url_file: absent}", r"store\.url_file.*readable file"),
        ("{path: a, journal_bytes: 1}", "journal_bytes"),
    ],
)
def test_a_store_that_cannot_be_used_is_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        parse_settings(f"{BASE}store: {text}\n", {})
    assert SECRET not in str(refused.value)


ACCESS = """
teams: {data: {budgets_usd: {month: 2}, allow: [cheap]}}
limits: {requests_per_minute: 5}
keys:
  - {name: ci, key_env: CI_KEY, team: data, role: admin, expires: 2030-01-01T00:00:00Z}
"""


def test_keys_are_read_and_only_their_hashes_are_kept(tmp_path: Path) -> None:
    secret = "tk_settings-canary-55aa10"
    (tmp_path / "key").write_text(f"{secret}2\n")
    text = BASE + ACCESS + "  - {name: b, key_file: key}\n"
    found = parse_settings(text, {"CI_KEY": secret}, folder=tmp_path)
    hashed = [hashlib.sha256(s.encode()).hexdigest() for s in (secret, f"{secret}2")]
    assert [k.sha256 for k in found.keys] == hashed
    assert secret not in repr(found)
    assert found.teams["data"].budgets_usd == {"month": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keys: [{name: a, key_env: SHORT}]", "random key of 20"),
        ("keys: [{name: a, key_env: NONE}]", "set this environment variable"),
        ("keys: [{name: a, key_file: nowhere}]", "readable file"),
        ("keys: [{name: a}]", "give one of sha256, key_env and key_file"),
        ("keys: [{name: a, sha256: 12}]", "keys[0].sha256"),
        ("keys: [{name: '../a', key_env: KEY}]", "keys[0].name"),
        ("keys: [{name: a, key_env: KEY, team: dta}]\nteams: {data: {}}", "Did you mean 'data'"),
        ("keys: [{name: a, key_env: KEY}, {name: a, key_env: KEY2}]", "its own name"),
        ("keys: [{name: a, key_env: KEY}, {name: b, key_env: KEY}]", "its own secret"),
        ("keys: [{name: a, key_env: KEY, expires: 2030-01-01}]", "time zone"),
        ("keys: [{name: a, key_env: KEY, budget: 3}]", "budgets_usd"),
        ("teams: {data: {budgets_usd: {fortnight: 3}}}", "teams.data.budgets_usd.fortnight"),
        ("teams: {data: {budgets_usd: {day: 0}}}", "teams.data.budgets_usd.day"),
        ("teams: {'a b': {}}", "use letters, digits"),
        ("limits: {concurrent: 0}", "limits.concurrent"),
        ("auth: {cache: 3}", "Did you mean 'cache_s'"),
    ],
)
def test_what_is_wrong_with_keys_and_limits_is_said(text: str, said: str) -> None:
    environ = {"KEY": "k" * 20, "KEY2": "j" * 20, "SHORT": "short-canary"}
    with pytest.raises(SettingsError) as caught:
        parse_settings(BASE + text, environ)
    assert said in str(caught.value)
    assert "short-canary" not in str(caught.value)


def test_the_url_of_redis_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:word@redis:6379/0\n")
    counters = BASE + "counters: {redis_url_file: url}"
    found = parse_settings(counters, {}, folder=tmp_path).counters
    assert found is not None
    assert found.redis_url is not None
    assert found.redis_url.get_secret_value() == "redis://:word@redis:6379/0"
    (tmp_path / "url").write_text("http://redis")
    with pytest.raises(SettingsError, match=r"counters\.redis_url_file: .* give a URL such as"):
        parse_settings(counters, {}, folder=tmp_path)
    with pytest.raises(SettingsError, match="give a readable file that holds the URL"):
        parse_settings(counters, {}, folder=tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="give one of redis_url, redis_url_env and"):
        parse_settings(BASE + "counters: {redis_url_file: url, redis_url_env: URL}", {})
    (tmp_path / "talks").write_text("redis://talks")
    talks = parse_settings(BASE + "conversations: {redis_url_file: talks}", {}, folder=tmp_path)
    assert talks.conversations.redis_url is not None
