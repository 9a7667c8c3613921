"""What every vector index keeps. A new one gets its tests by adding a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from turnout.errors import InputError, MissingExtraError, RouterError, UnknownNameError
from turnout.routers.index.base import Index
from turnout.routers.index.opening import INDEXES, open_index

DIMENSION = 8
PACKAGES = {"usearch": "usearch", "qdrant": "qdrant_client", "pgvector": "psycopg"}
Make = Callable[[int], Index]


@pytest.fixture(params=[*sorted(INDEXES), "qdrant in a folder"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    name, options = request.param, {}
    if name == "qdrant in a folder":
        name, options = "qdrant", {"path": str(tmp_path / "qdrant")}
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name], reason=f"needs {PACKAGES[name]}")
    if name == "pgvector":
        options = {"dsn": os.environ.get("TURNOUT_TEST_PGVECTOR", ""), "table": "turnout_test"}
        if not options["dsn"]:
            pytest.skip("needs PostgreSQL with pgvector: set TURNOUT_TEST_PGVECTOR to its DSN")
    made: list[Any] = []

    def build(dimension: int = DIMENSION) -> Index:
        made.append(open_index(name, dimension, options))
        return made[-1]  # type: ignore[no-any-return]

    yield build
    for index in made:
        if hasattr(index, "close"):
            index.close()


@pytest.fixture
def index(make: Make) -> Index:
    return make(DIMENSION)


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, DIMENSION), dtype=np.float32)


def expected(stored: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    near = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        stored / np.linalg.norm(stored, axis=1, keepdims=True)
    ).T
    order = np.argsort(-near, axis=1)[:, :k]
    return order, np.take_along_axis(near, order, axis=1)


def test_it_is_an_index_of_its_dimension(index: Index) -> None:
    assert isinstance(index, Index)
    assert index.dimension == DIMENSION
    assert len(index) == 0


def test_few_vectors_are_searched_exactly(index: Index) -> None:
    stored, queries = rows(200), rows(10, seed=1)
    index.add(range(200), stored)
    ids, near = index.search(queries, 7)
    best, similarity = expected(stored, queries, 7)
    assert len(index) == 200
    assert (ids == best).all()
    assert ids.dtype == np.int64
    assert near.dtype == np.float32
    np.testing.assert_allclose(near, similarity, atol=1e-5)


def test_ids_are_the_callers(index: Index) -> None:
    index.add([70, 5, 1_000_000_007], np.eye(DIMENSION, dtype=np.float32)[:3])
    assert index.search(np.eye(DIMENSION, dtype=np.float32)[:3], 1)[0].tolist() == [
        [70],
        [5],
        [1_000_000_007],
    ]


@pytest.mark.parametrize("width", [DIMENSION - 1, DIMENSION + 1])
def test_another_dimension_is_refused_and_named(index: Index, width: int) -> None:
    wrong = np.ones((1, width), dtype=np.float32)
    with pytest.raises(InputError, match=rf"vectors.*\(1, {width}\).*\(n, {DIMENSION}\).*encoder"):
        index.add([0], wrong)
    with pytest.raises(InputError, match="queries"):
        index.search(wrong, 1)
    with pytest.raises(InputError, match="vectors"):
        index.add([0], np.ones(DIMENSION, dtype=np.float32))
    assert len(index) == 0


def test_bad_ids_numbers_and_counts_are_refused(index: Index) -> None:
    for ids in ([1], [1, 1], [-1, 2]):
        with pytest.raises(InputError, match="ids"):
            index.add(ids, rows(2))
    with pytest.raises(InputError, match="finite"):
        index.add([0], np.full((1, DIMENSION), np.nan, dtype=np.float32))
    with pytest.raises(InputError, match="k: 0"):
        index.search(rows(1), 0)
    assert len(index) == 0


def test_an_empty_index_finds_nothing(index: Index) -> None:
    ids, near = index.search(rows(3), 5)
    assert ids.shape == near.shape == (3, 0)
    assert index.search(np.empty((0, DIMENSION), dtype=np.float32), 5)[0].shape == (0, 0)


def test_more_neighbours_than_vectors_gives_all(index: Index) -> None:
    index.add([3, 4], rows(2))
    ids, near = index.search(rows(2, seed=1), 10)
    assert ids.shape == near.shape == (2, 2)
    assert sorted(ids[0].tolist()) == [3, 4]


def test_adding_an_id_again_replaces_its_vector(index: Index) -> None:
    eye = np.eye(DIMENSION, dtype=np.float32)
    index.add([0, 1], eye[:2])
    index.add([1], eye[2:3])
    assert len(index) == 2
    assert index.search(eye[2:3], 1)[0].tolist() == [[1]]
    assert index.search(eye[1:2], 1)[1][0, 0] == pytest.approx(0.0, abs=1e-6)


def test_equal_vectors_are_all_found(index: Index) -> None:
    index.add([2, 0, 1], np.repeat(rows(1), 3, axis=0))
    ids, near = index.search(rows(1), 3)
    assert sorted(ids[0].tolist()) == [0, 1, 2]
    np.testing.assert_allclose(near, 1.0, atol=1e-5)


def test_removed_vectors_are_gone(index: Index) -> None:
    stored = rows(50)
    index.add(range(50), stored)
    index.remove([7, 12, 999])
    assert len(index) == 48
    ids, _ = index.search(stored[[7, 12]], 48)
    assert not {7, 12} & set(ids.ravel().tolist())
    index.add([7], stored[7:8])
    assert index.search(stored[7:8], 1)[0].tolist() == [[7]]


def test_length_does_not_matter_and_zeros_are_like_nothing(index: Index) -> None:
    stored = rows(20)
    index.add(range(20), stored * np.linspace(0.1, 50, 20, dtype=np.float32)[:, None])
    index.add([20], np.zeros((1, DIMENSION), dtype=np.float32))
    query = rows(1, seed=2)
    found = dict(zip(*(a[0].tolist() for a in index.search(query * 9, 21)), strict=True))
    assert found[20] == pytest.approx(0.0, abs=1e-6)
    assert (index.search(query, 5)[0] == expected(stored, query, 20)[0][:, :5]).sum() >= 1
    near = index.search(np.zeros((1, DIMENSION), dtype=np.float32), 3)[1]
    np.testing.assert_allclose(near, 0.0, atol=1e-6)


def test_the_same_vectors_give_the_same_answer(make: Make) -> None:
    stored, queries = rows(300), rows(5, seed=3)
    first = make(DIMENSION)
    first.add(range(300), stored)
    one = first.search(queries, 9)
    if hasattr(first, "close"):
        first.close()
    second = make(DIMENSION)
    second.add(range(300), stored)
    two = second.search(queries, 9)
    assert (one[0] == two[0]).all()
    assert (one[1] == two[1]).all()


def test_a_search_does_not_depend_on_its_neighbours(index: Index) -> None:
    index.add(range(100), rows(100))
    queries = rows(6, seed=4)
    together = index.search(queries, 5)
    for i in range(6):
        alone = index.search(queries[i : i + 1], 5)
        assert (alone[0][0] == together[0][i]).all()
        assert (alone[1][0] == together[1][i]).all()


def test_a_large_usearch_index_is_nearly_exact() -> None:
    pytest.importorskip("usearch", reason="needs usearch")
    stored, queries = rows(3_000), rows(50, seed=5)
    graph = open_index("usearch", DIMENSION)
    graph.add(range(3_000), stored)
    exact = open_index("numpy", DIMENSION)
    exact.add(range(3_000), stored)
    got, want = graph.search(queries, 10)[0], exact.search(queries, 10)[0]
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(got.tolist(), want.tolist(), strict=True)]
    assert np.mean(shared) >= 0.9


def test_unknown_indexes_and_options_are_named() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'numpy'"):
        open_index("nunpy", 4)
    with pytest.raises(InputError, match="it takes: none"):
        open_index("numpy", 4, {"path": "x"})
    with pytest.raises(InputError, match="dimension"):
        open_index("numpy", 0)


@pytest.mark.parametrize(("name", "module"), PACKAGES.items())
def test_a_missing_package_names_its_extra(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = {"usearch": ("usearch", "usearch.index")}.get(name, (module,))
    for part in blocked:
        monkeypatch.setitem(__import__("sys").modules, part, None)
    with pytest.raises(MissingExtraError, match=rf"turnout\[{name}\]"):
        open_index(name, 4)


def test_a_database_that_is_gone_is_said_without_its_password() -> None:
    pytest.importorskip("psycopg", reason="needs psycopg")
    dsn = "postgresql://me:secret-word@127.0.0.1:9/none"
    with pytest.raises(RouterError, match="check the database") as caught:
        open_index("pgvector", 4, {"dsn": dsn})
    assert "secret-word" not in str(caught.value)
    with pytest.raises(InputError, match="table"):
        open_index("pgvector", 4, {"table": "x; drop"})
