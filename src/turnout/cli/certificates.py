"""What `turnout calibrate` does where a promise is to hold with a stated confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.artifacts.certificates import write_certificate
from turnout.artifacts.folder import read_artifact
from turnout.artifacts.opening import shipped
from turnout.calibration.certificate import Certificate
from turnout.calibration.evidence import Evidence
from turnout.calibration.promises import Promise
from turnout.certifying import CONFIDENCE, certify
from turnout.data.outcomes import read_outcomes
from turnout.data.prompts import read_prompts
from turnout.engine import Engine
from turnout.errors import ArtifactError, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the options of the command ask for."""

    promise: Promise
    data: Path | None
    prompts: Path | None
    router: str
    confidence: float | None
    expires_days: float
    false_alarm: float
    most_usd: float | None
    seed: int
    out: Path | None


def make(request: Request, engine: Engine, artifact: Path | None) -> tuple[Certificate, str]:
    """Certify and store; the certificate, and a line that says where it is.

    Args:
        request: what is asked for.
        engine: over the candidates.
        artifact: the user's own artifact of the router, if any; it is written to unless `out` says
            otherwise.

    Raises:
        NotCertifiedError: no point is shown to keep the promise.
        InputError: the router was fitted on these very outcomes; see also `certify`.
    """
    manifest = _manifest(request.router, artifact)
    evidence = _evidence(request, engine, manifest)
    found = certify(
        engine,
        request.router,
        evidence,
        request.promise,
        confidence=CONFIDENCE if request.confidence is None else request.confidence,
        expires_days=request.expires_days,
        false_alarm=request.false_alarm,
        most_usd=request.most_usd,
        encoder=(manifest.get("encoder") or {}).get("fingerprint"),
        seed=request.seed,
    )
    place = request.out or artifact
    if place is None:
        return found, (
            f"not stored: give --out FILE, and name that file as `certificate` of router "
            f"{request.router} in the settings"
        )
    return found, f"stored in {write_certificate(place, found)}"


def _evidence(request: Request, engine: Engine, manifest: Mapping[str, Any]) -> Evidence:
    candidates = engine.pool.candidates
    if request.data is None:
        prompts = request.prompts or Path("-")
        if request.promise.of_quality:
            remedy = f"{request.promise.kind} needs labels: give --data in place of --prompts"
            raise InputError("prompts", str(prompts), remedy)
        return Evidence.of_prompts(read_prompts(prompts), candidates, source=prompts.name or "-")
    from turnout.training.fit import data_fingerprint  # what fits is not needed for prompts alone

    table = read_outcomes(request.data)
    fingerprint = data_fingerprint(table)
    fitted_on = manifest.get("data")
    if isinstance(fitted_on, Mapping) and fitted_on.get("fingerprint") == fingerprint:
        remedy = (
            "the router was fitted on these very outcomes, so they say nothing of new traffic; "
            "give outcomes of other prompts"
        )
        raise InputError("data", str(request.data), remedy)
    return Evidence.of_outcomes(
        table, candidates, source=request.data.name, fingerprint=fingerprint
    )


def _manifest(router: str, artifact: Path | None) -> Mapping[str, Any]:
    """Of the router's artifact, its own or the one that ships; empty where it has none."""
    if artifact is not None:
        return read_artifact(artifact)[0]
    try:
        folder = shipped(router)
    except ArtifactError:
        return {}
    return read_artifact(folder)[0]
