"""Measure the shipped artifacts on RouteLLM's benchmarks, for their cards; run when they are final.

`python recipes/report_transfer.py --data FOLDER` writes `pretrained/transfer.json` and the section of
it in each card, as the next build of an artifact does. Nothing else reads it: these rows choose
nothing. `--only bert` measures that one and leaves the rows of the others.
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
ROUTERS = ("blend", "mf", "linear", "knn", "clusters", "sw_ranking", "bert")


def main() -> None:
    """Evaluate on each benchmark and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=",".join(ROUTERS), help="names with commas between")
    args = parser.parse_args()
    names = args.only.split(",")
    known = json.loads(TRANSFER.read_text("utf-8"))
    for name in names:
        known["arrays"][name] = read_artifact(PRETRAINED / name)[0]["arrays_sha256"][:12]
    for benchmark in BENCHMARKS:
        rows = known["benchmarks"].setdefault(benchmark, {})
        rows |= _measure(benchmark, args.data / "routellm", names)
    TRANSFER.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    for name in names:
        card = PRETRAINED / name / CARD
        card.write_text(with_transfer(card.read_text("utf-8"), name), encoding="utf-8")


def _measure(benchmark: str, data: Path, names: list[str]) -> dict[str, list[str]]:
    """Router → APGR, its exact form less prompt length's, CPT(50%), CPT(80%), as text."""
    command = [sys.executable, "-c", "from turnout.cli import main; main()", "evaluate", "--json"]
    command += ["--benchmark", benchmark, "--data", str(data), "--routers", ",".join(names)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = {}
    for row in json.loads(done.stdout)["rows"]:
        if row["name"] in (*names, "prompt length", "random"):
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
