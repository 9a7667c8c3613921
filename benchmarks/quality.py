"""Quality of every trained router, as the tables of docs/benchmarks.md.

    make bench-quality DATA=folder     (or: python benchmarks/quality.py --data folder)

The folder holds `routellm/` (laid out as in RouteLLM's repository) and `outcomes/` (Parquet files, one
row a prompt and model, with `role` train or dev). Some twenty minutes on one core. Every number has a
95% interval by a bootstrap over groups of near-duplicates; the seeds are fixed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bert
import numpy as np
import pyarrow.parquet as pq
from router_table import (
    Field,
    artifact_row,
    baselines,
    best_quality,
    markdown,
    operating_points_of,
    picked,
    plain,
    router_row,
    timed,
)

from turnout import Candidate, Query, open_router
from turnout.artifacts.opening import trainable
from turnout.data.groups import near_duplicate_groups
from turnout.data.table import OutcomeTable, build_table
from turnout.evaluation.benchmarks import Benchmark, open_benchmark
from turnout.evaluation.hulls import aiq
from turnout.evaluation.intervals import Estimate, Resampler, percentile_interval
from turnout.evaluation.report import EvaluationReport
from turnout.evaluation.run import ScoreRow, evaluate_pair
from turnout.training import trainers
from turnout.training.fit import fit_router
from turnout.training.indomain import predict_cross_fitted, predict_held_out, split_labels
from turnout.types import Outcome

ROUTELLM = ("routellm-mmlu", "routellm-gsm8k", "routellm-mtbench")
LABELS, SEEDS, FOLDS, REPLICATES = 1500, 8, 10, 500
TIMED = 200
NAMES = tuple(n for n in ("blend", "mf", "knn", "clusters", "linear") if n in trainable())
HEADER = """# Benchmarks

Each section ends with the command that makes it; `make bench-quality DATA=folder` makes all tables of quality, `make bench`
times and sizes. The folder holds `routellm/` (as in RouteLLM's repository) and `outcomes/` (Parquet files, a row a prompt and
model, role `train` or `dev`); MINILM is a folder of all-MiniLM-L6-v2. Near-duplicate prompts are never on both sides of a split.

- **[low high]**: 95% interval by a bootstrap over groups of near-duplicates, paired where differences are shown.
- **APGR**: mean part of the quality gap between the strong and the weak model that is recovered, over all shares of strong
  calls; 0.5 is a random mix. **APGR dollars**: over the share of the extra dollars. **CPT50**, **CPT80**: percent of strong
  calls that recovers 50%, 80% of the gap; less is better. **less length**: APGR less that of "longer prompts to the strong model".
- **AIQ**: mean quality under the hull of a router's points of cost and quality, from the cheapest to the dearest model.
  **zero router**: the same hull of single models and mixes of them.
- **Brier**: mean squared error of the predicted qualities; less is better.
- **kind**: *transfer*, no label of the benchmark was used; *in-domain*, labels of other groups of it were; *baseline*, no
  learning; *published*, as its authors printed it, without intervals.
