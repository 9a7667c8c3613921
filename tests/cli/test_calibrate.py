from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from turnout.calibration import Calibration
from turnout.cli.calibrate import calibrate, calibrate_engine
from turnout.data.prompts import read_prompts
from turnout.engine import Engine
from turnout.errors import InputError, UnknownNameError
from turnout.names import parse_route
from turnout.routers.random import RandomRouter
from turnout.routers.reference import Reference
from turnout.types import Candidate, Pool, Price


def run(*args: object, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(calibrate, [str(a) for a in args], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(f"prompt {i} {'x' * int(rng.integers(400))}" for i in range(200)))
    return path


def test_a_share_gives_a_route_and_its_intervals(prompts: Path) -> None:
    text = run("--router", "random", "--prompts", prompts, "--strong-share", 0.3).stdout
    route, *lines = text.splitlines()
    assert route.startswith("router-random-0.")
    assert "30.0% of 200 prompts go to gpt-4o" in lines[0]
    assert "(95%" in lines[1]
    assert lines[2].strip().startswith("next 1,000")


def test_the_route_routes_as_promised(prompts: Path) -> None:
    found = json.loads(
        run("--router", "random", "--prompts", prompts, "--strong-share", 0.3, "--json").stdout
    )
    price = Price.per_million(1, 2)
    pair = (Candidate(name="gpt-4o", price=price), Candidate(name="gpt-4o-mini", price=price))
    engine = Engine(Pool(candidates=pair, default="gpt-4o"), {"random": RandomRouter(seed=0)})
    spec = parse_route(found["route"], routers=["random"])
    decided = engine.decide_many(read_prompts(prompts), spec)
    assert sum(d.model == "gpt-4o" for d in decided) == found["strong_share"] * 200 == 60


def test_a_budget_is_kept_on_the_calibration_prompts(prompts: Path) -> None:
    args = ("--router", "random", "--prompts", prompts, "--budget-usd", 0.001)
    found = json.loads(run(*args, "--json").stdout)
    assert found["mean_cost_usd"] <= 0.001
    assert found["long_run_mean_cost_usd"]["low"] < found["mean_cost_usd"]
    assert 0 < found["strong_share"] < 1
    assert "expected price" in run(*args).stdout


def test_three_models_take_a_budget_and_no_share(prompts: Path) -> None:
    models = ("--model", "gpt-4o", "--model", "gpt-4o-mini", "--model", "gpt-4.1-nano")
    text = run("--router", "random", "--prompts", prompts, "--budget-usd", 0.001, *models).stdout
    assert text.startswith("router-random-")
    with pytest.raises(InputError, match="a share is between two models"):
        run("--router", "random", "--prompts", prompts, "--strong-share", 0.3, *models)


def test_prompts_may_come_on_standard_input(prompts: Path) -> None:
    args = ("--router", "random", "--strong-share", 0.5, "--prompts")
    assert run(*args, "-", stdin=prompts.read_text()).stdout == run(*args, prompts).stdout


def test_what_cannot_be_done_is_said(prompts: Path, tmp_path: Path) -> None:
    usual = ("--router", "random", "--prompts", prompts)
    for args, says in (
        ((), "give one of --floor, --max-loss, --budget-usd, --strong-share"),
        (("--strong-share", 0.3, "--budget-usd", 1), "give one of --floor"),
        (("--strong-share", 0.3, "--data", "x"), "give --data .* or --prompts, one of them"),
        (("--floor", 0.95), "floor needs labels: give --data in place of --prompts"),
        (("--strong-share", 0.3, "--out", "x"), "a certificate needs --data, or --confidence"),
        (("--strong-share", 1.3), "strong_share: 1.3"),
        (("--strong-share", "nan"), "strong_share: nan"),
        (("--budget-usd", 0), "above 0"),
        (("--budget-usd", 1e-9), "cheapest way costs"),
        (("--budget-usd", 1, "--strong", "nobodys-model"), "no list price.*--price MODEL=IN,OUT"),
        (("--strong-share", 0.3, "--artifact", "x"), "not trained"),
    ):
        with pytest.raises(InputError, match=says):
            run(*usual, *args)
    few = tmp_path / "few.txt"
    few.write_text("one\ntwo\n")
    with pytest.raises(InputError, match=r"prompts: 2 .* at least 30"):
        run("--router", "random", "--prompts", few, "--strong-share", 0.3)
    same = tmp_path / "same.txt"
    same.write_text("hello\n" * 40)
    with pytest.raises(InputError, match="same win rate"):
        run("--router", "random", "--prompts", same, "--strong-share", 0.3)


def test_a_configuration_brings_its_own_candidates(prompts: Path, tmp_path: Path) -> None:
    config = tmp_path / "turnout.yaml"
    config.write_text(
        """
providers:
  local: {base_url: "http://127.0.0.1:9/v1"}
candidates:
  - {name: mine-big, provider: local, price: {input_usd: 2, output_usd: 8}}
  - {name: mine-small, provider: local, price: {input_usd: 0.1, output_usd: 0.4}}
routers:
  random: {seed: 0}
auto: router-random-0.5
"""
    )
    args = ("--router", "random", "--prompts", prompts, "--config", config, "--strong-share", 0.2)
    assert "go to mine-big" in run(*args).stdout
    with pytest.raises(InputError, match="name it in the configuration"):
        run(*args, "--artifact", "x")
    with pytest.raises(UnknownNameError, match="no router named 'mf'"):
        run("--router", "mf", *args[2:])


def test_the_engine_can_be_calibrated_from_python(prompts: Path) -> None:
    pair = (Candidate(name="big"), Candidate(name="small"))
    engine = Engine(Pool(candidates=pair, default="big"), {"random": RandomRouter(seed=0)})
    found = calibrate_engine(engine, "random", read_prompts(prompts), strong_share=0.25)
    assert isinstance(found, Calibration)
    assert found.strong == 50


def test_a_budget_counts_recorded_costs_as_routing_does(prompts: Path) -> None:
    class Remembering(RandomRouter):
        def reference(self, candidates: Sequence[Candidate]) -> Reference:
            shape = (4, len(candidates))
            costs = np.linspace(0.03, 0.01, shape[1], dtype=np.float32)
            return Reference(
                predicted=np.zeros(shape, np.float32),
                score=np.zeros(shape, np.float32),
                input_tokens=np.ones(4, np.float32),
                output_tokens=np.ones(shape, np.float32),
                cost_usd=np.tile(costs, (4, 1)),
            )

    pool = Pool(candidates=(Candidate(name="big"), Candidate(name="small")), default="big")
    engine = Engine(pool, {"random": Remembering(seed=0)})
    found = calibrate_engine(engine, "random", read_prompts(prompts), budget_usd=0.02)
    assert found.to_dict()["mean_cost_usd"] == pytest.approx(0.02, rel=1e-3)
