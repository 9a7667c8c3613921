from __future__ import annotations

import inspect

import pytest

from planted import planted_table
from turnout import registry
from turnout.data.table import OutcomeTable
from turnout.errors import InputError, UnknownNameError
from turnout.training import trainers
from turnout.training.fit import Fitted, Progress, fit_router


def train_counted(
    table: OutcomeTable,
    *,
    encoder: str = "hashing-16",
    seed: int = 0,
    source: str = "",
    progress: Progress = lambda _: None,
    rounds: int = 3,
    rate: float = 0.5,
    quick: bool = False,
    base: str = "",
) -> Fitted:
    """A plug-in's trainer."""
    progress(f"{rounds!r} {rate!r} {quick!r} {base!r}")
    return fit_router("linear", table, encoder="hashing-16", seed=seed, source=source)


@pytest.fixture
def _plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    load, names = registry.load, registry.names

    def loaded(group: str, name: str) -> object:
        return train_counted if (group, name) == ("trainers", "counted") else load(group, name)

    def named(group: str) -> tuple[str, ...]:
        return (*names(group), "counted") if group == "trainers" else names(group)

    monkeypatch.setattr(registry, "load", loaded)
    monkeypatch.setattr(registry, "names", named)


def test_heads_are_trained_by_the_common_fit() -> None:
    assert {"blend", "clusters", "knn", "linear", "mf"} <= set(trainers.names())
    made = trainers.train("linear", planted_table(30), encoder="hashing-16", seed=3)
    assert (
        made.manifest
        == fit_router("linear", planted_table(30), encoder="hashing-16", seed=3).manifest
    )


def test_an_unknown_router_or_option_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match=r"no trainable router named 'rules'"):
        trainers.train("rules", planted_table(30))
    with pytest.raises(InputError, match=r"options of training linear.*'depth'.*it takes: none"):
        trainers.train("linear", planted_table(30), options={"depth": "3"})


@pytest.mark.usefixtures("_plugin")
def test_options_of_a_trainer_are_read_as_they_are_annotated() -> None:
    told: list[str] = []
    given = {"rounds": "7", "rate": "0.25", "quick": "true", "base": "7"}
    trainers.train("counted", planted_table(30), progress=told.append, options=given)
    trainers.train("counted", planted_table(30), progress=told.append, options={"rounds": 9})
    assert told == ["7 0.25 True '7'", "9 0.5 False ''"]
    assert list(trainers.own_options("counted")) == ["rounds", "rate", "quick", "base"]
    assert trainers.own_options("linear") == {}


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("rounds", "few", "a whole number"),
        ("rate", "x", "a number"),
        ("quick", "1", "true or false"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: str, remedy: str) -> None:
    parameter = inspect.signature(train_counted, eval_str=True).parameters[name]
    with pytest.raises(InputError, match=rf"option {name}: '{value}'.*{remedy}"):
        trainers.read_option(name, value, parameter)
