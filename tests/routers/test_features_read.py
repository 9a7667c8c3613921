"""A head that does not read every feature decides alike with those alone that it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import open_router
from turnout.features import CORE, FEATURES
from turnout.routers import trained
from turnout.routers.base import features_read
from turnout.routers.difficulty import Difficulty
from turnout.routers.ensemble import Blend
from turnout.routers.linear import Linear
from turnout.routers.trained import TrainedRouter
from turnout.types import Candidate, Floats, Query

CANDIDATES = (Candidate(name="gpt-4o"), Candidate(name="gpt-4o-mini"))
PROMPTS = [
    "Which of these is a prime number?\nA. 4\nB. 7\nC. 9",
    'def f(x):\n    return {x: [1, 2]};  # is it "pure"? Explain to Mr Jones.',
    "Solve $\\frac{x}{2} = 3.5$ if x is not negative, then write 20% of it.",
    "Hvor mange mennesker bor der i K\u00f8benhavn?",
]
prompts = st.lists(st.text(max_size=60) | st.sampled_from(PROMPTS), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def shipped() -> TrainedRouter:
    router = open_router("blend")
    assert isinstance(router, TrainedRouter)
    return router


def with_coef(router: TrainedRouter, feature: str) -> TrainedRouter:
    """The router whose head reads one feature more."""
    head = router.head
    assert isinstance(head, Blend)
    difficulty = head.members[0]
    assert isinstance(difficulty, Difficulty)
    coef = difficulty.coef_.copy()
    coef[FEATURES.index(feature)] = 0.5
    return replace(router, head=replace(head, members=(replace(difficulty, coef_=coef),)))


def of_every_feature(router: TrainedRouter, texts: list[str]) -> Floats:
    return router.prediction(router.column_quality(router.inputs.rows(texts)), CANDIDATES).quality


@given(texts=prompts)
def test_what_a_head_does_not_read_moves_no_bit(shipped: TrainedRouter, texts: list[str]) -> None:
    made = shipped.predict([Query(text=text) for text in texts], CANDIDATES).quality
    assert made.tobytes() == of_every_feature(shipped, texts).tobytes()


def test_the_shipped_head_reads_the_core_alone(
    shipped: TrainedRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert features_read(shipped.head) == frozenset(CORE)
    asked: list[bool] = []
    rows: Callable[..., Floats] = trained.Inputs.rows

    def spied(*args: object, core: bool = False) -> Floats:
        asked.append(core)
        return rows(*args, core=core)

    monkeypatch.setattr(trained.Inputs, "rows", spied)
    for router in (shipped, with_coef(shipped, "code")):
        router.predict([Query(text=PROMPTS[0])], CANDIDATES)
    assert asked == [True, False]


def test_a_head_that_reads_another_feature_is_given_it(shipped: TrainedRouter) -> None:
    router = with_coef(shipped, "code")
    made = router.predict([Query(text=text) for text in PROMPTS], CANDIDATES).quality
    assert made.tobytes() == of_every_feature(router, PROMPTS).tobytes()
    core = router.column_quality(router.inputs.rows(PROMPTS, core=True))
    assert (router.prediction(core, CANDIDATES).quality != made).any()


def test_a_blend_reads_what_any_of_its_members_does(shipped: TrainedRouter) -> None:
    head = shipped.head
    assert isinstance(head, Blend)
    rng = np.random.default_rng(0)
    score = rng.random((40, 5)).astype(np.float32)
    linear = Linear.fit(rng.random((40, 9)), score, np.arange(40), penalty=1.0)
    assert features_read(linear) == frozenset(FEATURES)
    both = replace(head, members=(*head.members, linear), names=("difficulty", "linear"))
    assert features_read(both) == frozenset(FEATURES)
