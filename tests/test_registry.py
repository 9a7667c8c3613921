from __future__ import annotations

import pytest

from turnout import registry
from turnout.errors import UnknownNameError
from turnout.routers.random import RandomRouter


def test_built_in_routers_come_in_by_the_door_of_plug_ins() -> None:
    found = registry.names("routers")
    assert found == tuple(sorted(found))
    assert {"blend", "clusters", "knn", "linear", "mf", "random", "rules"} <= set(found)
    assert registry.load("routers", "random") is RandomRouter
    assert [name for name, _ in registry.items("routers")] == list(found)


def test_what_nobody_registered_is_refused_and_the_rest_listed() -> None:
    with pytest.raises(UnknownNameError, match=r"no router named 'rulez'.*Did you mean 'rules'"):
        registry.load("routers", "rulez")
    with pytest.raises(UnknownNameError, match="no nothing named 'x'; known: none"):
        registry.load("nothings", "x")
    assert registry.names("nothings") == ()
