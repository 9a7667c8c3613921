from __future__ import annotations

import json
import subprocess
import sys

import pytest

import turnout
from turnout import errors

HEAVY = (
    "torch", "sklearn", "scipy", "pandas", "matplotlib", "pyarrow", "starlette", "uvicorn",
    "onnxruntime", "openai", "httpx2", "pydantic", "genai_prices", "py3langid", "tokenizers",
    "safetensors", "click", "yaml",
)  # fmt: skip


def loaded(code: str) -> list[str]:
    """Top-level modules that a fresh interpreter holds after running code."""
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return sorted({name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])})


def test_importing_turnout_loads_nothing_heavy() -> None:
    found = loaded("import turnout")
    assert "turnout" in found
    assert not set(HEAVY) & set(found)
    assert "numpy" not in found


def test_the_values_and_the_engine_need_numpy_alone() -> None:
    found = loaded("from turnout import Candidate, Engine, Pool, Price, Query")
    assert "numpy" in found
    assert not set(HEAVY) & set(found)


def test_deciding_with_prices_given_loads_nothing_that_training_needs() -> None:
    code = """
from turnout import Candidate, Engine, Pool, Query, open_router
from turnout.names import RouteSpec
pool = Pool(candidates=(Candidate(name="a"), Candidate(name="b")), default="a")
engine = Engine(pool, {"rules": open_router("rules")})
assert not engine.decide(Query.of("hello"), RouteSpec("rules", 0.5)).fallback
"""
    refused = {"torch", "sklearn", "scipy", "pandas", "matplotlib", "openai", "genai_prices"}
    assert not refused & set(loaded(code))


def test_public_names_are_listed_and_resolve() -> None:
    assert dir(turnout) == sorted(turnout.__all__)
    for name in turnout.__all__:
        assert getattr(turnout, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'router'"):
        _ = turnout.router


def test_every_error_made_on_purpose_has_one_base() -> None:
    kinds = [k for k in vars(errors).values() if getattr(k, "__module__", "") == errors.__name__]
    kinds = [k for k in kinds if isinstance(k, type)]
    assert all(issubclass(k, turnout.TurnoutError) for k in kinds)
    codes = [k.code for k in kinds]
    assert len(set(codes)) == len(codes)
