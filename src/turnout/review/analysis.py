"""From calls with predictions and prices to the rows of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from turnout.data.logs import LogFile
from turnout.evaluation.intervals import Estimate
from turnout.review.asked import Asked
from turnout.review.clusters import Clusters, find_clusters
from turnout.review.columns import UNKNOWN
from turnout.review.curve import Bootstrap, FloorRow, Sums, add_up
from turnout.review.drawing import Drawing, draw, write_drawing
from turnout.review.knobs import Knob, make_knob
from turnout.review.labels import Labelled, fold_in, read_labels
from turnout.review.mapping import Mapper
from turnout.review.money import Money, Turns, price_calls, switching_usd, turns
from turnout.review.offpolicy import logged_candidates, off_policy
from turnout.review.report import Caching, ClusterRow, Finding, ModelRow, Review, WayRow
from turnout.review.texts import Texts
from turnout.review.traffic import Traffic
from turnout.routers.base import Router
from turnout.types import Candidate

FLOORS = (1.0, 0.99, 0.98, 0.97, 0.95, 0.93, 0.9, 0.85, 0.8)
SHOWN_MODELS = 20
EXAMPLES = 3
EXAMPLE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that rows of the report are made of."""

    traffic: Traffic
    router: Router
    knob: Knob
    money: Money
    turn: Turns
    block: NDArray[np.intp]
    bootstrap: Bootstrap
    clusters: Clusters
    texts: Texts
    at_floor: FloorRow
    floors: tuple[FloorRow, ...]
    choice: NDArray[np.intp]
    labelled: Labelled | None

    @classmethod
    def of(
        cls, traffic: Traffic, router: Router, mapper: Mapper, texts: Texts, asked: Asked
    ) -> Analysis:
        """Measure everything; draw and fold in labels where that is asked."""
        knob = make_knob(traffic.columns, router, mapper.candidates)
        money, turn = price_calls(traffic, mapper.candidates), turns(traffic)
        sums, block, stays = add_up(knob, money, turn, traffic.columns.group)
        bootstrap = Bootstrap(sums, asked.replicates, asked.seed)
        grid = tuple(sorted({*FLOORS, asked.floor}, reverse=True))
        floors = bootstrap.floors(knob, grid)
        at_floor = floors[grid.index(asked.floor)]
        clusters = find_clusters(traffic, texts, asked.clusters)
        labelled = None
        if asked.labels is not None:
            labels = read_labels(asked.labels, [c.name for c in mapper.candidates])
            labelled = fold_in(labels, traffic.columns, knob, block, bootstrap, at_floor, grid)
        if asked.label is not None and asked.label_file is not None:
            drawing = draw(
                traffic.columns, clusters, stays, at_floor.setting, asked.label, seed=asked.seed
            )
            _write_drawn(asked.label_file, drawing, traffic, mapper.candidates, texts)
        used = at_floor if labelled is None else labelled.at_floor
        return cls(
            traffic=traffic,
            router=router,
            knob=knob,
            money=money,
            turn=turn,
            block=block,
            bootstrap=bootstrap,
            clusters=clusters,
            texts=texts,
            at_floor=at_floor,
            floors=floors,
            choice=knob.choose(knob.settings[used.setting]),
            labelled=labelled,
        )

    def review(
        self,
        files: Sequence[LogFile],
        asked: Asked,
        *,
        own: bool,
    ) -> Review:
        """The report; `own` says that the artifact is the user's."""
        c = self.traffic.columns
        span = c.time[np.isfinite(c.time)]
        return Review(
            calls=len(c),
            priced=int(np.isfinite(self.money.paid).sum()),
            conversations=len(np.unique(c.group)),
            files=len(files),
            formats=self.traffic.formats,
            span=(float(span.min()), float(span.max())) if len(span) else None,
            router=self.router.name,
            artifact=self.router.fingerprint,
            own_artifact=own,
            candidates=tuple(x.name for x in self.knob.candidates),
            floor=asked.floor,
            at_floor=self.at_floor,
            floors=self.floors,
            ways=self.ways(),
            clusters=self.cluster_rows(asked.examples),
            models=self.model_rows(),
            caching=self.caching(),
            findings=tuple(
                Finding(reason=reason, count=count, first=f"{where}:{line}")
                for reason, count, where, line in self.traffic.findings
            ),
            unpriced=self.money.unpriced,
            unserved=int((~self.knob.fits.any(axis=1)).sum()),
            unknown=self.unknown(own),
            labelled=self.labelled,
            off_policy=off_policy(
                self.traffic, self.knob.candidates, self.choice, self.block, self.bootstrap
            ),
            replicates=asked.replicates,
            notes=self.notes(),
            command=asked.command,
        )

    @property
    def used(self) -> FloorRow:
        """The row whose setting the report is about."""
        return self.at_floor if self.labelled is None else self.labelled.at_floor

    def ways(self) -> tuple[WayRow, ...]:
        """The log itself, routed, pinned, and each candidate alone."""
        s, b = self.bootstrap.sums, self.bootstrap
        calls, at = s.calls.sum(), self.used.setting
        pinned, pinned_saving = self._pinned()
        rows = [
            WayRow(
                name="as paid",
                cost_usd=_known(s.paid.sum(), s),
                saving=Estimate(0.0),
                quality=float("nan"),
                remark=self._paid_remark(),
            ),
            WayRow(
                name=self.used.route,
                cost_usd=_known(s.cost[:, at].sum(), s),
                saving=b.saving(s.cost[:, at]),
                quality=float(s.quality[:, at].sum() / calls),
                remark=f"keeps {self.used.kept:.1%} of the quality",
            ),
            WayRow(
                name=f"{self.used.route}, pinned",
                cost_usd=_known(self._priced_sum(pinned), s),
                saving=pinned_saving,
                quality=self._mean_quality(pinned),
                remark="one model a conversation",
            ),
        ]
        best = self._best_single()
        for j, candidate in enumerate(self.knob.candidates):
            remark = []
            if j == best:
                remark.append("the best single model: the cheapest that keeps the floor alone")
            if not self.knob.fits[:, j].all():
                remark.append(f"cannot serve {int((~self.knob.fits[:, j]).sum()):,} calls")
            rows.append(
                WayRow(
                    name=f"always {candidate.name}",
                    cost_usd=_known(s.alone[:, j].sum(), s),
                    saving=b.saving(s.alone[:, j]),
                    quality=float(s.quality_alone[:, j].sum() / calls),
                    remark="; ".join(remark),
                )
            )
        return tuple(rows)

    def _best_single(self) -> int:
        """The cheapest candidate whose quality alone keeps the floor."""
        s = self.bootstrap.sums
        quality = s.quality_alone.sum(axis=0)
        if self.labelled is not None:
            quality = np.asarray([e.value for e in self.labelled.quality.values()])
        fine = quality >= self.used.floor * quality[0] - 1e-9
        return int(np.argmin(np.where(fine, s.alone.sum(axis=0), np.inf)))

    def _paid_remark(self) -> str:
        known = np.isfinite(self.money.paid)
        recorded = int((self.money.recorded & known).sum())
        if recorded == int(known.sum()):
            return "as recorded"
        if not recorded:
            return "by tokens and list price"
        return f"{recorded:,} as recorded, the rest by tokens and list price"

    def _pinned(self) -> tuple[NDArray[np.intp], Estimate]:
        """Choice of the conversation's first call for all of it, where that can serve them."""
        wanted = self.choice[self.turn.first]
        rows = np.arange(len(wanted))
        choice = np.where(self.knob.fits[rows, wanted], wanted, self.choice)
        return choice, self.bootstrap.saving(self._by_block(self._cost(choice)))

    def _cost(self, choice: NDArray[np.intp]) -> NDArray[np.float64]:
        rows = np.arange(len(choice))
        cost = self.money.alone[rows, choice] + switching_usd(choice, self.turn, self.money.cold)
        return np.where(np.isfinite(self.money.paid), cost, 0.0)

    def _priced_sum(self, choice: NDArray[np.intp]) -> float:
        return float(self._cost(choice).sum())

    def _mean_quality(self, choice: NDArray[np.intp]) -> float:
        return float(np.maximum(self.knob.quality, 0)[np.arange(len(choice)), choice].mean())

    def _by_block(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        size = len(self.bootstrap.sums.calls)
        return np.bincount(self.block, weights=values, minlength=size).astype(np.float64)

    def cluster_rows(self, examples: bool) -> tuple[ClusterRow, ...]:
        """Every kind of prompts at the setting in use."""
        of, cost = self.clusters.of, self._cost(self.choice)
        paid = np.where(np.isfinite(self.money.paid), self.money.paid, 0.0)
        cheap = (self.choice != 0).astype(float)
        quality = np.maximum(self.knob.quality, 0.0)
        shown = self._examples() if examples else {}
        rows = []
        for j, name in enumerate(self.clusters.names):
            inside = of == j
            sums = np.stack(
                [
                    self._by_block(np.where(inside, v, 0.0))
                    for v in (np.ones(len(of)), cheap, paid, cost)
                ],
                axis=1,
            )
            draws, total = self.bootstrap.draws(sums), sums.sum(axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                share = self.bootstrap.estimate(
                    float(total[1] / total[0]), draws[:, 1] / draws[:, 0]
                )
                saving = self.bootstrap.estimate(
                    float(1 - total[3] / total[2]), 1 - draws[:, 3] / draws[:, 2]
                )
            rows.append(
                ClusterRow(
                    name=name,
                    calls=int(total[0]),
                    share=float(total[0] / len(of)),
                    cheap_share=share,
                    quality={
                        x.name: float(quality[inside, k].mean())
                        for k, x in enumerate(self.knob.candidates)
                    },
                    paid_usd=float(total[2]) if total[2] > 0 else float("nan"),
                    saving=saving,
                    examples=shown.get(j, ()),
                )
            )
        return tuple(rows)

    def _examples(self) -> dict[int, tuple[str, ...]]:
        """A few prompts of each kind, evenly spread, cut where they are long."""
        rows = {}
        for j in range(len(self.clusters.names)):
            members = np.flatnonzero(self.clusters.of == j)
            _, first = np.unique(self.traffic.columns.near[members], return_index=True)
            distinct = members[np.sort(first)]
            at = np.linspace(0, len(distinct) - 1, EXAMPLES).astype(np.intp)
            rows[j] = np.unique(distinct[at])
        calls = self.texts.calls(
            self.traffic.columns, np.unique(np.concatenate(list(rows.values())))
        )
        return {
            j: tuple(calls[row].query.text[:EXAMPLE_CHARACTERS] for row in some.tolist())
            for j, some in rows.items()
        }

    def model_rows(self) -> tuple[ModelRow, ...]:
        """The models of the log, most called first."""
        c = self.traffic.columns
        count = np.bincount(c.model, minlength=len(self.traffic.models))
        rows = []
        for i in np.argsort(-count, kind="stable")[:SHOWN_MODELS].tolist():
            if not count[i]:
                continue
            inside = c.model == i
            paid, score = self.money.paid[inside], c.score[inside]
            known, scored = np.isfinite(paid), np.isfinite(score)
            rows.append(
                ModelRow(
                    name=self.traffic.models[i],
                    calls=int(count[i]),
                    paid_usd=float(paid[known].sum()) if known.any() else float("nan"),
                    mean_score=float(score[scored].mean()) if scored.any() else float("nan"),
                )
            )
        return tuple(rows)

    def caching(self) -> Caching:
        """Prompt caches and repeats."""
        c = self.traffic.columns
        lost = switching_usd(self.choice, self.turn, self.money.cold)
        switched = (self.turn.before >= 0) & (self.choice != self.choice[self.turn.before])
        pinned, saving = self._pinned()
        told = c.cached_tokens != UNKNOWN
        exact, near = _repeats(c.request), _repeats(c.near)
        return Caching(
            conversations=self.turn.conversations,
            cached_tokens=int(c.cached_tokens[told].astype(np.int64).sum()) if told.any() else None,
            switches=int(switched.sum()),
            switching_usd=float(lost.sum()),
            pinned_saving=saving,
            pinned_cheap_share=float((pinned != 0).mean()),
            exact_repeats=int(exact.sum()),
            exact_usd=_sum_known(self.money.paid[exact]),
            near_repeats=int(near.sum()),
            near_usd=_sum_known(self.money.paid[near]),
        )

    def unknown(self, own: bool) -> tuple[str, ...]:
        """What cannot be known from these logs."""
        c = self.traffic.columns
        said = []
        if self.labelled is None:
            whose = (
                "an artifact of yours predicts; whether it holds on this traffic"
                if own
                else "the shipped router's qualities are priors that saw none of this traffic; whether "
                "they hold here"
            )
            said.append(
                f"{whose} cannot be known without labels. The intervals say how far the numbers hang on "
                "which calls came, not how good the predictions are. `--label 200` draws prompts to "
                "grade, `--labels` makes estimates of them"
            )
        else:
            said.append(
                "labels say what the graded prompts show; how strict the grading was is not in the "
                "intervals"
            )
        said.append(
            "how long another model's answer would be: it is taken to be as long as the one logged"
            if (c.output_tokens != UNKNOWN).any()
            else "how long the answers were: the log tells no output tokens, so the router's mean is used"
        )
        if np.isnan(self.money.paid).any():
            n = int(np.isnan(self.money.paid).sum())
            names = ", ".join(self.money.unpriced[:5])
            which = f" (models without a price: {names})" if names else ""
            said.append(
                f"what {n:,} calls cost: neither a cost nor tokens with a price{which}; they are left "
                "out of the money"
            )
        if not np.isfinite(c.score).any():
            said.append("how good the logged answers were: no score or feedback was logged")
        if np.isnan(c.propensity).all():
            said.append(
                "what other models would have scored, from the log alone: no propensities were logged"
            )
        return tuple(said)

    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the numbers."""
        found = []
        if not self.bootstrap.enough:
            found.append("too few conversations for intervals")
        named = [name for name in self.traffic.models if name]
        if len(named) == 1:
            found.append(f"one model alone in these logs: {named[0]}")
        unserved = int((~self.knob.fits.any(axis=1)).sum())
        if unserved:
            found.append(
                f"{unserved:,} calls that no candidate can serve count as served by the strongest"
            )
        return tuple(found)


def _write_drawn(
    path: Path, drawing: Drawing, traffic: Traffic, candidates: Sequence[Candidate], texts: Texts
) -> None:
    answered = logged_candidates(traffic, candidates)
    by = {
        row: candidates[answered[row]].name for row in drawing.rows.tolist() if answered[row] >= 0
    }
    calls = texts.calls(traffic.columns, drawing.rows)
    models = {c.name: c.model for c in candidates}
    write_drawing(path, drawing, traffic.columns, calls, by, models)


def _known(value: float, sums: Sums) -> float:
    priced = sums.priced.sum()
    return float(value) if priced else float("nan")


def _sum_known(values: NDArray[np.float64]) -> float:
    known = np.isfinite(values)
    return float(values[known].sum()) if known.any() or not len(values) else float("nan")


def _repeats(key: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(n,) True for calls whose key came before."""
    found = np.ones(len(key), dtype=bool)
    found[np.unique(key, return_index=True)[1]] = False
    return found
