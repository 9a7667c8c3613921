"""`turnout calibrate` with a promise, and what the certificate then does in other commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from planted import SUCCESS, planted_prompts
from turnout.artifacts.certificates import CERTIFICATES, read_certificates
from turnout.cli import cli
from turnout.errors import ArtifactError, InputError, NotCertifiedError
from turnout.gateway.setup.building import build_engine
from turnout.gateway.setup.cataloging import auto_route
from turnout.settings import load_settings

PAIR = (
    "--strong",
    "large",
    "--weak",
    "small",
    "--price",
    "large=5,20",
    "--price",
    "small=0.05,0.2",
)


def run(*args: object) -> Result:
    result = CliRunner().invoke(cli, [str(a) for a in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def outcomes(path: Path, n: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "prompt": prompt,
            "models": {m: float(rng.random() < SUCCESS[m][i % 4]) for m in ("large", "small")},
        }
        for i, prompt in enumerate(planted_prompts(n, seed))
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A router of the user's own, the outcomes that it was fitted on, and fresh ones."""
    home = tmp_path_factory.mktemp("certify")
    outcomes(home / "outcomes.jsonl", 200, 1)
    outcomes(home / "fresh.jsonl", 500, 2)
    run("train", "linear", "--data", home / "outcomes.jsonl", "--encoder", "hashing-64",
        "--out", home / "mine", "-q")  # fmt: skip
    return home


@pytest.fixture
def mine(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(home / "mine", tmp_path / "mine"))


def certify(home: Path, artifact: Path, *args: object) -> Result:
    return run("calibrate", "--router", "linear", "--artifact", artifact, *PAIR,
               "--data", home / "fresh.jsonl", *args)  # fmt: skip


def test_a_certificate_is_stored_beside_its_artifact_and_used(home: Path, mine: Path) -> None:
    done = certify(home, mine, "--floor", 0.85)
    route, *lines = done.stdout.splitlines()
    assert route.startswith("router-linear-")
    assert lines[0].split(None, 1)[1].startswith("at least 0.85 of large's mean quality")
    assert f"stored in {mine / CERTIFICATES}" in done.stderr
    (found,) = read_certificates(mine)
    assert found.route == route
    assert found.id in done.stdout
    manifest = json.loads((mine / "manifest.json").read_text())
    assert found.encoder == manifest["encoder"]["fingerprint"]
    # Without a knob, `route` takes the certified one, and says so.
    routed = json.loads(
        run("route", "--router", "linear", "--artifact", mine, *PAIR, "--json", "Hello").stdout
    )
    assert routed["certificate"] == found.id
    assert f"router-linear-{routed['threshold']:g}" == route
    text = run("route", "--router", "linear", "--artifact", mine, *PAIR, "Hello").stdout
    assert f"certificate {found.id}" in text


def test_it_can_be_a_file_that_settings_name(home: Path, mine: Path, tmp_path: Path) -> None:
    file = tmp_path / "promises" / "mine.json"
    found = json.loads(certify(home, mine, "--max-loss", 0.1, "--out", file, "--json").stdout)
    assert found["certified"] is True
    assert not (mine / CERTIFICATES).exists()
    config = tmp_path / "turnout.yaml"
    config.write_text(
        """
providers:
  local: {base_url: "http://127.0.0.1:9/v1"}
candidates:
  - {name: large, price: {input_usd: 5, output_usd: 20}}
  - {name: small, price: {input_usd: 0.05, output_usd: 0.2}}
routers:
  linear: {artifact: mine, certificate: promises/mine.json}
"""
    )
    settings = load_settings(config)
    assert settings.routers["linear"].certificate == tmp_path / "promises" / "mine.json"
    engine = build_engine(settings)
    assert engine.certificates()[0]["id"] == found["id"]
    assert engine.certificates()[0]["state"] == "valid"
    assert auto_route(settings, engine) == found["route"]
    # And the command itself works from the configuration, into its artifact's folder.
    again = run("calibrate", "--config", config, "--router", "linear", "--max-loss", 0.1,
                "--data", home / "fresh.jsonl")  # fmt: skip
    assert str(mine / CERTIFICATES) in again.stderr


def test_a_shipped_router_needs_a_place(home: Path, tmp_path: Path) -> None:
    args = ("calibrate", "--router", "linear", *PAIR, "--data", home / "fresh.jsonl")
    done = run(*args, "--max-loss", 0.3)
    assert "not stored: give --out FILE" in done.stderr
    file = tmp_path / "shipped.json"
    run(*args, "--max-loss", 0.3, "--out", file)
    routed = run("route", "--router", "linear", *PAIR, "--certificate", file, "--json", "Hi")
    assert json.loads(routed.stdout)["certificate"] == read_certificates(file)[0].id
    with pytest.raises(ArtifactError, match="cannot read certificates"):
        run("route", "--router", "linear", *PAIR, "--certificate", tmp_path / "gone", "Hi")


def test_prompts_do_for_a_share(home: Path, mine: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(planted_prompts(300, seed=4)), encoding="utf-8")
    done = run("calibrate", "--router", "linear", "--artifact", mine, *PAIR, "--prompts", prompts,
               "--strong-share", 0.5, "--confidence", 0.9)  # fmt: skip
    assert "at most 50.00% of the requests go to large" in done.stdout
    assert "then small serves" in done.stdout


def test_nothing_certified_is_a_failure_that_says_what_would_do(
    home: Path, mine: Path, tmp_path: Path
) -> None:
    few = outcomes(tmp_path / "few.jsonl", 60, 3)
    args = ["calibrate", "--router", "linear", "--artifact", str(mine), *PAIR, "--data", str(few),
            "--floor", "0.99", "--json"]  # fmt: skip
    result = CliRunner().invoke(cli, args)
    assert isinstance(result.exception, NotCertifiedError)
    found = json.loads(result.stdout)
    assert found["certified"] is False
    assert found["reason"].startswith("nothing can be certified")
    assert not (mine / CERTIFICATES).exists()


def test_what_cannot_be_done_is_said(home: Path, mine: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fitted on these very outcomes"):
        run("calibrate", "--router", "linear", "--artifact", mine, *PAIR, "--floor", 0.9,
            "--data", home / "outcomes.jsonl")  # fmt: skip
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "a", "models": {"large": 7, "small": 0}}')
    with pytest.raises(InputError, match=r"jsonl:1 score of 'large': 7 .*divide a judge"):
        run("calibrate", *PAIR, "--floor", 0.9, "--data", bad)
    one = tmp_path / "one.jsonl"
    one.write_text('{"prompt": "a", "models": {"large": 1}}')
    with pytest.raises(InputError, match="scores of at least two models"):
        run("calibrate", *PAIR, "--floor", 0.9, "--data", one)
    with pytest.raises(InputError, match=r"floor: 95\.0 .* such as 0\.95"):
        certify(home, mine, "--floor", 95)
    with pytest.raises(InputError, match="with --config, name it there"):
        run("route", "--config", "x.yaml", "--certificate", "y", "Hi")
