"""Measure the shipped artifacts on RouteLLM's benchmarks, for their cards; run when they are final.

`python recipes/report_transfer.py --data FOLDER` writes `pretrained/transfer.json` and the cards'
section on it. Nothing else reads it: these rows choose nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pretrained.cards import TRANSFER, with_transfer

from turnout.artifacts.folder import CARD, read_artifact
from turnout.artifacts.opening import PRETRAINED

BENCHMARKS = ("routellm-mmlu", "routellm-gsm8k", "routellm-mtbench")
ROUTERS = ("blend", "mf", "linear", "knn", "clusters", "sw_ranking")


def main() -> None:
    """Evaluate on each benchmark and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    arrays = {r: read_artifact(PRETRAINED / r)[0]["arrays_sha256"][:12] for r in ROUTERS}
    benchmarks = {name: _measure(name, args.data / "routellm") for name in BENCHMARKS}
    text = json.dumps({"arrays": arrays, "benchmarks": benchmarks}, indent=1)
    TRANSFER.write_text(text + "\n", encoding="utf-8")
    for name in ROUTERS:
        card = PRETRAINED / name / CARD
        card.write_text(with_transfer(card.read_text("utf-8"), name), encoding="utf-8")


def _measure(benchmark: str, data: Path) -> dict[str, list[str]]:
    """Router → APGR, its exact form less prompt length's, CPT(50%), CPT(80%), as text."""
    command = [sys.executable, "-c", "from turnout.cli import main; main()", "evaluate", "--json"]
    command += ["--benchmark", benchmark, "--data", str(data), "--routers", ",".join(ROUTERS)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = {}
    for row in json.loads(done.stdout)["rows"]:
        if row["name"] in (*ROUTERS, "prompt length", "random"):
            values = row["metrics"]
            found[row["name"]] = [
                _text(values["apgr"], "{:.3f}"),
                _text(row["apgr_exact_minus_length"], "{:+.3f}"),
                _text(values["cpt50"], "{:.1%}"),
                _text(values["cpt80"], "{:.1%}"),
            ]
    return found


def _text(value: dict[str, Any] | None, form: str) -> str:
    if value is None:
        return ""
    low, high = form.format(value["low"]), form.format(value["high"])
    return f"{form.format(value['value'])} [{low}, {high}]"


if __name__ == "__main__":
    main()
