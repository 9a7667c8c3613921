"""Encoders that the settings name once, for routers to share: one cache, one set of connections."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from turnout.encoders.base import Encoder
from turnout.encoders.cached import CachedEncoder
from turnout.encoders.onnx import PREFIX as ONNX
from turnout.encoders.onnx import open_onnx
from turnout.encoders.opening import is_own_name, open_encoder
from turnout.encoders.remote import open_remote
from turnout.errors import SettingsError, suggest
from turnout.settings import EncoderSettings


class NamedEncoders:
    """Opens each encoder when a router first asks for it, and hands out the same one after that.

    Args:
        settings: by name.
    """

    def __init__(self, settings: Mapping[str, EncoderSettings]) -> None:
        self._settings = dict(settings)
        self._opened: dict[str, Encoder] = {}
        self._lock = threading.Lock()

    def in_options(self, router: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """A router's options with the encoder in place of its name.

        Options that name none, describe one themselves, or give the own name of an encoder (such
        as `static-256`) are left as they are.

        Raises:
            SettingsError: no encoder of that name.
            TurnoutError: it cannot be opened.
        """
        wanted = options.get("encoder")
        if not isinstance(wanted, str) or (wanted not in self._settings and is_own_name(wanted)):
            return dict(options)
        self._check(f"routers.{router}.encoder", wanted)
        return {**options, "encoder": self[wanted]}

    def open(self, wanted: str, field: str) -> Encoder:
        """The encoder that a setting names: one of these, or one by its own name.

        Args:
            wanted: the name.
            field: the setting, for errors.

        Raises:
            SettingsError: no encoder of that name.
            TurnoutError: it cannot be opened.
        """
        if wanted not in self._settings and is_own_name(wanted):
            return open_encoder(wanted)
        self._check(field, wanted)
        return self[wanted]

    def _check(self, field: str, wanted: str) -> None:
        if wanted not in self._settings:
            known = ", ".join(self._settings) or "none are"
            remedy = f"name one of `encoders` ({known}).{suggest(wanted, self._settings)}"
            raise SettingsError(field, wanted, remedy)

    def __getitem__(self, name: str) -> Encoder:
        """The encoder of that name, opened. Nothing is called."""
        with self._lock:
            if name not in self._opened:
                self._opened[name] = _opened(name, self._settings[name])
            return self._opened[name]


def _opened(name: str, given: EncoderSettings) -> Encoder:
    if given.onnx is not None:
        local = open_onnx(f"{ONNX}{given.onnx}")
        return CachedEncoder(local, size=given.cache, file=given.cache_file)
    options = given.model_dump(
        include={"base_url", "dimension", "timeout_s", "batch", "concurrency", "cache"}
    )
    key = given.api_key
    return open_remote(
        str(given.model),
        {**options, "cache_file": given.cache_file},
        where=f"encoders.{name}",
        api_key=None if key is None else key.get_secret_value(),
    )
