"""Every example of the client runs, unchanged, against an upstream on loopback."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from controller_fakes import Upstream

from turnout.artifacts.opening import PRETRAINED

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "controller.md"
SAYS = {
    "quickstart.py": "sent so far: {'gpt-3.5-turbo': 1, 'gpt-4': 1}",
    "streaming.py": "[simulated answer of gpt-",
    "async_calls.py": "Who wrote Hamlet? [gpt-",
    "tools.py": "called weather: 4 degrees and rain in [simulated]",
    "own_models.py": "saving 1: local, expected cost 0.000000 USD",
}

needs_mf = pytest.mark.skipif(not (PRETRAINED / "mf").is_dir(), reason="no artifact of mf here")


@pytest.fixture
def _upstream_in_the_environment(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", upstream.url)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("LOCAL_URL", upstream.url)


@needs_mf
@pytest.mark.usefixtures("_upstream_in_the_environment")
@pytest.mark.parametrize("name", sorted(SAYS))
def test_an_example_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    assert SAYS[name] in capsys.readouterr().out


@needs_mf
@pytest.mark.usefixtures("_upstream_in_the_environment")
def test_the_guides_code_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)
    names["client"].close()  # type: ignore[attr-defined]
