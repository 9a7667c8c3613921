from __future__ import annotations

from click.testing import CliRunner

from turnout.cli.demo import PROMPTS, demo


def test_the_demo_routes_and_says_what_its_figure_is_worth() -> None:
    result = CliRunner().invoke(demo, ["--limit", "6"], catch_exceptions=False)
    assert result.exit_code == 0
    text = result.output
    assert text.count("simulated-gpt-4o") >= 6
    assert "SIMULATED" in text
    assert "of 6 prompts" in text
    assert "saved" in text
    assert "this proves cost, not quality" in text
    assert "turnout route" in text


def test_the_bundled_prompts_go_both_ways() -> None:
    output = CliRunner().invoke(demo, [], catch_exceptions=False).output
    rows = [line for line in output.splitlines() if line.endswith(tuple("0123456789"))]
    sent = [("simulated-gpt-4o-mini" in row) for row in rows if "simulated-gpt-4o" in row]
    assert len(sent) == len(PROMPTS.read_text("utf-8").splitlines())
    assert 0 < sum(sent) < len(sent)