"""


SECTIONS = (
    "transfer",
    "mmlu",
    "gsm8k",
    "nine",
    "routerbench",
    "every",
    "bert",
    "certificates",
    "timing",
)


SETS = {"LLMRouter-9": "llmrouter_uiuc", "RouterBench": "routerbench"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables of docs/benchmarks.md.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument(
        "--only", choices=SECTIONS, action="append", help="Make these sections again."
    )
    parser.add_argument(
        "--routers", help="Of the section `every`: names with commas between; default: all."
    )
    parser.add_argument(
        "--set", choices=SETS, action="append", help="Of the section `every`: which outcomes."
    )
    parser.add_argument(
        "--artifact",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="Of the section `every`: a router fitted elsewhere on train parts, such as universal.",
    )
    parser.add_argument("--base", help="Of the section `bert`: folder of all-MiniLM-L6-v2.")
    args = parser.parse_args()
    kept = split_sections(args.out.read_text("utf-8")) if args.out.exists() else {}
    for name in args.only or (s for s in SECTIONS if s != "bert" or args.base):
        print(f"{name} …", flush=True)
        kept[name] = f"<!-- {name} -->\n" + make_section(name, args)
    write_page(args.out, kept)
    print(f"wrote {args.out}")


def split_sections(page: str) -> dict[str, str]:
    """The sections of a page by name."""
    parts = re.split(r"^(?=<!-- \w+ -->$)", page, flags=re.M)[1:]
    return {part.split()[1]: part.rstrip("\n") + "\n" for part in parts}


def write_page(page: Path, sections: dict[str, str]) -> None:
    """Write sections by name: those of `SECTIONS` first, then what other benchmarks made."""
    others = (name for name in sections if name not in SECTIONS)
    order = [*(name for name in SECTIONS if name in sections), *others]
    page.write_text("\n".join([HEADER, *(sections[name] for name in order)]), "utf-8")


def make_section(name: str, args: argparse.Namespace) -> str:
    """Measure one section."""
    data: Path = args.data
    if name == "every":
        return every(
            data / "outcomes",
            args.routers,
            args.set or list(SETS),
            args.out.with_suffix(".json"),
            dict(item.split("=", 1) for item in args.artifact),
        )
    if name == "certificates":  # made by certificates.py; here its rows are only written out again
        from certificates import DRAWS, markdown

        known = json.loads(args.out.with_name("certificates.json").read_text("utf-8"))
        return markdown(known, DRAWS)
    if name == "bert":
        return bert_beside_blend(data / "outcomes", args.base)
    if name == "transfer":
        return transfer({b: open_benchmark(b, data / "routellm") for b in ROUTELLM})
    if name in ("mmlu", "gsm8k"):
        section = mmlu if name == "mmlu" else gsm8k
        return section(open_benchmark(f"routellm-{name}", data / "routellm"))
    if name == "nine":
        return nine(data / "outcomes" / "llmrouter_uiuc.parquet")
    if name == "routerbench":
        return routerbench(data / "outcomes" / "routerbench.parquet")
    return timing(data, args.base)


def transfer(benchmarks: dict[str, Benchmark]) -> str:
    """The shipped artifacts on benchmarks of which they saw no label."""
    routers = {name: open_router(name) for name in NAMES}
    lines = [
        "## Transfer: the shipped routers on RouteLLM's benchmarks",
        "",
        "No label of these benchmarks was used, nor anything tuned on them; their prompts and near-duplicates",
        f"were kept out of the fit. RouteLLM's routers are as its authors printed them. {REPLICATES} replicates; the commands draw 1,000.",
        "",
    ]
    for name, benchmark in benchmarks.items():
        report = evaluate_pair(benchmark, routers, replicates=REPLICATES)
        lines += [
            f"**{name}**, n = {report.prompts:,} in {report.groups:,} groups: "
            f"{report.weak} {report.quality_weak.value * report.scale:.4g}, "
            f"{report.strong} {report.quality_strong.value * report.scale:.4g}",
            "",
            *pair_table(report, [r.name for r in report.rows if r.metrics]),
            "",
            f"    turnout evaluate --benchmark {name} --data DATA/routellm --routers {','.join(NAMES)}",
            "",
        ]
    return "\n".join(lines)


def mmlu(benchmark: Benchmark) -> str:
    """In-domain with 1,500 labels: groups never split, several draws of the labels."""
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    sizes = []
    for seed in range(SEEDS):
        labelled, reported = split_labels(benchmark, LABELS, seed=seed)
        part = benchmark.rows(reported)
        sizes.append(part.n)
        extra = [
            ScoreRow(
                name=n,
                kind="in-domain",
                scores=_gain(predict_held_out(benchmark, n, labelled, reported)),
            )
            for n in NAMES
        ]
        report = evaluate_pair(part, {}, extra=extra, replicates=100, seed=seed)
        for name in ("prompt length", *NAMES):
            row = report.row(name)
            gap = row.difference
            rows.setdefault(name, []).append(
                (
                    row.metrics["apgr"].value,
                    row.metrics["apgr"].low,
                    row.metrics["apgr"].high,
                    gap.value if gap else float("nan"),
                )
            )
    lines = [
        f"## In-domain: RouteLLM-MMLU with {LABELS:,} labels",
        "",
        f"{SEEDS} draws of the labelled prompts by whole groups (near-duplicates and templates on one side), the",
        f"other groups reported ({min(sizes):,} to {max(sizes):,} prompts). ± is 1.96 standard errors of the mean over the draws, which",
        "share most of the reported prompts: it says how much the labels matter, not the prompts. RouteLLM's best with as many labels,",
        f"drawn so that templates are on both sides: {best_published(benchmark)}. One template, moral_scenarios, holds 6% of the",
        "prompts and a fifth of the gain; draws that meet it among the labels differ from those that do not.",
        "",
        "| router | mean APGR of the draws | each draw | mean less length | widest interval of one draw |",
        "|---|---|---|---|---|",
    ]
    for name, found in rows.items():
        values = np.asarray(found)
        low, high = values[:, 1].min(), values[:, 2].max()
        gap = "" if np.isnan(values[:, 3]).all() else f"{values[:, 3].mean():+.3f}"
        spread = 1.96 * values[:, 0].std(ddof=1) / np.sqrt(len(values))
        lines.append(
            f"| {name} | {values[:, 0].mean():.3f} ± {spread:.3f} | "
            f"{' '.join(f'{v:.3f}' for v in values[:, 0])} | {gap} | [{low:.3f} {high:.3f}] |"
        )
    command = f"turnout evaluate --benchmark routellm-mmlu --data DATA/routellm --labels {LABELS} --seed 0"
    every = f"    {command} --no-transfer --routers {','.join(NAMES)}   # seeds 0 to {SEEDS - 1}"
    return "\n".join([*lines, "", every, _made_by("mmlu"), ""])


def best_published(benchmark: Benchmark) -> str:
    """The best APGR that RouteLLM's authors printed."""
    return f"{max(row.apgr for row in benchmark.published):.3f}"


