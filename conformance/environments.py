"""An environment for each client, so that none of them is installed beside the gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from clients import Client

HERE = Path(__file__).parent
HOME = Path(os.environ.get("CONFORMANCE_HOME", HERE.parent / ".venv-conformance"))
PYTHON = os.environ.get("PYTHON", "python3")


def absent(client: Client) -> str:
    """Why a client cannot run here; empty where it can."""
    if client.language == "node" and not (shutil.which("node") and shutil.which("npm")):
        return "node or npm is not installed"
    return ""


def install(clients: Sequence[Client]) -> None:
    """Make the environments that these clients need and that are not there yet."""
    for name in dict.fromkeys(c.environment for c in clients):
        sharing = [c for c in clients if c.environment == name]
        if sharing[0].language == "node":
            _install_node()
        else:
            _install_python(name, sorted({p for c in sharing for p in c.packages}))


def command(client: Client) -> list[str]:
    """What runs a client's script."""
    if client.language == "node":
        return ["node", str(HOME / "node" / client.script)]
    return [str(HOME / client.environment / "bin" / "python"), str(HERE / "python" / client.script)]


def version(client: Client) -> str:
    """The installed version of a client's first package."""
    if client.language == "node":
        folder = HOME / "node" / "node_modules" / client.packages[0]
        return str(json.loads((folder / "package.json").read_text("utf-8"))["version"])
    package = client.packages[0].partition(">")[0].partition("[")[0]
    asked = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = subprocess.run(
        [command(client)[0], "-c", asked], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def _install_python(name: str, packages: Sequence[str]) -> None:
    home = HOME / name
    done, wanted = home / "installed", "\n".join(packages)
    if done.exists() and done.read_text("utf-8") == wanted:
        return
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", "--clear", home], check=True)
    pip = [PYTHON, "-m", "pip", "--python", home / "bin" / "python", "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", "--no-compile", *packages], check=True)
    done.write_text(wanted, encoding="utf-8")


def _install_node() -> None:
    """The packages of the lock file; scripts stand beside them, as Node's imports need."""
    home = HOME / "node"
    home.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "node" / "package-lock.json").read_text("utf-8")
    done = home / "installed"
    for file in (HERE / "node").iterdir():
        if file.is_file():
            shutil.copy(file, home / file.name)
    if not done.exists() or done.read_text("utf-8") != lock:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=home, check=True)
        done.write_text(lock, encoding="utf-8")
