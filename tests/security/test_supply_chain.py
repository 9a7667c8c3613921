"""What is shipped is what is in git, and importing it reaches nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RUNTIME = {
    "click", "genai-prices", "httptools", "httpx2", "jinja2", "markupsafe", "numpy", "openai", "orjson",
    "prometheus-client", "py3langid", "pydantic", "pyyaml", "safetensors", "starlette",
    "threadpoolctl", "tokenizers", "uvicorn",
}  # fmt: skip
"""What the core install brings. One more is a decision: it is added here and in docs/reference/threats.md."""


def pyproject() -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return found


def test_the_core_install_brings_what_is_listed_and_nothing_else() -> None:
    project = pyproject()["project"]
    assert isinstance(project, dict)
    names = {re.split(r"[<>=!~;\[ ]", line)[0].lower() for line in project["dependencies"]}
    assert names == RUNTIME
    page = (ROOT / "docs" / "reference" / "threats.md").read_text(encoding="utf-8")
    listed = re.search(r"Runtime dependencies \((\d+)\): ([^.]+)\.", page)
    assert listed is not None
    assert int(listed[1]) == len(RUNTIME)
    assert set(re.findall(r"`([^`]+)`", listed[2])) == RUNTIME


def test_every_dependency_has_a_bound() -> None:
    project = pyproject()["project"]
    assert isinstance(project, dict)
    assert all(re.search(r">=\d", line) for line in project["dependencies"])


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    pytest.importorskip("hatchling", reason="the build backend is not installed")
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_the_wheel_holds_the_files_of_git_and_no_other(wheel: zipfile.ZipFile) -> None:
    if git("status", "--porcelain", "src"):
        pytest.skip("src has changes that are not committed")
    tracked = {line.removeprefix("src/") for line in git("ls-files", "src/turnout")}
    shipped = {n for n in wheel.namelist() if not n.startswith("turnout-")}
    assert shipped == tracked
    for name in sorted(shipped):
        assert wheel.read(name) == (ROOT / "src" / name).read_bytes(), name


def test_the_wheel_runs_nothing_when_python_starts(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert not [n for n in names if n.endswith((".pth", ".egg-link")) or "sitecustomize" in n]
    assert {n.partition("/")[0] for n in names} == {"turnout", "turnout-0.1.0.dist-info"}
    assert not [n for n in names if n.endswith((".so", ".pyd", ".dll", ".exe", ".pkl", ".pickle"))]


IMPORTS = """
import importlib, pkgutil, socket
def refused(*_, **__):
    raise SystemExit("the network was reached for")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refused
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refused
import turnout
missing = []
for package in PACKAGES:
    module = importlib.import_module(f"turnout.{package}")
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"turnout.{package}."):
        try:
            importlib.import_module(found.name)
        except ImportError as error:
            missing.append(f"{found.name}: {error.name}")
print(len(missing))
"""


def test_importing_what_serves_reaches_nothing() -> None:
    packages = [
        p.name.removesuffix(".py")
        for p in (ROOT / "src" / "turnout").iterdir()
        if p.name not in ("__init__.py", "__main__.py", "__pycache__", "training", "pretrained")
        and p.suffix in ("", ".py")
    ]
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.replace("PACKAGES", repr(sorted(packages)))],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) <= 5
