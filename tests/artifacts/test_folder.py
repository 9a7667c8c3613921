from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from turnout.artifacts.folder import (
    ARRAYS,
    CARD,
    MANIFEST,
    read_artifact,
    read_file,
    write_artifact,
)
from turnout.errors import ArtifactError

VALUES = {
    "a/one": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/two": np.asarray([1, 2], dtype=np.int8),
    "turned": np.arange(6, dtype=np.float16).reshape(2, 3).T,
}


def write(folder: Path, note: str = "first") -> str:
    return write_artifact(folder, {"router": "mf", "note": note}, VALUES, f"# {note}\n")


def edit(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    fingerprint = write(tmp_path / "new" / "deep")
    manifest, arrays, found = read_artifact(tmp_path / "new" / "deep")
    assert found == fingerprint
    assert (manifest["router"], manifest["format"]) == ("mf", 1)
    assert arrays.keys() == VALUES.keys()
    for name, array in VALUES.items():
        assert arrays[name].dtype == array.dtype
        assert (arrays[name] == array).all()
    assert (tmp_path / "new" / "deep" / CARD).read_text(encoding="utf-8") == "# first\n"


def test_the_same_content_has_the_same_fingerprint(tmp_path: Path) -> None:
    assert write(tmp_path / "a") == write(tmp_path / "b")
    assert write(tmp_path / "a", "other") != write(tmp_path / "b")


def test_an_artifact_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "it")
    write(tmp_path / "it", "second")
    assert read_artifact(tmp_path / "it")[0]["note"] == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["it"]
    assert sorted(p.name for p in (tmp_path / "it").iterdir()) == [ARRAYS, CARD, MANIFEST]


def test_a_folder_that_is_no_artifact_is_left_alone(tmp_path: Path) -> None:
    mine, site = tmp_path / "mine", tmp_path / "site"
    for folder in (mine, site):
        folder.mkdir()
        (folder / "thesis.txt").write_text("years of work")
    (site / MANIFEST).write_text('{"name": "a web site"}')  # they have one of these too
    (tmp_path / "file").write_text("a file")
    for place in (mine, site, tmp_path / "file"):
        with pytest.raises(ArtifactError, match="is not an artifact; choose another place"):
            write(place)
    assert (mine / "thesis.txt").read_text() == (site / "thesis.txt").read_text()
    assert (tmp_path / "file").read_text() == "a file"


class Failing(Mapping[str, np.ndarray]):
    """Arrays that break half-way, as a run does that is killed."""

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "turned":
            raise KeyboardInterrupt
        return VALUES[name]

    def __iter__(self) -> Iterator[str]:
        return iter(VALUES)

    def __len__(self) -> int:
        return len(VALUES)


def test_a_run_that_is_killed_leaves_the_old_one(tmp_path: Path) -> None:
    before = write(tmp_path / "it")
    with pytest.raises(KeyboardInterrupt):
        write_artifact(tmp_path / "it", {"router": "mf"}, Failing(), "card")
    with pytest.raises(UnicodeEncodeError):
        write_artifact(tmp_path / "it", {"router": "mf"}, VALUES, "\ud800")
    assert read_artifact(tmp_path / "it")[2] == before
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


def test_a_move_that_fails_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(tmp_path / "it")
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(source).name == "new":
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)  # the file system's, not ours
    monkeypatch.setattr("turnout.artifacts.folder._exchange", lambda *_: False)  # as elsewhere
    with pytest.raises(ArtifactError, match="Permission denied"):
        write(tmp_path / "it", "second")
    assert read_artifact(tmp_path / "it")[2] == before


def test_a_place_that_cannot_be_written_is_an_error_on_purpose(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match=r"cannot write .*below"):
        write(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (ARRAYS, b"\0" * 200, "is corrupt: arrays.safetensors does not match its manifest"),
        (ARRAYS, b"", "is corrupt"),
        (MANIFEST, b"{not json", "manifest.json is not JSON"),
        (MANIFEST, b"\xff\xfe", "manifest.json is not JSON"),
        (MANIFEST, b"[1, 2]", "format None is not 1; train it again"),
        (MANIFEST, b"{}", "format None is not 1"),
        (MANIFEST, b'{"format": 99}', "format 99 is not 1; train it again with this version"),
    ],
)
def test_a_corrupt_artifact_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    write(tmp_path / "it")
    (tmp_path / "it" / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        read_artifact(tmp_path / "it")


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    write(tmp_path / "it")
    data = bytearray((tmp_path / "it" / ARRAYS).read_bytes())
    data[-1] ^= 1
    (tmp_path / "it" / ARRAYS).write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="copy or train it again"):
        read_artifact(tmp_path / "it")


def test_bytes_that_are_no_arrays_are_refused_even_where_their_hash_is_right(
    tmp_path: Path,
) -> None:
    write(tmp_path / "it")
    (tmp_path / "it" / ARRAYS).write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    edit(tmp_path / "it", arrays_sha256=empty)
    with pytest.raises(ArtifactError, match=r"arrays\.safetensors"):
        read_artifact(tmp_path / "it")


@pytest.mark.parametrize("missing", [MANIFEST, ARRAYS])
def test_a_missing_file_is_named_with_the_way_out(tmp_path: Path, missing: str) -> None:
    write(tmp_path / "it")
    (tmp_path / "it" / missing).unlink()
    with pytest.raises(ArtifactError, match=f"cannot read {missing}.*`turnout train`"):
        read_artifact(tmp_path / "it")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere"):
        read_artifact(tmp_path / "nowhere")


def test_further_files_are_kept_and_verified(tmp_path: Path) -> None:
    files = {"model.onnx": b"graph", "tokenizer.json": b"{}"}
    write_artifact(tmp_path / "it", {"router": "bert"}, VALUES, "# card\n", files=files)
    manifest = read_artifact(tmp_path / "it")[0]
    assert {name: read_file(tmp_path / "it", manifest, name) for name in files} == files
    with pytest.raises(ArtifactError, match=r"lists no other\.bin"):
        read_file(tmp_path / "it", manifest, "other.bin")
    (tmp_path / "it" / "model.onnx").write_bytes(b"grape")
    with pytest.raises(ArtifactError, match=r"corrupt: model\.onnx"):
        read_file(tmp_path / "it", manifest, "model.onnx")
    (tmp_path / "it" / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"cannot read model\.onnx"):
        read_file(tmp_path / "it", manifest, "model.onnx")
