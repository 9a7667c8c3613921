"""The `universal` router: sources left out, within sources beside `blend`, nine models.

    python benchmarks/universal.py --data folder [--only sources|within|nine]

The folder is that of `benchmarks/quality.py`. Everything is fitted on train rows and reported on dev
rows, but the sources left out, which are reported whole. Intervals are 95%, by a bootstrap over
groups. APGR is pooled over up to 40 pairs of a source's models whose means differ by 0.08; 0.5 is
the zero router, a mix of the two without looking at the prompt. Sources left out are ordered by the
whole gain, and by the shipped rule, which counts a share of the strong model's quality; "nested"
takes for each source the share that is best on the others. "The space alone" leaves out what is
expected of prompts of kinds not seen (`turnout.routers.abroad`).
"""

# ruff: noqa: E402 - threads and the path must be set before the imports

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from build_pretrained import prepare
from pretrained.abilities import fit_scale
from pretrained.keyed import Keyed, entry_scores, key_scores, keyed
from pretrained.keyed import key_of as own_key
from pretrained.loso import pooled_apgr
from pretrained.outcomes import Cells
from pretrained.universal import STRONG_SHARE, fit_abroad, fit_factors, fit_rows, fit_space

from turnout.data.groups import near_duplicate_groups
from turnout.encoders.opening import open_encoder
from turnout.routers.arrays import sigmoid
from turnout.routers.columns import normalise
from turnout.routers.inputs import RawRows
from turnout.training.fit import fit_parts

DRAWS = 200
SHARES = (1.0, 0.85, 0.7, 0.5, 0.25, 0.0)
"""Of the strong model's quality in the order of a pair."""
SECTIONS = ("within", "sources", "nine")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables of the universal router.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=SECTIONS, action="append")
    args = parser.parse_args()
    wanted = args.only or SECTIONS
    if {"within", "sources"} & set(wanted):
        cells = prepare(args.data)[0]
        raw = RawRows.of(open_encoder(), cells.prompts, mend=False)
        sound = fit_scale(cells).sound
        if "within" in wanted:
            within(cells, raw, sound)
        if "sources" in wanted:
            sources(cells, raw, sound)
    if "nine" in wanted:
        nine(args.data)


def predictions(raw: RawRows, score: np.ndarray, use: np.ndarray, keys: Keyed) -> np.ndarray:
    """(n, M) quality by a fit on the rows in use alone."""
    made = fit_rows(raw, use, alter=False)  # a fit on altered texts too is for robustness: see nine
    factors = fit_factors(made.rows, score, use).of_rows(made.rows)
    space = fit_space(factors, score, use, keys)
    return sigmoid(factors @ space.vectors_.T)


def abroad_too(
    cells: Cells,
    raw: RawRows,
    score: np.ndarray,
    use: np.ndarray,
    keys: Keyed,
    sound: np.ndarray,
    held: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, float]:
    """(k, M) quality of the held rows by the space alone and as it ships, and how near they are."""
    made = fit_rows(raw, use, alter=False)
    factors = fit_factors(made.rows, score, use)
    space = fit_space(factors.of_rows(made.rows), score, use, keys)
    rows = made.rows[held]
    shares = factors.vote(rows)
    alone = sigmoid(factors.of_rows(rows, shares) @ space.vectors_.T)
    plain = [own_key(name) for name in keys.basis]
    known = replace(keys, names=tuple(dict.fromkeys(plain)))
    away = fit_abroad(cells, sound, made, factors, use, known)
    served = away.averaged(alone, rows, shares, away.abilities(plain))
    return alone, served, float(away.kinds.near(rows).mean())


