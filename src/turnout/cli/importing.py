"""`turnout import`: settings of another gateway, as settings of this one."""

from __future__ import annotations

from pathlib import Path

import click

from turnout.errors import DataError, InputError


@click.group("import")
def importing() -> None:
    """Write settings from another gateway's."""


@importing.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; default: stdout.")
def litellm(config: Path, out: Path | None) -> None:
    """Write settings from CONFIG, the YAML of a LiteLLM proxy.

    What cannot be carried over is said by name, here and at the end of the settings. No secret is
    copied: what stands in the source in clear is read from an environment variable.
    """
    from turnout.importing.litellm import import_litellm

    if out is not None and out.exists():
        raise InputError("out", str(out), "it is there already; name another file, or remove it")
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise DataError("config", str(config), f"give a readable YAML file: {why}") from None
    found = import_litellm(text, source=config.name)
    if out is None:
        click.echo(found.text, nl=False)
    else:
        try:
            out.write_text(found.text, encoding="utf-8")
        except OSError as error:
            raise InputError("out", str(out), f"choose another place: {error.strerror}") from None
    for line in found.notes.lines():
        click.echo(line, err=True)
    if out is not None:
        click.echo(f"{out} is written; `turnout check {out}` says what is left to do", err=True)