def gsm8k(benchmark: Benchmark) -> str:
    """In-domain, ten grouped folds."""
    extra = [
        ScoreRow(name=n, kind="in-domain", scores=_gain(predict_cross_fitted(benchmark, n, FOLDS)))
        for n in NAMES
    ]
    report = evaluate_pair(benchmark, {}, extra=extra, replicates=REPLICATES)
    command = f"turnout evaluate --benchmark routellm-gsm8k --data DATA/routellm --folds {FOLDS}"
    return "\n".join(
        [
            "## In-domain: RouteLLM-GSM8K, ten grouped folds",
            "",
            f"RouteLLM's best: {best_published(benchmark)}.",
            "",
            *pair_table(report, ["prompt length", *NAMES]),
            "",
            f"    {command} --no-transfer --routers {','.join(NAMES)}",
            "",
        ]
    )


def pair_table(report: EvaluationReport, names: Sequence[str]) -> list[str]:
    """Markdown of some rows of a report."""
    lines = [
        "| router | kind | CPT50 | CPT80 | APGR | APGR dollars | less length |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        row = report.row(name)
        cells = [
            _show(row.metrics.get(m), percent=m.startswith("cpt"))
            for m in ("cpt50", "cpt80", "apgr")
        ]
        cells += [_show(row.metrics.get("apgr_usd")), _show(row.difference, signed=True)]
        lines.append(f"| {row.name} | {row.kind} | {' | '.join(cells)} |")
    return lines


def nine(path: Path) -> str:
    """LLMRouter-9: nine models, fitted on train, reported on dev."""
    train, dev = parts_of(path)
    score, n = dev.score.astype(np.float64), len(dev.prompts)
    best = int(np.argmax(train.score.mean(axis=0)))
    picks = {
        "best single model (on train)": np.full(n, best),
        "best model per dataset": dataset_table(train, dev),
    }
    briers = {}
    at, candidates = Field(train, dev), [Candidate(name=model) for model in train.models]
    for name in NAMES:
        router = fit_router(name, train).open()
        quality = predict(router, dev)
        picks[name] = best_quality(operating_points_of(router, candidates, None), quality, at)
        briers[name] = float(((quality - score) ** 2).mean())
    groups = near_duplicate_groups(dev.prompts, known=[str(g) for g in dev.groups])
    resampler = Resampler(groups, REPLICATES * 2, 0)
    got = {name: score[np.arange(n), pick] for name, pick in picks.items()}
    lines = [
        "## Nine models: LLMRouter-9",
        "",
        f"Fitted on the {len(train.prompts):,} train prompts with all nine scores and no near-duplicate in dev, reported on {n} dev prompts;",
        f"accuracy of what is decided for the best quality. Oracle {score.max(axis=1).mean():.3f}. The table knows each prompt's",
        "dataset; the routers are not told. Intervals draw the prompts anew and not the fit, which moves these numbers by a point or",
        "two as well ([lab notes](lab-notes.md#decisions-that-a-rewording-changes)).",
        "",
        "| way to choose | accuracy | less best single | less table | Brier |",
        "|---|---|---|---|---|",
    ]
    single, table = list(got)[:2]
    for name, values in got.items():
        stack = np.stack([values, values - got[single], values - got[table]], axis=1)
        draws = resampler.means(stack)
        found = [percentile_interval(float(stack[:, j].mean()), draws[:, j]) for j in range(3)]
        cells = [
            _show(found[0]),
            "" if name == single else _show(found[1], signed=True),
            "" if name in (single, table) else _show(found[2], signed=True),
            f"{briers[name]:.4f}" if name in briers else "",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _made_by("nine"), ""])


