"""Certificates on disk: beside the artifact that they are about, or in a file of their own.

A user's artifact holds them in `certificates.json`. What ships in the package is not written to:
its certificates are files that settings name. Training the artifact again replaces the folder, and
its certificates with it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.calibration.certificate import Certificate
from turnout.calibration.watch import Watch
from turnout.errors import ArtifactError
from turnout.routers.base import Router
from turnout.types import Candidate

CERTIFICATES = "certificates.json"


def read_certificates(path: Path | str) -> tuple[Certificate, ...]:
    """The certificates of an artifact folder (none where it has none) or of a file, verified.

    Raises:
        ArtifactError: the file is missing, cannot be read, or holds one that was changed.
    """
    path = Path(path)
    file = path / CERTIFICATES if path.is_dir() else path
    if path.is_dir() and not file.exists():
        return ()
    try:
        given: Any = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(
            f"cannot read certificates {file}: {error.strerror}; make them with `turnout calibrate`"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"certificates {file} are not JSON: {error}") from error
    listed = given.get("certificates") if isinstance(given, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ArtifactError(f"certificates {file} hold no list of certificates; calibrate again")
    return tuple(Certificate.from_dict(one, str(file)) for one in listed)


def write_certificate(path: Path | str, certificate: Certificate) -> Path:
    """Add a certificate to an artifact folder or a file, in place of one for the same route.

    The file is replaced in one step, so that a reader sees the old one or the new one.

    Returns:
        The file.

    Raises:
        ArtifactError: what is there is not a list of certificates, or it cannot be written.
    """
    path = Path(path)
    file = path / CERTIFICATES if path.is_dir() else path
    before = read_certificates(file) if file.exists() else ()
    kept = [one for one in before if one.route != certificate.route]
    listed = [one.to_dict() for one in (*kept, certificate)]
    text = json.dumps({"certificates": listed}, indent=2, ensure_ascii=False)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as scratch:
            fresh = Path(scratch, file.name)
            fresh.write_text(f"{text}\n", encoding="utf-8")
            fresh.replace(file)
    except OSError as error:
        raise ArtifactError(f"cannot write {file}: {error.strerror}; choose another") from error
    return file


def certificates_of(*places: Path | str | None) -> tuple[Certificate, ...]:
    """The certificates of some artifact folders and files, in order; None is passed over.

    Raises:
        ArtifactError: see `read_certificates`.
    """
    return tuple(one for place in places if place is not None for one in read_certificates(place))


def open_watches(
    certificates: Mapping[str, Sequence[Certificate]],
    routers: Mapping[str, Router],
    candidates: Sequence[Candidate],
) -> list[Watch]:
    """A watch for each certificate of some routers, by the routers' names, over the candidates."""
    return [
        Watch(certificate, candidates, routers[name].fingerprint)
        for name, listed in certificates.items()
        for certificate in listed
    ]
