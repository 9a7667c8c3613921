"""What Turnout weighs: import time and memory, the installed environment, the wheel.

    make bench                         (or: python benchmarks/footprint.py [--environment])

`--environment` installs the package into a fresh virtual environment and weighs it (a minute).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "sklearn", "scipy", "pandas", "starlette", "onnxruntime", "openai")

PROBE = """
import json, resource, sys, time
start = time.process_time()
{body}
used = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"cpu_s": used, "rss_mb": peak, "modules": sorted(sys.modules)}}))
"""

BODIES = {
    "python alone": "pass",
    "import numpy": "import numpy",
    "import turnout": "import turnout",
    "import turnout, all public names": (
        "import turnout\nfor name in turnout.__all__: getattr(turnout, name)"
    ),
    "first decision (blend)": (
        "from turnout import *\n"
        "from turnout.names import RouteSpec\n"
        "pool = Pool(candidates=(Candidate(name='gpt-4o'), Candidate(name='gpt-4o-mini')), "
        "default='gpt-4o')\n"
        "Engine(pool, {'blend': open_router('blend')})"
        ".decide(Query.of('What is 2+2?'), RouteSpec('blend', 0.2))"
    ),
}


def probe(body: str) -> dict[str, object]:
    """CPU seconds, peak memory and modules of a fresh interpreter, the median of five by CPU."""
    runs = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", PROBE.format(body=body)],
            capture_output=True,
            check=True,
            text=True,
        )
        runs.append(json.loads(done.stdout))
    return sorted(runs, key=lambda r: r["cpu_s"])[2]


def folder_mb(folder: Path) -> float:
    """Megabytes of the files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def environment() -> None:
    """Build the wheel, install it into a fresh environment, weigh both."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "env")
        venv.create(home, with_pip=True)
        python = home / "bin" / "python"
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "wheel", "--no-deps", "-w", scratch, str(ROOT)], check=True)
        wheel = next(Path(scratch).glob("turnout-*.whl"))
        empty = folder_mb(home)
        subprocess.run([*pip, "install", str(wheel)], check=True)
        print(f"wheel                             {wheel.stat().st_size / 1e6:8.1f} MB")
        print(
            f"installed environment             {folder_mb(home):8.1f} MB (empty: {empty:.1f} MB)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Import time, memory and size.")
    parser.add_argument("--environment", action="store_true")
    args = parser.parse_args()
    print(f"{'what':<33} {'CPU s':>8} {'peak MB':>8}")
    for name, body in BODIES.items():
        run = probe(body)
        heavy = [m for m in HEAVY if m in run["modules"]]
        print(f"{name:<33} {run['cpu_s']:8.3f} {run['rss_mb']:8.1f}  {', '.join(heavy)}")
    if args.environment:
        environment()


if __name__ == "__main__":
    main()
