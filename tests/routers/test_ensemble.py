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
