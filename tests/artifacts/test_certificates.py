from __future__ import annotations

import json
from pathlib import Path

import pytest

from certificates_made import certificate
from turnout.artifacts.certificates import (
    CERTIFICATES,
    certificates_of,
    read_certificates,
    write_certificate,
)
from turnout.errors import ArtifactError


def test_a_folder_and_a_file_keep_one_certificate_a_route(tmp_path: Path) -> None:
    first, other = certificate(), certificate(route="router-length-0.5")
    newer = certificate(seed=7)
    for place in (tmp_path, tmp_path / "deep" / "certificates.json"):
        for made in (first, other, newer):
            write_certificate(place, made)
        assert read_certificates(place) == (other, newer)
    assert (tmp_path / CERTIFICATES).exists()
    assert certificates_of(None, tmp_path, None) == (other, newer)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["certificates.json"]


def test_a_folder_without_any_has_none_but_a_file_must_exist(tmp_path: Path) -> None:
    assert read_certificates(tmp_path) == ()
    with pytest.raises(ArtifactError, match="cannot read certificates"):
        read_certificates(tmp_path / "gone.json")


@pytest.mark.parametrize("text", ["{", "[]", '{"certificates": 3}', '{"certificates": [1]}', "7"])
def test_what_holds_none_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text)
    with pytest.raises(ArtifactError, match=r"not JSON|hold no list"):
        read_certificates(file)
    with pytest.raises(ArtifactError):  # and is left alone
        write_certificate(file, certificate())
    assert file.read_text() == text


def test_a_changed_one_is_an_error(tmp_path: Path) -> None:
    file = write_certificate(tmp_path, certificate())
    given = json.loads(file.read_text())
    given["certificates"][0]["promise"]["value"] = 0.999
    file.write_text(json.dumps(given))
    with pytest.raises(ArtifactError, match="was changed after it was made"):
        read_certificates(tmp_path)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(ArtifactError, match="cannot write"):
        write_certificate(tmp_path / "plain" / "c.json", certificate())