def within(cells: Cells, raw: RawRows, sound: np.ndarray) -> None:
    """Each source's dev part: one fit on all sources, against a fit of blend on that source alone."""
    score, keys = entry_scores(cells), keyed(cells, sound)
    all_keys = predictions(raw, score, cells.train, keys)
    print("\n## Within sources (dev)\n")
    print(
        "| source | n | Brier universal | blend | means | universal - blend | APGR universal | blend | universal - blend |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in np.unique(cells.outcome_set).tolist():
        rows = np.flatnonzero(cells.outcome_set == name)
        train, entries = cells.train[rows], np.flatnonzero(cells.entry_set == name)
        y = score[np.ix_(rows, entries)]
        entries = entries[np.isfinite(y[train]).any(axis=0)]
        y = score[np.ix_(rows, entries)]
        _, g = np.unique(cells.group[rows], return_inverse=True)
        parts = fit_parts("blend", raw.take(rows[train]), y[train], g[train].astype(np.intp))
        dev = rows[~train]
        b = parts.predict([cells.prompts[i] for i in dev])
        u = np.stack([all_keys[dev, key_of(cells, keys, int(e))] for e in entries], axis=1)
        known = np.isfinite(u[0])
        show(name, y[~train][:, known], u[:, known], b[:, known], y[train][:, known], g[~train])


def key_of(cells: Cells, keys: Keyed, entry: int) -> int:
    """The arm of an entry: as its set ran it where several sets did, or it in several ways."""
    name, place = cells.entry_name[entry], cells.entry_set[entry]
    spelled = normalise(f"{cells.entry_model[entry]}@{place}")
    for key in (spelled, normalise(f"{name}@{place}"), own_key(name)):
        if key in keys.names:
            found = keys.names.index(key)
            if entry in keys.entries[found]:
                return found
    raise KeyError(f"no key holds {name} of {place}")


def show(
    name: str, y: np.ndarray, u: np.ndarray, b: np.ndarray, before: np.ndarray, groups: np.ndarray
) -> None:
    """One row: two predictors against the means before."""
    mean = np.broadcast_to(np.nanmean(before, axis=0), y.shape)
    seen = np.isfinite(y)
    errors = [np.where(seen, (p - np.nan_to_num(y)) ** 2, 0).sum(axis=1) for p in (u, b, mean)]
    count = seen.sum(axis=1)
    gain, order_u, order_b = orders(y, np.nanmean(before, axis=0), u, b)
    found = []
    for at in bootstrap(groups):
        brier = [e[at].sum() / count[at].sum() for e in errors]
        area = [apgr(o, gain, at) for o in (order_u, order_b)]
        found.append([brier[0] - brier[1], area[0] - area[1]])
    every = np.arange(len(y))
    brier = [e.sum() / count.sum() for e in errors]
    area = [apgr(o, gain, every) for o in (order_u, order_b)]
    low, high = np.nanpercentile(found, [2.5, 97.5], axis=0)
    print(
        f"| {name} | {len(y)} | {brier[0]:.4f} | {brier[1]:.4f} | {brier[2]:.4f} | "
        f"{brier[0] - brier[1]:+.4f} [{low[0]:+.4f} {high[0]:+.4f}] | {area[0]:.3f} | {area[1]:.3f} | "
        f"{area[0] - area[1]:+.3f} [{low[1]:+.3f} {high[1]:+.3f}] |",
        flush=True,
    )


def sources(cells: Cells, raw: RawRows, sound: np.ndarray) -> None:
    """Each source held out whole: models are known from the others, and so is the constant."""
    score = entry_scores(cells)
    print("\n## Sources left out\n")
    print(
        "| source | n | models | near | Brier skill over means known from the others | over the source's own means "
        "| of the space alone | less zero router, by the whole gain | by the shipped rule | nested | of the space alone |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    shown, curves, curves_alone = {}, {}, {}
    for name in np.unique(cells.outcome_set).tolist():
        held = cells.outcome_set == name
        use = cells.train & ~held
        outside = np.where((cells.outcome_set != name)[:, None], score, np.nan)
        keys = keyed(cells, sound)
        entries = np.flatnonzero((cells.entry_set == name) & sound)
        elsewhere = {
            n: np.flatnonzero((cells.entry_name == n) & (cells.entry_set != name) & sound)
            for n in cells.entry_name[entries].tolist()
        }
        entries = np.asarray(
            [
                e
                for e in entries
                if len(elsewhere[cells.entry_name[e]])
                and np.isfinite(outside[use][:, elsewhere[cells.entry_name[e]]]).sum() >= 50
            ],
            dtype=int,
        )
        if len(entries) < 2:
            print(
                f"| {name} | {held.sum()} | {len(entries)} | too few models known from others | | | | | | | |"
            )
            continue
        wanted = [cells.entry_name[e] for e in entries]
        keys = Keyed(
            names=tuple(f"{i}:{n}" for i, n in enumerate(wanted)),
            basis=tuple(wanted),
            entries=tuple(elsewhere[n] for n in wanted),
        )
        alone, q, near = abroad_too(cells, raw, outside, use, keys, sound, held)
        known = np.nanmean(key_scores(outside, keys)[use], axis=0)
        y = score[np.ix_(np.flatnonzero(held), entries)]
        seen = np.isfinite(y)
        own = np.nanmean(y, axis=0)
        errors = [
            np.where(seen, (p - np.nan_to_num(y)) ** 2, 0).sum(axis=1)
            for p in (q, np.broadcast_to(known, y.shape), np.broadcast_to(own, y.shape), alone)
        ]
        curves[name] = lifts(y, own, q, cells.group[held])
        curves_alone[name] = lifts(y, own, alone, cells.group[held], (STRONG_SHARE,))
        found = []
        for at in bootstrap(cells.group[held]):
            e = [x[at].sum() for x in errors]
            found.append([1 - e[0] / e[1], 1 - e[0] / e[2], 1 - e[3] / e[1]])
        e = [x.sum() for x in errors]
        skill = [1 - e[0] / e[1], 1 - e[0] / e[2], 1 - e[3] / e[1]]
        low, high = np.nanpercentile(found, [2.5, 97.5], axis=0)
        cell = [f"{v:+.3f} [{a:+.3f} {b:+.3f}]" for v, a, b in zip(skill, low, high, strict=True)]
        shown[name] = f"| {name} | {len(y)} | {len(entries)} | {near:.2f} | {' | '.join(cell)} |"
    for name, row in shown.items():
        others = [found for other, found in curves.items() if other != name]
        best = max(SHARES, key=lambda share: np.mean([found[share][0] for found in others]))
        picked = (curves[name][share] for share in (1.0, STRONG_SHARE, best))
        cell = [f"{v:+.3f} [{low:+.3f} {high:+.3f}]" for v, low, high in picked]
        v, low, high = curves_alone[name][STRONG_SHARE]
        last = f"{v:+.3f} [{low:+.3f} {high:+.3f}]"
        print(f"{row} {' | '.join(cell)} ({best:g}) | {last} |", flush=True)


def lifts(
    y: np.ndarray,
    own: np.ndarray,
    q: np.ndarray,
    groups: np.ndarray,
    shares: Sequence[float] = SHARES,
) -> dict[float, tuple[float, float, float]]:
    """APGR over the zero router's with its interval, by the share of the strong model's quality."""
    strong, weak = pairs(own)
    if not len(strong):
        return dict.fromkeys(shares, (float("nan"),) * 3)
    gain, draws = np.nan_to_num(y[:, strong] - y[:, weak]), bootstrap(groups)
    found = {}
    for share in shares:
        order = share * q[:, strong] - q[:, weak]
        drawn = [apgr(order, gain, at) - 0.5 for at in draws]
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        found[share] = (apgr(order, gain, np.arange(len(y))) - 0.5, float(low), float(high))
    return found


def orders(y: np.ndarray, mean: np.ndarray, *predicted: np.ndarray) -> list[np.ndarray]:
    """(n, p) gains of up to 40 pairs, and for each prediction its (n, p) predicted gains."""
    s, w = pairs(mean)
    return [np.nan_to_num(y[:, s] - y[:, w]), *(p[:, s] - p[:, w] for p in predicted)]


def pairs(mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strong and weak model of up to 40 pairs whose means differ by 0.08."""
    m = len(mean)
    found = [(s, w) for s in range(m) for w in range(m) if mean[s] - mean[w] >= 0.08]
    draw = np.random.default_rng(0).permutation(len(found))[:40]
    strong, weak = np.asarray([found[i] for i in draw], dtype=int).reshape(-1, 2).T
    return strong, weak


def apgr(order: np.ndarray, gain: np.ndarray, at: np.ndarray) -> float:
    return pooled_apgr(order[at], gain[at]) if gain.shape[1] else float("nan")


def bootstrap(groups: np.ndarray) -> list[np.ndarray]:
    """Rows of whole groups, drawn with replacement."""
    _, code = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(code == g) for g in range(code.max() + 1)]
    rng = np.random.default_rng(0)
    return [
        np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])
        for _ in range(DRAWS)
    ]


def nine(data: Path) -> None:
    """LLMRouter-9 with all its tasks: a refit on all sources, and blend on the nine models alone."""
    cells = prepare(data, all_tasks=True)[0]
    raw = RawRows.of(open_encoder(), cells.prompts, mend=False)
    score = entry_scores(cells)
    mine = cells.outcome_set == "llmrouter_uiuc"
    entries = np.flatnonzero(cells.entry_set == "llmrouter_uiuc")
    cover = np.isfinite(score[mine][:, entries]).sum(axis=0)
    entries = entries[cover >= 0.9 * cover.max()]
    whole = mine & np.isfinite(score[:, entries]).all(axis=1)
    train, dev = np.flatnonzero(whole & cells.train), np.flatnonzero(whole & ~cells.train)
    keys = Keyed(
        names=tuple(cells.entry_model[entries]),
        basis=tuple(cells.entry_model[entries]),
        entries=tuple(np.asarray([e]) for e in entries),
    )
    made = fit_rows(raw, cells.train)
    factors = fit_factors(made.rows, score, cells.train, altered=made.altered)
    space = fit_space(factors.of_rows(made.rows), score, cells.train, keys)
    _, g = np.unique(cells.group[train], return_inverse=True)
    blend = fit_parts("blend", raw.take(train), score[np.ix_(train, entries)], g.astype(np.intp))
    routers = {
        "universal": lambda t: sigmoid(factors.of_rows(made.inputs.rows(t)) @ space.vectors_.T),
        "blend": blend.predict,
    }
    texts, y = [cells.prompts[i] for i in dev], score[np.ix_(dev, entries)]
    before = score[np.ix_(train, entries)]
    table = {
        c: int(before[cells.category[train] == c].mean(axis=0).argmax())
        for c in np.unique(cells.category[train])
    }
    every, n = before.mean(axis=0), np.arange(len(dev))
    picks = {
        "best single": np.full(len(dev), every.argmax()),
        "best per dataset": np.asarray([table.get(c, every.argmax()) for c in cells.category[dev]]),
        **{name: r(texts).argmax(axis=1) for name, r in routers.items()},
    }
    groups = near_duplicate_groups(texts, known=cells.group[dev].tolist())
    draws = bootstrap(groups)
    got = {name: y[n, p] for name, p in picks.items()}
    print(
        f"\n## Nine models, dev, n = {len(dev)}\n\n| way | accuracy | less best single | less table |"
    )
    print("|---|---|---|---|")
    for name, values in got.items():
        cell = [f"{values.mean():.3f}"]
        for other in ("best single", "best per dataset"):
            gap = values - got[other]
            low, high = np.percentile([gap[at].mean() for at in draws], [2.5, 97.5])
            cell.append(f"{gap.mean():+.3f} [{low:+.3f} {high:+.3f}]")
        print(f"| {name} | {' | '.join(cell)} |", flush=True)


if __name__ == "__main__":
    main()
