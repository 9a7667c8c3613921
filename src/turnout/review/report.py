"""What a review found, as values, JSON and text. No prompt is in it unless examples were asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.data.logs.call import REASONS
from turnout.evaluation.intervals import Estimate
from turnout.evaluation.tables import align, json_estimate, json_number
from turnout.review.curve import FLOOR_HEADINGS, FloorRow
from turnout.review.labels import Labelled
from turnout.review.offpolicy import OffPolicy
from turnout.review.traffic import WHOLE
from turnout.review.words import decimal, floor, interval, percent, usd

EXPLAINED: Mapping[str, str] = {**REASONS, **WHOLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that could not be used, or was doubtful."""

    reason: str
    """A code of `EXPLAINED`."""
    count: int
    first: str
    """File and line of the first, such as `a.jsonl:12`."""

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return EXPLAINED.get(self.reason, self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One model of the log."""

    name: str
    calls: int
    paid_usd: float
    """NaN where no price is known."""
    mean_score: float
    """Of the calls with a logged score; NaN without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayRow:
    """What one way to serve the priced calls costs."""

    name: str
    cost_usd: float
    saving: Estimate
    """Part of what was paid."""
    quality: float
    """Mean predicted quality over all calls; NaN for the log itself."""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRow:
    """One kind of prompts."""

    name: str
    calls: int
    share: float
    """Of all calls."""
    cheap_share: Estimate
    """Of its calls that another than the strongest candidate serves."""
    quality: Mapping[str, float]
    """Candidate → mean predicted quality."""
    paid_usd: float
    saving: Estimate
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """Prompt caches of conversations, and answers worth keeping."""

    conversations: int
    """Of more than one call."""
    cached_tokens: int | None
    """Input tokens read from prompt caches; None where the log never tells them."""
    switches: int
    """Calls that routing would send to another model than the call before."""
    switching_usd: float
    """What the cold caches of those switches cost; it is in the routed cost."""
    pinned_saving: Estimate
    """Saving if the model of a conversation's first call serves all of it."""
    pinned_cheap_share: float
    exact_repeats: int
    """Calls whose messages were all sent before."""
    exact_usd: float
    """What those were paid."""
    near_repeats: int
    """Calls whose system and latest text were sent before, but for case, marks and courtesies."""
    near_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review of logs."""

    calls: int
    priced: int
    """Calls of which it is known what was paid."""
    conversations: int
    """Groups of calls that a bootstrap keeps together."""
    files: int
    formats: Mapping[str, int]
    span: tuple[float, float] | None
    """Times of the first and last call."""
    router: str
    artifact: str | None
    """Fingerprint of the artifact that predicted."""
    own_artifact: bool
    """Whether it is one that the user trained, rather than one that ships."""
    candidates: tuple[str, ...]
    floor: float
    """The floor that was asked for."""
    at_floor: FloorRow
    floors: tuple[FloorRow, ...]
    """The same over a grid of floors."""
    ways: tuple[WayRow, ...]
    clusters: tuple[ClusterRow, ...]
    models: tuple[ModelRow, ...]
    caching: Caching
    findings: tuple[Finding, ...]
    unpriced: tuple[str, ...]
    unserved: int
    """Calls that no candidate can serve: they count as served by the strongest."""
    unknown: tuple[str, ...]
    """What cannot be known from these logs, in sentences."""
    labelled: Labelled | None = None
    off_policy: OffPolicy | None = None
    replicates: int = 0
    notes: tuple[str, ...] = ()
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "calls": self.calls,
            "priced_calls": self.priced,
            "conversations": self.conversations,
            "files": self.files,
            "formats": dict(self.formats),
            "span": list(self.span) if self.span else None,
            "router": self.router,
            "artifact": self.artifact,
            "own_artifact": self.own_artifact,
            "candidates": list(self.candidates),
            "floor": self.floor,
            "at_floor": self.at_floor.to_dict(),
            "floors": [row.to_dict() for row in self.floors],
            "ways": [
                {
                    "name": w.name,
                    "cost_usd": json_number(w.cost_usd),
                    "saving": json_estimate(w.saving),
                    "predicted_quality": json_number(w.quality),
                    "remark": w.remark,
                }
                for w in self.ways
            ],
            "clusters": [
                {
                    "name": c.name,
                    "calls": c.calls,
                    "share": c.share,
                    "cheap_share": json_estimate(c.cheap_share),
                    "predicted_quality": {k: json_number(v) for k, v in c.quality.items()},
                    "paid_usd": json_number(c.paid_usd),
                    "saving": json_estimate(c.saving),
                    **({"examples": list(c.examples)} if c.examples else {}),
                }
                for c in self.clusters
            ],
            "models": [
                {
                    "name": m.name,
                    "calls": m.calls,
                    "paid_usd": json_number(m.paid_usd),
                    "mean_logged_score": json_number(m.mean_score),
                }
                for m in self.models
            ],
            "caching": {
                "conversations": self.caching.conversations,
                "cached_tokens": self.caching.cached_tokens,
                "switches": self.caching.switches,
                "switching_usd": json_number(self.caching.switching_usd),
                "pinned_saving": json_estimate(self.caching.pinned_saving),
                "pinned_cheap_share": self.caching.pinned_cheap_share,
                "exact_repeats": self.caching.exact_repeats,
                "exact_usd": json_number(self.caching.exact_usd),
                "near_repeats": self.caching.near_repeats,
                "near_usd": json_number(self.caching.near_usd),
            },
            "findings": [
                {"reason": f.reason, "count": f.count, "first": f.first, "meaning": f.sentence}
                for f in self.findings
            ],
            "unpriced_models": list(self.unpriced),
            "unserved_calls": self.unserved,
            "unknown": list(self.unknown),
            "labelled": None if self.labelled is None else self.labelled.to_dict(),
            "off_policy": None if self.off_policy is None else _off_policy(self.off_policy),
            "interval": {"level": 0.95, "replicates": self.replicates, "over": "conversations"},
            "notes": list(self.notes),
            "command": self.command,
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """What a terminal shows."""
        parts = [
            self.headline(),
            _titled("Floor asked, share served cheaper, saving", self._floor_lines()),
            *([self.labelled.to_text()] if self.labelled is not None else []),
            _titled(f"Cost of {self.priced:,} priced calls", self._way_lines()),
            _titled("Kinds of prompts", self._cluster_lines()),
            _titled("Conversations and caches", self.caching_sentences()),
            *(
                [_titled("From logged scores and propensities", self.off_policy_sentences())]
                if self.off_policy is not None
                else []
            ),
            _titled("Models of the log", self._model_lines()),
            *([_titled("Not used, or doubtful", self._finding_lines())] if self.findings else []),
            _titled("What cannot be known from these logs", [f"- {s}" for s in self.unknown]),
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n\n".join(parts) + "\n"

    def headline(self) -> str:
        """The answer in a few lines."""
        row = self.at_floor
        basis = "estimated from labels" if self.labelled is not None else "predicted, not measured"
        if self.labelled is not None:
            row = self.labelled.at_floor
        strong = self.candidates[0]
        lines = [
            f"{self.calls:,} calls in {self.files:,} file{'s' if self.files != 1 else ''}"
            f" ({', '.join(f'{k} {v:,}' for k, v in self.formats.items())})",
            f"{percent(row.cheap_share)} of them a cheaper model than {strong} would serve while "
            f"{floor(self.floor)} of its quality is kept ({basis})",
        ]
        if row.saving.value == row.saving.value:
            lines.append(f"{percent(row.saving)} of what was paid would be saved, with {row.route}")
        return "\n".join(lines)

    def _floor_lines(self) -> list[str]:
        rows = [list(FLOOR_HEADINGS)]
        for r in self.floors:
            mark = " <- asked" if r.floor == self.floor else ""
            rows.append([*r.cells()[:-1], r.route + mark])
        return align(rows)

    def _way_lines(self) -> list[str]:
        rows = [["", "USD", "saving", "predicted quality", ""]]
        rows += [
            [w.name, usd(w.cost_usd), percent(w.saving), decimal(w.quality), w.remark]
            for w in self.ways
        ]
        return align(rows)

    def cluster_table(self) -> list[list[str]]:
        """Headings and one row for each kind of prompts."""
        first, last = self.candidates[0], self.candidates[-1]
        head = ["words that tell it apart", "calls", "share", "served cheaper"]
        head += [f"quality {first}", f"quality {last}", "paid USD", "saving"]
        return [
            head,
            *(
                [
                    c.name,
                    f"{c.calls:,}",
                    f"{c.share:.1%}",
                    percent(c.cheap_share),
                    decimal(c.quality[first]),
                    decimal(c.quality[last]),
                    usd(c.paid_usd),
                    percent(c.saving),
                ]
                for c in self.clusters
            ),
        ]

    def _cluster_lines(self) -> list[str]:
        rows = self.cluster_table()
        lines = align(rows)
        for c in self.clusters:
            lines += [f"  {c.name}: {json.dumps(text, ensure_ascii=False)}" for text in c.examples]
        return lines

    def _model_lines(self) -> list[str]:
        rows = [["", "calls", "paid USD", "mean logged score"]]
        rows += [
            [m.name or "(no model named)", f"{m.calls:,}", usd(m.paid_usd), decimal(m.mean_score)]
            for m in self.models
        ]
        return align(rows)

    def _finding_lines(self) -> list[str]:
        rows = [[f"{f.count:,}", f.sentence, f"first: {f.first}"] for f in self.findings]
        return align([["calls", "", ""], *rows])

    def caching_sentences(self) -> list[str]:
        """Prompt caches and repeats in words."""
        c = self.caching
        return [
            f"{c.conversations:,} conversations of more than one call; routing each call would switch "
            f"models {c.switches:,} times inside them",
            "the log tells no cached tokens, so the price of a switch is not known"
            if c.cached_tokens is None
            else f"{c.cached_tokens:,} input tokens came from prompt caches; the switches would lose "
            f"{usd(c.switching_usd)} USD of them, which is in the routed cost",
            f"pinned to the model of its first call, a conversation never switches: saving "
            f"{percent(c.pinned_saving)}, {c.pinned_cheap_share:.1%} served cheaper",
            f"{c.exact_repeats:,} calls repeat an earlier request in full ({usd(c.exact_usd)} USD): a "
            "cache of answers would serve them",
            f"{c.near_repeats:,} calls repeat an earlier text but for case, marks and courtesies "
            f"({usd(c.near_usd)} USD)",
        ]

    def off_policy_sentences(self) -> list[str]:
        """Off-policy estimates in words."""
        o = self.off_policy
        if o is None:
            return []
        return [
            f"{o.calls:,} calls have both; on {o.matched:,} the model that answered is the one that "
            f"{self.at_floor.route} would choose",
            f"mean score as logged {interval(o.logged)}",
            f"as routed: inverse propensity {interval(o.ips)}, self-normalised {interval(o.snips)}, "
            f"doubly robust {interval(o.dr)}; largest weight {o.largest_weight:.3g}",
        ]


def _off_policy(o: OffPolicy) -> dict[str, Any]:
    return {
        "calls": o.calls,
        "matched": o.matched,
        "logged": json_estimate(o.logged),
        "ips": json_estimate(o.ips),
        "snips": json_estimate(o.snips),
        "doubly_robust": json_estimate(o.dr),
        "largest_weight": json_number(o.largest_weight),
    }


def _titled(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *lines])
