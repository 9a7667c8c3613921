"""A certificate: what an operating point promises, on which evidence, and until when.

Its id is a hash of everything it says, so that a changed certificate is found out when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from turnout.calibration.promises import Promise
from turnout.errors import ArtifactError
from turnout.types import Candidate

FORMAT = 1
"""Version of the layout; another one is refused."""
_ID_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An estimate with its 95% interval: of this one point, not a part of the promise."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is watched while the certificate is in use, and how often that alarms falsely."""

    false_alarm: float
    """Chance of ever revoking the certificate while traffic is as it was."""
    share_low: float
    share_high: float
    """Interval of the share of calls to the strong model that is no change."""
    score: str
    """What the scores are: a win rate, or a gap between predicted qualities."""
    scores: tuple[int, ...]
    """How many calibration scores are in each bin (`drift.BINS` over [0, 1])."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A promise that holds with a stated confidence, on traffic like the calibration data."""

    promise: Promise
    confidence: float
    """The chance, over calibration sets, that a certificate made like this one keeps its promise."""
    route: str
    """The model name to ask for."""
    models: tuple[str, ...]
    """The candidates, strongest first."""
    safe: str
    """Who serves once the certificate is revoked."""
    requests: int
    groups: int
    """Independent pieces of evidence: near-duplicates count once."""
    left_out: int
    """Prompts without a score of every candidate."""
    measured: float
    """What was measured at this point, in the promise's own terms."""
    bound: float
    """The tightest value that this point, tested alone, would have been shown to keep."""
    strong_share: Measured
    saving: Measured | None
    """Share of the cost of always calling the strong model; None where prices are unknown."""
    costs: str
    """What the costs are: recorded, by list price, expected."""
    source: str
    """The file that the data came from, by its plain name."""
    data: str
    """SHA-256 of the calibration data."""
    artifact: str | None
    """Fingerprint of the router's artifact; None for a router without one."""
    encoder: str | None
    """Fingerprint of its encoder."""
    pool: str
    """Fingerprint of the candidates, of their prices too where those decide."""
    made_at: str
    expires_at: str
    """UTC, as 2026-11-26T04:30:00Z."""
    seed: int
    watched: Watched
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`crt_` and a hash of everything below."""
        return f"crt_{hashlib.sha256(_canonical(self._body())).hexdigest()[:_ID_DIGITS]}"

    @property
    def strong(self) -> str:
        """The strong model."""
        return self.models[0]

    @property
    def prices_decide(self) -> bool:
        """Whether another price would change what is promised or chosen."""
        return len(self.models) > 2 or self.promise.kind == "budget_usd"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return {"id": self.id, **self._body()}

    def _body(self) -> dict[str, Any]:
        return {"format": FORMAT, **json.loads(json.dumps(asdict(self)))}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], where: str) -> Certificate:
        """The certificate that `to_dict` wrote.

        Raises:
            ArtifactError: another format, or it does not hash to its id: it was changed.
        """
        body = dict(given)
        name, version = body.pop("id", None), body.pop("format", None)
        if version != FORMAT:
            raise ArtifactError(
                f"{where}: certificate format {version!r} is not {FORMAT}; calibrate again"
            )
        try:
            watched = dict(body.pop("watched"))
            saving = body.pop("saving")
            found = cls(
                promise=Promise(**body.pop("promise")),
                strong_share=Measured(**body.pop("strong_share")),
                saving=None if saving is None else Measured(**saving),
                watched=Watched(**{**watched, "scores": tuple(watched["scores"])}),
                models=tuple(body.pop("models")),
                notes=tuple(body.pop("notes")),
                **body,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{where}: not a certificate ({error}); calibrate again") from error
        if found.id != name:
            raise ArtifactError(
                f"{where}: certificate {name} was changed after it was made (it hashes to "
                f"{found.id}); calibrate again"
            )
        return found

    def to_text(self) -> str:
        """For people: the route first, then the promise and what it rests on."""
        promise, level = self.promise, f"{100 * self.confidence:.4g}%"
        side = "or more" if promise.higher_is_better else "or less"
        prompts = (
            f"{self.requests:,} prompts in {self.groups:,} groups (near-duplicates count once)"
        )
        lines = [
            ("promise", promise.sentence(self.strong)),
            ("confidence", f"{level}: at least {level} of certificates made so keep their promise"),
            ("bound", f"{promise.figure(self.bound)} {side} at this point tested alone; "
                      f"measured {promise.figure(self.measured)}"),
            ("labels" if promise.of_quality else "evidence", prompts
             + (f"; {self.left_out:,} left out" if self.left_out else "")),
            ("strong calls", f"{_percents(self.strong_share)} go to {self.strong}"),
        ]  # fmt: skip
        if self.saving is not None:
            lines.append(
                ("saving", f"{_percents(self.saving)} of always {self.strong} ({self.costs})")
            )
        lines += [
            ("certificate", f"{self.id}, made {self.made_at}"),
            ("expires", f"{self.expires_at}; then {self.safe} serves"),
            ("data", f"{self.source} {self.data[:16]}"),
            ("artifact", f"{self.artifact or 'none'}, encoder {(self.encoder or 'none')[:16]}"),
            ("watched", f"strong calls between {self.watched.share_low:.1%} and "
                        f"{self.watched.share_high:.1%}, and the {self.watched.score}; false "
                        f"alarms: at most {100 * self.watched.false_alarm:g}%"),
        ]  # fmt: skip
        lines += [("note", note) for note in self.notes]
        return "\n".join([self.route, *(f"  {name:<14} {what}" for name, what in lines)])


def pool_fingerprint(candidates: Sequence[Candidate], *, priced: bool) -> str:
    """SHA-256 of what a certificate assumes of the candidates, in order.

    Args:
        candidates: strongest first.
        priced: whether prices matter.
    """
    known = [
        [c.name, c.known_as, c.arm_effort, c.arm_output_tokens]
        + (
            [None]
            if not priced or c.price is None
            else [c.price.input_picousd, c.price.output_picousd]
        )
        for c in candidates
    ]
    return hashlib.sha256(_canonical(known)).hexdigest()


def utc(seconds: float) -> str:
    """Seconds since 1970 as 2026-11-26T04:30:00Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(stamp: str) -> float:
    """What `utc` wrote, in seconds since 1970.

    Raises:
        ArtifactError: not of that form.
    """
    try:
        return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise ArtifactError(f"certificate: time {stamp!r} is not 2026-11-26T04:30:00Z") from error


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def _percents(found: Measured) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"
