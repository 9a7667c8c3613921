"""Streams: translation event by event, and a watcher for streams that pass through."""

from turnout.wire.streams.translator import StreamTranslator

__all__ = ["StreamTranslator"]
