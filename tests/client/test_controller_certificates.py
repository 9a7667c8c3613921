"""A controller keeps the certificates of its routers' artifacts, and of files that it is told of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from certificates_made import certificate
from turnout.artifacts.certificates import write_certificate
from turnout.artifacts.opening import open_router
from turnout.calibration.certificate import pool_fingerprint
from turnout.client.controller import Controller
from turnout.errors import ArtifactError
from turnout.types import Candidate

PAIR = (Candidate(name="gpt-4o"), Candidate(name="gpt-4o-mini"))


def test_a_file_of_certificates_is_kept(tmp_path: Path) -> None:
    one = certificate(
        route="router-mf-0.3",
        models=("gpt-4o", "gpt-4o-mini"),
        safe="gpt-4o",
        artifact=open_router("mf").fingerprint,
        pool=pool_fingerprint(PAIR, priced=False),
        made_at="2026-01-01T00:00:00Z",
        expires_at="2999-01-01T00:00:00Z",
    )
    file = write_certificate(tmp_path / "mf.json", one)
    config = {"mf": {"certificate": str(file)}}
    with Controller(["mf"], "gpt-4o", "gpt-4o-mini", config=config) as client:
        assert client.decide("Hello", model="router-mf-0.3").certificate == one.id
        assert client.decide("Hello", router="mf", threshold=0.3).certificate == one.id
        assert client.decide("Hello", model="router-mf-0.4").certificate is None
        assert client.engine.certificates()[0]["state"] == "valid"
    # For other models it promises nothing: the strong one serves.
    with Controller(["mf"], "gpt-4.1", "gpt-4.1-nano", config=config) as client:
        found = client.decide("Hello", model="router-mf-0.3")
        assert (found.model, found.code) == ("gpt-4.1", "certificate_revoked")


def test_a_changed_file_is_refused_when_the_controller_is_built(tmp_path: Path) -> None:
    file = write_certificate(tmp_path / "mf.json", certificate(route="router-mf-0.3"))
    given = json.loads(file.read_text())
    given["certificates"][0]["bound"] = 0.999
    file.write_text(json.dumps(given))
    with pytest.raises(ArtifactError, match="was changed after it was made"):
        Controller(["mf"], "a", "b", config={"mf": {"certificate": str(file)}})