def _made_by(section: str) -> str:
    """The command that makes a section again."""
    return f"    python benchmarks/quality.py --data DATA --only {section}"


def routerbench(path: Path) -> str:
    """RouterBench: eleven models with real costs; the hull policy against the zero router."""
    train, dev = parts_of(path)
    score, cost = dev.score.astype(np.float64), dev.cost_usd.astype(np.float64)
    mean = np.nanmean(train.cost_usd, axis=0).astype(np.float64)
    span = (float(cost.mean(axis=0).min()), float(cost.mean(axis=0).max()))
    n, m = score.shape
    every = np.arange(n)

    def area(choices: Sequence[np.ndarray], at: np.ndarray) -> float:
        points = np.asarray([(cost[at, c[at]].mean(), score[at, c[at]].mean()) for c in choices])
        return float(aiq(points[:, 0], points[:, 1], cheapest=span[0], dearest=span[1]))

    singles = [np.full(n, j) for j in range(m)]
    groups = near_duplicate_groups(dev.prompts, known=[str(g) for g in dev.groups])
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    rng = np.random.default_rng(0)
    draws = [
        np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])
        for _ in range(200)
    ]
    lines = [
        "## Eleven models with real costs: RouterBench",
        "",
        f"Fitted on {len(train.prompts):,} train prompts without a near-duplicate in dev, reported on {n} dev prompts. The zero router",
        "mixes single models (its hull is taken on dev, in its favour); the routers' operating points were chosen out of fold on train.",
        "",
        "| way to choose | AIQ | less zero router |",
        "|---|---|---|",
        f"| zero router | {area(singles, every):.4f} | |",
    ]
    for name in NAMES:
        router = fit_router(name, train).open()
        candidates = [Candidate(name=model) for model in train.models]
        quality, at = predict(router, dev), Field(train, dev)
        choices = [picked(p, quality, at) for p in operating_points_of(router, candidates, mean)]
        value = area(choices, every)
        gaps = np.asarray([area(choices, at) - area(singles, at) for at in draws])
        gap = percentile_interval(value - area(singles, every), gaps)
        lines.append(f"| {name} | {value:.4f} | {_show(gap, signed=True)} |")
    return "\n".join([*lines, "", _made_by("routerbench"), ""])


