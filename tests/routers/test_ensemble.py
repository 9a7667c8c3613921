from __future__ import annotations

import numpy as np
import pytest

from turnout.errors import InputError, UnknownNameError
from turnout.routers.ensemble import Blend

X = np.eye(4, dtype=np.float32)
SCORE = np.asarray([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]], dtype=np.float32)


def test_a_member_that_cannot_be_fitted_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"no member of blend named 'kn'.*'knn'"):
        Blend.fit(X, SCORE, np.arange(4), penalty=1.0, members=("knn", "kn"))
    with pytest.raises(InputError, match="members"):
        Blend.fit(X, SCORE, np.arange(4), penalty=1.0, members=())


def test_a_blend_with_a_ranking_is_the_mean_of_its_members_and_survives_its_arrays() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 8)).astype(np.float32)
    score = (rng.random((40, 3)) < 0.5).astype(np.float32)
    made = Blend.fit(x, score, np.arange(40), penalty=1.0, members=("sw_ranking", "knn"))
    assert made.names == ("knn", "sw_ranking")
    expected = np.mean([member.predict(x) for member in made.members], axis=0)
    np.testing.assert_allclose(made.predict(x), expected, atol=1e-6)
    again = Blend.from_arrays(made.arrays())
    assert again.names == made.names
    # Arrays are kept in 16 bits, where a neighbour may change places with the next.
    np.testing.assert_allclose(again.predict(x), made.predict(x), atol=5e-3)
