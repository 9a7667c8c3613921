from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser

import numpy as np
import pytest

from turnout.evaluation.asking import Asked
from turnout.evaluation.benchmarks import Benchmark
from turnout.evaluation.measure import Report, measure
from turnout.evaluation.page import render
from turnout.evaluation.page.svg import Chart, Scale, number
from turnout.routers.base import Router
from turnout.types import Candidate, PairRule, Prediction, Query

EVIL = "<script>alert(1)</script>\"'&"
VOID = {"meta", "br", "link", "img", "input"}


class Reader(HTMLParser):
    """Collects tags, attributes and texts, and checks that every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def values(self, name: str) -> list[str]:
        return [value for _, found, value in self.attributes if found == name]


@dataclasses.dataclass
class Meant:
    """A router whose qualities are meant as such, so that they are checked."""

    inner: Router
    name: str = "meant"
    fingerprint: str | None = None

    def check(self, candidates: Sequence[Candidate]) -> None:
        self.inner.check(candidates)

    def predict(self, queries: Sequence[Query], candidates: Sequence[Candidate]) -> Prediction:
        found = self.inner.predict(queries, candidates)
        return dataclasses.replace(found, pair=PairRule("weak_fails"))


def everything(benchmark: Benchmark, router: Router) -> Report:
    asked = Asked(examples=2, robustness=True, latency=True, command="turnout evaluate --data x")
    return measure(benchmark, {"blend": router}, replicates=40, asked=asked)


@pytest.fixture(params=["pair", "pair without costs", "pool", "pool without costs"])
def page(request: pytest.FixtureRequest, make: Callable[..., Benchmark], by_length: Router) -> str:
    models = 2 if request.param.startswith("pair") else 4
    benchmark = make(120, models, costs="without" not in request.param)
    return render(everything(benchmark, Meant(by_length)))


def test_the_page_is_well_formed_and_has_its_parts(page: str) -> None:
    found = Reader(page)
    assert page.startswith("<!DOCTYPE html>")
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    for part in ("answer", "curve", "metrics", "categories", "calibration", "robustness"):
        assert part in ids, part
    for part in ("latency", "examples", "provenance"):
        assert part in ids, part
    inside = [href.removeprefix("#") for href in found.values("href")]
    assert set(inside) <= set(ids)
    assert "Does routing pay here?" in found.texts
    assert "turnout evaluate --data x" in found.texts


def test_nothing_is_fetched_and_nothing_runs(page: str) -> None:
    found = Reader(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base"} & set(found.tags)
    assert not found.values("src")
    assert all(href.startswith("#") for href in found.values("href"))
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.findall(r"https?://", page)
    assert "default-src 'none'" in page


def test_every_drawing_has_a_name_and_its_texts_are_texts(page: str) -> None:
    found = Reader(page)
    drawings = [a for a in found.attributes if a[:2] == ("svg", "role")]
    assert drawings
    assert len([a for a in found.attributes if a[:2] == ("svg", "aria-label")]) == len(drawings)
    assert "text" in found.tags
    assert "prefers-color-scheme: dark" in page
    assert "nan" not in " ".join(found.values("points") + found.values("x") + found.values("cx"))


@pytest.mark.parametrize("models", [2, 3])
def test_names_and_prompts_are_inert(
    models: int, make: Callable[..., Benchmark], by_length: Router
) -> None:
    benchmark = make(60, models)
    evil = dataclasses.replace(
        benchmark,
        name=EVIL,
        candidates=tuple(Candidate(name=f"{EVIL}{j}") for j in range(len(benchmark.candidates))),
        queries=tuple(Query.of(f"{i} {EVIL}") for i in range(benchmark.n)),
        categories=tuple(f"{EVIL}{i % 2}" for i in range(benchmark.n)),
        notes=(EVIL,),
    )
    asked = Asked(examples=3, robustness=True, latency=True, command=EVIL)
    report = measure(evil, {EVIL: by_length}, replicates=40, asked=asked)
    page = render(report)
    found = Reader(page)
    assert "script" not in found.tags
    assert "<script" not in page
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert f"{EVIL}0" in " ".join(found.texts)
    # The same values are there whole, as text.
    assert any(EVIL in text for text in found.texts)


def test_routes_are_named_with_the_points_that_they_give(
    pair: Benchmark, by_length: Router
) -> None:
    report = everything(pair, by_length)
    page = render(report)
    marks = report.row("blend").marks
    assert len(marks) == 5
    for mark in marks:
        assert mark.route.startswith("router-blend-0.")
        assert mark.route in page
        threshold = float(mark.route.rpartition("-")[2])
        strong = np.asarray([min(len(q.text), 200) / 200 for q in pair.queries]) >= threshold
        assert mark.share == pytest.approx(strong.mean(), abs=0.02)


def test_without_routers_the_page_has_the_baselines(make: Callable[..., Benchmark]) -> None:
    page = render(measure(make(60, 3), {}, replicates=20))
    assert "No router was measured" in page
    Reader(page)


def test_ticks_are_round_and_within_the_range() -> None:
    assert Scale(0, 100, 0, 1).ticks() == [0, 20, 40, 60, 80, 100]
    assert Scale(63.1, 88.2, 0, 1).ticks() == [65, 70, 75, 80, 85]
    assert Scale(0.07, 6, 0, 1, log=True).ticks() == [0.1, 0.2, 0.5, 1, 2, 5]
    assert Scale(0.001, 900, 0, 1, log=True).ticks() == [0.001, 0.01, 0.1, 1, 10, 100]
    assert Scale(3, 3, 0, 10)(3) == 5
    assert [number(v) for v in (0, 0.00002, 0.5, 20, 12000)] == [
        "0",
        "0.00002",
        "0.5",
        "20",
        "12,000",
    ]


def test_labels_keep_off_each_other_where_there_is_room() -> None:
    chart = Chart.framed((0, 1), (0, 1))
    for _ in range(3):
        chart.label("the same place", [(0.5, 0.5)], kind="c0")
    boxes = chart.taken
    for i, (left, top, right, bottom) in enumerate(boxes):
        for other_left, other_top, other_right, other_bottom in boxes[:i]:
            apart = right <= other_left or other_right <= left
            assert apart or bottom <= other_top or other_bottom <= top
