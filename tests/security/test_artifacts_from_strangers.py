"""A file from elsewhere that would run code when it is unpickled: refused, and nothing runs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from turnout.artifacts.opening import open_router, shipped
from turnout.data.files import read_rows
from turnout.errors import ArtifactError, DataError, TurnoutError


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def bomb(tmp_path: Path) -> tuple[bytes, Path]:
    """A pickle, and the folder that it makes when it is loaded."""
    mark = tmp_path / "ran"
    data = pickle.dumps(_Bomb(mark))
    pickle.loads(data)
    assert mark.exists()
    mark.rmdir()
    return data, mark


def numpy_bomb(data: _Bomb) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray([data], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("form", ["pickle", "numpy"])
@pytest.mark.parametrize("honest", [False, True])
def test_an_artifact_whose_arrays_are_a_pickle(
    tmp_path: Path, bomb: tuple[bytes, Path], form: str, honest: bool
) -> None:
    data, mark = bomb
    if form == "numpy":
        data = numpy_bomb(_Bomb(mark))
    folder = tmp_path / "artifact"
    shutil.copytree(shipped("linear"), folder)
    (folder / "arrays.safetensors").write_bytes(data)
    if honest:  # its maker states the right checksum
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["arrays_sha256"] = hashlib.sha256(data).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError):
        open_router("linear", artifact=folder)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["rows.pkl", "rows.jsonl", "rows.csv", "rows.parquet", "rows"])
def test_rows_that_are_a_pickle(tmp_path: Path, bomb: tuple[bytes, Path], name: str) -> None:
    data, mark = bomb
    (tmp_path / name).write_bytes(data)
    with pytest.raises((DataError, TurnoutError)):
        list(read_rows(tmp_path / name))
    assert not mark.exists()


def test_a_manifest_that_names_files_outside_reads_none(tmp_path: Path) -> None:
    from turnout.artifacts.folder import read_file

    (tmp_path / "secret").write_text("outside")
    folder = tmp_path / "artifact"
    folder.mkdir()
    with pytest.raises(ArtifactError):
        read_file(folder, {"files_sha256": {}}, "../secret")
