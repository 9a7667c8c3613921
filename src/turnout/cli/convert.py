"""`turnout convert`: make an artifact of another project's checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from turnout.artifacts.routellm import ENCODER, convert_mf


@click.group()
def convert() -> None:
    """Make an artifact of another project's checkpoint."""


@convert.command("routellm-mf")
@click.argument("source", metavar="FILE_OR_FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The artifact folder to write."
)
@click.option(
    "--encoder",
    default=ENCODER,
    show_default=True,
    help="The encoder whose vectors the checkpoint was fitted on.",
)
def routellm_mf(source: Path, out: Path, encoder: str) -> None:
    """Convert RouteLLM's matrix factorization checkpoint (safetensors)."""
    fingerprint = convert_mf(source, out, encoder=encoder)
    click.echo(f"wrote {out} ({fingerprint}); open it as the router routellm_mf")


@convert.command("routellm-bert")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The artifact folder to write."
)
@click.option(
    "--tokens",
    default=512,
    show_default=True,
    help="Most tokens read of a prompt; fewer are faster.",
)
def routellm_bert(folder: Path, out: Path, tokens: int) -> None:
    """Convert RouteLLM's bert checkpoint (a Hugging Face folder) to int8 ONNX."""
    from turnout.training.routellm_bert import convert_bert

    fingerprint = convert_bert(folder, out, tokens=tokens)
    click.echo(f"wrote {out} ({fingerprint}); open it as the router bert")