def every(
    folder: Path, chosen: str | None, sets: Sequence[str], out: Path, artifacts: dict[str, str]
) -> str:
    """Each router that can be trained, on the same data and splits; also written as JSON."""
    names = chosen.split(",") if chosen else list(trainers.names())
    sections, results = [], {}
    for title in sets:
        at = field_of(folder, title)
        rows = baselines(at)
        for name in names:
            print(f"  {title}: {name}", flush=True)
            rows.append(router_row(name, at))
        rows += [artifact_row(n, Path(made), SETS[title], at) for n, made in artifacts.items()]
        rows = timed(at, rows)
        left = [name for name in trainers.names() if name not in (*names, *artifacts)]
        rows += [{"name": name, "not_fitted": "left out of this run"} for name in left]
        sections.append(markdown(title, at, rows))
        results[title] = [plain(row) for row in rows]
    out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    routers = f" --routers {chosen}" if chosen else ""
    routers += "".join(f" --artifact {name}=FOLDER" for name in artifacts)
    routers += "".join(f" --set {title}" for title in sets) if len(sets) < len(SETS) else ""
    return "\n".join(
        [
            "## Every router, one table",
            "",
            "One encoder, one split, one set of bootstrap draws. Mean score and flips are of what is decided for the",
            "best quality (threshold 0): the share of prompts whose model changes under a polite prefix, 2% swapped",
            "letters, or lower case. Decision: median CPU time as a ratio to `blend`, calls interleaved. The numbers are",
            "in benchmarks.json. Train prompts with a near-duplicate in dev are left out. Rows without seconds of a fit are",
            "artifacts made elsewhere: `universal` as it ships saw no prompt of three tasks of LLMRouter-9 (MMLU, GSM8K, MGSM), and of",
            "the others all train prompts.",
            "",
            *sections,
            f"    python benchmarks/quality.py --data DATA --only every{routers}",
            "",
        ]
    )


def field_of(folder: Path, title: str) -> Field:
    """Train and dev part of one of `SETS`."""
    return Field(*parts_of(folder / f"{SETS[title]}.parquet"))


def parts_of(path: Path) -> tuple[OutcomeTable, OutcomeTable]:
    """What is fitted on, and what is reported on: no prompt of one is a near-duplicate of one of the other.

    The roles of a file keep its own groups together. These are narrower in places: twins of WinoGrande,
    or two tasks that begin with the same twelve words, had one prompt in each role.
    """
    train = read(path, "train")
    train = train if path.stem == SETS["RouterBench"] else complete(train)
    dev = complete(read(path, "dev").columns(train.models))
    groups = near_duplicate_groups([*train.prompts, *dev.prompts])
    n = len(train.prompts)
    return train.rows(~np.isin(groups[:n], groups[n:])), dev


def bert_beside_blend(folder: Path, base: str | None) -> str:
    """`bert` trained from the artifact that ships, beside `blend`; and the time of the shipped one."""
    if not base:
        raise SystemExit("the section bert needs --base, for its baseline of time")
    return "\n".join(
        [
            "## `bert` beside `blend`",
            "",
            "Both trained on the train part with their defaults, bert from the encoder that ships, and reported on",
            "dev. bert fits on seven tenths of the prompts; blend, by folds, on all. Seconds of a fit are of CPU.",
            "",
            *(
                bert.quality(field_of(folder, title), title, "", frozen=False) + "\n"
                for title in SETS
            ),
            "Time of one prediction of the shipped artifacts, CPU time of one thread, calls interleaved. bert reads",
            "96 tokens at most, keeping the head and tail of a longer prompt (200 words are more than 200 tokens);",
            f"the baseline is the whole of its base, {bert.BASELINE}. Prompts are made of some sixty words,",
            "which `blend` knows by heart: on real ones it takes some 1.7 times as long.",
            "",
            bert.time_table(bert.times(Path(base), TIMED)),
            "",
            "    python benchmarks/quality.py --data DATA --only bert --base MINILM",
            "",
        ]
    )


