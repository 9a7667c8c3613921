"""`turnout serve`: the gateway in this process, until a signal ends it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import click

from turnout.artifacts.folder import read_artifact
from turnout.errors import SettingsError
from turnout.observe.logs import Logs, logging_to
from turnout.observe.redaction import Redactor
from turnout.settings import MINIMAL, RouterSettings, Settings, load_settings
from turnout.settings.hosts import is_loopback
from turnout.settings.loops import check_loops
from turnout.settings.secrets import secrets_in

_LEVELS = ("debug", "info", "warning", "error")


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="TURNOUT_CONFIG",
    help="The settings file (YAML) [env: TURNOUT_CONFIG].",
)
@click.option(
    "--artifact",
    "artifacts",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Serve the router of this folder made by `turnout train`; repeat it.",
)
@click.option("--host", help="Listen here instead of the settings' host.")
@click.option("--port", type=click.IntRange(0, 65535), help="And on this port; 0 picks a free one.")
@click.option("--watch", is_flag=True, help="Take the settings file again whenever it changes.")
@click.option("--log-level", type=click.Choice(_LEVELS), help="Instead of the settings' log.level.")
def serve(
    config: Path | None,
    artifacts: tuple[Path, ...],
    host: str | None,
    port: int | None,
    watch: bool,
    log_level: str | None,
) -> None:
    """Serve an OpenAI-compatible gateway.

    SIGHUP takes the settings file again; SIGTERM lets running answers end.
    """
    path = _chosen(config)

    def read() -> Settings:
        given = _with_listen(load_settings(path), host, port)
        check_loops(given)
        return _with_artifacts(given, artifacts)

    redactor = Redactor()

    def read_and_keep_secret() -> Settings:
        found = read()
        redactor.learn(secrets_in(found))  # before anything of a new key could be logged
        return found

    settings = read_and_keep_secret()
    click.get_current_context().with_resource(_log_to_stderr(settings, log_level, redactor))
    # The server and the routers are imported once the settings are known to be sound.
    from turnout.cli.reloading import Reloader
    from turnout.cli.supervising import READY, STOPPING, tell
    from turnout.gateway.app import create_app
    from turnout.gateway.server import (
        GatewayServer,
        calm_collector,
        raise_file_limit,
        share_interpreter,
    )
    from turnout.gateway.setup.building import build_engine
    from turnout.gateway.setup.cataloging import build_catalog

    engine = build_engine(settings)
    catalog = build_catalog(settings, engine)
    app = create_app(settings, engine=engine)

    def serves() -> None:
        tell(READY)
        keyring = app.opened().access.keyring
        if not keyring.closed and not keyring.unread:
            _warn(settings.listen.host)

    def drain() -> None:
        app.drain()
        tell(STOPPING)

    with bound(settings.listen.host, settings.listen.port) as listener:
        click.echo(_banner(settings, listener, catalog.names()))
        raise_file_limit()
        server = GatewayServer(
            app,
            settings.server,
            drain=drain,
            serves=serves,
            reloads=Reloader(app, read_and_keep_secret, path),
            watch=watch,
        )
        calm_collector()
        share_interpreter()
        try:
            server.run(sockets=[listener])
        except SystemExit:
            if app.failure is None:
                raise
            raise app.failure from None


def _chosen(config: Path | None) -> Path:
    if config is None:
        remedy = f"give one with --config FILE. A file as short as this serves:\n\n{MINIMAL}"
        raise SettingsError("config", None, remedy)
    return config


def _with_listen(settings: Settings, host: str | None, port: int | None) -> Settings:
    given = {"host": host, "port": port}
    listen = settings.listen.model_copy(update={k: v for k, v in given.items() if v is not None})
    return settings.model_copy(update={"listen": listen})


def _with_artifacts(settings: Settings, artifacts: Sequence[Path]) -> Settings:
    """The settings with the routers of these folders, in place of those of the same name."""
    routers = dict(settings.routers)
    for folder in artifacts:
        routers[str(read_artifact(folder)[0].get("router"))] = RouterSettings(artifact=folder)
    return settings.model_copy(update={"routers": routers})


def _log_to_stderr(
    settings: Settings, level: str | None, redactor: Redactor
) -> AbstractContextManager[Logs]:
    """Everything that this process logs, cleaned of what the settings keep secret."""
    return logging_to(
        sys.stderr,
        form=settings.log.format,
        level=level or settings.log.level,
        redactor=redactor,
    )


def bound(host: str, port: int) -> socket.socket:
    """A listening socket.

    Its protocol is named, because asyncio turns Nagle's algorithm off only where it is: without,
    every answer waits 40 ms for a delayed acknowledgement.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        remedy = f"choose another address: {error.strerror or error}"
        raise SettingsError("listen", f"{host}:{port}", remedy) from None
    return listener


def _banner(settings: Settings, listener: socket.socket, models: list[str]) -> str:
    host, port = settings.listen.host, listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    return f"turnout serves http://{shown}:{port}/v1 with models: {', '.join(models)}"


def _warn(host: str) -> None:
    if not is_loopback(host):
        click.echo(
            f"warning: {host} is not a loopback address: whoever reaches it can spend the keys "
            "of your providers; `turnout keys create` closes it",
            err=True,
        )
