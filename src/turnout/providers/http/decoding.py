"""Bodies that come compressed though identity was asked for: decoded, within bounds."""

from __future__ import annotations

import zlib

from turnout.providers.http.errors import BrokenError, ProtocolError

MOST_DECODED_BYTES = 64 << 20
"""Of one body."""
MOST_RATIO = 100
"""Decoded bytes for each that came, of a body beyond `FREE_BYTES`; text seldom reaches 20."""
FREE_BYTES = 1 << 20
_FORMS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Decoder:
    """Takes a body's pieces and gives them decoded, never more than the bounds allow.

    Args:
        coding: of `content-encoding`; see `decodes`.
    """

    __slots__ = ("_form", "_given", "_inner", "_taken")

    def __init__(self, coding: str) -> None:
        self._form = _FORMS[coding]
        self._inner = zlib.decompressobj(self._form)
        self._taken = self._given = 0

    def feed(self, data: bytes) -> bytes:
        """The bytes that are decoded with this piece.

        Raises:
            ProtocolError: it is not so encoded, or a bomb.
        """
        self._taken += len(data)
        most = min(max(FREE_BYTES, MOST_RATIO * self._taken), MOST_DECODED_BYTES)
        pieces: list[bytes] = []
        while data:
            if self._inner.eof:  # a gzip file may have several members
                self._inner = zlib.decompressobj(self._form)
            try:
                piece = self._inner.decompress(data, most - self._given + 1)
            except zlib.error as error:
                raise ProtocolError("a body that is not encoded as it says") from error
            self._given += len(piece)
            if self._given > most:
                raise ProtocolError("a compressed body that grows beyond measure")
            pieces.append(piece)
            data = self._inner.unused_data
        return b"".join(pieces)

    def end(self) -> None:
        """There is no more.

        Raises:
            BrokenError: there should be.
        """
        if self._taken and not self._inner.eof:
            raise BrokenError("a compressed body that ended too early")


def decodes(coding: str) -> bool:
    """Whether a value of `content-encoding` names one coding that is known here."""
    return coding in _FORMS