def read(path: Path, role: str) -> OutcomeTable:
    """One role of a Parquet file of outcomes."""
    rows = [r for r in pq.read_table(path).to_pylist() if r["role"] == role]
    outcomes = (
        Outcome(
            prompt=r["prompt"],
            model=r["model"],
            score=r["score"],
            cost_usd=r["cost_usd"],
            input_tokens=r["input_tokens"],
            output_tokens=r["output_tokens"],
            group=r["group"],
        )
        for r in rows
    )
    return build_table(outcomes, categories={r["prompt"]: r["category"] for r in rows})


def complete(table: OutcomeTable) -> OutcomeTable:
    """The models with (nearly) full cover, and the prompts that all of them answered."""
    cover = np.isfinite(table.score).sum(axis=0)
    kept = [name for name, c in zip(table.models, cover, strict=True) if c >= 0.9 * cover.max()]
    table = table.columns(kept)
    return table.rows(np.isfinite(table.score).all(axis=1))


def dataset_table(train: OutcomeTable, dev: OutcomeTable) -> np.ndarray:
    """(n,) best model, on train, of each dev prompt's dataset."""
    of_train = np.asarray(train.categories)
    best = {c: int(np.argmax(train.score[of_train == c].mean(axis=0))) for c in np.unique(of_train)}
    fallback = int(np.argmax(train.score.mean(axis=0)))
    return np.asarray([best.get(c, fallback) for c in dev.categories])


def predict(router, table: OutcomeTable) -> np.ndarray:  # type: ignore[no-untyped-def]
    """(n, m) predicted quality of a table's prompts and models."""
    candidates = [Candidate(name=name) for name in table.models]
    return router.predict([Query.of(p) for p in table.prompts], candidates).quality


def timing(data: Path, base: str | None) -> str:
    """What `make bench` prints, as of this run; decisions of real prompts."""
    here = Path(__file__).parent
    small = ["--base", base] if base else []
    runs = [
        [sys.executable, str(here / "decision.py"), "--n", "200", "--data", str(data), *small],
        [sys.executable, str(here / "replay.py")],
        [sys.executable, str(here / "footprint.py"), "--environment"],
    ]
    texts = [subprocess.run(r, capture_output=True, check=True, text=True).stdout for r in runs]
    return "\n".join(
        [
            "## Times and sizes",
            "",
            "Ratios in one run count, absolute times depend on the machine and on what else it does. Prompts are real ones, cut or",
            "joined to just so many tokens of the shipped encoder's tokenizer. `minilm+index` and `bert` are forward passes in numpy without tokenisation,",
            "which an optimised runtime makes two to three times faster; `minilm int8` is such a runtime: all-MiniLM-L6-v2 in 8 bits",
            "under ONNX Runtime with its tokenisation, which reads 256 tokens at most.",
            "",
            *(f"```\n{text.rstrip()}\n```\n" for text in texts),
            _made_by("timing") + (" --base MINILM" if base else ""),
            "",
        ]
    )


def _gain(quality: np.ndarray) -> np.ndarray:
    return quality[:, 0].astype(np.float64) - quality[:, -1]


def _show(estimate: Estimate | None, *, percent: bool = False, signed: bool = False) -> str:
    if estimate is None:
        return ""
    scale, digits = (100, 1) if percent else (1, 3)
    sign = "+" if signed else ""
    value = f"{estimate.value * scale:{sign}.{digits}f}"
    if np.isnan(estimate.low):
        return value
    return f"{value} [{estimate.low * scale:{sign}.{digits}f} {estimate.high * scale:{sign}.{digits}f}]"


if __name__ == "__main__":
    main()
