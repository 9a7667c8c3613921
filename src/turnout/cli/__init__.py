"""The `turnout` command. Subcommands are imported when called, so that `--help` is quick."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from turnout import __version__
from turnout.errors import TurnoutError

_COMMANDS = {
    "audit": "Find what is wrong with outcomes before you fit.",
    "calibrate": "Set the knob to a share or a budget, or certify that it keeps a promise.",
    "check": "Say what is wrong with a settings file, before a gateway serves by it.",
    "convert": "Make an artifact of another project's checkpoint.",
    "demo": "Route the bundled prompts through a gateway with two simulated models.",
    "evaluate": "Measure routers on a benchmark or on your own outcomes.",
    "explain": "Say why a request was served as it was, and decide it again from its record.",
    "grade": "Score the answers of prompts that a review drew.",
    "import": "Write settings from another gateway's, such as a LiteLLM proxy config.",
    "keys": "Create, list, rotate and revoke the keys of a gateway.",
    "learn": "Fold new outcomes into a router that learns, without fitting again.",
    "models": "List the models of the predictor, and add one from a few labels.",
    "reconcile": "Compare the ledger with what a provider charged.",
    "replay": "Decide stored predictions again with other thresholds, prices and pools.",
    "review": "Review production logs: what routing would have saved, and how sure that is.",
    "route": "Decide for prompts, and say why. No key, no network.",
    "routerarena": "Write, check and score a submission to RouterArena.",
    "routes": "Fit or import a file of routes by example.",
    "serve": "Serve an OpenAI-compatible gateway.",
    "store": "Check, repair or migrate the store that a gateway keeps its records in.",
    "trials": "Compare the arms of experiments; what shadow routes would have saved.",
    "train": "Fit a router on your own outcomes.",
}
_MODULES = {"import": "importing"}
"""Commands whose name no module can have."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        name = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = getattr(import_module(f"turnout.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="turnout")
def cli() -> None:
    """Send each LLM request to the cheapest model that will answer it well enough."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command; an error made on purpose is one line, never a traceback.

    Args:
        args: without the program's name; default: those of the process.
    """
    # Most of a command's start are imports, which leave hardly any garbage.
    gc.set_threshold(100_000, 20, 50)
    try:
        cli(args, prog_name="turnout")
    except TurnoutError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
